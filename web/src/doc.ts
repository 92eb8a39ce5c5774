/** A text with what the student says of it; names are spaCy's. */

import { pointCount } from "./characters.js";
import type { Lexeme } from "./vocab.js";

/** How far a token's entity is known: not, inside one, outside of all, or at the beginning of one. */
export const MISSING = 0, INSIDE = 1, OUTSIDE = 2, BEGIN = 3;

export class Token {
  tag = "";
  pos = "";
  /** "_" for one that was found to have no features. */
  features = "";
  lemma = "";
  dep = "";
  /** The head's index; its own for a root. */
  headIndex: number;
  leftEdge: number;
  rightEdge: number;
  /** 1: begins a sentence; -1: does not; 0: not known. */
  sentStart = 0;
  entIob = MISSING;
  entType = "";
  entId = "";
  private fixedNorm: string | null = null;

  constructor(
    readonly doc: Doc, readonly i: number, readonly lexeme: Lexeme,
    /** Where the token begins: in UTF-16 code units, as JavaScript counts, and in code points, as Python does. */
    readonly idx: number, readonly codePoint: number,
    readonly whitespace: string,
  ) {
    this.headIndex = this.leftEdge = this.rightEdge = i;
  }

  get text(): string {
    return this.lexeme.text;
  }
  get norm(): string {
    return this.fixedNorm ?? this.lexeme.norm;
  }
  set norm(norm: string) {
    this.fixedNorm = norm;
  }
  get morph(): string {
    return this.features === "_" ? "" : this.features;
  }
  get isSpace(): boolean {
    return this.lexeme.isSpace;
  }
  get isSentStart(): boolean | null {
    return this.sentStart === 0 ? null : this.sentStart > 0;
  }
  get head(): Token {
    return this.doc.tokens[this.headIndex];
  }
}

/** Tokens in a row. */
export class Span {
  /** Of a span of `doc.spans` that a spancat found: its probability. */
  score: number | undefined;

  constructor(readonly doc: Doc, readonly start: number, readonly end: number, readonly label = "", readonly id = "") {}

  get tokens(): Token[] {
    return this.doc.tokens.slice(this.start, this.end);
  }
  get text(): string {
    return this.doc.text.slice(this.startChar, this.endChar);
  }
  /** In UTF-16 code units, for `String.slice`. */
  get startChar(): number {
    return this.start < this.doc.tokens.length ? this.doc.tokens[this.start].idx : this.doc.text.length;
  }
  get endChar(): number {
    const last = this.doc.tokens[this.end - 1];
    return last ? last.idx + last.text.length : 0;
  }
  /** In code points, as spaCy's `start_char` and `end_char` count. */
  get startCodePoint(): number {
    return this.doc.tokens[this.start]?.codePoint ?? pointCount(this.doc.text);
  }
  get endCodePoint(): number {
    const last = this.doc.tokens[this.end - 1];
    return last ? last.codePoint + pointCount(last.text) : 0;
  }
}

export class Doc {
  readonly tokens: Token[] = [];
  readonly cats: Record<string, number> = {};
  readonly spans: Record<string, Span[]> = {};

  constructor(readonly text: string, words: Lexeme[], spaces: boolean[]) {
    let idx = 0;
    let codePoint = 0;
    // Almost all texts have as many code points as code units.
    const isPlain = pointCount(text) === text.length;
    for (let i = 0; i < words.length; i++) {
      const { text } = words[i];
      const space = spaces[i] ? " " : "";
      this.tokens.push(new Token(this, i, words[i], idx, codePoint, space));
      idx += text.length + space.length;
      codePoint += (isPlain ? text.length : pointCount(text)) + space.length;
    }
  }

  get length(): number {
    return this.tokens.length;
  }

  [Symbol.iterator](): Iterator<Token> {
    return this.tokens[Symbol.iterator]();
  }

  get ents(): Span[] {
    const ents: Span[] = [];
    let start = -1;
    const close = (end: number): void => {
      if (start >= 0) {
        const { entType, entId } = this.tokens[start];
        ents.push(new Span(this, start, end, entType, entId));
      }
      start = -1;
    };
    this.tokens.forEach(({ entIob, entType }, i) => {
      if (entIob !== INSIDE) close(i);
      if (entIob === BEGIN && entType) start = i;
    });
    close(this.length);
    return ents;
  }

  /** spaCy's `Doc.set_ents`: tokens outside of all these are outside of entities, or as they were. */
  setEnts(ents: Span[], others: "outside" | "unmodified" = "outside"): void {
    const seen = new Set<number>();
    for (const { start, end, label, id } of ents) {
      if (!label) continue;
      for (let i = start; i < end; i++) {
        if (seen.has(i)) throw new Error(`Two entities share the token ${i}.`);
        seen.add(i);
        const token = this.tokens[i];
        token.entIob = i === start ? BEGIN : INSIDE;
        token.entType = label;
        if (id) token.entId = id;
      }
    }
    if (others === "outside") {
      for (const token of this.tokens) {
        if (seen.has(token.i)) continue;
        token.entType = "";
        token.entIob = OUTSIDE;
      }
    }
    for (let i = 0; i + 1 < this.length; i++) {
      const token = this.tokens[i], next = this.tokens[i + 1];
      if (next.entIob !== INSIDE) continue;
      const isOpen = token.entIob === BEGIN || token.entIob === INSIDE;
      if (!isOpen || token.entType !== next.entType) next.entIob = BEGIN;
    }
  }

  get sents(): Span[] {
    const sents: Span[] = [];
    let start = 0;
    for (let i = 1; i <= this.length; i++) {
      if (i < this.length && this.tokens[i].sentStart !== 1) continue;
      sents.push(new Span(this, start, i));
      start = i;
    }
    return this.length ? sents : [];
  }

  /** What spaCy's `Doc.to_json` gives, which `Doc.from_json` reads: all offsets are in code points. */
  toJSON(): Record<string, unknown> {
    const { tokens } = this;
    const some = (has: (token: Token) => unknown): boolean => tokens.some(has);
    const json: Record<string, unknown> = { text: this.text };
    const offsets = (span: Span): { start: number; end: number } => ({ start: span.startCodePoint, end: span.endCodePoint });
    if (!tokens.length || some((token) => token.entIob)) {
      json.ents = this.ents.map((ent) => ({ ...offsets(ent), label: ent.label }));
    }
    if (tokens.length < 2 || some((token) => token.i && token.sentStart)) json.sents = this.sents.map(offsets);
    if (Object.keys(this.cats).length) json.cats = this.cats;
    const has = {
      tag: some((token) => token.tag), pos: some((token) => token.pos), morph: some((token) => token.features),
      lemma: some((token) => token.lemma), dep: some((token) => token.dep),
    };
    json.tokens = tokens.map((token) => {
      const described: Record<string, unknown> = {
        id: token.i, start: token.codePoint, end: token.codePoint + pointCount(token.text),
      };
      for (const key of ["tag", "pos", "morph", "lemma", "dep"] as const) if (has[key]) described[key] = token[key];
      if (has.dep) described.head = token.headIndex;
      return described;
    });
    const keys = Object.keys(this.spans);
    if (keys.length) {
      json.spans = Object.fromEntries(
        keys.map((key) => [key, this.spans[key].map((span) => ({ ...offsets(span), label: span.label, kb_id: "" }))]),
      );
    }
    return json;
  }
}
