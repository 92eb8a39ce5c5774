"use strict";
(() => {
  function isSame(ours, theirs) {
    if (typeof ours === "number" && typeof theirs === "number") return Math.abs(ours - theirs) < 1e-5;
    if (ours === null || theirs === null || typeof ours !== "object" || typeof theirs !== "object") return ours === theirs;
    const keys = Object.keys(ours);
    return keys.length === Object.keys(theirs).length && keys.every((key) => isSame(ours[key], theirs[key]));
  }

  function test() {
    const answers = JSON.parse(document.getElementById("answers").textContent);
    const wrong = answers.filter((expected) => !isSame(student(expected.text).toJSON(), expected));
    const tokens = answers.reduce((sum, { tokens }) => sum + tokens.length, 0);
    const result = document.getElementById("result");
    result.className = wrong.length ? "bad" : "";
    result.textContent = `${answers.length} texts, ${tokens} tokens, ${wrong.length} differences`;
  }

  document.getElementById("test").addEventListener("click", test);
  // For a visit without hands.
  if (location.hash === "#test") test();
})();
