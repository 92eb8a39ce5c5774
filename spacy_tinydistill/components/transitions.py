"""Parser and ner: the student walks through its own states, and the teacher scores the states it is in."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy
from spacy.pipeline import DependencyParser, EntityRecognizer
from spacy.tokens import Doc
from thinc.api import set_dropout_rate

from ..losses import soft_cross_entropy
from ..pipes.pipeline import annotates_as_spacy, spacy_kind
from ..pipes.transfer import fetch
from ..targets.records import Arrays
from .base import Average, Lesson, Mirror, Size, TeachingRule, check_temperature, match_labels, match_teachers
from .step_model import StepLayers, StepModel

# spaCy's factories, by what they make; with a beam they are "beam_ner" and "beam_parser".
FACTORIES: dict[type | None, str] = {EntityRecognizer: "ner", DependencyParser: "parser"}


class Transitions(TeachingRule):
    """Soft labels for each transition, in the states that the student itself reaches, or in those of its teacher.

    A student that sees only its teacher's states does not learn to recover from its own mistakes (DAgger, Ross et
    al., arXiv 1011.0686). So not scores are recorded, but the token vectors that the teacher's step model reads, and
    the small step model itself. They score any state later, without the transformer. In the paper the teacher leads
    in a share of the cases (beta), which may be 0.

    Args:
        temperature: Softens both distributions before they are compared; see `losses.soft_cross_entropy`.
        teacher_share: The share of the Docs, from 0 to 1, for which the teacher's states are used in place of the
            student's.
    """

    def __init__(self, temperature: float = 1.0, teacher_share: float = 0.0) -> None:
        self.temperature = check_temperature(temperature)
        if not 0 <= teacher_share <= 1:
            raise ValueError(f"teacher_share is {teacher_share}, expected 0 to 1.")
        self.teacher_share = teacher_share

    def accepts(self, student: Any, teacher: Any) -> bool:
        """Both are transition-based and of the same kind."""
        kind = spacy_kind(student)
        return kind in FACTORIES and spacy_kind(teacher) is kind and annotates_as_spacy(teacher)

    def mirror(self, teacher: Any, size: Size) -> Mirror | None:
        """A step model on the shared encoder, which searches with a beam where the teacher does."""
        factory = FACTORIES.get(spacy_kind(teacher))
        if factory is None:
            return None
        model = {
            "@architectures": "spacy.TransitionBasedParser.v2",
            "state_type": factory,
            "extra_state_tokens": False,
            "hidden_width": size.hidden_width,
            "maxout_pieces": 2,
            "use_upper": True,
            "nO": None,
            "tok2vec": size.listener(),
        }
        return Mirror(f"beam_{factory}" if teacher.cfg["beam_width"] > 1 else factory, model)

    def record(self, teacher: Any, docs: Sequence[Doc]) -> list[Arrays]:
        """Record `vectors`, float16, shape (tokens, hidden width of the teacher's step model)."""
        (vectors,) = fetch([teacher.model.get_ref("tok2vec").predict(docs).astype("float16")])
        ends = numpy.cumsum([len(doc) for doc in docs])[:-1]
        return [{"vectors": rows} for rows in numpy.split(vectors, ends)]

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
        return TransitionsLesson(student, teachers, self.temperature, self.teacher_share)

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

    def __init__(self, student: Any, teachers: Sequence[Scorer], temperature: float, teacher_share: float) -> None:
        self.student = student
        self.teachers = teachers
        self.temperature = temperature
        self.teacher_share = teacher_share

    def update(self, docs: Sequence[Doc], targets: Sequence[Arrays], *, dropout: float) -> float:
        """Walk through the batch, as the student would or its teacher, and learn how the teacher scores the states."""
        model = self.student.model
        set_dropout_rate(model, dropout)
        vectors, backprop_vectors = model.get_ref("tok2vec")(docs, is_train=True)
        student = StepModel(StepLayers.of(model), vectors)
        teachers = self._bind(numpy.concatenate([arrays["vectors"] for arrays in targets]))
        ids = self._walk(docs, student, teachers)
        scores, backprop = student.begin_update(ids[student.n_places], dropout=dropout)
        probabilities = self._ask(teachers, ids)
        gradient, loss = soft_cross_entropy(_softmax(scores), probabilities, temperature=self.temperature)
        backprop_vectors(backprop(gradient))
        return loss

    def _bind(self, vectors: numpy.ndarray) -> list[StepModel]:
        """Give each teacher the token vectors that are its own, of those that lie side by side."""
        ends = numpy.cumsum([scorer.layers.lower.get_dim("nI") for scorer in self.teachers])[:-1]
        parts = numpy.split(vectors.astype("float32"), ends, axis=1)
        return [StepModel(scorer.layers, part) for scorer, part in zip(self.teachers, parts, strict=True)]

    def _walk(self, docs: Sequence[Doc], student: StepModel, teachers: Sequence[StepModel]) -> dict[int, numpy.ndarray]:
        """Walk through all Docs at once, a move at a time, as the student would, or, of some Docs, its teacher.

        Returns:
            The tokens to read of each state on the way, from `StepModel.token_ids`, by the number of places: one pipe
            may read more of them than the other.
        """
        readers = {model.n_places: model for model in (*teachers, student)}
        ids = {n_places: [model.token_ids([])] for n_places, model in readers.items()}
        states = [state for state in self.student.moves.init_batch(docs) if not state.is_final()]
        are_led = numpy.zeros(len(states), dtype=bool)
        if self.teacher_share:
            are_led = numpy.random.uniform(size=len(states)) < self.teacher_share
        while states:
            here = {n_places: model.token_ids(states) for n_places, model in readers.items()}
            for n_places, rows in here.items():
                ids[n_places].append(rows)
            scores = student.predict(here[student.n_places])
            if are_led.any():
                scores[are_led] = self._ask(teachers, {n_places: rows[are_led] for n_places, rows in here.items()})
            moved, states = states, self.student.transition_states(states, scores)
            if self.teacher_share and len(states) < len(moved):
                are_led = are_led[[not state.is_final() for state in moved]]
        return {n_places: numpy.concatenate(arrays) for n_places, arrays in ids.items()}

    def _ask(self, teachers: Sequence[StepModel], ids: dict[int, numpy.ndarray]) -> Any:
        """Average the teachers' probabilities of the student's actions; one that they do not have gets 0."""
        probabilities = numpy.zeros((len(next(iter(ids.values()))), self.student.moves.n_moves), "f")
        for scorer, model in zip(self.teachers, teachers, strict=True):
            probabilities[:, scorer.columns] += scorer.weight * _softmax(model.predict(ids[model.n_places]))
        return probabilities


def _action_names(pipe: Any) -> list[str]:
    return [pipe.moves.get_class_name(i) for i in range(pipe.moves.n_moves)]


def _softmax(scores: numpy.ndarray) -> Any:
    exponentials = numpy.exp(scores - scores.max(axis=1, keepdims=True))
    return exponentials / exponentials.sum(axis=1, keepdims=True)
