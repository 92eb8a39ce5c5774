"""Distillation losses: pure functions of arrays that return the gradient and the loss.

The functions take NumPy or CuPy arrays and work on their device. Losses and gradients are sums over the rows, not
means, as in spaCy's own pipes, so a shared encoder weighs each pipe as in `spacy train`. A row is a token, a piece, a
state or a text. *Within* a row the losses of vectors and attention are means, as in their paper, so they weigh the same
for wide and narrow teachers.

Gradients of the soft-label losses are with respect to the *logits* (the scores before the softmax or sigmoid). Those of
the other losses are with respect to the student's array. Equation numbers are those of Jiao et al., "TinyBERT" (arXiv
1909.10351).
"""

from collections.abc import Sequence
from typing import Any

from thinc.api import get_array_module
from thinc.types import Floats2d, Floats4d

from .errors import DistillationError

# Keeps logarithms and quotients finite. About the smallest probability in half precision.
EPSILON = 1e-7


def soft_cross_entropy(student: Floats2d, teacher: Floats2d, *, temperature: float = 1.0) -> tuple[Floats2d, float]:
    """Compare two distributions over exclusive labels, both softened by a temperature.

    With p the teacher's and q the student's probabilities, and p_T = p^(1/T) / sum(p^(1/T)), the loss is
    T^2 * sum p_T * log(p_T / q_T): the cross-entropy of Hinton et al., "Distilling the Knowledge in a Neural
    Network" (arXiv 1503.02531, section 2), less the teacher's own entropy, so that a perfect student has loss 0.
    T^2 keeps the size of the gradient independent of the temperature. It is also eq. 10, L_pred = CE(z^T / t, z^S / t).

    Args:
        student: Probabilities, shape (rows, labels), each row summing to 1.
        teacher: Probabilities, shape (rows, labels), each row summing to 1.
        temperature: T, above 0. 1 leaves the distributions unchanged. Higher values give improbable labels more weight.

    Returns:
        The gradient of the loss with respect to the student's logits, T * (q_T - p_T), shape (rows, labels), and
        the loss summed over the rows.
    """
    xp = get_array_module(student)
    p, q = (_soften(xp, probabilities, temperature) for probabilities in (teacher, student))
    divergence = p * xp.log(xp.maximum(p, EPSILON) / xp.maximum(q, EPSILON))
    return temperature * (q - p), temperature**2 * float(divergence.sum())


def soft_binary_cross_entropy(
    student: Floats2d, teacher: Floats2d, *, temperature: float = 1.0
) -> tuple[Floats2d, float]:
    """Compare independent yes/no probabilities (labels that do not exclude each other), softened by a temperature.

    The two-label case of `soft_cross_entropy`, once per label: with p_T = sigmoid(logit(p) / T), the loss is
    T^2 * sum [p_T log(p_T / q_T) + (1 - p_T) log((1 - p_T) / (1 - q_T))].

    Args:
        student: Probabilities, shape (rows, labels), each between 0 and 1.
        teacher: Probabilities, shape (rows, labels), each between 0 and 1.
        temperature: T, above 0.

    Returns:
        The gradient with respect to the student's logits, T * (q_T - p_T), shape (rows, labels), and the loss
        summed over rows and labels.
    """
    xp = get_array_module(student)
    p = _soften_binary(xp, teacher, temperature)
    q = _soften_binary(xp, student, temperature)
    divergence = p * xp.log(p / q) + (1 - p) * xp.log((1 - p) / (1 - q))
    return temperature * (q - p), temperature**2 * float(divergence.sum())


def mean_squared_error(student: Floats2d, teacher: Floats2d) -> tuple[Floats2d, float]:
    """Compare vectors: hidden states (eq. 8) or embeddings (eq. 9).

    L_hidn = MSE(H^S W_h, H^T) and L_embd = MSE(E^S W_e, E^T), where the learned W_h and W_e project the student's
    vectors to the teacher's width. Here: the sum over rows of |s - t|^2 / width.

    Args:
        student: The student's projected vectors, H^S W_h or E^S W_e, shape (rows, width).
        teacher: H^T or E^T, shape (rows, width).

    Returns:
        The gradient with respect to `student`, 2 (s - t) / width, shape (rows, width), and the loss summed over the
        rows.
    """
    difference = student - teacher
    width = student.shape[1]
    return 2 * difference / width, float(get_array_module(student).sum(difference**2)) / width


