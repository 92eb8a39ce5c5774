/** spaCy's entity recognizer: a move for each word, in the BILUO scheme; entities that are there already stay. */

import { BEGIN, INSIDE, MISSING, OUTSIDE, Span, type Token } from "./doc.js";
import type { Model, Pipe, Reading } from "./pipe.js";
import { type DescribedTransitions, type Move, type State, Transitions } from "./transitions.js";

const KINDS = "BILUO";
const B = 0, I = 1, L = 2, U = 3, O = 4;

/** With which labels a kind of move is valid: none, any but the empty one, or one. */
type Allowed = boolean | string;

interface Entity {
  start: number;
  end: number;
  label: string;
}

class Entities implements State {
  found: Entity[] = [];
  private next = 0;

  constructor(private readonly tokens: Token[], private readonly moves: readonly Move[]) {}

  clone(): this {
    const copy = new Entities(this.tokens, this.moves) as this;
    copy.found = this.found.map((entity) => ({ ...entity }));
    copy.next = this.next;
    return copy;
  }

  get isFinal(): boolean {
    return this.next >= this.tokens.length;
  }

  private get open(): Entity | undefined {
    const last = this.found.at(-1);
    return last && last.end < 0 ? last : undefined;
  }

  read(ids: Int32Array): void {
    const { next, open } = this;
    ids.fill(-1);
    ids[0] = next;
    if (!open) return;
    if (ids.length === 3) {
      ids[1] = open.start;
      ids[2] = next - 1;
    } else {
      for (let i = 1, at = open.start; i < 6 && at < next; i++, at++) ids[i] = at;
    }
  }

  validate(valid: Uint8Array): void {
    const allowed = this.allow();
    this.moves.forEach(({ kind, label }, i) => {
      const as = allowed[kind];
      valid[i] = Number(as === true ? kind === O || label !== "" : as === label);
    });
  }

  /** What is allowed of each kind. */
  private allow(): Allowed[] {
    const { tokens, next: i, open } = this;
    const token = tokens[i];
    const next = tokens[i + 1];
    const iob = token.entIob;
    const nextIob = next ? next.entIob : MISSING;
    const nextStarts = next?.sentStart === 1;
    // That the student has to agree with.
    const preset = token.entType || false;
    const allowed: Allowed[] = [false, false, false, false, false];
    if (open) {
      const label = open.label || false;
      if (next && iob !== BEGIN && nextIob !== BEGIN) {
        if (iob === INSIDE) allowed[I] = nextIob === INSIDE && preset === label && label;
        else if (!nextStarts) allowed[I] = label;
      }
      if (nextIob !== INSIDE) allowed[L] = iob === INSIDE ? preset : label;
    } else {
      if (next && iob !== INSIDE) {
        if (iob === BEGIN) allowed[B] = nextIob === INSIDE && preset;
        else if (nextIob !== BEGIN && !nextStarts && !token.isSpace) allowed[B] = true;
      }
      if (nextIob !== INSIDE) {
        if (iob === BEGIN) allowed[U] = preset;
        else if (!token.isSpace) allowed[U] = true;
      }
      if (iob !== BEGIN && iob !== INSIDE) allowed[O] = true;
    }
    // A word that is to be no entity.
    if (iob === BEGIN && !token.entType) allowed[U] = "";
    return allowed;
  }

  do({ kind, label }: Move): void {
    if (kind === B || kind === U) this.found.push({ start: this.next, end: -1, label });
    if (kind === L || kind === U) this.found.at(-1)!.end = this.next + 1;
    this.next++;
  }

  /** A label that is there already may be none of the student's. */
  force(): void {
    const allowed = this.allow();
    const kind = [B, I, L, U].find((kind) => typeof allowed[kind] === "string");
    if (kind === undefined) this.next = this.tokens.length;
    else this.do({ kind, label: allowed[kind] as string });
  }
}

export class EntityRecognizer extends Transitions implements Pipe {
  constructor(model: Model, described: DescribedTransitions) {
    super(model, described, KINDS, [3, 6]);
  }

  apply(reading: Reading): void {
    const { doc } = reading;
    if (!doc.length) return;
    const { found } = this.search(reading, new Entities(doc.tokens, this.moves));
    const closed = found.filter(({ end }) => end >= 0);
    doc.setEnts(closed.map(({ start, end, label }) => new Span(doc, start, end, label)), "unmodified");
    for (const token of doc.tokens) if (token.entIob === MISSING) token.entIob = OUTSIDE;
  }
}
