"""Readers: text, JSONL, DocBin to Docs, streaming."""

import gzip
import json
import zlib
from array import array
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from itertools import islice
from pathlib import Path
from typing import IO

import numpy as np
from spacy.language import Language
from spacy.tokens import Doc, DocBin, Span
from spacy.training import Corpus, Example
from spacy.util import logger, minibatch
from spacy.vocab import Vocab

from . import arrow_table
from .csv_table import CsvFormat, read_column
from .errors import DistillationError

# What annotations of tokens may be of, as spaCy names it.
ANNOTATIONS = ("TAG", "POS", "MORPH", "LEMMA", "DEP", "SENT_START", "ENT_IOB")

Reader = Callable[[Language], Iterable[Example]]

SUFFIXES = (
    ".jsonl",
    ".jsonl.gz",
    ".csv",
    ".csv.gz",
    ".txt",
    ".txt.gz",
    ".spacy",
    ".tsv",
    ".tsv.gz",
    *arrow_table.SUFFIXES,
)

ANY_FORMAT = CsvFormat()

# What macOS puts into an archive beside the files that were meant.
NOT_MEANT = "__MACOSX"


def text_corpus(
    path: str | None,
    skip_bad_lines: bool = False,
    max_length: int = 500,
    limit: int = 0,
    column: str = "text",
    texts_per_doc: int = 1,
    augmenter: Callable | None = None,
    delimiter: str | None = None,
    quotechar: str = '"',
    quoting: str | int = "QUOTE_MINIMAL",
    escapechar: str | None = None,
    doublequote: bool = True,
) -> Reader:
    """Make the reader `spacy-tinydistill.TextCorpus.v1`: texts without annotations, which the teacher annotates.

    Args:
        path: A file or a folder of files: JSONL with a "text" per line, CSV with a column "text", plain text with one
            text per line, any of them gzipped; Parquet or Arrow with a column "text"; or DocBins, of which only the
            texts are read. Hidden files in a folder are left out. Null for no texts.
        skip_bad_lines: Leave out lines of JSONL or CSV without a text, and rows of CSV with more or fewer fields than
            the header. Their number is a warning. By default the first one is an error.
        max_length: Maximum number of tokens. Longer texts are split. 0 for no limit.
        limit: Maximum number of texts. 0 for no limit.
        column: The column of the text, in JSONL, CSV, Parquet and Arrow.
        texts_per_doc: The number of texts to join to one Doc, with spaces between, like `spacy convert --n-sents`. If
            each text is one sentence, a student needs this to learn where sentences end.
        augmenter: Makes variants of each text, the same ones each time, such as
            `spacy-tinydistill.NeighbourAugmenter.v1`.
        delimiter: The character between two columns of CSV; "\\t" is a tab. Null finds it in the first line: a comma,
            in .tsv a tab, unless the column exists only with one of `;`, tab and `|`. This and the following settings
            are those of Python's module `csv`.
        quotechar: The character around a text that contains the delimiter, a quote or a line break.
        quoting: "QUOTE_NONE" for a file in which quotes are characters like others.
        escapechar: The character before a quote that belongs to the text, such as a backslash.
        doublequote: A quote that belongs to the text is written twice.

    Raises:
        ValueError: texts_per_doc is less than 1, or `csv` does not know such a format. In a config this ends in TD004.
    """
    form = CsvFormat(delimiter, quotechar, quoting, escapechar, doublequote)
    if texts_per_doc < 1:
        raise ValueError(f"texts_per_doc is {texts_per_doc}. Expected 1, which joins none, or more.")

    def read(nlp: Language) -> Iterator[Example]:
        if path is None:
            return
        texts = read_texts(Path(path), skip_bad_lines=skip_bad_lines, column=column, form=form)
        for joined in minibatch(islice(texts, limit or None), texts_per_doc):
            for example in make_examples(nlp, " ".join(joined), max_length):
                yield from augmenter(nlp, example) if augmenter else (example,)

    return read


def gold_corpus(
    path: str | None, gold_preproc: bool = False, max_length: int = 0, limit: int = 0, augmenter: Callable | None = None
) -> Reader:
    """Make the reader `spacy-tinydistill.GoldCorpus.v1`: gold annotations, like `spacy.Corpus.v1`.

    Args:
        path: A DocBin or a folder of them. Null for none.
        gold_preproc: Make an Example of each sentence, with its gold tokens.
        max_length: Maximum number of tokens. Longer Docs are split into sentences, or left out if they have none. 0
            for no limit.
        limit: Maximum number of Examples. 0 for no limit.
        augmenter: One of spaCy's augmenters.

    The reader raises TD102, TD103, TD104, TD107 and TD108 as `read_texts` does.
    """

    def read(nlp: Language) -> Iterator[Example]:
        if path is None:
            return
        # spaCy's reader passes over what is no DocBin; then a student would be scored on nothing.
        list_files(Path(path), (".spacy",))
        corpus = Corpus(path, gold_preproc=gold_preproc, max_length=max_length, limit=limit, augmenter=augmenter)
        found = False
        try:
            for example in corpus(nlp):
                found = True
                yield example
        except Exception as error:
            raise DistillationError("TD108", path=path, reason=repr(error)) from error
        if not found:
            raise DistillationError("TD107", path=path)

    return read


