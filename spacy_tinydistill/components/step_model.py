"""The small network by which a parser or ner scores its states, for all states of a batch at once."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, Self

import numpy
from spacy.ml._precomputable_affine import PrecomputableAffine
from spacy.ml.parser_model import ParserStepModel
from thinc.api import Linear, Model, NumpyOps

from ..pipes.transfer import fetch

# With NumPy's own BLAS; see device.fast_matrices. Typed as Any: Thinc's types tell arrays apart by their dimensions.
NUMPY_OPS: Any = NumpyOps(use_blis=False)

# spaCy's rate between the step model's two layers, whatever the dropout elsewhere, unless that is 0.
DROPOUT = 0.1


@dataclass
class StepLayers:
    """The layers of a parser's or ner's step model, and what it never says."""

    lower: Any  # spaCy's PrecomputableAffine
    upper: Any  # From hidden vectors to scores, on the CPU; None where the lower one gives the scores
    unseen: list[int]  # Actions that the pipe has had no examples of, and never takes

    @classmethod
    def of(cls, model: Model) -> Self:
        """A pipe's own, to learn or to be asked."""
        upper = model.get_ref("upper") if model.attrs["has_upper"] else None
        return cls(model.get_ref("lower"), upper, sorted(model.attrs["unseen_classes"]))

    @classmethod
    def from_description(cls, description: dict[str, Any]) -> Self:
        """Make them again, on the CPU, from what `describe` said."""
        n_places, n_units, n_pieces, width = description["lower"]["W"].shape[-4:]
        lower = PrecomputableAffine(nO=n_units, nI=width, nF=n_places, nP=n_pieces)
        _set_parameters(lower, description["lower"])
        upper = None
        if description["upper"]:
            n_actions, n_units = description["upper"]["W"].shape
            upper = Linear(nO=n_actions, nI=n_units)
            _set_parameters(upper, description["upper"])
        return cls(lower, upper, description["unseen"])

    def describe(self) -> dict[str, Any]:
        """Copy the weights: plain values and arrays."""
        return {
            "lower": _parameters(self.lower),
            "upper": _parameters(self.upper) if self.upper else {},
            "unseen": self.unseen,
        }


