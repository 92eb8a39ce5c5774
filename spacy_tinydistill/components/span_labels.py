"""Spancat and spancat_singlelabel: one row of probabilities for each span that the teacher looked at."""

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy
from spacy.pipeline.spancat import SpanCategorizer
from spacy.tokens import Doc
from thinc.api import set_dropout_rate
from thinc.types import Ragged

from ..targets.records import Arrays
from .base import (
    Average,
    Lesson,
    Reads,
    TeachingRule,
    check_temperature,
    match_labels,
    match_teachers,
    soft_label_gradient,
)

# Stands for "none of the labels", a column that spancat_singlelabel has and does not name.
NEGATIVE_LABEL = "(none)"


def span_labels(temperature: float = 1.0) -> "SpanLabels":
    """Make the rule `spacy-tinydistill.SpanLabels.v1`.

    Args:
        temperature: Softens teacher and student alike before they are compared; see `losses.soft_cross_entropy`.
    """
    return SpanLabels(temperature=temperature)


class SpanLabels(TeachingRule):
    """Soft labels for each suggested span (Hinton et al., arXiv 1503.02531).

    The student learns on the spans that the teacher's suggester proposed, so the two may have different ones.
    """

    # A suggester may read anything from the Doc: sentences, noun chunks, other span groups.
    reads: ClassVar[Reads] = Reads.EARLIER_ANNOTATIONS

    def __init__(self, *, temperature: float) -> None:
        self.temperature = check_temperature(temperature)

    def accepts(self, student: Any, teacher: Any) -> bool:
        """Both are span categorizers, with a column for "none" in both or in neither."""
        return (
            isinstance(student, SpanCategorizer)
            and isinstance(teacher, SpanCategorizer)
            and student.add_negative_label == teacher.add_negative_label
        )

    def record(self, teacher: Any, docs: Sequence[Doc]) -> list[Arrays]:
        """Record `spans`, int32, shape (spans, 2), start and end; `probabilities`, float16, (spans, labels)."""
        spans, scores = teacher.predict(docs)
        ops = teacher.model.ops
        lengths = ops.to_numpy(spans.lengths)
        ends = numpy.cumsum(lengths)[:-1]
        n_labels = len(_label_names(teacher))
        bounds = ops.to_numpy(spans.dataXd).reshape((-1, 2)).astype("int32")
        probabilities = ops.to_numpy(scores).reshape((-1, n_labels)).astype("float16")
        return [
            {"spans": doc_bounds, "probabilities": doc_probabilities}
            for doc_bounds, doc_probabilities in zip(
                numpy.split(bounds, ends), numpy.split(probabilities, ends), strict=True
            )
        ]

    def describe(self, teacher: Any) -> dict[str, Any]:
        """Name the teacher's labels, in its order."""
        return {"labels": _label_names(teacher)}

    def start(self, student: Any, name: str, teacher: dict[str, Any]) -> "SpanLabelsLesson":
        """Bind the rule; the labels may be in another order."""
        columns = match_labels(name, _label_names(student), teacher["labels"])
        return SpanLabelsLesson(student, columns, self.temperature)

    def average(
        self, name: str, teachers: Sequence[dict[str, Any]], weights: Sequence[float]
    ) -> tuple[dict[str, Any], Average]:
        """Average the probabilities of each span, over those teachers whose suggesters proposed it."""
        columns = match_teachers(name, [teacher["labels"] for teacher in teachers])

        def average(said: Sequence[Arrays]) -> Arrays:
            proposed = numpy.concatenate([arrays["spans"] for arrays in said])
            spans, places_of = numpy.unique(proposed, axis=0, return_inverse=True)
            rows = numpy.split(places_of.reshape(-1), numpy.cumsum([len(arrays["spans"]) for arrays in said])[:-1])
            sums = numpy.zeros((len(spans), len(columns[0])), dtype="float32")
            shares = numpy.zeros((len(spans), 1), dtype="float32")
            for arrays, places, at, weight in zip(said, columns, rows, weights, strict=True):
                sums[numpy.ix_(at, places)] += weight * arrays["probabilities"].astype("float32")
                shares[at] += weight
            return {"spans": spans, "probabilities": sums / shares}

        return {"labels": teachers[0]["labels"]}, average


class SpanLabelsLesson(Lesson):
    """`SpanLabels` at work."""

    def __init__(self, student: Any, columns: numpy.ndarray, temperature: float) -> None:
        self.student = student
        self.columns = columns
        self.temperature = temperature

    def update(self, docs: Sequence[Doc], targets: Sequence[Arrays], *, dropout: float) -> float:
        """Learn the soft labels of the batch's spans; a batch without any has loss 0."""
        model = self.student.model
        spans = Ragged(
            model.ops.asarray2i(numpy.concatenate([arrays["spans"] for arrays in targets])),
            model.ops.asarray1i([len(arrays["spans"]) for arrays in targets]),
        )
        if not len(spans.dataXd):
            return 0.0
        set_dropout_rate(model, dropout)
        scores, backprop = model.begin_update((docs, spans))
        teacher = numpy.zeros(scores.shape, dtype="float32")
        teacher[:, self.columns] = numpy.concatenate([arrays["probabilities"] for arrays in targets])
        gradient, loss = soft_label_gradient(model, scores, teacher, temperature=self.temperature)
        backprop(gradient)
        return loss


def _label_names(pipe: Any) -> list[str]:
    return [*pipe.labels, NEGATIVE_LABEL] if pipe.add_negative_label else list(pipe.labels)
