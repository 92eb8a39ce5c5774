/** Pipes that work by rules: attribute_ruler, entity_ruler and span_ruler. */

import { type Doc, Span, type Token } from "./doc.js";
import { ensure } from "./format.js";
import { type Match, Matcher, type Node, PhraseMatcher } from "./matcher.js";
import type { Model, Pipe, Reading } from "./pipe.js";
import type { Vocab } from "./vocab.js";

const SETTERS: Record<string, (token: Token, value: string) => void> = {
  TAG: (token, value) => (token.tag = value),
  POS: (token, value) => (token.pos = value),
  MORPH: (token, value) => (token.features = value),
  LEMMA: (token, value) => (token.lemma = value),
  DEP: (token, value) => (token.dep = value),
};

interface AttributeRule {
  patterns: Node[][];
  attrs: Record<string, string>;
  index: number;
}

export class AttributeRuler implements Pipe {
  private readonly matcher: Matcher<number>;

  constructor(model: Model, private readonly described: { rules: AttributeRule[] }) {
    const { rules } = described;
    const isRule = ({ attrs }: AttributeRule): boolean =>
      Object.entries(attrs).every(([key, value]) => Object.hasOwn(SETTERS, key) && typeof value === "string");
    ensure(rules.every(isRule), "an attribute ruler's rule");
    const patterns = rules.flatMap((rule, key) => rule.patterns.map((nodes) => ({ key, nodes })));
    this.matcher = new Matcher(model.vocab.characters, patterns);
  }

  apply({ doc: { tokens } }: Reading): void {
    const matches = this.matcher.match(tokens);
    // Later rules have the last word.
    matches.sort((a, b) => a.key - b.key || a.start - b.start || a.end - b.end);
    for (const { key, start, end } of matches) {
      const { attrs, index } = this.described.rules[key];
      const token = tokens[index < 0 ? end + index : start + index];
      for (const [name, value] of Object.entries(attrs)) SETTERS[name](token, value);
    }
  }
}

interface DescribedRuler {
  /** A label and an ID each. */
  keys: [label: string, id: string][];
  patterns: [key: number, nodes: Node[]][];
  attribute: string;
  phrases: [key: number, values: string[]][];
}

/** What entity_ruler and span_ruler share. */
abstract class Ruler implements Pipe {
  private readonly matcher: Matcher<number>;
  private readonly phraseMatcher: PhraseMatcher<number>;

  constructor(protected readonly vocab: Vocab, protected readonly keys: DescribedRuler["keys"], described: DescribedRuler) {
    ensure(keys.every((key) => key.length === 2 && key.every((text) => typeof text === "string")), "a ruler's labels");
    ensure([...described.patterns, ...described.phrases].every(([key]) => key in keys), "a ruler's pattern");
    this.matcher = new Matcher(vocab.characters, described.patterns.map(([key, nodes]) => ({ key, nodes })));
    this.phraseMatcher = new PhraseMatcher(described.attribute, described.phrases.map(([key, values]) => ({ key, values })));
  }

  apply({ doc }: Reading): void {
    const found = new Map<string, Match<number>>();
    for (const match of [...this.matcher.match(doc.tokens), ...this.phraseMatcher.match(doc.tokens)]) {
      found.set(`${match.key} ${match.start} ${match.end}`, match);
    }
    this.annotate(doc, [...found.values()].map(({ key, start, end }) => new Span(doc, start, end, ...this.keys[key])));
  }

  protected abstract annotate(doc: Doc, spans: Span[]): void;
}

export class EntityRuler extends Ruler {
  constructor(model: Model, private readonly described: DescribedRuler & { overwrite: boolean }) {
    super(model.vocab, described.keys, described);
  }

  protected annotate(doc: Doc, spans: Span[]): void {
    const { overwrite } = this.described;
    const free = spans.filter(({ tokens }) => overwrite || !tokens.some((token) => token.entType));
    doc.setEnts(prioritizeNew(doc.ents, free, touches));
  }
}

type Filter = "first_longest" | "prioritize_new" | "prioritize_existing" | null;

export class SpanRuler extends Ruler {
  constructor(
    model: Model,
    private readonly described: DescribedRuler & {
      key: string | null; spans_filter: Filter; annotate_ents: boolean; ents_filter: Filter; overwrite: boolean;
    },
  ) {
    super(model.vocab, described.keys, described);
  }

  protected annotate(doc: Doc, spans: Span[]): void {
    const { key, spans_filter, annotate_ents, ents_filter, overwrite } = this.described;
    const sorted = spans.sort((a, b) => this.compare(a, b));
    if (key !== null) {
      const before = overwrite ? [] : doc.spans[key] ?? [];
      doc.spans[key] = [...before, ...filter(spans_filter, before, sorted)];
    }
    if (annotate_ents) doc.setEnts(filter(ents_filter, overwrite ? [] : doc.ents, sorted));
  }

  /** As spaCy compares spans: by place, then by the hashes of label and ID. */
  private compare(a: Span, b: Span): number {
    return a.start - b.start || a.end - b.end || this.byHash(a.label, b.label) || this.byHash(a.id, b.id);
  }

  private byHash(a: string, b: string): number {
    const [aLow, aHigh] = this.vocab.hash(a);
    const [bLow, bHigh] = this.vocab.hash(b);
    return (aHigh >>> 0) - (bHigh >>> 0) || (aLow >>> 0) - (bLow >>> 0);
  }
}

function filter(name: Filter, before: Span[], spans: Span[]): Span[] {
  switch (name) {
    case null:
      return spans;
    case "first_longest":
      return choose([...before, ...spans], new Set(), touches).sort((a, b) => a.start - b.start);
    case "prioritize_new":
      return prioritizeNew(before, spans, covers);
    case "prioritize_existing":
      return [...before, ...choose(spans, new Set(before.flatMap(indices)), covers)];
  }
}

function prioritizeNew(before: Span[], spans: Span[], isTaken: typeof covers): Span[] {
  const chosen = choose(spans, new Set(), isTaken);
  return [...before.filter((old) => !chosen.some(({ start, end }) => old.start < end && old.end > start)), ...chosen];
}

/** Choose the longest spans, the first of equally long ones, none of which has a token that is taken. */
function choose(spans: Span[], taken: Set<number>, isTaken: typeof covers): Span[] {
  const chosen: Span[] = [];
  for (const span of [...spans].sort((a, b) => b.end - b.start - (a.end - a.start) || a.start - b.start)) {
    if (isTaken(span, taken)) continue;
    chosen.push(span);
    for (const i of indices(span)) taken.add(i);
  }
  return chosen;
}

function covers(span: Span, taken: Set<number>): boolean {
  return indices(span).some((i) => taken.has(i));
}

function touches({ start, end }: Span, taken: Set<number>): boolean {
  return taken.has(start) || taken.has(end - 1);
}

function indices({ start, end }: Span): number[] {
  return Array.from({ length: end - start }, (_, i) => start + i);
}
