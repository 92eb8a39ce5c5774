"""A student's initial weights from its teacher's: some of the layers, made narrower."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from spacy.language import Language
from thinc.api import Model

from ..errors import DistillationError
from ..losses import map_layers
from ..pipes.pipeline import pipes_of
from .encoder import transformers_of
from .pieces import pieces_of

if TYPE_CHECKING:
    from torch import Tensor


def teacher_weights_callback(teacher: str, layers: str | Sequence[int] = "uniform") -> Callable[[Language], None]:
    """Make the callback `spacy-tinydistill.TeacherWeights.v1`, for `[initialize.after_init]`.

    Args:
        teacher: A pipeline with a BERT of spacy-transformers.
        layers: The teacher's layer that each of the student's layers starts from: "uniform", "last", or a list of
            layers, counted from 1. With an empty list only the embeddings are copied.
    """

    def fill(nlp: Language) -> None:
        from ..pipes.pipeline import load_teacher

        source = load_teacher(teacher)
        for _, node in transformers_of(pipes_of(nlp)):
            start_from(source, node, layers)

    return fill


def start_from(teacher: Language, node: Model, layers: str | Sequence[int]) -> None:
    """Initialize a `TinyTransformer.v1` with a teacher's weights, reduced to its size.

    With E the teacher's embeddings and P their principal directions, as many as the student is wide, the student's
    states approximate the teacher's times P: matrices that read states are multiplied by P, matrices that write them
    by its transpose. The products of each head, W_q^T W_k and W_o W_v, are reduced to the student's width of a head
    by a singular value decomposition, the best approximation of that rank. The dense layer keeps the units with the
    largest weights, in and out. A student of the teacher's size equals the teacher.

    Args:
        teacher: A pipeline with a BERT of spacy-transformers.
        node: A model from `find_transformer`, initialized, with the teacher's pieces.
        layers: See `teacher_weights_callback`.

    Raises:
        DistillationError: TD213, the layers do not fit; TD224, another kind of teacher, other pieces, a student that is
            wider or longer than its teacher, or layers with other heads or a wider dense layer.
    """
    import torch

    pipe, theirs = _find_bert(teacher)
    shim: Any = node.shims[0]
    ours = shim._model
    _check_embeddings(pipe, theirs, node)
    taken = []
    if layers:
        numbers = map_layers(layers, len(ours.layers), len(theirs.encoder.layer))
        _check_layers(theirs, ours)
        taken = [(theirs.encoder.layer[number - 1], layer) for number, layer in zip(numbers, ours.layers, strict=True)]
    with torch.no_grad():
        embeddings = theirs.embeddings
        # A model may have more rows than there are pieces, so that their number is a round one.
        words = embeddings.word_embeddings.weight[: len(node.attrs["pieces"])].double()
        basis = _principal_directions(words, ours.norm.weight.shape[0])
        # There is one type of text, which is added to each piece.
        ours.pieces.weight[: len(words)] = ((words + embeddings.token_type_embeddings.weight[0]) @ basis).float()
        positions = embeddings.position_embeddings.weight[: len(ours.positions.weight)]
        ours.positions.weight.copy_(positions.double() @ basis)
        _narrow_norm(embeddings.LayerNorm, ours.norm, basis)
        for source, target in taken:
            _narrow_layer(source, target, basis)


def _find_bert(teacher: Language) -> tuple[Any, Any]:
    for _, pipe in pipes_of(teacher):
        transformer = getattr(getattr(pipe, "model", None), "transformer", None)
        if transformer is not None and transformer.config.model_type == "bert":
            return pipe, transformer
    raise DistillationError("TD224", found=", ".join(teacher.pipe_names) or "no pipes", expected="a BERT")


def _check_embeddings(pipe: Any, theirs: Any, node: Model) -> None:
    shim: Any = node.shims[0]
    ours = shim._model
    pieces = pieces_of(pipe)
    if not pieces or node.attrs["pieces"].fingerprint != pieces.fingerprint:
        raise DistillationError("TD224", found="a student with other pieces", expected="the teacher's")
    _check_size("width", ours.norm.weight.shape[0], theirs.config.hidden_size)
    _check_size("max_length", len(ours.positions.weight), theirs.config.max_position_embeddings)


def _check_layers(theirs: Any, ours: Any) -> None:
    heads = ours.layers[0].n_heads
    if heads != theirs.config.num_attention_heads:
        raise DistillationError("TD224", found=f"{heads} heads", expected=theirs.config.num_attention_heads)
    _check_size("intermediate_width", ours.layers[0].intermediate.weight.shape[0], theirs.config.intermediate_size)


def _check_size(name: str, found: int, most: int) -> None:
    if found > most:
        raise DistillationError("TD224", found=f"a {name} of {found}", expected=f"{most} at most")


def _principal_directions(vectors: "Tensor", width: int) -> "Tensor":
    """Find the directions in which vectors differ most, those that they have if there are no more: (hidden, width)."""
    import torch

    if width == vectors.shape[1]:
        return torch.eye(width, dtype=vectors.dtype, device=vectors.device)
    centred = vectors - vectors.mean(dim=0)
    _, directions = torch.linalg.eigh(centred.T @ centred)  # By ascending variance
    return directions.flip(1)[:, :width]


def _narrow_norm(source: Any, target: Any, basis: "Tensor") -> None:
    """Scale and move each direction as the teacher's would be if its input were the same in all."""
    target.weight.copy_((source.weight.double() ** 2 @ basis**2).sqrt())
    target.bias.copy_(source.bias.double() @ basis)


