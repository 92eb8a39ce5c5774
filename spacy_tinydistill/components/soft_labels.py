"""What the rules share that teach a pipe by the probabilities of its labels: of tokens, texts or spans."""

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy
from spacy.tokens import Doc
from thinc.api import set_dropout_rate

from ..losses import soft_binary_cross_entropy, soft_cross_entropy
from ..targets.records import Arrays
from .base import (
    Average,
    Lesson,
    TeachingRule,
    check_temperature,
    match_labels,
    match_teachers,
    output_activation,
    to_output_gradient,
)


class SoftLabels(TeachingRule):
    """Soft labels (Hinton et al., arXiv 1503.02531), exclusive or not as the student's model is.

    A rule of this kind records, for each Doc, `probabilities`: a row for each thing that is labelled, a column for each
    of the teacher's labels.

    Args:
        temperature: Softens both distributions before they are compared; see `losses.soft_cross_entropy`.
    """

    def __init__(self, temperature: float = 1.0) -> None:
        self.temperature = check_temperature(temperature)

    @abstractmethod
    def list_labels(self, pipe: Any) -> list[str]:
        """Name the columns of a pipe's probabilities, in their order."""

    def describe(self, teacher: Any) -> dict[str, Any]:
        """Name the teacher's labels, in its order."""
        return {"labels": self.list_labels(teacher)}

    def start(self, student: Any, name: str, teacher: dict[str, Any]) -> "SoftLabelsLesson":
        """Bind the rule; the labels may be in another order."""
        labels = self.list_labels(student)
        return SoftLabelsLesson(self, student, match_labels(name, labels, teacher["labels"]), len(labels))

    def average(
        self, name: str, teachers: Sequence[dict[str, Any]], weights: Sequence[float]
    ) -> tuple[dict[str, Any], Average]:
        """Average the probabilities."""
        columns = match_teachers(name, [teacher["labels"] for teacher in teachers])

        def average(said: Sequence[Arrays]) -> Arrays:
            return self.average_rows(said, columns, weights)

        return {"labels": teachers[0]["labels"]}, average

    def average_rows(
        self, said: Sequence[Arrays], columns: Sequence[numpy.ndarray], weights: Sequence[float]
    ) -> Arrays:
        """Average what several teachers recorded of a Doc.

        Args:
            said: What each of them recorded.
            columns: For each of them, the columns of its labels among the first one's.
            weights: How much each counts; they sum to 1.
        """
        rows = [self.read_rows(arrays, places, len(places)) for arrays, places in zip(said, columns, strict=True)]
        return {"probabilities": numpy.average(rows, axis=0, weights=weights).astype("float32")}

    def read_rows(self, arrays: Arrays, columns: numpy.ndarray, n_labels: int) -> numpy.ndarray:
        """Read what was recorded of a Doc.

        Args:
            arrays: What `record` returned for it.
            columns: For each of the teacher's labels, in its order, the student's column.
            n_labels: How many labels the student has.

        Returns:
            Probabilities, float32, shape (rows, n_labels); 0 for labels that the teacher does not have.
        """
        recorded = arrays["probabilities"].reshape(-1, len(columns))
        rows = numpy.zeros((len(recorded), n_labels), dtype="float32")
        rows[:, columns] = recorded
        return rows

    def compare(self, student: Any, teacher: Any, *, exclusive: bool) -> tuple[Any, float]:
        """Compute the loss. Override this method for a loss of your own.

        Args:
            student: The student's probabilities, shape (rows, labels).
            teacher: The teacher's probabilities, same shape and order.
            exclusive: Whether each row sums to 1. If not, each label is a yes/no question.

        Returns:
            The gradient with respect to the student's logits, same shape, and the loss summed over the rows.
        """
        loss_function = soft_cross_entropy if exclusive else soft_binary_cross_entropy
        return loss_function(student, teacher, temperature=self.temperature)

    def make_input(self, model: Any, docs: Sequence[Doc], targets: Sequence[Arrays]) -> Any:
        """Make of a batch what the student's model reads: by itself the Docs."""
        return docs


class SoftLabelsLesson(Lesson):
    """A rule of soft labels at work."""

    def __init__(self, rule: SoftLabels, student: Any, columns: numpy.ndarray, n_labels: int) -> None:
        self.rule = rule
        self.student = student
        self.columns = columns
        self.n_labels = n_labels

    def update(self, docs: Sequence[Doc], targets: Sequence[Arrays], *, dropout: float) -> float:
        """Learn the batch's soft labels; a batch in which nothing is labelled has loss 0."""
        teacher = numpy.concatenate([self.rule.read_rows(arrays, self.columns, self.n_labels) for arrays in targets])
        if not len(teacher):
            return 0.0
        model = self.student.model
        set_dropout_rate(model, dropout)
        scores, backprop = model.begin_update(self.rule.make_input(model, docs, targets))
        by_doc = isinstance(scores, list)
        rows = model.ops.xp.concatenate(scores) if by_doc else scores
        activation = output_activation(model)
        gradient, loss = self.rule.compare(rows, model.ops.asarray2f(teacher), exclusive=activation != "logistic")
        gradient = to_output_gradient(activation, rows, gradient)
        backprop(model.ops.unflatten(gradient, [len(part) for part in scores]) if by_doc else gradient)
        return loss
