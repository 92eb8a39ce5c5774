"""The fuzzer's kept inputs, read again: nothing but a numbered error; see fuzz/."""

import sys
from pathlib import Path

import pytest

from helpers.paths import ROOT

sys.path.insert(0, str(ROOT / "fuzz"))

import make_corpus
from archive import ARCHIVE, read_inputs, write_inputs

import targets
from spacy_tinydistill.errors import DistillationError
from spacy_tinydistill.targets import store

INPUTS = read_inputs()

# Of each target an input that is read, and one that is refused.
READ = {"shard": "good", "manifest": "begun", "header": "good", "texts": "txt-0", "config": "good", "curve": "good"}
REFUSED = {"shard": "other-shape", "manifest": "outside", "header": "outside", "texts": "jsonl-0", "config": "circle"}


@pytest.mark.parametrize(("target", "name"), [(target, name) for target, files in INPUTS.items() for name in files])
def test_a_kept_input(target: str, name: str) -> None:
    targets.try_out(target, INPUTS[target][name])


def test_there_are_inputs_for_each_target() -> None:
    assert set(INPUTS) == set(targets.TARGETS) == set(READ)
    # Those that the fuzzer found are named by their hash; each target has some of both kinds.
    for files in INPUTS.values():
        assert 0 < sum(len(name) == 40 for name in files) < len(files)


@pytest.mark.parametrize("target", READ)
def test_a_good_input_is_read(target: str) -> None:
    """Else that none crashes would show nothing."""
    try:
        targets.TARGETS[target](INPUTS[target][READ[target]])
    except DistillationError as error:
        # The only thing that is wrong with it: it is of another teacher.
        assert target == "manifest"
        assert error.code == "TD603"  # noqa: PT017


@pytest.mark.parametrize("target", REFUSED)
def test_a_bad_input_is_refused(target: str) -> None:
    with pytest.raises(DistillationError):
        targets.TARGETS[target](INPUTS[target][REFUSED[target]])


@pytest.mark.parametrize("name", ["empty-word", "unknown-role", "norm-of-no-token", "other-shape"])
def test_a_shard_whose_rows_are_not_checked_is_a_finding(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the fuzzer once found, it would find again."""
    monkeypatch.setattr(store._ShardReader, "_check_rows", lambda self: None)
    with pytest.raises((ValueError, IndexError)) as caught:
        targets.try_out("shard", INPUTS["shard"][name])
    assert not isinstance(caught.value, DistillationError)


@pytest.mark.parametrize("name", ["outside", "absolute"])
def test_a_file_that_is_written_elsewhere_is_a_finding(
    name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def write_files(files: dict[str, bytes], folder: Path) -> None:
        # Within what the target watches, wherever the name leads.
        (targets.ROOT / Path(*files).name).write_bytes(b"")

    monkeypatch.setattr(targets, "write_files", write_files)
    with pytest.raises(AssertionError):
        targets.try_out("header", INPUTS["header"][name])
    (targets.ROOT / "outside").unlink()


def test_the_archive_has_the_same_bytes_when_it_is_written_again(tmp_path: Path) -> None:
    write_inputs(dict(reversed(INPUTS.items())), tmp_path / "corpus.zip")
    assert (tmp_path / "corpus.zip").read_bytes() == ARCHIVE.read_bytes()


def test_the_seeds_are_what_their_script_writes() -> None:
    """As far as the bytes do not depend on the versions of Arrow and spaCy."""
    for target, files in (("config", make_corpus.configs()), ("curve", make_corpus.curves())):
        assert files.items() <= INPUTS[target].items()
