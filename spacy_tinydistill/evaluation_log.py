"""What a run notes at each evaluation, one line of JSON each, for its learning curve."""

import json
import math
from pathlib import Path
from typing import Any

from .files import write_whole

CURVE_NAME = "scores.jsonl"

# No number in a curve is larger; one that is was not written by a run.
MOST = 1e18


def cut_back(path: Path, step: int) -> None:
    """Leave of an earlier run's lines those that a run which goes on after a step will not write again.

    Args:
        path: The file; made where there is none.
        step: The last step that was made; -1 in a new run.
    """
    lines = [point for point in read_curve(path) if point["step"] <= step]
    write_whole(path, "".join(map(_to_line, lines)).encode())


def add_point(path: Path, info: dict[str, Any]) -> None:
    """Note an evaluation.

    Args:
        path: The file.
        info: As the loop tells its logger.
    """
    point = {
        **{key: info[key] for key in ("step", "epoch", "words", "seconds")},
        "score": info["score"],
        "losses": _only_numbers(info["losses"]),
        # Without those by label, which are many, and spaCy's words/s, which is another each time.
        "scores": {name: score for name, score in _only_numbers(info["other_scores"]).items() if name != "speed"},
    }
    with path.open("a", encoding="utf8") as file:
        file.write(_to_line(point))


def read_curve(path: Path) -> list[dict[str, Any]]:
    """Read the lines that were written whole.

    Args:
        path: The file; what is none of ours is passed over, and so is a file that is not there.

    Returns:
        By step: `step`, `epoch`, `words`, `seconds`, `score`, and `losses` and `scores` by name.
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
    # A file may hold an integer that is too large for a float.
    return abs(value) <= MOST and math.isfinite(value)
