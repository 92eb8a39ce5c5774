"""The model card of a student, in Markdown: its origin and its limits."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import srsly
from wasabi import MarkdownRenderer

from ..errors import DistillationError
from ..files import write_whole
from .raw_text import NOT_COMPARED, agreement_text, missing_text, tokens_text
from .table import alignment_warnings, megabytes, percent, score_header, score_rows

META_NAME = "meta.json"
TITLE = "### Distillation"

# So much is shown of a name that somebody else gave.
MOST_CHARACTERS = 80

# The labels that a student gives least as its teacher does, among those that the teacher gives often enough to tell.
WEAKEST_LABELS = 5
OFTEN = 10


def write_meta(folder: Path, meta: Mapping[str, Any], report: Mapping[str, Any]) -> None:
    """Write a student's meta.json with its model card in "notes". `spacy package` puts it into the README.

    A README.md beside it would replace spaCy's own, which has the name of the package.

    Args:
        folder: The folder to write to.
        meta: The student's meta.
        report: The student's report.

    Raises:
        DistillationError: TD408, it cannot be written.
    """
    # Notes of the user's own stay; an earlier card goes.
    notes = (meta.get("notes") or "").partition(TITLE)[0] + write_card(meta, report)
    try:
        write_whole(folder / META_NAME, srsly.json_dumps({**meta, "notes": notes}, indent=2).encode())
    except OSError as error:
        raise DistillationError("TD408", path=folder, reason=f"{type(error).__name__}: {error}") from error


def write_card(meta: Mapping[str, Any], report: Mapping[str, Any]) -> str:
    """Write a model card: teacher, texts, measurements, limits.

    Args:
        meta: The student's meta. The card describes the texts in its "distillation".
        report: From `compare`.
    """
    md = MarkdownRenderer()
    md.add(TITLE)
    md.add(md.table(list(_facts(meta, report)), ["Feature", "Description"]))
    rows = [tuple(map(cell, row)) for row in score_rows(dict(report))]
    if rows:
        header = score_header(dict(report))
        md.add(md.table(rows, header, ["l", "l", *"rrrrr"][: len(header)]))
        md.add(
            "In per cent. Retention is the student's score over the teacher's; agreement is the student's score with "
            "the teacher's annotations as the reference."
            + (" Counted is the share of gold tokens that a score counts." if "Counted" in header else "")
        )
    md.add(md.title(3, "Limits"))
    md.add(md.list(list(_limits(meta, report))))
    return md.text


def cell(text: object) -> str:
    """Make a text safe for a cell of a Markdown table: one line, shortened, Markdown escaped."""
    line = " ".join(str(text).split())
    if len(line) > MOST_CHARACTERS:
        line = line[: MOST_CHARACTERS - 1] + "…"
    # GitHub and PyPI make links also of bare addresses.
    return re.sub(r"([\\`*_{}\[\]<>|#~&!$^:@]|(?<=www)\.)", r"\\\1", line, flags=re.IGNORECASE)


def _facts(meta: Mapping[str, Any], report: Mapping[str, Any]) -> list[tuple[str, str]]:
    teacher, student, data = report["teacher"], report["student"], report["data"]
    facts = {"Teacher": f"{cell(teacher['name'])} {cell(teacher['version'])}"}
    if teacher["pipeline"]:
        facts["Teacher"] += f" ({cell(', '.join(teacher['pipeline']))})"
    origin = meta.get("distillation") or {}
    if origin.get("teachers"):
        facts["Teachers"] = ", ".join(
            f"{cell('{lang}_{name} {version}'.format(**one))} ({one['share']:.0%})" for one in origin["teachers"]
        )
        facts["Compared with"] = facts.pop("Teacher")
    learned = origin.get("texts")
    if learned:
        count = [] if learned["documents"] is None else [f"{learned['documents']:,} texts"]
        facts["Learned on"] = ", ".join([*map(cell, learned["names"]), *count])
    measured = "texts held out from learning" if data["path"] is None else cell(Path(data["path"]).name)
    gold = "with" if data["gold"] else "without"
    facts["Compared on"] = f"{measured}: {data['documents']:,} texts, {gold} gold annotations"
    for what in ("retention", "agreement"):
        if report["overall"][what] is not None:
            facts[what.capitalize()] = f"{percent(report['overall'][what])} %"
    found = report["raw_text"]
    if found is not None:
        facts["From raw text"] = agreement_text(found, cell)
    facts["Size"] = megabytes(student["bytes"])
    if (report["compression"] or 0) > 1:
        facts["Size"] += f", {report['compression']:.1f} times smaller than the teacher"
    facts["Speed"] = "not measured"
    if report["timing"] is not None:
        facts["Speed"] = (
            f"{student['words_per_second']['1']:,.0f} words/s on one thread, {report['speed_up']['1']:.1f} times "
            f"faster than the teacher ({cell(report['machine']['cpu'])})"
        )
    return [(f"**{key}**", value) for key, value in facts.items()]


def _limits(meta: Mapping[str, Any], report: Mapping[str, Any]) -> list[str]:
    limits = [
        "The student learned what its teacher says, mistakes and biases included.",
        "The numbers hold for text like that which it was compared on; on other text expect less.",
    ]
    if not report["data"]["gold"]:
        limits.append("There were no gold annotations: agreement says nothing of whether the teacher is right.")
    limits += alignment_warnings(dict(report))
    left_out = (meta.get("distillation") or {}).get("left_out", {})
    limits += [f"Left out: {cell(pipe)}, {cell(reason)}." for pipe, reason in left_out.items()]
    found = report["raw_text"]
    if found is None:
        limits.append(NOT_COMPARED)
    else:
        limits += [text for text in (missing_text(found, cell), tokens_text(found, cell)) if text]
    weakest = sorted(
        (counts["agreement"], pipe, label, counts["teacher"])
        for pipe, labels in report["labels"].items()
        for label, counts in labels.items()
        if counts["teacher"] >= OFTEN
    )
    named = [
        f"{cell(label)} ({cell(pipe)}, {percent(agreement)} % of {times:,})"
        for agreement, pipe, label, times in weakest[:WEAKEST_LABELS]
        if agreement < 1
    ]
    if named:
        limits.append(f"It follows its teacher least in these labels: {', '.join(named)}.")
    return limits
