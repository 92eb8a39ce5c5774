"""What a teacher says about one Doc, as named arrays: compact enough to keep for millions of words."""

from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any

import numpy
import srsly
from spacy.tokens import Doc
from spacy.vocab import Vocab

from ..corpus import is_more_than_tokens
from ..errors import DistillationError

# The record of one pipe on one Doc. Always NumPy arrays on the host, whatever device the teacher is on.
Arrays = dict[str, numpy.ndarray]

# What a teacher says about one Doc: for each student pipe the arrays of its teaching rule.
Targets = dict[str, Arrays]


class Role(IntEnum):
    """What a Doc is there for."""

    TEXT = 0  # To learn on
    GOLD = 1  # To learn on, with gold annotations besides what the teacher says
    HELD_OUT = 2  # To be scored on against the teacher's annotations, where there is no dev data
    DEV = 3  # To be scored on, against gold annotations


@dataclass
class Record:
    """One Doc, and what the teacher says about it."""

    role: Role
    index: int  # Its place among the Docs of its role
    words: list[str]
    spaces: list[bool]
    norms: dict[int, str]  # Of the tokens whose norm is not their word's own
    preset: bytes | None = None  # The Doc with what its tokenizer wrote beside tokens; None where that is nothing
    targets: Targets = field(default_factory=dict)  # Of a Doc to learn on
    annotated: bytes | None = None  # Of a Doc to be scored on: the teacher's, as `annotated_bytes` writes it

    @classmethod
    def from_doc(cls, doc: Doc, role: Role = Role.TEXT, index: int = 0) -> "Record":
        """Take down a Doc as its tokenizer made it."""
        return cls(
            role=role,
            index=index,
            words=[token.text for token in doc],
            spaces=[bool(token.whitespace_) for token in doc],
            # The "not" of "n't" is of the tokenizer's making and on the token alone; spaCy's encoders read it.
            norms={token.i: token.norm_ for token in doc if token.norm != token.lex.norm},
            preset=annotated_bytes(doc, with_user_data=True) if is_more_than_tokens(doc) else None,
        )

    def __len__(self) -> int:
        """The number of tokens."""
        return len(self.words)

    @property
    def text(self) -> str:
        """The raw text."""
        return "".join(f"{word} " if space else word for word, space in zip(self.words, self.spaces, strict=True))

    def make_doc(self, vocab: Vocab) -> Doc:
        """Make the Doc as its tokenizer made it: of most, the tokens, without annotations.

        Raises:
            DistillationError: TD628, what the tokenizer wrote is not of `from_doc`'s making.
        """
        if self.preset is not None:
            doc = read_annotated_bytes(self.preset, vocab)
            if [token.text for token in doc] != list(self.words):
                raise DistillationError("TD628", reason="its words are others")
            return doc
        doc = Doc(vocab, words=self.words, spaces=self.spaces)
        for i, norm in self.norms.items():
            doc[i].norm_ = norm
        return doc

    def make_annotated_doc(self, vocab: Vocab) -> Doc:
        """Make a Doc of the tokens with the teacher's annotations; without, where it was not asked for them."""
        return read_annotated_bytes(self.annotated, vocab) if self.annotated else self.make_doc(vocab)


def annotated_bytes(doc: Doc, *, with_user_data: bool = False) -> bytes:
    """Write a Doc with its annotations, without tensors, and the same way each time.

    `Doc.to_bytes` writes the Doc's strings in the order of a set, which is another in each process.
    """
    left_out = ["tensor"] if with_user_data else ["tensor", "user_data"]
    fields = srsly.msgpack_loads(doc.to_bytes(exclude=left_out))
    fields["strings"] = sorted(fields["strings"])
    return srsly.msgpack_dumps(fields)


def read_annotated_bytes(data: bytes, vocab: Vocab) -> Doc:
    """Undo `annotated_bytes`.

    Raises:
        DistillationError: TD628, they are not of its making.
    """
    try:
        return Doc(vocab).from_bytes(data, exclude=["tensor"])
    except Exception as error:  # MessagePack of somebody else's making can break in any way
        raise DistillationError("TD628", reason=f"{type(error).__name__}: {error}") from error


@dataclass(frozen=True)
class LessonPlan:
    """By which rule a student pipe is taught, and what the rule needs of the teacher beside the targets."""

    student_kind: str  # The student pipe's class, by its full name
    teacher_pipe: str  # The teacher's pipe, by name
    rule: str  # The rule's class
    settings: dict[str, Any]  # The rule's settings with which it recorded
    description: dict[str, Any]  # From `TeachingRule.describe`


def pack_soft_labels(probabilities: numpy.ndarray, top_k: int) -> Arrays:
    """Keep each row's most probable labels, in half precision.

    Args:
        probabilities: Shape (rows, labels), each row summing to 1.
        top_k: How many labels to keep of each row; 0, or as many as there are labels, keeps all, exactly.

    Returns:
        `probabilities`, float16, shape (rows, k); and `labels`, uint16, shape (rows, k), their columns, absent
        when all are kept. What is missing to 1 in a row is the mass of the labels left out.
    """
    n_labels = probabilities.shape[1]
    if top_k == 0 or top_k >= n_labels:
        return {"probabilities": probabilities.astype("float16")}
    labels = numpy.argpartition(probabilities, n_labels - top_k, axis=1)[:, n_labels - top_k :]
    kept = numpy.take_along_axis(probabilities, labels, axis=1)
    return {"probabilities": kept.astype("float16"), "labels": labels.astype("uint16")}


def unpack_soft_labels(arrays: Arrays, columns: numpy.ndarray, n_labels: int) -> numpy.ndarray:
    """Undo `pack_soft_labels`, for a student whose labels may stand in another order or be more.

    Args:
        arrays: What `pack_soft_labels` returned.
        columns: For each of the teacher's labels, in its order, the student's column; shape (teacher labels,).
        n_labels: How many labels the student has.

    Returns:
        Probabilities, float32, shape (rows, n_labels), each row summing to 1. The mass of the labels that were
        left out is spread evenly over them; labels the teacher does not have get 0.
    """
    kept = arrays["probabilities"].astype("float32")
    rows = kept.shape[0]
    result = numpy.zeros((rows, n_labels), dtype="float32")
    if "labels" in arrays:
        n_left_out = len(columns) - kept.shape[1]
        rest = numpy.maximum(0.0, 1.0 - kept.sum(axis=1, keepdims=True)) / n_left_out
        result[:, columns] = rest
        numpy.put_along_axis(result, columns[arrays["labels"]], kept, axis=1)
    else:
        result[:, columns] = kept
    return result / numpy.maximum(result.sum(axis=1, keepdims=True), 1e-7)
