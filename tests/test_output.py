"""Where a run writes: read-only disks, folders that vanish, two runs at once, a package that was not finished."""

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import spacy
from spacy.cli.package import package
from spacy.util import registry

from helpers.disks import fill, make_read_only
from helpers.tiny_teacher import LANGUAGE, TEXTS, make_teacher, write_texts
from spacy_tinydistill import distill, record_targets
from spacy_tinydistill.errors import DistillationError
from spacy_tinydistill.files import list_files
from spacy_tinydistill.loop import DIR_MODEL_BEST
from spacy_tinydistill.output import DIR_TARGETS, take_output

QUICK = {
    "distillation.max_steps": 4,
    "training.eval_frequency": 2,
    "training.logger": {"@loggers": "spacy.ConsoleLogger.v3", "progress_bar": None, "console_output": False},
}


@pytest.fixture(scope="module")
def teacher(tmp_path_factory):
    path = tmp_path_factory.mktemp("teacher") / "teacher"
    make_teacher().to_disk(path)
    return path


@pytest.fixture(scope="module")
def student(teacher, tmp_path_factory):
    output = tmp_path_factory.mktemp("student") / "output"
    distill(teacher, TEXTS, output=output, overrides=QUICK)
    return output / DIR_MODEL_BEST


def snapshot(folder):
    return {str(file.relative_to(folder)): file.read_bytes() for file in list_files(folder)}


def refused(code, function, *args, **kwargs):
    with pytest.raises(DistillationError) as caught:
        function(*args, **kwargs)
    assert caught.value.code == code
    return str(caught.value)


# Read-only


@pytest.fixture
def no_answers(monkeypatch):
    """Make it a failure to ask the teacher: a disk that cannot be written to is told before."""
    monkeypatch.setattr("spacy_tinydistill.api.record_store", lambda *_, **__: pytest.fail("the teacher was asked"))


@pytest.mark.usefixtures("no_answers")
@pytest.mark.parametrize("name", ["", "new", "new/er"])
def test_a_read_only_disk_is_told_before_the_teacher_is_asked(name, teacher, small_disk):
    make_read_only(small_disk)
    output = small_disk / name
    assert "Read-only file system" in refused("TD507", distill, teacher, TEXTS, output=output, overrides=QUICK)
    assert "Read-only file system" in refused("TD507", record_targets, teacher, TEXTS, store=output)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("command", "code"),
    [
        (["init", "distill-config", "TEACHER", "DISK/student.cfg"], "TD508"),
        (["init", "distill-vectors", "TEACHER", "TEXTS", "DISK/a/vectors"], "TD507"),
        (["benchmark", "distillation", "TEACHER", "TEACHER", "TEXTS", "--output", "DISK/report"], "TD408"),
    ],
)
def test_commands_on_a_read_only_disk_end_in_a_number(command, code, teacher, small_disk, tmp_path):
    texts = write_texts(tmp_path / "texts.txt")
    make_read_only(small_disk)
    places = {"TEACHER": str(teacher), "TEXTS": str(texts)}
    args = [places.get(arg, arg.replace("DISK", str(small_disk))) for arg in command]
    done = subprocess.run([sys.executable, "-m", "spacy", *args], capture_output=True, text=True)
    assert done.returncode == 1, done.stderr
    assert f"[{code}]" in done.stdout
    assert "Traceback" not in done.stderr


# An output folder that vanishes

VICTIMS = {}
AT_STEP_2 = {"training.before_update": {"@callbacks": "tests.harm_output.v1"}}


@registry.callbacks("tests.harm_output.v1")
def harm_output():
    def harm(nlp, info):
        if info["step"] == 2 and VICTIMS:
            folder, do = VICTIMS.pop("folder")
            do(folder)

    return harm


def test_an_output_folder_that_is_removed_meanwhile(teacher, tmp_path):
    output = tmp_path / "output"
    VICTIMS["folder"] = (output, shutil.rmtree)
    # What is told first: that it cannot be written to, or that the recorded targets are gone.
    with pytest.raises(DistillationError, match=r"TD509|TD601") as caught:
        distill(teacher, TEXTS, output=output, overrides=QUICK | AT_STEP_2)
    assert str(output) in str(caught.value)
    # Nothing half-written is made anew in its place.
    assert not output.exists()
    distill(teacher, TEXTS, output=output, overrides=QUICK)


