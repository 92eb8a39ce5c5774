"""Writing a student for web pages and Node."""

import json
from pathlib import Path
from typing import Any

import spacy
from spacy.language import Language

from ..errors import DistillationError
from ..files import remove, told_if_not_written, write_whole
from ..pipes.pipeline import pipes_of
from ..rounding import PRECISIONS, Precision
from .characters import Alphabet
from .encoder import Encoders
from .format import ArrayWriter
from .page import make_page
from .pipes import Student, describe_pipe
from .rules import write_patterns
from .selftest import answer, choose_examples, make_texts
from .tokenizer import describe_tokenizer, describe_vocab
from .weights import Weights

DATA_NAME = "student.tdw"
STUDENT_NAME = "student"
SELF_TEST_NAME = "selftest.json"
PAGE_NAME = "index.html"


def export_web(
    student: str | Path, output: str | Path, *, precision: Precision = "float16", force: bool = False
) -> Path:
    """Write a student for web pages and Node.

    Args:
        student: The student's folder or package.
        output: The folder to write to. It gets `student.tdw`, the data file that the JavaScript package loads;
            `student/`, the spaCy pipeline whose weights are rounded in the same way, so that `spacy.load` of it says
            exactly the same; `selftest.json`, texts and what that pipeline says of them; `index.html`, a page to try
            the student on, which needs nothing else of the folder.
        precision: In which the weights are stored: "float32", "float16", or "int8", with a scale for each row.
        force: Replace an export that is there.

    Returns:
        The data file's path.

    Raises:
        DistillationError: TD502, the folder exists; TD701, the student cannot be loaded; TD702 to TD712, something of
            it has no counterpart in JavaScript. Nothing is written then.
    """
    output = Path(output)
    if precision not in PRECISIONS:
        raise DistillationError("TD711", precision=precision, known=", ".join(PRECISIONS))
    if output.exists() and not force:
        raise DistillationError("TD502", path=output)
    nlp = _load(student)
    data = describe_student(nlp, precision)
    with told_if_not_written(output):
        output.mkdir(parents=True, exist_ok=True)
        remove(output / STUDENT_NAME)
        # Before it is asked: an entity recognizer takes up labels that it meets.
        nlp.to_disk(output / STUDENT_NAME)
        answers = answer(nlp, make_texts(nlp))
        page = make_page(data, answers, nlp.meta, choose_examples(nlp.meta["lang"]))
        write_whole(output / SELF_TEST_NAME, json.dumps(answers, ensure_ascii=False).encode())
        write_whole(output / PAGE_NAME, page.encode())
        write_whole(output / DATA_NAME, data)
    return output / DATA_NAME


def describe_student(nlp: Language, precision: Precision) -> bytes:
    """Make the data file of a student.

    Args:
        nlp: The student. Its weights become the rounded ones.
        precision: In which they are stored.

    Raises:
        DistillationError: TD702 to TD712, as for `export_web`.
    """
    arrays = ArrayWriter()
    alphabet = Alphabet()
    # An entity recognizer asks for this one whatever the student.
    attributes = {"IS_SPACE"}
    write_tokenizer = describe_tokenizer(nlp, alphabet)
    weights = Weights(nlp, precision, arrays)
    encoders = Encoders(nlp, weights, attributes)
    student = Student(nlp, weights, encoders, alphabet, attributes)
    pipes = [describe_pipe(student, name, pipe) for name, pipe in pipes_of(nlp)]
    vocab = describe_vocab(nlp, attributes)
    classes = alphabet.close()
    header: dict[str, Any] = {
        "meta": {key: nlp.meta.get(key, "") for key in ("lang", "name", "version", "description", "license")},
        "precision": precision,
        "characters": classes.describe(),
        "vocab": vocab,
        "tokenizer": write_tokenizer(classes),
        "encoders": encoders.described,
        "pipes": [write_patterns(pipe, classes) for pipe in pipes if pipe],
    }
    return arrays.to_bytes(header)


def _load(student: str | Path) -> Language:
    try:
        return spacy.load(student)
    except Exception as error:
        # Whatever it is, it is of the student.
        raise DistillationError("TD701", student=student, reason=error) from error
