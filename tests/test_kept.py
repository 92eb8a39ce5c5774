"""What earlier versions wrote is still read: of each release a student, its config and its targets are kept.

`PYTHONPATH=tests python tests/test_kept.py` writes those of the version that is there, before it is released.
"""

import shutil
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import spacy
import srsly
from spacy.language import Language
from thinc.api import Config

from helpers.students import distil_quickly
from helpers.tiny_teacher import TEXTS, make_teacher, write_texts
from spacy_tinydistill.loop import DIR_MODEL_LAST
from spacy_tinydistill.student.config import student_config
from spacy_tinydistill.targets.store import LOCK, Store

pytest.importorskip("torch", reason="needs the extra [tiny-transformer]")
pytest.importorskip("tokenizers", reason="needs the extra [tiny-transformer]")

KEPT = Path(__file__).parent / "kept"
VERSIONS = sorted(path.name for path in KEPT.iterdir())


def keep(name: str, folder: Path) -> None:
    """Write a student on our own architecture, what it says, its config, and what its teacher said."""
    teacher = make_teacher("tagger", "textcat")
    config = student_config(teacher, size="nano")
    config["components"]["tok2vec"]["model"] = {
        "@architectures": "spacy-tinydistill.TinyTransformer.v1",
        "layers": 1, "width": 12, "heads": 2, "intermediate_width": 16, "vocab_size": 60, "max_length": 16,
    }  # fmt: skip
    config["components"]["tagger"]["model"]["tok2vec"]["width"] = 12
    config["components"]["textcat"]["model"] = {
        "@architectures": "spacy.TextCatBOW.v3", "exclusive_classes": True, "ngram_size": 1, "length": 256,
        "no_output_layer": False,
    }  # fmt: skip
    config["initialize"]["before_init"] = {
        "@callbacks": "spacy-tinydistill.TrainPieces.v1",
        "path": str(write_texts(folder / "texts.txt")),
    }
    run = folder / "run"
    student = distil_quickly(teacher, TEXTS, run, config, steps=60)
    kept = KEPT / name
    shutil.copytree(run / DIR_MODEL_LAST, kept / "student")
    shutil.copytree(run / "targets", kept / "targets", ignore=shutil.ignore_patterns(LOCK))
    config["initialize"]["before_init"]["path"] = "texts.txt"
    config.to_disk(kept / "student.cfg")
    srsly.write_json(kept / "says.json", what_it_says(student))


def what_it_says(nlp: Language) -> dict[str, Any]:
    """Annotate the texts."""
    docs = list(nlp.pipe(TEXTS))
    return {
        "tags": [[token.tag_ for token in doc] for doc in docs],
        "cats": [{label: round(score, 3) for label, score in doc.cats.items()} for doc in docs],
    }


def test_there_are_some():
    assert VERSIONS


@pytest.mark.parametrize("name", VERSIONS)
def test_a_student_of_an_earlier_version(name):
    says = what_it_says(spacy.load(KEPT / name / "student"))
    expected = srsly.read_json(KEPT / name / "says.json")
    assert says["tags"] == expected["tags"]
    assert len({tag for tags in says["tags"] for tag in tags}) == 3
    for found, kept in zip(says["cats"], expected["cats"], strict=True):
        assert found == pytest.approx(kept, abs=2e-3)


@pytest.mark.parametrize("name", VERSIONS)
def test_targets_and_config_of_an_earlier_version(name, tmp_path, monkeypatch):
    shutil.copytree(KEPT / name, tmp_path / "kept")
    monkeypatch.chdir(tmp_path)
    write_texts(tmp_path / "texts.txt")
    store = Store(tmp_path / "kept" / "targets")
    assert sum(sum(shard.docs.values()) for shard in store.manifest.shards) == len(TEXTS)
    config = Config().from_disk(tmp_path / "kept" / "student.cfg", interpolate=False)
    student = distil_quickly("-", None, tmp_path / "new", config, steps=60, targets=tmp_path / "kept" / "targets")
    expected = srsly.read_json(KEPT / name / "says.json")
    assert what_it_says(student)["tags"] == expected["tags"]


if __name__ == "__main__":
    from tempfile import TemporaryDirectory

    with TemporaryDirectory() as room:
        keep(version("spacy-tinydistill"), Path(room))
