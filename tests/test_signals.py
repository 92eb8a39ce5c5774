"""A run or a recording that is asked to stop leaves with the signal's exit code, and goes on as if nobody had asked."""

import ctypes
import json
import signal
import subprocess
import sys
import time
from contextlib import nullcontext
from pathlib import Path

import pytest
import spacy
import srsly

from helpers.comparison import assert_same_stores, files_of
from helpers.tiny_teacher import write_texts
from helpers.undisturbed import SETTINGS
from spacy_tinydistill import distill, record_targets
from spacy_tinydistill.pipes.device import fast_matrices
from spacy_tinydistill.signals import terminable
from spacy_tinydistill.targets import store as store_module
from spacy_tinydistill.targets.store import read_manifest

# Runs a command, which at some point says that it is there and waits until a signal has been sent.
PREPARED = """
import signal, sys, time
from pathlib import Path
# What a shell starts in the background, perhaps these tests, has it ignored.
signal.signal(signal.SIGINT, signal.default_int_handler)
from spacy.cli._util import app
from spacy.util import registry
from spacy_tinydistill.targets import store

def wait():
    Path("reached").touch()
    while not Path("sent").exists():
        time.sleep(0.01)

@registry.callbacks("tests.wait.v1")
def wait_before(step: int):
    return lambda nlp, info: wait() if info["step"] == step else None

def add(self, shard, real=store.StoreWriter.add):
    real(self, shard)
    if len(self.manifest.shards) == {shards}:
        wait()

store.SHARD_WORDS = {shard_words}
store.StoreWriter.add = add
registry.cli.get_all()
sys.argv = ["spacy", *{arguments!r}]
app()
"""

SIGNALS = pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), pytest.param(signal.SIGTERM, 143, marks=pytest.mark.slow)]
)


def ask_to_stop(number: int, folder: Path, *arguments: object, shards: int = -1, shard_words: int = 10**6) -> tuple:
    """Run a command and send it a signal when it waits for one.

    Returns:
        Its exit code and its output.
    """
    script = PREPARED.format(shards=shards, shard_words=shard_words, arguments=list(map(str, arguments)))
    command = [sys.executable, "-c", script]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd=folder)
    while process.poll() is None and not (folder / "reached").exists():
        time.sleep(0.01)
    process.send_signal(number)
    (folder / "sent").touch()
    output = process.communicate()[0].decode()
    return process.returncode, output


@SIGNALS
def test_a_run_that_is_asked_to_stop(tiny_teacher_path, tiny_texts_path, undisturbed, tmp_path, number, code):
    """Between two evaluations; resumed, it ends as if nobody had asked."""
    run = tmp_path / "run"
    arguments = ["distill", tiny_teacher_path, tiny_texts_path, "--output", run]
    for key, value in SETTINGS.items():
        arguments += [f"--{key}", json.dumps(value).strip('"')]
    waiting = {"@callbacks": "tests.wait.v1", "step": 7}
    returned, output = ask_to_stop(number, tmp_path, *arguments, "--training.before_update", json.dumps(waiting))
    assert returned == code, output
    assert "Go on with --resume" in output
    # After the update before which it was asked; the evaluations are at 0 and 15.
    assert srsly.msgpack_loads((run / "checkpoint.msgpack").read_bytes())["progress"]["step"] == 7
    distill(tiny_teacher_path, tiny_texts_path, output=run, overrides=SETTINGS, resume=True)
    for name in ("model-last", "model-best"):
        assert files_of(run / name) == files_of(undisturbed / name)


@pytest.mark.slow
@SIGNALS
def test_a_recording_that_is_asked_to_stop(tiny_teacher_path, tmp_path, number, code, monkeypatch):
    """It leaves with the signal's exit code, gives its lock back, and goes on as if nobody had asked."""
    texts, store = write_texts(tmp_path / "texts.txt"), tmp_path / "store"
    arguments = ["distill-targets", tiny_teacher_path, texts, store]
    returned, output = ask_to_stop(number, tmp_path, *arguments, shards=2, shard_words=20)
    assert returned == code, output
    assert "Traceback" not in output
    begun = read_manifest(store)
    assert not begun.complete
    assert len(begun.shards) == 2
    monkeypatch.setattr(store_module, "SHARD_WORDS", 20)
    record_targets(tiny_teacher_path, texts, store=store)
    record_targets(tiny_teacher_path, texts, store=tmp_path / "undisturbed")
    assert len(read_manifest(store).shards) > 4
    assert_same_stores(store, tmp_path / "undisturbed")


def test_a_signal_is_not_lost_where_c_calls_back(monkeypatch):
    """As it may come while the libraries are looked through; what a handler raises there, Python drops."""
    call_back = ctypes.CFUNCTYPE(None)(lambda: signal.raise_signal(signal.SIGTERM))

    def limits(**settings):
        call_back()
        return nullcontext()

    monkeypatch.setattr("spacy_tinydistill.pipes.device.threadpool_limits", limits)
    with pytest.raises(SystemExit) as caught, terminable(), fast_matrices(spacy.blank("en")):
        raise AssertionError("it went on")
    assert caught.value.code == 143
