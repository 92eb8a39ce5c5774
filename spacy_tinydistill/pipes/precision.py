"""Half the bits for a teacher that is only asked: bfloat16 where a GPU or a CPU multiplies matrices of it."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from spacy.language import Language
from thinc.api import CupyOps, PyTorchShim, get_current_ops

from .pipeline import models_of, nodes_of, pipes_of

# The first generation of NVIDIA's GPUs whose matrix units know bfloat16 (Ampere), and what CPUs that have such
# instructions call them. Without them a CPU would take longer than in float32.
FIRST_CAPABILITY = (8, 0)
CPU_CAPABILITIES = ("amx_bf16", "avx512_bf16")


@contextmanager
def fastest_precision(teacher: Language) -> Iterator[None]:
    """Let a teacher's PyTorch layers calculate in bfloat16 where the device has it; elsewhere, leave them as they are.

    What the layers hand on is float32 in any case, and the weights are not touched: PyTorch's autocast decides layer by
    layer (https://docs.pytorch.org/docs/stable/amp.html).

    Args:
        teacher: The pipeline.
    """
    modules = list(_pytorch_modules(teacher))
    with ExitStack() as stack:
        if modules and (device := _bfloat16_device()):
            for module in modules:
                stack.enter_context(autocast(module, device))
        yield


def _bfloat16_device() -> str | None:
    """Name the type of the current device, "cuda" or "cpu", if it is fast in bfloat16."""
    import torch

    if isinstance(get_current_ops(), CupyOps):
        return "cuda" if torch.cuda.get_device_capability() >= FIRST_CAPABILITY else None
    # An older PyTorch does not say what a CPU has.
    found: dict[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()
    return "cpu" if any(found.get(name) for name in CPU_CAPABILITIES) else None


@contextmanager
def autocast(module: Any, device: str) -> Iterator[None]:
    """Run a PyTorch module in bfloat16 for a while.

    Thinc switches autocast off around the modules that it wraps, so it is switched on within.

    Args:
        module: The `torch.nn.Module`.
        device: The type of device that the module is on, "cuda" or "cpu".
    """
    import torch

    forward = module.forward

    def forward_in_bfloat16(*args: Any, **kwargs: Any) -> Any:
        with torch.autocast(device, dtype=torch.bfloat16):
            output = forward(*args, **kwargs)
        return _to_float32(output, lambda tensor: tensor.float() if tensor.dtype is torch.bfloat16 else tensor)

    module.forward = forward_in_bfloat16
    try:
        yield
    finally:
        # What shadowed the method of its class.
        del module.forward


def _pytorch_modules(nlp: Language) -> Iterator[Any]:
    for node in nodes_of(model for _, model in models_of(pipes_of(nlp))):
        yield from (shim._model for shim in node.shims if isinstance(shim, PyTorchShim))


def _to_float32(output: Any, convert: Callable[[Any], Any]) -> Any:
    """Convert the tensors of a module's output: neither NumPy nor CuPy has bfloat16."""
    if hasattr(output, "dtype"):
        return convert(output)
    if isinstance(output, list | tuple):
        return type(output)(_to_float32(item, convert) for item in output)
    if isinstance(output, dict):  # transformers.utils.ModelOutput, too
        for key, value in output.items():
            output[key] = _to_float32(value, convert)
    elif hasattr(output, "all_outputs"):  # curated_transformers.models.output.PyTorchTransformerOutput
        output.all_outputs = _to_float32(output.all_outputs, convert)
    return output
