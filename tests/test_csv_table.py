"""CSV as people export it: the texts that pandas reads, or a numbered error that names the line."""

import csv
import io
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
import spacy
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from spacy_tinydistill.corpus import read_texts, text_corpus
from spacy_tinydistill.csv_table import DELIMITERS, CsvFormat
from spacy_tinydistill.errors import DistillationError

REFUSED = ("TD107", "TD108", "TD110", "TD130", "TD131", "TD132")


def read(path: Path, content: str | bytes, **form: object) -> list[str]:
    path.write_bytes(content.encode("utf8") if isinstance(content, str) else content)
    return list(read_texts(path, form=CsvFormat(**form)))


def assert_refused(path: Path, content: str | bytes, code: str, *facts: str, **form: object) -> None:
    with pytest.raises(DistillationError) as caught:
        read(path, content, **form)
    assert caught.value.code == code
    for fact in (str(path), *facts):
        assert fact in str(caught.value)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "texts.csv"


# Rows that do not fit


@pytest.mark.parametrize(
    ("row", "found"), [("2,Ann sings, and so on", 3), ("2", 1), ("2,one,two,three", 4), ('2,"one",', 3)]
)
def test_a_row_with_more_or_fewer_fields_names_its_line_and_both_counts(row: str, found: int, path: Path) -> None:
    content = f"id,text\n1,one\n{row}\n3,three\n"
    assert_refused(
        path, content, "TD130", "line 3", f"has {found} fields", "header has 2", "--corpora.distill.delimiter"
    )


def test_lines_are_counted_as_an_editor_does(path: Path) -> None:
    """Line breaks within a text and empty lines count; a row is named by the line in which it begins."""
    content = 'id,text\r\n\r\n1,"one\r\nand\r\nmore"\r\n2,"two\nlines",x\r\n'
    assert_refused(path, content, "TD130", "line 6", "has 3 fields")


