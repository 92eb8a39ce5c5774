"""Sub-word pieces: trained on texts, or taken over from a teacher."""

import subprocess
import sys
import textwrap

import pytest
import spacy

from helpers.tiny_teacher import TEXTS
from spacy_tinydistill.errors import DistillationError
from spacy_tinydistill.tiny_transformer.pieces import (
    CONTINUED,
    UNKNOWN,
    Pieces,
    copy_pieces,
    teacher_pieces_callback,
    train_pieces,
)

PIECES = train_pieces(lambda: TEXTS, 100)


def test_pieces_are_those_of_the_teacher(spacy_transformers_teacher, tmp_path):
    tokenizer = spacy_transformers_teacher.get_pipe("transformer").model.tokenizer
    pieces = copy_pieces(spacy_transformers_teacher)
    for word in ("Anna", "drum!", "tuned"):
        assert pieces.cut([word]) == [tokenizer(word, add_special_tokens=False)["input_ids"]]
    spacy_transformers_teacher.to_disk(tmp_path)
    fill = teacher_pieces_callback(str(tmp_path))

    def student_with(vocab_size):
        student = spacy.blank("en")
        architecture = {"@architectures": "spacy-tinydistill.TinyTransformer.v1", "vocab_size": vocab_size}
        student.add_pipe("tok2vec", config={"model": architecture})
        return student

    student = student_with(len(pieces))
    fill(student)
    attrs = student.get_pipe("tok2vec").model.attrs
    assert attrs["pieces"].json == pieces.json
    # What has pieces, as from an earlier student, keeps them.
    attrs["pieces"] = Pieces("{}")
    fill(student)
    assert attrs["pieces"].json == "{}"
    with pytest.raises(DistillationError) as caught:
        fill(student_with(len(pieces) - 1))
    assert caught.value.code == "TD218"


def test_pieces_that_nobody_can_take_over(curated_teacher):
    with pytest.raises(DistillationError) as caught:
        copy_pieces(curated_teacher)
    assert caught.value.code == "TD215"


def test_pieces():
    vocabulary = PIECES.tokenizer.get_vocab()
    assert len(PIECES) == len(vocabulary) <= 100
    assert sorted(vocabulary.values()) == list(range(len(PIECES)))
    known, letters, unknown = PIECES.cut(["sings", "Anna", "🎷"])
    assert len(known) < 5
    assert len(letters) > 1
    assert "".join(PIECES.tokenizer.id_to_token(i).removeprefix(CONTINUED) for i in letters) == "Anna"
    assert unknown == [PIECES.id_of(UNKNOWN)]
    assert PIECES.cut([" ", "\n\n", ""]) == [unknown] * 3


def test_pieces_are_the_same_in_another_process():
    code = """
        import sys
        from spacy_tinydistill.tiny_transformer.pieces import train_pieces
        print(train_pieces(lambda: sys.argv[1:], 100).json)
    """
    command = [sys.executable, "-c", textwrap.dedent(code), *TEXTS]
    assert subprocess.run(command, check=True, capture_output=True, text=True).stdout.rstrip("\n") == PIECES.json
