"""Python's regular expressions in JavaScript's: translated from Python's own parse tree, never from the text.

The result is matched against a text's characters, each replaced by the representative of its class (`characters.py`).
So it knows Python's characters, takes each as one code unit, and needs no flag.
"""

import re
from re import _compiler as compiler  # type: ignore[attr-defined]
from re import _constants as constants  # type: ignore[attr-defined]
from re import _parser as parser  # type: ignore[attr-defined]
from typing import Any

from .characters import END, Alphabet, Classes, Ranges, complement, merge, to_ranges

_ALL_CHARACTERS = "".join(map(chr, range(END)))

# What was found by matching each character, which takes its time; the same digits and words occur again and again.
_found: dict[tuple[Any, str, int], Ranges] = {}


class UntranslatableError(ValueError):
    """A regular expression has something for which there is no translation; its text says what."""


class Translation:
    """A regular expression whose sets of characters an alphabet is told of, and which is written when it is closed."""

    def __init__(self, pattern: "re.Pattern[str]", alphabet: Alphabet) -> None:
        """Translate a regular expression.

        Args:
            pattern: For texts; none of its groups is asked for.
            alphabet: Is told of the sets of characters.

        Raises:
            UntranslatableError: It has a construct that JavaScript does not have or that means something else there.
        """
        if isinstance(pattern.pattern, bytes):
            raise UntranslatableError("bytes")
        self._alphabet = alphabet
        self._pieces: list[str | int] = []  # Text, and numbers of sets
        tree = parser.parse(pattern.pattern, pattern.flags)
        self._translate(tree, tree.state.flags)

    def write(self, classes: Classes) -> str:
        """Write the regular expression for JavaScript."""
        return "".join(piece if isinstance(piece, str) else classes.write(piece) for piece in self._pieces)

    def _translate(self, tree: Any, flags: int) -> None:
        for operator, argument in tree:
            translate = getattr(self, f"_{str(operator).lower()}", None)
            if translate is None:
                raise UntranslatableError(str(operator))
            translate(argument, flags)

    def _add_set(self, ranges: Ranges) -> None:
        self._pieces.append(self._alphabet.number_of(ranges))

    def _literal(self, point: int, flags: int) -> None:
        if flags & re.IGNORECASE:
            self._ask(constants.LITERAL, point, flags)
        else:
            self._add_set(((point, point + 1),))

    def _not_literal(self, point: int, flags: int) -> None:
        if flags & re.IGNORECASE:
            self._ask(constants.NOT_LITERAL, point, flags)
        else:
            self._add_set(complement(((point, point + 1),)))

    def _any(self, _: None, flags: int) -> None:
        newline = ord("\n")
        self._add_set(((0, END),) if flags & re.DOTALL else complement(((newline, newline + 1),)))

    def _in(self, items: list[Any], flags: int) -> None:
        # Python itself says what its categories are and what is alike when case is ignored.
        if flags & re.IGNORECASE or any(kind == constants.CATEGORY for kind, _ in items):
            self._ask(constants.IN, items, flags)
            return
        negated = any(kind == constants.NEGATE for kind, _ in items)
        ranges = merge(
            (argument, argument + 1) if kind == constants.LITERAL else (argument[0], argument[1] + 1)
            for kind, argument in items
            if kind != constants.NEGATE
        )
        self._add_set(complement(ranges) if negated else ranges)

    def _ask(self, operator: Any, argument: Any, flags: int) -> None:
        """Add the set of the characters that a part of the tree matches, which is found by matching each."""
        name = (operator, repr(argument), flags)
        if name not in _found:
            node = parser.SubPattern(parser.State(), [(operator, argument)])
            node.state.flags = flags
            matches = compiler.compile(node, flags).finditer(_ALL_CHARACTERS)
            _found[name] = to_ranges(match.start() for match in matches)
        self._add_set(_found[name])

    def _branch(self, argument: tuple[None, list[Any]], flags: int) -> None:
        self._pieces.append("(?:")
        for i, alternative in enumerate(argument[1]):
            if i:
                self._pieces.append("|")
            self._translate(alternative, flags)
        self._pieces.append(")")

    def _subpattern(self, argument: tuple[Any, int, int, Any], flags: int) -> None:
        _, added, removed, tree = argument
        self._pieces.append("(?:")
        self._translate(tree, (flags | added) & ~removed)
        self._pieces.append(")")

    def _max_repeat(self, argument: tuple[int, int, Any], flags: int, lazy: str = "") -> None:
        least, most, tree = argument
        if most > 1 and tree.getwidth()[0] == 0:
            # Python goes on after a turn that matched nothing, and JavaScript takes such a turn back.
            raise UntranslatableError("a repetition of what may be empty")
        self._pieces.append("(?:")
        self._translate(tree, flags)
        endless = most == constants.MAXREPEAT
        self._pieces.append(f"){{{least},{'' if endless else most}}}{lazy}")

    def _min_repeat(self, argument: tuple[int, int, Any], flags: int) -> None:
        self._max_repeat(argument, flags, lazy="?")

    def _assert(self, argument: tuple[int, Any], flags: int, sign: str = "=") -> None:
        direction, tree = argument
        self._pieces.append(f"(?{'<' if direction < 0 else ''}{sign}")
        self._translate(tree, flags)
        self._pieces.append(")")

    def _assert_not(self, argument: tuple[int, Any], flags: int) -> None:
        self._assert(argument, flags, sign="!")

    def _failure(self, _: Any, flags: int) -> None:
        self._pieces.append("(?!)")

    def _at(self, place: Any, flags: int) -> None:
        newline = self._alphabet.number_of(((ord("\n"), ord("\n") + 1),))
        multiline = bool(flags & re.MULTILINE)
        if place == constants.AT_BEGINNING_STRING or (place == constants.AT_BEGINNING and not multiline):
            self._pieces.append("^")
        elif place == constants.AT_BEGINNING:
            self._pieces += ["(?:^|(?<=", newline, "))"]
        elif place == constants.AT_END_STRING:
            self._pieces.append("$")
        elif place == constants.AT_END and multiline:
            self._pieces += ["(?:$|(?=", newline, "))"]
        elif place == constants.AT_END:
            # Also before a newline that is the last character.
            self._pieces += ["(?=", newline, "?$)"]
        elif place in (constants.AT_BOUNDARY, constants.AT_NON_BOUNDARY):
            self._add_boundary(place == constants.AT_BOUNDARY, flags)
        else:
            raise UntranslatableError(str(place))

    def _add_boundary(self, is_boundary: bool, flags: int) -> None:
        word = [(constants.CATEGORY, constants.CATEGORY_WORD)]
        pieces, self._pieces = self._pieces, []
        self._ask(constants.IN, word, flags)
        number, self._pieces = self._pieces[0], pieces
        before, after = ("!", "=") if is_boundary else ("!", "!")
        self._pieces += ["(?:(?<", before, number, ")(?", after, number, ")|(?<=", number, ")(?"]
        self._pieces += ["!" if is_boundary else "=", number, "))"]
