"""Spancat and spancat_singlelabel: one row of probabilities for each span that the teacher looked at."""

from collections.abc import Sequence
from functools import partial
from typing import Any, ClassVar

import numpy
from spacy.pipeline.spancat import SpanCategorizer, ngram_suggester, preset_spans_suggester
from spacy.tokens import Doc
from thinc.types import Ragged

from ..pipes.pipeline import annotates_as_spacy, spacy_kind
from ..pipes.transfer import fetch
from ..targets.records import Arrays
from .base import Mirror, Reads, Size, output_activation
from .soft_labels import SoftLabels

# Stands for "none of the labels", a column that spancat_singlelabel has and does not name.
NEGATIVE_LABEL = "(none)"


class SpanLabels(SoftLabels):
    """Soft labels for each suggested span (Hinton et al., arXiv 1503.02531).

    The student learns the spans that the teacher's suggester proposed, so the two may have different suggesters.

    Args:
        temperature: Softens both distributions before they are compared; see `losses.soft_cross_entropy`.
    """

    # A suggester may read anything from the Doc: sentences, noun chunks, other span groups.
    reads: ClassVar[Reads] = Reads.EARLIER_ANNOTATIONS

    def accepts(self, student: Any, teacher: Any) -> bool:
        """Both are span categorizers, with a column for "none" in both or in neither."""
        return (
            isinstance(student, SpanCategorizer)
            and isinstance(teacher, SpanCategorizer)
            and student.add_negative_label == teacher.add_negative_label
            and annotates_as_spacy(teacher)
        )

    def mirror(self, teacher: Any, size: Size) -> Mirror | None:
        """The mean and the maximum of the shared encoder's vectors in a span, and one hidden layer."""
        if spacy_kind(teacher) is not SpanCategorizer:
            return None
        activation = output_activation(teacher.model)
        is_exclusive = activation.startswith("softmax") or (activation != "logistic" and teacher.add_negative_label)
        model = {
            "@architectures": "spacy.SpanCategorizer.v1",
            "tok2vec": size.listener(),
            "reducer": {"@layers": "spacy.mean_max_reducer.v1", "hidden_size": size.width},
            "scorer": {"@layers": "Softmax.v2" if is_exclusive else "spacy.LinearLogistic.v1", "nO": None, "nI": None},
        }
        factory = "spancat_singlelabel" if teacher.add_negative_label else "spancat"
        settings = _suggester_of(teacher)
        return Mirror(factory, model, settings=settings, needed=() if settings else ("suggester",))

    def record(self, teacher: Any, docs: Sequence[Doc]) -> list[Arrays]:
        """Record `spans`, int32, shape (spans, 2), start and end; `probabilities`, float16, (spans, labels)."""
        spans, scores = teacher.predict(docs)
        lengths, bounds, probabilities = fetch([spans.lengths, spans.dataXd, scores.astype("float16")])
        ends = numpy.cumsum(lengths)[:-1]
        bounds = bounds.reshape((-1, 2)).astype("int32")
        probabilities = probabilities.reshape((-1, len(self.list_labels(teacher))))
        return [
            {"spans": doc_bounds, "probabilities": doc_probabilities}
            for doc_bounds, doc_probabilities in zip(
                numpy.split(bounds, ends), numpy.split(probabilities, ends), strict=True
            )
        ]

    def list_labels(self, pipe: Any) -> list[str]:
        """Name a pipe's labels, in its order, and the column for "none" where it has one."""
        return [*pipe.labels, NEGATIVE_LABEL] if pipe.add_negative_label else list(pipe.labels)

    def average_rows(
        self, said: Sequence[Arrays], columns: Sequence[numpy.ndarray], weights: Sequence[float]
    ) -> Arrays:
        """Average the probabilities of each span, over those teachers whose suggesters proposed it."""
        proposed = numpy.concatenate([arrays["spans"] for arrays in said])
        spans, places_of = numpy.unique(proposed, axis=0, return_inverse=True)
        places = numpy.split(places_of.reshape(-1), numpy.cumsum([len(arrays["spans"]) for arrays in said])[:-1])
        sums = numpy.zeros((len(spans), len(columns[0])), dtype="float32")
        shares = numpy.zeros((len(spans), 1), dtype="float32")
        for arrays, own_columns, at, weight in zip(said, columns, places, weights, strict=True):
            sums[at] += weight * self.read_rows(arrays, own_columns, len(own_columns))
            shares[at] += weight
        return {"spans": spans, "probabilities": sums / shares}

    def make_input(self, model: Any, docs: Sequence[Doc], targets: Sequence[Arrays]) -> Any:
        """Put the spans beside the Docs."""
        spans = numpy.concatenate([arrays["spans"] for arrays in targets])
        lengths = [len(arrays["spans"]) for arrays in targets]
        return docs, Ragged(model.ops.asarray2i(spans), model.ops.asarray1i(lengths))


def _suggester_of(pipe: Any) -> dict[str, Any]:
    """Write the block of a pipe's suggester, if it is one of spaCy's; nothing for others."""
    suggester = pipe.suggester
    if isinstance(suggester, partial) and suggester.func is ngram_suggester:
        return {"suggester": {"@misc": "spacy.ngram_suggester.v1", **suggester.keywords}}
    if isinstance(suggester, partial) and suggester.func is preset_spans_suggester:
        return {"suggester": {"@misc": "spacy.preset_spans_suggester.v1", **suggester.keywords}}
    return {}
