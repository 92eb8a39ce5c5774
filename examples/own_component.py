"""A component of one's own, and how it is taught: `sentiment` gives each text a number, in `doc.sentiment`.

docs/own-component.md explains it. The commands import this file with `--code`.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy
from spacy.language import Language
from spacy.pipeline import TrainablePipe
from spacy.tokens import Doc
from spacy.training import Example
from spacy.util import registry
from thinc.api import Linear, Model, chain, list2ragged, reduce_mean, set_dropout_rate
from thinc.types import Floats2d

from spacy_tinydistill.components.base import Lesson, TeachingRule
from spacy_tinydistill.targets.records import Arrays

# The component. Nothing in it knows of distillation.


@registry.architectures("example.TextNumber.v1")
def text_number(tok2vec: Model[list[Doc], list[Floats2d]]) -> Model[list[Doc], Floats2d]:
    """Turn the mean of a text's token vectors into a number: (texts, 1)."""
    return chain(tok2vec, list2ragged(), reduce_mean(), Linear(nO=1))


@Language.factory("sentiment", assigns=["doc.sentiment"], default_score_weights={"sentiment_score": 1.0})
def make_sentiment(nlp: Language, name: str, model: Model[list[Doc], Floats2d]) -> "Sentiment":
    """Make the component from its block in the config."""
    return Sentiment(nlp, name, model)


class Sentiment(TrainablePipe):
    """Gives a text a number."""

    def __init__(self, nlp: Language, name: str, model: Model) -> None:
        self.vocab, self.name, self.model = nlp.vocab, name, model
        self.cfg: dict[str, Any] = {}

    def initialize(self, get_examples: Callable[[], Iterable[Example]], *, nlp: Language | None = None) -> None:
        """Find out the shapes of the layers."""
        self.model.initialize(X=[example.x for example in get_examples()][:10])

    def predict(self, docs: Sequence[Doc]) -> Floats2d:
        """Say a number for each Doc: (Docs, 1)."""
        return self.model.predict(docs)

    def set_annotations(self, docs: Sequence[Doc], scores: Floats2d) -> None:
        """Write the numbers to the Docs."""
        for doc, score in zip(docs, scores, strict=True):
            doc.sentiment = float(score[0])

    def get_loss(self, examples: Sequence[Example], scores: Floats2d) -> tuple[float, Floats2d]:
        """Compare with gold annotations, for `spacy train` and for the gold part of distilling."""
        gold = self.model.ops.asarray2f([[example.y.sentiment] for example in examples])
        gradient, loss = squared_error(scores, gold)
        return loss, gradient

    def score(self, examples: Iterable[Example], **kwargs: Any) -> dict[str, float]:
        """Score by the mean distance from gold; 1 is best."""
        return {"sentiment_score": 1 - float(numpy.mean([abs(eg.x.sentiment - eg.y.sentiment) for eg in examples]))}


# How it is taught: a loss, a rule and a lesson.


def squared_error(student: Floats2d, teacher: Floats2d) -> tuple[Floats2d, float]:
    """Compare numbers: the gradient with respect to the student's, same shape, and the loss summed over the rows."""
    return student - teacher, 0.5 * float(((student - teacher) ** 2).sum())


@registry.teaching_rules("example.Numbers.v1")
class Numbers(TeachingRule):
    """The student learns its teacher's numbers."""

    def accepts(self, student: Any, teacher: Any) -> bool:
        """Both give texts numbers."""
        return isinstance(student, Sentiment) and isinstance(teacher, Sentiment)

    def record(self, teacher: Any, docs: Sequence[Doc]) -> list[Arrays]:
        """Record `number`, float32, shape (1,), for each Doc."""
        return [{"number": row} for row in teacher.model.ops.to_numpy(teacher.predict(docs))]

    def describe(self, teacher: Any) -> dict[str, Any]:
        """Nothing is needed beside the numbers."""
        return {}

    def start(self, student: Any, name: str, teacher: dict[str, Any]) -> Lesson:
        """Bind the rule to the student's pipe."""
        return NumbersLesson(student)


class NumbersLesson(Lesson):
    """`Numbers` at work."""

    def __init__(self, student: Any) -> None:
        self.student = student

    def update(self, docs: Sequence[Doc], targets: Sequence[Arrays], *, dropout: float) -> float:
        """Learn the batch's numbers."""
        model = self.student.model
        set_dropout_rate(model, dropout)
        numbers, backprop = model.begin_update(docs)
        teacher = model.ops.asarray2f(numpy.stack([arrays["number"] for arrays in targets]))
        gradient, loss = squared_error(numbers, teacher)
        backprop(gradient)
        return loss
