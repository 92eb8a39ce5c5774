"""Distillation losses: pure functions, arrays in, gradient and loss out.

Every function takes NumPy or CuPy arrays and works on the device that they are on. Losses and gradients are sums
over the rows, not means: spaCy's own pipes do the same, so that a shared encoder weighs each pipe as it would in
`spacy train`. Gradients are with respect to the *logits* (the scores before the softmax or sigmoid).
"""

from typing import Any

from thinc.api import get_array_module
from thinc.types import Floats2d

# Keeps logarithms and quotients finite; about the smallest probability that half precision can hold.
EPSILON = 1e-7


def soft_cross_entropy(student: Floats2d, teacher: Floats2d, *, temperature: float = 1.0) -> tuple[Floats2d, float]:
    """Distance between two distributions over exclusive labels, both softened by a temperature.

    With p the teacher's and q the student's probabilities, and p_T = p^(1/T) / sum(p^(1/T)), the loss is
    T^2 * sum p_T * log(p_T / q_T): the cross-entropy of Hinton et al., "Distilling the Knowledge in a Neural
    Network" (arXiv 1503.02531, section 2), less the teacher's own entropy, so that a perfect student has loss 0.
    T^2 keeps the gradient's size independent of the temperature.

    Args:
        student: Probabilities, shape (rows, labels), each row summing to 1.
        teacher: Probabilities, shape (rows, labels), each row summing to 1.
        temperature: T, above 0. 1 leaves the distributions as they are, more looks further down the ranks.

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
    """Distance between independent yes/no probabilities (labels that do not exclude each other), softened.

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


def _soften(xp: Any, probabilities: Any, temperature: float) -> Any:
    if temperature == 1.0:
        return probabilities
    softened = xp.exp(xp.log(xp.maximum(probabilities, EPSILON)) / temperature)
    return softened / softened.sum(axis=1, keepdims=True)


def _soften_binary(xp: Any, probabilities: Any, temperature: float) -> Any:
    probabilities = xp.clip(probabilities, EPSILON, 1 - EPSILON)
    logits = xp.log(probabilities) - xp.log1p(-probabilities)
    return xp.clip(1 / (1 + xp.exp(-logits / temperature)), EPSILON, 1 - EPSILON)
