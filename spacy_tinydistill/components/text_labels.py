"""Textcat and textcat_multilabel: one row of probabilities for each Doc."""

from collections.abc import Sequence
from typing import Any

from spacy.pipeline import TextCategorizer
from spacy.tokens import Doc

from ..targets.records import Arrays
from .soft_labels import SoftLabels


class TextLabels(SoftLabels):
    """Soft labels for each Doc (Hinton et al., arXiv 1503.02531), exclusive or not as the student's model is.

    Args:
        temperature: Softens teacher and student alike before they are compared; see `losses.soft_cross_entropy`.
    """

    def accepts(self, student: Any, teacher: Any) -> bool:
        """Both classify whole texts, with labels that exclude each other in both or in neither."""
        return isinstance(student, TextCategorizer) and type(student) is type(teacher)

    def record(self, teacher: Any, docs: Sequence[Doc]) -> list[Arrays]:
        """Record `probabilities`, float16, shape (labels,)."""
        scores = teacher.model.ops.to_numpy(teacher.predict(docs))
        return [{"probabilities": row} for row in scores.astype("float16")]

    def list_labels(self, pipe: Any) -> list[str]:
        """Name a pipe's labels, in its order."""
        return list(pipe.labels)