class StepModel:
    """spaCy's step model (`ParserStepModel`), bound to the token vectors of a batch of Docs.

    A state is a few token ids: the first word of the buffer, the top of the stack, its children. The lower layer sees
    their vectors side by side, one piece of its matrix for each place; so its products of every vector with every
    piece are made beforehand, and a state's hidden vector is a sum of rows of that table. The same the other way: the
    gradients of all states are added up in a table of that shape, and go through the matrix once for each token. spaCy
    has them go through it for each state, of which there are about twice as many, and takes the last token's vector
    where a state has none in a place; this gradient is the exact one.

    Args:
        layers: The pipe's.
        vectors: The token vectors of the Docs, one Doc after the other, shape (tokens, width).
    """

    def __init__(self, layers: StepLayers, vectors: Any) -> None:
        self.lower, self.upper, self.unseen = layers.lower, layers.upper, layers.unseen
        self.vectors = vectors
        self.n_places, self.n_units, self.n_pieces = (self.lower.get_dim(name) for name in ("nF", "nO", "nP"))
        # Its first rows stand for a token that is none.
        self.table = self.lower.predict(vectors).reshape(-1, self.n_units * self.n_pieces)
        self.bias = self.lower.get_param("b").reshape(-1)
        # The walk through the states takes place on the CPU, and has many small steps.
        self.cpu_table, self.cpu_bias = fetch([self.table, self.bias])
        self.first_rows = numpy.arange(self.n_places, 2 * self.n_places, dtype="int32")
        # spaCy's function asks its model nothing but the number of places.
        self.places = SimpleNamespace(state2vec=SimpleNamespace(nF=self.n_places))

    def token_ids(self, states: Sequence[Any]) -> numpy.ndarray:
        """The tokens that the network reads of each state, shape (states, places); -1 where there is none."""
        return ParserStepModel.get_token_ids(self.places, states)

    def predict(self, ids: numpy.ndarray) -> numpy.ndarray:
        """Score states on the CPU.

        Args:
            ids: From `token_ids`.

        Returns:
            Scores before the softmax, shape (states, actions).
        """
        sums = NUMPY_OPS.gather_add(self.cpu_table, self._rows(ids))
        sums += self.cpu_bias
        scores, _ = self._maximize(NUMPY_OPS, sums)
        if self.upper:
            scores = NUMPY_OPS.gemm(scores, self.upper.get_param("W"), trans2=True)
            scores += self.upper.get_param("b")
        return self._hide_unseen(scores)

    def begin_update(self, ids: numpy.ndarray, *, dropout: float) -> tuple[numpy.ndarray, Callable[[Any], Any]]:
        """Score states and be ready to learn.

        Args:
            ids: From `token_ids`.
            dropout: With 0 there is none; else its rate is `DROPOUT`.

        Returns:
            Scores before the softmax, on the CPU, shape (states, actions); and a callback that takes their gradient,
            adds to those of both layers' weights, and returns that of the token vectors, shape (tokens, width).
        """
        ops = self.lower.ops
        rows = ops.asarray2i(self._rows(ids))
        hidden, backprop_maximum = self._maximize(ops, ops.gather_add(self.table, rows) + self.bias)
        scores, backprop_upper, mask = ops.to_numpy(hidden), None, None
        if self.upper:
            if dropout:
                mask = NUMPY_OPS.get_dropout_mask(scores.shape, DROPOUT)
                scores = scores * mask
            scores, backprop_upper = self.upper(scores, is_train=True)

        def backprop(gradient: numpy.ndarray) -> Any:
            if self.unseen:
                gradient[:, self.unseen] = 0
            d_hidden = backprop_upper(gradient) if backprop_upper else gradient
            if mask is not None:
                d_hidden = d_hidden * mask
            return self._backprop_lower(backprop_maximum(ops.asarray2f(d_hidden)), rows)

        return self._hide_unseen(scores), backprop

    def _rows(self, ids: numpy.ndarray) -> numpy.ndarray:
        """Where the table has the products of each state's tokens."""
        return ids * self.n_places + self.first_rows

    def _maximize(self, ops: Any, sums: Any) -> tuple[Any, Callable[[Any], Any]]:
        """Apply maxout, with one piece no activation at all: spaCy trains with a ReLU then, but annotates without."""
        best, which = ops.maxout(sums.reshape(-1, self.n_units, self.n_pieces))
        return best, lambda gradient: ops.backprop_maxout(gradient, which, self.n_pieces).reshape(sums.shape)

    def _backprop_lower(self, gradient: Any, rows: Any) -> Any:
        """Add to the lower layer's gradients; return that of the token vectors.

        Args:
            gradient: Of the sums, shape (states, units * pieces).
            rows: Which rows were added up, shape (states, places).
        """
        ops, lower = self.lower.ops, self.lower
        d_table = ops.alloc2f(*self.table.shape)
        for place in range(self.n_places):
            ops.scatter_add(d_table, ops.as_contig(rows[:, place]), gradient)
        d_products = d_table.reshape(len(self.vectors) + 1, -1)
        weights = lower.get_param("W")
        lower.inc_grad("W", ops.gemm(d_products[1:], self.vectors, trans1=True).reshape(weights.shape))
        lower.inc_grad("b", gradient.sum(axis=0).reshape(lower.get_param("b").shape))
        lower.inc_grad("pad", d_products[0].reshape(lower.get_param("pad").shape))
        return ops.gemm(d_products[1:], weights.reshape(d_products.shape[1], -1))

    def _hide_unseen(self, scores: numpy.ndarray) -> numpy.ndarray:
        if self.unseen:
            scores[:, self.unseen] = scores.min()
        return scores


def _parameters(layer: Any) -> dict[str, numpy.ndarray]:
    return {name: layer.ops.to_numpy(layer.get_param(name)) for name in layer.param_names}


def _set_parameters(layer: Any, parameters: dict[str, numpy.ndarray]) -> None:
    layer.ops = NUMPY_OPS
    for name, value in parameters.items():
        layer.set_param(name, value)
