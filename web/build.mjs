// Build the package: dist/index.js and its types; the same as a classic script, for pages, in the Python package; and with
// --tests what `node --test` runs, in build/tests. With --check nothing is built: it fails where that script is another one.
import { execFileSync } from "node:child_process";
import { readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const here = dirname(fileURLToPath(import.meta.url));
const inHere = (...parts) => join(here, ...parts);

const common = { bundle: true, target: "es2022", charset: "utf8", legalComments: "none", logLevel: "warning" };

await build({ ...common, entryPoints: [inHere("src/wasm.ts")], format: "esm", outfile: inHere("build/wasm.mjs") });
const { assemble } = await import(inHere("build/wasm.mjs"));
// As text that is no control character, which HTML would change, and smaller than base64 when it is compressed.
const kernels = String.fromCharCode(...Array.from(assemble(), (byte) => 256 + byte));

const runtime = { ...common, minify: true, define: { KERNELS: JSON.stringify(kernels) }, entryPoints: [inHere("src/index.ts")] };
const forPages = inHere("../spacy_tinydistill/web/runtime.js");
const { outputFiles: [script] } = await build({ ...runtime, format: "iife", globalName: "tinydistill", write: false });
if (process.argv.includes("--check")) {
  process.exit(readFileSync(forPages, "utf8") === script.text ? 0 : 1);
}
writeFileSync(forPages, script.text);

rmSync(inHere("dist"), { recursive: true, force: true });
await build({ ...runtime, format: "esm", outfile: inHere("dist/index.js") });
execFileSync(process.execPath, [inHere("node_modules/typescript/bin/tsc"), "--project", inHere("tsconfig.build.json")], { stdio: "inherit" });

if (process.argv.includes("--tests")) {
  rmSync(inHere("build/tests"), { recursive: true, force: true });
  const tests = readdirSync(inHere("tests")).map((name) => inHere("tests", name));
  await build({
    ...common, define: runtime.define, entryPoints: tests, platform: "node", format: "esm", outdir: inHere("build/tests"),
    outExtension: { ".js": ".mjs" },
  });
}
