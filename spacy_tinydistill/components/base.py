"""The protocol by which one kind of pipe teaches another, and the registry of those who speak it.

A new kind of pipe is one new module here with a `TeachingRule`, and one entry point in the group
`spacy_teaching_rules`. Nothing else needs to know of it.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, ClassVar

import catalogue
import numpy
from spacy.tokens import Doc
from spacy.util import registry
from thinc.api import Model

from ..errors import DistillationError
from ..targets.records import Arrays

teaching_rules = catalogue.create("spacy", "teaching_rules", entry_points=True)
registry.teaching_rules = teaching_rules  # type: ignore[attr-defined]


# Averages several teachers' targets for one Doc.
Average = Callable[[Sequence[Arrays]], Arrays]


class Reads(Enum):
    """What a rule reads of a Doc when it records."""

    TOKENS = "tokens and their vectors"
    EARLIER_ANNOTATIONS = "also what the pipes before the teacher's pipe wrote"
    OWN_ANNOTATIONS = "also what the teacher's pipe itself wrote"


@dataclass(frozen=True)
class Size:
    """How large a CNN student is."""

    width: int  # of a token's vector
    depth: int  # layers of the encoder, each of which sees one token further to both sides
    pieces: int  # of each of the encoder's maxout units
    rows: dict[str, int]  # of the hash table for each attribute of a token
    hidden_width: int  # of the parser's and the entity recognizer's state

    def listener(self) -> dict[str, Any]:
        """The block of a layer that reads the student's encoder, for a pipe's `[model.tok2vec]`."""
        return {"@architectures": "spacy.Tok2VecListener.v1", "width": self.width, "upstream": "tok2vec"}


@dataclass(frozen=True)
class Mirror:
    """A student's pipe that mirrors a teacher's, as a config has it."""

    factory: str
    model: dict[str, Any]  # The block [components.PIPE.model]
    # What the factory is to be given beside the model, where neither the pipe's `cfg` nor its attributes say it.
    settings: dict[str, Any] = field(default_factory=dict)
    # Settings that only the teacher's own block can say, and without which it is another pipe
    needed: tuple[str, ...] = ()
    initialize: dict[str, Any] = field(default_factory=dict)  # The block [initialize.components.PIPE]


class Lesson(ABC):
    """A teaching rule at work: one student pipe and what is needed of its teacher."""

    # Weights that help to learn and are no part of the student, such as a projection to the teacher's width. They are
    # trained with it and kept in the checkpoint.
    model: Model | None = None

    @abstractmethod
    def update(self, docs: Sequence[Doc], targets: Sequence[Arrays], *, dropout: float) -> float:
        """Run the student pipe forward, compare, and add to its gradients. Does not change weights.

        An encoder that other pipes listen to has run forward, and its lesson comes after theirs: it listens too.

        Args:
            docs: The batch, none of them without tokens.
            targets: What the teacher said of each Doc: the arrays that `TeachingRule.record` returned for it.
            dropout: The dropout rate, from 0 to below 1.

        Returns:
            The loss, summed over the batch.
        """

    def score(self, docs: Sequence[Doc], targets: Sequence[Arrays]) -> float:
        """Run the student pipe without learning, and compare.

        Asked of encoders alone, which annotate nothing that spaCy's scorers could judge.

        Returns:
            The higher the better, summed over the batch: by itself 0, which tells no student from another.
        """
        return 0.0


class TeachingRule(ABC):
    """How one kind of pipe teaches: what is recorded of the teacher, and how a student learns from the record."""

    # What `record` reads of a Doc; the recorder spares the teacher the writing of annotations that nobody reads.
    reads: ClassVar[Reads] = Reads.TOKENS

    @abstractmethod
    def accepts(self, student: Any, teacher: Any) -> bool:
        """Whether this rule can teach this student pipe from this teacher pipe."""

    def mirror(self, teacher: Any, size: Size) -> Mirror | None:
        """Design a student's pipe for a teacher's, from what that is: its class and its `cfg`.

        Args:
            teacher: The pipe. Its factory and its model may be anybody's.
            size: How large the student is.

        Returns:
            The design; None where the pipe is not of the kind that this rule teaches. By itself a rule designs none.
        """
        return None

    def fit_to(self, student: Any) -> "TeachingRule":
        """Make the rule for this student pipe, not initialized, where it matters to what is recorded; else the same."""
        return self

    def asking(self, teacher: Any) -> AbstractContextManager[None]:
        """What must be otherwise in the teacher's pipe while it is asked, and only then; nothing for most rules."""
        return nullcontext()

    @abstractmethod
    def record(self, teacher: Any, docs: Sequence[Doc]) -> list[Arrays]:
        """Ask the teacher's pipe once.

        Args:
            teacher: The pipe.
            docs: Docs, none without tokens, with the annotations that the rule reads.

        Returns:
            For each Doc the named arrays that `Lesson.update` will get back; none, of a Doc of which the pipe said
            nothing, from which then nothing is learned.
        """

    @abstractmethod
    def describe(self, teacher: Any) -> dict[str, Any]:
        """What a lesson needs of the teacher's pipe beside the record, such as its labels.

        Returns:
            Strings, numbers, lists, dicts and NumPy arrays only, so that it can be kept beside the record.
        """

    @abstractmethod
    def start(self, student: Any, name: str, teacher: dict[str, Any]) -> Lesson:
        """Bind the rule to a student pipe, initialized, and a teacher's description.

        Raises:
            DistillationError: The two do not fit, as when the student lacks one of the teacher's labels.
        """

    def average(
        self, name: str, teachers: Sequence[dict[str, Any]], weights: Sequence[float]
    ) -> tuple[dict[str, Any], Average]:
        """Make one teacher of several. A rule that does not say how has one teacher.

        Args:
            name: The student pipe's name.
            teachers: What `describe` said of each.
            weights: How much each counts; they sum to 1.

        Returns:
            What `describe` would have said of the one, for `start`; and a function that makes of the arrays of each,
            for a Doc, those for `Lesson.update`.

        Raises:
            DistillationError: TD220, they have other labels; TD222, there is no way.
        """
        raise DistillationError("TD222", pipe=name, rule=type(self).__name__)


