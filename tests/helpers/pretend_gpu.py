"""A GPU that is none: arrays that refuse what CuPy's refuse, and that Thinc and spaCy take for CuPy's.

`install` puts a module in the place of CuPy before Thinc is imported, so that `require_gpu`, `CupyOps` and the branches
for GPUs in spaCy's compiled code are the real ones. An array's memory is NumPy's, behind the array; the kernels that
Thinc has in CUDA are those of its `NumpyOps`, called on that memory.

Stricter than CuPy: NumPy's functions, which CuPy's arrays take over, are refused, since they say nothing of where the
work is done. More lenient: tensors that PyTorch makes without a device, as `torch.zeros` does, count as being on the
GPU, and Thinc's CUDA kernels read no sizes back to check them.
"""

import operator
import sys
import types
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy

# What Thinc's kernels are named and take in CUDA alone.
KERNELS = [
    "clipped_linear", "gather_add", "dish", "gelu", "seq2col", "maxout", "mish", "reduce_sum", "reduce_mean",
    "reduce_max", "swish", "backprop_seq2col", "backprop_clipped_linear", "backprop_hard_swish",
    "backprop_hard_swish_mobilenet", "backprop_dish", "backprop_gelu", "backprop_maxout", "backprop_mish",
    "backprop_reduce_sum", "backprop_reduce_mean", "backprop_reduce_max", "backprop_swish", "hash", "pad",
]  # fmt: skip
KERNEL_SETTINGS = ("threads_per_block", "num_blocks", "threshold")

# Of each copy between the two memories: its direction, and the function that asked for it.
crossings: Counter[tuple[str, str]] = Counter()

# Modules that carry out a copy for somebody else.
CARRIERS = (__name__, "thinc.backends", "thinc.util", "thinc.types", "torch.")


class WrongSideError(TypeError):
    """Something on one device was used as if it were on the other."""


def count(direction: str) -> None:
    """Count a copy, "down" from the GPU or "up" to it, for the function that asked for it."""
    crossings[direction, asking_function()] += 1


def asking_function() -> str:
    """Name the function on whose behalf a copy is made, such as "spacy_tinydistill.loop:_check_weights".

    Of compiled code, which has no frames, it is the function that called it.
    """
    frame: Any = sys._getframe(1)
    while frame.f_back and frame.f_globals["__name__"].startswith(CARRIERS):
        frame = frame.f_back
    return f"{frame.f_globals['__name__']}:{frame.f_code.co_qualname.replace('.<locals>', '')}"


def memory_of(value: Any) -> Any:
    """Find the memory behind arrays, in lists and slices, too; arrays on the CPU are refused."""
    if isinstance(value, DeviceArray):
        return value._memory
    if isinstance(value, numpy.ndarray):
        raise WrongSideError(f"Unsupported type {type(value)}: an array on the CPU among those on the GPU.")
    if isinstance(value, list | tuple):
        return type(value)(map(memory_of, value))
    if isinstance(value, slice):
        return slice(*(int(part) if isinstance(part, DeviceArray) else part for part in _parts(value)))
    return value


def indexed_by(value: Any) -> Any:
    """Find the memory behind what an array is indexed by, or set to.

    CuPy copies whole numbers from the CPU by itself, and spaCy lets it. Ours is to say so.
    """
    if isinstance(value, tuple):
        return tuple(map(indexed_by, value))
    if isinstance(value, DeviceArray) and value.dtype == bool:
        # The GPU is asked how many it chooses.
        count("down")
    is_quiet = isinstance(value, numpy.ndarray) and value.dtype != bool
    if is_quiet and not asking_function().startswith("spacy_tinydistill"):
        count("up")
        return value
    return memory_of(value)


def on_device(value: Any) -> Any:
    """Wrap what a function of NumPy's returned; also a single number stays on the GPU."""
    if isinstance(value, numpy.ndarray | numpy.generic):
        return DeviceArray(numpy.asarray(value))
    if isinstance(value, list | tuple):
        return type(value)(map(on_device, value))
    return value


def call(function: Callable, *args: Any, **kwargs: Any) -> Any:
    """Call a function of NumPy's on the memory behind arrays."""
    out = kwargs.get("out")
    found = function(*map(memory_of, args), **{name: memory_of(value) for name, value in kwargs.items()})
    return out if isinstance(out, DeviceArray) else on_device(found)


def _parts(value: slice) -> tuple[Any, Any, Any]:
    return value.start, value.stop, value.step


