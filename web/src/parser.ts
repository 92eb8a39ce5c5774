/** spaCy's dependency parser: arc-eager (Nivre, 2004) with moves that break sentences and put words back. */

import type { Doc, Token } from "./doc.js";
import type { Model, Pipe, Reading } from "./pipe.js";
import { type DescribedTransitions, type Move, type State, Transitions } from "./transitions.js";

const SHIFT = 0, REDUCE = 1, LEFT = 2, RIGHT = 3, BREAK = 4;
const KINDS = "SDLRB";

/** The label of parts of one word. */
const SUBTOKEN = "subtok";

/** What separates a label from that of the head to which its word is to be attached instead (Nivre and Nilsson, 2005). */
const DELIMITER = "||";

class Parse implements State {
  heads: Int32Array;
  labels: string[] = [];
  private stack: number[] = [];
  /** Words put back from the stack, the next one last. */
  private again: number[] = [];
  private next = 0;
  private left: number[][] = [];
  private right: number[][] = [];
  private isFixed: Uint8Array;
  private starts: Uint8Array;

  constructor(private readonly tokens: Token[], private readonly moves: readonly Move[]) {
    const { length } = tokens;
    this.heads = new Int32Array(length).fill(-1);
    this.isFixed = new Uint8Array(length);
    this.starts = new Uint8Array(length);
  }

  clone(): this {
    const copy = new Parse(this.tokens, this.moves) as this;
    copy.next = this.next;
    for (const name of ["heads", "isFixed", "starts"] as const) copy[name] = this[name].slice() as never;
    for (const name of ["labels", "stack", "again"] as const) copy[name] = this[name].slice() as never;
    for (const name of ["left", "right"] as const) copy[name] = this[name].map((words) => words.slice());
    return copy;
  }

  /** The i-th word of the stack, counted from its top, or -1. */
  private S(i: number): number {
    const at = this.stack.length - 1 - i;
    return at < 0 ? -1 : this.stack[at];
  }

  /** The i-th of the words to come, or -1. */
  private B(i: number): number {
    const { again } = this;
    if (i < again.length) return again[again.length - 1 - i];
    const at = this.next + i - again.length;
    return at < this.tokens.length ? at : -1;
  }

  private L(head: number, nth: number): number {
    return nthLast(this.left[head], nth);
  }

  private R(head: number, nth: number): number {
    return nthLast(this.right[head], nth);
  }

  private get rest(): number {
    return this.tokens.length - this.next + this.again.length;
  }

  get isFinal(): boolean {
    return this.stack.length === 0 && this.rest === 0;
  }

  private isStart(word: number): boolean {
    return word >= 0 && (this.tokens[word].sentStart === 1 || this.starts[word] === 1);
  }

  private cannotStart(word: number): boolean {
    return word >= 0 && this.tokens[word].sentStart === -1;
  }

  validate(valid: Uint8Array): void {
    const depth = this.stack.length;
    const { rest, moves } = this;
    const next = this.B(0);
    const second = this.B(1);
    const isStart = this.isStart(next);
    const shift = depth === 0 || (rest >= 2 && !isStart && !(next >= 0 && this.isFixed[next]));
    const reduce = depth > 0 && (rest === 0 || !(depth === 1 && this.cannotStart(next)));
    const attach = depth > 0 && rest > 0 && !isStart;
    const stop = rest >= 2 && second === next + 1 && !this.isStart(second) && !this.cannotStart(second);
    // Parts of the same word follow each other.
    const isAdjacent = this.S(0) === next - 1;
    for (let i = 0; i < moves.length; i++) {
      const { kind, label } = moves[i];
      const isValid = kind === SHIFT ? shift : kind === REDUCE ? reduce : kind === BREAK ? stop : attach && (isAdjacent || label !== SUBTOKEN);
      valid[i] = Number(isValid);
    }
  }

  do({ kind, label }: Move): void {
    switch (kind) {
      case SHIFT:
        this.push();
        break;
      case REDUCE:
        if (this.heads[this.S(0)] >= 0 || this.stack.length === 1) {
          this.stack.pop();
        } else {
          const word = this.stack.pop()!;
          this.isFixed[word] = 1;
          this.again.push(word);
        }
        break;
      case LEFT:
        this.attach(this.B(0), this.S(0), label);
        this.isFixed[this.B(0)] = 0;
        this.stack.pop();
        break;
      case RIGHT:
        this.attach(this.S(0), this.B(0), label);
        this.push();
        break;
      case BREAK:
        this.starts[this.B(1)] = 1;
    }
  }

  force(): void {
    this.stack = [];
    this.again = [];
    this.next = this.tokens.length;
  }

