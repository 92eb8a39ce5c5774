"""Transformers: a student's layers come to hold what is in its teacher's, and attend to what these attend to."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from copy import copy
from functools import partial
from typing import Any, ClassVar

import numpy
from spacy.pipeline.tok2vec import Tok2Vec, Tok2VecListener
from spacy.tokens import Doc
from thinc.api import Linear, Model, noop, set_dropout_rate
from thinc.types import Floats2d

from ..errors import DistillationError
from ..losses import attention_error, centre_attention, map_layers, mean_squared_error, unexplained_variance
from ..pipes.encoder import all_layers, attention, copy_from_gpu, piece_attention, token_layers
from ..pipes.pipeline import is_encoder
from ..targets.records import Arrays
from ..tiny_transformer.encoder import Watch, find_transformer, own_pieces
from ..tiny_transformer.pieces import END, START, pieces_of
from .base import Lesson, Reads, TeachingRule

# In what a store says of its contents, beside "hidden states" and "attention".
EMBEDDINGS = "embeddings"


class TransformerLayers(TeachingRule):
    """The layer-to-layer losses of TinyBERT (Jiao et al., arXiv 1909.10351, eq. 7-9), for a `TinyTransformer.v1`.

    Embeddings and hidden states are compared token by token, averaged over each side's pieces. If the widths differ,
    W_e and W_h, learned linear layers, project the student's to the teacher's width. They are not saved with the
    student. Attention is compared piece by piece, so it needs the same pieces. A Doc that the two split differently,
    for example at an apostrophe, or that one of them reads in several windows, teaches only the rest.

    With a `down_weight` hidden states are also compared at the student's width, to which W_down projects the
    teacher's: the shared projections of Zhao et al. (arXiv 1909.11687, section 3.2 of its first version). There they
    align the *weights* of two models with the same number of layers; here they align recorded states. Both sides of
    this comparison are learned and could shrink to nothing, so the loss is in units of the variance of the student's
    states in the batch (`losses.unexplained_variance`), and it needs the other comparison, which keeps the states
    from becoming alike.

    A part with weight 0 is left out and not recorded. Attention takes by far the most room on disk: for a text of l
    pieces, two bytes for each layer of the student, each head and each of l * l pairs.

    Args:
        layers: The teacher's layer that each of the student's layers learns from: "uniform", "last", or a list of
            layers, counted from 1.
        embeddings_weight: The weight of the loss on embeddings. The losses of the pipes on the encoder have weight 1.
        hidden_weight: The weight of the loss on hidden states.
        attention_weight: The weight of the loss on attention. It needs the teacher's pieces and number of heads.
        down_weight: The weight of the loss on hidden states at the student's width. It needs a `hidden_weight` above
            0.
    """

    reads: ClassVar[Reads] = Reads.OWN_ANNOTATIONS

    def __init__(
        self,
        layers: str | Sequence[int] = "uniform",
        embeddings_weight: float = 1.0,
        hidden_weight: float = 1.0,
        attention_weight: float = 1.0,
        down_weight: float = 0.0,
    ) -> None:
        weights = embeddings_weight, hidden_weight, attention_weight, down_weight
        if min(weights) < 0 or not any(weights):
            raise ValueError(f"the weights are {weights}, expected none below 0, and one above.")
        if down_weight and not hidden_weight:
            raise ValueError(
                f"down_weight is {down_weight} and hidden_weight 0, expected both above 0, or only the other."
            )
        self.layers = layers if isinstance(layers, str) else list(layers)
        self.embeddings_weight = embeddings_weight
        self.hidden_weight = hidden_weight
        self.attention_weight = attention_weight
        self.down_weight = down_weight
        self.n_layers = 0  # Of the student; from `fit_to`

    def accepts(self, student: Any, teacher: Any) -> bool:
        """The student's pipe is an encoder with a `TinyTransformer.v1`, the teacher's is one that other pipes read."""
        return isinstance(student, Tok2Vec) and find_transformer(student.model) is not None and is_encoder(teacher)

    def fit_to(self, student: Any) -> "TransformerLayers":
        """Take down how many layers the student has, on which it depends which of the teacher's are recorded."""
        fitted = copy(self)
        fitted.n_layers = len(_bert_of(student).layers)
        return fitted

    @contextmanager
    def asking(self, teacher: Any) -> Iterator[None]:
        """Have all layers handed out, where they are usually dropped, and attention, if it is to be learned."""
        with all_layers(teacher), attention(teacher) if self.attention_weight else nullcontext():
            yield

    def record(self, teacher: Any, docs: Sequence[Doc]) -> list[Arrays]:
        """Record what the weights ask for of the chosen layers.

        `vectors`, float16, shape (tokens, layers, width), the embeddings first; `attention`, float16, shape (layers,
        heads, pieces, pieces), before the softmax, each row with a mean of 0, minus infinity where the teacher attends
        to nothing, and `pieces`, int32, their numbers; of a Doc that went through in several windows no attention and
        no pieces.
        """
        layers = [token_layers(doc, teacher) for doc in docs]
        shown = [piece_attention(doc) if self.attention_weight else None for doc in docs]
        mapping = map_layers(self.layers, self.n_layers, len(layers[0]) - 1)
        # The first layer of attention is that of the first layer above the embeddings.
        attending = [layer - 1 for layer in mapping]
        chosen = [0] * bool(self.embeddings_weight) + mapping * bool(self.hidden_weight)
        wanted: list[Any] = [(one, chosen) for one in layers]
        copy_from_gpu(wanted + [(found[1], attending) for found in shown if found])
        return [
            self._pack(one.stack(chosen) if chosen else None, found, attending)
            for one, found in zip(layers, shown, strict=True)
        ]

    def describe(self, teacher: Any) -> dict[str, Any]:
        """Name the layers and what is to be known of them, which is found out on one word.

        Raises:
            DistillationError: TD213, the layers do not fit; TD219, the teacher shows no attention, or reads other
                pieces than a student can.
        """
        with self.asking(teacher):
            (doc,) = teacher.pipe([Doc(teacher.vocab, words=["a"])])
        found = token_layers(doc, teacher)
        mapping = map_layers(self.layers, self.n_layers, len(found) - 1)
        shown = piece_attention(doc) if self.attention_weight else None
        pieces = pieces_of(teacher) if shown else None
        if self.attention_weight and (not shown or not pieces):
            raise DistillationError(
                "TD219", pipe=teacher.name, found="a teacher that shows neither, or pieces that are no WordPiece",
                expected="a transformer of spacy-transformers with a fast WordPiece tokenizer",
            )  # fmt: skip
        if shown and pieces:
            read = [pieces.id_of(START), *pieces.cut(["a"])[0], pieces.id_of(END)]
            if shown[0].tolist() != read:
                raise DistillationError(
                    "TD219", pipe=teacher.name, found=f"a teacher that reads 'a' as the pieces {shown[0].tolist()}",
                    expected=f"{read}, of which the first is {START} and the last {END}",
                )  # fmt: skip
        return {
            "n_layers": len(found) - 1,
            "layers": mapping,
            "recorded": self._asked_for,
            "width": found[0].shape[1],
            "heads": len(shown[1][0]) if shown else 0,
            "pieces": pieces.fingerprint if pieces else None,
        }

    def start(self, student: Any, name: str, teacher: dict[str, Any]) -> "TransformerLayersLesson":
        """Bind the rule to an encoder, whose layers are watched from now on.

        What was recorded for other weights serves, as long as it has all that these ask for.

        Raises:
            DistillationError: TD219, attention is to be learned, and pieces or heads differ; TD611, something else
                was recorded.
        """
        recorded, mapping = teacher["recorded"], map_layers(self.layers, self.n_layers, teacher["n_layers"])
        for what, found, expected, fits in (
            ("choice of lessons", recorded, self._asked_for, set(self._asked_for) <= set(recorded)),
            ("choice of layers", teacher["layers"], mapping, teacher["layers"] == mapping),
        ):
            if not fits:
                raise DistillationError("TD611", pipe=name, what=what, found=found, expected=expected)
        if self.attention_weight:
            node: Any = find_transformer(student.model)
            if node.attrs["pieces"].fingerprint != teacher["pieces"]:
                raise DistillationError(
                    "TD219", pipe=name, found="a student with other pieces", expected="the teacher's"
                )
            heads = _bert_of(student).layers[0].n_heads
            if heads != teacher["heads"]:
                raise DistillationError(
                    "TD219", pipe=name, found=f"a student with {heads} heads", expected=teacher["heads"]
                )
        return TransformerLayersLesson(self, student, name, teacher["width"], EMBEDDINGS in recorded)

    @property
    def _asked_for(self) -> list[str]:
        weights = {
            EMBEDDINGS: self.embeddings_weight,
            "hidden states": self.hidden_weight,
            "attention": self.attention_weight,
        }
        return [name for name, weight in weights.items() if weight]

    def _pack(self, vectors: numpy.ndarray | None, shown: Any, attending: list[int]) -> Arrays:
        arrays: Arrays = {} if vectors is None else {"vectors": vectors}
        if self.attention_weight:
            arrays["pieces"] = numpy.zeros(0, dtype="int32")
            if shown:
                arrays["pieces"], scores = shown
                arrays["attention"] = numpy.stack([scores[layer] for layer in attending]).astype("float16")
        return arrays


