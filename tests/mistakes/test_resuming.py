"""Runs that cannot be resumed, and what people are told."""

import shutil
from pathlib import Path

import pytest
import spacy
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from spacy.language import Language
from thinc.api import Config

from helpers.commands import assert_refused
from helpers.mistakes import World
from spacy_tinydistill.checkpoint import FORMAT_VERSION, read_checkpoint
from spacy_tinydistill.errors import DistillationError


@pytest.fixture(scope="module")
def finished(teachers: Path, good_config: Config, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The output of a run of two steps."""
    world = World(tmp_path_factory.mktemp("finished"), teachers, good_config.copy())
    assert world.run().exit_code == 0
    return world.output


@pytest.fixture(scope="module")
def student(finished: Path) -> Language:
    return spacy.load(finished / "model-last")


@pytest.mark.usefixtures("no_teacher_runs")
@pytest.mark.parametrize("width", [24, 96])
def test_resuming_another_student(width: int, world: World, finished: Path) -> None:
    shutil.copytree(finished, world.output)
    world.config["components"]["ner"]["model"]["hidden_width"] = width
    world.args = ["--resume"]
    assert_refused(world.run(), "TD303", "other names or shapes", "--force")


@pytest.mark.usefixtures("no_teacher_runs")
def test_resuming_with_fewer_pipes(world: World, finished: Path) -> None:
    shutil.copytree(finished, world.output)
    world.config["nlp"]["pipeline"] = ["tok2vec", "tagger"]
    for name in ("ner", "textcat"):
        del world.config["components"][name]
    world.args = ["--resume"]
    assert_refused(world.run(), "TD303", "other names or shapes")


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], derandomize=True)
@given(data=st.data())
def test_any_damage_to_a_checkpoint_is_told(
    data: st.DataObject, finished: Path, student: Language, tmp_path: Path
) -> None:
    """Cut off, or with bytes changed near its beginning, where the structure is."""
    content = bytearray((finished / "checkpoint.msgpack").read_bytes())
    if data.draw(st.booleans()):
        del content[data.draw(st.integers(0, len(content) - 1)) :]
    else:
        start = data.draw(st.integers(0, 300))
        content[start : start + 8] = data.draw(st.binary(min_size=1, max_size=8))
    (tmp_path / "checkpoint.msgpack").write_bytes(content)
    try:
        state = read_checkpoint(tmp_path / "checkpoint.msgpack", student, {})
    except DistillationError as error:
        assert error.code == "TD303"  # noqa: PT017
    else:
        # Other weights of the same shapes cannot be told from the right ones.
        assert state["format_version"] == FORMAT_VERSION
