"""Parser and ner: the student walks through its own states, and the teacher scores the states it is in."""

from collections.abc import Sequence
from itertools import count
from typing import Any

import numpy
from spacy.ml._precomputable_affine import PrecomputableAffine
from spacy.ml.parser_model import ParserStepModel
from spacy.pipeline.transition_parser import Parser
from spacy.tokens import Doc
from thinc.api import Linear, Model, NumpyOps, set_dropout_rate

from ..losses import soft_cross_entropy
from ..teacher.targets import Arrays
from .base import Lesson, TeachingRule, check_temperature, match_labels

NUMPY_OPS = NumpyOps()

# Into how many moves the way through a Doc is cut.
PIECE = 10


def transitions(temperature: float = 1.0) -> "Transitions":
    """Make the rule `spacy-tinydistill.Transitions.v1`.

    Args:
        temperature: Softens teacher and student alike before they are compared; see `losses.soft_cross_entropy`.
    """
    return Transitions(temperature=temperature)


class Transitions(TeachingRule):
    """Soft labels for each transition, on the states that the student itself reaches.

    A student that only ever sees its teacher's states never learns to recover from its own mistakes (the reason for
    DAgger, Ross et al., arXiv 1011.0686). So what is recorded are not scores but the token vectors that the
    teacher's step model reads, and the small step model itself: with these it scores any state, later, at no
    transformer's cost.
    """

    def __init__(self, *, temperature: float) -> None:
        self.temperature = check_temperature(temperature)

    def accepts(self, student: Any, teacher: Any) -> bool:
        """Both are transition-based and of the same kind."""
        return isinstance(student, Parser) and type(student) is type(teacher)

    def record(self, teacher: Any, docs: Sequence[Doc]) -> list[Arrays]:
        """Record `vectors`, float16, shape (tokens, hidden width of the teacher's step model)."""
        vectors = teacher.model.ops.to_numpy(teacher.model.get_ref("tok2vec").predict(docs))
        ends = numpy.cumsum([len(doc) for doc in docs])[:-1]
        return [{"vectors": rows} for rows in numpy.split(vectors.astype("float16"), ends)]

    def describe(self, teacher: Any) -> dict[str, Any]:
        """Name the teacher's actions, in its order, and copy its step model's weights."""
        model = teacher.model
        step_model = {
            "lower": _parameters(model.get_ref("lower")),
            "upper": _parameters(model.get_ref("upper")) if model.attrs["has_upper"] else {},
            "unseen": sorted(model.attrs["unseen_classes"]),
        }
        return {"labels": _action_names(teacher), "step_model": step_model}

    def start(self, student: Any, name: str, teacher: dict[str, Any]) -> "TransitionsLesson":
        """Bind the rule; the actions may be in another order."""
        columns = match_labels(name, _action_names(student), teacher["labels"])
        return TransitionsLesson(student, columns, _StepScorer(teacher["step_model"]), self.temperature)


class TransitionsLesson(Lesson):
    """`Transitions` at work."""

    def __init__(self, student: Any, columns: numpy.ndarray, scorer: "_StepScorer", temperature: float) -> None:
        self.student = student
        self.columns = columns
        self.scorer = scorer
        self.temperature = temperature

    def update(self, docs: Sequence[Doc], targets: Sequence[Arrays], *, dropout: float) -> float:
        """Walk through the batch as the student would, and learn how the teacher scores each state on the way."""
        set_dropout_rate(self.student.model, dropout)
        student, backprop_vectors = self.student.model.begin_update(docs)
        # The step model has a rate of its own, which `set_dropout_rate` does not reach: a tenth, unless it is 0.
        student.attrs["dropout_rate"] = dropout
        teacher = self.scorer.begin(docs, numpy.concatenate([arrays["vectors"] for arrays in targets]))
        states = self._walk(docs, student)
        loss = 0.0
        for _ in range(PIECE):
            if not states:
                break
            scores, backprop = student.begin_update(states)
            gradient, step_loss = soft_cross_entropy(
                _softmax(scores), self._to_student(teacher.predict(states), scores), temperature=self.temperature
            )
            backprop(numpy.ascontiguousarray(gradient, dtype="float32"))
            loss += step_loss
            states = self.student.transition_states(states, scores)
        backprop_vectors(docs)
        student.clear_memory()
        teacher.clear_memory()
        return loss

    def _walk(self, docs: Sequence[Doc], student: ParserStepModel) -> list[Any]:
        """Walk through the batch as the student would, and return the states at which each piece of the way begins.

        A way is as long as its Doc, and steps of few states cost as much as steps of many: taken piece by piece, all
        pieces at once, learning takes `PIECE` steps instead of one for each move of the longest Doc. spaCy's own
        `update` cuts its way in the same manner.
        """
        pieces: list[Any] = []
        states = [state for state in self.student.moves.init_batch(docs) if not state.is_final()]
        for move in count():
            if not states:
                return pieces
            if move % PIECE == 0:
                pieces += [state.copy() for state in states]
            states = self.student.transition_states(states, student.predict(states))
        return pieces

    def _to_student(self, teacher_scores: numpy.ndarray, student_scores: numpy.ndarray) -> Any:
        """Bring the teacher's probabilities into the student's order; an action it does not have gets 0."""
        probabilities = numpy.zeros_like(student_scores)
        probabilities[:, self.columns] = _softmax(teacher_scores)
        return probabilities


class _StepScorer:
    """The teacher's step model, made again from its weights; it runs on the CPU, as the walk does."""

    def __init__(self, description: dict[str, Any]) -> None:
        lower = description["lower"]
        n_features, n_out, n_pieces, width = lower["W"].shape[-4:]
        self.lower = PrecomputableAffine(nO=n_out, nI=width, nF=n_features, nP=n_pieces)
        self.upper: Model | None = None
        if description["upper"]:
            n_out, width = description["upper"]["W"].shape
            self.upper = Linear(nO=n_out, nI=width)
        for layer, parameters in ((self.lower, lower), (self.upper, description["upper"])):
            if layer is not None:
                layer.ops = NUMPY_OPS
                for key, value in parameters.items():
                    layer.set_param(key, value)
        self.unseen = set(description["unseen"])

    def begin(self, docs: Sequence[Doc], vectors: numpy.ndarray) -> ParserStepModel:
        """Make the step model for a batch whose token vectors, shape (tokens, width), are known."""

        def forward(model: Model, docs: Sequence[Doc], is_train: bool) -> tuple[Any, Any]:
            return vectors.astype("float32"), lambda gradient: gradient

        recorded: Model = Model("recorded_vectors", forward, ops=NUMPY_OPS)
        return ParserStepModel(
            docs,
            [recorded, self.lower, self.upper],
            has_upper=self.upper is not None,
            unseen_classes=self.unseen,
            train=False,
        )


def _parameters(layer: Model) -> dict[str, numpy.ndarray]:
    return {name: layer.ops.to_numpy(layer.get_param(name)) for name in layer.param_names}


def _action_names(pipe: Any) -> list[str]:
    return [pipe.moves.get_class_name(i) for i in range(pipe.moves.n_moves)]


def _softmax(scores: numpy.ndarray) -> Any:
    exponentials = numpy.exp(scores - scores.max(axis=1, keepdims=True))
    return exponentials / exponentials.sum(axis=1, keepdims=True)
