// In the page:
//
//     const worker = new Worker("worker.js", { type: "module" });
//     worker.postMessage({ id: 1, text: "Ann sings in Rome." });
//     worker.onmessage = ({ data: { id, doc } }) => ...;
import { load } from "spacy-tinydistill";

const loading = load(new URL("student.tdw", import.meta.url));

addEventListener("message", async ({ data: { id, text } }) => {
  const nlp = await loading;
  postMessage({ id, doc: nlp(text).toJSON() });
});
