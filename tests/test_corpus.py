"""The readers: every kind of file, every kind of bad line, and whatever else people have on disk."""

import csv
import gzip
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import pyarrow as pa
import pytest
import spacy
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyarrow import feather, parquet
from spacy.language import Language
from spacy.tokens import DocBin
from spacy.util import registry

from helpers.tiny_teacher import TEXTS, write_gold
from spacy_tinydistill.corpus import SUFFIXES, copy_tokens, gold_corpus, make_examples, read_texts, text_corpus
from spacy_tinydistill.errors import DistillationError

# Two lines of one file each would lose: a line end inside a text; JSON and DocBins keep it.
AWKWARD = ["Ann sings", "naïve café 😀👩‍👩‍👧 ok", "日本語のテキスト", "two\nlines", "  spaces  around  ", "x", "🙂"]
ONE_LINE = [text for text in AWKWARD if "\n" not in text]

TOKENIZE = spacy.blank("en").make_doc

# Hypothesis makes many files in the one folder that a test has; each is written anew.
with_files = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], derandomize=True
)


@pytest.fixture(scope="module")
def nlp() -> Language:
    return spacy.blank("en")


def write_jsonl(path: Path, texts: list[str]) -> None:
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts), encoding="utf8")


def write_jsonl_gz(path: Path, texts: list[str]) -> None:
    with gzip.open(path, "wt", encoding="utf8") as file:
        file.writelines(json.dumps({"text": text}, ensure_ascii=False) + "\n" for text in texts)


def write_csv(path: Path, texts: list[str]) -> None:
    with path.open("w", encoding="utf8", newline="") as file:
        write_rows(file, texts)


def write_csv_gz(path: Path, texts: list[str]) -> None:
    with gzip.open(path, "wt", encoding="utf8", newline="") as file:
        write_rows(file, texts)


def write_rows(file: IO[str], texts: list[str], delimiter: str = ",") -> None:
    writer = csv.writer(file, delimiter=delimiter)
    writer.writerow(["id", "text"])
    writer.writerows(enumerate(texts))


def write_tsv(path: Path, texts: list[str]) -> None:
    with path.open("w", encoding="utf8", newline="") as file:
        write_rows(file, texts, delimiter="\t")


def write_tsv_gz(path: Path, texts: list[str]) -> None:
    with gzip.open(path, "wt", encoding="utf8", newline="") as file:
        write_rows(file, texts, delimiter="\t")


def write_parquet(path: Path, texts: list[str]) -> None:
    parquet.write_table(as_table(texts), path)


def write_feather(path: Path, texts: list[str]) -> None:
    feather.write_feather(as_table(texts), path)


def write_arrow_stream(path: Path, texts: list[str]) -> None:
    """As Hugging Face's `datasets` writes it."""
    table = as_table(texts)
    with pa.ipc.new_stream(str(path), table.schema) as stream:
        stream.write_table(table, max_chunksize=2)


def as_table(texts: list[str]) -> pa.Table:
    return pa.table({"id": range(len(texts)), "text": pa.array(texts, pa.string())})


def write_txt(path: Path, texts: list[str]) -> None:
    path.write_text("\n".join(texts), encoding="utf8")


def write_txt_gz(path: Path, texts: list[str]) -> None:
    path.write_bytes(gzip.compress("\n".join(texts).encode("utf8")))


def write_doc_bin(path: Path, texts: list[str]) -> None:
    DocBin(docs=[TOKENIZE(text) for text in texts]).to_disk(path)


WRITERS: dict[str, Callable[[Path, list[str]], None]] = {
    ".jsonl": write_jsonl,
    ".jsonl.gz": write_jsonl_gz,
    ".csv": write_csv,
    ".csv.gz": write_csv_gz,
    ".tsv": write_tsv,
    ".tsv.gz": write_tsv_gz,
    ".parquet": write_parquet,
    ".feather": write_feather,
    ".arrow": write_arrow_stream,
    ".txt": write_txt,
    ".txt.gz": write_txt_gz,
    ".spacy": write_doc_bin,
}


def read(path: Path, **settings: Any) -> list[str]:
    return list(read_texts(path, **settings))


