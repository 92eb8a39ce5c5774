/** Where numbers lie, and what is done with many of them at once: in WebAssembly where there is some, else in JavaScript. */

/** The kernels that wasm.ts assembles, a character for each byte, 256 above it; from build.mjs. */
declare const KERNELS: string;

import { ensure } from "./format.js";

type Operation = (...values: number[]) => void;

export interface Operations {
  /** a, lda, rows, b, k, panels, start, startStride, c, ldc: see wasm.ts. */
  multiply: Operation;
  /** in, width, pieces, rows, norm, before, out, outStride, n, padding. */
  maxoutNorm: Operation;
  /** ids, features, cached, padding, size, bias, width, pieces, out. */
  state: Operation;
}

const PAGE = 65536;

/** One piece of memory for weights, which stay, and for what is computed of a text, which is given back. */
export class Heap {
  floats!: Float32Array;
  words!: Int32Array;
  readonly operations: Operations;
  /** Where nothing lies yet, in bytes. */
  top = 16;
  /** More bytes than these are not asked for: a file may claim anything. */
  limit = Infinity;
  private readonly memory: WebAssembly.Memory | undefined;

  constructor(wasm = true) {
    const module = wasm ? compile() : undefined;
    if (module) {
      this.memory = new WebAssembly.Memory({ initial: 16 });
      const instance = new WebAssembly.Instance(module, { e: { m: this.memory } });
      this.operations = instance.exports as unknown as Operations;
      this.view(this.memory.buffer);
    } else {
      this.operations = plain(this);
      this.view(new ArrayBuffer(16 * PAGE));
    }
  }

  get usesWasm(): boolean {
    return this.memory !== undefined;
  }

  /** Make room for numbers; the address is in bytes, and what is there is whatever was. */
  alloc(count: number): number {
    const address = this.top;
    this.top = Math.ceil((address + count * 4) / 16) * 16;
    ensure(this.top <= this.limit, "the student takes more memory than any of its size");
    const size = this.floats.length * 4;
    if (this.top > size) this.grow(Math.max(this.top, size * 1.5));
    return address;
  }

  /** Put numbers into the heap. */
  put(values: Float32Array): number {
    const address = this.alloc(values.length);
    this.floats.set(values, address >> 2);
    return address;
  }

  private grow(bytes: number): void {
    const pages = Math.ceil(bytes / PAGE);
    if (this.memory) {
      this.memory.grow(pages - this.memory.buffer.byteLength / PAGE);
      this.view(this.memory.buffer);
    } else {
      const { floats } = this;
      this.view(new ArrayBuffer(pages * PAGE));
      this.floats.set(floats);
    }
  }

  private view(buffer: ArrayBuffer): void {
    this.floats = new Float32Array(buffer);
    this.words = new Int32Array(buffer);
  }
}

function compile(): WebAssembly.Module | undefined {
  // Nothing three times, local.get, f32x4.relaxed_madd; else f32x4.mul, local.get, f32x4.add, which more browsers have.
  const withoutFused = KERNELS.replace(/\u0101{3}(\u0120.)\u01fd\u0185\u0102/gs, "\u01fd\u01e6\u0101$1\u01fd\u01e4\u0101");
  for (const kernel of [KERNELS, withoutFused]) {
    try {
      return new WebAssembly.Module(Uint8Array.from(kernel, (char) => char.charCodeAt(0)));
    } catch {
      // No such instructions here, or no WebAssembly at all.
    }
  }
  return undefined;
}

