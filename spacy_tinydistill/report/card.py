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
from .table import alignment_warnings, megabytes, percent, score_header, score_rows, writings_text
from .verdict import weakest_labels

META_NAME = "meta.json"
HELD_OUT = "texts held out from learning"
TITLE = "### Distillation"

# So much is shown of a name that somebody else gave.
MOST_CHARACTERS = 80

# How many of the labels are named in which the student agrees least.
WEAKEST_LABELS = 5


def write_meta(folder: Path, meta: Mapping[str, Any], report: Mapping[str, Any]) -> None:
    """Write a student's meta.json: its scores, what was measured, and the text of its model card in "notes".

    "performance" has the scores against gold annotations, as `spacy evaluate` names and computes them, or nothing.
    What was measured otherwise is in "distillation" under its own name.

    Args:
        folder: The folder to write to.
        meta: The student's meta.
        report: The student's report.

    Raises:
        DistillationError: TD408, it cannot be written.
    """
    # Notes of the user's own stay; an earlier card goes.
    notes = (meta.get("notes") or "").partition(TITLE)[0] + write_card(meta, report)
    measured = {
        "data": data_name(report),
        **{key: report["data"][key] for key in ("gold", "documents", "words")},
        **{key: report[key] for key in ("agreement", "retention")},
    }
    # What the run found out on the way is replaced.
    origin = {key: value for key, value in meta.get("distillation", {}).items() if key != "agreement"}
    scores = report["student"]["scores"]
    written = {
        **meta,
        "performance": {name: value for name, value in scores.items() if isinstance(value, float | dict)},
        "distillation": {**origin, "measured": measured},
        "notes": notes,
    }
    try:
        write_whole(folder / META_NAME, srsly.json_dumps(written, indent=2).encode())
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
        scored = "with gold annotations" if report["data"]["gold"] else "without gold annotations, so no scores"
        md.add(
            f"In per cent, on {cell(data_name(report))} ({scored}). Retention is the student's score over the "
            "teacher's; agreement is the student's score with "
            "the teacher's annotations as the reference."
            + (" Counted is the share of gold tokens that a score counts." if "Counted" in header else "")
        )
    md.add(md.title(3, "Limits"))
    md.add(md.list(list(_limits(meta, report))))
    return md.text


def data_name(report: Mapping[str, Any]) -> str:
    """Name the data that teacher and student were compared on: the file, not its folder."""
    path = report["data"]["path"]
    return HELD_OUT if path is None else Path(path).name


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
    gold = "with" if data["gold"] else "without"
    facts["Compared on"] = f"{cell(data_name(report))}: {data['documents']:,} texts, {gold} gold annotations"
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
    elsewhere = report["elsewhere"]
    if elsewhere is not None:
        what = "retention" if elsewhere["overall"]["retention"] is not None else "agreement"
        name, value = cell(Path(elsewhere["path"]).name), percent(elsewhere["overall"][what])
        limits.append(f"On text of another kind, {name} ({elsewhere['documents']:,} texts), {what} is {value} %.")
    if report["writings"] is not None:
        limits.append(f"Writing may make a difference. {writings_text(report['writings'])}.")
    named = [
        f"{cell(label)} ({cell(pipe)}, {percent(agreement)} % of {times:,})"
        for agreement, label, pipe, times in weakest_labels(report)[:WEAKEST_LABELS]
    ]
    if named:
        limits.append(f"It follows its teacher least in these labels: {', '.join(named)}.")
    return limits
