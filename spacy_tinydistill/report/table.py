"""A report as tables on the console, made from its JSON."""

from collections.abc import Callable
from statistics import median
from typing import Any

from wasabi import msg

from ..gold_tokens import warn_of_alignment
from .raw_text import print_raw_text
from .verdict import compare_factor, verdict

ROLES = ("teacher", "student")
NOISY = 0.3
NOISE = (
    f"Passes over the same text differ by more than {NOISY:.0%} in speed. If other programs kept "
    "this machine busy, measure again when it is quiet."
)
CONDITIONS = {"1": "one thread", "accelerated": "one thread, accelerated", "all": "all cores", "gpu": "GPU"}


def print_report(report: dict[str, Any]) -> None:
    """Print a report: the verdict, scores in per cent, then speed and size."""
    msg.info(verdict(report))
    msg.table(
        score_rows(report),
        header=score_header(report),
        aligns=("l", "l", *"rrrrr")[: len(score_header(report))],
        divider=True,
        title="Scores (%)",
    )
    for text in alignment_warnings(report):
        msg.warn(text)
    print_raw_text(report["raw_text"])
    msg.info(writings_text(report["writings"]))
    msg.table(
        resource_rows(report),
        header=("", "Teacher", "Student", "Student is"),
        aligns=("l", "r", "r", "r"),
        divider=True,
        title="Speed and size",
    )
    if is_noisy(report):
        msg.warn(NOISE)


def is_noisy(report: dict[str, Any]) -> bool:
    """Whether the speed differs so much between passes that the machine may have been busy."""
    passes = [runs for role in ROLES for runs in report[role].get("words_per_second_runs", {}).values()]
    return any(_spread(runs) > NOISY for runs in passes)


def alignment_warnings(report: dict[str, Any]) -> list[str]:
    """Say of which of the two too few gold tokens are tokens for the scores to mean much."""
    said = [warn_of_alignment(f"the {role}'s", share) for role, share in report.get("aligned", {}).items()]
    return [text for text in said if text]


def score_header(report: dict[str, Any]) -> list[str]:
    """Name the columns of `score_rows`."""
    return ["Pipe", "Score", *(name for name, _ in _score_columns(report))]


def score_rows(report: dict[str, Any]) -> list[tuple[str, ...]]:
    """List the scores in per cent, each at the first pipe that has it. Precision and recall are left out if there is F.

    Columns in which there is nothing are left out; the tokenizer's scores come last.
    """
    columns = [column for _, column in _score_columns(report)]
    shown = _shown_scores(report)
    pipes: dict[str, str] = {}
    for pipe, names in sorted(report["pipes"].items(), key=lambda item: item[0] == "tokenizer"):
        for name in names:
            if name in shown and not (name[-2:] in ("_p", "_r") and f"{name[:-2]}_f" in names):
                pipes.setdefault(name, pipe)
    return [(pipe, name, *(percent(column.get(name)) for column in columns)) for name, pipe in pipes.items()]


def _score_columns(report: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """The columns with something in them, by their titles."""
    columns = {role.capitalize(): report[role]["scores"] for role in ROLES}
    columns |= {"Retention": report["retention"], "Agreement": report["agreement"]}
    # The share of gold tokens that a score counts.
    columns["Counted"] = report.get("counted") or {}
    shown = _shown_scores(report)
    return [(name, column) for name, column in columns.items() if any(column.get(score) is not None for score in shown)]


def _shown_scores(report: dict[str, Any]) -> set[str]:
    # With a teacher who was not asked there are none in common. Those by type are no rows.
    own = {name for name, score in report["student"]["scores"].items() if score is None or isinstance(score, float)}
    return set(report["agreement"]) or own


def resource_rows(report: dict[str, Any]) -> list[tuple[str, str, str, str]]:
    """List the measured speeds and sizes: name, teacher, student, gain."""
    teacher, student = report["teacher"], report["student"]

    def row(title: str, key: str, show: Callable[[float], str], gain: str) -> tuple[str, str, str, str]:
        return title, _shown(teacher[key], show), _shown(student[key], show), gain

    size = [
        row("On disk", "bytes", megabytes, times(report["compression"], "smaller", "larger")),
        row("Parameters", "parameters", lambda n: f"{n:,}", ""),
    ]
    if report["timing"] is None:
        return size
    speed = [
        (
            f"Words/s, {CONDITIONS[key]}",
            f"{words:,.0f}",
            f"{student['words_per_second'][key]:,.0f}",
            times(report["speed_up"][key], "faster", "slower"),
        )
        for key, words in teacher["words_per_second"].items()
    ]
    found = [side.get("latency") for side in (teacher, student)]
    latency = []
    if all(found):
        for name, key in (("median", "p50"), ("99 % below", "p99")):
            shown = [f"{1000 * one[key]:.1f} ms" for one in found]
            latency.append((f"One text at a time, {name}", shown[0], shown[1], ""))
    return [
        *speed,
        *size,
        *latency,
        row("Load time", "load_seconds", lambda s: f"{s:.2f} s", ""),
        row("Peak memory", "peak_memory", megabytes, ""),
    ]


def writings_text(writings: dict[str, Any] | None) -> str:
    """Say in one line how agreement is where people write otherwise."""
    if writings is None:
        return "Not compared on other writing, such as lower case: the teacher has an LLM"
    return "Agreement: " + ", ".join(f"{percent(found['overall'])} % {name}" for name, found in writings.items())


def _spread(runs: list[float]) -> float:
    return (max(runs) - min(runs)) / median(runs)


def percent(value: float | None) -> str:
    """Show a share in per cent."""
    return _shown(value, lambda score: f"{100 * score:.2f}")


def megabytes(n_bytes: float) -> str:
    """Show a size."""
    return f"{n_bytes / 1e6:,.1f} MB"


def times(value: float | None, more: str, less: str) -> str:
    """Show a factor, which is never below 1: what is not faster is slower."""
    return _shown(value, lambda factor: compare_factor(factor, more, less))


def _shown(value: float | None, show: Callable[[float], str]) -> str:
    return "-" if value is None else show(value)
