import assert from "node:assert/strict";
import { test } from "node:test";
import { hash64, rowsOf, upperHalf } from "../src/hash.js";

// From spaCy's `StringStore` and Thinc's `NumpyOps.hash`.
const HASHES: [string, bigint][] = [
  ["coffee", 3197928453018144401n], ["a", 11901859001352538922n], ["New York", 16910981474062290848n],
  ["naïve 😀", 5136963327933716359n], ["eightbyt", 7361903302148923535n], ["ninebytes", 14181080873158489889n],
];

function hash(text: string): bigint {
  const low = hash64(new TextEncoder().encode(text));
  return (BigInt(upperHalf() >>> 0) << 32n) | BigInt(low >>> 0);
}

test("a string's hash is spaCy's", () => {
  for (const [text, expected] of HASHES) assert.equal(hash(text), expected);
});

test("a hash has Thinc's rows", () => {
  const low = hash64(new TextEncoder().encode("coffee"));
  const upper = upperHalf();
  assert.deepEqual(rowsOf(low, upper, 8, 5000), [680, 852, 3520, 1278]);
  assert.deepEqual(rowsOf(low, upper, 11, 2500), [518, 470, 1945, 1563]);
});
