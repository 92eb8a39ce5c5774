"""A report as tables on the console, made from its JSON."""

from collections.abc import Callable
from statistics import median
from typing import Any

from wasabi import msg

from ..gold_tokens import warn_of_alignment
from .raw_text import print_raw_text

ROLES = ("teacher", "student")
NOISY = 0.3
NOISE = (
    f"Passes over the same text differ by more than {NOISY:.0%} in speed. If other programs kept "
    "this machine busy, measure again when it is quiet."
)
CONDITIONS = {"1": "one thread", "accelerated": "one thread, accelerated", "all": "all cores", "gpu": "GPU"}


def print_report(report: dict[str, Any]) -> None:
    """Print a report: scores in per cent, then speed and size."""
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
    header = ["Pipe", "Score", "Teacher", "Student", "Retention", "Agreement"]
    return [*header, "Counted"] if report.get("counted") else header


def score_rows(report: dict[str, Any]) -> list[tuple[str, ...]]:
    """List the scores in per cent, each at the first pipe that has it. Precision and recall are left out if there is F.

    With gold annotations the last column is the share of gold tokens that a score counts.
    """
    columns = [report[role]["scores"] for role in ROLES]
    columns += [report["retention"], report["agreement"]]
    if report.get("counted"):
        columns.append(report["counted"])
    # With a teacher who was not asked there are none in common. Those by type are no rows.
    shown = {name for name, score in report["student"]["scores"].items() if score is None or isinstance(score, float)}
    shown = report["agreement"].keys() or shown
    pipes: dict[str, str] = {}
    for pipe, names in report["pipes"].items():
        for name in names:
            if name in shown and not (name[-2:] in ("_p", "_r") and f"{name[:-2]}_f" in names):
                pipes.setdefault(name, pipe)
    return [(pipe, name, *(percent(column.get(name)) for column in columns)) for name, pipe in pipes.items()]


def resource_rows(report: dict[str, Any]) -> list[tuple[str, str, str, str]]:
    """List the measured speeds and sizes: name, teacher, student, gain."""
    teacher, student = report["teacher"], report["student"]

    def row(title: str, key: str, show: Callable[[float], str], gain: str) -> tuple[str, str, str, str]:
        return title, _shown(teacher[key], show), _shown(student[key], show), gain

    size = [
        row("On disk", "bytes", megabytes, times(report["compression"], "smaller")),
        row("Parameters", "parameters", lambda n: f"{n:,}", ""),
    ]
    if report["timing"] is None:
        return size
    speed = [
        (
            f"Words/s, {CONDITIONS[key]}",
            f"{words:,.0f}",
            f"{student['words_per_second'][key]:,.0f}",
            times(report["speed_up"][key], "faster"),
        )
        for key, words in teacher["words_per_second"].items()
    ]
    return [
        *speed,
        *size,
        row("Load time", "load_seconds", lambda s: f"{s:.2f} s", ""),
        row("Peak memory", "peak_memory", megabytes, ""),
    ]


def _spread(runs: list[float]) -> float:
    return (max(runs) - min(runs)) / median(runs)


def percent(value: float | None) -> str:
    """Show a share in per cent."""
    return _shown(value, lambda score: f"{100 * score:.2f}")


def megabytes(n_bytes: float) -> str:
    """Show a size."""
    return f"{n_bytes / 1e6:,.1f} MB"


def times(value: float | None, word: str) -> str:
    """Show a factor."""
    return _shown(value, lambda factor: f"{factor:.1f} x {word}")


def _shown(value: float | None, show: Callable[[float], str]) -> str:
    return "-" if value is None else show(value)
