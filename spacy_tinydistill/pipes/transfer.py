"""From a GPU's memory to the CPU's."""

from collections.abc import Sequence
from typing import Any

import numpy
from thinc.api import get_array_module


def fetch(arrays: Sequence[Any]) -> list[numpy.ndarray]:
    """Copy arrays from a GPU, all of them in one transfer. Those that are on the CPU are handed back as they are.

    Each transfer waits until the GPU has done all that it was asked for, and its way is three times as fast into
    memory that is pinned.

    Args:
        arrays: Of any shapes and types, some of them perhaps on a GPU.

    Returns:
        The arrays on the CPU, in their order.
    """
    remote = [array for array in arrays if not isinstance(array, numpy.ndarray | numpy.generic)]
    if not remote:
        return list(arrays)
    import cupyx

    xp: Any = get_array_module(remote[0])
    packed = xp.concatenate([xp.ascontiguousarray(array).reshape(-1).view("uint8") for array in remote])
    pinned = cupyx.empty_pinned(packed.shape, "uint8")
    packed.get(out=pinned)
    start = 0
    copies: list[Any] = []
    for array in remote:
        copy = numpy.empty(array.shape, array.dtype)
        copy.reshape(-1).view("uint8")[:] = pinned[start : start + copy.nbytes]
        copies.append(copy)
        start += copy.nbytes
    found = iter(copies)
    is_remote = {id(array) for array in remote}
    return [next(found) if id(array) in is_remote else array for array in arrays]
