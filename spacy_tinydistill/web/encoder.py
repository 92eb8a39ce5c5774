"""A student's encoder, from words to token vectors, for the web."""

from typing import Any

import numpy
from spacy.attrs import NAMES, intify_attr
from spacy.language import Language
from spacy.vectors import Mode
from thinc.api import Model

from ..errors import DistillationError
from ..pipes.pipeline import pipes_of
from .weights import Weights

# Attributes of words that are strings; the runtime computes these.
ATTRIBUTES = ("ORTH", "NORM", "LOWER", "PREFIX", "SUFFIX", "SHAPE")

# What each block of a config may name, and what is within it.
_TOK2VEC = "spacy.Tok2Vec.v2"
_HASH_EMBED_CNN = "spacy.HashEmbedCNN.v2"
_EMBED = "spacy.MultiHashEmbed.v2"
_ENCODE = "spacy.MaxoutWindowEncoder.v2"
_LISTENER = "spacy.Tok2VecListener.v1"


class Encoders:
    """The encoders of a student, each described once."""

    def __init__(self, nlp: Language, weights: Weights, attributes: set[str]) -> None:
        """Begin with none.

        Args:
            nlp: The student.
            weights: Its weights.
            attributes: Is told of the attributes that are asked for.
        """
        self._nlp = nlp
        self._weights = weights
        self.described: list[dict[str, Any]] = []
        self._attributes = attributes
        self._numbers: dict[int, int] = {}
        self._vectors: dict[str, Any] | None = None

    def number_of(self, pipe: str, config: dict[str, Any], node: Model) -> int:
        """Find or describe the encoder that a pipe reads.

        Args:
            pipe: The pipe's name.
            config: The block `tok2vec` of its model, or its model if it is an encoder itself.
            node: The layer that the block makes.

        Returns:
            Its number.

        Raises:
            DistillationError: TD703, an unknown architecture; TD708, a setting that the runtime does not know; TD712,
                vectors of another kind than words with a vector each.
        """
        if config["@architectures"] == _LISTENER:
            return self._upstream_of(pipe, config["upstream"])
        if node.id not in self._numbers:
            self._check(pipe, config)
            self._numbers[node.id] = len(self.described)
            self.described.append(self._describe(pipe, node))
        return self._numbers[node.id]

    def _upstream_of(self, pipe: str, upstream: str) -> int:
        for name, found in reversed(list(pipes_of(self._nlp))):
            if hasattr(found, "listeners") and upstream in (name, "*"):
                return self.number_of(name, self._nlp.config["components"][name]["model"], found.model)
        raise DistillationError("TD708", pipe=pipe, setting="upstream", found=upstream, expected="a pipe that is there")

    def _check(self, pipe: str, config: dict[str, Any]) -> None:
        if config["@architectures"] == _HASH_EMBED_CNN:
            return
        _expect_architecture(pipe, config, _TOK2VEC, _HASH_EMBED_CNN, _LISTENER)
        _expect_architecture(pipe, config["embed"], _EMBED)
        _expect_architecture(pipe, config["encode"], _ENCODE)

    def _describe(self, pipe: str, node: Model) -> dict[str, Any]:
        embed, encode = node.get_ref("embed"), node.get_ref("encode")
        attributes = [NAMES[intify_attr(column)] for column in _only(embed, "extract_features").attrs["columns"]]
        for attribute in attributes:
            self._use(pipe, attribute)
        tables = [
            {"seed": table.attrs["seed"], **self._weights.of(table, "E")} for table in _layers(embed, "hashembed")
        ]
        windows = {window.attrs["window_size"] for window in _layers(encode, "expand_window")}
        if len(windows) > 1:
            raise DistillationError("TD708", pipe=pipe, setting="window_size", found=windows, expected="one number")
        if any(maxout.get_dim("nP") < 2 for maxout in (*_layers(embed, "maxout"), *_layers(encode, "maxout"))):
            # With one piece spaCy takes another layer, Mish.
            raise DistillationError("TD708", pipe=pipe, setting="maxout_pieces", found=1, expected="2 or more")
        return {
            "attributes": attributes,
            "tables": tables,
            "vectors": self._describe_vectors(pipe, _layers(embed, "static_vectors")),
            "mix": self._describe_maxouts(embed)[0],
            "window": next(iter(windows), 0),
            "layers": self._describe_maxouts(encode),
        }

    def _use(self, pipe: str, attribute: str) -> None:
        if attribute not in ATTRIBUTES:
            raise DistillationError(
                "TD708", pipe=pipe, setting="attribute", found=attribute, expected=", ".join(ATTRIBUTES)
            )
        self._attributes.add(attribute)

    def _describe_maxouts(self, node: Model) -> list[dict[str, Any]]:
        """Each maxout with the normalization that follows it."""
        maxouts, norms = _layers(node, "maxout"), _layers(node, "layernorm")
        return [
            {**self._weights.of(maxout, "W", "b"), "norm": self._weights.of(norm, "G", "b")}
            for maxout, norm in zip(maxouts, norms, strict=True)
        ]

    def _describe_vectors(self, pipe: str, layers: list[Model]) -> dict[str, Any] | None:
        if not layers:
            return None
        if self._vectors is None:
            vectors = self._nlp.vocab.vectors
            if vectors.mode != Mode.default:
                raise DistillationError("TD712", mode=vectors.mode)
            attribute = NAMES[getattr(vectors, "attr", 0) or intify_attr("ORTH")]
            self._use(pipe, attribute)
            rounded = self._weights.round("static vectors", vectors.data)
            vectors.data = rounded.restore()
            # Two halves of each hash: JavaScript has no whole number of 64 bits that is fast.
            keys = numpy.fromiter(vectors.key2row.keys(), dtype="uint64", count=len(vectors.key2row))
            rows = numpy.fromiter(vectors.key2row.values(), dtype="int32", count=len(keys))
            halves = numpy.stack([keys & 0xFFFFFFFF, keys >> 32], axis=1).astype("uint32")
            self._vectors = {
                "attribute": attribute,
                "keys": self._weights.add_array(halves),
                "rows": self._weights.add_array(rows),
                "data": self._weights.add(rounded),
            }
        return {**self._vectors, **self._weights.of(layers[0], "W")}


def _expect_architecture(pipe: str, config: dict[str, Any], *known: str) -> None:
    found = config.get("@architectures") or config.get("@layers")
    if found not in known:
        raise DistillationError("TD703", pipe=pipe, found=found, known=", ".join(known))


def _layers(node: Model, name: str) -> list[Model]:
    return [layer for layer in node.walk(order="dfs_pre") if layer.name == name]


def _only(node: Model, name: str) -> Model:
    (layer,) = _layers(node, name)
    return layer
