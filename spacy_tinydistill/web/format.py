"""The data file of a web student: no code in it, and each length known before it is read.

    bytes 0-7      magic number
    bytes 8-11     version of the format, uint32; all numbers are little-endian
    bytes 12-15    Adler-32 of all that follows, uint32
    bytes 16-19    length of the header, uint32
    bytes 20-      header, JSON in UTF-8
    then           zeros up to a multiple of 16, and the arrays, each beginning at a multiple of 16

The header's "arrays" says of each array its dtype, its shape, where it begins after the header, and which array has its
scales (-1: none). The bytes of an array stand in planes: first the lowest byte of each number, then the next one, since
the highest bytes of weights are alike and compress.
"""

import json
import struct
import zlib
from typing import Any

import numpy
from numpy.typing import NDArray

from ..rounding import Rounded

MAGIC = b"tdweb\r\n\x1a"
VERSION = 1
ALIGNMENT = 16

DTYPES = ("float32", "float16", "int8", "uint32", "int32")


class ArrayWriter:
    """Arrays, one after another."""

    def __init__(self) -> None:
        self._entries: list[tuple[str, list[int], int, int]] = []
        self._data = bytearray()

    def add(self, array: NDArray[Any]) -> int:
        """Add an array and get its number."""
        return self._add(array, -1)

    def add_rounded(self, rounded: Rounded) -> int:
        """Add weights as they are stored and get their number."""
        return self._add(rounded.values, -1 if rounded.scales is None else self.add(rounded.scales))

    def _add(self, array: NDArray[Any], scales: int) -> int:
        assert array.dtype.name in DTYPES
        self._data += bytes(-len(self._data) % ALIGNMENT)
        self._entries.append((array.dtype.name, list(array.shape), len(self._data), scales))
        little = numpy.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
        planes = little.reshape(-1).view("uint8").reshape(-1, array.dtype.itemsize).T
        self._data += planes.tobytes()
        return len(self._entries) - 1

    def to_bytes(self, header: dict[str, Any]) -> bytes:
        """Make the whole file.

        Args:
            header: What JSON can say; "arrays" is added to it.
        """
        described = {**header, "arrays": self._entries}
        text = json.dumps(described, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()
        rest = struct.pack("<I", len(text)) + text
        rest += bytes(-(len(rest) + 16) % ALIGNMENT) + bytes(self._data)
        return MAGIC + struct.pack("<II", VERSION, zlib.adler32(rest)) + rest
