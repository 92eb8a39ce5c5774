"""How a teacher's encoder is read: the vectors of a Doc's tokens, layer by layer."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray
from spacy.pipeline.tok2vec import Tok2Vec
from spacy.tokens import Doc

from ..errors import DistillationError
from ..losses import centre_attention
from .transfer import fetch

Floats = NDArray[np.float32]


@contextmanager
def all_layers(encoder: Any) -> Iterator[None]:
    """Have an encoder leave all its layers on the Docs for a while, and its settings as they were.

    Args:
        encoder: A pipe that others listen to: of spacy-transformers, of spacy-curated-transformers, or a tok2vec, which
            has one layer only.
    """
    if hasattr(encoder, "all_layer_outputs"):  # spacy-curated-transformers: the pipe tells its model at each batch
        attrs = encoder.model.get_ref("transformer").attrs
        before = encoder.all_layer_outputs, attrs["_all_layer_outputs"]
        encoder.all_layer_outputs = True
        try:
            yield
        finally:
            encoder.all_layer_outputs, attrs["_all_layer_outputs"] = before
    elif hasattr(encoder.model, "transformer"):  # spacy-transformers
        config = encoder.model.transformer.config
        has_all = config.output_hidden_states
        config.output_hidden_states = True
        try:
            yield
        finally:
            config.output_hidden_states = has_all
    else:
        yield


@contextmanager
def attention(encoder: Any) -> Iterator[None]:
    """Have a transformer of spacy-transformers leave its attention on the Docs for a while; others show none."""
    if not hasattr(encoder.model, "transformer"):
        yield
        return
    config = encoder.model.transformer.config
    before = config._attn_implementation, config.output_attentions
    # The faster implementations never hold a whole matrix.
    config._attn_implementation, config.output_attentions = "eager", True
    try:
        yield
    finally:
        config._attn_implementation, config.output_attentions = before


def copy_from_gpu(found: "Iterable[tuple[TokenLayers | AttentionLayers, Sequence[int]]]") -> None:
    """Copy some layers of several Docs from a GPU, all of them at once: reading them copies nothing more.

    Args:
        found: Layers that were found, and which of them are to be read.
    """
    places: list[tuple[Any, Any]] = []
    for one, numbers in found:
        places += [(one.layers, number) for number in numbers]
        places += [(vars(one), "lengths")] * isinstance(one, TokenLayers)
    for (holder, key), copy in zip(places, fetch([holder[key] for holder, key in places]), strict=True):
        holder[key] = copy


def piece_attention(doc: Doc) -> "tuple[NDArray[np.int32], AttentionLayers] | None":
    """Read the attention that `attention` had left on a Doc.

    Returns:
        The numbers of the Doc's pieces, among them [CLS] and [SEP] where the transformer reads any, shape (pieces,),
        and the attention of each layer between them. None where the Doc went through in several windows, or where its
        encoder shows no attention from each piece to each.
    """
    output: Any = doc._.trf_data if Doc.has_extension("trf_data") else None
    found = output.model_output.get("attentions") if hasattr(output, "align") else None
    if not found or len(output.wordpieces) != 1:
        return None
    ids = np.asarray(output.wordpieces.input_ids[0], dtype="int32")
    if any(layer.shape[2:] != (len(ids), len(ids)) for layer in found):  # Longformer's is that of a moving window
        return None
    # Not by `wordpieces.lengths`: it leaves out a "[PAD]" of the text's own, and has the padding in it where a batch
    # is as long as the tokenizer allows.
    pieces = np.flatnonzero(output.wordpieces.attention_mask[0])
    return ids[pieces], AttentionLayers([layer[0] for layer in found], pieces)


class AttentionLayers:
    """A Doc's attention, layer by layer."""

    def __init__(self, layers: list[Any], pieces: "NDArray[np.int64]") -> None:
        """Take note of where it is; nothing is copied yet.

        Args:
            layers: After the softmax, each on any device, of shape (heads, rows, rows).
            pieces: Which rows are pieces; the others are padding.
        """
        self.layers = layers
        self.pieces = pieces

    def __len__(self) -> int:
        """The number of layers."""
        return len(self.layers)

    def __getitem__(self, layer: int) -> Floats:
        """Read a layer's scores before the softmax, float32, shape (heads, pieces, pieces).

        What a transformer shows is the softmax of its scores, whose logarithm is the scores less a number for each row:
        this one is chosen so that a row's mean is 0. Where a piece attends to nothing, as GPT-2's to those after them,
        the score is minus infinity, and the mean is that of the others.
        """
        shown = to_numpy(self.layers[layer])[:, self.pieces][:, :, self.pieces]
        with np.errstate(divide="ignore"):
            return centre_attention(np.log(shown.astype("f")), shown > 0)


