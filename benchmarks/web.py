"""An exported student in Node beside spaCy: whether both say the same, how fast each is, and how large it is.

    OMP_NUM_THREADS=1 python benchmarks/web.py STUDENT TEXTS --hostile 20000

Both sides have the same rounded weights and take turns in one run. Times are CPU times, of all threads. "first" is
all that a new process does, compiling included; "cold" a student that was just loaded in one that has run another, and
knows no word yet; "warm" is one that has read the texts before.

Where two scores are as good as equal, the last bit of a sum decides, and the two sides add up in another order. A text
in which they differ is a near tie if spaCy says what Node said once its weights are moved by a millionth. Near ties are
listed for themselves, and few are allowed.
"""

import base64
import gzip
import json
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from itertools import count
from pathlib import Path
from statistics import median
from typing import Annotated, Any

import numpy
import spacy
import typer
from spacy.language import Language
from thinc.api import Model

from spacy_tinydistill import export_web
from spacy_tinydistill.corpus import read_texts
from spacy_tinydistill.rounding import PRECISIONS
from spacy_tinydistill.web.page import read_runtime
from spacy_tinydistill.web.selftest import make_texts

ROOT = Path(__file__).parents[1]
TEXTS_AT_ONCE = 500

# How often, and by which share of themselves, weights are moved to see whether two scores are as good as equal; and in
# how many tokens one near tie may be.
MOVES = 20
MOVED_BY = 1e-6
TOKENS_PER_TIE = 425_000


def main(
    student: str,
    texts: Annotated[Path, typer.Argument(help="JSONL, text or DocBin")],
    hostile: Annotated[int, typer.Option(help="How many tokens of hostile text to compare, at least")] = 20_000,
    most: Annotated[
        int, typer.Option(help="How many tokens of the texts to compare, at least, if there are so many")
    ] = 30_000,
    repeats: int = 5,
    precisions: str = ",".join(PRECISIONS),
    memory: Annotated[int, typer.Option(help="How many tokens a page reads while its memory is watched")] = 0,
) -> None:
    """Print one line of JSON for each precision; leave with 1 where a difference was found."""
    differences = 0
    read = [text for text in read_texts(texts) if text.strip()]
    for precision in precisions.split(","):
        with tempfile.TemporaryDirectory() as folder:
            data = export_web(student, Path(folder) / "web", precision=precision)  # type: ignore[arg-type]
            nlp = spacy.load(data.parent / "student")
            report: dict[str, Any] = {"precision": precision}
            report["gzipped"] = {
                "student": len(gzip.compress(data.read_bytes(), 9)),
                "runtime": len(gzip.compress(read_runtime().encode(), 9)),
            }
            report["texts"], used = compare(nlp, data, [read], most)
            report["hostile"], _ = compare(nlp, data, (make_texts(nlp, seed=seed) for seed in count()), hostile)
            report["browser"] = test_in_browser(data.parent)
            if repeats:
                report["speed"] = measure(nlp, data, used, repeats)
            if memory:
                report["memory"] = watch_memory(nlp, data, memory)
        print(json.dumps(report), flush=True)
        both = report["texts"], report["hostile"]
        ties = sum(len(part["near ties"]) for part in both)
        differences += sum(len(part["differences"]) for part in both)
        differences += ties > max(1, sum(part["tokens"] for part in both) / TOKENS_PER_TIE)
        differences += report["browser"] not in (None, "0 differences")
    raise typer.Exit(int(differences > 0))


def compare(nlp: Language, data: Path, batches: Any, least: int) -> tuple[dict[str, Any], list[str]]:
    """Compare texts until there were enough tokens."""
    total: dict[str, Any] = {"tokens": 0, "texts": 0, "differences": [], "near ties": [], "furthest": 0.0}
    used: list[str] = []
    for batch in batches:
        # Of no words spaCy says something else alone than in a batch.
        rest = [text for text in batch if text]
        for start in range(0, len(rest), TEXTS_AT_ONCE):
            part = rest[start : start + TEXTS_AT_ONCE]
            answers = data.parent / "answers.json"
            with nlp.memory_zone():
                said = [doc.to_json() for doc in nlp.pipe(part)]
            answers.write_text(json.dumps(said), encoding="utf8")
            found = run_node(ROOT / "web" / "compare.mjs", data, answers)
            used += part
            total["tokens"] += found["tokens"]
            total["texts"] += len(part)
            for difference in found["differences"]:
                is_tie = is_near_tie(nlp, data, difference["text"])
                total["near ties" if is_tie else "differences"].append(difference)
            total["furthest"] = max(total["furthest"], found["largest"])
            if total["tokens"] >= least:
                return total, used
    return total, used


