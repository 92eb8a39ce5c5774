"""What Python knows of characters, as tables: a browser's Unicode may be of another version.

Characters that nothing tells apart, no regular expression and no method such as `str.isalpha`, are one class. A text is
mapped to one representative of each character's class, and the regular expressions are written for these.
"""

import sys
import unicodedata
from collections.abc import Callable, Iterable
from functools import cache

# Code points, as sorted ranges that do not touch, each with its end excluded.
Ranges = tuple[tuple[int, int], ...]

END = sys.maxunicode + 1

# The bits of a class, in this order.
FLAGS: dict[str, Callable[[str], bool]] = {
    "alpha": str.isalpha,
    "upper": str.isupper,
    "digit": str.isdigit,
    "space": str.isspace,
    "punct": lambda char: unicodedata.category(char).startswith("P"),
    # What decides whether the Greek sigma is a final one, as `str.lower` does. No method says so directly.
    "ignorable": lambda char: f"a\u03a3{char}a".lower()[1] == "\u03c3" and f"a\u03a3{char}".lower()[1] == "\u03c2",
    "cased": lambda char: f"a\u03a3{char}".lower()[1] == "\u03c3",
}

SURROGATES = (0xD800, 0xE000)
PRIVATE_USE = range(0xE000, 0xF900)


def to_ranges(points: Iterable[int]) -> Ranges:
    """Put sorted code points together to ranges."""
    ranges: list[list[int]] = []
    for point in points:
        if ranges and ranges[-1][1] == point:
            ranges[-1][1] = point + 1
        else:
            ranges.append([point, point + 1])
    return tuple((start, end) for start, end in ranges)


def merge(ranges: Iterable[tuple[int, int]]) -> Ranges:
    """Put ranges in any order, which may overlap, into sorted ones that do not touch."""
    merged: list[list[int]] = []
    for start, end in sorted(ranges):
        if merged and start <= merged[-1][1]:
            merged[-1][1] = max(end, merged[-1][1])
        else:
            merged.append([start, end])
    return tuple((start, end) for start, end in merged)


def complement(ranges: Ranges) -> Ranges:
    """All other code points."""
    edges = [0, *(edge for span in ranges for edge in span), END]
    return tuple((start, end) for start, end in zip(edges[::2], edges[1::2], strict=True) if start < end)


@cache
def flag_ranges() -> tuple[Ranges, ...]:
    """The characters of each of `FLAGS`."""
    return tuple(to_ranges(point for point in _assigned() if flag(chr(point))) for flag in FLAGS.values())


@cache
def _assigned() -> tuple[int, ...]:
    """All characters that Python knows anything of: a fourth of the code points."""
    return tuple(point for point in range(END) if unicodedata.category(chr(point)) not in ("Cn", "Co", "Cs"))


@cache
def lower_case() -> tuple[tuple[int, ...], ...]:
    """What `str.lower` makes of single characters.

    Returns:
        Runs of characters: (first, count, step, what is added to each one's code point). A character that becomes
        several is (itself, 0, *the code points of these).
    """
    runs: list[list[int]] = []
    special: list[tuple[int, ...]] = []
    for point in _assigned():
        lower = chr(point).lower()
        if len(lower) > 1:
            special.append((point, 0, *map(ord, lower)))
        elif ord(lower) != point:
            added = ord(lower) - point
            last = runs[-1] if runs else None
            step = point - last[0] - (last[1] - 1) * last[2] if last else 0
            if last and last[3] == added and last[1] == 1 and step in (1, 2):
                last[1:3] = 2, step
            elif last and last[3] == added and step == last[2]:
                last[1] += 1
            else:
                runs.append([point, 1, 1, added])
    return tuple(tuple(run) for run in runs) + tuple(special)


class Alphabet:
    """Sets of characters, and the classes of those that no set tells apart."""

    def __init__(self) -> None:
        self._sets: dict[Ranges, int] = {}
        for ranges in flag_ranges():
            self.number_of(ranges)

    def number_of(self, ranges: Ranges) -> int:
        """Have characters told apart from the others, and get a number for them."""
        return self._sets.setdefault(ranges, len(self._sets))

    def close(self) -> "Classes":
        """Find the classes; no set is added from now on."""
        edges: dict[int, int] = {0: 0}
        for ranges, number in self._sets.items():
            for edge in (edge for span in ranges for edge in span):
                edges[edge] = edges.get(edge, 0) ^ (1 << number)
        members = 0
        spans: list[tuple[int, int]] = []  # Where a span starts, and the sets that it is in, as bits
        for start, changed in sorted(edges.items()):
            members ^= changed
            if start < END:
                spans.append((start, members))
        return Classes(spans, {number: ranges for ranges, number in self._sets.items()})


class Classes:
    """The classes of an alphabet."""

    def __init__(self, spans: list[tuple[int, int]], sets: dict[int, Ranges]) -> None:
        ends = [start for start, _ in spans[1:]] + [END]
        representatives: dict[int, int] = {}
        for (start, members), end in zip(spans, ends, strict=True):
            first = SURROGATES[1] if SURROGATES[0] <= start < SURROGATES[1] else start
            if first < min(end, 0x10000):
                representatives.setdefault(members, first)
        # A class of nothing but what takes two code units in JavaScript is represented by what represents none else.
        taken = set(representatives.values())
        free = (point for point in PRIVATE_USE if point not in taken)
        for _, members in spans:
            if members not in representatives:
                representatives[members] = next(free)
        self._members = {point: members for members, point in representatives.items()}
        self._sorted = sorted(self._members)
        self._runs = [
            (end - start, representatives[members]) for (start, members), end in zip(spans, ends, strict=True)
        ]

    def describe(self) -> dict[str, list[int]]:
        """The tables, for JSON.

        Returns:
            "runs": how many characters are of one class, and its representative, again and again, from code point 0
            on; "flags": each representative and its bits of `FLAGS`; "lower": `lower_case`, each run after its length.
        """
        flags = {point: self._members[point] & (1 << len(FLAGS)) - 1 for point in self._sorted}
        return {
            "runs": [number for run in self._runs for number in run],
            "flags": [number for point, bits in flags.items() if bits for number in (point, bits)],
            "lower": [number for run in lower_case() for number in (len(run), *run)],
        }

    def write(self, number: int) -> str:
        """Write a set as a JavaScript regular expression that is matched against representatives."""
        inside = [point for point in self._sorted if self._members[point] >> number & 1]
        outside = len(self._sorted) - len(inside)
        if not inside:
            return "(?!)"
        if not outside:
            return "[^]"
        if len(inside) == 1:
            return _escape(inside[0])
        written = [f"[{self._write_spans(number, 1)}]", f"[^{self._write_spans(number, 0)}]"]
        return min(written, key=len)

    def _write_spans(self, number: int, wanted: int) -> str:
        # What is between two representatives does not occur, so that a span may go over it.
        spans: list[list[int]] = []
        before = False
        for point in self._sorted:
            is_wanted = self._members[point] >> number & 1 == wanted
            if is_wanted and before:
                spans[-1][1] = point
            elif is_wanted:
                spans.append([point, point])
            before = is_wanted
        written = []
        for start, end in spans:
            written.append(_escape(start) if start == end else f"{_escape(start)}-{_escape(end)}")
        return "".join(written)


def _escape(point: int) -> str:
    char = chr(point)
    if char.isascii() and (char.isalnum() or char in " _%&'\",;:<>=@`~#!"):
        return char
    return f"\\x{point:02x}" if point < 256 else f"\\u{point:04x}"
