"""One column of a CSV file, of which no row is lost without a word."""

import csv
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import chain
from pathlib import Path
from typing import IO, TYPE_CHECKING

from .errors import DistillationError

if TYPE_CHECKING:
    import _csv

# What may stand between columns where nobody says so. The comma, or in .tsv the tab, is taken if it can be; another
# one only if the named column is not there without it.
DELIMITERS = (",", ";", "\t", "|")

# Of Python's ways of quoting those that make a difference to a reader; of the others only a writer knows.
QUOTING = {name: getattr(csv, name) for name in ("QUOTE_MINIMAL", "QUOTE_ALL", "QUOTE_NONNUMERIC", "QUOTE_NONE")}


@dataclass(frozen=True)
class CsvFormat:
    """How a CSV file is written, in the terms of Python's module `csv`.

    Args:
        delimiter: What stands between two columns; null finds it in the first line. "\\t" is a tab.
        quotechar: What stands around a text that holds the delimiter, a quote or a line break.
        quoting: "QUOTE_NONE" for a file in which quotes are characters like others. The other ways differ for a writer
            alone.
        escapechar: What stands before a quote, or a delimiter, that belongs to the text, such as a backslash.
        doublequote: A quote that belongs to the text is written twice.

    Raises:
        ValueError: A value that `csv` does not know. In a config this ends in TD004.
    """

    delimiter: str | None = None
    quotechar: str = '"'
    quoting: str | int = "QUOTE_MINIMAL"
    escapechar: str | None = None
    doublequote: bool = True

    def __post_init__(self) -> None:
        """Check the values."""
        if self.delimiter == "\\t":  # As a command line spells it.
            object.__setattr__(self, "delimiter", "\t")
        if self.quoting not in (*QUOTING, *QUOTING.values()):
            raise ValueError(f"quoting is {self.quoting!r}. Expected one of {', '.join(QUOTING)}.")
        names = ("delimiter", "quotechar", "escapechar")
        given = {name: getattr(self, name) for name in names if getattr(self, name) is not None}
        for name, value in given.items():
            if len(value) != 1 or value in "\r\n":
                raise ValueError(f"{name} is {value!r}. Expected one character, and no line break.")
        if len({*given.values()}) < len(given):
            raise ValueError(f"{' and '.join(given)} have to differ. They are {', '.join(map(repr, given.values()))}.")

    @property
    def has_quotes(self) -> bool:
        """Whether quotes are more than characters."""
        return self.quoting not in ("QUOTE_NONE", csv.QUOTE_NONE)

    def read(self, lines: Iterator[str], delimiter: str, *, strict: bool) -> "_csv.Reader":
        """Make Python's reader of the rows in some lines."""
        settings = asdict(self) | {
            "delimiter": delimiter,
            "quoting": csv.QUOTE_MINIMAL if self.has_quotes else csv.QUOTE_NONE,
        }
        return csv.reader(lines, strict=strict, **settings)


@dataclass
class Row:
    """The fields of a row, and the line in which it begins, counted from 1."""

    line: int
    fields: list[str]


def read_column(path: Path, file: IO[str], column: str, form: CsvFormat) -> Iterator[str | DistillationError]:
    """Read one column of a CSV file whose first row names the columns.

    Args:
        path: The file's name.
        file: The file, opened so that line breaks stay as they are.
        column: The name of the column.
        form: How the file is written.

    Yields:
        The text of each row; in place of a text TD130 where a row has more or fewer fields than the header. Rows of
        white space alone are left out, as `pandas.read_csv` does.

    Raises:
        DistillationError: TD110, there is no such column; TD131, a quote is not closed, or the text goes on behind it;
            TD132, two columns have the same name.
    """
    # A text may be longer than the 131,072 characters that the module allows a field by default.
    csv.field_size_limit(2**31 - 1)
    first = _read_first_line(file)
    delimiter = form.delimiter or _find_delimiter(path, first, column, form)
    rows = _read_rows(path, first, file, form, delimiter)
    names = next((row.fields for row in rows), [])
    if column not in names:
        raise DistillationError("TD110", path=path, column=column, found=", ".join(names) or "none")
    repeated = sorted({name for name in names if name and names.count(name) > 1})
    if repeated:
        raise DistillationError("TD132", path=path, columns=", ".join(map(repr, repeated)))
    place = names.index(column)
    for row in rows:
        if len(row.fields) == len(names):
            yield row.fields[place]
        else:
            yield DistillationError(
                "TD130", path=path, line=row.line, found=len(row.fields), expected=len(names), delimiter=delimiter
            )