class TransformerLayersLesson(Lesson):
    """`TransformerLayers` at work: to the encoder one more pipe that listens, which answers after all others."""

    def __init__(self, rule: TransformerLayers, student: Any, name: str, width: int, has_embeddings: bool) -> None:
        node: Any = find_transformer(student.model)
        student_width = node.get_dim("nO")
        self.name = f"{name} (layers)"
        self.encoder = student.model
        self.transformer = node
        self.weight = rule.attention_weight
        layers = list(range(1, rule.n_layers + 1))
        embeddings, hidden = bool(rule.embeddings_weight), bool(rule.hidden_weight)
        self.watch = Watch(node, [0] * embeddings + layers * hidden, layers * bool(rule.attention_weight))

        def projection(to: int, of: int) -> Model:
            return noop() if to == of else Linear(to, of).initialize()

        # W_e, and one W_h and one W_down for all layers
        to_embeddings, to_hidden = projection(width, student_width), projection(width, student_width)
        self.down = projection(student_width, width) if rule.down_weight else noop()
        # And which of the recorded vectors each is compared with.
        self.compared = [(0, to_embeddings, rule.embeddings_weight, 0.0)] * embeddings
        self.compared += [
            (layer + has_embeddings, to_hidden, rule.hidden_weight, rule.down_weight)
            for layer in range(rule.n_layers * hidden)
        ]
        self.listener = Tok2VecListener(name, student.model.get_dim("nO"))
        self.model: Model = noop(self.listener, to_embeddings, to_hidden, self.down)
        student.find_listeners(self)

    def update(self, docs: Sequence[Doc], targets: Sequence[Arrays], *, dropout: float) -> float:
        """Learn the batch's layers; the encoder, which ran before, runs backwards when it has this answer."""
        _, answer = self.listener.begin_update(docs)
        loss = 0.0
        for part, learn in [*self._compare_vectors(targets), *self._compare_attention(targets)]:
            loss += part
            learn()
        answer([])
        return loss

    def score(self, docs: Sequence[Doc], targets: Sequence[Arrays]) -> float:
        """Minus the loss."""
        set_dropout_rate(self.encoder, 0.0)
        # In training alone are layers shown. Nothing goes backwards.
        with own_pieces(self.transformer):
            self.encoder.begin_update(docs)
        parts = [*self._compare_vectors(targets), *self._compare_attention(targets)]
        return -sum(part for part, _ in parts)

    def _compare_vectors(self, targets: Sequence[Arrays]) -> Iterator[tuple[float, Callable[[], None]]]:
        """Compare embeddings and hidden states.

        Yields:
            For each layer the loss, weighted, and a function that leaves its gradient with the encoder.
        """
        if not self.compared:
            return
        recorded: Any = numpy.concatenate([arrays["vectors"] for arrays in targets])
        teacher = self.model.ops.asarray3f(recorded)
        for student, (place, up, weight, down_weight) in zip(self.watch.vectors, self.compared, strict=True):
            yield self._compare_layer(student, self.model.ops.as_contig(teacher[:, place]), up, weight, down_weight)

    def _compare_layer(
        self, student: Floats2d, teacher: Floats2d, up: Model, up_weight: float, down_weight: float
    ) -> tuple[float, Callable[[], None]]:
        projected, backprop_up = up.begin_update(student)
        d_projected, loss = mean_squared_error(projected, teacher)
        loss *= up_weight
        if down_weight:
            explained, backprop_down = self.down.begin_update(teacher)
            d_student, d_explained, part = unexplained_variance(student, explained)
            loss += down_weight * part

        def learn() -> None:
            gradient = backprop_up(up_weight * d_projected)
            if down_weight:
                backprop_down(down_weight * d_explained)
                gradient = gradient + down_weight * d_student
            self.watch.d_vectors.append(gradient)

        return loss, learn

    def _compare_attention(self, targets: Sequence[Arrays]) -> Iterator[tuple[float, Callable[[], None]]]:
        """Compare attention; see `_compare_vectors`."""
        if not self.weight:
            return
        ops: Any = self.model.ops
        groups = [self._attention_of(group, targets) for group in _groups(self.watch.windows)]
        # All of them go to the device at once.
        flat = ops.asarray1f(numpy.concatenate([group.ravel() for group in groups]))
        ends = numpy.cumsum([group.size for group in groups])[:-1]
        taught = [part.reshape(group.shape) for part, group in zip(ops.xp.split(flat, ends), groups, strict=True)]
        for layer, scores in enumerate(self.watch.scores):
            teacher = [group[layer] for group in taught]
            # As the teacher's are: what is the same for a whole row does not change the softmax.
            centred = [
                centre_attention(ours, theirs != -ops.xp.inf) for ours, theirs in zip(scores, teacher, strict=True)
            ]
            gradients, loss = attention_error(centred, teacher)
            # Their rows have a mean of 0 already, so they are those of the scores too.
            weighted = [self.weight * gradient for gradient in gradients]
            yield self.weight * loss, partial(self.watch.d_scores.append, weighted)

    def _attention_of(self, group: list[tuple[int, Any]], targets: Sequence[Arrays]) -> numpy.ndarray:
        """Gather what the teacher's attention is in sequences of equal length, where it is of the same pieces.

        Returns:
            Its scores, float32, shape (layers, sequences, heads, pieces, pieces); minus infinity where there is nothing
            to learn.
        """
        n_heads, length = self.watch.scores[0][0].shape[1], len(group[0][1])
        shape = (len(self.watch.scores), len(group), n_heads, length, length)
        found = numpy.full(shape, -numpy.inf, dtype="float32")
        for i, (doc, pieces) in enumerate(group):
            arrays = targets[doc] if doc >= 0 else {}
            if "attention" in arrays and numpy.array_equal(arrays["pieces"], pieces):
                found[:, i] = arrays["attention"]
        return found


def _groups(windows: Any) -> Iterator[list[tuple[int, Any]]]:
    """For each group of sequences of equal length: which Doc each of them is, and its pieces."""
    docs = iter(windows.docs)
    for chunk in windows.chunks:
        sequences = chunk.sequences()
        for count, _ in chunk.groups:
            yield [(next(docs), next(sequences)) for _ in range(count)]


def _bert_of(student: Any) -> Any:
    node: Any = find_transformer(student.model)
    return node.shims[0]._model
