"""Parser and ner: the student walks through its own states, and the teacher scores the states it is in."""

from collections.abc import Sequence
from typing import Any

import numpy
from spacy.pipeline.transition_parser import Parser
from spacy.tokens import Doc
from thinc.api import set_dropout_rate

from ..losses import soft_cross_entropy
from ..teacher.targets import Arrays
from .base import Lesson, TeachingRule, check_temperature, match_labels
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
        columns = match_labels(name, _action_names(student), teacher["labels"])
        return TransitionsLesson(student, columns, StepLayers.from_description(teacher["step_model"]), self.temperature)


class TransitionsLesson(Lesson):
    """`Transitions` at work."""

    def __init__(self, student: Any, columns: numpy.ndarray, teacher: StepLayers, temperature: float) -> None:
        self.student = student
        self.columns = columns
        self.teacher = teacher
        self.temperature = temperature

    def update(self, docs: Sequence[Doc], targets: Sequence[Arrays], *, dropout: float) -> float:
        """Walk through the batch as the student would, and learn how the teacher scores the states on the way."""
        model = self.student.model
        set_dropout_rate(model, dropout)
        vectors, backprop_vectors = model.get_ref("tok2vec")(docs, is_train=True)
        student = StepModel(StepLayers.of(model), vectors)
        recorded = numpy.concatenate([arrays["vectors"] for arrays in targets])
        teacher = StepModel(self.teacher, recorded.astype("float32"))
        ids = self._walk(docs, student, teacher)
        scores, backprop = student.begin_update(ids[student.n_places], dropout=dropout)
        probabilities = self._to_student(teacher.predict(ids[teacher.n_places]), scores)
        gradient, loss = soft_cross_entropy(_softmax(scores), probabilities, temperature=self.temperature)
        backprop_vectors(backprop(gradient))
        return loss

    def _walk(self, docs: Sequence[Doc], student: StepModel, teacher: StepModel) -> dict[int, numpy.ndarray]:
        """Walk through all Docs at once, a move at a time, as the student would.

        Returns:
            The tokens to read of each state on the way, from `StepModel.token_ids`, by the number of places: one pipe
            may read more of them than the other.
        """
        readers = {model.n_places: model for model in (teacher, student)}
        ids = {n_places: [model.token_ids([])] for n_places, model in readers.items()}
        states = [state for state in self.student.moves.init_batch(docs) if not state.is_final()]
        while states:
            for n_places, model in readers.items():
                ids[n_places].append(model.token_ids(states))
            states = self.student.transition_states(states, student.predict(ids[student.n_places][-1]))
        return {n_places: numpy.concatenate(arrays) for n_places, arrays in ids.items()}

    def _to_student(self, teacher_scores: numpy.ndarray, student_scores: numpy.ndarray) -> Any:
        """Bring the teacher's probabilities into the student's order; an action it does not have gets 0."""
        probabilities = numpy.zeros_like(student_scores)
        probabilities[:, self.columns] = _softmax(teacher_scores)
        return probabilities


def _action_names(pipe: Any) -> list[str]:
    return [pipe.moves.get_class_name(i) for i in range(pipe.moves.n_moves)]


def _softmax(scores: numpy.ndarray) -> Any:
    exponentials = numpy.exp(scores - scores.max(axis=1, keepdims=True))
    return exponentials / exponentials.sum(axis=1, keepdims=True)
