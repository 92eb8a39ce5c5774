"""Every pipe of the teacher is accounted for: mirrored, carried over, or left out, by name or with a warning."""

from pathlib import Path

import numpy
import pytest
import spacy
from spacy.language import Language

import helpers.own_pipe  # noqa: F401  # registers "own_pipe"
import spacy_tinydistill
from helpers.tiny_teacher import TEXTS, make_teacher
from spacy_tinydistill.errors import DistillationError
from spacy_tinydistill.pipes.profile import profile_teacher
from spacy_tinydistill.student.account import account_for_pipes, left_out_unnamed, note_vectors, print_fates
from spacy_tinydistill.student.config import student_config


@pytest.fixture(scope="module")
def teacher() -> Language:
    nlp = make_teacher("tagger", updates=0)
    nlp.add_pipe("sentencizer")
    nlp.add_pipe("own_pipe")
    return nlp


def test_each_pipe_has_its_line(teacher: Language, capsys: pytest.CaptureFixture) -> None:
    fates = account_for_pipes(profile_teacher(teacher), student_config(teacher, size="nano"))
    found = {fate.pipe: fate.text for fate in fates}
    assert list(found) == teacher.pipe_names
    assert found["tagger"] == "mirrored by tagger"
    assert found["sentencizer"] == "carried over"
    assert left_out_unnamed(fates) == {"own_pipe": "because no teaching rule mirrors the class OwnPipe"}
    print_fates(fates)
    said = " ".join(capsys.readouterr().out.split())
    assert "*left out, because no teaching rule mirrors the class OwnPipe*" in said
    assert "Left out: own_pipe" in said


@pytest.mark.parametrize("choice", [{"leave_out": ["own_pipe"]}, {"pipeline": ["tagger", "sentencizer"]}])
def test_what_is_named_is_not_warned_of(teacher: Language, choice: dict, capsys: pytest.CaptureFixture) -> None:
    config = student_config(teacher, size="nano", **choice)
    assert config["distillation"]["leave_out"] == ["own_pipe"]
    fates = account_for_pipes(profile_teacher(teacher), config)
    assert left_out_unnamed(fates) == {}
    print_fates(fates)
    assert "Left out:" not in capsys.readouterr().out


def test_who_writes_a_config_by_hand_names_the_pipes(teacher: Language) -> None:
    config = student_config(teacher, size="nano")
    del config["distillation"]["leave_out"]
    assert left_out_unnamed(account_for_pipes(profile_teacher(teacher), config)) == {}


def test_strict(teacher: Language, tmp_path: Path) -> None:
    with pytest.raises(DistillationError, match=r"TD511.*own_pipe: because no teaching rule"):
        spacy_tinydistill.distill(teacher, TEXTS, output=tmp_path / "out", strict=True)
    with pytest.raises(DistillationError, match="TD504"):
        spacy_tinydistill.distill(teacher, TEXTS, output=tmp_path / "out", leave_out=["nobody"])


def test_a_run_warns_at_its_start_and_its_end_and_on_the_card(
    teacher: Language, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    steps = {"distillation.max_steps": 2, "training.eval_frequency": 2}
    spacy_tinydistill.distill(teacher, TEXTS, output=tmp_path / "out", overrides=steps)
    start, _, end = capsys.readouterr().out.partition("Saved the best student")
    assert "Left out: own_pipe" in start
    assert "Left out: own_pipe" in end
    assert "Left out: own" in spacy.load(tmp_path / "out" / "model-best").meta["notes"]


@pytest.mark.parametrize(
    ("has_vectors", "vectors", "is_said"), [(True, None, True), (True, "v", False), (False, None, False)]
)
def test_word_vectors_that_the_student_has_not(
    has_vectors: bool, vectors: str | None, is_said: bool, capsys: pytest.CaptureFixture
) -> None:
    """As of `fr_core_news_md`: its pipes need not read them, but `similarity` does."""
    nlp = make_teacher("tagger", updates=0)
    if has_vectors:
        nlp.vocab.set_vector("Rome", numpy.ones(4, dtype="f"))
    config = student_config(nlp)
    config["paths"]["vectors"] = vectors
    note_vectors(profile_teacher(nlp), config)
    assert ("word vectors are not in the student" in " ".join(capsys.readouterr().out.split())) is is_said