def test_rows_that_do_not_fit_are_left_out_when_asked_to(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path.write_text("id,text\n1,one\n2,two,or three\n3\n4,four\n", encoding="utf8")
    assert list(read_texts(path, skip_bad_lines=True)) == ["one", "four"]
    assert "skipped 2 lines" in caplog.text


def test_empty_lines_are_no_rows(path: Path) -> None:
    assert read(path, "\n \nid,text\n\n1,one\n  \n2,two\n\n") == ["one", "two"]


def test_a_line_of_delimiters_is_a_row(path: Path) -> None:
    assert_refused(path, "id\ttext\n1\tone\n\t\t\n", "TD130", "line 3", "has 3 fields")


# Quotes


@pytest.mark.parametrize("end", ["", "\n", "\r\n"])
def test_a_quote_that_is_never_closed_names_the_line_where_it_begins(end: str, path: Path) -> None:
    rows = [f"{i},text {i}" if i != 5 else f'{i},"text {i}' for i in range(1, 9)]
    assert_refused(path, "\n".join(["id,text", *rows]) + end, "TD131", "line 6:", "never closed", "QUOTE_NONE")


def test_a_quote_that_the_next_one_closes_names_the_line_where_it_begins(path: Path) -> None:
    content = 'id,text\n1,"one\n2,two\n3,"three"\n'
    assert_refused(path, content, "TD131", "line 2:", "closed on line 4", "QUOTE_NONE", "--corpora.distill.quoting")


def test_quotes_with_a_backslash_name_the_line_and_the_key(path: Path) -> None:
    content = 'id,text\n1,"one\n more","and \\"two\\", as it is said"\n'
    assert_refused(path, content, "TD131", "line 3:", "--corpora.distill.escapechar")
    content = 'id,text\n1,"one ""of"" them"\n2,"he said \\"two\\", and\nleft"\n'
    assert_refused(path, content, "TD131", "line 3:", "--corpora.distill.escapechar")
    assert read(path, content, escapechar="\\") == ['one "of" them', 'he said "two", and\nleft']


def test_quotes_may_be_characters_like_others(path: Path) -> None:
    content = 'id\ttext\n1\t"one\n2\ttwo" of them\n'
    assert read(path, content, quoting="QUOTE_NONE") == ['"one', 'two" of them']
    assert read(path, content, quoting=csv.QUOTE_NONE) == ['"one', 'two" of them']


def test_another_quote(path: Path) -> None:
    assert read(path, "id,text\n1,'one, two'\n", quotechar="'") == ["one, two"]


# What stands between the columns


@pytest.mark.parametrize("delimiter", DELIMITERS)
def test_the_first_line_shows_what_stands_between_the_columns(delimiter: str, path: Path) -> None:
    content = f'id{delimiter}"text"\n1{delimiter}"one{delimiter} two"\n'
    assert read(path, content) == [f"one{delimiter} two"]
    assert read(path, content, delimiter=delimiter) == [f"one{delimiter} two"]


def test_a_comma_that_was_named_is_not_replaced(path: Path) -> None:
    assert_refused(path, "id;text\n1;one\n", "TD110", "id;text", "--corpora.distill.delimiter", delimiter=",")


def test_a_delimiter_that_nobody_guesses(path: Path) -> None:
    assert_refused(path, "id~text\n1~one\n", "TD110", "id~text", "--corpora.distill.delimiter")
    assert read(path, "id~text\n1~one\n", delimiter="~") == ["one"]


def test_a_file_of_one_column_has_commas(path: Path) -> None:
    assert read(path, "text\none; two\nthree | four\n") == ["one; two", "three | four"]
    assert_refused(path, "text\none; two\nthree, four\n", "TD130", "line 3", "has 2 fields", "header has 1")


def test_a_tab_as_a_command_line_spells_it(path: Path) -> None:
    assert CsvFormat(delimiter="\\t") == CsvFormat(delimiter="\t")
    assert read(path, "id\ttext,\n1\tone\n2\ttwo\n".replace(",", ""), delimiter="\\t") == ["one", "two"]


# Columns


@pytest.mark.parametrize("header", ["text,text", "id,text,id", "text,id,text"])
def test_two_columns_of_one_name(header: str, path: Path) -> None:
    repeated = "'id'" if header.count("id") == 2 else "'text'"
    row = ",".join("x" for _ in header.split(","))
    assert_refused(path, f"{header}\n{row}\n", "TD132", repeated)


def test_columns_without_a_name_may_be_several(path: Path) -> None:
    """A spreadsheet writes them at the end."""
    assert read(path, "id,text,,\n1,one,,\n") == ["one"]


# Formats that Python's csv does not know


@pytest.mark.parametrize(
    ("form", "fact"),
    [
        ({"delimiter": ";;"}, "delimiter is ';;'"),
        ({"delimiter": ""}, "delimiter is ''"),
        ({"delimiter": "\n"}, "no line break"),
        ({"quotechar": "''"}, "quotechar"),
        ({"escapechar": "\\\\"}, "escapechar"),
        ({"delimiter": '"'}, "have to differ"),
        ({"quotechar": "\\", "escapechar": "\\"}, "have to differ"),
        ({"quoting": "none"}, "QUOTE_NONE"),
        ({"quoting": 7}, "QUOTE_NONE"),
    ],
)
def test_a_format_that_cannot_be(form: dict, fact: str) -> None:
    with pytest.raises(ValueError, match=re.escape(fact)):
        text_corpus("texts.csv", **form)


def test_the_config_hands_the_format_on(path: Path) -> None:
    path.write_text("id|text\n1|'it\\'s, one'\n", encoding="utf8")
    corpus = text_corpus(str(path), delimiter="|", quotechar="'", escapechar="\\", doublequote=False)
    assert [example.text for example in corpus(spacy.blank("en"))] == ["it's, one"]


# Any table: what pandas reads, or an error

CHARACTERS = st.sampled_from(
    ['"', "'", ",", ";", "\t", "|", "\\", "\n", "\r", "\r\n", " ", "a", "b", "é", "日", "😀", "1"]
)
FIELDS = st.lists(CHARACTERS, max_size=8).map("".join)


@st.composite
def forms(draw: st.DrawFn) -> dict:
    return {
        "delimiter": draw(st.sampled_from([",", ";", "\t", "|"])),
        "quotechar": draw(st.sampled_from(['"', "'"])),
        "quoting": draw(st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_MINIMAL, csv.QUOTE_NONE])),
        "escapechar": draw(st.sampled_from([None, None, "\\"])),
        "doublequote": draw(st.booleans()),
    }


@st.composite
def tables(draw: st.DrawFn) -> tuple[list[list[str]], dict, bool, str, str]:
    """Rows and how they are written: a format, whether every field is quoted, the line end, the encoding."""
    width = draw(st.integers(1, 3))
    rows = [[draw(FIELDS) for _ in range(width)] for _ in range(draw(st.integers(0, 5)))]
    for row in rows:
        if draw(st.integers(0, 19)) == 0:
            row[:] = [*row, "x", "y, z"][: draw(st.integers(1, 5))]
    header = [["text"], ["id", "text"], ["text", "id", "more"]][width - 1]
    if draw(st.integers(0, 19)) == 0:
        header = ["text"] * width
    end = draw(st.sampled_from(["\n", "\r\n", "\r"]))
    encoding = draw(st.sampled_from([*["utf-8", "utf-8-sig"] * 4, "latin-1", "utf-16"]))
    return [header, *rows], draw(forms()), draw(st.booleans()), end, encoding


