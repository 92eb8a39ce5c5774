"""The annotations of two pipelines as labels at places, to compare them label by label."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import zip_longest
from typing import Any, NamedTuple

from spacy.language import Language
from spacy.pipeline import MultiLabel_TextCategorizer, TextCategorizer
from spacy.tokens import Doc, Token

# Of the pairs of labels that a student confuses, so many are listed for each pipe, the most frequent first.
PAIRS = 20


class Place(NamedTuple):
    """The characters that a label belongs to; the same for pipelines that tokenize differently."""

    start: int
    end: int
    slot: str = ""  # Of labels that do not exclude each other at one place, which


class Mark(NamedTuple):
    """A label at a place."""

    label: str
    head: str = ""  # Of a dependency
    head_start: int = -1


Marks = dict[Place, set[Mark]]


@dataclass(frozen=True)
class Said:
    """A Doc as a pipeline annotated it."""

    doc: Doc
    decided: dict[str, float]  # Its categories, each 0 or 1


@dataclass(frozen=True)
class Layer:
    """One kind of annotation, and the pipe of the student that writes it."""

    pipe: str
    kind: str  # What it is on a Doc, in spaCy's words
    key: str  # Of spans
    labels: frozenset[str]  # Of categories
    read: Callable[[Said], Marks | None]  # None where nothing of this kind was said


@dataclass(frozen=True)
class Reading:
    """One layer of all Docs."""

    layer: Layer
    pairs: list[tuple[Marks, Marks] | None]  # By Doc: the teacher's and the student's; None where one says nothing


def list_layers(nlp: Language) -> list[Layer]:
    """List the kinds of annotations that a pipeline's pipes declare to assign, each kind once."""
    layers: dict[tuple[str, str, frozenset[str]], Layer] = {}
    for name, pipe in nlp.pipeline:
        assigned = nlp.get_pipe_meta(name).assigns
        kind = next((kind for kind in _READERS if kind in assigned), "")
        key, labels, settings = "", frozenset[str](), dict[str, Any]()
        if kind == "doc.spans":
            # A span_finder, unlike the others, has it nowhere else.
            key = str(getattr(pipe, "key", None) or getattr(pipe, "cfg", {}).get("spans_key", ""))
            settings = {"key": key}
        elif kind == "doc.cats":
            labels = frozenset(map(str, getattr(pipe, "labels", ())))
            exclusive = isinstance(pipe, TextCategorizer) and not isinstance(pipe, MultiLabel_TextCategorizer)
            settings = {"labels": labels, "exclusive": exclusive}
        if kind:
            layer = Layer(name, kind, key, labels, partial(_READERS[kind], **settings))
            layers.setdefault((kind, key, labels), layer)
    return list(layers.values())


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


def morph_label(token: Token) -> str:
    """Name a token's part of speech and features like a morphologizer's label."""
    features = str(token.morph).split("|") if token.has_morph() else []
    return "|".join(sorted([*filter(None, features), *([f"POS={token.pos_}"] if token.pos else [])]))


def _by_token(said: Said, mark: Callable[[Token], Mark], *attributes: str) -> Marks | None:
    if not any(map(said.doc.has_annotation, attributes)):
        return None
    marks = ((token, mark(token)) for token in said.doc if not token.is_space)
    return {Place(token.idx, token.idx + len(token)): {mark} for token, mark in marks if mark.label}


def _read_tags(said: Said) -> Marks | None:
    return _by_token(said, lambda token: Mark(token.tag_), "TAG")


def _read_morphs(said: Said) -> Marks | None:
    return _by_token(said, lambda token: Mark(morph_label(token)), "MORPH", "POS")


def _read_lemmas(said: Said) -> Marks | None:
    return _by_token(said, lambda token: Mark(token.lemma_), "LEMMA")


def _read_deps(said: Said) -> Marks | None:
    return _by_token(said, lambda token: Mark(token.dep_, token.head.text, token.head.idx), "DEP")


def _read_starts(said: Said) -> Marks | None:
    return _by_token(said, lambda token: Mark("S" if token.is_sent_start else ""), "SENT_START")


def _read_ents(said: Said) -> Marks | None:
    if not said.doc.has_annotation("ENT_IOB"):
        return None
    return {Place(ent.start_char, ent.end_char): {Mark(ent.label_)} for ent in said.doc.ents}


def _read_spans(said: Said, key: str) -> Marks | None:
    if key not in said.doc.spans:
        return None
    marks: Marks = {}
    for span in said.doc.spans[key]:
        marks.setdefault(Place(span.start_char, span.end_char), set()).add(Mark(span.label_))
    return marks


def _read_cats(said: Said, labels: frozenset[str], exclusive: bool) -> Marks | None:
    if not said.decided:
        return None
    given = (label for label, value in said.decided.items() if value and label in labels)
    end = len(said.doc.text)
    return {Place(0, end, "" if exclusive else label): {Mark(label)} for label in given}


# By what a pipe declares that it assigns. A pipe that assigns several of these is read by the first: a parser by its
# dependencies, of which its sentences follow.
_READERS: dict[str, Callable[..., Marks | None]] = {
    "token.tag": _read_tags,
    "token.morph": _read_morphs,
    "token.dep": _read_deps,
    "token.lemma": _read_lemmas,
    "doc.ents": _read_ents,
    "doc.spans": _read_spans,
    "doc.cats": _read_cats,
    "token.is_sent_start": _read_starts,
}
