"""Encoders: a student's token vectors come to hold what is in its teacher's hidden states."""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any, ClassVar

import numpy
from spacy.pipeline.tok2vec import Tok2Vec, Tok2VecListener
from spacy.tokens import Doc
from thinc.api import Linear, Model, chain, with_array

from ..errors import DistillationError
from ..losses import mean_squared_error
from ..pipes.encoder import all_layers, copy_from_gpu, token_layers
from ..pipes.pipeline import is_encoder
from ..targets.records import Arrays
from .base import Lesson, Reads, TeachingRule


class HiddenStates(TeachingRule):
    """The hidden-state loss of TinyBERT (Jiao et al., arXiv 1909.10351, eq. 8), for any encoder of spaCy tokens.

    It compares the vectors of spaCy's tokens; the teacher's are averaged over its pieces. A learned linear layer, W_h
    in the equation, projects the student's vectors to the teacher's width. It is not saved with the student.

    Args:
        layers: The teacher's layers to learn: 0 for its embeddings, 1 for its first layer, -1 for its last. Each
            takes two bytes per token and dimension on disk.
        weight: The weight of this loss. The losses of the pipes on the encoder have weight 1.
    """

    reads: ClassVar[Reads] = Reads.OWN_ANNOTATIONS

    def __init__(self, layers: Sequence[int] = (-1,), weight: float = 1.0) -> None:
        self.layers = list(layers)
        self.weight = weight

    def accepts(self, student: Any, teacher: Any) -> bool:
        """Both are encoders that other pipes read; the student's is one of spaCy's own kind."""
        return isinstance(student, Tok2Vec) and is_encoder(teacher)

    def asking(self, teacher: Any) -> AbstractContextManager[None]:
        """All layers are handed out, where they are usually dropped."""
        return all_layers(teacher)

    def record(self, teacher: Any, docs: Sequence[Doc]) -> list[Arrays]:
        """Record `vectors`, float16, shape (tokens, layers, width)."""
        found = [token_layers(doc, teacher) for doc in docs]
        copy_from_gpu((one, self.layers) for one in found)
        return [{"vectors": one.stack(self.layers)} for one in found]

    def describe(self, teacher: Any) -> dict[str, Any]:
        """Name the layers and their width, which are found out on one word.

        Raises:
            DistillationError: TD212, the teacher has no such layer; TD236, one cannot be recorded.
        """
        with all_layers(teacher):
            (doc,) = teacher.pipe([Doc(teacher.vocab, words=["a"])])
        found = token_layers(doc, teacher)
        for layer in self.layers:
            if not -len(found) <= layer < len(found):
                raise DistillationError("TD212", layer=layer, pipe=teacher.name, last=len(found) - 1)
        return {"layers": self.layers, "width": found.stack(self.layers).shape[2]}

    def start(self, student: Any, name: str, teacher: dict[str, Any]) -> "HiddenStatesLesson":
        """Bind the rule to an encoder, which from now on hands its vectors to the lesson too.

        Raises:
            DistillationError: TD611, other layers were recorded.
        """
        if self.layers != teacher["layers"]:
            what = "choice of layers"
            raise DistillationError("TD611", pipe=name, what=what, found=teacher["layers"], expected=self.layers)
        return HiddenStatesLesson(student, name, len(self.layers), teacher["width"], self.weight)


class HiddenStatesLesson(Lesson):
    """`HiddenStates` at work: to the encoder one more pipe that listens, which answers after all others."""

    def __init__(self, student: Any, name: str, n_layers: int, width: int, weight: float) -> None:
        self.name = f"{name} (hidden states)"
        self.student = student
        self.width = width
        self.weight = weight
        student_width = student.model.get_dim("nO")
        self.projection: Model = with_array(Linear(n_layers * width, student_width).initialize())
        self.model: Model = chain(Tok2VecListener(name, student_width), self.projection)
        student.find_listeners(self)

    def update(self, docs: Sequence[Doc], targets: Sequence[Arrays], *, dropout: float) -> float:
        """Learn the batch's vectors; the encoder, which ran before, runs backwards when it has this answer."""
        projected, backprop = self.model.begin_update(docs)
        gradient, loss = self._compare(projected, targets)
        by_token: Any = gradient.reshape(-1, projected[0].shape[1])
        lengths: Any = [len(rows) for rows in projected]
        backprop(self.model.ops.unflatten(by_token, lengths))
        return loss

    def score(self, docs: Sequence[Doc], targets: Sequence[Arrays]) -> float:
        """Minus the loss."""
        return -self._compare(self.projection.predict(self.student.model.predict(docs)), targets)[1]

    def _compare(self, projected: Any, targets: Sequence[Arrays]) -> tuple[Any, float]:
        ops = self.model.ops
        recorded: Any = numpy.concatenate([arrays["vectors"] for arrays in targets])
        teacher = ops.asarray2f(recorded.reshape(-1, self.width))
        gradient, loss = mean_squared_error(ops.xp.concatenate(projected).reshape(-1, self.width), teacher)
        return self.weight * gradient, self.weight * loss
