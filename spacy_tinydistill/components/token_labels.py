"""Tagger, morphologizer, senter, trainable_lemmatizer: one distribution over labels for each token."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy
from spacy.pipeline import EditTreeLemmatizer, Tagger
from spacy.tokens import Doc
from thinc.api import Model, set_dropout_rate

from ..losses import soft_cross_entropy
from ..targets.records import Arrays, pack_soft_labels, unpack_soft_labels
from .base import Average, Lesson, TeachingRule, check_temperature, match_labels, match_teachers


def token_labels(temperature: float = 1.0, top_k: int = 16) -> "TokenLabels":
    """Make the rule `spacy-tinydistill.TokenLabels.v1`.

    Args:
        temperature: Softens teacher and student alike before they are compared; see `losses.soft_cross_entropy`.
        top_k: How many labels to keep per token; 0 keeps all.
    """
    return TokenLabels(temperature=temperature, top_k=top_k)


class TokenLabels(TeachingRule):
    """Soft labels for each token (Hinton et al., arXiv 1503.02531)."""

    def __init__(self, *, temperature: float, top_k: int) -> None:
        self.temperature = check_temperature(temperature)
        if top_k < 0:
            raise ValueError(f"top_k is {top_k}, expected 0 or more.")
        self.top_k = top_k

    def accepts(self, student: Any, teacher: Any) -> bool:
        """Both tag tokens, and in the same way."""
        return isinstance(student, Tagger | EditTreeLemmatizer) and isinstance(teacher, type(student))

    def record(self, teacher: Any, docs: Sequence[Doc]) -> list[Arrays]:
        """Record `probabilities` and `labels`, shape (tokens, k): see `targets.pack_soft_labels`."""
        with _normalized(teacher.model):
            scores = teacher.model.predict(docs)
        return [pack_soft_labels(teacher.model.ops.to_numpy(rows), self.top_k) for rows in scores]

    def describe(self, teacher: Any) -> dict[str, Any]:
        """Name the teacher's labels, in its order."""
        return {"labels": _label_names(teacher)}

    def start(self, student: Any, name: str, teacher: dict[str, Any]) -> "TokenLabelsLesson":
        """Bind the rule; the labels may be in another order."""
        columns = match_labels(name, _label_names(student), teacher["labels"])
        return TokenLabelsLesson(student, columns, self.temperature)

    def average(
        self, name: str, teachers: Sequence[dict[str, Any]], weights: Sequence[float]
    ) -> tuple[dict[str, Any], Average]:
        """Average the probabilities."""
        columns = match_teachers(name, [teacher["labels"] for teacher in teachers])

        def average(said: Sequence[Arrays]) -> Arrays:
            rows = [
                unpack_soft_labels(arrays, places, len(places)) for arrays, places in zip(said, columns, strict=True)
            ]
            return {"probabilities": numpy.average(rows, axis=0, weights=weights).astype("float32")}

        return {"labels": teachers[0]["labels"]}, average


class TokenLabelsLesson(Lesson):
    """`TokenLabels` at work."""

    def __init__(self, student: Any, columns: numpy.ndarray, temperature: float) -> None:
        self.student = student
        self.columns = columns
        self.temperature = temperature

    def update(self, docs: Sequence[Doc], targets: Sequence[Arrays], *, dropout: float) -> float:
        """Learn the batch's soft labels."""
        model = self.student.model
        set_dropout_rate(model, dropout)
        scores, backprop = model.begin_update(docs)
        n_labels = scores[0].shape[1]
        teacher = numpy.concatenate([unpack_soft_labels(arrays, self.columns, n_labels) for arrays in targets])
        gradient, loss = soft_cross_entropy(
            model.ops.xp.concatenate(scores), model.ops.asarray2f(teacher), temperature=self.temperature
        )
        backprop(model.ops.unflatten(gradient, [len(rows) for rows in scores]))
        return loss


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


def _label_names(pipe: Any) -> list[str]:
    if isinstance(pipe, EditTreeLemmatizer):
        # Its labels are numbers of edit trees, which only the trees' own text makes comparable.
        return [pipe.trees.tree_to_str(tree_id) for tree_id in pipe.labels]
    return list(pipe.labels)
