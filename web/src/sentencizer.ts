/** spaCy's sentencizer: a sentence ends after certain characters and the punctuation behind them. */

import { ensureTexts, type Model, type Pipe, type Reading } from "./pipe.js";

export class Sentencizer implements Pipe {
  private readonly ends: Set<string>;

  constructor(private readonly model: Model, private readonly described: { punct_chars: string[]; overwrite: boolean }) {
    ensureTexts(described.punct_chars, "a sentencizer's characters");
    this.ends = new Set(described.punct_chars);
  }

  apply({ doc: { tokens } }: Reading): void {
    let isEnded = true;
    for (const token of tokens) {
      const isEnd = this.ends.has(token.text);
      const isStart = token.i === 0 || (isEnded && !isEnd && !this.model.vocab.characters.allPunct(token.text));
      if (isStart) isEnded = false;
      if (isEnd) isEnded = true;
      if (this.described.overwrite || !token.sentStart) token.sentStart = isStart ? 1 : -1;
    }
  }
}
