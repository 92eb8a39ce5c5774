"""Every pipe of the teacher is accounted for: mirrored, carried over, or left out, by name or with a warning."""

from collections.abc import Sequence
from pathlib import Path

import pytest
import spacy
from spacy.language import Language
from spacy.pipeline import TrainablePipe
from spacy.tokens import Doc
from thinc.api import Model

import spacy_tinydistill
from helpers.tiny_teacher import TEXTS, make_teacher
from spacy_tinydistill.errors import DistillationError
from spacy_tinydistill.pipes.profile import profile_teacher
from spacy_tinydistill.student.account import account_for_pipes, left_out_unnamed, print_fates
from spacy_tinydistill.student.config import student_config


class Whisper(TrainablePipe):
    """A trainable pipe of somebody's own, for which there is no teaching rule."""

    def __init__(self, nlp: Language, name: str) -> None:
        self.vocab, self.name, self.cfg = nlp.vocab, name, {}
        self.model = Model("whisper", lambda _, docs, is_train: ([], lambda _: []))

    def predict(self, docs: Sequence[Doc]) -> list[int]:
        return [len(doc) for doc in docs]

    def set_annotations(self, docs: Sequence[Doc], scores: list[int]) -> None:
        for doc, score in zip(docs, scores, strict=True):
            doc.user_data["whisper"] = score


Language.factory("test_account_whisper", func=Whisper)


@pytest.fixture(scope="module")
def teacher() -> Language:
    nlp = make_teacher("tagger", updates=0)
    nlp.add_pipe("sentencizer")
    nlp.add_pipe("test_account_whisper")
    return nlp


def test_each_pipe_has_its_line(teacher: Language, capsys: pytest.CaptureFixture) -> None:
    fates = account_for_pipes(profile_teacher(teacher), student_config(teacher, size="nano"))
    found = {fate.pipe: fate.text for fate in fates}
    assert list(found) == teacher.pipe_names
    assert found["tagger"] == "mirrored by tagger"
    assert found["sentencizer"] == "carried over"
    assert left_out_unnamed(fates) == {"test_account_whisper": "because no teaching rule mirrors a Whisper"}
    print_fates(fates)
    said = " ".join(capsys.readouterr().out.split())
    assert "*left out, because no teaching rule mirrors a Whisper*" in said
    assert "Left out: test_account_whisper" in said


@pytest.mark.parametrize("choice", [{"leave_out": ["test_account_whisper"]}, {"pipeline": ["tagger", "sentencizer"]}])
def test_what_is_named_is_not_warned_of(teacher: Language, choice: dict, capsys: pytest.CaptureFixture) -> None:
    config = student_config(teacher, size="nano", **choice)
    assert config["distillation"]["leave_out"] == ["test_account_whisper"]
    fates = account_for_pipes(profile_teacher(teacher), config)
    assert left_out_unnamed(fates) == {}
    print_fates(fates)
    assert "Left out:" not in capsys.readouterr().out


def test_who_writes_a_config_by_hand_names_the_pipes(teacher: Language) -> None:
    config = student_config(teacher, size="nano")
    del config["distillation"]["leave_out"]
    assert left_out_unnamed(account_for_pipes(profile_teacher(teacher), config)) == {}


def test_strict(teacher: Language, tmp_path: Path) -> None:
    with pytest.raises(DistillationError, match=r"TD511.*test_account_whisper: because no teaching rule"):
        spacy_tinydistill.distill(teacher, TEXTS, output=tmp_path / "out", strict=True)
    with pytest.raises(DistillationError, match="TD504"):
        spacy_tinydistill.distill(teacher, TEXTS, output=tmp_path / "out", leave_out=["nobody"])


def test_a_run_warns_at_its_start_and_its_end_and_on_the_card(
    teacher: Language, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    steps = {"distillation.max_steps": 2, "training.eval_frequency": 2}
    spacy_tinydistill.distill(teacher, TEXTS, output=tmp_path / "out", overrides=steps)
    start, _, end = capsys.readouterr().out.partition("Saved the best student")
    assert "Left out: test_account_whisper" in start
    assert "Left out: test_account_whisper" in end
    assert "Left out: test" in spacy.load(tmp_path / "out" / "model-best").meta["notes"]
