"""Gradients, checked against finite differences."""

import numpy
import pytest
from thinc.api import Model, NumpyOps, fix_random_seed

from spacy_tinydistill.losses import (
    soft_binary_cross_entropy,
    soft_cross_entropy,
)


def check_gradients(model: Model, learn) -> int:
    """Move each parameter along its own gradient and see that the loss changes as the gradient says.

    Args:
        model: Every parameter of it that gets a gradient is checked.
        learn: Adds to the gradients and returns the loss.

    Returns:
        How many parameters were checked.
    """
    fix_random_seed(0)
    clear_gradients(model)
    loss = learn()
    assert loss > 0
    gradients = {
        (node.id, name): (node, name, NumpyOps().to_numpy(node.get_grad(name)).copy())
        for node in model.walk()
        for name in node.param_names
        if node.has_param(name) and node.has_grad(name)
    }
    assert gradients
    norms = {key: float(numpy.linalg.norm(gradient)) for key, (_, _, gradient) in gradients.items()}
    checked = 0
    for key, (node, name, gradient) in gradients.items():
        if norms[key] < 1e-3 * max(norms.values()):
            # Its share of the loss drowns in what float32 rounds away.
            continue
        before = node.get_param(name).copy()
        # Far enough for float32 to see it, near enough for the loss to be nearly straight.
        step = min(2e-3 * loss / norms[key], 0.02)
        losses = []
        for sign in (1, -1):
            node.set_param(name, before + (sign * step * gradient / norms[key]).astype("float32"))
            losses.append(learn())
        node.set_param(name, before)
        assert (losses[0] - losses[1]) / (2 * step) == pytest.approx(norms[key], rel=0.1), (node.name, name)
        checked += 1
    clear_gradients(model)
    return checked


def clear_gradients(model: Model) -> None:
    for node in model.walk():
        for name in node.param_names:
            if node.has_param(name) and node.has_grad(name):
                node.set_grad(name, numpy.zeros_like(node.get_grad(name)))


def softmax(logits):
    exponentials = numpy.exp(logits - logits.max(axis=1, keepdims=True))
    return exponentials / exponentials.sum(axis=1, keepdims=True)


def sigmoid(logits):
    return 1 / (1 + numpy.exp(-logits))


LOSSES = {"exclusive": (soft_cross_entropy, softmax), "binary": (soft_binary_cross_entropy, sigmoid)}
