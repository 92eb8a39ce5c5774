/** What Python knows of characters, from the tables of the file: the browser's Unicode may be of another version. */

import { ensure, isCount } from "./format.js";

const POINTS = 0x110000;
const ALPHA = 1, UPPER = 2, DIGIT = 4, SPACE = 8, PUNCT = 16, IGNORABLE = 32, CASED = 64;

const SIGMA = "\u03a3";

export class Characters {
  /** For each code point, what stands for its class in regular expressions. */
  private readonly representatives = new Uint16Array(POINTS);
  private readonly flags = new Uint8Array(65536);
  private readonly lowered = new Map<number, string>();

  constructor(described: { runs: number[]; flags: number[]; lower: number[] }) {
    const { runs, flags, lower } = described;
    ensure([runs, flags, lower].every((numbers) => Array.isArray(numbers) && numbers.every(Number.isSafeInteger)), "characters");
    let point = 0;
    for (let i = 0; i + 1 < runs.length; i += 2) {
      const end = point + runs[i];
      ensure(runs[i] > 0 && end <= POINTS && isCount(runs[i + 1]) && runs[i + 1] < 65536, "a class of characters");
      this.representatives.fill(runs[i + 1], point, end);
      point = end;
    }
    ensure(point === POINTS, "there are too few characters");
    for (let i = 0; i + 1 < flags.length; i += 2) this.flags[flags[i]] = flags[i + 1];
    for (let i = 0; i < lower.length; i += lower[i] + 1) {
      ensure(lower[i] >= 3 && i + lower[i] < lower.length, "lower case");
      const [first, count, ...rest] = lower.slice(i + 1, i + 1 + lower[i]);
      ensure(isCount(first) && isCount(count) && count <= POINTS, "lower case");
      if (count === 0) this.lowered.set(first, String.fromCodePoint(...rest));
      for (let n = 0; n < count; n++) this.lowered.set(first + n * rest[0], String.fromCodePoint(first + n * rest[0] + rest[1]));
    }
  }

  /** Replace each character by its class's representative: one code unit for each code point. */
  classes(text: string): string {
    const codes: number[] = [];
    for (let i = 0; i < text.length; i++) {
      const point = text.codePointAt(i)!;
      if (point > 0xffff) i++;
      codes.push(this.representatives[point]);
    }
    // A call takes so many arguments.
    if (codes.length < 4096) return String.fromCharCode(...codes);
    let result = "";
    for (let i = 0; i < codes.length; i += 4096) result += String.fromCharCode(...codes.slice(i, i + 4096));
    return result;
  }

  private flag(point: number): number {
    return this.flags[this.representatives[point]];
  }

  /** Whether a UTF-16 code unit is white space; all that is takes one. */
  isSpace(code: number): boolean {
    return (this.flag(code) & SPACE) !== 0;
  }

  /** Whether all of a text's characters are of a kind, and, but for punctuation, there are some. */
  allSpace(text: string): boolean {
    return text !== "" && this.all(text, SPACE);
  }
  allAlpha(text: string): boolean {
    return text !== "" && this.all(text, ALPHA);
  }
  allDigit(text: string): boolean {
    return text !== "" && this.all(text, DIGIT);
  }
  allPunct(text: string): boolean {
    return this.all(text, PUNCT);
  }

  private all(text: string, flag: number): boolean {
    for (const char of text) if (!(this.flag(char.codePointAt(0)!) & flag)) return false;
    return true;
  }

  /** Python's `str.lower`. */
  lower(text: string): string {
    let result = "";
    let i = 0;
    for (const char of text) {
      const point = char.codePointAt(0)!;
      if (char === SIGMA) result += this.isFinal(text, i) ? "\u03c2" : "\u03c3";
      else result += this.lowered.get(point) ?? char;
      i += char.length;
    }
    return result;
  }

  /** Whether a sigma ends a word: a cased character before it, none after it, ignorable ones left out. */
  private isFinal(text: string, i: number): boolean {
    const firstFlags = (chars: string[]): number => {
      for (const char of chars) {
        const flags = this.flag(char.codePointAt(0)!);
        if (!(flags & IGNORABLE)) return flags;
      }
      return 0;
    };
    const before = firstFlags([...text.slice(0, i)].reverse());
    return (before & CASED) !== 0 && !(firstFlags([...text.slice(i + 1)]) & CASED);
  }

  /** spaCy's `word_shape`. */
  shape(text: string): string {
    let shape = "", last = "", repeated = 0, length = 0;
    for (const char of text) {
      if (++length >= 100) return "LONG";
      const flags = this.flag(char.codePointAt(0)!);
      const kind = flags & ALPHA ? (flags & UPPER ? "X" : "x") : flags & DIGIT ? "d" : char;
      repeated = kind === last ? repeated + 1 : 0;
      last = kind;
      if (repeated < 4) shape += kind;
    }
    return shape;
  }
}

/** The number of code points. */
export function pointCount(text: string): number {
  let count = text.length;
  for (let i = 0; i + 1 < text.length; i++) {
    if (isPair(text, i)) {
      count--;
      i++;
    }
  }
  return count;
}

/** Whether two code units from a place on are one code point. */
export function isPair(text: string, i: number): boolean {
  return (text.charCodeAt(i) & 0xfc00) === 0xd800 && (text.charCodeAt(i + 1) & 0xfc00) === 0xdc00;
}
