// The CPU seconds that a student takes in Node: node web.mjs student.tdw texts.json [tokens]
//
// With a number of tokens it goes on reading until it has read so many, and prints how its memory grew.
import { readFileSync } from "node:fs";
import { runInThisContext } from "node:vm";

const [data, textsFile, tokens] = process.argv.slice(2);
const runtime = new URL("../spacy_tinydistill/web/runtime.js", import.meta.url);
const { read } = runInThisContext(`${readFileSync(runtime, "utf8")};tinydistill`);
const bytes = readFileSync(data);
const texts = JSON.parse(readFileSync(textsFile, "utf8"));

function seconds(work) {
  const begun = process.cpuUsage();
  work();
  const { user, system } = process.cpuUsage(begun);
  return (user + system) / 1e6;
}

const readAll = (nlp) => texts.reduce((sum, text) => sum + nlp(text).length, 0);

if (tokens) {
  const nlp = read(bytes);
  const growth = [];
  let seen = 0;
  while (seen < Number(tokens)) {
    const before = seen;
    while (seen - before < Number(tokens) / 10) seen += readAll(nlp);
    globalThis.gc?.();
    growth.push({ tokens: seen, heap: nlp.heapBytes, javascript: process.memoryUsage().heapUsed });
  }
  console.log(JSON.stringify(growth));
} else {
  const first = seconds(() => readAll(read(bytes)));
  let nlp;
  const load = seconds(() => (nlp = read(bytes)));
  const cold = seconds(() => readAll(nlp));
  const warm = seconds(() => readAll(nlp));
  console.log(JSON.stringify({ first, load, cold, warm }));
}
