/** What parser and ner share: a state of a text, scored from a few of its tokens, and the best of the moves that are valid. */

import type { Encoder } from "./encoder.js";
import { ensure } from "./format.js";
import { type Packed, apply, filled, pack, spread } from "./kernels.js";
import { Linear, type Model, type Reading, encoderOf, ensureTexts } from "./pipe.js";

export interface DescribedTransitions {
  encoder: number;
  moves: string[];
  linear: { W: number; b: number };
  lower: { W: number; b: number; pad: number };
  upper: { W: number; b: number } | null;
}

/** A move of the kind that its first letter names, with a label's number; 0 is the empty label. */
export interface Move {
  kind: string;
  label: number;
}

/** Tokens whose share in states is computed at once. */
const BLOCK = 64;

export abstract class Transitions {
  protected readonly moves: Move[];
  /** By number. */
  protected readonly labels: string[] = [""];
  protected readonly features: number;
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

  constructor(private readonly model: Model, described: DescribedTransitions) {
    const { heap, file } = model;
    ensureTexts(described.moves, "a parser's moves");
    const numbers = new Map([["", 0]]);
    this.moves = described.moves.map((name) => {
      const label = name.slice(2);
      if (!numbers.has(label)) {
        numbers.set(label, this.labels.length);
        this.labels.push(label);
      }
      return { kind: name[0], label: numbers.get(label)! };
    });
    this.encoder = encoderOf(model, described.encoder);
    const lower = file.weights(described.lower.W, -1, -1, -1, -1);
    const [features, hidden, pieces, width] = lower.shape;
    this.linear = new Linear(heap, file, described.linear.W, described.linear.b, width, [this.encoder.width]);
    this.features = features;
    this.pieces = pieces;
    const full = filled(hidden);
    this.hiddenBytes = full * 4;
    this.sizeBytes = full * pieces * 4;
    // Each feature's outputs one after another, and within these the pieces apart.
    const place = (i: number): number => (i % pieces) * full + Math.floor(i / pieces) % hidden;
    const each = hidden * pieces;
    const places = Array.from({ length: features * each }, (_, i) => Math.floor(i / each) * full * pieces + place(i));
    this.lower = pack(heap, lower.values, null, places, features * full * pieces, spread(1, width));
    this.padding = this.put(file.weights(described.lower.pad, 1, features, hidden, pieces).values, places, features * full * pieces);
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

  /**
   * Score states of a text.
   *
   * @param step is given a function that scores a state from the indices of its tokens, -1 where there is none, and returns
   *   where its scores begin in `heap.floats`, one for each move.
   */
  protected score(reading: Reading, step: (scores: (tokens: Int32Array) => number) => void): void {
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
    const { operations, words } = heap;
    step((tokens) => {
      words.set(tokens, ids >> 2);
      operations.state(
        ids, features, cached, this.padding, this.sizeBytes, this.bias, this.hiddenBytes, this.pieces, hidden,
      );
      this.upper?.run(hidden, this.hiddenBytes, 1, out);
      return out >> 2;
    });
    heap.top = mark;
  }

  protected get floats(): Float32Array {
    return this.model.heap.floats;
  }
}
