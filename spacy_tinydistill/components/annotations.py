"""Any component that writes to the Doc: its annotations are the lesson, as gold ones would be."""

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy
from spacy.language import Language
from spacy.pipeline import EntityRecognizer, MultiLabel_TextCategorizer, TextCategorizer
from spacy.tokens import Doc
from spacy.training import Example

from ..teacher.targets import Arrays, annotated_bytes, read_annotated_bytes
from .base import Lesson, Reads, TeachingRule


def annotations() -> "Annotations":
    """Make the rule `spacy-tinydistill.Annotations.v1`."""
    return Annotations()


class Annotations(TeachingRule):
    """Hard labels: what the teacher wrote to the Doc, learned by the student pipe's own `update`."""

    reads: ClassVar[Reads] = Reads.OWN_ANNOTATIONS

    def accepts(self, student: Any, teacher: Any) -> bool:
        """Whatever writes can teach whatever learns."""
        return hasattr(student, "update")

    def record(self, teacher: Any, docs: Sequence[Doc]) -> list[Arrays]:
        """Record `doc`, uint8: the annotated Doc as `targets.annotated_bytes` writes it."""
        return [{"doc": numpy.frombuffer(annotated_bytes(doc), dtype="uint8")} for doc in docs]

    def describe(self, teacher: Any) -> dict[str, Any]:
        """Nothing is needed beside the annotated Docs."""
        return {}

    def start(self, student: Any, name: str, teacher: dict[str, Any]) -> "AnnotationsLesson":
        """Bind the rule; the student learns whichever of its labels occur."""
        return AnnotationsLesson(student)


class AnnotationsLesson(Lesson):
    """`Annotations` at work."""

    def __init__(self, student: Any) -> None:
        self.student = student

    def update(self, docs: Sequence[Doc], targets: Sequence[Arrays], *, dropout: float) -> float:
        """Learn the batch's annotations."""
        examples = [
            Example(doc, read_annotated(arrays, self.student)) for doc, arrays in zip(docs, targets, strict=True)
        ]
        losses = self.student.update(examples, drop=dropout, losses={})
        return float(losses[self.student.name])


def read_annotated(arrays: Arrays, student: Any) -> Doc:
    """Read an annotated Doc back, in the form in which the student's pipe expects its gold.

    Args:
        arrays: What `Annotations.record` returned for the Doc.
        student: The pipe that will learn from it.
    """
    doc = read_annotated_bytes(arrays["doc"].tobytes(), student.vocab)
    if isinstance(student, EntityRecognizer):
        # A component that found no entity says nothing; here that means there is none, not that none is known.
        doc.set_ents(list(doc.ents), default="outside")
    if isinstance(student, TextCategorizer) and doc.cats:
        doc.cats = harden(doc.cats, exclusive=_is_exclusive(student))
    return doc


def harden_all(nlp: Language, doc: Doc) -> None:
    """Turn the label probabilities that a pipeline's text categorizers gave a Doc into decisions, in place."""
    for _, pipe in nlp.pipeline:
        if isinstance(pipe, TextCategorizer):
            cats = {label: doc.cats[label] for label in pipe.labels}
            doc.cats.update(harden(cats, exclusive=_is_exclusive(pipe)))


def harden(cats: dict[str, float], *, exclusive: bool) -> dict[str, float]:
    """Turn a text's label probabilities into decisions, 1.0 or 0.0, as spaCy's own text categorizers learn them.

    Args:
        cats: Probability by label.
        exclusive: Whether only the most probable label is true, or every one from 0.5 up.
    """
    if exclusive:
        best = max(cats, key=lambda label: cats[label])
        return {label: float(label == best) for label in cats}
    return {label: float(score >= 0.5) for label, score in cats.items()}


def _is_exclusive(pipe: TextCategorizer) -> bool:
    return not isinstance(pipe, MultiLabel_TextCategorizer)