def assert_refused(path: Path, code: str, *facts: str, **settings: Any) -> DistillationError:
    with pytest.raises(DistillationError) as caught:
        read(path, **settings)
    assert caught.value.code == code
    for fact in [str(path), *facts]:
        assert fact in str(caught.value)
    return caught.value


def assert_message(error: DistillationError, path: Path, codes: tuple[str, ...]) -> None:
    assert error.code in codes
    assert str(path) in str(error)


# What is read


def test_every_kind_of_file_has_a_writer_here() -> None:
    assert set(WRITERS) == set(SUFFIXES)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_texts_come_back_as_they_were_written(suffix: str, tmp_path: Path) -> None:
    texts = ONE_LINE if ".txt" in suffix else AWKWARD
    path = tmp_path / f"texts{suffix}"
    WRITERS[suffix](path, texts)
    assert read(path) == texts


def test_a_folder_is_read_whole_in_the_order_of_names(tmp_path: Path) -> None:
    write_txt(tmp_path / "b.txt", ["two"])
    write_jsonl(tmp_path / "a.jsonl", ["one"])
    (tmp_path / "c").mkdir()
    write_txt_gz(tmp_path / "c" / "a.txt.gz", ["three"])
    write_doc_bin(tmp_path / "d.spacy", ["four"])
    (tmp_path / "README.md").write_text("not a text")
    assert read(tmp_path) == ["one", "two", "three", "four"]


def test_hidden_files_of_a_folder_are_left_out_which_is_said_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write_txt(tmp_path / "a.txt", ["one"])
    hidden = [".ipynb_checkpoints/a-checkpoint.txt", "__MACOSX/a.txt", "._a.txt", ".a.txt", "b/.c/a.txt"]
    for name in hidden:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        write_txt(tmp_path / name, ["hidden"])
    assert read(tmp_path) == read(tmp_path) == ["one"]
    (message,) = [record.getMessage() for record in caplog.records]
    assert str(tmp_path) in message
    assert "left out 5 hidden files" in message
    assert any(name in message for name in hidden)


def test_a_hidden_file_or_folder_is_read_if_it_is_named(tmp_path: Path) -> None:
    folder = tmp_path / ".cache"
    folder.mkdir()
    write_txt(folder / ".a.txt", ["one"])
    write_txt(folder / "b.txt", ["two"])
    assert read(folder / ".a.txt") == ["one"]
    assert read(folder) == ["two"]


