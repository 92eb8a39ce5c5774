"""Textcat and textcat_multilabel: one row of probabilities for each Doc."""

from collections.abc import Sequence
from typing import Any

from spacy.pipeline import MultiLabel_TextCategorizer, TextCategorizer
from spacy.tokens import Doc

from ..pipes.pipeline import annotates_as_spacy, spacy_kind
from ..pipes.transfer import fetch
from ..targets.records import Arrays
from .base import Mirror, Size
from .soft_labels import SoftLabels

# spaCy's factories, by what they make.
FACTORIES: dict[type | None, str] = {TextCategorizer: "textcat", MultiLabel_TextCategorizer: "textcat_multilabel"}


class TextLabels(SoftLabels):
    """Soft labels for each Doc (Hinton et al., arXiv 1503.02531), exclusive or not as the student's model is.

    Args:
        temperature: Softens both distributions before they are compared; see `losses.soft_cross_entropy`.
    """

    def accepts(self, student: Any, teacher: Any) -> bool:
        """Both classify whole texts, with labels that exclude each other in both or in neither."""
        kind = spacy_kind(student)
        return kind in FACTORIES and spacy_kind(teacher) is kind and annotates_as_spacy(teacher)

    def mirror(self, teacher: Any, size: Size) -> Mirror | None:
        """The mean and the maximum of the shared encoder's vectors, and one linear layer."""
        factory = FACTORIES.get(spacy_kind(teacher))
        if factory is None:
            return None
        model = {
            "@architectures": "spacy.TextCatReduce.v1",
            "exclusive_classes": factory == "textcat",
            "use_reduce_first": False,
            "use_reduce_last": False,
            "use_reduce_max": True,
            "use_reduce_mean": True,
            "nO": None,
            "tok2vec": size.listener(),
        }
        # The one setting that spaCy takes when a pipe is initialized, not when it is made.
        positive_label = teacher.cfg.get("positive_label")
        # A config doubles a "$". The student has the label all the same, with the rest of its teacher's `cfg`.
        is_written = positive_label and "$" not in positive_label
        return Mirror(factory, model, initialize={"positive_label": positive_label} if is_written else {})

    def record(self, teacher: Any, docs: Sequence[Doc]) -> list[Arrays]:
        """Record `probabilities`, float16, shape (labels,)."""
        (scores,) = fetch([teacher.predict(docs).astype("float16")])
        return [{"probabilities": row} for row in scores]

    def list_labels(self, pipe: Any) -> list[str]:
        """Name a pipe's labels, in its order."""
        return list(pipe.labels)
