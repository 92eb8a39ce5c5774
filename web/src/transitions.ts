/** What parser and ner share: a state of a text, scored from a few of its tokens, and the best of the moves that are valid. */

import type { Encoder } from "./encoder.js";
import { ensure, isCount } from "./format.js";
import { type Packed, apply, filled, pack, spread } from "./kernels.js";
import { Linear, type Model, type Reading, encoderOf, ensureTexts } from "./pipe.js";

export interface DescribedTransitions {
  encoder: number;
  moves: string[];
  linear: { W: number; b: number };
  lower: { W: number; b: number; pad: number };
  upper: { W: number; b: number } | null;
  /** How many states are kept at once, and the share of the best one's probability that another needs at least. */
  beam: { width: number; density: number };
}

/** A move of the kind that its first letter names. */
export interface Move {
  kind: number;
  label: string;
}

/** A text that is not done yet. */
export interface State {
  readonly isFinal: boolean;
  /** Write down the tokens from which it is scored, -1 where there is none. */
  read(ids: Int32Array): void;
  /** Set for each move whether it is valid. */
  validate(valid: Uint8Array): void;
  do(move: Move): void;
  /** Go on where no move is valid. */
  force(): void;
  clone(): this;
}

/** A state in the beam. What is known of a place, that its state is done, stays there when another state takes it, as in Thinc. */
interface Place {
  state: State;
  score: number;
  isDone: boolean;
}

/** More states at once no student keeps. */
const WIDEST = 1024;

/** Tokens whose share in states is computed at once. */
const BLOCK = 64;

export abstract class Transitions {
  protected readonly moves: Move[];
  private readonly features: number;
  private readonly beam: DescribedTransitions["beam"];
  private readonly encoder: Encoder;
  private readonly linear: Linear;
  private readonly lower: Packed;
  private readonly pieces: number;
  /** The bytes of a state's vector, and of what a token gives to it. */
  private readonly hiddenBytes: number;
  private readonly sizeBytes: number;
  private readonly padding: number;
  private readonly bias: number;
  private readonly upper: Linear | null;

  /**
   * @param kinds the first letters of moves; a kind's number is its place.
   * @param features how many tokens a state may be scored from.
   */
  constructor(private readonly model: Model, described: DescribedTransitions, kinds: string, features: number[]) {
    const { heap, file } = model;
    ensureTexts(described.moves, "a parser's moves");
    this.moves = described.moves.map((name) => ({ kind: kinds.indexOf(name[0] ?? "?"), label: name.slice(2) }));
    ensure(this.moves.every(({ kind }) => kind >= 0), "a parser's move");
    this.beam = described.beam;
    const { width: states, density } = this.beam;
    ensure(isCount(states) && states > 0 && states <= WIDEST && density >= 0 && density <= 1, "a beam");
    this.encoder = encoderOf(model, described.encoder);
    const lower = file.weights(described.lower.W, -1, -1, -1, -1);
    const [count, hidden, pieces, width] = lower.shape;
    ensure(features.includes(count), "a parser's features");
    this.linear = new Linear(heap, file, described.linear.W, described.linear.b, width, [this.encoder.width]);
    this.features = count;
    this.pieces = pieces;
    const full = filled(hidden);
    this.hiddenBytes = full * 4;
    this.sizeBytes = full * pieces * 4;
    // Each feature's outputs one after another, and within these the pieces apart.
    const place = (i: number): number => (i % pieces) * full + Math.floor(i / pieces) % hidden;
    const each = hidden * pieces;
    const places = Array.from({ length: count * each }, (_, i) => Math.floor(i / each) * full * pieces + place(i));
    this.lower = pack(heap, lower.values, null, places, count * full * pieces, spread(1, width));
    this.padding = this.put(file.weights(described.lower.pad, 1, count, hidden, pieces).values, places, count * full * pieces);
    this.bias = this.put(file.weights(described.lower.b, hidden, pieces).values, places, full * pieces);
    const { upper } = described;
    this.upper = upper && new Linear(heap, file, upper.W, upper.b, this.moves.length, [hidden]);
    ensure(upper || hidden === this.moves.length, "there are as many scores as moves");
  }

  private put(values: Float32Array, places: number[], length: number): number {
    const placed = new Float32Array(length);
    values.forEach((value, i) => (placed[places[i]] = value));
    return this.model.heap.put(placed);
  }