def test_a_folder_of_hidden_files_has_none(tmp_path: Path) -> None:
    write_txt(tmp_path / ".a.txt", ["one"])
    assert_refused(tmp_path, "TD103")


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_how_many_texts_are_empty_or_equal_is_said_once(
    suffix: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    WRITERS[suffix](tmp_path / f"a{suffix}", ["one", "", "two", "one", " ", "one", "\t"])
    WRITERS[suffix](tmp_path / f"b{suffix}", ["two", "three"])
    assert read(tmp_path) == read(tmp_path) == ["one", "two", "one", "one", "two", "three"]
    assert [record.getMessage() for record in caplog.records] == [
        f"{tmp_path}: of 9 texts 3 are empty and left out, 3 are equal to earlier ones and stay; 6 are left, 3 of them "
        "different"
    ]


def test_a_row_of_arrow_without_a_text(tmp_path: Path) -> None:
    table = pa.table({"text": ["one", None, "three"], "stars": [1, 2, 3]})
    parquet.write_table(table, tmp_path / "a.parquet")
    assert_refused(tmp_path / "a.parquet", "TD106", "line 2", "it is null")
    assert read(tmp_path / "a.parquet", skip_bad_lines=True) == ["one", "three"]
    assert_refused(tmp_path / "a.parquet", "TD106", "line 1", "it is 1", column="stars")
    assert_refused(tmp_path / "a.parquet", "TD133", "'review'", "text, stars", column="review")
    twice = pa.Table.from_arrays([pa.array(["a"]), pa.array(["b"])], names=["text", "text"])
    with pa.ipc.new_file(str(tmp_path / "b.arrow"), twice.schema) as file:
        file.write_table(twice)
    assert_refused(tmp_path / "b.arrow", "TD132", "text")


def test_nothing_is_said_of_texts_that_all_differ(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write_jsonl(tmp_path / "a.jsonl", AWKWARD)
    assert read(tmp_path) == AWKWARD
    assert not caplog.records


def test_a_folder_with_a_file_of_no_text_is_no_error_where_others_have_some(tmp_path: Path) -> None:
    write_txt(tmp_path / "a.txt", [""])
    write_txt(tmp_path / "b.txt", ["two"])
    assert read(tmp_path) == ["two"]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_texts_of_white_space_are_left_out(suffix: str, tmp_path: Path) -> None:
    WRITERS[suffix](tmp_path / f"t{suffix}", ["one", "", "   ", "\t", "two"])
    assert read(tmp_path) == ["one", "two"]


@pytest.mark.parametrize("line_end", ["\r\n", "\r", "\n"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_line_ends_and_byte_order_marks_of_other_systems(line_end: str, mark: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(mark + f"one{line_end}two{line_end}".encode())
    (tmp_path / "b.jsonl").write_bytes(mark + f'{{"text": "three"}}{line_end}{line_end}{{"text": "four"}}'.encode())
    (tmp_path / "c.txt.gz").write_bytes(gzip.compress(mark + f"five{line_end}six".encode()))
    assert read(tmp_path) == ["one", "two", "three", "four", "five", "six"]


def test_other_keys_of_a_jsonl_line_do_not_matter(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"id": 1, "text": "one", "meta": {"text": 7}}\n')
    assert read(tmp_path) == ["one"]


def test_a_lone_surrogate_does_not_stop_a_run(tmp_path: Path, nlp: Language) -> None:
    (tmp_path / "a.jsonl").write_text(r'{"text": "odd \ud83d end"}' + "\n" + r'{"text": "even \ud83d\ude00"}')
    assert read(tmp_path) == ["odd ? end", "even 😀"]
    for example in text_corpus(str(tmp_path))(nlp):
        example.predicted.to_bytes()


def test_reading_streams(tmp_path: Path) -> None:
    """The first text is there before the bad line after it has been looked at."""
    (tmp_path / "a.jsonl").write_text('{"text": "one"}\nnot json\n')
    texts = read_texts(tmp_path)
    assert next(texts) == "one"
    with pytest.raises(DistillationError):
        next(texts)


# What is refused


def test_no_such_file(tmp_path: Path) -> None:
    assert_refused(tmp_path / "missing.jsonl", "TD102")


def test_a_folder_without_texts(tmp_path: Path) -> None:
    (tmp_path / "notes.md").write_text("hello")
    assert_refused(tmp_path, "TD103", *SUFFIXES)


@pytest.mark.parametrize("name", ["texts.xlsx", "texts", "texts.gz", "texts.json"])
def test_a_file_of_another_kind(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text("hello")
    assert_refused(tmp_path / name, "TD104", *SUFFIXES, "Excel")


@pytest.mark.parametrize("suffix", [".jsonl", ".jsonl.gz"])
@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("{not json", "TD105"),
        ("", "TD105"),
        ("NaN NaN", "TD105"),
        ("[" * 100_000, "TD105"),
        ('{"text": 3}', "TD106"),
        ('{"text": null}', "TD106"),
        ('{"txt": "hello"}', "TD106"),
        ('["hello"]', "TD106"),
        ('"hello"', "TD106"),
        ("NaN", "TD106"),
    ],
)
def test_a_bad_line_is_named_by_its_number(line: str, code: str, suffix: str, tmp_path: Path) -> None:
    """Empty lines count, as they do in an editor."""
    # An empty line alone is no mistake; one with a stray comma is.
    content = '{"text": "one"}\n\n{"text": "two"}\n' + (line or ",") + '\n{"text": "three"}\n'
    path = tmp_path / f"texts{suffix}"
    path.write_bytes(gzip.compress(content.encode()) if suffix.endswith(".gz") else content.encode())
    error = assert_refused(path, code, "line 4", "skip_bad_lines")
    assert len(str(error)) < 600


@pytest.mark.parametrize(
    ("line", "fact"),
    [
        ('{"text": null}', "it is null"),
        ('{"text": 3.5}', "it is 3.5"),
        ('{"text": ["one"]}', 'it is ["one"]'),
        ('{"id": 1, "body": "one"}', "its keys are id, body"),
        ("{}", "its keys are none"),
        ('["one"]', 'it is no object but ["one"]'),
    ],
)
def test_what_is_in_place_of_a_text_is_told(line: str, fact: str, tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text(f'{{"text": "one"}}\n{line}\n')
    assert_refused(tmp_path / "a.jsonl", "TD106", "line 2", fact, "'text'")


def test_bad_lines_are_skipped_and_counted_when_asked_to(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "a.jsonl").write_text('{"text": "one"}\nbad\n{"txt": ""}\n\n{"text": "two"}\n')
    (tmp_path / "b.jsonl").write_text('{"text": "three"}\n')
    assert read(tmp_path, skip_bad_lines=True) == ["one", "two", "three"]
    messages = [record.getMessage() for record in caplog.records]
    assert len(messages) == 1
    assert "a.jsonl" in messages[0]
    assert "2 lines" in messages[0]


@pytest.mark.parametrize("name", ["a.csv", "a.jsonl"])
def test_another_column(name: str, tmp_path: Path) -> None:
    if name == "a.csv":
        (tmp_path / name).write_text('text,body\nno,"yes, ""all""\nof it"\nno,more\n')
    else:
        (tmp_path / name).write_text('{"text": "no", "body": "yes, \\"all\\"\\nof it"}\n{"body": "more"}\n')
    assert list(read_texts(tmp_path, column="body")) == ['yes, "all"\nof it', "more"]


def test_a_csv_file_without_the_column(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("id,body\n1,one\n")
    assert_refused(tmp_path / "a.csv", "TD110", "'text'", "id, body", "--corpora.distill.column")
    (tmp_path / "a.csv").write_text("")
    assert_refused(tmp_path / "a.csv", "TD110", "none")


def test_a_row_of_csv_that_is_too_short(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("id,text\n1,one\n2\n3,three\n")
    assert_refused(tmp_path / "a.csv", "TD130", "line 3", "1 field", "2")
    assert read(tmp_path, skip_bad_lines=True) == ["one", "three"]


def test_a_long_field_of_csv(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("text\n" + "x" * 200_000 + "\n")
    assert [len(text) for text in read(tmp_path)] == [200_000]


def test_skipping_every_line_leaves_nothing_to_learn_on(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text("bad\nworse\n")
    assert_refused(tmp_path / "a.jsonl", "TD107", skip_bad_lines=True)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_file_of_no_text(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"texts{suffix}"
    WRITERS[suffix](path, [])
    assert_refused(path, "TD107")
    WRITERS[suffix](path, [" ", "\t"])
    assert_refused(path, "TD107")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("latin1.txt", "café".encode("latin1")),
        ("latin1.jsonl", '{"text": "café"}'.encode("latin1")),
        ("plain.txt.gz", b"not gzipped"),
        # Without the time, or the workers of a parallel run would not find the same tests.
        ("cut.jsonl.gz", gzip.compress(b'{"text": "one"}\n' * 1000, mtime=0)[:-20]),
        ("broken.txt.gz", gzip.compress(b"one two three", mtime=0)[:12] + b"\x00" * 20),
        ("text.spacy", b"hello"),
        ("empty.spacy", b""),
    ],
)
def test_a_file_that_cannot_be_read(name: str, content: bytes, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    assert_refused(tmp_path / name, "TD108")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read(tmp_path: Path) -> None:
    write_txt(tmp_path / "a.txt", ["one"])
    (tmp_path / "a.txt").chmod(0)
    assert_refused(tmp_path / "a.txt", "TD108")


# Properties


@with_files
@given(texts=st.lists(st.text(max_size=40), max_size=5), suffix=st.sampled_from([".jsonl", ".jsonl.gz", ".spacy"]))
def test_any_texts_come_back(texts: list[str], suffix: str, tmp_path: Path) -> None:
    """JSON and DocBins keep every character; hypothesis's text has no surrogates, which have no UTF-8."""
    path = tmp_path / f"texts{suffix}"
    WRITERS[suffix](path, texts)
    expected = [text for text in texts if text.strip()]
    if expected:
        assert read(path) == expected
    else:
        assert_refused(path, "TD107")


@with_files
@given(text=st.text(max_size=200))
def test_any_plain_text_comes_back_line_by_line(text: str, tmp_path: Path) -> None:
    path = tmp_path / "texts.txt"
    path.write_bytes(text.encode("utf8"))
    lines = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n").split("\n")
    expected = [line for line in lines if line.strip()]
    if expected:
        assert read(path) == expected
    else:
        assert_refused(path, "TD107")


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(st.characters(), max_size=5),
    lambda children: st.lists(children, max_size=3) | st.dictionaries(st.sampled_from(["text", "a"]), children),
    max_leaves=6,
)


@with_files
@given(
    content=st.one_of(
        st.binary(max_size=200),
        st.text(max_size=100).map(lambda text: text.encode("utf8")),
        st.lists(JSON.map(json.dumps), max_size=4).map(lambda lines: "\n".join(lines).encode("utf8")),
    ),
    suffix=st.sampled_from(SUFFIXES),
    zipped=st.booleans(),
    skip_bad_lines=st.booleans(),
)
def test_any_bytes_give_texts_or_a_numbered_error(
    content: bytes, suffix: str, zipped: bool, skip_bad_lines: bool, tmp_path: Path, nlp: Language
) -> None:
    path = tmp_path / f"texts{suffix}"
    path.write_bytes(gzip.compress(content, mtime=0) if zipped else content)
    try:
        texts = read(path, skip_bad_lines=skip_bad_lines)
    except DistillationError as error:
        # Any other exception ends the test.
        rows = ("TD105", "TD106", "TD107", "TD108", "TD110", "TD130", "TD131", "TD132", "TD133")
        return assert_message(error, path, rows)
    assert texts
    for text in texts:
        assert text.strip()
        assert "".join(eg.predicted.text_with_ws for eg in make_examples(nlp, text, 5)) == nlp(text).text_with_ws


# Docs


@with_files
@given(text=st.text(max_size=80), max_length=st.integers(0, 12))
def test_pieces_make_up_the_text_and_none_is_too_long(text: str, max_length: int, nlp: Language) -> None:
    whole = nlp.make_doc(text)
    pieces = [example.predicted for example in make_examples(nlp, text, max_length)]
    assert [token.text for piece in pieces for token in piece] == [token.text for token in whole]
    assert "".join(token.text_with_ws for piece in pieces for token in piece) == whole.text_with_ws
    if max_length:
        assert all(0 < len(piece) <= max_length for piece in pieces)
        assert len(pieces) == -(-len(whole) // max_length)
    else:
        assert len(pieces) == (1 if len(whole) else 0)


@pytest.mark.parametrize(("text", "lengths"), [("", []), (" ", [1]), ("one", [1]), ("😀", [1]), ("a b c d e", [4, 1])])
def test_the_smallest_docs(text: str, lengths: list[int], nlp: Language) -> None:
    examples = list(make_examples(nlp, text, 4))
    assert [len(example.predicted) for example in examples] == lengths
    assert [len(example.reference) for example in examples] == lengths


@pytest.mark.slow
def test_a_doc_of_100_000_tokens(tmp_path: Path, nlp: Language) -> None:
    """Longer than `nlp.max_length` characters, at which spaCy itself refuses a text."""
    text = "unremarkable " * 100_000
    assert len(text) > nlp.max_length
    write_jsonl(tmp_path / "a.jsonl", [text])
    assert [len(example.predicted) for example in text_corpus(str(tmp_path))(nlp)] == [500] * 200
    (whole,) = text_corpus(str(tmp_path), max_length=0)(nlp)
    assert len(whole.predicted) == 100_000


def test_what_the_tokenizer_says_of_a_word_goes_along(nlp: Language) -> None:
    """English reads "n't" as "not", which encoders see; a teacher asked about bare words would say other things."""
    doc = nlp.make_doc("I can't say they're gonna win, don't they")
    assert "not" in [token.norm_ for token in doc]
    other = spacy.blank("en")
    assert [token.norm_ for token in copy_tokens(other, doc)] == [token.norm_ for token in doc]
    pieces = [example.predicted for example in make_examples(nlp, doc.text, 3)]
    assert [token.norm_ for piece in pieces for token in piece] == [token.norm_ for token in doc]


def test_norms_of_the_vocabulary_stay_its_own(nlp: Language) -> None:
    other = spacy.blank("en")
    other.vocab["colour"].norm_ = "color"
    assert [token.norm_ for token in copy_tokens(nlp, other.make_doc("my colour"))] == ["my", "colour"]
    assert [token.norm_ for token in copy_tokens(other, nlp.make_doc("my colour"))] == ["my", "color"]


def test_limit_counts_texts(tmp_path: Path, nlp: Language) -> None:
    write_txt(tmp_path / "a.txt", ["a b c d", "e", "f"])
    examples = text_corpus(str(tmp_path), max_length=3, limit=2)(nlp)
    assert [example.predicted.text for example in examples] == ["a b c ", "d", "e"]


def test_texts_are_joined_before_they_are_cut(tmp_path: Path, nlp: Language) -> None:
    write_txt(tmp_path / "a.txt", ["one two", "three four", "five", "six"])
    write_txt(tmp_path / "b.txt", ["seven"])
    joined = text_corpus(str(tmp_path), texts_per_doc=3)(nlp)
    assert [example.predicted.text for example in joined] == ["one two three four five", "six seven"]
    pieces = text_corpus(str(tmp_path), texts_per_doc=3, max_length=3, limit=4)(nlp)
    assert [example.predicted.text for example in pieces] == ["one two three ", "four five", "six"]


def test_a_document_has_one_text_or_more() -> None:
    with pytest.raises(ValueError, match="texts_per_doc is 0"):
        text_corpus("texts.txt", texts_per_doc=0)


def test_a_corpus_can_be_read_again(tmp_path: Path, nlp: Language) -> None:
    write_txt(tmp_path / "a.txt", ["one", "two"])
    corpus = text_corpus(str(tmp_path))
    assert [eg.text for eg in corpus(nlp)] == [eg.text for eg in corpus(nlp)] == ["one", "two"]


# Gold


def test_gold_annotations_come_from_a_doc_bin(tmp_path: Path, nlp: Language) -> None:
    path = write_gold(tmp_path / "gold.spacy", TEXTS[:2])
    examples = list(gold_corpus(str(path))(nlp))
    assert [example.text for example in examples] == TEXTS[:2]
    assert [token.tag_ for token in examples[0].reference] == ["NOUN", "VERB", "ADP", "NOUN"]
    assert not examples[0].predicted.has_annotation("TAG")


def test_gold_may_be_null(nlp: Language) -> None:
    assert list(gold_corpus(None)(nlp)) == []


def test_texts_may_be_null_where_there_is_gold(nlp: Language) -> None:
    assert list(text_corpus(None)(nlp)) == []


def test_missing_gold(tmp_path: Path, nlp: Language) -> None:
    with pytest.raises(DistillationError, match="TD102") as caught:
        list(gold_corpus(str(tmp_path / "missing.spacy"))(nlp))
    assert str(tmp_path / "missing.spacy") in str(caught.value)


@pytest.mark.parametrize(
    ("name", "content", "code"),
    [
        ("gold.spacy", b"hello", "TD108"),
        ("none.spacy", DocBin().to_bytes(), "TD107"),
        ("gold.jsonl", b'{"text": "one"}', "TD104"),
        ("folder", None, "TD103"),
    ],
)
def test_gold_that_is_no_doc_bin(name: str, content: bytes | None, code: str, tmp_path: Path, nlp: Language) -> None:
    """spaCy itself would go on without a word, and score on nothing."""
    path = tmp_path / name
    if content is None:
        path.mkdir()
    else:
        path.write_bytes(content)
    with pytest.raises(DistillationError) as caught:
        list(gold_corpus(str(path))(nlp))
    assert caught.value.code == code
    assert str(path) in str(caught.value)


# The teacher's annotations as a corpus


def test_the_readers_are_registered() -> None:
    for name in ("TextCorpus", "GoldCorpus", "TeacherCorpus"):
        assert callable(registry.readers.get(f"spacy-tinydistill.{name}.v1"))
