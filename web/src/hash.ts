/**
 * MurmurHash as spaCy and Thinc use it: MurmurHash64A (Austin Appleby) of a string's UTF-8 bytes, and the 64-bit finalizer of
 * MurmurHash3 that spreads such a hash over the rows of a table. JavaScript has no fast whole numbers of 64 bits, so each is
 * two halves of 32.
 */

// The upper half of what was computed last; the lower half is what a function returns.
let high = 0;

/** The upper 32 bits of the product of two unsigned halves. */
function multiplyHigh(a: number, b: number): number {
  const a0 = a & 0xffff, a1 = a >>> 16, b0 = b & 0xffff, b1 = b >>> 16;
  const middle = a1 * b0 + ((a0 * b0) >>> 16);
  const low = a0 * b1 + (middle & 0xffff);
  return (a1 * b1 + Math.floor(middle / 65536) + Math.floor(low / 65536)) | 0;
}

function multiply(low: number, upper: number, byLow: number, byHigh: number): number {
  high = (multiplyHigh(low, byLow) + Math.imul(low, byHigh) + Math.imul(upper, byLow)) | 0;
  return Math.imul(low, byLow);
}

/** x ^ (x >> shift), for a shift of 32 or more. */
function fold(low: number, upper: number, shift: number): number {
  high = upper;
  return low ^ (upper >>> (shift - 32));
}

const M_LOW = 0x5bd1e995, M_HIGH = 0xc6a4a793 | 0;

/** MurmurHash64A with seed 1. Returns the lower half; `upperHalf` gives the other one. */
export function hash64(bytes: Uint8Array): number {
  const length = bytes.length;
  let low = multiply(length, 0, M_LOW, M_HIGH) ^ 1;
  let upper = high;
  let i = 0;
  for (; i + 8 <= length; i += 8) {
    let k = multiply(word(bytes, i), word(bytes, i + 4), M_LOW, M_HIGH);
    k = fold(k, high, 47);
    k = multiply(k, high, M_LOW, M_HIGH);
    low = multiply(low ^ k, upper ^ high, M_LOW, M_HIGH);
    upper = high;
  }
  if (i < length) {
    const rest = new Uint8Array(8);
    rest.set(bytes.subarray(i));
    low = multiply(low ^ word(rest, 0), upper ^ word(rest, 4), M_LOW, M_HIGH);
    upper = high;
  }
  low = fold(low, upper, 47);
  low = multiply(low, upper, M_LOW, M_HIGH);
  return fold(low, high, 47);
}

export function upperHalf(): number {
  return high;
}

function word(bytes: Uint8Array, i: number): number {
  return bytes[i] | (bytes[i + 1] << 8) | (bytes[i + 2] << 16) | (bytes[i + 3] << 24);
}

/** The four rows, of `count`, that a hash has in a table with this seed: Thinc's MurmurHash3_x86_128_uint64. */
export function rowsOf(low: number, upper: number, seed: number, count: number): number[] {
  let a = multiply(low, upper, 0x114253d5, 0x87c37b91 | 0);
  let b = high;
  [a, b] = [(a << 31) | (b >>> 1), (b << 31) | (a >>> 1)];
  a = multiply(a, b, 0x2745937f, 0x4cf5ad43);
  b = high;
  a ^= seed ^ 8;
  // h1 += h2, of which the upper half is 0; then h2 += h1.
  const second = (seed ^ 8) >>> 0;
  [a, b] = add(a, b, second, 0);
  let [c, d] = add(second, 0, a, b);
  [a, b] = finish(a, b);
  [c, d] = finish(c, d);
  [a, b] = add(a, b, c, d);
  [c, d] = add(c, d, a, b);
  return [(a >>> 0) % count, (b >>> 0) % count, (c >>> 0) % count, (d >>> 0) % count];
}

function add(low: number, upper: number, byLow: number, byHigh: number): [number, number] {
  const sum = (low >>> 0) + (byLow >>> 0);
  return [sum | 0, (upper + byHigh + (sum > 0xffffffff ? 1 : 0)) | 0];
}

function finish(low: number, upper: number): [number, number] {
  low = fold(low, upper, 33);
  low = multiply(low, high, 0xed558ccd | 0, 0xff51afd7 | 0);
  low = fold(low, high, 33);
  low = multiply(low, high, 0x1a85ec53, 0xc4ceb9fe | 0);
  low = fold(low, high, 33);
  return [low, high];
}
