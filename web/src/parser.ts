/** spaCy's dependency parser: arc-eager (Nivre, 2004) with moves that break sentences and put words back. */

import type { Doc, Token } from "./doc.js";
import { ensure } from "./format.js";
import type { Model, Pipe, Reading } from "./pipe.js";
import { type DescribedTransitions, Transitions } from "./transitions.js";

const SHIFT = 0, REDUCE = 1, LEFT = 2, RIGHT = 3, BREAK = 4;
const KINDS = "SDLRB";

/** What separates a label from that of the head to which its word is to be attached instead (Nivre and Nilsson, 2005). */
const DELIMITER = "||";

class State {
  readonly heads: Int32Array;
  readonly labels: Int32Array;
  readonly stack: number[] = [];
  /** Words put back from the stack, the next one last. */
  private readonly again: number[] = [];
  private next = 0;
  private readonly left: number[][] = [];
  private readonly right: number[][] = [];
  private readonly isFixed: Uint8Array;
  private readonly starts: Uint8Array;

  constructor(private readonly tokens: Token[]) {
    const { length } = tokens;
    this.heads = new Int32Array(length).fill(-1);
    this.labels = new Int32Array(length);
    this.isFixed = new Uint8Array(length);
    this.starts = new Uint8Array(length);
  }

  /** The i-th word of the stack, counted from its top, or -1. */
  S(i: number): number {
    const at = this.stack.length - 1 - i;
    return at < 0 ? -1 : this.stack[at];
  }

  /** The i-th of the words to come, or -1. */
  B(i: number): number {
    const { again } = this;
    if (i < again.length) return again[again.length - 1 - i];
    const at = this.next + i - again.length;
    return at < this.tokens.length ? at : -1;
  }

  L(head: number, nth: number): number {
    return nthLast(this.left[head], nth);
  }

  R(head: number, nth: number): number {
    return nthLast(this.right[head], nth);
  }

  get rest(): number {
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

  /** Which kinds of move are valid. */
  validate(valid: boolean[]): void {
    const depth = this.stack.length;
    const { rest } = this;
    const next = this.B(0);
    const isStart = this.isStart(next);
    valid[SHIFT] = depth === 0 || (rest >= 2 && !isStart && !(next >= 0 && this.isFixed[next]));
    valid[REDUCE] = depth > 0 && (rest === 0 || !(depth === 1 && this.cannotStart(next)));
    valid[LEFT] = valid[RIGHT] = depth > 0 && rest > 0 && !isStart;
    const second = this.B(1);
    valid[BREAK] = rest >= 2 && second === next + 1 && !this.isStart(second) && !this.cannotStart(second);
  }

  /** Whether a word follows the one on the stack's top, as a part of the same word must. */
  get isAdjacent(): boolean {
    return this.S(0) === this.B(0) - 1;
  }

  do(kind: number, label: number): void {
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

  end(): void {
    this.stack.length = 0;
    this.again.length = 0;
    this.next = this.tokens.length;
  }

  private push(): void {
    this.stack.push(this.again.pop() ?? this.next++);
  }

  private attach(head: number, child: number, label: number): void {
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
  private readonly kinds: Uint8Array;
  private readonly isSubtoken: boolean[];

  constructor(model: Model, described: DescribedTransitions) {
    super(model, described);
    ensure(this.features === 8 || this.features === 13, "a parser's features");
    this.kinds = Uint8Array.from(this.moves, ({ kind }) => {
      ensure(KINDS.includes(kind), "a parser's move");
      return KINDS.indexOf(kind);
    });
    this.isSubtoken = this.moves.map(({ label }) => this.labels[label] === "subtok");
  }

  apply(reading: Reading): void {
    const { doc } = reading;
    const { tokens } = doc;
    if (!tokens.length) return;
    const state = new State(tokens);
    const ids = new Int32Array(this.features);
    const valid = [false, false, false, false, false];
    const { kinds, isSubtoken, moves } = this;
    this.score(reading, (score) => {
      const { floats } = this;
      while (!state.isFinal) {
        readState(state, ids);
        const start = score(ids);
        state.validate(valid);
        let best = -1;
        for (let i = 0; i < kinds.length; i++) {
          if (!valid[kinds[i]] || (best >= 0 && !(floats[start + i] > floats[start + best]))) continue;
          if (isSubtoken[i] && (kinds[i] === LEFT || kinds[i] === RIGHT) && !state.isAdjacent) continue;
          best = i;
        }
        if (best < 0) state.end();
        else state.do(kinds[best], moves[best].label);
      }
    });
    tokens.forEach((token, i) => {
      const head = state.heads[i];
      token.headIndex = head < 0 ? i : head;
      token.dep = head < 0 ? "ROOT" : this.labels[state.labels[i]];
    });
    setEdges(doc);
    deprojectivize(doc);
  }
}

function readState(state: State, ids: Int32Array): void {
  const s0 = state.S(0), s1 = state.S(1), b0 = state.B(0);
  ids[0] = b0;
  ids[1] = state.B(1);
  ids[2] = s0;
  ids[3] = s1;
  ids[4] = state.S(2);
  if (ids.length === 8) {
    ids[5] = state.L(b0, 1);
    ids[6] = state.L(s0, 1);
    ids[7] = state.R(s0, 1);
  } else {
    ids[5] = state.L(s0, 1);
    ids[6] = state.R(s0, 1);
    ids[7] = state.L(b0, 1);
    ids[8] = state.R(s0, 2);
    ids[9] = state.L(s1, 1);
    ids[10] = state.L(s1, 2);
    ids[11] = state.R(s1, 1);
    ids[12] = state.R(s1, 2);
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