class DeviceArray:
    """Stands for `cupy.ndarray`."""

    # So that NumPy leaves operators to this class, and has no function for it.
    __array_ufunc__ = None
    __hash__ = None  # type: ignore[assignment]

    def __init__(self, shape: Any, dtype: Any = "float64", order: str = "C") -> None:
        self._memory = shape if isinstance(shape, numpy.ndarray) else numpy.empty(shape, dtype, order)

    def __array__(self, *args: Any, **kwargs: Any) -> numpy.ndarray:
        raise WrongSideError("Implicit conversion to a NumPy array is not allowed. Please use `.get()`.")

    def __reduce__(self) -> Any:
        raise WrongSideError("An array on the GPU is written to disk, or sent to another process, without `to_numpy`.")

    __reduce_ex__ = __reduce__  # type: ignore[assignment]

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        found = getattr(self._memory, name)
        if isinstance(found, numpy.ndarray):
            return DeviceArray(found)
        return (lambda *args, **kwargs: call(found, *args, **kwargs)) if callable(found) else found

    def get(self, stream: Any = None, order: str = "C", out: Any = None) -> numpy.ndarray:
        count("down")
        if out is None:
            return numpy.array(self._memory, order="C")
        out[...] = self._memory
        return out

    def set(self, array: numpy.ndarray, stream: Any = None) -> None:
        count("up")
        self._memory[...] = array

    def item(self) -> Any:
        return self.get().item()

    def tolist(self) -> Any:
        return self.get().tolist()

    def tobytes(self, *args: Any) -> bytes:
        return self.get().tobytes(*args)

    def toDlpack(self) -> "DeviceArray":
        return self

    def __float__(self) -> float:
        return float(self.item())

    def __int__(self) -> int:
        return int(self.item())

    def __index__(self) -> int:
        return operator.index(self.item())

    def __bool__(self) -> bool:
        return bool(self.item())

    def __len__(self) -> int:
        return len(self._memory)

    def __iter__(self) -> Iterator["DeviceArray"]:
        return (self[i] for i in range(len(self)))

    def __getitem__(self, index: Any) -> "DeviceArray":
        return on_device(self._memory[indexed_by(index)])

    def __setitem__(self, index: Any, value: Any) -> None:
        self._memory[indexed_by(index)] = indexed_by(value)

    def __repr__(self) -> str:
        return f"DeviceArray({self._memory!r})"


