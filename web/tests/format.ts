import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { FormatError, read } from "../src/index.js";

// From the Python test, which writes one with all kinds of pipes; without it there is nothing to damage.
const path = process.env.STUDENT ?? "";
const options = { skip: existsSync(path) ? false : "set STUDENT to a student.tdw, as tests/test_web_export.py does" };
const student = options.skip ? new Uint8Array() : new Uint8Array(readFileSync(path));

/** How often everything is tried with other damage: FUZZ=50 takes hours. */
const TIMES = Number(process.env.FUZZ ?? 1);

/** Numbers from 0 up to a limit, the same every time. */
function generator(seed: number): (limit: number) => number {
  let state = seed;
  return (limit) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * limit);
  };
}

/** Put a checksum that fits into a file. */
function seal(bytes: Uint8Array): Uint8Array {
  let a = 1, b = 0;
  for (let i = 16; i < bytes.length; i++) {
    a = (a + bytes[i]) % 65521;
    b = (b + a) % 65521;
  }
  new DataView(bytes.buffer, bytes.byteOffset).setUint32(12, ((b << 16) | a) >>> 0, true);
  return bytes;
}

/** Make a file with another header and the same arrays. */
function withHeader(change: (header: any) => void): Uint8Array {
  const length = new DataView(student.buffer, student.byteOffset).getUint32(16, true);
  const header = JSON.parse(new TextDecoder().decode(student.subarray(20, 20 + length)));
  change(header);
  const text = new TextEncoder().encode(JSON.stringify(header));
  const begin = Math.ceil((20 + length) / 16) * 16;
  const start = Math.ceil((20 + text.length) / 16) * 16;
  const bytes = new Uint8Array(start + student.length - begin);
  bytes.set(student.subarray(0, 20));
  bytes.set(text, 20);
  bytes.set(student.subarray(begin), start);
  new DataView(bytes.buffer).setUint32(16, text.length, true);
  return seal(bytes);
}

const TEXT = "Ann sings in Rome, e.g. at 9am.  She doesn't weep! 😀 http://x.org Maria\n";

/** Read a file; it is a student that says something, or a FormatError, within a moment and with little memory. */
function attempt(bytes: Uint8Array): boolean {
  const begun = performance.now();
  let nlp;
  try {
    nlp = read(bytes);
    nlp(TEXT).toJSON();
  } catch (error) {
    assert.ok(error instanceof FormatError, String((error as Error).stack));
    return false;
  } finally {
    assert.ok(performance.now() - begun < 20_000, "it takes too long");
  }
  assert.ok(nlp.heapBytes < 256 * 2 ** 20, `${nlp.heapBytes} bytes`);
  return true;
}

test("a whole student is read", options, () => {
  assert.ok(attempt(student));
  assert.ok(attempt(withHeader(() => undefined)));
});

test("a file that ends too early is an error", options, () => {
  const next = generator(1);
  for (let length = 0; length < 64; length++) assert.ok(!attempt(student.slice(0, length)));
  for (let i = 0; i < 60 * TIMES; i++) assert.ok(!attempt(student.slice(0, next(student.length))));
  // Also where its checksum is right.
  for (let i = 0; i < 60 * TIMES; i++) assert.ok(!attempt(seal(student.slice(0, 20 + next(student.length - 20)))));
});

test("a byte that flips is an error", options, () => {
  const next = generator(2);
  for (let i = 0; i < 100 * TIMES; i++) {
    const bytes = student.slice();
    bytes[next(i % 2 ? bytes.length : 64)] ^= 1 << next(8);
    assert.ok(!attempt(bytes));
  }
});

test("a header with a flipped byte and a checksum that fits is an error, or a student", options, () => {
  const next = generator(3);
  const length = new DataView(student.buffer, student.byteOffset).getUint32(16, true);
  for (let i = 0; i < 100 * TIMES; i++) {
    const bytes = student.slice();
    for (let n = next(3); n >= 0; n--) bytes[16 + next(4 + length)] ^= 1 << next(8);
    attempt(seal(bytes));
  }
});

test("a header with any value in the place of another is an error, or a student", options, () => {
  const next = generator(4);
  const values = [null, -1, 0, 1, 2 ** 31, 2 ** 53, 1e308, 0.5, "", "x", [], {}, true, [1e9, 1e9], "__proto__"];
  const places: string[][] = [];
  const collect = (value: unknown, place: string[]): void => {
    if (place.length) places.push(place);
    if (value === null || typeof value !== "object") return;
    // Of long lists some are enough.
    const keys = Object.keys(value);
    const some = keys.length > 40 ? keys.filter((_, i) => i < 10 || i % 97 === 0) : keys;
    for (const key of some) collect((value as Record<string, unknown>)[key], [...place, key]);
  };
  withHeader((header) => collect(header, []));
  const chosen = places.filter(() => next(places.length) < 200 * TIMES);
  assert.ok(chosen.length > 100);
  for (const place of chosen) {
    const bytes = withHeader((header) => {
      const parent = place.slice(0, -1).reduce((value, key) => value[key], header);
      parent[place.at(-1)!] = values[next(values.length)];
    });
    attempt(bytes);
  }
});

test("lengths beyond all measure are errors", options, () => {
  const huge = [2 ** 53, 2 ** 40, 4_000_000_000];
  for (const n of huge) {
    assert.ok(!attempt(withHeader((header) => (header.arrays[0][1][0] = n))));
    assert.ok(!attempt(withHeader((header) => (header.arrays[0][2] = n * 16))));
    assert.ok(!attempt(withHeader((header) => (header.encoders[0].window = n))));
    assert.ok(!attempt(withHeader((header) => (header.characters.runs[0] = n))));
    assert.ok(!attempt(withHeader((header) => (header.characters.lower[1] = n))));
  }
  // Few weights can claim a wide layer, for which much would be remembered.
  assert.ok(!attempt(withHeader((header) => {
    const { W, b, norm } = header.encoders[0].mix;
    const inputs = header.arrays[W][1][2];
    header.arrays[W] = ["int8", [20000, 2, inputs], 0, -1];
    for (const index of [b, norm.G, norm.b]) header.arrays[index] = ["int8", index === b ? [20000, 2] : [20000], 0, -1];
  })));
  // The same few bytes again and again.
  assert.ok(!attempt(withHeader((header) => (header.encoders[0].layers = Array(100_000).fill(header.encoders[0].layers[0])))));
  assert.ok(!attempt(withHeader((header) => (header.pipes = Array(100_000).fill(header.pipes[0])))));
});
