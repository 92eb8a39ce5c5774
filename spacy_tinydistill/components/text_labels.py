"""Textcat and textcat_multilabel: one row of probabilities for each Doc."""

from collections.abc import Sequence
from typing import Any

import numpy
from spacy.pipeline import TextCategorizer
from spacy.tokens import Doc
from thinc.api import set_dropout_rate

from ..targets.records import Arrays
from .base import Average, Lesson, TeachingRule, check_temperature, match_labels, match_teachers, soft_label_gradient


def text_labels(temperature: float = 1.0) -> "TextLabels":
    """Make the rule `spacy-tinydistill.TextLabels.v1`.

    Args:
        temperature: Softens teacher and student alike before they are compared; see `losses.soft_cross_entropy`.
    """
    return TextLabels(temperature=temperature)


class TextLabels(TeachingRule):
    """Soft labels for each Doc (Hinton et al., arXiv 1503.02531), exclusive or not as the student's model is."""

    def __init__(self, *, temperature: float) -> None:
        self.temperature = check_temperature(temperature)

    def accepts(self, student: Any, teacher: Any) -> bool:
        """Both classify whole texts, with labels that exclude each other in both or in neither."""
        return isinstance(student, TextCategorizer) and type(student) is type(teacher)

    def record(self, teacher: Any, docs: Sequence[Doc]) -> list[Arrays]:
        """Record `probabilities`, float16, shape (labels,)."""
        scores = teacher.model.ops.to_numpy(teacher.predict(docs))
        return [{"probabilities": row} for row in scores.astype("float16")]

    def describe(self, teacher: Any) -> dict[str, Any]:
        """Name the teacher's labels, in its order."""
        return {"labels": list(teacher.labels)}

    def start(self, student: Any, name: str, teacher: dict[str, Any]) -> "TextLabelsLesson":
        """Bind the rule; the labels may be in another order."""
        columns = match_labels(name, list(student.labels), teacher["labels"])
        return TextLabelsLesson(student, columns, self.temperature)

    def average(
        self, name: str, teachers: Sequence[dict[str, Any]], weights: Sequence[float]
    ) -> tuple[dict[str, Any], Average]:
        """Average the probabilities."""
        columns = match_teachers(name, [teacher["labels"] for teacher in teachers])

        def average(said: Sequence[Arrays]) -> Arrays:
            probabilities = numpy.zeros(len(columns[0]), dtype="float32")
            for arrays, places, weight in zip(said, columns, weights, strict=True):
                probabilities[places] += weight * arrays["probabilities"].astype("float32")
            return {"probabilities": probabilities}

        return {"labels": teachers[0]["labels"]}, average


class TextLabelsLesson(Lesson):
    """`TextLabels` at work."""

    def __init__(self, student: Any, columns: numpy.ndarray, temperature: float) -> None:
        self.student = student
        self.columns = columns
        self.temperature = temperature

    def update(self, docs: Sequence[Doc], targets: Sequence[Arrays], *, dropout: float) -> float:
        """Learn the batch's soft labels."""
        model = self.student.model
        set_dropout_rate(model, dropout)
        scores, backprop = model.begin_update(docs)
        teacher = numpy.zeros(scores.shape, dtype="float32")
        teacher[:, self.columns] = numpy.stack([arrays["probabilities"] for arrays in targets])
        gradient, loss = soft_label_gradient(model, scores, teacher, temperature=self.temperature)
        backprop(gradient)
        return loss