def read_texts(
    path: Path, *, skip_bad_lines: bool = False, column: str = "text", form: CsvFormat = ANY_FORMAT
) -> Iterator[str]:
    """Read texts from a file or from every file of a folder, in the order of their names.

    How many were empty, and how many equal to earlier ones, is said at the end.

    Args:
        path: See `text_corpus`.
        skip_bad_lines: See `text_corpus`.
        column: Likewise.
        form: How CSV is written.

    Yields:
        Texts that hold more than white space.

    Raises:
        DistillationError: TD102, no such file; TD103, a folder without any; TD104, a file of another kind; TD105, a
            line that is no JSON; TD106, a line without text; TD107, no text at all; TD108, a file that cannot be read;
            TD110, TD130, TD131 and TD132, see `csv_table.read_column`; TD133, see `arrow_table.read_column`.
    """
    # Eight bytes a text, of which equal ones are counted at the end: a set would take ten times as much.
    hashes = array("q")
    empty = 0
    for file in list_files(path, SUFFIXES):
        for text in _read_file(file, skip_bad_lines, column, form):
            if text.strip():
                hashes.append(hash(text))
                yield text
            else:
                empty += 1
    if not hashes:
        raise DistillationError("TD107", path=path)
    _report_rows(path, empty, len(hashes), len(np.unique(np.frombuffer(hashes, dtype=np.int64))))


def make_examples(nlp: Language, text: str, max_length: int) -> Iterator[Example]:
    """Tokenize a text and cut it into pieces; a text without tokens gives none.

    Args:
        nlp: The student.
        text: A text.
        max_length: The most tokens of a piece; 0 leaves the text whole.
    """
    # Tokenizing is linear; spaCy's limit guards the memory of a parser, which here never sees the whole text.
    doc = nlp.tokenizer(text) if len(text) > nlp.max_length else nlp.make_doc(text)
    step = max_length or len(doc)
    for start in range(0, len(doc), max(step, 1)):
        piece = doc if len(doc) <= step else _cut(nlp, doc, start, start + step)
        yield Example(piece, copy_tokens(nlp, piece))


def _cut(nlp: Language, doc: Doc, start: int, end: int) -> Doc:
    span = doc[start:end]
    # `Span.as_doc` copies the whole Doc for each piece: only for what a tokenizer wrote beside tokens.
    return span.as_doc(copy_user_data=True) if is_more_than_tokens(doc) else copy_tokens(nlp, span)


def is_annotated(doc: Doc) -> bool:
    """Whether a Doc has annotations, gold ones or a tokenizer's; most tokenizers give none."""
    return bool(doc.cats or doc.spans) or any(map(doc.has_annotation, ANNOTATIONS))


def is_more_than_tokens(doc: Doc) -> bool:
    """Whether a tokenizer has written annotations or user data beside the tokens."""
    return is_annotated(doc) or bool(doc.user_data)


def copy_doc(nlp: Language, doc: Doc) -> Doc:
    """Copy a Doc as its tokenizer made it, in another pipeline's vocabulary."""
    if is_more_than_tokens(doc):
        return Doc(nlp.vocab).from_bytes(doc.to_bytes(exclude=["tensor"]), exclude=["tensor"])
    return copy_tokens(nlp, doc)


def copy_tokens(nlp: Language, doc: Doc | Span) -> Doc:
    """Make a Doc of the same tokens, without annotations, in another pipeline's vocabulary."""
    copy = Doc(nlp.vocab, words=[token.text for token in doc], spaces=[bool(token.whitespace_) for token in doc])
    for new, token in zip(copy, doc, strict=True):
        # The "not" of "n't" is of the tokenizer's making and on the token alone; spaCy's encoders read it. Any other
        # norm is the vocabulary's.
        if token.norm != token.lex.norm:
            new.norm_ = token.norm_
    return copy


def replace_surrogates(text: str) -> str:
    """Put question marks for lone surrogates, which JSON and Python can spell.

    They are no characters and have no UTF-8; spaCy cannot store them.
    """
    return text.encode("utf-8", "replace").decode("utf-8")


