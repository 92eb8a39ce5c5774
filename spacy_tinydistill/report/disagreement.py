"""The sentences on which two pipelines disagree most, as plain data that displaCy draws in its manual mode."""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from typing import Any

from spacy.displacy import get_doc_settings
from spacy.tokens import Doc, Span, Token

from ..pipes.labels import Layer, Mark, Place, Said, morph_label
from .annotations import Reading, differences

# So many are shown, shared among the ways to draw them.
SENTENCES = 20

# Longer sentences are shown in pieces of so many tokens.
MOST_TOKENS = 25

# So much of a text is shown beside its categories.
MOST_CHARACTERS = 400

# How each kind of annotation is drawn: what is drawn together is ranked together.
STYLES = {
    "token.tag": "dep",
    "token.morph": "dep",
    "token.dep": "dep",
    "token.lemma": "dep",
    "token.is_sent_start": "dep",
    "doc.ents": "ent",
    "doc.spans": "span",
    "doc.cats": "cats",
}


def find_disagreements(
    readings: Sequence[Reading], teacher: Sequence[Said], student: Sequence[Said]
) -> list[dict[str, Any]]:
    """Find the sentences on which the two pipelines differ most.

    Args:
        readings: Their annotations, from `read_layers`.
        teacher: The teacher's Docs.
        student: The student's.

    Returns:
        By the way they are drawn, those with most differences first: `style`, displaCy's or "cats"; `pipes` that are
        compared; `document`, counted from 0; `differences`, each with `pipe`, `text`, and what `teacher` and `student`
        say, None for nothing; and what is drawn of `teacher` and `student`: with "dep" `words` and `arcs`, with "ent"
        `text` and `ents`, with "span" `text`, `tokens` and `spans`, with "cats" `text` and `cats`, the probabilities.
        Sentences are the teacher's. If it sets none, or if they are long, they are pieces of `MOST_TOKENS`.
    """
    groups: dict[tuple[str, str], list[Reading]] = {}
    for reading in readings:
        groups.setdefault((STYLES[reading.layer.kind], reading.layer.key), []).append(reading)
    found = []
    for number, ((style, _), group) in enumerate(groups.items()):
        # What cannot be shared evenly goes to the first.
        share = SENTENCES // len(groups) + (number < SENTENCES % len(groups))
        find = _rank_texts if style == "cats" else _rank_pieces
        ranked = sorted(find(group, teacher, student), key=lambda item: item[0])
        for _, document, piece, differing in ranked[:share]:
            layers = [reading.layer for reading in group]
            found.append(
                {
                    "style": style,
                    "pipes": [layer.pipe for layer in layers],
                    "document": document,
                    "differences": [_describe(teacher[document].doc, *difference) for difference in differing],
                    "teacher": _DRAWINGS[style](teacher[document].doc, piece, layers),
                    "student": _DRAWINGS[style](student[document].doc, piece, layers),
                }
            )
    return found


# The name of a pipe, where it differs, and what teacher and student say there.
_Difference = tuple[str, Place, Mark | None, Mark | None]

# A part of a text, in characters.
_Piece = tuple[int, int]

# To sort by; the number of the Doc; the part of it; the differences in it.
_Ranked = tuple[tuple[float, int, int], int, _Piece, list[_Difference]]


def _rank_pieces(group: list[Reading], teacher: Sequence[Said], student: Sequence[Said]) -> Iterator[_Ranked]:
    for document in range(len(teacher)):
        differing = list(_differences_of(group, document))
        if not differing:
            continue
        pieces = list(_pieces(teacher[document].doc))
        starts = [start for start, _ in pieces]
        by_piece: dict[int, list[_Difference]] = {}
        for difference in differing:
            at = max(0, bisect_right(starts, difference[1].start) - 1)
            by_piece.setdefault(at, []).append(difference)
        for at, some in by_piece.items():
            yield (-len(some), document, at), document, pieces[at], some


def _rank_texts(group: list[Reading], teacher: Sequence[Said], student: Sequence[Said]) -> Iterator[_Ranked]:
    """Rank texts whose categories differ by how far apart the probabilities are."""
    labels = [label for reading in group for label in reading.layer.labels]
    for document, (theirs, ours) in enumerate(zip(teacher, student, strict=True)):
        differing = list(_differences_of(group, document))
        if differing:
            cats = theirs.doc.cats, ours.doc.cats
            distance = sum(abs(cats[0].get(label, 0.0) - cats[1].get(label, 0.0)) for label in labels)
            yield (-distance, document, 0), document, (0, len(theirs.doc.text)), differing


