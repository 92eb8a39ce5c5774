"""Checkpoints: a run that was killed, or ran out of disk, goes on as if nothing had happened."""

import pytest
import spacy
import srsly

from helpers.comparison import files_of
from helpers.interruption import FILLED, Killed, Runs
from helpers.students import distil_quickly, make_config
from spacy_tinydistill import distill
from spacy_tinydistill.errors import DistillationError
from spacy_tinydistill.evaluation_log import read_curve
from spacy_tinydistill.loop import DIR_MODEL_BEST, DIR_MODEL_LAST


@pytest.mark.slow
@pytest.mark.parametrize("max_epochs", [0, -1], ids=["shuffled", "streamed"])
def test_a_killed_run_goes_on_as_if_nothing_had_happened(teacher, texts, dev_path, tmp_path, max_epochs):
    runs = Runs(teacher, texts, dev_path, tmp_path, max_epochs)
    undisturbed = runs.run("undisturbed")
    with pytest.raises(Killed):
        runs.run("killed", kill_at=11)
    # The weights moved after the checkpoint, and what was saved is not yet what it will be.
    assert files_of(tmp_path / "killed" / DIR_MODEL_LAST) != undisturbed[0]
    assert runs.run("killed", resume=True) == undisturbed
    # A run that is done stays as it is.
    assert runs.run("killed", resume=True) == undisturbed
    curves = [read_curve(tmp_path / name / "scores.jsonl") for name in ("killed", "undisturbed")]
    assert [point["step"] for point in curves[0]] == [0, 4, 8, 12, 13]
    assert [{**point, "seconds": 0} for point in curves[0]] == [{**point, "seconds": 0} for point in curves[1]]
    assert len((tmp_path / "killed" / "scores.jsonl").read_text().splitlines()) == len(curves[0])


@pytest.fixture(scope="module")
def run(teacher, texts, dev_path):
    def run(output, *, fill_at=-1, resume=False):
        settings = {"paths.dev": str(dev_path), "training.eval_frequency": 4, "distillation.batcher.size": 100}
        settings["training.before_update"] = {"@callbacks": "tests.fill_disk.v1", "at": fill_at}
        config = make_config(teacher, ["tagger"])
        distil_quickly(teacher, texts[:20], output, config, steps=8, resume=resume, **settings)

    return run


@pytest.fixture(scope="module")
def with_room_enough(run, tmp_path_factory):
    output = tmp_path_factory.mktemp("disk") / "run"
    run(output)
    return output


@pytest.mark.slow
@pytest.mark.parametrize("room", ["nothing", "a student", "two students"])
def test_a_full_disk(run, with_room_enough, small_disk, room):
    """The last good checkpoint stays, and from it the run goes on."""
    student = sum(map(len, files_of(with_room_enough / DIR_MODEL_LAST).values()))
    checkpoint = (with_room_enough / "checkpoint.msgpack").stat().st_size
    leave = {"nothing": 0, "a student": int(1.2 * student), "two students": int(2.5 * student)}[room]
    # Else there would be room for all.
    assert leave < checkpoint
    FILLED.clear()
    FILLED[str(small_disk)] = leave
    with pytest.raises(DistillationError) as caught:
        run(small_disk / "run", fill_at=6)
    assert caught.value.code == "TD509"
    assert "No space left on device" in str(caught.value)
    assert "--resume" in str(caught.value)
    assert not list((small_disk / "run").glob("*.new"))
    state = srsly.msgpack_loads((small_disk / "run" / "checkpoint.msgpack").read_bytes())
    assert state["progress"]["step"] == 4
    spacy.load(small_disk / "run" / DIR_MODEL_LAST)
    spacy.load(small_disk / "run" / DIR_MODEL_BEST)
    (small_disk / "filler").unlink()
    run(small_disk / "run", resume=True)
    for name in (DIR_MODEL_LAST, DIR_MODEL_BEST):
        assert files_of(small_disk / "run" / name) == files_of(with_room_enough / name)


def test_nothing_to_resume(teacher, texts, tmp_path):
    with pytest.raises(DistillationError) as caught:
        distil_quickly(teacher, texts[:20], tmp_path, make_config(teacher, ["tagger"]), steps=1, resume=True)
    assert caught.value.code == "TD302"


def test_resuming_another_student(teacher, texts, tmp_path):
    distil_quickly(teacher, texts[:20], tmp_path, make_config(teacher, ["tagger"]), steps=1)
    with pytest.raises(DistillationError) as caught:
        distil_quickly(teacher, texts[:20], tmp_path, make_config(teacher, ["senter"]), steps=1, resume=True)
    assert caught.value.code == "TD303"


def test_resume_keeps_what_it_goes_on_from_also_with_force(teacher, texts, tmp_path):
    config = make_config(teacher, ["textcat"])
    distil_quickly(teacher, texts[:20], tmp_path, config, steps=2)
    more = {"distillation.max_steps": 3, "training.eval_frequency": 10_000}
    distill(teacher, texts[:20], output=tmp_path, config=config, overrides=more, resume=True, force=True)
    assert srsly.msgpack_loads((tmp_path / "checkpoint.msgpack").read_bytes())["progress"]["step"] == 3