def is_near_tie(nlp: Language, data: Path, text: str) -> bool:
    """Whether spaCy says of a text what Node says of it when its weights are moved by a millionth of themselves."""
    moved = spacy.load(data.parent / "student")
    numbers = numpy.random.default_rng(0)
    said = []
    for _ in range(MOVES):
        for (_, pipe), (_, original) in zip(moved.pipeline, nlp.pipeline, strict=True):
            if not isinstance(getattr(pipe, "model", None), Model):
                continue
            for node, source in zip(pipe.model.walk(), original.model.walk(), strict=True):
                for name in node.param_names:
                    if node.has_param(name):
                        weights = source.get_param(name)
                        factors = 1 + MOVED_BY * numbers.standard_normal(weights.shape, dtype="float32")
                        node.set_param(name, weights * factors)
        said.append(moved(text).to_json())
    path = data.parent / "moved.json"
    path.write_text(json.dumps(said), encoding="utf8")
    return len(run_node(ROOT / "web" / "compare.mjs", data, path)["differences"]) < MOVES


def test_in_browser(folder: Path) -> str | None:
    """Have headless Chromium open the page and do its self-test; None where there is no Chromium."""
    if shutil.which("chromium") is None:
        return None
    page = open_in_chromium(folder / "index.html", "#test")
    found = re.search(r'<span id="result"[^>]*>[^<]*?(\d+ differences)<', page)
    return found[1] if found else "no answer"


def open_in_chromium(page: Path, fragment: str = "", *flags: str) -> str:
    """What a page is once its scripts have run."""
    # Without these, Chromium looks for its maker's hosts when it starts.
    quiet = ["--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-quic"]
    command = [
        "chromium",
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--no-first-run",
        *quiet,
        *flags,
        "--dump-dom",
    ]
    command += [f"--user-data-dir={page.parent / 'profile'}", page.as_uri() + fragment]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


PAGE = """<!DOCTYPE html><meta charset="utf-8"><pre></pre><script>RUNTIME</script>
<script type="application/json" id="texts">TEXTS</script>
<script>
  const nlp = tinydistill.read(Uint8Array.from(atob("DATA"), (char) => char.charCodeAt(0)));
  const texts = JSON.parse(document.getElementById("texts").textContent);
  const seen = [];
  let tokens = 0, next = 0;
  while (tokens < MOST) {
    tokens += nlp(texts[next++ % texts.length]).length;
    if (tokens < (seen.length + 1) * MOST / 10) continue;
    gc();
    seen.push([tokens, performance.memory.usedJSHeapSize, nlp.heapBytes]);
  }
  document.querySelector("pre").textContent = JSON.stringify(seen);
</script>"""


def watch_memory(nlp: Language, data: Path, most: int) -> list[dict[str, float]]:
    """The memory of a page in Chromium while it reads hostile texts, none of them twice: ten times, as megabytes."""
    texts: list[str] = []
    # Tokens are longer than four characters on average.
    for seed in count():
        texts += make_texts(nlp, seed=1000 + seed)
        if sum(map(len, texts)) > most * 6:
            break
    values = {
        "RUNTIME": read_runtime(),
        "TEXTS": json.dumps(texts).replace("<", "\\u003c"),
        "DATA": base64.b64encode(data.read_bytes()).decode(),
        "MOST": str(most),
    }
    page = data.parent / "memory.html"
    page.write_text(re.sub("|".join(values), lambda found: values[found[0]], PAGE), encoding="utf8")
    dom = open_in_chromium(page, "", "--enable-precise-memory-info", "--js-flags=--expose-gc")
    found = re.search(r"<pre>(.+?)</pre>", dom)
    assert found, dom[-2000:]
    return [
        {"tokens": tokens, "javascript": round(javascript / 1e6, 1), "numbers": round(numbers / 1e6, 1)}
        for tokens, javascript, numbers in json.loads(found[1])
    ]


def measure(nlp: Language, data: Path, texts: list[str], repeats: int) -> dict[str, Any]:
    """Words per second of both sides in turn."""
    words = sum(len(nlp.make_doc(text)) for text in texts)
    singles = texts[:300]
    single_words = sum(len(nlp.make_doc(text)) for text in singles)
    path = data.parent / "texts.json"
    path.write_text(json.dumps(texts), encoding="utf8")
    runs: dict[str, list[float]] = {}
    for _ in range(repeats):
        runs.setdefault("spaCy, batched", []).append(words / seconds(lambda: list(nlp.pipe(texts))))
        runs.setdefault("spaCy, one at a time", []).append(
            single_words / seconds(lambda: [nlp(text) for text in singles])
        )
        node = run_node(ROOT / "benchmarks" / "web.mjs", data, path)
        runs.setdefault("Node, first", []).append(words / node["first"])
        runs.setdefault("Node, cold", []).append(words / node["cold"])
        runs.setdefault("Node, warm", []).append(words / node["warm"])
        runs.setdefault("load, ms", []).append(1000 * node["load"])
    return {name: [round(figure(values), 1) for figure in (median, min, max)] for name, values in runs.items()}


def seconds(work: Callable[[], Any]) -> float:
    """The CPU seconds that something takes."""
    begun = time.process_time()
    work()
    return time.process_time() - begun


def run_node(script: Path, *arguments: Path) -> dict[str, Any]:
    """What a script prints as JSON."""
    result = subprocess.run(["node", script, *arguments], capture_output=True, text=True, check=True)
    return json.loads(result.stdout)


if __name__ == "__main__":
    typer.run(main)
