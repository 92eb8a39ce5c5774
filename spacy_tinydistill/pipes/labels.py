"""The annotations of pipes on Docs, as labels at places."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

from spacy.language import Language
from spacy.pipeline import MultiLabel_TextCategorizer, TextCategorizer
from spacy.tokens import Doc, Token

# Of a span that has none, such as a span_finder's.
NO_LABEL = "(span)"


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


def list_layers(nlp: Language) -> list[Layer]:
    """List the kinds of annotations that a pipeline's pipes declare to assign, each kind once."""
    layers: dict[tuple[str, str, frozenset[str]], Layer] = {}
    for name in nlp.pipe_names:
        if layer := layer_of(nlp, name):
            layers.setdefault((layer.kind, layer.key, layer.labels), layer)
    return list(layers.values())


def layer_of(nlp: Language, name: str) -> Layer | None:
    """Find the kind of annotation that a pipe declares to assign; None for an unknown one."""
    pipe = nlp.get_pipe(name)
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
    return Layer(name, kind, key, labels, partial(_READERS[kind], **settings)) if kind else None


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
        marks.setdefault(Place(span.start_char, span.end_char), set()).add(Mark(span.label_ or NO_LABEL))
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