def write_table(rows: list[list[str]], form: dict, quote_all: bool, end: str) -> tuple[str, bool]:
    """Write as Python does; where it cannot in this format, as people do. Return, too, whether the rows come back."""
    quoting = csv.QUOTE_ALL if quote_all and form["quoting"] != csv.QUOTE_NONE else form["quoting"]
    file = io.StringIO(newline="")
    try:
        csv.writer(file, **{**form, "quoting": quoting, "lineterminator": end}).writerows(rows)
    except csv.Error:
        return end.join(form["delimiter"].join(row) for row in rows), False
    # Python's writer leaves a line break without quotes if it is not the line end that it was given.
    has_breaks = any(set(field) & {"\r", "\n"} for row in rows for field in row)
    return file.getvalue(), quoting == csv.QUOTE_ALL or not has_breaks


def read_by_pandas(path: Path, form: dict) -> list[str] | None:
    """Read the column "text"; nothing where pandas refuses the file or finds no such column.

    It gives empty fields to a row that is too short, and names to columns that have one already: these are no answers.
    """
    try:
        # With an index of its own, or the first column of long rows would become one.
        frame = pd.read_csv(
            path,
            sep=form["delimiter"],
            quotechar=form["quotechar"],
            quoting=form["quoting"],
            escapechar=form["escapechar"],
            doublequote=form["doublequote"],
            encoding="utf-8",
            header=None,
            dtype=str,
            keep_default_na=False,
            na_filter=False,
        )
    except (ValueError, UnicodeDecodeError):
        return None
    names = list(frame.iloc[0])
    return list(frame[names.index("text")][1:]) if "text" in names else None


DRAWN = {"tables": 0, "read by both": 0, "refused by both": 0, "refused by us alone": 0, "misread by pandas": 0}

# Where an empty line ends in "\r" alone, pandas 3.1 loses the first field of the next row if that is empty, too:
# of "id|text\n\r|one" it reads "one" as the id.
HAS_LOST_FIELD = re.compile(rb"(^|[\r\n])[ \t]*\r\|")


@pytest.fixture(scope="module", autouse=True)
def print_drawn(request: pytest.FixtureRequest) -> Iterator[None]:
    yield
    with request.config.pluginmanager.getplugin("capturemanager").global_and_fixture_disabled():
        print(f"\nCSV tables against pandas {pd.__version__}: {json.dumps(DRAWN)}")


def compare(path: Path, form: dict) -> list[str] | None:
    """Read a file by both; see that there is no text that pandas does not read, and none of what it refuses."""
    DRAWN["tables"] += 1
    theirs = read_by_pandas(path, form)
    try:
        ours = list(read_texts(path, form=CsvFormat(**form)))
    except DistillationError as error:
        if error.code not in REFUSED:
            raise
        DRAWN["refused by both" if theirs is None else "refused by us alone"] += 1
        return None
    if HAS_LOST_FIELD.search(path.read_bytes().replace(form["delimiter"].encode(), b"|")):
        DRAWN["misread by pandas"] += 1
        return ours
    assert theirs is not None, f"pandas refuses what is read as {ours}"
    assert ours == [text for text in theirs if text.strip()]
    DRAWN["read by both"] += 1
    return ours


any_table = settings(max_examples=700, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)


@any_table
@given(table=tables())
def test_a_table_gives_the_texts_that_were_written_or_an_error(table: tuple, tmp_path: Path) -> None:
    rows, form, quote_all, end, encoding = table
    content, comes_back = write_table(rows, form, quote_all, end)
    try:
        data = content.encode(encoding)
    except UnicodeEncodeError:
        return
    path = tmp_path / "texts.csv"
    path.write_bytes(data)
    ours = compare(path, form)
    if not comes_back:
        return
    header = rows[0]
    said = [row for row in rows[1:] if "".join(row).strip()]
    is_readable = encoding != "utf-16" and (content.isascii() or encoding.startswith("utf-8"))
    if any(len(row) != len(header) for row in said) or not is_readable or len({*header}) < len(header):
        assert ours is None
    # A row of nothing but empty fields may be a line that is no row.
    elif ours is not None or all(len(row) == len(header) for row in rows):
        texts = [row[header.index("text")] for row in said]
        assert (ours or []) == [text for text in texts if text.strip()]


@any_table
@given(
    content=st.lists(CHARACTERS | st.sampled_from(["text", '"text"', "id", "\n"]), max_size=40).map("".join),
    form=forms(),
    mark=st.booleans(),
)
def test_any_characters_give_the_texts_that_pandas_reads_or_an_error(
    content: str, form: dict, mark: bool, tmp_path: Path
) -> None:
    path = tmp_path / "texts.csv"
    header = form["delimiter"].join(["id", "text"])
    path.write_text(f"{header}\n{content}", encoding="utf-8-sig" if mark else "utf-8", newline="")
    compare(path, form)