/** The same in JavaScript. */
function plain(heap: Heap): Operations {
  return {
    multiply(a, lda, rows, b, k, panels, start, startStride, c, ldc) {
      const { floats } = heap;
      for (let panel = 0; panel < panels; panel++) {
        for (let row = 0; row < rows; row++) {
          const from = ((start + row * startStride) >> 2) + panel * 8;
          let s0 = floats[from], s1 = floats[from + 1], s2 = floats[from + 2], s3 = floats[from + 3];
          let s4 = floats[from + 4], s5 = floats[from + 5], s6 = floats[from + 6], s7 = floats[from + 7];
          const first = (a + row * lda) >> 2;
          for (let i = 0, w = (b >> 2) + panel * k * 8; i < k; i++, w += 8) {
            const input = floats[first + i];
            s0 += input * floats[w];
            s1 += input * floats[w + 1];
            s2 += input * floats[w + 2];
            s3 += input * floats[w + 3];
            s4 += input * floats[w + 4];
            s5 += input * floats[w + 5];
            s6 += input * floats[w + 6];
            s7 += input * floats[w + 7];
          }
          floats.set([s0, s1, s2, s3, s4, s5, s6, s7], ((c + row * ldc) >> 2) + panel * 8);
        }
      }
    },
    maxoutNorm(source, width, pieces, rows, norm, before, out, outStride, n, padding) {
      const { floats } = heap;
      const size = width >> 2;
      const gain = norm >> 2;
      for (let row = 0; row < rows; row++) {
        const from = (source >> 2) + row * pieces * size;
        const to = (out + row * outStride) >> 2;
        const old = (before + row * outStride) >> 2;
        let mean = 0;
        for (let i = 0; i < size; i++) {
          let best = floats[from + i];
          for (let p = 1; p < pieces; p++) best = Math.max(best, floats[from + p * size + i]);
          floats[to + i] = best;
          mean += best;
        }
        mean /= n;
        let variance = -padding * mean * mean;
        for (let i = 0; i < size; i++) variance += (floats[to + i] - mean) ** 2;
        const scale = 1 / Math.sqrt(variance / n + 1e-8);
        for (let i = 0; i < size; i++) {
          const value = (floats[to + i] - mean) * scale * floats[gain + i] + floats[gain + size + i];
          floats[to + i] = before ? floats[old + i] + value : value;
        }
      }
    },
    state(ids, features, cached, padding, size, bias, width, pieces, out) {
      const { floats, words } = heap;
      const outputs = width >> 2;
      for (let i = 0; i < outputs; i++) {
        let best = -Infinity;
        for (let p = 0; p < pieces; p++) {
          const place = p * outputs + i;
          let total = floats[(bias >> 2) + place];
          for (let f = 0; f < features; f++) {
            const id = words[(ids >> 2) + f];
            total += floats[((id < 0 ? padding : cached + id * features * size) + f * size) / 4 + place];
          }
          best = Math.max(best, total);
        }
        floats[(out >> 2) + i] = best;
      }
    },
  };
}

/** Weights in panels of eight outputs, as `multiply` reads them. */
export interface Packed {
  address: number;
  bias: number;
  /** Inputs and outputs, each with what fills a row up. */
  inputs: number;
  outputs: number;
}

/** A length, filled up to whole panels. */
export function filled(length: number): number {
  return Math.ceil(length / 8) * 8;
}

/**
 * Pack weights.
 *
 * @param weights of shape (outputs, inputs).
 * @param place where each output goes; those that none goes to are 0.
 * @param source for each input as it will stand in a row, where it stands in the weights, or -1 for what fills up.
 */
export function pack(
  heap: Heap, weights: Float32Array, bias: Float32Array | null, places: number[], outputs: number, source: number[],
): Packed {
  const inputs = source.length;
  const columns = weights.length / places.length;
  const packed = new Float32Array(inputs * outputs);
  const start = new Float32Array(outputs);
  for (let from = 0; from < places.length; from++) {
    const to = places[from];
    const at = (to >> 3) * inputs * 8 + (to & 7);
    for (let i = 0; i < inputs; i++) {
      if (source[i] >= 0) packed[at + i * 8] = weights[from * columns + source[i]];
    }
    if (bias) start[to] = bias[from];
  }
  return { address: heap.put(packed), bias: heap.put(start), inputs, outputs };
}

/** The order 0, 1, 2, ... of `parts` parts of `length` each, every part filled up with -1. */
export function spread(parts: number, length: number): number[] {
  const width = filled(length);
  return Array.from({ length: parts * width }, (_, i) => (i % width < length ? Math.floor(i / width) * length + (i % width) : -1));
}

/** Compute packed weights' outputs of rows. */
export function apply(heap: Heap, weights: Packed, a: number, lda: number, rows: number, c: number): void {
  heap.operations.multiply(
    a, lda, rows, weights.address, weights.inputs, weights.outputs / 8, weights.bias, 0, c, weights.outputs * 4,
  );
}
