import assert from "node:assert/strict";
import { test } from "node:test";
import { Heap, apply, filled, pack, spread } from "../src/kernels.js";

/** Numbers between -1 and 1, the same every time. */
function numbers(count: number, seed: number): Float32Array {
  let state = seed;
  return Float32Array.from({ length: count }, () => {
    state = (Math.imul(state, 1103515245) + 12345) | 0;
    return (state >> 8) / (1 << 23);
  });
}

function near(ours: ArrayLike<number>, theirs: ArrayLike<number>, tolerance = 1e-5): void {
  assert.equal(ours.length, theirs.length);
  for (let i = 0; i < ours.length; i++) assert.ok(Math.abs(ours[i] - theirs[i]) <= tolerance, `${i}: ${ours[i]}, ${theirs[i]}`);
}

const { Module } = WebAssembly;

/** A browser that has no instruction which multiplies and adds. */
class OlderModule extends Module {
  constructor(source: BufferSource) {
    const bytes = source as Uint8Array<ArrayBuffer>;
    const opcode = [0xfd, 0x85, 0x02];
    if (bytes.some((_, i) => opcode.every((byte, j) => bytes[i + j] === byte))) throw new WebAssembly.CompileError("no such instruction");
    super(bytes);
  }
}

/** Make a heap that calculates as a browser does. */
function heapOf(where: string): Heap {
  if (where === "in an older WebAssembly") WebAssembly.Module = OlderModule;
  const heap = new Heap(where !== "in JavaScript");
  WebAssembly.Module = Module;
  assert.equal(heap.usesWasm, where !== "in JavaScript");
  return heap;
}

for (const where of ["in WebAssembly", "in an older WebAssembly", "in JavaScript"]) {
  test(`${where}: a product of matrices of any size is one`, () => {
    const heap = heapOf(where);
    for (const [rows, inputs, outputs] of [[1, 1, 1], [1, 9, 70], [4, 24, 8], [7, 13, 33], [66, 40, 40]]) {
      const weights = numbers(outputs * inputs, 1);
      const bias = numbers(outputs, 2);
      const wide = filled(inputs);
      const packed = pack(heap, weights, bias, spread(1, outputs).slice(0, outputs), filled(outputs), spread(1, inputs));
      const input = numbers(rows * inputs, 3);
      const a = heap.put(new Float32Array(rows * wide));
      for (let r = 0; r < rows; r++) heap.floats.set(input.subarray(r * inputs, (r + 1) * inputs), (a >> 2) + r * wide);
      const c = heap.alloc(rows * filled(outputs));
      apply(heap, packed, a, wide * 4, rows, c);
      for (let r = 0; r < rows; r++) {
        const at = (c >> 2) + r * filled(outputs);
        const expected = Array.from({ length: outputs }, (_, o) =>
          bias[o] + Array.from({ length: inputs }, (_, i) => weights[o * inputs + i] * input[r * inputs + i]).reduce((x, y) => x + y));
        near(heap.floats.subarray(at, at + outputs), expected);
        // What fills a row up stays nothing.
        assert.ok(heap.floats.subarray(at + outputs, at + filled(outputs)).every((value) => value === 0));
      }
    }
  });

  test(`${where}: the largest pieces are normalized and added to what was before`, () => {
    const heap = heapOf(where);
    const [rows, width, pieces] = [3, 10, 3];
    const full = filled(width);
    const input = numbers(rows * pieces * full, 4).map((value, i) => (i % full < width ? value : 0));
    const norm = new Float32Array(2 * full);
    norm.set(numbers(width, 5));
    norm.set(numbers(width, 6), full);
    const before = numbers(rows * full, 7);
    const out = heap.alloc(rows * full);
    heap.operations.maxoutNorm(
      heap.put(input), full * 4, pieces, rows, heap.put(norm), heap.put(before), out, full * 4, width, full - width,
    );
    for (let r = 0; r < rows; r++) {
      const best = Array.from({ length: width }, (_, i) =>
        Math.max(...Array.from({ length: pieces }, (_, p) => input[(r * pieces + p) * full + i])));
      const mean = best.reduce((x, y) => x + y) / width;
      const variance = best.reduce((x, y) => x + (y - mean) ** 2, 0) / width + 1e-8;
      const expected = best.map((x, i) => before[r * full + i] + ((x - mean) / Math.sqrt(variance)) * norm[i] + norm[full + i]);
      const at = (out >> 2) + r * full;
      near(heap.floats.subarray(at, at + width), expected);
    }
  });

  test(`${where}: a state is the sum of its tokens' shares, or of padding`, () => {
    const heap = heapOf(where);
    const [tokens, features, width, pieces] = [3, 2, 8, 2];
    const size = width * pieces;
    const cached = numbers(tokens * features * size, 8);
    const padding = numbers(features * size, 9);
    const bias = numbers(size, 10);
    const ids = heap.alloc(features);
    heap.words.set([2, -1], ids >> 2);
    const out = heap.alloc(width);
    heap.operations.state(
      ids, features, heap.put(cached), heap.put(padding), size * 4, heap.put(bias), width * 4, pieces, out,
    );
    const sum = (at: number): number => bias[at] + cached[2 * features * size + at] + padding[size + at];
    const expected = Array.from({ length: width }, (_, i) => Math.max(sum(i), sum(width + i)));
    near(heap.floats.subarray(out >> 2, (out >> 2) + width), expected);
  });
}

test("the heap grows and keeps what is in it", () => {
  for (const wasm of [true, false]) {
    const heap = new Heap(wasm);
    const address = heap.put(Float32Array.of(1, 2, 3));
    heap.alloc(3_000_000);
    assert.deepEqual([...heap.floats.subarray(address >> 2, (address >> 2) + 3)], [1, 2, 3]);
  }
});
