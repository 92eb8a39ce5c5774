"""Save a run's whole state, so that a killed run goes on as if nothing had happened; no pickle."""

import random
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy
import srsly
from spacy.language import Language
from thinc.api import Model, Optimizer

from .components.base import pipes_of
from .errors import DistillationError
from .files import write_whole

FILE_NAME = "checkpoint.msgpack"

# Counts up when the file's content changes its meaning.
FORMAT_VERSION = 1


def save_checkpoint(path: Path, student: Language, optimizer: Optimizer, progress: dict[str, Any]) -> None:
    """Write weights, optimizer, random state and progress to a file, whole or not at all.

    Args:
        path: The file.
        student: Its weights are saved as they are, not averaged.
        optimizer: Its momenta, averages and counts are saved; its schedules are stepped again on loading.
        progress: Plain values that the loop wants back.
    """
    weights, moments = {}, {}
    for key, node, name in _parameters(student):
        weights[key] = node.ops.to_numpy(node.get_param(name))
        identity = (node.id, name)
        if identity in optimizer.nr_update:
            moments[key] = {
                "nr_update": optimizer.nr_update[identity],
                "mom1": _to_numpy(node, optimizer.mom1.get(identity)),
                "mom2": _to_numpy(node, optimizer.mom2.get(identity)),
                "average": _to_numpy(node, (optimizer.averages or {}).get(identity)),
            }
    state = {
        "format_version": FORMAT_VERSION,
        "weights": weights,
        "moments": moments,
        "random": get_random_state(),
        "progress": progress,
    }
    write_whole(path, srsly.msgpack_dumps(state))


def load_checkpoint(path: Path, student: Language, optimizer: Optimizer) -> dict[str, Any]:
    """Put a saved state back into a student and an optimizer that were made from the same config.

    The random state is not set: the loop first makes the epoch's batches again. `state["random"]` holds it.

    Args:
        path: The file.
        student: Initialized; its weights are replaced.
        optimizer: New; its schedules are stepped as often as the run had.

    Returns:
        The state, with "progress" and "random".

    Raises:
        DistillationError: TD302, there is no checkpoint; TD303, it is of another student or another version.
    """
    state = read_checkpoint(path, student)
    for key, node, name in _parameters(student):
        node.set_param(name, _to_device(node, state["weights"][key]))
        moments = state["moments"].get(key)
        if moments is not None:
            identity = (node.id, name)
            optimizer.nr_update[identity] = moments["nr_update"]
            for target, field in ((optimizer.mom1, "mom1"), (optimizer.mom2, "mom2"), (optimizer.averages, "average")):
                if target is not None and moments[field] is not None:
                    target[identity] = _to_device(node, moments[field])
    for _ in range(state["progress"]["step"] + 1):
        optimizer.step_schedules()
    return state


def read_checkpoint(path: Path, student: Language) -> dict[str, Any]:
    """Read a saved state and see that it is of this student; nothing is changed.

    Raises:
        DistillationError: See `load_checkpoint`.
    """
    if not path.exists():
        raise DistillationError("TD302", path=path.parent)
    shapes = {key: node.get_param(name).shape for key, node, name in _parameters(student)}
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
    """Read the state of Python's and NumPy's random numbers, as plain values and arrays."""
    version, numbers, gauss = random.getstate()
    name, keys, position, has_gauss, cached = numpy.random.get_state(legacy=True)
    return {
        "python": [version, list(numbers), gauss],
        "numpy": [name, numpy.asarray(keys), int(position), int(has_gauss), float(cached)],
    }


def set_random_state(state: dict[str, Any]) -> None:
    """Undo `get_random_state`."""
    version, numbers, gauss = state["python"]
    random.setstate((version, tuple(numbers), gauss))
    name, keys, position, has_gauss, cached = state["numpy"]
    numpy.random.set_state((name, keys, position, has_gauss, cached))


def _parameters(student: Language) -> Iterator[tuple[str, Model, str]]:
    """Every parameter once, under a key that another process finds again: ids of Thinc's nodes are not such."""
    seen: set[int] = set()
    count: Counter[str] = Counter()
    for pipe_name, pipe in pipes_of(student):
        if not isinstance(getattr(pipe, "model", None), Model):
            continue
        for node in pipe.model.walk():
            if node.id in seen:
                continue
            seen.add(node.id)
            count[pipe_name] += 1
            for name in node.param_names:
                if node.has_param(name):
                    yield f"{pipe_name}.{count[pipe_name]}.{node.name}.{name}", node, name


def _to_numpy(node: Model, array: Any) -> Any:
    return None if array is None else node.ops.to_numpy(array)


def _to_device(node: Model, array: Any) -> Any:
    # A copy, since what was read from a file's bytes is read-only.
    return node.ops.asarray_f(array.copy())
