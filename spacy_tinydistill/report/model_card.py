"""The README of a student's package: a model card as the Hugging Face hub reads it."""

import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import srsly
from spacy.language import Language
from spacy.tokens import Doc
from spacy.util import get_lang_class
from wasabi import MarkdownRenderer

from ..errors import DistillationError
from ..files import write_whole
from ..web.selftest import choose_examples
from .card import cell, data_name, write_card

README_NAME = "README.md"

# By this a later card knows that it may replace this one.
MARK = "<!-- Written by spacy-tinydistill. A benchmark replaces this file, unless this line is removed. -->"

# What is shown of a Doc, by what a pipe declares that it assigns: as code, and what that code gives.
SHOWN: dict[str, tuple[str, Callable[[Doc], object]]] = {
    "token.tag": (
        "[(token.text, token.tag_) for token in doc[:5]]",
        lambda doc: [(token.text, token.tag_) for token in doc[:5]],
    ),
    "token.pos": (
        "[(token.text, token.pos_) for token in doc[:5]]",
        lambda doc: [(token.text, token.pos_) for token in doc[:5]],
    ),
    "token.lemma": (
        "[(token.text, token.lemma_) for token in doc[:5]]",
        lambda doc: [(token.text, token.lemma_) for token in doc[:5]],
    ),
    "token.dep": (
        "[(token.text, token.dep_, token.head.text) for token in doc[:3]]",
        lambda doc: [(token.text, token.dep_, token.head.text) for token in doc[:3]],
    ),
    "doc.ents": (
        "[(ent.text, ent.label_) for ent in doc.ents]",
        lambda doc: [(ent.text, ent.label_) for ent in doc.ents],
    ),
    "doc.spans": (
        "[(key, span.text, span.label_) for key, spans in doc.spans.items() for span in spans]",
        lambda doc: [(key, span.text, span.label_) for key, spans in doc.spans.items() for span in spans],
    ),
    "doc.cats": (
        "[(label, round(score, 3)) for label, score in list(doc.cats.items())[:5]]",
        lambda doc: [(label, round(score, 3)) for label, score in list(doc.cats.items())[:5]],
    ),
    "doc.sents": (
        "[sentence.text for sentence in doc.sents]",
        lambda doc: [sentence.text for sentence in doc.sents],
    ),
}
MOST_LINES = 5

# How the hub names a score, by the end of spaCy's name for it.
METRICS = {"acc": "accuracy", "p": "precision", "r": "recall", "f": "f1", "las": "f1", "uas": "f1", "auc": "roc_auc"}


def write_readme(folder: Path, meta: Mapping[str, Any], report: Mapping[str, Any]) -> bool:
    """Write the model card to `README.md`, which `spacy package` puts into the wheel.

    Args:
        folder: The student's folder, or a report's.
        meta: The student's meta.
        report: The student's report.

    Returns:
        Whether it was written: a README.md that is not a card of ours stays.

    Raises:
        DistillationError: TD408, it cannot be written.
    """
    path = folder / README_NAME
    try:
        if path.exists() and MARK not in path.read_text(encoding="utf8", errors="replace"):
            return False
        write_whole(path, write_model_card(meta, report).encode())
    except OSError as error:
        raise DistillationError("TD408", path=folder, reason=f"{type(error).__name__}: {error}") from error
    return True


