"""Text annotated by a teacher, as a corpus for plain `spacy train`."""

from collections.abc import Iterable, Iterator

from spacy.language import Language
from spacy.tokens import Doc
from spacy.training import Example

from ..components.annotations import harden_all
from ..corpus import Reader, copy_tokens, text_corpus
from .recorder import load_teacher


def teacher_corpus(
    teacher: str, path: str | None, skip_bad_lines: bool = False, max_length: int = 500, limit: int = 0
) -> Reader:
    """Make the reader `spacy-tinydistill.TeacherCorpus.v1`: hard labels for any spaCy pipeline, no other change.

    The teacher is asked once; what it said is kept in memory, as spaCy reads a corpus several times.

    Args:
        teacher: An installed package or a folder.
        path: See `corpus.text_corpus`.
        skip_bad_lines: Likewise.
        max_length: Likewise.
        limit: Likewise.
    """
    read_text = text_corpus(path, skip_bad_lines, max_length, limit)
    annotated: list[bytes] = []

    def read(nlp: Language) -> Iterator[Example]:
        if not annotated:
            annotated.extend(annotate(load_teacher(teacher), [example.predicted for example in read_text(nlp)]))
        for data in annotated:
            reference = Doc(nlp.vocab).from_bytes(data)
            yield Example(copy_tokens(nlp, reference), reference)

    return read


def annotate(teacher: Language, docs: Iterable[Doc]) -> Iterator[bytes]:
    """Let a teacher annotate Docs of the same tokens, its text categories as decisions.

    Args:
        teacher: The teacher.
        docs: Docs of any vocabulary; they are copied, not changed.

    Yields:
        Each annotated Doc as `Doc.to_bytes` writes it, without tensors and user data.
    """
    for doc in teacher.pipe(copy_tokens(teacher, doc) for doc in docs):
        harden_all(teacher, doc)
        yield doc.to_bytes(exclude=["tensor", "user_data"])
