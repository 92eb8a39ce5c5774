"""Text annotated by a teacher, as a corpus for plain `spacy train`."""

from collections.abc import Iterator

from spacy.language import Language
from spacy.tokens import Doc
from spacy.training import Example

from ..corpus import Reader, copy_doc, text_corpus
from ..pipes.pipeline import load_teacher


def teacher_corpus(
    teacher: str,
    path: str | None,
    skip_bad_lines: bool = False,
    max_length: int = 500,
    limit: int = 0,
    column: str = "text",
    delimiter: str | None = None,
    quotechar: str = '"',
    quoting: str | int = "QUOTE_MINIMAL",
    escapechar: str | None = None,
    doublequote: bool = True,
) -> Reader:
    """Make the reader `spacy-tinydistill.TeacherCorpus.v1`: text that a teacher annotates, for plain `spacy train`.

    The teacher runs once. Its annotations are kept in memory, because spaCy reads a corpus several times.

    Args:
        teacher: An installed package or a folder.
        path: Texts, in a file or folder that `spacy-tinydistill.TextCorpus.v1` can read.
        skip_bad_lines: Leave out lines of JSONL or CSV without a text.
        max_length: Maximum number of tokens. Longer texts are split. 0 for no limit.
        limit: Maximum number of texts. 0 for no limit.
        column: The column of the text, in JSONL and CSV.
        delimiter: How the CSV is written, as for `corpus.text_corpus`. So are the others.
        quotechar: Likewise.
        quoting: Likewise.
        escapechar: Likewise.
        doublequote: Likewise.
    """
    # spaCy imports this module wherever it lists its readers, and a student's user has no more than a student needs.
    from .recorder import annotate

    read_text = text_corpus(
        path,
        skip_bad_lines,
        max_length,
        limit,
        column,
        delimiter=delimiter,
        quotechar=quotechar,
        quoting=quoting,
        escapechar=escapechar,
        doublequote=doublequote,
    )
    docs: list[Doc] = []
    annotated: list[bytes | None] = []

    def read(nlp: Language) -> Iterator[Example]:
        if not annotated:
            docs.extend(example.predicted for example in read_text(nlp))
            nlp_teacher = load_teacher(teacher)
            copies = (copy_doc(nlp_teacher, doc) for doc in docs)
            annotated.extend(annotate(nlp_teacher, copies, hard=True))
        for doc, data in zip(docs, annotated, strict=True):
            if data is not None:
                yield Example(copy_doc(nlp, doc), Doc(nlp.vocab).from_bytes(data))

    return read