def _define_operators() -> None:
    def plain(function: Callable) -> Callable:
        return lambda self, *others: call(function, self, *others)

    def swapped(function: Callable) -> Callable:
        return lambda self, other: call(function, other, self)

    def inplace(function: Callable) -> Callable:
        def apply(self: DeviceArray, other: Any) -> DeviceArray:
            self._memory = function(self._memory, memory_of(other))
            return self

        return apply

    for name in ("add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "matmul", "and", "or", "xor"):
        setattr(DeviceArray, f"__{name}__", plain(getattr(operator, f"__{name}__")))
        setattr(DeviceArray, f"__r{name}__", swapped(getattr(operator, f"__{name}__")))
        setattr(DeviceArray, f"__i{name}__", inplace(getattr(operator, f"__i{name}__")))
    for name in ("lt", "le", "gt", "ge", "eq", "ne", "neg", "abs", "invert"):
        setattr(DeviceArray, f"__{name}__", plain(getattr(operator, f"__{name}__")))


_define_operators()


class _Cupy(types.ModuleType):
    """Stands for CuPy: NumPy's functions, on arrays of the GPU alone."""

    ndarray = DeviceArray

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        found = getattr(numpy, name)
        if isinstance(found, type) or not callable(found):
            return found
        return lambda *args, **kwargs: call(found, *args, **kwargs)

    def array(self, data: Any, dtype: Any = None, copy: bool = True, **kwargs: Any) -> DeviceArray:
        if not isinstance(data, DeviceArray) and not (
            isinstance(data, list | tuple) and data and isinstance(data[0], DeviceArray)
        ):
            count("up")
            return DeviceArray(numpy.array(data, dtype=dtype))
        return on_device(numpy.array(memory_of(data), dtype=dtype))

    def asarray(self, data: Any, dtype: Any = None, **kwargs: Any) -> DeviceArray:
        if isinstance(data, DeviceArray):
            return data if dtype is None or data.dtype == dtype else data.astype(dtype)
        return self.array(data, dtype=dtype)

    def split(self, array: DeviceArray, places: Any, axis: int = 0) -> list[DeviceArray]:
        # Which CuPy wants on the CPU.
        if isinstance(places, DeviceArray):
            raise WrongSideError("The places to split at are on the GPU.")
        return [DeviceArray(part) for part in numpy.split(array._memory, places, axis)]

    def save(self, file: Any, array: Any) -> None:
        numpy.save(file, self.asnumpy(array))

    def load(self, file: Any) -> DeviceArray:
        return self.array(numpy.load(file))

    def asnumpy(self, array: Any) -> numpy.ndarray:
        return array.get() if isinstance(array, DeviceArray) else numpy.asarray(array)

    def get_array_module(self, *arrays: Any) -> Any:
        return self if any(isinstance(array, DeviceArray) for array in arrays) else numpy

    def from_dlpack(self, tensor: Any) -> DeviceArray:
        return DeviceArray(_tensor_memory(tensor))

    def RawModule(self, *args: Any, **kwargs: Any) -> Any:
        return None

    RawKernel = ReductionKernel = RawModule

    def ElementwiseKernel(self, inputs: str, outputs: str, code: str, name: str) -> Callable:
        if name != "adam":
            raise NotImplementedError(name)

        def adam(gradient, rate, one_minus_beta1, one_minus_beta2, eps, weights, mom1, mom2) -> None:
            mom1 += one_minus_beta1 * (gradient - mom1)
            mom2 += one_minus_beta2 * (gradient * gradient - mom2)
            weights -= rate * mom1 / (call(numpy.sqrt, mom2) + eps)

        return adam

    def get_default_memory_pool(self) -> Any:
        return types.SimpleNamespace(free_all_blocks=lambda: None, malloc=None)


class _Stream:
    def __init__(self, **kwargs: Any) -> None:
        pass

    def synchronize(self) -> None:
        pass


class _Device:
    def __init__(self, number: int = 0) -> None:
        # As a machine with one GPU says it.
        if number:
            raise RuntimeError("cudaErrorInvalidDevice: invalid device ordinal")

    def use(self) -> None:
        pass

    def __enter__(self) -> "_Device":
        return self

    def __exit__(self, *exception: object) -> None:
        pass


def _module(name: str, **content: Any) -> types.ModuleType:
    module = types.ModuleType(name)
    module.__dict__.update(content)
    sys.modules[name] = module
    return module


def install() -> None:
    """Give this process a GPU to work on, with arrays that refuse what CuPy's refuse."""
    if "thinc" in sys.modules:
        raise RuntimeError("Thinc has looked for a GPU already.")
    cupy: Any = _Cupy("cupy")
    cupy.__path__ = []
    cupy.__version__ = "13.0.0"
    sys.modules["cupy"] = cupy
    runtime = _module("cupy.cuda.runtime", getDeviceCount=lambda: 1, CUDARuntimeError=RuntimeError)
    device = _module("cupy.cuda.device", Device=_Device)
    stream = _module("cupy.cuda.stream", Stream=_Stream)
    pool = lambda **kwargs: types.SimpleNamespace(malloc=None)  # noqa: E731
    cupy.cuda = _module(
        "cupy.cuda", runtime=runtime, device=device, stream=stream, Stream=_Stream, Device=_Device, MemoryPool=pool,
        set_allocator=lambda allocator: None,
    )  # fmt: skip
    cupy.cublas = _module("cupy.cublas", nrm2=lambda array: call(numpy.linalg.norm, array))
    generator = numpy.random
    names = {name: getattr(generator, name) for name in ("uniform", "normal", "binomial", "random")}
    cupy.random = _module(
        "cupy.random",
        seed=lambda seed: None,
        **{name: lambda *args, _draw=draw, **kwargs: call(_draw, *args, **kwargs) for name, draw in names.items()},
    )

    def scatter_add(table: DeviceArray, indices: DeviceArray, values: DeviceArray) -> None:
        call(numpy.add.at, table, indices, values)

    def empty_pinned(shape: Any, dtype: Any = float, order: str = "C") -> numpy.ndarray:
        return numpy.empty(shape, dtype, order)

    _module("cupyx", scatter_add=scatter_add, empty_pinned=empty_pinned)
    _take_over_kernels()
    _take_over_torch()


def _take_over_kernels() -> None:
    from thinc.backends import NumpyOps, _custom_kernels

    host = NumpyOps(use_blis=False)
    for name in KERNELS:
        setattr(_custom_kernels, name, _kernel(getattr(host, name)))


def _kernel(function: Callable) -> Callable:
    def kernel(*args: Any, **kwargs: Any) -> Any:
        return call(function, *args, **{key: kwargs[key] for key in kwargs if key not in KERNEL_SETTINGS})

    return kernel


def _tensor_memory(tensor: Any) -> numpy.ndarray:
    return tensor.detach()._memory_as_numpy()


def _take_over_torch() -> None:
    """Let PyTorch's tensors on the CPU be those of the GPU; what is really on the CPU is a `HostTensor`."""
    try:
        import torch
    except ImportError:
        return
    import thinc.api
    import thinc.shims.pytorch  # noqa: F401

    warnings.filterwarnings("ignore", message=".*CUDA is not available.*")

    class HostTensor(torch.Tensor):
        """A tensor in the CPU's memory."""

        @classmethod
        def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            kwargs = kwargs or {}
            with torch._C.DisableTorchFunctionSubclass():
                found = func(*args, **kwargs)
            if func in (torch.Tensor.to, torch.Tensor.cuda) and _names_device([*args[1:], *kwargs.values()]):
                count("up")
                return found.as_subclass(torch.Tensor)
            if func in (torch.Tensor.copy_, torch.Tensor.type, torch.Tensor.is_cuda.__get__):
                return found
            tensors = [value for value in _flat([*args, *kwargs.values()]) if isinstance(value, torch.Tensor)]
            if not any(map(_is_on_gpu, tensors)):
                return _each(found, lambda tensor: tensor.as_subclass(cls))
            # A single number may be anywhere.
            if any(value.ndim and not _is_on_gpu(value) for value in tensors):
                raise RuntimeError(f"Expected all tensors to be on the same device: {func}")
            return _each(found, lambda tensor: tensor.as_subclass(torch.Tensor))

    def _is_on_gpu(value: Any) -> bool:
        return isinstance(value, torch.Tensor) and not isinstance(value, HostTensor)

    def _names_device(values: list[Any]) -> bool:
        return any(isinstance(value, torch.device | str | int | torch.Tensor) for value in values)

    def _flat(values: Any) -> Iterator[Any]:
        for value in values:
            if isinstance(value, list | tuple):
                yield from _flat(value)
            else:
                yield value

    def _each(found: Any, convert: Callable) -> Any:
        if isinstance(found, torch.Tensor):
            return convert(found)
        if type(found) in (list, tuple):
            return type(found)(_each(item, convert) for item in found)
        return found

    to_numpy = torch.Tensor.numpy

    def memory_as_numpy(tensor: Any) -> numpy.ndarray:
        with torch._C.DisableTorchFunctionSubclass():
            return to_numpy(tensor.as_subclass(torch.Tensor))

    def numpy_of(tensor: Any, *args: Any, **kwargs: Any) -> numpy.ndarray:
        if _is_on_gpu(tensor):
            raise WrongSideError("can't convert cuda:0 device type tensor to numpy. Use Tensor.cpu() first.")
        return memory_as_numpy(tensor)

    def cpu(tensor: Any, *args: Any, **kwargs: Any) -> Any:
        count("down")
        return tensor.detach().clone().as_subclass(HostTensor)

    def made_on_cpu(make: Callable) -> Callable:
        def made(*args: Any, **kwargs: Any) -> Any:
            with torch._C.DisableTorchFunctionSubclass():
                found = make(*args, **kwargs)
            return found.as_subclass(HostTensor if kwargs.get("device") is None else torch.Tensor)

        return made

    torch.Tensor._memory_as_numpy = memory_as_numpy
    torch.Tensor.numpy = numpy_of
    torch.Tensor.__array__ = lambda tensor, *args, **kwargs: numpy_of(tensor)
    torch.Tensor.cpu = cpu
    for name in ("from_numpy", "tensor", "as_tensor", "get_rng_state"):
        setattr(torch, name, made_on_cpu(getattr(torch, name)))
    set_rng_state = torch.set_rng_state
    torch.set_rng_state = lambda state: set_rng_state(state.as_subclass(torch.Tensor))
    from_numpy = torch.from_numpy

    def from_dlpack(array: Any) -> Any:
        if isinstance(array, DeviceArray):
            return from_numpy(numpy.ascontiguousarray(array._memory)).as_subclass(torch.Tensor)
        return from_numpy(array)

    torch.utils.dlpack.from_dlpack = from_dlpack
    torch.utils.dlpack.to_dlpack = lambda tensor: tensor
    torch.cuda.get_device_capability = lambda *args: (9, 0)
    _replace("is_torch_cuda_array", _is_on_gpu)
    _replace("get_torch_default_device", lambda: torch.device("cpu"))


def _replace(name: str, function: Callable) -> None:
    """Replace one of Thinc's functions wherever it was imported."""
    original = getattr(sys.modules["thinc.util"], name)
    for module in list(sys.modules.values()):
        if getattr(module, "__dict__", {}).get(name) is original:
            setattr(module, name, function)


@contextmanager
def counted() -> Iterator[Counter[tuple[str, str]]]:
    """Count the copies within a block alone."""
    before = crossings.copy()
    found: Counter[tuple[str, str]] = Counter()
    try:
        yield found
    finally:
        found.update(crossings - before)
