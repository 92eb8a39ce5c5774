"""Parser and ner: the student walks through its own states, and the teacher scores the states it is in."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy
from spacy.ml._precomputable_affine import PrecomputableAffine
from spacy.ml.parser_model import ParserStepModel
from spacy.pipeline.transition_parser import Parser
from spacy.tokens import Doc
from thinc.api import Linear, Model, NumpyOps, set_dropout_rate

from ..losses import soft_cross_entropy
from ..teacher.targets import Arrays
from .base import Lesson, TeachingRule, match_labels

NUMPY_OPS = NumpyOps()

# So many states are learned from at once: one large matrix product in place of hundreds of small ones.
LEARN_STATES = 2_000


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
        self.temperature = temperature

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
        loss = sum(self._learn(student, teacher, visited) for visited in self._walk(student, teacher, docs))
        backprop_vectors(docs)
        student.clear_memory()
        teacher.clear_memory()
        return loss

    def _walk(self, student: ParserStepModel, teacher: ParserStepModel, docs: Sequence[Doc]) -> Iterator["_Visited"]:
        """Follow the student from state to state; yield many states at once, since weights stay as they are."""
        is_dropping = student.attrs["has_upper"] and student.attrs["dropout_rate"] > 0
        width = student.state2vec.nO
        steps: list[_Visited] = []
        n_visited = 0
        states = [state for state in self.student.moves.init_batch(docs) if not state.is_final()]
        while states:
            tokens = student.get_token_ids(states)
            # The rate is spaCy's own, see `step_forward` in its parser_model.pyx.
            mask = NUMPY_OPS.get_dropout_mask((len(states), width), 0.1) if is_dropping else None
            steps.append(_Visited(tokens, teacher.get_token_ids(states), mask))
            scores, _ = _score(student, tokens, mask, is_train=False)
            states = self.student.transition_states(states, scores)
            n_visited += len(tokens)
            if not states or n_visited >= LEARN_STATES:
                yield _Visited.concatenate(steps)
                steps, n_visited = [], 0

    def _learn(self, student: ParserStepModel, teacher: ParserStepModel, visited: "_Visited") -> float:
        """Add the gradients of some states."""
        scores, backprop = _score(student, visited.tokens, visited.mask, is_train=True)
        teacher_scores, _ = _score(teacher, visited.teacher_tokens, None, is_train=False)
        gradient, loss = soft_cross_entropy(
            _softmax(scores), self._to_student(teacher_scores, scores), temperature=self.temperature
        )
        backprop(numpy.ascontiguousarray(gradient, dtype="float32"))
        return loss

    def _to_student(self, teacher_scores: numpy.ndarray, student_scores: numpy.ndarray) -> Any:
        """Bring the teacher's probabilities into the student's order; an action it does not have gets 0."""
        probabilities = numpy.zeros_like(student_scores)
        probabilities[:, self.columns] = _softmax(teacher_scores)
        return probabilities


@dataclass
class _Visited:
    """States that the student has been in, by what a step model reads of them."""

    tokens: numpy.ndarray  # Shape (states, features of the student's step model), -1 where there is no token
    teacher_tokens: numpy.ndarray  # Likewise of the teacher's
    mask: numpy.ndarray | None  # Dropout, shape (states, hidden width)

    @classmethod
    def concatenate(cls, steps: Sequence["_Visited"]) -> "_Visited":
        return cls(
            numpy.concatenate([step.tokens for step in steps]),
            numpy.concatenate([step.teacher_tokens for step in steps]),
            numpy.concatenate([step.mask for step in steps]) if steps[0].mask is not None else None,
        )


def _score(
    model: ParserStepModel, tokens: numpy.ndarray, mask: numpy.ndarray | None, *, is_train: bool
) -> tuple[Any, Callable[[Any], None]]:
    """Score states as spaCy's own `step_forward` does, but any number of them, and long after they were left.

    Args:
        model: The student's or the teacher's step model.
        tokens: Which tokens of the batch each state reads, from `ParserStepModel.get_token_ids`.
        mask: Dropout of the hidden layer.
        is_train: Whether the second result will be called.

    Returns:
        Scores, shape (states, actions), and a callback for their gradient.
    """
    vectors, backprop_tokens = model.state2vec(tokens, is_train)
    if model.attrs["has_upper"]:
        if mask is not None:
            vectors *= mask
        scores, backprop_vectors = model.vec2scores(vectors, is_train)
    else:
        scores, backprop_vectors = NUMPY_OPS.asarray(vectors), lambda gradient: gradient
    seen = model._class_mask
    if not seen.all():
        scores[:, seen == 0] = numpy.nanmin(scores)

    def backprop(gradient: Any) -> None:
        d_vectors = backprop_vectors(gradient * seen)
        if mask is not None:
            d_vectors *= mask
        model.backprop_step(tokens, d_vectors, backprop_tokens)

    return scores, backprop


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