def token_layers(doc: Doc, encoder: Any) -> "TokenLayers":
    """Read what an encoder left on a Doc.

    Raises:
        DistillationError: TD523, there are no vectors for each of its tokens.
    """
    output: Any = None if isinstance(encoder, Tok2Vec) else doc._.trf_data
    if hasattr(output, "align"):  # spacy-transformers: pieces, and where each token's are
        states = output.model_output.get("hidden_states") or [output.model_output.last_hidden_state]
        return TokenLayers(doc, states, output.align.lengths, output.align.dataXd.ravel())
    if hasattr(output, "last_hidden_layer_state"):  # spacy-curated-transformers: pieces in the tokens' order
        return TokenLayers(doc, [layer.dataXd for layer in output.all_outputs], output.all_outputs[-1].lengths)
    return TokenLayers(doc, [doc.tensor], np.ones(len(doc), dtype="i"))  # Tok2Vec: a vector a token


class TokenLayers:
    """The vectors of a Doc's tokens: of its embeddings and of each layer above them, or of the last layer alone."""

    def __init__(self, doc: Doc, layers: Any, lengths: Any, pieces: Any = None) -> None:
        """Take note of where the vectors are; nothing is copied yet.

        Args:
            doc: The Doc.
            layers: For each layer the vectors of pieces, on any device, shape (..., width).
            lengths: How many pieces each token has.
            pieces: Which these are, token after token; where there are none, all in their order.
        """
        self.doc = doc
        self.layers = list(layers)
        self.lengths = lengths
        self.pieces = None if pieces is None else to_numpy(pieces)
        if any(layer.ndim < 2 for layer in layers) or len(self.lengths) != len(doc):
            raise DistillationError("TD523", text=doc.text)

    def __len__(self) -> int:
        """The number of layers."""
        return len(self.layers)

    def __getitem__(self, layer: int) -> Floats:
        """Pool a layer: the mean of each token's pieces, zeros for a token without; float32, shape (tokens, width)."""
        vectors = to_numpy(self.layers[layer])
        vectors = vectors.reshape(-1, vectors.shape[-1])
        vectors = vectors if self.pieces is None else vectors[self.pieces]
        lengths = to_numpy(self.lengths)
        sums = np.zeros((len(self.doc), vectors.shape[1]), dtype="f")
        np.add.at(sums, np.repeat(np.arange(len(self.doc)), lengths), vectors)
        return sums / np.maximum(lengths, 1)[:, None].astype("f")

    def stack(self, layers: Sequence[int]) -> NDArray[np.float16]:
        """Pool some layers, to be recorded: float16, shape (tokens, layers, width).

        Raises:
            DistillationError: TD236, a layer does not fit into half precision.
        """
        pooled = [self[layer] for layer in layers]
        for layer, vectors in zip(layers, pooled, strict=True):
            largest = abs(vectors).max(initial=0)
            if not largest <= np.finfo("float16").max:
                raise DistillationError("TD236", layer=layer, found=f"{largest:.6g}", text=self.doc.text[:60])
        return np.stack(pooled, axis=1).astype("float16")


def to_numpy(array: Any) -> Any:
    """Copy an array from the GPU, if it is there."""
    return array.get() if hasattr(array, "get") else np.asarray(array)
