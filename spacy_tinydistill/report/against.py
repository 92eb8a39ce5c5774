"""What got better and what got worse since an earlier student."""

from collections.abc import Iterator, Sequence
from typing import Any

from wasabi import msg

from ..pipes.labels import Layer, Marks, Place, Said
from .annotations import read_layers
from .table import percent

# So many examples of each are kept for a pipe.
EXAMPLES = 5
MOST_CHARACTERS = 100


def compare_students(
    layers: Sequence[Layer], reference: Sequence[Said], old: Sequence[Said], new: Sequence[Said]
) -> dict[str, dict[str, Any]]:
    """Compare two students place by place.

    Args:
        layers: The new student's annotations.
        reference: What is right about some texts: gold annotations, or what the teacher says.
        old: What the earlier student says about the same texts.
        new: What the new one says.

    Returns:
        By pipe: `better` and `worse`, how many places only the new or only the old student has right, and
        `better_examples` and `worse_examples`, each with the `text` around, the `place`, and what `right`, `old` and
        `new` are, None for nothing.
    """
    found = {}
    for before, after in zip(read_layers(layers, reference, old), read_layers(layers, reference, new), strict=True):
        counts: dict[str, Any] = {"better": 0, "worse": 0, "better_examples": [], "worse_examples": []}
        for said, pair, other in zip(reference, before.pairs, after.pairs, strict=True):
            for what, place, marks in _changes(pair, other):
                counts[what] += 1
                if len(counts[f"{what}_examples"]) < EXAMPLES:
                    counts[f"{what}_examples"].append(_describe(said, place, *marks))
        found[before.layer.pipe] = counts
    return found


def print_against(report: dict[str, Any]) -> None:
    """Print how a student compares with an earlier one; nothing if it was not compared."""
    found = report["against"]
    if found is None:
        return
    rows = [(name, percent(one["old"]), percent(one["new"])) for name, one in found["scores"].items()]
    title = f"Against {found['path']} (%, by {found['basis']})"
    msg.table(rows, header=("Score", "Old", "New"), aligns=("l", "r", "r"), divider=True, title=title)
    for pipe, counts in found["pipes"].items():
        msg.text(f"{pipe}: {counts['better']} places got better, {counts['worse']} got worse")
        for what in ("better", "worse"):
            for one in counts[f"{what}_examples"]:
                msg.text(f'  {what}: "{one["place"]}" was {one["old"]}, is {one["new"]}, right is {one["right"]}')


_Pair = tuple[Marks, Marks] | None


def _changes(before: _Pair, after: _Pair) -> Iterator[tuple[str, Place, tuple[str | None, ...]]]:
    if before is None or after is None:
        return
    (right, old), (_, new) = before, after
    for place in sorted(right.keys() | old.keys() | new.keys()):
        marks = [one.get(place, set()) for one in (right, old, new)]
        was_right, is_right = marks[1] == marks[0], marks[2] == marks[0]
        if was_right != is_right:
            yield "better" if is_right else "worse", place, tuple(map(_show, marks))


def _show(marks: set[Any]) -> str | None:
    return ", ".join(f"{mark.label} <- {mark.head}" if mark.head else mark.label for mark in sorted(marks)) or None


def _describe(said: Said, place: Place, right: str | None, old: str | None, new: str | None) -> dict[str, str | None]:
    text = said.doc.text
    around = text[max(0, place.start - MOST_CHARACTERS // 2) : place.end + MOST_CHARACTERS // 2]
    at = text[place.start : min(place.end, place.start + MOST_CHARACTERS)]
    return {"text": around, "place": at, "right": right, "old": old, "new": new}
