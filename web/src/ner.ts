/** spaCy's entity recognizer: a move for each word, in the BILUO scheme; entities that are there already stay. */

import { BEGIN, type Doc, INSIDE, MISSING, OUTSIDE, Span, type Token } from "./doc.js";
import { ensure } from "./format.js";
import type { Model, Pipe, Reading } from "./pipe.js";
import { type DescribedTransitions, Transitions } from "./transitions.js";

/** With which labels a kind of move is valid: none, any but the empty one, or one. */
const NONE = -1, ANY = -2;

const KINDS = "MBILUO";

interface Entity {
  start: number;
  end: number;
  label: number;
}

export class EntityRecognizer extends Transitions implements Pipe {
  private readonly kinds: Uint8Array;
  private readonly numbers: Map<string, number>;

  constructor(model: Model, described: DescribedTransitions) {
    super(model, described);
    ensure(this.features === 3 || this.features === 6, "an entity recognizer's features");
    this.kinds = Uint8Array.from(this.moves, ({ kind }) => {
      ensure(KINDS.includes(kind), "an entity recognizer's move");
      return KINDS.indexOf(kind);
    });
    this.numbers = new Map(this.labels.map((label, i) => [label, i]));
  }

  apply(reading: Reading): void {
    const { doc } = reading;
    const { tokens } = doc;
    if (!tokens.length) return;
    const ents: Entity[] = [];
    const ids = new Int32Array(this.features);
    const allowed = new Int32Array(KINDS.length);
    // Labels that are there already may be none of the student's.
    const labels = [...this.labels];
    const numbers = new Map(this.numbers);
    const numberOf = (label: string): number => {
      if (!numbers.has(label)) numbers.set(label, labels.push(label) - 1);
      return numbers.get(label)!;
    };
    this.score(reading, (score) => {
      let open: Entity | null = null;
      for (let i = 0; i < tokens.length; i++) {
        this.read(ids, i, open);
        const start = score(ids);
        allow(allowed, tokens, i, open, numberOf);
        const [kind, label] = this.choose(allowed, start);
        if (kind === "B" || kind === "U") ents.push((open = { start: i, end: -1, label }));
        if (open && (kind === "L" || kind === "U")) {
          open.end = i + 1;
          open = null;
        }
        if (!kind) break;
      }
    });
    annotate(doc, ents, labels);
  }

  private read(ids: Int32Array, i: number, open: Entity | null): void {
    ids.fill(-1);
    ids[0] = i;
    if (!open) return;
    if (ids.length === 3) {
      ids[1] = open.start;
      ids[2] = i - 1;
    } else {
      for (let j = 1, at = open.start; j < 6 && at < i; j++, at++) ids[j] = at;
    }
  }

  /** The best of the allowed moves; a label that the student has none for is worse than all of them. */
  private choose(allowed: Int32Array, start: number): [string, number] {
    const { floats, kinds, moves } = this;
    let best = -1;
    for (let i = 0; i < kinds.length; i++) {
      const label = allowed[kinds[i]];
      if (label === NONE || (label === ANY ? kinds[i] !== OUT && moves[i].label === 0 : moves[i].label !== label)) continue;
      if (best < 0 || floats[start + i] > floats[start + best]) best = i;
    }
    if (best >= 0) return [moves[best].kind, moves[best].label];
    const forced = [..."BILU"].find((kind) => allowed[KINDS.indexOf(kind)] >= 0);
    return forced ? [forced, allowed[KINDS.indexOf(forced)]] : ["", 0];
  }
}

const OUT = KINDS.indexOf("O");

function allow(allowed: Int32Array, tokens: Token[], i: number, open: Entity | null, numberOf: (label: string) => number): void {
  const token = tokens[i];
  const next = tokens[i + 1];
  const iob = token.entIob;
  const nextIob = next ? next.entIob : MISSING;
  const nextStarts = next?.sentStart === 1;
  const preset = (): number => numberOf(token.entType);
  const nonempty = (label: number): number => (label === 0 ? NONE : label);
  let begin = NONE, inside = NONE, last = NONE, unit = NONE, out = NONE;
  if (open) {
    if (next && iob !== BEGIN && nextIob !== BEGIN) {
      if (iob === INSIDE) {
        inside = nextIob === INSIDE && preset() === open.label ? open.label : NONE;
      } else if (!nextStarts) {
        inside = open.label;
      }
    }
    if (iob === INSIDE && nextIob !== INSIDE) last = nonempty(preset());
    else if (nextIob !== INSIDE) last = open.label;
    inside = nonempty(inside);
    last = nonempty(last);
  } else {
    if (next && iob !== INSIDE) {
      if (iob === BEGIN) begin = nextIob === INSIDE ? nonempty(preset()) : NONE;
      else if (nextIob !== BEGIN && !nextStarts && !token.isSpace) begin = ANY;
    }
    if (nextIob !== INSIDE) {
      if (iob === BEGIN) unit = nonempty(preset());
      else if (!token.isSpace) unit = ANY;
    }
    if (iob !== BEGIN && iob !== INSIDE) out = ANY;
  }
  // A word that is to be no entity.
  if (iob === BEGIN && !token.entType) unit = 0;
  allowed.set([NONE, begin, inside, last, unit, out]);
}

function annotate(doc: Doc, ents: Entity[], labels: string[]): void {
  const closed = ents.filter(({ end }) => end >= 0);
  doc.setEnts(closed.map(({ start, end, label }) => new Span(doc, start, end, labels[label])), "unmodified");
  for (const token of doc.tokens) if (token.entIob === MISSING) token.entIob = OUTSIDE;
}
