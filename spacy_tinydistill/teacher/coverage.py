"""How well texts fit a teacher: its unknown words, and the labels that it never predicts."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from spacy.language import Language
from spacy.tokens import Doc
from thinc.api import Model

from ..pipes.labels import Said, layer_of
from ..pipes.pipeline import pipes_of

# Letters of two scripts that no tokenizer was made for, cuneiform and Linear B.
UNKNOWN_LETTERS = ("\U00012000", "\U00010000")

# spaCy's `Morphology.EMPTY_MORPH`: a morphologizer's label that leaves nothing on a token.
EMPTY_MORPH = "_"

# What pipes write that is no label of theirs.
UNLABELLED = ("token.lemma", "token.is_sent_start")


@dataclass(frozen=True)
class Coverage:
    """The share of some texts that a teacher does not know."""

    known_by: str  # "pieces", a transformer's, or "vectors", of words
    words: int  # Without white space
    units: int  # Pieces or words
    unknown: int  # Of the units

    @property
    def units_per_word(self) -> float:
        """At least 1 where the words are known."""
        return self.units / max(self.words, 1)

    @property
    def share_unknown(self) -> float:
        """From 0 to 1."""
        return self.unknown / max(self.units, 1)


def measure_coverage(teacher: Language, docs: Sequence[Doc]) -> Coverage | None:
    """Count the pieces or words of some texts that a teacher does not know.

    Args:
        teacher: The pipeline.
        docs: The texts, as Docs of any vocabulary.

    Returns:
        The counts. None for a teacher without a transformer and word vectors: it hashes words, so none is unknown.
    """
    words = [token for doc in docs for token in doc if not token.is_space]
    for _, pipe in pipes_of(teacher):
        model = getattr(pipe, "model", None)
        if tokenizer := getattr(model, "tokenizer", None):  # spacy-transformers
            texts = [doc.text for doc in docs]
            # Not verbose: a warning would say that a text is longer than the transformer's window.
            pieces = [
                id for ids in tokenizer(texts, add_special_tokens=False, verbose=False)["input_ids"] for id in ids
            ]
            return Coverage("pieces", len(words), len(pieces), pieces.count(tokenizer.unk_token_id))
        if isinstance(model, Model) and model.has_ref("piece_encoder"):  # spacy-curated-transformers
            encoder = model.get_ref("piece_encoder")
            pieces = [piece for doc in _encode(encoder, docs) for piece in doc]
            return Coverage("pieces", len(words), len(pieces), pieces.count(_unknown_piece(encoder, teacher)))
    vectors = teacher.vocab.vectors
    if len(vectors):
        pairs = (pair for doc in docs for pair in zip(doc, doc.to_array(vectors.attr).tolist(), strict=True))
        unknown = sum(key not in vectors for token, key in pairs if not token.is_space)
        return Coverage("vectors", len(words), len(words), unknown)
    return None


def unpredicted_labels(teacher: Language, names: Iterable[str], docs: Iterable[Doc]) -> dict[str, list[str]]:
    """List the labels of a teacher's pipes that it did not predict anywhere.

    Args:
        teacher: The pipeline.
        names: The pipes to look at. Pipes without labels, or whose annotations are no labels, such as lemmas, are
            ignored.
        docs: Docs that the teacher annotated, with text categories as decisions.

    Returns:
        The labels by pipe, in the pipe's order. An empty list if all were predicted.
    """
    layers = {name: layer for name in names if (layer := layer_of(teacher, name)) and layer.kind not in UNLABELLED}
    labels: dict[str, Sequence[Any]] = {name: getattr(teacher.get_pipe(name), "labels", ()) for name in layers}
    found: dict[str, set[str]] = {name: {EMPTY_MORPH} for name in layers if labels[name]}
    for doc in docs:
        said = Said(doc, {label: float(value >= 0.5) for label, value in doc.cats.items()})
        for name in found:
            for marks in (layers[name].read(said) or {}).values():
                found[name].update(mark.label for mark in marks)
    return {name: [label for label in labels[name] if label not in found[name]] for name in found}


def _encode(encoder: Model, docs: Sequence[Doc]) -> Iterator[list[int]]:
    """Cut Docs into pieces, without those that a piece encoder puts at their beginning and end."""
    for pieces in encoder.predict(docs):
        yield encoder.ops.to_numpy(pieces.dataXd).ravel()[1:-1].tolist()


def _unknown_piece(encoder: Model, teacher: Language) -> int | None:
    """Find the piece that stands for whatever is unknown; None where a tokenizer has none, such as one of bytes.

    Each tokenizer keeps its number elsewhere, and some number their pieces anew afterwards.
    """
    one, other = _encode(encoder, [Doc(teacher.vocab, words=[letter]) for letter in UNKNOWN_LETTERS])
    # SentencePiece puts the beginning of a word first.
    return one[-1] if one == other else None
