// A student beside winkNLP: node web_wink.mjs student.tdw gold.json FOLDER
//
// FOLDER has wink-nlp and wink-eng-lite-web-model: npm install --prefix FOLDER wink-nlp wink-eng-lite-web-model. gold.json is
// a list of what spaCy's `Doc.to_json` gave of gold annotations. Each splits the texts itself; a gold token is right where
// one of the same characters has the same part of speech.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { resolve } from "node:path";
import { runInThisContext } from "node:vm";

const [data, goldFile, folder] = process.argv.slice(2);
const runtime = new URL("../spacy_tinydistill/web/runtime.js", import.meta.url);
const { read } = runInThisContext(`${readFileSync(runtime, "utf8")};tinydistill`);
const nlp = read(readFileSync(data));
const require = createRequire(resolve(folder, "package.json"));
const wink = require("wink-nlp")(require("wink-eng-lite-web-model"), ["pos"]);
const gold = JSON.parse(readFileSync(goldFile, "utf8"));

const sides = {
  ours: (text) => nlp(text).tokens.map(({ idx, text, pos }) => [idx, text, pos]),
  wink: (text) => {
    let at = 0;
    const doc = wink.readDoc(text);
    const words = doc.tokens().out();
    return doc.tokens().out(wink.its.pos).map((pos, i) => {
      at = text.indexOf(words[i], at);
      const start = at;
      at += words[i].length;
      return [start, words[i], pos];
    });
  },
};

const result = {};
for (const [name, tag] of Object.entries(sides)) {
  let right = 0, total = 0, found = 0, words = 0;
  const seconds = [];
  for (let round = 0; round < 6; round++) {
    const begun = process.cpuUsage();
    words = gold.reduce((sum, { text }) => sum + tag(text).length, 0);
    const { user, system } = process.cpuUsage(begun);
    if (round) seconds.push((user + system) / 1e6);
  }
  for (const { text, tokens } of gold) {
    // spaCy counts in code points.
    const units = [0];
    for (const char of text) units.push(units.at(-1) + char.length);
    const ours = new Map(tag(text).map(([start, word, pos]) => [`${start} ${start + word.length}`, pos]));
    for (const { start, end, pos } of tokens) {
      if (!text.slice(units[start], units[end]).trim()) continue;
      const said = ours.get(`${units[start]} ${units[end]}`);
      total++;
      if (said !== undefined) found++;
      if (said === pos) right++;
    }
  }
  const speeds = seconds.map((time) => Math.round(words / time)).sort((a, b) => a - b);
  result[name] = { right: right / total, sameTokens: found / total, wordsPerSecond: [speeds[2], speeds[0], speeds.at(-1)] };
}
console.log(JSON.stringify(result));