  /** Take a text's first state to a final one. */
  protected search<Final extends State>(reading: Reading, state: Final): Final {
    const { heap } = this.model;
    const { encoder, linear, lower, features } = this;
    const vectors = reading.vectors(encoder);
    const count = reading.doc.length;
    const mark = heap.top;
    const cached = heap.alloc((count * lower.outputs));
    const ids = heap.alloc(features);
    const hidden = heap.alloc(this.hiddenBytes / 4);
    const out = this.upper ? heap.alloc(this.upper.rowBytes / 4) : hidden;
    const narrow = heap.alloc((BLOCK * linear.rowBytes) / 4);
    for (let i = 0; i < count; i += BLOCK) {
      const rows = Math.min(BLOCK, count - i);
      linear.run(vectors + i * encoder.rowBytes, encoder.rowBytes, rows, narrow);
      apply(heap, lower, narrow, linear.rowBytes, rows, cached + i * lower.outputs * 4);
    }
    const { operations, floats, words } = heap;
    const tokens = words.subarray(ids >> 2, (ids >> 2) + features);
    const scores = floats.subarray(out >> 2, (out >> 2) + this.moves.length);
    const score = (state: State): Float32Array => {
      state.read(tokens);
      operations.state(
        ids, features, cached, this.padding, this.sizeBytes, this.bias, this.hiddenBytes, this.pieces, hidden,
      );
      this.upper?.run(hidden, this.hiddenBytes, 1, out);
      return scores;
    };
    const found = this.beam.width > 1 ? (this.searchWidely(state, score) as Final) : this.searchGreedily(state, score);
    heap.top = mark;
    return found;
  }

  private searchGreedily<Final extends State>(state: Final, score: (state: State) => Float32Array): Final {
    const { moves } = this;
    const valid = new Uint8Array(moves.length);
    while (!state.isFinal) {
      const scores = score(state);
      state.validate(valid);
      let best = -1;
      for (let i = 0; i < valid.length; i++) {
        if (valid[i] && (best < 0 || scores[i] > scores[best])) best = i;
      }
      if (best < 0) state.force();
      else state.do(moves[best]);
    }
    return state;
  }

  /** Thinc's `Beam`: the best of the states that one more move makes of those that are kept. */
  private searchWidely(first: State, score: (state: State) => Float32Array): State {
    const { moves, beam: { width, density } } = this;
    const valid = new Uint8Array(moves.length);
    const make = (): Place[] => Array.from({ length: width }, () => ({ state: first, score: 0, isDone: false }));
    let places = make(), parents = make();
    let size = 1;
    const isGoing = (): boolean => {
      const kept = places.slice(0, size);
      for (const place of kept) place.isDone ||= place.state.isFinal;
      return kept.some(({ isDone }) => !isDone);
    };
    for (let step = 0; isGoing(); step++) {
      let entries: [score: number, place: number, move: number][] = [];
      places.slice(0, size).forEach(({ state, score: before, isDone }, place) => {
        if (isDone) {
          entries.push([Math.fround(before + Math.fround(before / step)), place, 0]);
          return;
        }
        const scores = score(state);
        state.validate(valid);
        valid.forEach((isValid, move) => isValid && entries.push([Math.fround(before + scores[move]), place, move]));
      });
      if (density) {
        const most = Math.max(...entries.map(([score]) => score));
        const total = entries.reduce((sum, [score]) => sum + Math.exp(score - most), 0);
        entries = entries.filter(([score]) => Math.exp(score - most) / total >= (1 / total) * Math.fround(density));
      }
      entries.sort((a, b) => b[0] - a[0] || b[1] - a[1] || b[2] - a[2]);
      if (!entries.length) break;
      size = Math.min(width, entries.length);
      [places, parents] = [parents, places];
      for (let i = 0; i < size; i++) {
        const [score, from, move] = entries[i];
        const parent = parents[from];
        if (parent.isDone) {
          [places[i], parents[from]] = [parent, places[i]];
          parents[from].isDone = false;
        } else {
          places[i].state = parent.state.clone();
          places[i].state.do(moves[move]);
        }
        places[i].score = score;
      }
    }
    return places[0].state;
  }
}
