/** What a pipe does, and what several kinds of pipe share. */

import type { Doc } from "./doc.js";
import type { Encoder } from "./encoder.js";
import type { DataFile } from "./format.js";
import { ensure } from "./format.js";
import { type Heap, type Packed, apply, filled, pack, spread } from "./kernels.js";
import type { Vocab } from "./vocab.js";

/** A text on its way through the pipeline: each encoder is asked once. */
export interface Reading {
  doc: Doc;
  /** Where an encoder's vectors of the tokens are. */
  vectors(encoder: Encoder): number;
}

export interface Pipe {
  apply(reading: Reading): void;
}

/** What pipes are made from. */
export interface Model {
  file: DataFile;
  heap: Heap;
  vocab: Vocab;
  encoders: Encoder[];
}

/** A linear layer. */
export class Linear {
  readonly packed: Packed;

  /** @param inputs the length of a row's parts, each filled up. */
  constructor(private readonly heap: Heap, file: DataFile, weights: number, bias: number, readonly outputs: number, inputs: number[]) {
    const total = inputs.reduce((sum, length) => sum + length, 0);
    const source: number[] = [];
    let first = 0;
    for (const length of inputs) {
      for (const place of spread(1, length)) source.push(place < 0 ? -1 : first + place);
      first += length;
    }
    this.packed = pack(
      heap, file.weights(weights, outputs, total).values, file.weights(bias, outputs).values, spread(1, outputs).slice(0, outputs),
      filled(outputs), source,
    );
  }

  /** The bytes of a row of outputs. */
  get rowBytes(): number {
    return this.packed.outputs * 4;
  }

  run(a: number, stride: number, rows: number, out: number): void {
    apply(this.heap, this.packed, a, stride, rows, out);
  }
}

export function encoderOf(model: Model, index: number): Encoder {
  const encoder = model.encoders[index];
  ensure(encoder, "a pipe reads an encoder that is not there");
  return encoder;
}

export function ensureTexts(values: unknown, what: string): asserts values is string[] {
  ensure(Array.isArray(values) && values.length > 0 && values.every((value) => typeof value === "string"), what);
}

/** In which ways vectors become one; spaCy puts these together in this order. */
export type Reduction = "first" | "last" | "max" | "mean";

const REDUCTIONS = ["first", "last", "max", "mean"];

export function ensureReductions(values: unknown): asserts values is Reduction[] {
  ensure(Array.isArray(values) && values.length > 0 && values.every((value) => REDUCTIONS.includes(value)), "a reduction");
}

/** Make one row of several, part by part as long as a row each. */
export function reduce(heap: Heap, reductions: Reduction[], from: number, rows: number, rowBytes: number, out: number): void {
  const { floats } = heap;
  const size = rowBytes >> 2;
  const first = from >> 2;
  const last = first + (rows - 1) * size;
  let to = out >> 2;
  for (const reduction of reductions) {
    for (let i = 0; i < size; i++) {
      let value = floats[(reduction === "last" ? last : first) + i];
      if (reduction === "max") {
        for (let at = first + size; at <= last; at += size) value = Math.max(value, floats[at + i]);
      } else if (reduction === "mean") {
        for (let at = first + size; at <= last; at += size) value += floats[at + i];
        value /= rows;
      }
      floats[to++] = value;
    }
  }
}

/** Turn scores into probabilities, in place: all together, or each for itself. */
export function normalize(floats: Float32Array, start: number, count: number, exclusive: boolean): void {
  if (!exclusive) {
    for (let i = start; i < start + count; i++) floats[i] = 1 / (1 + Math.exp(-Math.min(20, Math.max(-20, floats[i]))));
    return;
  }
  let most = -Infinity;
  for (let i = start; i < start + count; i++) most = Math.max(most, floats[i]);
  let sum = 0;
  for (let i = start; i < start + count; i++) sum += floats[i] = Math.exp(floats[i] - most);
  for (let i = start; i < start + count; i++) floats[i] /= sum;
}

/** The place of the largest number, the first of equal ones. */
export function largest(floats: Float32Array, start: number, count: number): number {
  let best = 0;
  for (let i = 1; i < count; i++) if (floats[start + i] > floats[start + best]) best = i;
  return best;
}