  read(ids: Int32Array): void {
    const s0 = this.S(0), s1 = this.S(1), b0 = this.B(0);
    ids[0] = b0;
    ids[1] = this.B(1);
    ids[2] = s0;
    ids[3] = s1;
    ids[4] = this.S(2);
    if (ids.length === 8) {
      ids[5] = this.L(b0, 1);
      ids[6] = this.L(s0, 1);
      ids[7] = this.R(s0, 1);
    } else {
      ids[5] = this.L(s0, 1);
      ids[6] = this.R(s0, 1);
      ids[7] = this.L(b0, 1);
      ids[8] = this.R(s0, 2);
      ids[9] = this.L(s1, 1);
      ids[10] = this.L(s1, 2);
      ids[11] = this.R(s1, 1);
      ids[12] = this.R(s1, 2);
    }
  }

  private push(): void {
    this.stack.push(this.again.pop() ?? this.next++);
  }

  private attach(head: number, child: number, label: string): void {
    const before = this.heads[child];
    if (before >= 0) {
      const others = (before > child ? this.left : this.right)[before];
      if (others.at(-1) === child) others.pop();
    }
    ((head > child ? this.left : this.right)[head] ??= []).push(child);
    this.heads[child] = head;
    this.labels[child] = label;
  }
}

function nthLast(children: number[] | undefined, nth: number): number {
  return children?.at(-nth) ?? -1;
}

export class Parser extends Transitions implements Pipe {
  constructor(model: Model, described: DescribedTransitions) {
    super(model, described, KINDS, [8, 13]);
  }

  apply(reading: Reading): void {
    const { doc } = reading;
    const { tokens } = doc;
    if (!tokens.length) return;
    const { heads, labels } = this.search(reading, new Parse(tokens, this.moves));
    tokens.forEach((token, i) => {
      const head = heads[i];
      token.headIndex = head < 0 ? i : head;
      token.dep = head < 0 ? "ROOT" : labels[i];
    });
    setEdges(doc);
    deprojectivize(doc);
  }
}

/** How often spaCy goes over a text until all heads are within their sentences. */
const MOST_ROUNDS = 12;

/** spaCy's `set_children_from_heads`: how far each word's descendants reach, and where sentences begin. */
export function setEdges(doc: Doc): void {
  const { tokens } = doc;
  for (const token of tokens) token.leftEdge = token.rightEdge = token.i;
  for (let round = 0; round < MOST_ROUNDS; round++) {
    for (const token of tokens) widen(token);
    for (let i = tokens.length - 1; i >= 0; i--) widen(tokens[i]);
    if (areWithinSentences(tokens)) break;
  }
  for (const token of tokens) token.sentStart = -1;
  for (const token of tokens) if (token.headIndex === token.i && token.dep) tokens[token.leftEdge].sentStart = 1;
}

function widen(token: Token): void {
  const { head } = token;
  if (token.leftEdge < head.leftEdge) head.leftEdge = token.leftEdge;
  if (token.rightEdge > head.rightEdge) head.rightEdge = token.rightEdge;
}

function areWithinSentences(tokens: Token[]): boolean {
  const starts = new Set(tokens.filter((token) => token.headIndex === token.i).map((token) => token.leftEdge));
  let start = 0;
  for (let i = 0; i < tokens.length; i++) {
    if (!(i > 0 && starts.has(i)) && i !== tokens.length - 1) continue;
    for (let j = start; j < i; j++) {
      const { headIndex } = tokens[j];
      if (headIndex < start || headIndex > i) return false;
    }
    start = i;
  }
  return true;
}

/** Attach words whose label names another head's label to the nearest descendant of their head that has it. */
function deprojectivize(doc: Doc): void {
  let isChanged = false;
  for (const token of doc.tokens) {
    if (!token.dep.includes(DELIMITER)) continue;
    const [label, headLabel] = token.dep.split(DELIMITER);
    token.headIndex = findHead(doc.tokens, token, headLabel);
    token.dep = label;
    isChanged = true;
  }
  if (isChanged) setEdges(doc);
}

function findHead(tokens: Token[], token: Token, label: string): number {
  let queue = [token.headIndex];
  while (queue.length) {
    const next: number[] = [];
    for (const i of queue) {
      for (let j = tokens[i].leftEdge; j <= tokens[i].rightEdge; j++) {
        const child = tokens[j];
        if (j === i || child.headIndex !== i || child.isSpace || child === token) continue;
        if (child.dep === label) return j;
        next.push(j);
      }
    }
    queue = next;
  }
  return token.headIndex;
}