def write_model_card(meta: Mapping[str, Any], report: Mapping[str, Any]) -> str:
    """Write a model card: YAML front matter, use, intended use, measurements, limits, licence.

    Args:
        meta: The student's meta.
        report: From `compare`.
    """
    name = f"{meta['lang']}_{meta['name']}"
    language = get_lang_class(meta["lang"]).__name__
    md = MarkdownRenderer()
    md.add(f"---\n{srsly.yaml_dumps(_front_matter(name, meta, report), sort_keys=False)}---")
    md.add(MARK)
    md.add(md.title(1, cell(name)))
    pipes = ", ".join(map(cell, report["student"]["pipeline"]))
    md.add(
        f"A small spaCy pipeline ({language}; {pipes}), distilled from {cell(report['teacher']['name'])} "
        f"{cell(report['teacher']['version'])} with spacy-tinydistill."
    )
    md.add(md.title(2, "Use"))
    md.add(_explain_use(name, meta, report["usage"]))
    md.add(md.title(2, "Intended use"))
    md.add(
        f"To annotate {language} text like that which the student learned on, where its teacher is too slow or too "
        "large. It is no better than its teacher. On text of another kind, measure first. Do not decide about people "
        "by its predictions alone."
    )
    md.add(write_card(meta, report))
    md.add(md.title(2, "License"))
    license = meta.get("license")
    md.add(f"{cell(license)}, from its teacher." if license else "Neither the student nor its teacher declares one.")
    return f"{md.text}\n"


def show_usage(nlp: Language) -> dict[str, Any]:
    """Run a student on a sentence of its language.

    Returns:
        `text`, the sentence; `lines`, pairs of an expression of `doc` and what it gives, as Python writes it.
    """
    # The first of spaCy's own examples; in English a question is before them.
    text = choose_examples(nlp.meta["lang"])[-3:][0]
    doc = nlp(text)
    assigned = {kind for pipe in nlp.pipe_names for kind in nlp.get_pipe_meta(pipe).assigns}
    # A sentencizer declares tokens that start a sentence; a parser both.
    assigned |= {"doc.sents"} if "token.is_sent_start" in assigned else set()
    shown = [[code, repr(show(doc))] for kind, (code, show) in SHOWN.items() if kind in assigned]
    return {"text": text, "lines": shown[:MOST_LINES]}


def _explain_use(name: str, meta: Mapping[str, Any], usage: Mapping[str, Any]) -> str:
    wheel = f"{name}-{meta['version']}-py3-none-any.whl"
    code = ["import spacy", "", f"nlp = spacy.load({name!r})", f"doc = nlp({usage['text']!r})"]
    code += [f"print({expression})" for expression, _ in usage["lines"]]
    blocks = [("bash", [f"pip install {wheel}"]), ("python", code), ("text", [said for _, said in usage["lines"]])]
    drawn = "\n\n".join(f"```{kind}\n" + "\n".join(lines) + "\n```" for kind, lines in blocks if lines)
    named = f"If it was packaged with `--name` or `--version`, put these in place of {cell(name)} and the version."
    return f"{drawn}\n\n{named}"


def _front_matter(name: str, meta: Mapping[str, Any], report: Mapping[str, Any]) -> dict[str, Any]:
    tasks = {_task(names) for pipe, names in report["pipes"].items() if pipe != "tokenizer"}
    results = list(_results(report))
    license = re.sub(r"[^a-z0-9.]+", "-", str(meta.get("license") or "").lower()).strip("-")
    return {
        "language": ["multilingual" if meta["lang"] == "xx" else meta["lang"]],
        **({"license": license} if license else {}),
        "library_name": "spacy",
        "base_model": report["teacher"]["name"],
        "tags": ["spacy", "distillation", *sorted(tasks)],
        **({"model-index": [{"name": name, "results": results}]} if results else {}),
    }


def _results(report: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The student's scores against gold annotations as the hub's evaluation results; none without gold."""
    if not report["data"]["gold"]:
        return
    scores, data = report["student"]["scores"], data_name(report)
    for pipe, names in report["pipes"].items():
        metrics = [
            {"type": METRICS.get(name.rpartition("_")[2], name), "value": scores[name], "name": name}
            for name in names
            if isinstance(scores.get(name), float)
        ]
        if metrics and pipe != "tokenizer":
            yield {
                "task": {"type": _task(names), "name": pipe},
                "dataset": {"type": re.sub(r"[^a-z0-9]+", "-", data.lower()).strip("-") or "data", "name": data},
                "metrics": metrics,
            }


def _task(names: list[str]) -> str:
    return "text-classification" if any(name.startswith("cats_") for name in names) else "token-classification"