def _narrow_layer(source: Any, target: Any, basis: "Tensor") -> None:
    import torch

    n_heads, width = target.n_heads, basis.shape[1]
    head_width = width // n_heads

    def heads_of(linear: Any) -> "Tensor":
        """By head what reads a state, with the bias as one more column: (heads, width of a head, width + 1)."""
        weights = torch.cat([linear.weight.double() @ basis, linear.bias.double()[:, None]], dim=1)
        return weights.view(n_heads, -1, width + 1)

    attention = source.attention.self
    query, key, value = (heads_of(linear) for linear in (attention.query, attention.key, attention.value))
    output = (basis.T @ source.attention.output.dense.weight.double()).view(width, n_heads, -1).transpose(0, 1)
    # The softmax's temperature depends on the width of a head.
    temperature = (head_width / query.shape[1]) ** 0.5
    to_query, to_key = _split(query.transpose(1, 2) @ key * temperature, head_width)
    to_output, to_value = _split(output @ value, head_width)
    rows = torch.cat([part.reshape(width, width + 1) for part in (to_query.transpose(1, 2), to_key, to_value)])
    target.query_key_value.weight.copy_(rows[:, :-1])
    target.query_key_value.bias.copy_(rows[:, -1])
    target.attended.weight.copy_(to_output.transpose(0, 1).reshape(width, width))
    target.attended.bias.copy_(source.attention.output.dense.bias.double() @ basis)
    _narrow_norm(source.attention.output.LayerNorm, target.attended_norm, basis)

    inward, outward = source.intermediate.dense, source.output.dense
    sizes = inward.weight.norm(dim=1) * outward.weight.norm(dim=0)
    chosen = sizes.topk(len(target.intermediate.bias)).indices.sort().values
    target.intermediate.weight.copy_(inward.weight[chosen].double() @ basis)
    target.intermediate.bias.copy_(inward.bias[chosen])
    target.output.weight.copy_(basis.T @ outward.weight[:, chosen].double())
    target.output.bias.copy_(outward.bias.double() @ basis)
    _narrow_norm(source.output.LayerNorm, target.output_norm, basis)


def _split(product: "Tensor", rank: int) -> "tuple[Tensor, Tensor]":
    """Split each head's matrix into two thinner ones, (heads, rows, rank) and (heads, rank, columns)."""
    import torch

    left, values, right = torch.linalg.svd(product, full_matrices=False)
    roots = values[:, :rank].sqrt()
    return left[:, :, :rank] * roots[:, None, :], right[:, :rank] * roots[:, :, None]
