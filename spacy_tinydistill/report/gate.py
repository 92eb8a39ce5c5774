"""Whether a student is good enough, for a pipeline of releases: thresholds in, misses out."""

from collections.abc import Mapping
from typing import Any

from ..errors import DistillationError


def parse_thresholds(text: str) -> dict[str, float]:
    """Read thresholds as they are given on the command line, such as "tag_acc=0.99,dep_las=0.97".

    Raises:
        DistillationError: TD415, it is not written so.
    """
    thresholds = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        name, _, number = part.partition("=")
        try:
            thresholds[name.strip()] = float(number)
        except ValueError:
            raise DistillationError("TD415", found=part) from None
    return thresholds


def find_misses(
    report: Mapping[str, Any], *, min_retention: Mapping[str, float] | None = None, min_speedup: float | None = None
) -> list[str]:
    """List what a student misses; empty where it is good enough.

    Args:
        report: From `compare`.
        min_retention: The least retention by score, as shares of 1.
        min_speedup: How many times faster than its teacher it must be on one thread.

    Raises:
        DistillationError: TD416, there is no such score.
    """
    misses = []
    for name, least in (min_retention or {}).items():
        if name not in report["agreement"]:
            raise DistillationError("TD416", name=name, known=", ".join(sorted(report["agreement"])))
        kept = report["retention"].get(name)
        if kept is None:
            misses.append(f"{name}: its retention is not known, which takes gold annotations of it")
        elif not kept >= least:
            misses.append(f"{name}: retention {kept:.4f}, at least {least:g} is asked")
    if min_speedup is not None:
        factor = report["speed_up"].get("1")
        if factor is None:
            misses.append("The speed was not measured")
        elif not factor >= min_speedup:
            misses.append(f"speed: {factor:.2f} times the teacher's, at least {min_speedup:g} is asked")
    return misses
