"""Parser and ner: the student walks through its own states, and the teacher scores the states it is in."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy
from spacy.pipeline.transition_parser import Parser
from spacy.tokens import Doc
from thinc.api import set_dropout_rate

from ..losses import soft_cross_entropy
from ..teacher.targets import Arrays
from .base import Average, Lesson, TeachingRule, check_temperature, match_labels, match_teachers
from .step_model import StepLayers, StepModel


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
        return {"labels": _action_names(teacher), "step_model": StepLayers.of(teacher.model).describe()}

    def start(self, student: Any, name: str, teacher: dict[str, Any]) -> "TransitionsLesson":
        """Bind the rule; the actions may be in another order."""
        actions = _action_names(student)
        teachers = [
            Scorer(weight, match_labels(name, actions, one["labels"]), StepLayers.from_description(one["step_model"]))
            for one, weight in zip(teacher.get("teachers", [teacher]), teacher.get("weights", [1.0]), strict=True)
        ]
        return TransitionsLesson(student, teachers, self.temperature)

    def average(
        self, name: str, teachers: Sequence[dict[str, Any]], weights: Sequence[float]
    ) -> tuple[dict[str, Any], Average]:
        """Put the token vectors side by side; the distributions over actions are averaged in the student's states."""
        match_teachers(name, [teacher["labels"] for teacher in teachers])

        def average(said: Sequence[Arrays]) -> Arrays:
            return {"vectors": numpy.concatenate([arrays["vectors"] for arrays in said], axis=1)}

        return {"labels": teachers[0]["labels"], "teachers": list(teachers), "weights": list(weights)}, average


@dataclass(frozen=True)
class Scorer:
    """A teacher, as far as it scores states."""

    weight: float  # Those of all teachers sum to 1
    columns: numpy.ndarray  # The student's column for each of its actions
    layers: StepLayers


class TransitionsLesson(Lesson):
    """`Transitions` at work."""

    def __init__(self, student: Any, teachers: Sequence[Scorer], temperature: float) -> None:
        self.student = student
        self.teachers = teachers
        self.temperature = temperature

    def update(self, docs: Sequence[Doc], targets: Sequence[Arrays], *, dropout: float) -> float:
        """Walk through the batch as the student would, and learn how the teacher scores the states on the way."""
        model = self.student.model
        set_dropout_rate(model, dropout)
        vectors, backprop_vectors = model.get_ref("tok2vec")(docs, is_train=True)
        student = StepModel(StepLayers.of(model), vectors)
        teachers = self._bind(numpy.concatenate([arrays["vectors"] for arrays in targets]))
        ids = self._walk(docs, student, teachers)
        scores, backprop = student.begin_update(ids[student.n_places], dropout=dropout)
        probabilities = self._to_student([model.predict(ids[model.n_places]) for model in teachers], scores)
        gradient, loss = soft_cross_entropy(_softmax(scores), probabilities, temperature=self.temperature)
        backprop_vectors(backprop(gradient))
        return loss

    def _bind(self, vectors: numpy.ndarray) -> list[StepModel]:
        """Give each teacher the token vectors that are its own, of those that lie side by side."""
        ends = numpy.cumsum([scorer.layers.lower.get_dim("nI") for scorer in self.teachers])[:-1]
        parts = numpy.split(vectors.astype("float32"), ends, axis=1)
        return [StepModel(scorer.layers, part) for scorer, part in zip(self.teachers, parts, strict=True)]

    def _walk(self, docs: Sequence[Doc], student: StepModel, teachers: Sequence[StepModel]) -> dict[int, numpy.ndarray]:
        """Walk through all Docs at once, a move at a time, as the student would.

        Returns:
            The tokens to read of each state on the way, from `StepModel.token_ids`, by the number of places: one pipe
            may read more of them than the other.
        """
        readers = {model.n_places: model for model in (*teachers, student)}
        ids = {n_places: [model.token_ids([])] for n_places, model in readers.items()}
        states = [state for state in self.student.moves.init_batch(docs) if not state.is_final()]
        while states:
            for n_places, model in readers.items():
                ids[n_places].append(model.token_ids(states))
            states = self.student.transition_states(states, student.predict(ids[student.n_places][-1]))
        return {n_places: numpy.concatenate(arrays) for n_places, arrays in ids.items()}

    def _to_student(self, teacher_scores: Sequence[numpy.ndarray], student_scores: numpy.ndarray) -> Any:
        """Average probabilities, in the student's order; an action that the teachers do not have gets 0."""
        probabilities = numpy.zeros_like(student_scores)
        for scorer, scores in zip(self.teachers, teacher_scores, strict=True):
            probabilities[:, scorer.columns] += scorer.weight * _softmax(scores)
        return probabilities


def _action_names(pipe: Any) -> list[str]:
    return [pipe.moves.get_class_name(i) for i in range(pipe.moves.n_moves)]


def _softmax(scores: numpy.ndarray) -> Any:
    exponentials = numpy.exp(scores - scores.max(axis=1, keepdims=True))
    return exponentials / exponentials.sum(axis=1, keepdims=True)
