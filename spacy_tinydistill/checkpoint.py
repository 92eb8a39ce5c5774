"""Save the whole state of a run, so that a killed run can continue as if nothing had happened. No pickle."""

import random
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy
import srsly
from spacy.language import Language
from thinc.api import Model, Ops, Optimizer, PyTorchShim, torch2xp, xp2torch

from .components.base import Lesson
from .errors import DistillationError
from .files import write_whole
from .pipes.pipeline import models_of, nodes_of

FILE_NAME = "checkpoint.msgpack"

# Increased when the meaning of the file's content changes.
FORMAT_VERSION = 1


def save_checkpoint(
    path: Path, student: Language, lessons: Mapping[str, Lesson], optimizer: Optimizer, progress: dict[str, Any]
) -> None:
    """Write weights, optimizer, random state and progress to a file, completely or not at all.

    Args:
        path: The file.
        student: Its weights are saved without averaging.
        lessons: The weights of lessons that have some are saved too.
        optimizer: Its momenta, averages and counts are saved. Its schedules are stepped again on loading.
        progress: Plain values that the loop needs again.
    """
    weights, moments = {}, {}
    for parameter in _parameters(student, lessons):
        identity = parameter.identity
        weights[parameter.key] = parameter.to_numpy(parameter.get())
        if identity in optimizer.nr_update:
            moments[parameter.key] = {
                "nr_update": optimizer.nr_update[identity],
                "mom1": parameter.to_numpy(optimizer.mom1.get(identity)),
                "mom2": parameter.to_numpy(optimizer.mom2.get(identity)),
                "average": parameter.to_numpy((optimizer.averages or {}).get(identity)),
            }
    state = {
        "format_version": FORMAT_VERSION,
        "weights": weights,
        "moments": moments,
        "random": get_random_state(),
        "progress": progress,
    }
    write_whole(path, srsly.msgpack_dumps(state))


def load_checkpoint(
    path: Path, student: Language, lessons: Mapping[str, Lesson], optimizer: Optimizer
) -> dict[str, Any]:
    """Load a saved state into a student, its lessons and an optimizer made from the same config.

    The random state is not set, because the loop first repeats the batches of the epoch. It is in `state["random"]`.

    Args:
        path: The file.
        student: Initialized; its weights are replaced.
        lessons: Their weights are replaced too.
        optimizer: A new one; its schedules are stepped as often as in the run.

    Returns:
        The state, with "progress" and "random".

    Raises:
        DistillationError: TD302, there is no checkpoint; TD303, it is of another student or version.
    """
    state = read_checkpoint(path, student, lessons)
    for parameter in _parameters(student, lessons):
        identity = parameter.identity
        parameter.set(parameter.to_device(state["weights"][parameter.key]))
        moments = state["moments"].get(parameter.key)
        if moments is not None:
            optimizer.nr_update[identity] = moments["nr_update"]
            for target, field in ((optimizer.mom1, "mom1"), (optimizer.mom2, "mom2"), (optimizer.averages, "average")):
                if target is not None and moments[field] is not None:
                    target[identity] = parameter.to_device(moments[field])
    for _ in range(state["progress"]["step"] + 1):
        optimizer.step_schedules()
    return state


def read_checkpoint(path: Path, student: Language, lessons: Mapping[str, Lesson]) -> dict[str, Any]:
    """Read a saved state and check that it belongs to this student, without changing anything.

    Raises:
        DistillationError: See `load_checkpoint`.
    """
    if not path.exists():
        raise DistillationError("TD302", path=path.parent)
    shapes = {parameter.key: parameter.get().shape for parameter in _parameters(student, lessons)}
    try:
        state = srsly.msgpack_loads(path.read_bytes())
        version = state["format_version"]
        found = {key: value.shape for key, value in state["weights"].items()}
    except Exception as error:  # A damaged file can break msgpack and NumPy in any way
        raise DistillationError("TD303", path=path, reason=f"it cannot be read ({error!r}).") from error
    if version != FORMAT_VERSION:
        raise DistillationError("TD303", path=path, reason=f"its format is {version}, expected {FORMAT_VERSION}.")
    if found != shapes:
        raise DistillationError("TD303", path=path, reason="its weights have other names or shapes.")
    return state


def get_random_state() -> dict[str, Any]:
    """Read the random state of Python, NumPy and, if it is imported, PyTorch, as plain values and arrays."""
    version, numbers, gauss = random.getstate()
    name, keys, position, has_gauss, cached = numpy.random.get_state(legacy=True)
    state = {
        "python": [version, list(numbers), gauss],
        "numpy": [name, numpy.asarray(keys), int(position), int(has_gauss), float(cached)],
    }
    if "torch" in sys.modules:
        state["torch"] = sys.modules["torch"].get_rng_state().numpy()
    return state


def set_random_state(state: dict[str, Any]) -> None:
    """Set the random state that `get_random_state` read."""
    version, numbers, gauss = state["python"]
    random.setstate((version, tuple(numbers), gauss))
    name, keys, position, has_gauss, cached = state["numpy"]
    numpy.random.set_state((name, keys, position, has_gauss, cached))
    if "torch" in state and "torch" in sys.modules:
        torch = sys.modules["torch"]
        torch.set_rng_state(torch.tensor(state["torch"]))


@dataclass(frozen=True)
class _Parameter:
    """Weights of a Thinc layer or a PyTorch module; Thinc's optimizer updates both."""

    key: str  # The same in another process, unlike the ids of Thinc's layers
    identity: tuple[int, str]  # The optimizer's key
    ops: Ops
    get: Callable[[], Any]
    set: Callable[[Any], object]

    def to_numpy(self, array: Any) -> Any:
        return None if array is None else self.ops.to_numpy(array)

    def to_device(self, array: Any) -> Any:
        # A copy, because arrays read from bytes are read-only.
        return self.ops.asarray_f(array.copy())


def _parameters(student: Language, lessons: Mapping[str, Lesson]) -> Iterator[_Parameter]:
    """Every parameter once."""
    seen: set[int] = set()
    count: Counter[str] = Counter()
    own = [(f"{name} (lesson)", lesson) for name, lesson in lessons.items()]
    for owner, model in models_of([*student.components, *own]):
        for node in nodes_of([model]):
            if node.id not in seen:
                seen.add(node.id)
                count[owner] += 1
                yield from _parameters_of(node, f"{owner}.{count[owner]}.{node.name}")


def _parameters_of(node: Model, key: str) -> Iterator[_Parameter]:
    for name in node.param_names:
        if node.has_param(name):
            yield _Parameter(
                f"{key}.{name}", (node.id, name), node.ops, partial(node.get_param, name), partial(node.set_param, name)
            )
    for shim in node.shims:
        if isinstance(shim, PyTorchShim):
            for name, weights in shim._model.named_parameters():
                yield _Parameter(
                    f"{key}.{name}",
                    (shim.id, name),
                    node.ops,
                    partial(torch2xp, weights.data),
                    partial(_set_weights, weights),
                )


def _set_weights(weights: Any, array: Any) -> None:
    weights.data.copy_(xp2torch(array, device=weights.device))
