"""Reports to be shown, and to be spoilt."""

import json
from pathlib import Path

from spacy.language import Language
from spacy.tokens import Doc, Span

from spacy_tinydistill.report.compare import Recorded, compare_recorded
from spacy_tinydistill.report.report import Report
from spacy_tinydistill.report.scores import Side

HOSTILE = """<script>alert("1")</script>' onclick='alert(2)' " onload="alert(3)" {0} {text} %s | `x` &lt; ]]> --><b>"""

# Pipes that write to each layer of a Doc.
JUDGED_PIPES = ["tagger", "morphologizer", "parser", "ner", "spancat", "textcat", "textcat_multilabel"]


def spoil(docs: list[Doc]) -> None:
    """Take away, add and change some of each kind of annotation."""
    for number, doc in enumerate(docs):
        for token in list(doc)[number % 3 :: 4]:
            token.tag_ = "NN"
            token.set_morph("Number=Sing")
        for token in list(doc)[1::5]:
            if token.dep_ != "ROOT":
                token.dep_ = "nsubj"
        ents = list(doc.ents)[number % 2 :]
        doc.set_ents([Span(doc, ent.start, ent.end, "ORG") if ent.label_ == "PERSON" else ent for ent in ents])
        spans = list(doc.spans["sc"])
        doc.spans["sc"] = [*spans[1:], Span(doc, 0, 2, "COUNTED")]
        names = list(doc.cats)
        if number % 3 == 0:
            doc.cats = {**dict(zip(names[:4], [0.1, 0.7, 0.15, 0.05], strict=True)), **dict.fromkeys(names[4:], 0.6)}


def make_report(judge: Language, sides: tuple[Side, Side], folder: Path) -> Report:
    described = {"name": "en_teacher", "version": "1.0", "path": "teacher", "pipeline": JUDGED_PIPES, "parameters": 5}
    recorded = Recorded({**described, "bytes": 10**9}, sides[0], sides[0].docs, "dev.spacy")
    # The model card goes into the pipeline's own folder.
    before = (judge.path / "meta.json").read_bytes()
    try:
        return compare_recorded(recorded, sides[1], folder)
    finally:
        (judge.path / "meta.json").write_bytes(before)


def replace_strings(
    value: object, text: str, kept: frozenset[str] = frozenset({"style", "dir", "direction"})
) -> object:
    """A report in which everything that comes from users, keys included, says something else."""
    if isinstance(value, str):
        return text
    if isinstance(value, list):
        return [replace_strings(item, text) for item in value]
    if isinstance(value, dict):
        return {key: item if key in kept else replace_strings(item, text) for key, item in value.items()}
    return value


def spoil_names(report: dict, text: str) -> dict:
    spoiled = replace_strings(json.loads(json.dumps(report)), text)
    for group in ("labels", "confusion"):
        spoiled[group] = {f"{name}{text}": value for name, value in spoiled[group].items()}
    spoiled["labels"] = {
        pipe: {f"{label}{text}": counts for label, counts in labels.items()}
        for pipe, labels in spoiled["labels"].items()
    }
    spoiled["pipes"] = {
        f"{pipe}{text}": [f"{name}{text}" for name in report["pipes"][pipe]] for pipe in report["pipes"]
    }
    for group in (spoiled["teacher"], spoiled["student"]):
        group["scores"] = {f"{name}{text}": score for name, score in group["scores"].items()}
    for group in ("retention", "agreement"):
        spoiled[group] = {f"{name}{text}": score for name, score in spoiled[group].items()}
    for point in spoiled["learning_curve"]:
        point["losses"] = {f"{name}{text}": loss for name, loss in point["losses"].items()}
    for item in spoiled["disagreements"]:
        if item["style"] == "cats":
            for role in ("teacher", "student"):
                item[role]["cats"] = {f"{label}{text}": score for label, score in item[role]["cats"].items()}
    spoiled["tried"] = [{"folder": text, "name": text, "bytes": 10, "retention": 0.5, "agreement": 0.5}]
    return spoiled
