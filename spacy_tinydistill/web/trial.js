"use strict";
// The student that is tried; the page may go on with it.
const student = (() => {
  const find = (id) => document.getElementById(id);
  const make = (name, ...children) => {
    const element = document.createElement(name);
    element.append(...children);
    return element;
  };

  const begun = performance.now();
  const nlp = tinydistill.read(Uint8Array.from(atob(find("data").textContent), (char) => char.charCodeAt(0)));
  const loading = performance.now() - begun;

  function heading(text) {
    return make("h3", text);
  }

  function table(headers, rows) {
    const head = make("thead", make("tr", ...headers.map((text) => Object.assign(make("th", text), { scope: "col" }))));
    return Object.assign(make("div", make("table", head, make("tbody", ...rows))), { className: "scroll" });
  }

  function categories(cats) {
    const sorted = Object.entries(cats).sort((a, b) => b[1] - a[1]);
    const rows = sorted.map(([label, score], i) => {
      const meter = Object.assign(document.createElement("meter"), { max: 1, value: score });
      meter.setAttribute("aria-label", label);
      const share = Object.assign(make("td", `${(100 * score).toFixed(1)} %`), { className: "number" });
      return Object.assign(make("tr", make("td", label), share, make("td", meter)), { className: i ? "" : "best" });
    });
    return table(["Category", "Probability", ""], rows);
  }

  function marked(doc, spans) {
    const box = Object.assign(document.createElement("div"), { className: "words" });
    let at = 0;
    for (const span of spans) {
      box.append(doc.text.slice(at, span.startChar), make("mark", span.text, make("small", span.label)));
      at = span.endChar;
    }
    box.append(doc.text.slice(at));
    return box;
  }

  function words(doc) {
    const columns = {
      tag: (token) => token.tag, pos: (token) => token.pos, morph: (token) => token.morph, lemma: (token) => token.lemma,
      head: (token) => (token.dep ? token.head.text : ""), dep: (token) => token.dep,
    };
    const used = Object.keys(columns).filter((name) => doc.tokens.some(columns[name]));
    if (!used.length) return null;
    const rows = doc.tokens.map((token) => make("tr", make("td", token.text), ...used.map((name) => make("td", columns[name](token)))));
    return table(["token", ...used], rows);
  }

  function answer() {
    const text = find("text").value;
    const started = performance.now();
    const doc = nlp(text);
    const took = performance.now() - started;
    const parts = [];
    if (Object.keys(doc.cats).length) parts.push(heading("Categories"), categories(doc.cats));
    if (doc.tokens.some((token) => token.entIob)) parts.push(heading("Entities"), marked(doc, doc.ents));
    for (const [key, spans] of Object.entries(doc.spans)) {
      const rows = spans.map((span) => make("tr", make("td", span.text), make("td", span.label)));
      parts.push(heading(`Spans: ${key}`), table(["span", "label"], rows));
    }
    const found = words(doc);
    if (found) parts.push(heading("Tokens"), found);
    find("answer").replaceChildren(...parts);
    const best = Object.entries(doc.cats).sort((a, b) => b[1] - a[1])[0];
    const said = best ? `${best[0]}. ` : "";
    find("time").textContent = `${said}${doc.length} tokens in ${took.toFixed(1)} ms; the student was ready after ${loading.toFixed(0)} ms.`;
  }

  find("text").addEventListener("input", answer);
  for (const button of document.querySelectorAll(".example")) {
    button.addEventListener("click", () => {
      find("text").value = button.textContent;
      answer();
    });
  }
  answer();
  return nlp;
})();
