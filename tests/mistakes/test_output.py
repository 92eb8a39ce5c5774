"""Output folders that cannot be written to, and what stays in them."""

from collections.abc import Callable
from pathlib import Path

import pytest
import spacy
import srsly

from helpers.commands import assert_refused
from helpers.mistakes import Mistakes, World

mistake = Mistakes()


@mistake("TD302", "output", "--resume")
def nothing_to_resume(world: World) -> None:
    world.args = ["--resume"]


@mistake("TD303", "checkpoint.msgpack", "cannot be read")
def resume_from_a_damaged_checkpoint(world: World) -> None:
    world.output.mkdir()
    (world.output / "checkpoint.msgpack").write_bytes(b"hello")
    world.args = ["--resume"]


@mistake("TD303", "format is 99, expected")
def resume_from_a_checkpoint_of_another_version(world: World) -> None:
    world.output.mkdir()
    srsly.write_msgpack(world.output / "checkpoint.msgpack", {"format_version": 99, "weights": {}})
    world.args = ["--resume"]


@mistake("TD501", "output", "notes.txt", "--force", "--resume")
def output_with_other_things(world: World) -> None:
    world.output.mkdir()
    (world.output / "notes.txt").write_text("mine")


@mistake("TD506", "output")
def output_is_a_file(world: World) -> None:
    world.output.write_text("mine")


@mistake("TD507", "texts.txt")
def output_below_a_file(world: World) -> None:
    world.output = world.texts / "output"


@pytest.mark.parametrize(("spoil", "code", "facts"), mistake)
@pytest.mark.usefixtures("no_teacher_runs")
def test_a_mistake_is_named_before_the_teacher_runs(
    spoil: Callable[[World], None], code: str, facts: tuple[str, ...], world: World
) -> None:
    spoil(world)
    assert_refused(world.run(), code, *facts)


def list_files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.usefixtures("no_teacher_runs")
@pytest.mark.parametrize("args", [[], ["--force", "--paths.distill", "missing.txt"], ["--gpu-id", "99", "--force"]])
def test_a_refused_run_leaves_the_output_folder_as_it_was(args: list[str], world: World) -> None:
    for name in ("model-best", "model-last"):
        (world.output / name).mkdir(parents=True)
        (world.output / name / "meta.json").write_text("{}")
    (world.output / "config.cfg").write_text("[nlp]")
    (world.output / "checkpoint.msgpack").write_bytes(b"state")
    before = list_files(world.output)
    world.args = args
    assert world.run().exit_code == 1
    assert list_files(world.output) == before


def test_force_replaces_an_earlier_run_and_nothing_else(world: World) -> None:
    foreign = ["notes.txt", "model-best.bak/meta.json", "data/model-best/meta.json"]
    ours = ["model-best/meta.json", "model-best/old.txt", "model-last/old.txt", "config.cfg", "checkpoint.msgpack"]
    for name in foreign + ours:
        (world.output / name).parent.mkdir(parents=True, exist_ok=True)
        (world.output / name).write_text(name)
    world.args = ["--force"]
    result = world.run()
    assert result.exit_code == 0, result.output
    after = list_files(world.output)
    for name in foreign:
        assert after[name] == name.encode()
    for name in ours:
        assert after.get(name) != name.encode()
    assert spacy.load(world.output / "model-best").pipe_names == world.config["nlp"]["pipeline"]