def _differences_of(group: list[Reading], document: int) -> Iterator[_Difference]:
    for reading in group:
        marks = reading.pairs[document]
        for difference in differences(*marks) if marks else ():
            yield reading.layer.pipe, *difference


def _pieces(doc: Doc) -> Iterator[_Piece]:
    sentences = doc.sents if doc.has_annotation("SENT_START") else [doc[:]]
    for sentence in sentences:
        for start in range(sentence.start, sentence.end, MOST_TOKENS):
            piece = doc[start : min(start + MOST_TOKENS, sentence.end)]
            yield piece.start_char, piece.end_char


def _describe(doc: Doc, pipe: str, place: Place, theirs: Mark | None, ours: Mark | None) -> dict[str, Any]:
    return {
        "pipe": pipe,
        "text": _shorten(doc.text[place.start : place.end], 60),
        "teacher": _show(theirs),
        "student": _show(ours),
    }


def _show(mark: Mark | None) -> str | None:
    if mark is None:
        return None
    return f"{mark.label} ← {_shorten(mark.head, 30)}" if mark.head else mark.label


def _tokens(doc: Doc, piece: _Piece) -> list[Token]:
    """The tokens that begin in a piece, without white space."""
    return [token for token in doc if piece[0] <= token.idx < piece[1] and not token.is_space]


def _draw_words(doc: Doc, piece: _Piece, layers: list[Layer]) -> dict[str, Any]:
    kinds = {layer.kind for layer in layers}
    tokens = _tokens(doc, piece)
    position = {token.i: i for i, token in enumerate(tokens)}
    words = [
        {
            "text": token.text,
            "tag": _tag(token, kinds),
            "lemma": token.lemma_ if "token.lemma" in kinds else None,
        }
        for token in tokens
    ]
    arcs = [
        {
            "start": min(position[token.i], position[token.head.i]),
            "end": max(position[token.i], position[token.head.i]),
            "label": token.dep_,
            "dir": "left" if token.i < token.head.i else "right",
        }
        for token in tokens
        if "token.dep" in kinds and token.head.i != token.i and token.head.i in position
    ]
    return {"words": words, "arcs": arcs, "settings": get_doc_settings(doc)}


def _tag(token: Token, kinds: set[str]) -> str:
    if "token.tag" in kinds:
        return token.tag_
    if "token.morph" in kinds:
        return token.pos_ or morph_label(token)
    return "S" if "token.is_sent_start" in kinds and token.is_sent_start else ""


def _draw_ents(doc: Doc, piece: _Piece, layers: list[Layer]) -> dict[str, Any]:
    start, end = piece
    ents = [
        {
            "start": max(ent.start_char, start) - start,
            "end": min(ent.end_char, end) - start,
            "label": ent.label_,
        }
        for ent in doc.ents
        if _overlaps(ent, piece)
    ]
    return {"text": doc.text[start:end], "ents": ents, "settings": get_doc_settings(doc)}


def _draw_spans(doc: Doc, piece: _Piece, layers: list[Layer]) -> dict[str, Any]:
    tokens = [token for token in doc if piece[0] <= token.idx < piece[1]]
    first, last = (tokens[0].i, tokens[-1].i + 1) if tokens else (0, 0)
    spans = [
        {
            "start_token": max(span.start, first) - first,
            "end_token": min(span.end, last) - first,
            "label": span.label_,
        }
        for span in doc.spans[layers[0].key]
        if _overlaps(span, piece)
    ]
    return {
        "text": doc.text[piece[0] : piece[1]],
        "tokens": [token.text for token in tokens],
        "spans": spans,
        "settings": get_doc_settings(doc),
    }


def _draw_cats(doc: Doc, piece: _Piece, layers: list[Layer]) -> dict[str, Any]:
    labels = sorted({label for layer in layers for label in layer.labels & doc.cats.keys()})
    cats = {label: float(doc.cats[label]) for label in labels}
    return {"text": _shorten(doc.text, MOST_CHARACTERS), "cats": cats, "settings": get_doc_settings(doc)}


def _overlaps(span: Span, piece: _Piece) -> bool:
    return span.start_char < piece[1] and span.end_char > piece[0]


def _shorten(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - 1] + "…"


_DRAWINGS = {"dep": _draw_words, "ent": _draw_ents, "span": _draw_spans, "cats": _draw_cats}
