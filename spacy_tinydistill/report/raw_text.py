"""What is told of how teacher and student compare from raw text, end to end, with all of their pipes on."""

from collections.abc import Callable, Mapping
from dataclasses import asdict
from math import floor
from typing import Any

from spacy.language import Language
from wasabi import msg

from ..judge import Statement, judge, name_kind, take_statement

# Whom the student was compared with.
SOURCES = {
    "teacher": "compared with the teacher itself",
    "recording": "compared with what the whole teacher said when it was recorded",
}

# So much is shown of what a pipeline says at one place: a custom attribute may hold anything.
MOST_CHARACTERS = 80

NOT_COMPARED = (
    "Teacher and student were not compared from raw text: what the whole teacher says was not recorded, or one of the "
    "two failed there. The command spacy benchmark distillation compares them."
)


def compare_raw_text(teacher: Statement, student: Language, source: str) -> dict[str, Any]:
    """Compare what a student says about raw texts with what its whole teacher says.

    Args:
        teacher: What the teacher says.
        student: The student, as loaded from its folder.
        source: A key of `SOURCES`.

    Returns:
        JSON types: `source`; how many `texts` there are and how many `differing_texts`; `kinds`, by kind of annotation
        its `name`, the `places` where one of the two says something, how often they `agreed`, the `share`, the counts
        `by_teacher` and `by_student`, and `examples`; `missing`, by the name of a kind that the student never writes
        the teacher's pipes that do; and `missing_pipes`, the teacher's pipes that write something and that the student
        does not have although nobody named them to be left out.

    Raises:
        DistillationError: TD414, the student fails.
    """
    found = judge(teacher.texts, teacher.annotated, take_statement("student", student, teacher.texts).annotated)
    return {
        "source": source,
        "texts": found.texts,
        "differing_texts": found.differing_texts,
        "kinds": {
            kind: {
                "name": name_kind(kind),
                "share": agreement.share,
                **asdict(agreement),
                "examples": [
                    {key: _shorten(value) for key, value in asdict(example).items()} for example in agreement.examples
                ],
            }
            for kind, agreement in found.kinds.items()
        },
        "missing": {name_kind(kind): teacher.writers.get(kind, []) for kind in found.missing},
        "missing_pipes": _missing_pipes(teacher, student),
    }


def share_of_pipes(report: Mapping[str, Any]) -> float:
    """How many of the pipes that are scored or missing the student has, from 0 to 1: a missing one's score is 0.

    Args:
        report: A report, or what is known of it: `pipes` and `raw_text`.
    """
    scored = len([pipe for pipe in report["pipes"] if pipe != "tokenizer"])
    missing = len(report["raw_text"]["missing_pipes"]) if report["raw_text"] else 0
    return scored / (scored + missing) if missing else 1.0


# These take the names and texts of others through `quote`, so that a page can make them safe.


def agreement_text(found: Mapping[str, Any], quote: Callable[[str], str] = str) -> str:
    """Say how much is the same: "tags 97.3 %, entities 91.2 % the same from raw text"; only what differs is named."""
    differing = [
        f"{quote(kind['name'])} {floor(1000 * kind['share']) / 10:.1f} %"
        for kind in found["kinds"].values()
        if kind["agreed"] < kind["places"]
    ]
    texts = f"{found['texts']:,} {'text' if found['texts'] == 1 else 'texts'}, {SOURCES[found['source']]}"
    return f"{', '.join(differing) or 'everything'} the same from raw text ({texts})"


def missing_text(found: Mapping[str, Any], quote: Callable[[str], str] = str) -> str:
    """Say what the student never writes, with the teacher's pipes that do; empty where it lacks nothing."""
    kinds = [
        f"{quote(kind)} ({', '.join(map(quote, pipes))})" if pipes else quote(kind)
        for kind, pipes in found["missing"].items()
    ]
    # Pipes that write what others write, too, or change the tokens.
    named = {pipe for pipes in found["missing"].values() for pipe in pipes}
    kinds += [f"the work of {quote(pipe)}" for pipe in found["missing_pipes"] if pipe not in named]
    return f"not in the student: {', '.join(kinds)}" if kinds else ""


def tokens_text(found: Mapping[str, Any], quote: Callable[[str], str] = str) -> str:
    """Say that tokens differ, with examples; empty where they do not."""
    tokens = found["kinds"].get("tokens")
    if tokens is None or tokens["agreed"] == tokens["places"]:
        return ""
    examples = [
        f'"{quote(example["text"])}" is a token of the {"teacher" if example["teacher"] else "student"} alone'
        for example in tokens["examples"]
    ]
    return f"The student's tokens differ from the teacher's: {'; '.join(examples)}"


def print_raw_text(found: Mapping[str, Any] | None) -> None:
    """Print how teacher and student compare from raw text; None, they were not compared."""
    if found is None:
        msg.warn(NOT_COMPARED)
        return
    (msg.info if found["differing_texts"] else msg.good)(agreement_text(found))
    if text := missing_text(found):
        msg.warn(text)
    if text := tokens_text(found):
        msg.fail(text)


def _missing_pipes(teacher: Statement, student: Language) -> list[str]:
    writing = dict.fromkeys(pipe for pipes in teacher.writers.values() for pipe in pipes)
    settings = student.config.get("distillation", {})
    wanted = [pipe for pipe in writing if pipe not in (settings.get("leave_out") or ())]
    if settings and settings.get("leave_out") is None:
        # Whoever wrote the config by hand chose the pipes.
        return []
    present = {*student.component_names, *settings.get("student_to_teacher", {}).values()}
    return [pipe for pipe in wanted if pipe not in present]


def _shorten(value: Any) -> str | None:
    text = None if value is None else str(value)
    return text if text is None or len(text) <= MOST_CHARACTERS else f"{text[: MOST_CHARACTERS - 1]}…"