def list_files(path: Path, suffixes: tuple[str, ...]) -> list[Path]:
    """List a file itself, or those of a folder and of the folders in it whose names end in one of some ways.

    Hidden files, and those in hidden folders, are left out: editors, notebooks and archives make them.

    Raises:
        DistillationError: TD102, no such file; TD103, a folder without any; TD104, a file of another kind.
    """
    if not path.exists():
        raise DistillationError("TD102", path=path)
    if path.is_dir():
        found = sorted(file for file in path.rglob("*") if file.name.endswith(suffixes) and file.is_file())
        files = [file for file in found if not _is_hidden(file.relative_to(path))]
        if len(files) < len(found):
            example = next(file for file in found if file not in files)
            _warn_once(f"{path}: left out {len(found) - len(files)} hidden files, such as {example.relative_to(path)}")
        if not files:
            raise DistillationError("TD103", path=path, suffixes=", ".join(suffixes))
        return files
    if not path.name.endswith(suffixes):
        raise DistillationError("TD104", path=path, suffixes=", ".join(suffixes))
    return [path]


def _is_hidden(path: Path) -> bool:
    return any(part.startswith(".") or part == NOT_MEANT for part in path.parts)


def _report_rows(path: Path, empty: int, left: int, different: int) -> None:
    said = [f"{empty} are empty and left out"] if empty else []
    if different < left:
        said.append(f"{left - different} are equal to earlier ones and stay")
    if said:
        _warn_once(f"{path}: of {empty + left} texts {', '.join(said)}; {left} are left, {different} of them different")


def _read_file(path: Path, skip_bad_lines: bool, column: str, form: CsvFormat) -> Iterator[str]:
    if path.suffix == ".spacy":
        yield from _read_doc_bin(path)
        return
    if path.suffix in arrow_table.SUFFIXES:
        yield from _leave_out_bad(path, arrow_table.read_column(path, column), skip_bad_lines)
        return
    try:
        with _open(path) as file:
            if path.name.endswith((".jsonl", ".jsonl.gz")):
                yield from _leave_out_bad(path, _read_jsonl(path, file, column), skip_bad_lines)
            elif _is_csv(path):
                yield from _leave_out_bad(path, read_column(path, file, column, form), skip_bad_lines)
            else:
                yield from (line.rstrip("\r\n") for line in file)
    except (UnicodeDecodeError, OSError, EOFError, zlib.error) as error:
        raise DistillationError("TD108", path=path, reason=error) from error


def _is_csv(path: Path) -> bool:
    return path.name.endswith((".csv", ".csv.gz", ".tsv", ".tsv.gz"))


def _open(path: Path) -> IO[str]:
    # A line break within a CSV field belongs to the text.
    newline = "" if _is_csv(path) else None
    # "utf-8-sig" also reads files that begin with a byte order mark, as some editors write them.
    if path.suffix == ".gz":
        return gzip.open(path, "rt", encoding="utf-8-sig", newline=newline)
    return path.open(encoding="utf-8-sig", newline=newline)


def _leave_out_bad(path: Path, rows: Iterator[str | DistillationError], skip_bad_lines: bool) -> Iterator[str]:
    """Raise what is wrong with a row, or leave such rows out and say how many there are."""
    skipped = 0
    for row in rows:
        if isinstance(row, str):
            yield row
        elif skip_bad_lines:
            skipped += 1
        else:
            raise row
    if skipped:
        _warn_once(f"{path}: skipped {skipped} lines without a text")


@cache
def _warn_once(message: str) -> None:
    """Say it once, however often a file is read."""
    logger.warning("%s", message)


def _read_jsonl(path: Path, file: IO[str], column: str) -> Iterator[str | DistillationError]:
    for number, line in enumerate(file, start=1):
        if line.strip():
            yield _read_line(path, number, line, column)


def _read_line(path: Path, number: int, line: str, column: str) -> str | DistillationError:
    try:
        record = json.loads(line)
    except (ValueError, RecursionError) as error:
        return DistillationError("TD105", path=path, line=number, reason=error)
    if not isinstance(record, dict):
        found = f"it is no object but {line.strip()[:60]}"
    elif column not in record:
        found = f"its keys are {', '.join(record) or 'none'}"[:200]
    elif not isinstance(record[column], str):
        found = f"it is {json.dumps(record[column])[:60]}"
    else:
        return replace_surrogates(record[column])
    return DistillationError("TD106", path=path, line=number, found=found, column=column)


def _read_doc_bin(path: Path) -> Iterator[str]:
    # A vocabulary of their own, so that the strings of gold annotations do not end up in the student.
    try:
        yield from (doc.text for doc in DocBin().from_disk(path).get_docs(Vocab()))
    except Exception as error:
        raise DistillationError("TD108", path=path, reason=repr(error)) from error
