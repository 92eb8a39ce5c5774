"""A run that would go well, for the mistakes to spoil."""

from pathlib import Path

import pytest
import spacy
from spacy.language import Language
from thinc.api import Config

from helpers.mistakes import World
from helpers.tiny_teacher import make_teacher
from spacy_tinydistill import api, prepare
from spacy_tinydistill.pipes.pipeline import load_teacher
from spacy_tinydistill.student.config import student_config


@pytest.fixture(scope="session")
def teachers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the teachers "all", of three pipes, and "tagger", of one."""
    folder = tmp_path_factory.mktemp("teachers")
    make_teacher().to_disk(folder / "all")
    spacy.load(folder / "all", exclude=["ner", "textcat"]).to_disk(folder / "tagger")
    return folder


@pytest.fixture(scope="session")
def good_config(teachers: Path) -> Config:
    return student_config(spacy.load(teachers / "all"), size="nano")


@pytest.fixture
def world(tmp_path: Path, teachers: Path, good_config: Config) -> World:
    return World(tmp_path, teachers, good_config.copy())


@pytest.fixture(scope="session")
def loaded(teachers: Path) -> dict[str, Language]:
    return {str(path): spacy.load(path) for path in teachers.iterdir()}


@pytest.fixture
def no_teacher_runs(monkeypatch: pytest.MonkeyPatch, loaded: dict[str, Language]) -> None:
    """Make it a failure to ask a teacher anything but how it splits a text."""
    # A good teacher is loaded once, to save time.
    monkeypatch.setattr(prepare, "load_teacher", lambda name: loaded.get(name) or load_teacher(name))

    def fail(*args: object, **kwargs: object) -> None:
        raise AssertionError("the teacher was asked")

    monkeypatch.setattr(api, "record_store", fail)
    monkeypatch.setattr(Language, "pipe", fail)
    monkeypatch.setattr(Language, "__call__", fail)
