import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { type Doc, load, read } from "../src/index.js";

const path = process.env.STUDENT ?? "";
const options = { skip: existsSync(path) ? false : "set STUDENT to a student.tdw, as tests/test_web_export.py does" };

test("a path and a URL are loaded alike", options, async () => {
  const one = await load(path);
  const other = await load(new URL(`file://${path}`));
  assert.deepEqual(one("Ann sings.").toJSON(), other("Ann sings.").toJSON());
  await assert.rejects(load(`${path}.nothing`));
});

test("offsets are in code units and in code points", options, () => {
  const nlp = read(readFileSync(path));
  const text = "I 😀 like 👩‍🚀 and Zoé in\u00a0Rome.  So";
  const doc = nlp(text);
  for (const token of doc) {
    assert.equal(text.slice(token.idx, token.idx + token.text.length), token.text);
    assert.equal([...text].slice(token.codePoint).join("").startsWith(token.text), true);
  }
  assert.equal(doc.tokens.map((token) => token.text + token.whitespace).join(""), text);
  for (const span of [...doc.ents, ...doc.sents]) assert.equal(text.slice(span.startChar, span.endChar), span.text);
});

test("an empty text has no tokens", options, () => {
  const nlp = read(readFileSync(path));
  assert.equal(nlp("").length, 0);
  assert.equal(nlp(" ").length, 1);
});

test("a stream of texts says the same as one text after another", options, () => {
  const nlp = read(readFileSync(path));
  const texts = ["Ann sings.", "Bob weeps in Oslo.", ""];
  const docs: Doc[] = [...nlp.pipe(texts)];
  assert.deepEqual(docs.map((doc) => doc.toJSON()), texts.map((text) => nlp(text).toJSON()));
});

test("a text that is too long is refused, and what follows is not", options, () => {
  const nlp = read(readFileSync(path));
  assert.throws(() => nlp("a ".repeat(600_000)), RangeError);
  assert.equal(nlp("Ann sings.").length, 3);
});

test("surrogates that stand alone harm nobody", options, () => {
  const nlp = read(readFileSync(path));
  for (const text of ["\ud800", "a\udc00b \ud83d", "x\ud83d\ud83d\ude00"]) {
    assert.equal(nlp(text).tokens.map((token) => token.text + token.whitespace).join(""), text);
  }
});

test("memory does not grow with the words that were read", options, () => {
  const nlp = read(readFileSync(path));
  let next = 0;
  const readOn = (count: number): number => {
    for (const end = next + count; next < end; next += 20) {
      nlp(Array.from({ length: 20 }, (_, i) => `w${(next + i).toString(36)}`).join(" "));
    }
    return nlp.heapBytes;
  };
  assert.equal(readOn(500), readOn(20_000));
});
