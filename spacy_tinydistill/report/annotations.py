"""The annotations of two pipelines as labels at places, to compare them label by label."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

from ..pipes.labels import Layer, Mark, Marks, Place, Said

# Of the pairs of labels that a student confuses, so many are listed for each pipe, the most frequent first.
PAIRS = 20


@dataclass(frozen=True)
class Reading:
    """One layer of all Docs."""

    layer: Layer
    pairs: list[tuple[Marks, Marks] | None]  # By Doc: the teacher's and the student's; None where one says nothing


def read_layers(layers: Sequence[Layer], teacher: Sequence[Said], student: Sequence[Said]) -> list[Reading]:
    """Read the annotations of both pipelines.

    Args:
        layers: The kinds of annotations to read.
        teacher: The teacher's Docs.
        student: The student's, of the same texts.
    """
    readings = []
    for layer in layers:
        pairs = []
        for theirs, ours in zip(teacher, student, strict=True):
            said = layer.read(theirs), layer.read(ours)
            pairs.append(None if said[0] is None or said[1] is None else (said[0], said[1]))
        readings.append(Reading(layer, pairs))
    return readings


def count_labels(readings: Sequence[Reading]) -> dict[str, dict[str, dict[str, float]]]:
    """Count each label, and compute how well the student agrees with the teacher on it.

    Returns:
        By pipe and label, the teacher's most frequent first: `teacher` and `student`, the number of times that each
        predicts it, and `agreement`, the student's F score with the teacher as reference. A dependency agrees if its
        head agrees too. Lemmas are not counted.
    """
    counts: dict[str, dict[str, dict[str, float]]] = {}
    for reading in readings:
        if reading.layer.kind == "token.lemma":
            continue
        teacher, student, both = Counter[str](), Counter[str](), Counter[str]()
        for theirs, ours in filter(None, reading.pairs):
            for place in theirs.keys() | ours.keys():
                at_teacher, at_student = theirs.get(place, set()), ours.get(place, set())
                teacher.update(mark.label for mark in at_teacher)
                student.update(mark.label for mark in at_student)
                both.update(mark.label for mark in at_teacher & at_student)
        labels = sorted(teacher.keys() | student.keys(), key=lambda label: (-teacher[label], -student[label], label))
        if labels:
            counts[reading.layer.pipe] = {
                label: {
                    "teacher": teacher[label],
                    "student": student[label],
                    "agreement": 2 * both[label] / (teacher[label] + student[label]),
                }
                for label in labels
            }
    return counts


def count_confusions(readings: Sequence[Reading]) -> dict[str, list[dict[str, Any]]]:
    """Count the labels that the student predicts where the teacher predicts another.

    Returns:
        By pipe, the most frequent first: the labels of `teacher` and `student`, None for no label, and `count`.
    """
    confusions = {}
    for reading in readings:
        pairs = Counter(
            (theirs and theirs.label, ours and ours.label)
            for marks in filter(None, reading.pairs)
            for _, theirs, ours in differences(*marks)
        )
        found = [(pair, count) for pair, count in pairs.items() if pair[0] != pair[1]]
        found.sort(key=lambda item: (-item[1], item[0][0] or "", item[0][1] or ""))
        if found:
            confusions[reading.layer.pipe] = [
                {"teacher": pair[0], "student": pair[1], "count": count} for pair, count in found[:PAIRS]
            ]
    return confusions


def differences(teacher: Marks, student: Marks) -> Iterator[tuple[Place, Mark | None, Mark | None]]:
    """List the places where two pipelines differ, in text order, with the label of each."""
    for place in sorted(teacher.keys() | student.keys()):
        theirs, ours = teacher.get(place, set()), student.get(place, set())
        for pair in zip_longest(sorted(theirs - ours), sorted(ours - theirs)):
            yield place, *pair
