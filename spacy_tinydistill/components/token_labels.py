"""Tagger, morphologizer, senter, trainable_lemmatizer: one distribution over labels for each token."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy
from spacy.pipeline import EditTreeLemmatizer, Morphologizer, SentenceRecognizer, Tagger
from spacy.tokens import Doc
from thinc.api import Model

from ..pipes.pipeline import annotates_as_spacy, spacy_kind
from ..pipes.transfer import fetch
from ..targets.records import Arrays, pack_soft_labels, unpack_soft_labels
from .base import Mirror, Size
from .soft_labels import SoftLabels

# spaCy's factories, by what they make.
FACTORIES: dict[type | None, str] = {
    Tagger: "tagger",
    Morphologizer: "morphologizer",
    SentenceRecognizer: "senter",
    EditTreeLemmatizer: "trainable_lemmatizer",
}


class TokenLabels(SoftLabels):
    """Soft labels for each token (Hinton et al., arXiv 1503.02531).

    Args:
        temperature: Softens both distributions before they are compared; see `losses.soft_cross_entropy`.
        top_k: The number of labels to record per token. 0 for all.
    """

    def __init__(self, temperature: float = 1.0, top_k: int = 16) -> None:
        super().__init__(temperature)
        if top_k < 0:
            raise ValueError(f"top_k is {top_k}, expected 0 or more.")
        self.top_k = top_k

    def accepts(self, student: Any, teacher: Any) -> bool:
        """Both tag tokens, and in the same way."""
        kind = spacy_kind(student)
        return kind in FACTORIES and spacy_kind(teacher) is kind and annotates_as_spacy(teacher)

    def mirror(self, teacher: Any, size: Size) -> Mirror | None:
        """One linear layer and a softmax on the shared encoder."""
        factory = FACTORIES.get(spacy_kind(teacher))
        if factory is None:
            return None
        model = {"@architectures": "spacy.Tagger.v2", "nO": None, "normalize": False, "tok2vec": size.listener()}
        return Mirror(factory, model)

    def record(self, teacher: Any, docs: Sequence[Doc]) -> list[Arrays]:
        """Record `probabilities` and `labels`, shape (tokens, k): see `targets.pack_soft_labels`."""
        with _normalized(teacher.model):
            scores = teacher.model.predict(docs)
        return [pack_soft_labels(rows, self.top_k) for rows in fetch(scores)]

    def list_labels(self, pipe: Any) -> list[str]:
        """Name a pipe's labels; a lemmatizer's are the edit trees' own text, since their numbers differ."""
        if isinstance(pipe, EditTreeLemmatizer):
            return [pipe.trees.tree_to_str(tree_id) for tree_id in pipe.labels]
        return list(pipe.labels)

    def read_rows(self, arrays: Arrays, columns: numpy.ndarray, n_labels: int) -> numpy.ndarray:
        """Read what was recorded of a Doc: see `targets.unpack_soft_labels`."""
        return unpack_soft_labels(arrays, columns, n_labels)


@contextmanager
def _normalized(model: Model) -> Iterator[None]:
    """Make `predict` give probabilities: `spacy.Tagger.v2` spares itself the softmax unless it is training."""
    spared = [node for node in model.walk() if node.attrs.get("softmax_normalize") is False]
    for node in spared:
        node.attrs["softmax_normalize"] = True
    try:
        yield
    finally:
        for node in spared:
            node.attrs["softmax_normalize"] = False