def unexplained_variance(student: Floats2d, explained: Floats2d) -> tuple[Floats2d, Floats2d, float]:
    """Compare a student's vectors with its teacher's projected ones, in units of the student's variance.

    With s the student's n vectors, m their mean, and t W_down the teacher's vectors projected to the student's width:
    n * sum |s - t W_down|^2 / sum |s - m|^2. Divided by n, this is the share of the student's variance that the
    teacher's vectors do not explain. Both sides are learned, so a mean squared error could be lowered by making both
    smaller. This loss does not change if both are scaled or moved alike.

    Args:
        student: H^S, shape (rows, student's width).
        explained: H^T W_down, same shape.

    Returns:
        The gradients with respect to `student` and to `explained`, same shapes, and the loss. All zero if all of the
        student's vectors are the same.
    """
    xp = get_array_module(student)
    difference = student - explained
    centred = student - xp.mean(student, axis=0)
    variance = xp.sum(centred**2)
    # Not decided by an `if`, for which a GPU's number would have to be waited for.
    differs = variance > EPSILON * xp.sum(student**2)
    scale = xp.where(differs, len(student) / xp.where(differs, variance, 1), 0).astype(student.dtype)
    loss = scale * xp.sum(difference**2)
    return 2 * scale * (difference - loss / len(student) * centred), -2 * scale * difference, float(loss)


def attention_error(student: Sequence[Floats4d], teacher: Sequence[Floats4d]) -> tuple[list[Floats4d], float]:
    """Compare attention scores before the softmax (eq. 7).

    L_attn = 1/h * sum over the h heads of MSE(A_i^S, A_i^T), with A_i of shape (l, l) for a sequence of l pieces. Here:
    the sum over the attending pieces of the mean of (A^S - A^T)^2 over heads and the l attended pieces. This is l times
    L_attn for each sequence, so a piece weighs the same in short and long sequences.

    Args:
        student: Scores before the softmax, for each group of sequences that have the same shape: (sequences, heads,
            pieces, pieces).
        teacher: The teacher's scores, same shapes. A score of minus infinity, as for later pieces in GPT-2 and for
            padding, means that a piece is not attended to: such pairs are left out, and l does not count them.

    Returns:
        The gradient with respect to each of `student`, 2 (A^S - A^T) / (h l), 0 where pairs are left out, same shapes;
        and the loss summed over the pieces.
    """
    gradients, losses = [], []
    for ours, theirs in zip(student, teacher, strict=True):
        xp = get_array_module(ours)
        is_pair = theirs != -xp.inf
        # Not multiplied by the mask: 0 times infinity is NaN.
        difference = xp.where(is_pair, ours, 0) - xp.where(is_pair, theirs, 0)
        weighted = difference / (ours.shape[1] * xp.maximum(_count(is_pair), 1)).astype(ours.dtype)
        gradients.append(2 * weighted)
        losses.append((weighted * difference).sum())
    # A number on a GPU is waited for once.
    return gradients, float(sum(losses))


def centre_attention(scores: Any, is_pair: Any) -> Any:
    """Subtract the mean of each row, which does not change the softmax.

    Args:
        scores: Before the softmax, shape (..., pieces, pieces).
        is_pair: Which of them are attended to, same shape. The others do not matter.
    """
    xp = get_array_module(scores)
    sums = xp.where(is_pair, scores, 0).sum(axis=-1, keepdims=True)
    return scores - sums / xp.maximum(_count(is_pair), 1).astype(scores.dtype)


def map_layers(mapping: str | Sequence[int], n_student: int, n_teacher: int) -> list[int]:
    """Find the teacher's layer g(m) that each of the student's layers m learns from (section 3.1).

    Args:
        mapping: "uniform" for g(m) = m * N / M, rounded down, which ends with the teacher's last layer; "last" for the
            teacher's last M layers, g(m) = m + N - M; or g(1), ..., g(M) themselves.
        n_student: M, the student's layers.
        n_teacher: N, the teacher's layers.

    Returns:
        g(1), ..., g(M), each from 1 to N. Embeddings, layer 0, are always compared with embeddings.

    Raises:
        DistillationError: TD213, the mapping is unknown or does not fit the layers.
    """
    numbers = range(1, n_student + 1)
    if mapping == "uniform":
        found = [m * n_teacher // n_student for m in numbers]
    elif mapping == "last":
        found = [m + n_teacher - n_student for m in numbers]
    else:
        found = [] if isinstance(mapping, str) else list(mapping)
    if len(found) != n_student or any(not 1 <= layer <= n_teacher for layer in found):
        raise DistillationError("TD213", mapping=mapping, student=n_student, teacher=n_teacher)
    return found


def _count(is_pair: Any) -> Any:
    return is_pair.sum(axis=-1, keepdims=True)


def _soften(xp: Any, probabilities: Any, temperature: float) -> Any:
    if temperature == 1.0:
        return probabilities
    softened = xp.exp(xp.log(xp.maximum(probabilities, EPSILON)) / temperature)
    return softened / softened.sum(axis=1, keepdims=True)


def _soften_binary(xp: Any, probabilities: Any, temperature: float) -> Any:
    probabilities = xp.clip(probabilities, EPSILON, 1 - EPSILON)
    logits = xp.log(probabilities) - xp.log1p(-probabilities)
    return xp.clip(1 / (1 + xp.exp(-logits / temperature)), EPSILON, 1 - EPSILON)
