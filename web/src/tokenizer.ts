/** spaCy's tokenizer. */

import type { Characters } from "./characters.js";
import { isPair } from "./characters.js";
import { ensure } from "./format.js";
import type { Lexeme, Vocab } from "./vocab.js";

/** What the file says of a tokenizer: regular expressions and rules. */
export interface DescribedTokenizer {
  prefix: string | null;
  suffix: string | null;
  infix: string | null;
  token: string | null;
  url: string | null;
  rules: Record<string, [string, string | null][]>;
  phrases: string[][];
}

/** Texts of which no more are remembered. */
const MOST_CHUNKS = 10000;

interface Phrases {
  next: Map<string, Phrases>;
  ends: boolean;
}

/** A piece of a text and what its characters are represented by, one code unit each. */
class Piece {
  private readonly offsets: Int32Array | null;
  constructor(readonly text: string, readonly classes: string) {
    if (text.length === classes.length) {
      this.offsets = null;
    } else {
      this.offsets = new Int32Array(classes.length + 1);
      for (let i = 0, at = 0; i < classes.length; i++) {
        this.offsets[i] = at;
        at += isPair(text, at) ? 2 : 1;
      }
      this.offsets[classes.length] = text.length;
    }
  }

  slice(start: number, end: number): string {
    return this.offsets ? this.text.slice(this.offsets[start], this.offsets[end]) : this.text.slice(start, end);
  }
}

export class Tokenizer {
  private readonly prefix: RegExp | null;
  private readonly suffix: RegExp | null;
  private readonly infix: RegExp | null;
  /** The same, where it matches something. */
  private readonly longInfix: RegExp | null;
  private readonly token: RegExp | null;
  private readonly url: RegExp | null;
  private readonly rules = new Map<string, Lexeme[]>();
  private readonly phrases: Phrases = { next: new Map(), ends: false };
  private cache = new Map<string, Lexeme[]>();
  private readonly characters: Characters;

  constructor(private readonly vocab: Vocab, described: DescribedTokenizer) {
    this.characters = vocab.characters;
    const compile = (source: string | null, flags: string): RegExp | null => {
      ensure(source === null || typeof source === "string", "a regular expression is no text");
      return source === null ? null : new RegExp(source, flags);
    };
    this.prefix = compile(described.prefix, "");
    this.suffix = compile(described.suffix, "");
    this.infix = compile(described.infix, "g");
    // What is left of the text is not what was left before.
    this.longInfix = compile(described.infix && `(?=([^]*))(?:${described.infix})(?!\\1$)`, "y");
    this.token = compile(described.token, "y");
    this.url = compile(described.url, "y");
    for (const [text, tokens] of Object.entries(described.rules)) {
      ensure(tokens.length > 0 && tokens.every(([orth]) => typeof orth === "string" && orth), "a tokenizer's rule");
      ensure(tokens.map(([orth]) => orth).join("") === text, "a tokenizer's rule");
      this.rules.set(text, tokens.map(([orth, norm]) => vocab.get(orth, norm)));
    }
    for (const phrase of described.phrases) {
      let node = this.phrases;
      for (const word of phrase) {
        let next = node.next.get(word);
        if (!next) node.next.set(word, (next = { next: new Map(), ends: false }));
        node = next;
      }
      node.ends = true;
    }
  }

  /** Split a text into words, and say of each whether a space follows it. */
  split(text: string): { words: Lexeme[]; spaces: boolean[] } {
    const words: Lexeme[] = [];
    const spaces: boolean[] = [];
    if (text === "") return { words, spaces };
    const add = (start: number, end: number): void => {
      for (const word of this.splitChunk(text.slice(start, end))) {
        words.push(word);
        spaces.push(false);
      }
    };
    const { characters } = this;
    let start = 0;
    let inSpace = characters.isSpace(text.charCodeAt(0));
    for (let i = 0; i < text.length; i++) {
      const code = text.charCodeAt(i);
      if (characters.isSpace(code) === inSpace) continue;
      if (start < i) add(start, i);
      if (code === 32) {
        spaces[spaces.length - 1] = true;
        start = i + 1;
      } else {
        start = i;
      }
      inSpace = !inSpace;
    }
    if (start < text.length) {
      add(start, text.length);
      spaces[spaces.length - 1] = text.endsWith(" ") && !inSpace;
    }
    return this.applyPhrases(words, spaces);
  }

  /** Split what is between spaces, or what consists of them. */
  private splitChunk(text: string): Lexeme[] {
    let words = this.rules.get(text) ?? this.cache.get(text);
    if (!words) {
      words = this.splitAffixes(new Piece(text, this.characters.classes(text)));
      if (this.cache.size >= MOST_CHUNKS) this.cache.clear();
      this.cache.set(text, words);
    }
    return words;
  }

