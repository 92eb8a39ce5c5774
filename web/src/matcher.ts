/** spaCy's Matcher and PhraseMatcher: patterns of tokens, each with conditions and an operator. */

import type { Token } from "./doc.js";
import { ensure, isCount } from "./format.js";
import type { Characters } from "./characters.js";
import { pointCount } from "./characters.js";

/** What is asked of a token: a value is one, is one of several, or matches a regular expression; for lengths, a comparison. */
export type Condition = [attribute: string, operator: string, value: string | number | string[]];

/** How often a token may stand there: "1", "?", "*", or "!" for a token that meets none of it. */
export type Node = [operator: string, conditions: Condition[]];

const TEXTS: Record<string, (token: Token) => string> = {
  ORTH: (token) => token.text,
  NORM: (token) => token.norm,
  LOWER: (token) => token.lexeme.lower,
  PREFIX: (token) => token.lexeme.get("PREFIX"),
  SUFFIX: (token) => token.lexeme.get("SUFFIX"),
  SHAPE: (token) => token.lexeme.shape,
  TAG: (token) => token.tag,
  POS: (token) => token.pos,
  MORPH: (token) => token.features,
  DEP: (token) => token.dep,
  LEMMA: (token) => token.lemma,
  ENT_TYPE: (token) => token.entType,
};

const NUMBERS: Record<string, (token: Token, characters: Characters) => number> = {
  LENGTH: (token) => pointCount(token.text),
  IS_ALPHA: (token, characters) => Number(characters.allAlpha(token.text)),
  IS_DIGIT: (token, characters) => Number(characters.allDigit(token.text)),
  IS_PUNCT: (token, characters) => Number(characters.allPunct(token.text)),
  IS_SPACE: (token) => Number(token.isSpace),
  SENT_START: (token) => Number(token.sentStart === 1),
};

const COMPARISONS: Record<string, (a: number, b: number) => boolean> = {
  "=": (a, b) => a === b,
  "==": (a, b) => a === b,
  "!=": (a, b) => a !== b,
  ">=": (a, b) => a >= b,
  "<=": (a, b) => a <= b,
  ">": (a, b) => a > b,
  "<": (a, b) => a < b,
};

type Test = (token: Token) => boolean;

export interface Match<Key> {
  key: Key;
  start: number;
  end: number;
}

interface State<Key> {
  pattern: Pattern<Key>;
  at: number;
  start: number;
  length: number;
}

interface Pattern<Key> {
  key: Key;
  nodes: { operator: string; test: Test }[];
}

export class Matcher<Key> {
  private readonly patterns: Pattern<Key>[];

  constructor(private readonly characters: Characters, patterns: { key: Key; nodes: Node[] }[]) {
    this.patterns = patterns.map(({ key, nodes }) => {
      ensure(nodes.length > 0, "an empty pattern");
      return {
        key,
        nodes: nodes.map(([operator, conditions]) => {
          ensure(operator.length === 1 && "1?*!".includes(operator), "a pattern's operator");
          const tests = conditions.map((condition) => this.compile(condition));
          return { operator, test: (token: Token) => tests.every((test) => test(token)) };
        }),
      };
    });
  }

  private compile([attribute, operator, value]: Condition): Test {
    const { characters } = this;
    if (Object.hasOwn(NUMBERS, attribute)) {
      const read = NUMBERS[attribute];
      ensure(Object.hasOwn(COMPARISONS, operator) && isCount(value), "a pattern's number");
      const compare = COMPARISONS[operator];
      return (token) => compare(read(token, characters), value);
    }
    const read = textOf(attribute);
    if (operator === "regex") {
      const pattern = new RegExp(String(value));
      return (token) => pattern.test(characters.classes(read(token)));
    }
    if (operator === "=") return (token) => read(token) === value;
    ensure((operator === "in" || operator === "not_in") && Array.isArray(value), "a pattern's condition");
    const values = new Set(value);
    return (token) => values.has(read(token)) === (operator === "in");
  }

