/** Words, and what the student knows of each whatever stands beside it. */

import type { Characters } from "./characters.js";
import { ensure, isCount } from "./format.js";
import { hash64, upperHalf } from "./hash.js";

export type Attribute = "ORTH" | "NORM" | "LOWER" | "PREFIX" | "SUFFIX" | "SHAPE";

/** More words than this are forgotten and computed anew, so that a page that reads on and on does not grow. */
const MOST_WORDS = 30000;

/** A word as it is written, with its norm. */
export class Lexeme {
  readonly isSpace: boolean;
  private shaped: string | undefined;
  private lowered: string | undefined;

  constructor(readonly text: string, readonly norm: string, private readonly characters: Characters) {
    this.isSpace = characters.allSpace(text);
  }

  get lower(): string {
    return (this.lowered ??= this.characters.lower(this.text));
  }

  get shape(): string {
    return (this.shaped ??= this.characters.shape(this.text));
  }

  get(attribute: Attribute): string {
    switch (attribute) {
      case "ORTH":
        return this.text;
      case "NORM":
        return this.norm;
      case "LOWER":
        return this.lower;
      case "PREFIX":
        return String.fromCodePoint(this.text.codePointAt(0)!);
      case "SUFFIX":
        return /[\ud800-\udfff]/.test(this.text) ? [...this.text].slice(-3).join("") : this.text.slice(-3);
      case "SHAPE":
        return this.shape;
    }
  }
}

/** Norms by word, or by both halves of its hash where the student knows no more of it; and spaCy's own numbers. */
export interface DescribedVocab {
  norms: Record<string, string>;
  hashed?: Record<string, string>;
  symbols: Record<string, number>;
}

export class Vocab {
  private readonly norms: Map<string, string>;
  private readonly hashed: Map<string, string>;
  private readonly symbols: Map<string, number>;
  private readonly encoder = new TextEncoder();
  private lexemes = new Map<string, Lexeme>();

  constructor(readonly characters: Characters, described: DescribedVocab) {
    this.norms = new Map(Object.entries(described.norms));
    this.hashed = new Map(Object.entries(described.hashed ?? {}));
    this.symbols = new Map(Object.entries(described.symbols));
    ensure([...this.norms.values(), ...this.hashed.values()].every((norm) => typeof norm === "string"), "a norm is no text");
    ensure([...this.symbols.values()].every(isCount), "a symbol is no number");
  }

  /** Find a word, with a norm that a tokenizer's rule gives it or with its own. */
  get(text: string, norm: string | null = null): Lexeme {
    if (norm !== null) return new Lexeme(text, norm, this.characters);
    let lexeme = this.lexemes.get(text);
    if (!lexeme) {
      if (this.lexemes.size >= MOST_WORDS) this.lexemes.clear();
      lexeme = new Lexeme(text, this.norms.get(text) ?? this.normByHash(text) ?? this.characters.lower(text), this.characters);
      this.lexemes.set(text, lexeme);
    }
    return lexeme;
  }

  private normByHash(text: string): string | undefined {
    return this.hashed.size ? this.hashed.get(this.hash(text).map((half) => half >>> 0).join()) : undefined;
  }

  /** The lower half of a string's hash in spaCy's string store; `upperHalf` gives the other one. */
  hash(text: string): [number, number] {
    if (text === "") return [0, 0];
    const symbol = this.symbols.get(text);
    if (symbol !== undefined) return [symbol, 0];
    const low = hash64(this.encoder.encode(text));
    return [low, upperHalf()];
  }
}