# For each student pipe that is taught, the teacher's pipe by name and the rule by which it teaches.
Plan = dict[str, tuple[str, TeachingRule]]


def check_temperature(temperature: float) -> float:
    """Return a temperature by which scores can be divided.

    Raises:
        ValueError: It is not above 0.
    """
    if temperature <= 0:
        raise ValueError(f"temperature is {temperature}, expected more than 0.")
    return temperature


def match_labels(name: str, student: Sequence[str], teacher: Sequence[str]) -> numpy.ndarray:
    """Find the student's column for each of the teacher's labels.

    Args:
        name: The student pipe's name, for the message.
        student: The student's labels.
        teacher: The teacher's labels.

    Returns:
        Column numbers, shape (teacher labels,).

    Raises:
        DistillationError: TD203, the student lacks a label that the teacher has.
    """
    column = {label: i for i, label in enumerate(student)}
    missing = [label for label in teacher if label not in column]
    if missing:
        shown = ", ".join(repr(label) for label in missing[:5]) + (", ..." if len(missing) > 5 else "")
        raise DistillationError("TD203", pipe=name, count=len(missing), labels=shown)
    return numpy.array([column[label] for label in teacher], dtype="int64")


def match_teachers(name: str, labels: Sequence[Sequence[str]]) -> list[numpy.ndarray]:
    """Find, for each of several teachers, the first one's column for each of its labels.

    Args:
        name: The student pipe's name, for the message.
        labels: Each teacher's labels.

    Returns:
        Column numbers, each of shape (labels,).

    Raises:
        DistillationError: TD220, one has a label that another has not.
    """
    for number, other in enumerate(labels[1:], start=2):
        odd = sorted(set(labels[0]) ^ set(other))
        if odd:
            shown = ", ".join(map(repr, odd[:5])) + (", ..." if len(odd) > 5 else "")
            raise DistillationError("TD220", pipe=name, number=number, count=len(odd), labels=shown)
    return [match_labels(name, labels[0], other) for other in labels]


def output_activation(model: Model) -> str:
    """Name the layer that turns a model's scores into probabilities.

    spaCy's pipes end in one of three. `softmax` takes the gradient of the logits as it is; `softmax_activation` and
    `logistic` multiply what they are given by their own derivative, so a gradient of the logits must be divided by
    it first: see `to_output_gradient`.

    Args:
        model: A pipe's model.

    Returns:
        "softmax", "softmax_activation", "logistic", or the last layer's own name where it is none of these.
    """
    name = ""
    for node in model.walk(order="dfs_post"):
        if node.name in ("softmax", "softmax_activation", "logistic"):
            name = node.name
    return name or model.name


def to_output_gradient(activation: str, probabilities: Any, d_logits: Any) -> Any:
    """Turn a gradient of the logits into the one that a model's backprop callback expects.

    Args:
        activation: What `output_activation` says of the model.
        probabilities: The model's output, shape (rows, labels).
        d_logits: The gradient with respect to the logits, same shape.

    Returns:
        The gradient to hand to the callback, same shape.
    """
    if activation == "logistic":
        return d_logits / (probabilities * (1 - probabilities)).clip(1e-7)
    if activation == "softmax_activation":
        # The derivative q * (d - sum(q * d)) undone: d = d_logits / q, whose mean under q is sum(d_logits) = 0.
        return d_logits / probabilities.clip(1e-7)
    return d_logits
