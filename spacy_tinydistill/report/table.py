"""A report as tables on the console, made from its JSON alone."""

from collections.abc import Callable
from statistics import median
from typing import Any

from wasabi import msg

ROLES = ("teacher", "student")
NOISY = 0.3
CONDITIONS = {"1": "one thread", "all": "all cores", "gpu": "GPU"}


def print_report(report: dict[str, Any]) -> None:
    """Print a report of `compare`: scores in per cent, then speed and size."""
    msg.table(
        _score_rows(report),
        header=("Pipe", "Score", "Teacher", "Student", "Retention", "Agreement"),
        aligns=("l", "l", "r", "r", "r", "r"),
        divider=True,
        title="Scores (%)",
    )
    msg.table(
        _resource_rows(report),
        header=("", "Teacher", "Student", "Student is"),
        aligns=("l", "r", "r", "r"),
        divider=True,
        title="Speed and size",
    )
    passes = [runs for role in ROLES for runs in report[role]["words_per_second_runs"].values()]
    if any(_spread(runs) > NOISY for runs in passes):
        msg.warn(
            f"Passes over the same text differ by more than {NOISY:.0%} in speed. If other programs kept "
            "this machine busy, measure again when it is quiet."
        )


def _score_rows(report: dict[str, Any]) -> list[tuple[str, ...]]:
    """Every score once, at the first pipe that has it; precision and recall not beside F."""
    columns = [report[role]["scores"] for role in ROLES]
    columns += [report["retention"], report["agreement"]]
    pipes: dict[str, str] = {}
    for pipe, names in report["pipes"].items():
        for name in names:
            if name in report["agreement"] and not (name[-2:] in ("_p", "_r") and f"{name[:-2]}_f" in names):
                pipes.setdefault(name, pipe)
    return [(pipe, name, *(_percent(column.get(name)) for column in columns)) for name, pipe in pipes.items()]


def _resource_rows(report: dict[str, Any]) -> list[tuple[str, str, str, str]]:
    teacher, student = report["teacher"], report["student"]

    def row(title: str, key: str, show: Callable[[float], str], gain: str) -> tuple[str, str, str, str]:
        return title, _shown(teacher[key], show), _shown(student[key], show), gain

    speed = [
        (
            f"Words/s, {CONDITIONS[key]}",
            f"{words:,.0f}",
            f"{student['words_per_second'][key]:,.0f}",
            _times(report["speed_up"][key], "faster"),
        )
        for key, words in teacher["words_per_second"].items()
    ]
    return [
        *speed,
        row("On disk", "bytes", _megabytes, _times(report["compression"], "smaller")),
        row("Parameters", "parameters", lambda n: f"{n:,}", ""),
        row("Load time", "load_seconds", lambda s: f"{s:.2f} s", ""),
        row("Peak memory", "peak_memory", _megabytes, ""),
    ]


def _spread(runs: list[float]) -> float:
    return (max(runs) - min(runs)) / median(runs)


def _percent(value: float | None) -> str:
    return _shown(value, lambda score: f"{100 * score:.2f}")


def _megabytes(n_bytes: float) -> str:
    return f"{n_bytes / 1e6:,.1f} MB"


def _times(value: float | None, word: str) -> str:
    return _shown(value, lambda factor: f"{factor:.1f} x {word}")


def _shown(value: float | None, show: Callable[[float], str]) -> str:
    return "-" if value is None else show(value)
