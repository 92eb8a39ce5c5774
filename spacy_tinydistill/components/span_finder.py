"""Span_finder: two probabilities for each token, that a span begins there and that one ends there."""

from collections.abc import Sequence
from typing import Any

import numpy
from spacy.pipeline import SpanFinder
from spacy.tokens import Doc

from ..pipes.pipeline import annotates_as_spacy, spacy_kind
from ..pipes.transfer import fetch
from ..targets.records import Arrays
from .base import Mirror, Size
from .soft_labels import SoftLabels


class SpanBounds(SoftLabels):
    """Soft labels for each token (Hinton et al., arXiv 1503.02531): whether a span begins there, and whether one ends.

    The two do not exclude each other, so the loss is the binary cross-entropy of each. The pipe's own settings, such
    as its threshold, decide which spans come out; the student has its teacher's.

    Args:
        temperature: Softens both distributions before they are compared; see `losses.soft_cross_entropy`.
    """

    def accepts(self, student: Any, teacher: Any) -> bool:
        """Both find spans."""
        return spacy_kind(student) is SpanFinder and spacy_kind(teacher) is SpanFinder and annotates_as_spacy(teacher)

    def mirror(self, teacher: Any, size: Size) -> Mirror | None:
        """One linear layer on the shared encoder."""
        if spacy_kind(teacher) is not SpanFinder:
            return None
        scorer = {"@layers": "spacy.LinearLogistic.v1", "nO": 2, "nI": None}
        model = {"@architectures": "spacy.SpanFinder.v1", "scorer": scorer, "tok2vec": size.listener()}
        return Mirror("span_finder", model)

    def record(self, teacher: Any, docs: Sequence[Doc]) -> list[Arrays]:
        """Record `probabilities`, float16, shape (tokens, 2)."""
        (scores,) = fetch([teacher.predict(docs).astype("float16")])
        ends = numpy.cumsum([len(doc) for doc in docs])[:-1]
        return [{"probabilities": rows} for rows in numpy.split(scores, ends)]

    def list_labels(self, pipe: Any) -> list[str]:
        """Name the two columns, which are the same for all."""
        return ["start", "end"]