def _read_first_line(file: IO[str]) -> list[str]:
    """Read up to the first line that is more than white space, which is the last of those returned."""
    lines = []
    for line in file:
        lines.append(line)
        if line.strip():
            break
    return lines


def _find_delimiter(path: Path, first: list[str], column: str, form: CsvFormat) -> str:
    """Find what stands between the columns: what is usual, unless one alone of the others gives the named column."""
    usual = "\t" if ".tsv" in path.suffixes else ","
    taken = {form.quotechar, form.escapechar}
    found = [
        delimiter
        for delimiter in DELIMITERS
        if delimiter not in taken and column in next(form.read(iter(first[-1:]), delimiter, strict=False), [])
    ]
    return found[0] if len(found) == 1 else usual


def _read_rows(path: Path, first: list[str], file: IO[str], form: CsvFormat, delimiter: str) -> Iterator[Row]:
    lines: list[str] = []

    def keep() -> Iterator[str]:
        for line in chain(first, file):
            lines.append(line)
            yield line

    reader = form.read(keep(), delimiter, strict=True)
    while True:
        start = reader.line_num
        lines.clear()
        try:
            fields = next(reader, None)
        except csv.Error as error:
            raise _explain(path, lines, start, form, delimiter, error) from None
        if fields is None:
            return
        # A line of two tabs is a row where a tab is the delimiter.
        if len(fields) > 1 or "".join(lines).strip():
            yield Row(start + 1, fields)


def _explain(
    path: Path, lines: list[str], start: int, form: CsvFormat, delimiter: str, error: csv.Error
) -> DistillationError:
    """Say where the quote begins at which Python's reader gave up."""
    begin, end = _find_quote(lines, form, delimiter)
    if begin is None:
        return DistillationError("TD108", path=path, reason=f"line {start + 1}: {error}")
    if end is None:
        reason = "is never closed"
    else:
        reason = f"is closed on line {start + 1 + end}, but there the text goes on without {delimiter!r}"
    if form.escapechar is None and f"\\{form.quotechar}" in "".join(lines[begin:]):
        cure = "Quotes in this file have a backslash before them: say so with --corpora.distill.escapechar '\\'."
    else:
        cure = (
            "Write a quote that belongs to the text twice; or, if quotes in this file are characters like others, "
            "say so with --corpora.distill.quoting QUOTE_NONE."
        )
    return DistillationError("TD131", path=path, line=start + 1 + begin, reason=reason, cure=cure)


def _find_quote(lines: list[str], form: CsvFormat, delimiter: str) -> tuple[int | None, int | None]:
    """Find the quote that does not end as it should, as Python's reader would.

    Returns:
        The index of the line in which it begins, and of that in which it ends and the text goes on; none where it does
        not end.
    """
    begin: int | None = None
    state = "start"
    characters = ((index, character) for index, line in enumerate(lines) for character in line)
    for index, character in characters:
        if state == "closed" and character == form.quotechar:
            state = "quoted"
        elif state == "closed" and character not in (delimiter, "\r", "\n"):
            return begin, index
        elif character == form.escapechar and state != "closed":
            next(characters, None)
            state = "quoted" if state == "quoted" else "field"
        elif state == "quoted":
            if character == form.quotechar:
                state = "closed" if form.doublequote else "field"
        elif character == form.quotechar and state == "start":
            begin, state = index, "quoted"
        else:
            state = "start" if character in (delimiter, "\r", "\n") else "field"
    return (begin, None) if state == "quoted" else (None, None)
