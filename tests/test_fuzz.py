"""The fuzzer's kept inputs, read again: nothing but a numbered error; see fuzz/."""

import sys
from pathlib import Path

import pytest

from helpers.paths import ROOT

FUZZ = ROOT / "fuzz"
sys.path.insert(0, str(FUZZ))

import make_corpus  # noqa: E402

import targets  # noqa: E402
from spacy_tinydistill.errors import DistillationError  # noqa: E402

KEPT = sorted(path for path in (FUZZ / "corpus").rglob("*") if path.is_file())

# Of each target an input that is read, and one that is refused.
READ = {"shard": "good", "manifest": "begun", "header": "good", "texts": "txt-0", "config": "good", "curve": "good"}
REFUSED = {"shard": "other-shape", "manifest": "outside", "header": "outside", "texts": "jsonl-0", "config": "circle"}


@pytest.mark.parametrize("path", KEPT, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_a_kept_input(path: Path) -> None:
    targets.try_out(path.parent.name, path.read_bytes())


def test_there_are_inputs_for_each_target() -> None:
    assert {path.parent.name for path in KEPT} == set(targets.TARGETS) == set(READ)
    assert len(KEPT) > 70


@pytest.mark.parametrize("name", READ)
def test_a_good_input_is_read(name: str) -> None:
    """Else that none crashes would show nothing."""
    data = (FUZZ / "corpus" / name / READ[name]).read_bytes()
    try:
        targets.TARGETS[name](data)
    except DistillationError as error:
        # The only thing that is wrong with it: it is of another teacher.
        assert name == "manifest"
        assert error.code == "TD603"  # noqa: PT017


@pytest.mark.parametrize("name", REFUSED)
def test_a_bad_input_is_refused(name: str) -> None:
    data = (FUZZ / "corpus" / name / REFUSED[name]).read_bytes()
    with pytest.raises(DistillationError):
        targets.TARGETS[name](data)


def test_a_crash_is_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    def crash(data: bytes) -> None:
        raise KeyError(data)

    monkeypatch.setitem(targets.TARGETS, "shard", crash)
    with pytest.raises(KeyError):
        targets.try_out("shard", b"")


def test_the_corpus_is_what_its_script_writes() -> None:
    """As far as the bytes do not depend on the versions of Arrow and spaCy."""
    for name, files in (("config", make_corpus.configs()), ("curve", make_corpus.curves())):
        kept = {path.name: path.read_bytes() for path in (FUZZ / "corpus" / name).iterdir()}
        assert files.items() <= kept.items()
