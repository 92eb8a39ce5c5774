"""`distill` and `record_targets` as Python functions."""

from importlib.metadata import version

import pytest

import spacy_tinydistill
from helpers.students import distil_quickly, make_config
from spacy_tinydistill import api
from spacy_tinydistill.errors import DistillationError
from spacy_tinydistill.student.config import SIZES


def test_nothing_is_overwritten(teacher, texts, tmp_path):
    distil_quickly(teacher, texts[:20], tmp_path, make_config(teacher, ["tagger"]), steps=1)
    with pytest.raises(DistillationError) as caught:
        api.distill(teacher, texts[:20], output=tmp_path)
    assert caught.value.code == "TD501"


def test_a_misspelt_override_gets_the_suggestion_of_the_command(tiny_teacher_path, tiny_texts_path, tmp_path):
    for key in ("max_step", "max_steps"):
        with pytest.raises(DistillationError, match=r'TD010.*Did you mean "distillation.max_steps"') as caught:
            api.distill(tiny_teacher_path, tiny_texts_path, output=tmp_path / "out", overrides={key: 5})
        assert repr(key) in str(caught.value)
    with pytest.raises(DistillationError, match=r'TD002.*Did you mean "max_steps"'):
        api.distill(tiny_teacher_path, tiny_texts_path, output=tmp_path / "out", overrides={"distillation.max_step": 5})


def test_a_size_without_a_config_and_nothing_printed(tiny_teacher_path, tiny_texts_path, tmp_path, capfd):
    steps = {"distillation.max_steps": 1}
    student = api.distill(
        tiny_teacher_path, tiny_texts_path, output=tmp_path / "nano", overrides=steps, size="nano", quiet=True
    )
    printed = capfd.readouterr()
    assert printed.out == printed.err == ""
    assert student.get_pipe("tok2vec").model.get_dim("nO") == SIZES["nano"].width
    with pytest.raises(DistillationError, match="TD019"):
        api.distill(tiny_teacher_path, output=tmp_path / "two", config=tmp_path / "nano" / "config.cfg", size="nano")


def test_a_recording_that_is_stopped_says_what_is_kept(
    tiny_teacher_path, tiny_texts_path, tmp_path, monkeypatch, capsys
):
    def stop(records, plan, writer, on_doc):
        on_doc()
        raise KeyboardInterrupt

    monkeypatch.setattr(api, "record_store", lambda teacher, *args, **kwargs: stop(*args, **kwargs))
    with pytest.raises(KeyboardInterrupt):
        api.distill(tiny_teacher_path, tiny_texts_path, output=tmp_path / "out")
    said = " ".join(capsys.readouterr().out.split())
    assert "the teacher was asked about 1 of 36 texts" in said
    assert "--resume" in said
    assert str(tmp_path / "out" / "targets") in said.replace(" ", "")


def test_the_version():
    assert spacy_tinydistill.__version__ == version("spacy-tinydistill")
