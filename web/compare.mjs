// Compare what a student says here with what spaCy said: node compare.mjs student.tdw answers.json [--plain]
//
// answers.json is a list of what spaCy's `Doc.to_json` gave. Prints JSON: how much was compared, in which texts and where
// the two differ, and by how much a probability differs at most. It runs what the Python package brings along.
import { readFileSync } from "node:fs";
import { runInThisContext } from "node:vm";

const [data, answersFile, ...flags] = process.argv.slice(2);
const runtime = new URL("../spacy_tinydistill/web/runtime.js", import.meta.url);
const { read } = runInThisContext(`${readFileSync(runtime, "utf8")};tinydistill`);
const nlp = read(readFileSync(data), { wasm: !flags.includes("--plain") });
const answers = JSON.parse(readFileSync(answersFile, "utf8"));

const TOLERANCE = 1e-5;
let largest = 0;

// The first place where two values differ, or null.
function compare(ours, theirs, place) {
  if (typeof ours === "number" && typeof theirs === "number" && place.startsWith(".cats")) {
    largest = Math.max(largest, Math.abs(ours - theirs));
    return Math.abs(ours - theirs) <= TOLERANCE ? null : `${place}: ${ours}, spaCy ${theirs}`;
  }
  if (ours === theirs) return null;
  const isNested = [ours, theirs].every((value) => value !== null && typeof value === "object");
  if (!isNested) return `${place}: ${JSON.stringify(ours)}, spaCy ${JSON.stringify(theirs)}`;
  for (const key of new Set([...Object.keys(ours), ...Object.keys(theirs)])) {
    const found = compare(ours[key], theirs[key], `${place}.${key}`);
    if (found) return found;
  }
  return null;
}

const differences = [];
let tokens = 0;
for (const expected of answers) {
  const doc = nlp(expected.text);
  tokens += doc.length;
  const place = compare(doc.toJSON(), expected, "");
  if (place) differences.push({ text: expected.text, place });
}
console.log(JSON.stringify({ texts: answers.length, tokens, differences, largest, wasm: nlp.usesWasm }));
