"""Where the work is done: on which device, by which of two ways to multiply matrices, and when its memory is full."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from spacy.language import Language
from thinc.api import Model, NumpyOps, require_gpu

from ..errors import DistillationError, needed
from ..signals import uninterrupted
from .pipeline import models_of, nodes_of, pipes_of

with needed("distill"):
    from threadpoolctl import threadpool_limits


def use_device(gpu_id: int) -> None:
    """Move Thinc and PyTorch to a GPU, or stay on the CPU.

    Args:
        gpu_id: The GPU; -1 for the CPU.

    Raises:
        DistillationError: TD211, there is no such GPU.
    """
    if gpu_id < 0:
        return
    try:
        require_gpu(gpu_id)
    except Exception as error:  # CuPy has exceptions of its own for a device that is not there
        raise DistillationError("TD211", gpu_id=gpu_id, reason=error) from error


@contextmanager
def fast_matrices(nlp: Language, *others: Model) -> Iterator[None]:
    """Have models on the CPU multiply matrices with NumPy's BLAS for a while, on one thread.

    NumPy's wheels come with OpenBLAS, which took 0.39 s for an update of a CNN student where BLIS, Thinc's default,
    took 0.70 (AMD EPYC). On more threads, its own wait for each other on a busy machine: 2.2 s. And the sums, so the
    student, would depend on how many there are. Layers with other operations than Thinc's default, such as a GPU's or
    Apple's, keep them, and PyTorch keeps its threads.

    Args:
        nlp: The pipeline whose models these are.
        others: More of them, such as its lessons'.
    """
    fast = NumpyOps(use_blis=False)
    models = [model for _, model in models_of(pipes_of(nlp))]
    nodes: list[tuple[Model, Any]] = [(node, node.ops) for node in nodes_of([*models, *others])]
    changed = [(node, ops) for node, ops in nodes if type(ops) is NumpyOps and ops.use_blis]
    for node, _ in changed:
        node.ops = fast
    try:
        # Which goes through all libraries that are loaded, and is called back for each.
        with uninterrupted():
            limits = threadpool_limits(limits=1, user_api="blas")
        with limits:
            yield
    finally:
        for node, ops in changed:
            node.ops = ops


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that there is no memory left, on a GPU or on the CPU."""
    # CuPy's and NumPy's are MemoryErrors; PyTorch's is not, and PyTorch need not be installed.
    return isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError"