def test_a_store_that_is_removed_meanwhile(teacher, tmp_path, monkeypatch):
    import spacy_tinydistill.targets.store as module

    write = module.StoreWriter.write

    def remove_and_write(self, *args):
        shutil.rmtree(tmp_path / "store")
        write(self, *args)

    monkeypatch.setattr(module.StoreWriter, "write", remove_and_write)
    refused("TD509", record_targets, teacher, TEXTS, store=tmp_path / "store")
    monkeypatch.undo()
    record_targets(teacher, TEXTS, store=tmp_path / "store")


# Two runs at once


@pytest.mark.parametrize("how", [{}, {"force": True}, {"resume": True}])
def test_a_second_run_into_the_same_output_is_refused(how, teacher, student):
    output = student.parent
    before = snapshot(output)
    with take_output(output, resume=False, force=True):
        code = "TD515" if how else "TD501"
        refused(code, distill, teacher, TEXTS, output=output, overrides=QUICK, **how)
    assert snapshot(output) == before
    with take_output(output, resume=True, force=False):
        pass


@pytest.mark.slow
def test_of_two_runs_that_start_at_once_one_is_refused(teacher, tmp_path):
    """In processes of their own, into a folder that neither has made."""
    texts = write_texts(tmp_path / "texts.txt")
    steps = ["--distillation.max_steps", "4", "--training.eval_frequency", "2"]
    command = [sys.executable, "-m", "spacy", "distill", teacher, texts, "--output", tmp_path / "output", *steps]
    runs = [
        subprocess.Popen([*map(str, command)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        for _ in range(2)
    ]
    said = [run.communicate()[0] for run in runs]
    assert sorted(run.returncode for run in runs) == [0, 1], said
    (refusal,) = [text for run, text in zip(runs, said, strict=True) if run.returncode]
    assert "[TD515]" in refusal or "[TD501]" in refusal
    spacy.load(tmp_path / "output" / DIR_MODEL_BEST)


def test_a_run_that_was_killed_does_not_keep_others_out(teacher, tmp_path):
    code = f"""
import os
from pathlib import Path
from spacy_tinydistill.output import take_output
with take_output(Path({str(tmp_path / "output")!r}), resume=False, force=False):
    os.kill(os.getpid(), 9)
"""
    assert subprocess.run([sys.executable, "-c", code]).returncode == -9
    distill(teacher, TEXTS, output=tmp_path / "output", overrides=QUICK)


# A package that was not finished


@pytest.mark.slow
def test_an_interrupted_package_step_is_done_again(student, tmp_path):
    """spaCy copies the student file by file, and then builds a wheel of the folder."""
    name = f"{LANGUAGE}_interrupted"

    def build(force):
        package(student, tmp_path, name="interrupted", create_wheel=True, create_sdist=False, force=force)
        (wheel,) = (tmp_path / f"{name}-0.0.0" / "dist").glob("*.whl")
        return {item.filename: item.CRC for item in zipfile.ZipFile(wheel).infolist()}

    whole = build(force=False)
    data = tmp_path / f"{name}-0.0.0" / name / f"{name}-0.0.0"
    shutil.rmtree(tmp_path / f"{name}-0.0.0" / "dist")
    # Stopped while it copied: what comes last in the order of names is missing.
    files = [file for file in sorted(data.rglob("*")) if file.is_file()]
    for file in files[len(files) // 2 :]:
        file.unlink()
    with pytest.raises((OSError, ValueError)):
        spacy.load(data)
    assert build(force=True) == whole


def test_a_full_disk_while_the_report_is_written(teacher, small_disk):
    output = small_disk / "output"
    distill(teacher, TEXTS, output=output, overrides=QUICK)
    before = snapshot(output / DIR_MODEL_BEST)
    targets = output / DIR_TARGETS
    fill(small_disk, leave=0)
    run = {"config": output / "config.cfg", "targets": targets, "overrides": QUICK}
    refused("TD509", distill, teacher, output=output, force=True, **run)
    assert snapshot(output / DIR_MODEL_BEST) == before
    assert Path(targets).exists()
