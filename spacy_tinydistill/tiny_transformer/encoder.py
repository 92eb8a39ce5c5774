"""`spacy-tinydistill.TinyTransformer.v1`: a small transformer, for use as a `tok2vec`.

It needs PyTorch, `tokenizers` and `safetensors`: the extra [tiny-transformer]. This module can be imported without
them.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import chain
from typing import Any

import numpy
from numpy.typing import NDArray
from spacy.tokens import Doc
from thinc.api import ArgsKwargs, Model, PyTorchShim, torch2xp, xp2torch
from thinc.types import Floats2d, Floats4d

from ..errors import DistillationError
from ..pipes.pipeline import models_of
from ..rounding import Precision, Rounded, round_weights
from .pieces import END, START, MixedPieces, Pieces

NAME = "tiny_transformer"

# So many pieces at once stay in a CPU's caches, and a long Doc needs no more memory than a short one.
CHUNK_PIECES = 4096

# By how much of a window the next one overlaps it.
OVERLAP = 0.25

# What the name of a weight's scales ends with.
SCALES = ".scales"

Ints = NDArray[numpy.int64]


def tiny_transformer(
    layers: int = 4,
    width: int = 128,
    heads: int = 4,
    intermediate_width: int = 512,
    vocab_size: int = 5000,
    max_length: int = 128,
    precision: Precision = "float32",
) -> Model[list[Doc], list[Floats2d]]:
    """Make the architecture `spacy-tinydistill.TinyTransformer.v1`, a BERT of any size.

    Its pieces come from `[initialize.before_init]`, by `spacy-tinydistill.TrainPieces.v1` or
    `spacy-tinydistill.TeacherPieces.v1`, and are saved with its weights.

    Args:
        layers: The number of layers.
        width: The width of a token's vector.
        heads: The number of attention heads. The width must be a multiple of it.
        intermediate_width: The width of the dense layer within each layer.
        vocab_size: Maximum number of pieces.
        max_length: Maximum number of pieces in a sequence, with [CLS] and [SEP]. A longer Doc is split into windows
            that overlap.
        precision: The precision of the saved weights: "float32", "float16" for half the bytes, or "int8" for a
            quarter, with a scale for each row (`rounding.round_weights`). In memory they are float32.

    Returns:
        A model from Docs to token vectors, shape (tokens, width). Each is the mean over the token's pieces.

    Raises:
        DistillationError: TD214, PyTorch or another library is missing; TD216, heads or max_length do not fit.
    """
    try:
        import safetensors.numpy  # noqa: F401
        import tokenizers  # noqa: F401

        from .bert import Bert
    except ImportError as error:
        raise DistillationError("TD214", reason=error) from error
    if width % heads or max_length < 3:
        raise DistillationError("TD216", width=width, heads=heads, max_length=max_length)
    bert = Bert(
        n_layers=layers, width=width, n_heads=heads, intermediate_width=intermediate_width, n_pieces=vocab_size,
        max_length=max_length,
    )  # fmt: skip

    # No function of its own, which could not be pickled, as for a process of `nlp.pipe(n_process=2)`.
    shim = _Shim(bert, serialize_model=partial(_to_bytes, precision=precision), deserialize_model=_from_bytes)
    return Model(
        NAME,
        _forward,
        init=_initialize,
        dims={"nO": width},
        attrs={"pieces": Pieces(), "vocab_size": vocab_size, "max_length": max_length, "dropout_rate": 0.0},
        shims=[shim],
    )


def _to_bytes(bert: Any, precision: Precision) -> bytes:
    """Save weights as safetensors, rounded; with "int8" each has its scales beside it."""
    import safetensors.numpy

    arrays = {}
    for name, weights in bert.own_weights().items():
        try:
            rounded = round_weights(weights.cpu().numpy(), precision)
        except OverflowError as error:
            raise DistillationError("TD709", pipe=name, precision=precision, reason=error) from None
        arrays[name] = rounded.values
        if rounded.scales is not None:
            arrays[name + SCALES] = rounded.scales
    return safetensors.numpy.save(arrays)


def _from_bytes(bert: Any, data: bytes, device: Any) -> Any:
    """Load what `_to_bytes` saved in any precision."""
    import safetensors.numpy
    import torch

    arrays = safetensors.numpy.load(data)
    rounded = {name: Rounded(array, arrays.get(name + SCALES)) for name, array in arrays.items()}
    weights = {name: torch.from_numpy(found.restore()) for name, found in rounded.items() if not name.endswith(SCALES)}
    bert.load_state_dict(weights)
    return bert.to(device)


def _initialize(model: Model, X: Any = None, Y: Any = None) -> None:
    if not model.attrs["pieces"]:
        raise DistillationError("TD217")
    model.shims[0]._model.reset()


def find_transformer(model: Model) -> Model | None:
    """Find the `TinyTransformer.v1` in a model, else return None."""
    return next((node for node in model.walk() if node.name == NAME), None)


def transformers_of(pipes: Iterable[tuple[str, Any]]) -> Iterator[tuple[str, Model]]:
    """Find the `TinyTransformer.v1` of each pipe that has one.

    Args:
        pipes: With their names, such as `Language.components`.
    """
    for name, model in models_of(pipes):
        node = find_transformer(model)
        if node is not None:
            yield name, node


def start_pieces(model: Model, vectors: NDArray[numpy.float32]) -> None:
    """Replace the embeddings of a transformer's own pieces.

    Args:
        model: From `find_transformer`.
        vectors: The new embeddings, shape (vocab_size, width).
    """
    import torch

    shim: Any = model.shims[0]
    with torch.no_grad():
        shim._model.pieces.weight.copy_(torch.from_numpy(vectors))


def mix_pieces(model: Model, teacher: Pieces, vectors: NDArray[numpy.float32], probability: float) -> None:
    """Let a transformer read some words in its teacher's pieces while it learns.

    Their embeddings are trained and kept in checkpoints like other weights, but not saved with the student.

    Args:
        model: From `find_transformer`, with pieces of its own.
        teacher: The teacher's pieces.
        vectors: Their initial embeddings, shape (pieces, width).
        probability: The probability that a word is read in them, drawn each time that it is read.
    """
    import torch

    shim: Any = model.shims[0]
    bert = shim._model
    bert.add_teacher_pieces(torch.from_numpy(vectors))
    own = model.attrs["pieces"]
    shim.mixed = MixedPieces(own, teacher, first=len(bert.pieces.weight), probability=probability)


@contextmanager
def own_pieces(model: Model) -> Iterator[None]:
    """Let a transformer from `find_transformer` read all words in its own pieces within a block, also in training."""
    shim: Any = model.shims[0]
    mixed, shim.mixed = shim.mixed, None
    try:
        yield
    finally:
        shim.mixed = mixed


class Watch:
    """Shows a transformer's layers to a lesson, batch by batch, and takes the lesson's gradients.

    The model fills it when it runs forward in training, and adds the gradients when it runs backward.
    """

    def __init__(self, model: Model, layers: Sequence[int], scored: Sequence[int]) -> None:
        """Start watching a model.

        Args:
            model: From `find_transformer`. It can have one watch.
            layers: The layers whose token vectors are shown: 0 for the embeddings, 1 for the first layer.
            scored: The layers whose attention is shown, counted from 1.
        """
        self.layers = list(layers)
        self.scored = list(scored)
        shim: Any = model.shims[0]
        shim.watch = self

    def show(self, vectors: list[Floats2d], scores: list[list[Floats4d]], windows: "Windows") -> None:
        """Replace the batch before by a new one.

        Args:
            vectors: Of the batch's tokens, for each of `layers`, shape (tokens, width).
            scores: Attention before the softmax, for each of `scored` and for each group of sequences of equal length,
                shape (sequences, heads, pieces, pieces).
            windows: The sequences.
        """
        self.vectors = vectors
        self.scores = scores
        self.windows = windows
        # To be filled by the lesson, in the same shapes; left empty, there are none.
        self.d_vectors: list[Floats2d] = []
        self.d_scores: list[list[Floats4d]] = []


def _forward(model: Model, docs: Sequence[Doc], is_train: bool) -> tuple[list[Floats2d], Callable]:
    ops: Any = model.ops
    lengths = [len(doc) for doc in docs]
    if not any(lengths):
        return [ops.alloc2f(0, model.get_dim("nO")) for _ in docs], lambda gradients: []
    shim: Any = model.shims[0]
    pieces = (shim.mixed if is_train else None) or model.attrs["pieces"]
    windows = cut_windows(docs, pieces, model.attrs["max_length"])
    watch: Watch | None = shim.watch if is_train else None
    inputs = (shim.device, model.attrs["dropout_rate"], watch.scored if watch else [])
    # One call for each chunk, whose pieces are pooled when all of them are there.
    outputs = [shim(_to_torch(chunk, *inputs), is_train) for chunk in windows.chunks]
    # The pieces that belong to no token have no share, so any token may have them.
    tokens, shares = ops.asarray1i(numpy.maximum(windows.tokens, 0)), ops.asarray1f(windows.shares)

    def pool(layer: int) -> Floats2d:
        hidden = ops.xp.concatenate([torch2xp(encoded.vectors[layer].detach()) for encoded, _ in outputs])
        pooled = ops.alloc2f(sum(lengths), model.get_dim("nO"))
        ops.scatter_add(pooled, tokens, hidden * shares[:, None])
        return pooled

    if watch:
        scores: Any = [
            [torch2xp(group.detach()) for encoded, _ in outputs for group in encoded.scores[layer]]
            for layer in watch.scored
        ]
        watch.show([pool(layer) for layer in watch.layers], scores, windows)

    def backprop(gradients: list[Floats2d]) -> list[Doc]:
        by_token = [(-1, ops.xp.concatenate(gradients))]
        if watch:
            by_token += zip(watch.layers, watch.d_vectors, strict=bool(watch.d_vectors))
        by_piece = [(layer, flat[tokens] * shares[:, None]) for layer, flat in by_token]
        start = group = 0
        for (encoded, backprop_chunk), chunk in zip(outputs, windows.chunks, strict=True):
            end, next_group = start + len(chunk.ids), group + len(chunk.groups)
            flows = [(encoded.vectors[layer], rows[start:end]) for layer, rows in by_piece]
            if watch and watch.d_scores:
                for layer, found in zip(watch.scored, watch.d_scores, strict=True):
                    flows += zip(encoded.scores[layer], found[group:next_group], strict=True)
            gradient = tuple(xp2torch(array, device=shim.device) for _, array in flows)
            backprop_chunk(ArgsKwargs(args=(tuple(to for to, _ in flows),), kwargs={"grad_tensors": gradient}))
            start, group = end, next_group
        return []

    return ops.unflatten(pool(-1), lengths), backprop


@dataclass(frozen=True)
class Chunk:
    """Sequences of pieces that go through the transformer together; see `bert.Sequences`."""

    ids: Ints
    positions: Ints
    groups: list[tuple[int, int]]

    def sequences(self) -> Iterator[Ints]:
        """Go through the pieces of one sequence after another."""
        start = 0
        for count, length in self.groups:
            for _ in range(count):
                yield self.ids[start : start + length]
                start += length


@dataclass(frozen=True)
class Windows:
    """All sequences of a batch, sorted by length."""

    chunks: list[Chunk]
    tokens: Ints  # To which of the batch's tokens each piece belongs; -1 for [CLS] and [SEP]
    shares: NDArray[numpy.float32]  # What each piece counts of its token's mean; 0 for those
    docs: list[int]  # Which of the batch's Docs each sequence is; -1 for a part of one


def cut_windows(docs: Sequence[Doc], pieces: Pieces | MixedPieces, max_length: int) -> Windows:
    """Cut Docs into sequences of pieces, each between [CLS] and [SEP].

    A Doc that fits is one sequence. A longer one is split into windows of full length, which overlap by `OVERLAP`. A
    piece in several windows counts once for each.

    Args:
        docs: The batch. At least one Doc has tokens.
        pieces: The vocabulary, or two of them.
        max_length: Maximum number of pieces in a sequence, with [CLS] and [SEP].
    """
    cut = pieces.cut(token.text for doc in docs for token in doc)
    counts = numpy.array([len(ids) for ids in cut])
    ids = numpy.fromiter(chain.from_iterable(cut), dtype="int64", count=counts.sum())
    token_of = numpy.repeat(numpy.arange(len(cut)), counts)
    ends = numpy.cumsum(counts)[numpy.cumsum([len(doc) for doc in docs]) - 1]
    spans: list[tuple[int, int, int]] = []
    start = 0
    for i, (doc, end) in enumerate(zip(docs, ends.tolist(), strict=True)):
        if len(doc):
            parts = list(_windows_of(start, end, max_length - 2))
            spans += [(*part, i if len(parts) == 1 else -1) for part in parts]
            start = end
    spans.sort(key=lambda span: span[1] - span[0])
    starts = numpy.array([start for start, _, _ in spans])
    lengths = numpy.array([end - start + 2 for start, end, _ in spans])

    sequence_starts = numpy.cumsum(lengths) - lengths
    positions = numpy.arange(lengths.sum()) - numpy.repeat(sequence_starts, lengths)
    is_start = positions == 0
    is_end = positions == numpy.repeat(lengths, lengths) - 1
    is_special = is_start | is_end
    sources = numpy.where(is_special, 0, numpy.repeat(starts, lengths) + positions - 1)
    tokens = numpy.where(is_special, -1, token_of[sources])
    with_special = numpy.where(is_special, numpy.where(is_start, pieces.id_of(START), pieces.id_of(END)), ids[sources])
    occurrences = numpy.bincount(tokens[~is_special], minlength=len(cut))
    shares = numpy.where(is_special, 0, 1 / occurrences[tokens]).astype("float32")
    chunks = list(_chunks(with_special, positions, lengths.tolist()))
    return Windows(chunks, tokens, shares, [i for _, _, i in spans])


def _windows_of(start: int, end: int, room: int) -> Iterator[tuple[int, int]]:
    step = max(1, room - int(room * OVERLAP))
    while end - start > room:
        yield start, start + room
        # The last one reaches back, to have as much context as the others.
        start = min(start + step, end - room)
    yield start, end


def _chunks(ids: Ints, positions: Ints, lengths: list[int]) -> Iterator[Chunk]:
    """Cut sequences, sorted by length, into chunks of at most `CHUNK_PIECES`, or of one sequence."""
    start = end = 0
    groups: list[tuple[int, int]] = []
    for length in lengths:
        if groups and end + length - start > CHUNK_PIECES:
            yield Chunk(ids[start:end], positions[start:end], groups)
            start, groups = end, []
        if groups and groups[-1][1] == length:
            groups[-1] = (groups[-1][0] + 1, length)
        else:
            groups.append((1, length))
        end += length
    yield Chunk(ids[start:end], positions[start:end], groups)


def _to_torch(chunk: Chunk, device: Any, dropout: float, scored: Sequence[int]) -> ArgsKwargs:
    import torch

    from .bert import Sequences

    ids, positions = (torch.from_numpy(array).to(device) for array in (chunk.ids, chunk.positions))
    return ArgsKwargs(args=(Sequences(ids, positions, chunk.groups), dropout, scored), kwargs={})


class _Shim(PyTorchShim):
    """Between Thinc and PyTorch. Its `use_params` works around a fault of Thinc (seen in 8.3.14).

    What to report upstream: `PyTorchShim.finish_update` hands the optimizer each parameter under the key `(id, name)`,
    so the optimizer's averages are kept under that. `PyTorchShim.use_params` looks for strings "pytorch_ID_NAME", finds
    none, and silently leaves the weights as they are: a student would be scored and saved without averages. It should
    look up `(self.id, name)` for each of `self._model.named_parameters()`, and restore the weights in a `finally`.
    """

    watch: Watch | None = None
    mixed: MixedPieces | None = None

    @contextmanager
    def use_params(self, params: dict[Any, Any]) -> Iterator[None]:
        """Use other weights, such as an optimizer's averages, within a block."""
        weights = dict(self._model.named_parameters())
        backup = {name: weights[name].data for name in weights if (self.id, name) in params}
        for name in backup:
            weights[name].data = xp2torch(params[self.id, name], device=weights[name].device)
        try:
            yield
        finally:
            for name, data in backup.items():
                weights[name].data = data
