"""Move to a GPU, and tell when it is full."""

from thinc.api import require_gpu

from .errors import DistillationError


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


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that there is no memory left, on a GPU or on the CPU."""
    # CuPy's and NumPy's are MemoryErrors; PyTorch's is not, and PyTorch need not be installed.
    return isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError"
