"""A small BERT (Devlin et al., arXiv 1810.04805) in PyTorch, without padding.

The pieces of all sequences are the rows of one matrix, on which all layers but attention work. Attention takes
sequences of equal length together.
"""

from collections.abc import Collection
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F


@dataclass(frozen=True)
class Sequences:
    """Sequences of pieces, sorted by length."""

    ids: Tensor  # shape (pieces,)
    positions: Tensor  # Of each piece in its sequence, shape (pieces,)
    groups: list[tuple[int, int]]  # How many sequences of which length follow each other


@dataclass(frozen=True)
class Encoded:
    """The layers' output for some sequences."""

    vectors: list[Tensor]  # Of the pieces, of the embeddings and then of each layer, shape (pieces, width)
    # By layer, counted from 1, and by group: attention before the softmax, shape (sequences, heads, pieces, pieces)
    scores: dict[int, list[Tensor]]


class Bert(nn.Module):
    """Embeddings and layers, normalized after each block as in BERT."""

    def __init__(
        self, *, n_layers: int, width: int, n_heads: int, intermediate_width: int, n_pieces: int, max_length: int
    ) -> None:
        super().__init__()
        self.pieces = nn.Embedding(n_pieces, width)
        self.teacher_pieces: nn.Embedding | None = None  # In training, where the vocabulary is a mixed one
        self.positions = nn.Embedding(max_length, width)
        self.norm = nn.LayerNorm(width)
        self.layers = nn.ModuleList(Layer(width, n_heads, intermediate_width) for _ in range(n_layers))

    @torch.no_grad()
    def reset(self) -> None:
        """Draw BERT's initial weights, from a normal distribution of standard deviation 0.02."""
        for module in self.modules():
            if isinstance(module, nn.Linear | nn.Embedding):
                nn.init.normal_(module.weight, std=0.02)
            if isinstance(module, nn.Linear):
                nn.init.zeros_(module.bias)
            if isinstance(module, nn.LayerNorm):
                module.reset_parameters()

    def add_teacher_pieces(self, vectors: Tensor) -> None:
        """Add embeddings of a second vocabulary for training. Its pieces are numbered after the first one's.

        Args:
            vectors: Their initial embeddings, shape (pieces, width).
        """
        self.teacher_pieces = nn.Embedding.from_pretrained(vectors.to(self.pieces.weight), freeze=False)

    def own_weights(self) -> dict[str, Tensor]:
        """All weights by name, without the embeddings of the second vocabulary, which are not saved."""
        return {name: found for name, found in self.state_dict().items() if not name.startswith("teacher_pieces.")}

    def forward(self, sequences: Sequences, dropout: float, scored: Collection[int] = ()) -> Encoded:
        """Encode pieces.

        Args:
            sequences: The pieces.
            dropout: The rate, in training.
            scored: The layers whose attention is returned, counted from 1. They take longer.
        """
        dropout = dropout if self.training else 0.0
        hidden = self.norm(self._embed(sequences.ids) + self.positions(sequences.positions))
        hidden = F.dropout(hidden, dropout)
        encoded = Encoded([hidden], {})
        for number, layer in enumerate(self.layers, start=1):
            scores: list[Tensor] | None = encoded.scores.setdefault(number, []) if number in scored else None
            hidden = layer(hidden, sequences.groups, dropout, scores)
            encoded.vectors.append(hidden)
        return encoded

    def _embed(self, ids: Tensor) -> Tensor:
        if self.teacher_pieces is None or not self.training:
            return self.pieces(ids)
        # Not from both tables put together: that would copy them for each batch.
        n_own = len(self.pieces.weight)
        own, theirs = self.pieces(ids.clamp(max=n_own - 1)), self.teacher_pieces((ids - n_own).clamp(min=0))
        return torch.where((ids < n_own)[:, None], own, theirs)


class Layer(nn.Module):
    """Attention and two dense layers."""

    def __init__(self, width: int, n_heads: int, intermediate_width: int) -> None:
        super().__init__()
        self.n_heads = n_heads
        self.query_key_value = nn.Linear(width, 3 * width)
        self.attended = nn.Linear(width, width)
        self.attended_norm = nn.LayerNorm(width)
        self.intermediate = nn.Linear(width, intermediate_width)
        self.output = nn.Linear(intermediate_width, width)
        self.output_norm = nn.LayerNorm(width)

    def forward(
        self, hidden: Tensor, groups: list[tuple[int, int]], dropout: float, scores: list[Tensor] | None
    ) -> Tensor:
        """Apply the layer to pieces, shape (pieces, width), and append its attention to `scores`, if that is a list."""
        attended = self.attended(self._attend(self.query_key_value(hidden), groups, dropout, scores))
        hidden = self.attended_norm(hidden + F.dropout(attended, dropout))
        output = self.output(F.gelu(self.intermediate(hidden)))
        return self.output_norm(hidden + F.dropout(output, dropout))

    def _attend(
        self, rows: Tensor, groups: list[tuple[int, int]], dropout: float, scores: list[Tensor] | None
    ) -> Tensor:
        found = []
        for part, (count, length) in zip(rows.split([count * length for count, length in groups]), groups, strict=True):
            # (sequences, pieces, 3, heads, width of a head) -> three times (sequences, heads, pieces, width of a head)
            query, key, value = part.view(count, length, 3, self.n_heads, -1).permute(2, 0, 3, 1, 4)
            if scores is None:
                attended = F.scaled_dot_product_attention(query, key, value, dropout_p=dropout)
            else:
                # The same, with what that function never shows.
                scores.append(query @ key.transpose(2, 3) / query.shape[3] ** 0.5)
                attended = F.dropout(scores[-1].softmax(dim=3), dropout) @ value
            found.append(attended.transpose(1, 2).reshape(count * length, -1))
        return torch.cat(found)
