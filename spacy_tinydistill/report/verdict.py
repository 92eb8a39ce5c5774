"""What a report says in ten seconds, read off its JSON: a sentence, a light for each pipe, and the figures."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# A pipe's agreement from which its light is green, and from which it is yellow.
GREEN, YELLOW = 0.95, 0.85

# The score that stands for a pipe: the first of these that it has.
MAIN_SCORES = ("dep_las", "ents_f", "tag_acc", "morph_acc", "pos_acc", "lemma_acc", "cats_macro_f", "sents_f")

# What people call them.
SCORE_NAMES = {
    "dep_las": "LAS",
    "ents_f": "entity F",
    "tag_acc": "tag accuracy",
    "morph_acc": "morphology accuracy",
    "pos_acc": "part-of-speech accuracy",
    "lemma_acc": "lemma accuracy",
    "cats_macro_f": "category macro F",
    "sents_f": "sentence F",
}

# Folders in which every run's students are.
COMMON_FOLDERS = ("model-best", "model-last")

# What spaCy calls a pipeline that nobody named.
NO_NAME = "pipeline"

# The labels that a student gives least as its teacher does, among those that the teacher gives often enough to tell.
OFTEN = 10
WEAKEST_LABELS = 2


@dataclass(frozen=True)
class Light:
    """How well the student follows the teacher in one pipe."""

    pipe: str
    score: str  # spaCy's name for the score that stands for the pipe
    agreement: float | None
    colour: str  # "green", "yellow", "red", or "none" where there is nothing to tell
    says: str


SAYS = {
    "green": "follows its teacher",
    "yellow": "differs in places: look at the weakest labels",
    "red": "often differs from its teacher",
    "none": "nothing to compare",
}


def title_of(pipeline: Mapping[str, Any]) -> str:
    """Name a pipeline: by its own name, or by its folder where nobody named it.

    Args:
        pipeline: The report's `teacher` or `student`.
    """
    name = str(pipeline["name"])
    if name.partition("_")[2] != NO_NAME or not pipeline.get("path"):
        return name
    path = Path(str(pipeline["path"]))
    return (path.parent.name if path.name in COMMON_FOLDERS else path.name) or name


def verdict(report: Mapping[str, Any]) -> str:
    """Say in one sentence how much the student keeps, for what speed and size, and where it is weakest."""
    student, teacher = title_of(report["student"]), title_of(report["teacher"])
    retention, agreement = report["overall"]["retention"], report["overall"]["agreement"]
    scored = main_scores(report)
    if retention is not None:
        (what,) = [score_name(score) for score in scored.values()] if len(scored) == 1 else ["score"]
        said = f"{student} keeps {_percent(retention)} of the {what} of {teacher}"
    elif agreement is not None:
        said = f"{student} says the same as {teacher} in {_percent(agreement)} of cases"
    else:
        said = f"{student} was not compared with {teacher}"
    gains = [*_speed(report), *_size(report)]
    said += f", {' and '.join(gains)}" if gains else ""
    missing = report["raw_text"]["missing_pipes"] if report["raw_text"] else []
    said += f"; missing: {', '.join(missing)}" if missing else ""
    weakest = [label for _, label, _, _ in weakest_labels(report)[:WEAKEST_LABELS]]
    return said + (f"; weakest: {', '.join(weakest)}." if weakest else ".")


def lights(report: Mapping[str, Any]) -> list[Light]:
    """Judge each pipe by the agreement in the score that stands for it."""
    found = []
    for pipe, score in main_scores(report).items():
        agreement = report["agreement"].get(score)
        colour = "none"
        if agreement is not None:
            colour = "green" if agreement >= GREEN else "yellow" if agreement >= YELLOW else "red"
        found.append(Light(pipe, score, agreement, colour, SAYS[colour]))
    return found


def main_scores(report: Mapping[str, Any]) -> dict[str, str]:
    """The score that stands for each pipe; pipes without a score, and tokenizers, are left out."""
    found = {}
    for pipe, names in report["pipes"].items():
        known = [name for name in names if name in report["agreement"] or name in report["student"]["scores"]]
        best = [name for name in MAIN_SCORES if name in known] or [name for name in known if name.endswith("_f")]
        if best and pipe != "tokenizer":
            found[pipe] = best[0]
    return found


def weakest_labels(report: Mapping[str, Any]) -> list[tuple[float, str, str, int]]:
    """List labels that the teacher gives often, those first in which the student agrees least.

    Returns:
        The agreement, which is below 1, the label, its pipe, and how often the teacher gives it.
    """
    return sorted(
        (counts["agreement"], label, pipe, counts["teacher"])
        for pipe, labels in report["labels"].items()
        for label, counts in labels.items()
        if counts["teacher"] >= OFTEN and counts["agreement"] < 1
    )


def score_name(score: str) -> str:
    """Call a score what people call it."""
    return SCORE_NAMES.get(score, score)


def compare_factor(value: float, more: str, less: str) -> str:
    """Say a factor such that it is never below 1: "11.2 times the speed" would be "0.9 times" for a slower one.

    Args:
        value: The factor.
        more: The word for a factor above 1, such as "faster".
        less: The word for a factor below 1.
    """
    if abs(value - 1) < 0.05:
        return "the same"
    return f"{value:.1f} x {more}" if value > 1 else f"{1 / value:.1f} x {less}"


def _speed(report: Mapping[str, Any]) -> Iterator[str]:
    factor = report["speed_up"].get("1")
    if factor and factor >= 1:
        yield f"at {factor:.0f} times its speed" if factor >= 10 else f"at {factor:.1f} times its speed"
    elif factor:
        yield f"{1 / factor:.1f} times slower"


def _size(report: Mapping[str, Any]) -> Iterator[str]:
    factor = report["compression"]
    if factor:
        yield f"in 1/{factor:.0f} of its bytes" if factor >= 1.5 else f"in {_percent(1 / factor)} of its bytes"


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"
