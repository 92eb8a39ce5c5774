"""Textcat and textcat_multilabel, taught by a Hugging Face text classifier: what it leaves on the Doc."""

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy
from spacy.pipeline import MultiLabel_TextCategorizer, TextCategorizer
from spacy.tokens import Doc

from ..pipes.third_party import excludes, has_answered, is_text_classifier, list_labels
from ..targets.records import Arrays
from .base import Reads
from .soft_labels import SoftLabels


class TextScores(SoftLabels):
    """Soft labels for each Doc, like `TextLabels`, from an `hf_text_pipe` of spacy-huggingface-pipelines.

    Args:
        temperature: Softens both distributions before they are compared; see `losses.soft_cross_entropy`.
    """

    reads: ClassVar[Reads] = Reads.OWN_ANNOTATIONS

    def accepts(self, student: Any, teacher: Any) -> bool:
        """Both classify whole texts, with labels that exclude each other in both or in neither."""
        is_exclusive = not isinstance(student, MultiLabel_TextCategorizer)
        return (
            isinstance(student, TextCategorizer) and is_text_classifier(teacher) and excludes(teacher) == is_exclusive
        )

    def record(self, teacher: Any, docs: Sequence[Doc]) -> list[Arrays]:
        """Record `probabilities`, float16, shape (labels,)."""
        labels = list_labels(teacher)
        return [
            {"probabilities": numpy.array([doc.cats[label] for label in labels], dtype="float16")}
            if has_answered(teacher, doc)
            else {}
            for doc in docs
        ]

    def list_labels(self, pipe: Any) -> list[str]:
        """Name a pipe's labels, the student's or the classifier's, in its order."""
        return list_labels(pipe)