  /** Find all matches, in the order in which spaCy finds them. */
  match(tokens: readonly Token[]): Match<Key>[] {
    const matches: Match<Key>[] = [];
    const seen = new Set<string>();
    const add = ({ pattern, start }: State<Key>, length: number): void => {
      const name = `${pattern.key} ${start} ${length}`;
      if (length > 0 && !seen.has(name)) matches.push({ key: pattern.key, start, end: start + length });
      seen.add(name);
    };
    let states: State<Key>[] = [];
    tokens.forEach((token, i) => {
      for (const pattern of this.patterns) states.push({ pattern, at: 0, start: i, length: 0 });
      states = unique(step(states, token, add));
    });
    // What is left of these may be there no times.
    for (const state of states) {
      const { nodes } = state.pattern;
      if (nodes.slice(state.at).every(({ operator }) => operator === "*" || operator === "?")) add(state, state.length);
    }
    return matches;
  }
}

/** Take all states over a token. */
function step<Key>(states: State<Key>[], token: Token, add: (state: State<Key>, length: number) => void): State<Key>[] {
  const kept: State<Key>[] = [];
  const added: State<Key>[] = [];
  for (const state of states) {
    const { nodes } = state.pattern;
    const longer = state.length + 1;
    for (let at = state.at; ; at++) {
      const { operator, test } = nodes[at];
      const isFinal = at === nodes.length - 1;
      const isMet = test(token) !== (operator === "!");
      if (operator === "1" || operator === "!") {
        if (isMet && isFinal) add(state, longer);
        else if (isMet) kept.push({ ...state, at: at + 1, length: longer });
        break;
      }
      if (isFinal) {
        if (isMet && operator === "?") {
          add(state, state.length);
          add(state, longer);
        } else {
          add(state, state.length);
          if (isMet) kept.push({ ...state, at, length: longer });
        }
        break;
      }
      if (isMet) added.push({ ...state, at: operator === "*" ? at : at + 1, length: longer });
    }
  }
  return [...kept, ...added];
}

/** Leave out what is there already: of patterns such as "* * *" it would become more and more. */
function unique<Key>(states: State<Key>[]): State<Key>[] {
  const seen = new Map<Pattern<Key>, Set<number>>();
  return states.filter(({ pattern, at, start }) => {
    let places = seen.get(pattern);
    if (!places) seen.set(pattern, (places = new Set()));
    const place = start * pattern.nodes.length + at;
    return !places.has(place) && places.add(place);
  });
}

/** How an attribute of tokens that is a text is read. */
export function textOf(attribute: string): (token: Token) => string {
  ensure(Object.hasOwn(TEXTS, attribute), `the attribute ${attribute}`);
  return TEXTS[attribute];
}

/** Phrases, as their tokens' values of one attribute. */
export class PhraseMatcher<Key> {
  private readonly read: (token: Token) => string;
  private readonly root: Branch<Key> = { next: new Map(), keys: [] };

  constructor(attribute: string, phrases: { key: Key; values: string[] }[]) {
    this.read = textOf(attribute);
    for (const { key, values } of phrases) {
      let node = this.root;
      for (const value of values) {
        let next = node.next.get(value);
        if (!next) node.next.set(value, (next = { next: new Map(), keys: [] }));
        node = next;
      }
      if (!node.keys.includes(key)) node.keys.push(key);
    }
  }

  match(tokens: readonly Token[]): Match<Key>[] {
    const matches: Match<Key>[] = [];
    for (let start = 0; start < tokens.length; start++) {
      let node: Branch<Key> | undefined = this.root;
      for (let i = start; i < tokens.length; i++) {
        node = node.next.get(this.read(tokens[i]));
        if (!node) break;
        for (const key of node.keys) matches.push({ key, start, end: i + 1 });
      }
    }
    return matches;
  }
}

interface Branch<Key> {
  next: Map<string, Branch<Key>>;
  keys: Key[];
}