  private splitAffixes(piece: Piece): Lexeme[] {
    const prefixes: Lexeme[] = [];
    const suffixes: Lexeme[] = [];
    const { rules, vocab } = this;
    const { classes } = piece;
    let start = 0, end = classes.length, last = 0;
    while (start < end && end - start !== last) {
      const here = classes.slice(start, end);
      if (matchesStart(this.token, here) || rules.has(piece.slice(start, end))) break;
      last = end - start;
      const before = found(this.prefix, here);
      if (before && start + before < end && rules.has(piece.slice(start + before, end))) {
        prefixes.push(vocab.get(piece.slice(start, start + before)));
        start += before;
        break;
      }
      const after = found(this.suffix, here.slice(before));
      if (after && start < end - after && rules.has(piece.slice(start, end - after))) {
        suffixes.push(vocab.get(piece.slice(end - after, end)));
        end -= after;
        break;
      }
      const both = before + after <= last;
      if (before) prefixes.push(vocab.get(piece.slice(start, start + before)));
      if (after && (both || !before)) {
        suffixes.push(vocab.get(piece.slice(end - after, end)));
        end -= after;
      }
      start += before;
    }
    const middle = start < end ? this.splitInfixes(piece, start, end) : [];
    return [...prefixes, ...middle, ...suffixes.reverse()];
  }

  private splitInfixes(piece: Piece, start: number, end: number): Lexeme[] {
    const { vocab } = this;
    const text = piece.slice(start, end);
    const rule = this.rules.get(text);
    if (rule) return rule;
    const here = piece.classes.slice(start, end);
    if (matchesStart(this.token, here) || matchesStart(this.url, here)) return [vocab.get(text)];
    const words: Lexeme[] = [];
    const add = (from: number, to: number): void => {
      if (from < to) words.push(vocab.get(piece.slice(start + from, start + to)));
    };
    let at = 0;
    for (const [from, to] of this.findInfixes(here)) {
      if (from === 0) continue;
      add(at, from);
      add(from, to);
      at = to;
    }
    add(at, here.length);
    return words;
  }

  /** Python's `finditer`: where a match was empty, the next one may begin there, too, if it is not. */
  private *findInfixes(text: string): Generator<[number, number]> {
    const { infix, longInfix } = this;
    if (!infix || !longInfix) return;
    let at = 0;
    let wasEmpty = false;
    while (at <= text.length) {
      let match: RegExpExecArray | null = null;
      if (wasEmpty) {
        longInfix.lastIndex = at;
        match = longInfix.exec(text);
      }
      infix.lastIndex = wasEmpty ? at + 1 : at;
      match ??= infix.exec(text);
      if (!match) return;
      const { index, 0: { length } } = match;
      yield [index, index + length];
      at = index + length;
      wasEmpty = length === 0;
    }
  }

  /** Replace the words that are together a rule's text, the longest first. */
  private applyPhrases(words: Lexeme[], spaces: boolean[]): { words: Lexeme[]; spaces: boolean[] } {
    const matches: [number, number][] = [];
    for (let start = 0; start < words.length; start++) {
      let node: Phrases | undefined = this.phrases;
      for (let i = start; i < words.length; i++) {
        node = node.next.get(words[i].text);
        if (!node) break;
        if (node.ends) matches.push([start, i + 1]);
      }
    }
    if (!matches.length) return { words, spaces };
    matches.sort((a, b) => b[1] - b[0] - (a[1] - a[0]) || a[0] - b[0]);
    const seen = new Set<number>();
    const chosen = new Map<number, number>();
    for (const [start, end] of matches) {
      if (!seen.has(start) && !seen.has(end - 1)) chosen.set(start, end);
      for (let i = start; i < end; i++) seen.add(i);
    }
    const result = { words: [] as Lexeme[], spaces: [] as boolean[] };
    for (let i = 0; i < words.length; ) {
      const end = chosen.get(i) ?? i + 1;
      let text = words[i].text;
      for (let j = i + 1; j < end; j++) text += (spaces[j - 1] ? " " : "") + words[j].text;
      const rule = chosen.has(i) ? this.rules.get(text) : undefined;
      if (rule) {
        result.words.push(...rule);
        result.spaces.push(...rule.map((_, j) => j === rule.length - 1 && spaces[end - 1]));
      } else {
        result.words.push(...words.slice(i, end));
        result.spaces.push(...spaces.slice(i, end));
      }
      i = end;
    }
    return result;
  }
}

/** The length of a regular expression's first match, 0 where there is none. */
function found(pattern: RegExp | null, text: string): number {
  return pattern?.exec(text)?.[0].length ?? 0;
}

function matchesStart(pattern: RegExp | null, text: string): boolean {
  if (!pattern) return false;
  pattern.lastIndex = 0;
  return pattern.test(text);
}
