"""The log of a run's evaluations, a line of JSON each: its learning curve."""

import json
import math
from pathlib import Path
from typing import Any

from .files import write_whole

CURVE_NAME = "scores.jsonl"

# Larger numbers were not written by a run.
MOST = 1e18


def cut_back(path: Path, step: int) -> None:
    """Remove the lines that a resumed run will write again.

    Args:
        path: The file; created if it does not exist.
        step: The last step before resuming; -1 in a new run.
    """
    lines = [point for point in read_curve(path) if point["step"] <= step]
    write_whole(path, "".join(map(_to_line, lines)).encode())


def add_point(path: Path, info: dict[str, Any]) -> None:
    """Add an evaluation.

    Args:
        path: The file.
        info: As the loop passes it to its logger.
    """
    point = {
        **{key: info[key] for key in ("step", "epoch", "words", "seconds")},
        "score": info["score"],
        "losses": _only_numbers(info["losses"]),
        # Without scores by label, which are many, and spaCy's words/s, which differs each time.
        "scores": {name: score for name, score in _only_numbers(info["other_scores"]).items() if name != "speed"},
    }
    with path.open("a", encoding="utf8", newline="\n") as file:
        file.write(_to_line(point))


def read_curve(path: Path) -> list[dict[str, Any]]:
    """Read the complete lines.

    Args:
        path: The file. Other lines are ignored. A file that does not exist has none.

    Returns:
        For each evaluation `step`, `epoch`, `words`, `seconds`, `score`, and `losses` and `scores` by name, in the
        order of the steps.
    """
    try:
        lines = path.read_text(encoding="utf8", errors="replace").splitlines()
    except OSError:
        return []
    points = {}
    for line in lines:
        point = _from_line(line)
        if point is not None:
            points[point["step"]] = point
    return [points[step] for step in sorted(points)]


def _to_line(point: dict[str, Any]) -> str:
    return json.dumps(point) + "\n"


def _from_line(line: str) -> dict[str, Any] | None:
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(found, dict) or not isinstance(found.get("step"), int):
        return None
    numbers = {key: found.get(key) for key in ("step", "epoch", "words", "seconds", "score")}
    if not all(map(_is_number, numbers.values())) or found["step"] < 0:
        return None
    groups = {key: found.get(key) for key in ("losses", "scores")}
    if not all(isinstance(group, dict) and all(map(_is_number, group.values())) for group in groups.values()):
        return None
    return numbers | groups


def _only_numbers(values: dict[str, Any]) -> dict[str, float]:
    return {name: float(value) for name, value in values.items() if _is_number(value)}


def _is_number(value: Any) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    # JSON can have an integer that is too large for a float.
    return abs(value) <= MOST and math.isfinite(value)
