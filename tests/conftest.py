"""Teachers and texts that the tests share."""
# ruff: noqa: E402

import os

# Before any library starts its threads: small matrices are slower on several, and the results less repeatable.
for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(name, "1")
# No test may reach for the network.
os.environ.setdefault("HF_HUB_OFFLINE", "1")

from pathlib import Path

import pytest
import spacy
from spacy.language import Language
from spacy.tokens import DocBin

from helpers.cnn_teacher import PIPES, train_teacher
from helpers.disks import small_disk_at
from helpers.generator import make_docs, make_texts
from helpers.students import RECORDED_PIPES, make_config
from helpers.tiny_teacher import make_teacher as make_tiny_teacher
from helpers.tiny_teacher import write_texts
from helpers.transformer_teachers import make_curated_teacher, make_spacy_transformers_teacher, write_vocabulary
from helpers.undisturbed import SETTINGS
from spacy_tinydistill import distill, forecast, record_targets
from spacy_tinydistill.report import compare as compare_module
from spacy_tinydistill.student.config import student_config


@pytest.fixture(scope="session")
def teacher() -> Language:
    """A CNN pipeline with all pipes, which is good at the generator's language. Tests must not change it."""
    return train_teacher(PIPES)


@pytest.fixture(scope="session")
def tiny_teacher_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny teacher on disk. Tests must not change it."""
    path = tmp_path_factory.mktemp("tiny") / "teacher"
    make_tiny_teacher().to_disk(path)
    return path


@pytest.fixture(scope="session")
def tiny_texts_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny teacher's texts."""
    return write_texts(tmp_path_factory.mktemp("tiny") / "texts.txt")


@pytest.fixture(scope="session")
def undisturbed(tiny_teacher_path: Path, tiny_texts_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The output of a run of the tiny teacher's with the settings of `helpers.undisturbed`."""
    output = tmp_path_factory.mktemp("undisturbed") / "run"
    distill(tiny_teacher_path, tiny_texts_path, output=output, overrides=SETTINGS)
    return output


@pytest.fixture
def in_float32(monkeypatch) -> None:
    """Teachers are asked in float32, also on a CPU that is faster in bfloat16."""
    monkeypatch.setattr("spacy_tinydistill.pipes.precision.CPU_CAPABILITIES", ())


@pytest.fixture(scope="session")
def texts() -> list[str]:
    """What students learn on."""
    return make_texts(150, seed=1)


@pytest.fixture(scope="session")
def held_out_texts() -> list[str]:
    """What students are scored on."""
    return make_texts(30, seed=2)


@pytest.fixture(scope="session")
def vocabulary_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A WordPiece vocabulary of single characters."""
    path = tmp_path_factory.mktemp("pieces") / "vocab.txt"
    write_vocabulary(path)
    return path


@pytest.fixture(scope="session")
def spacy_transformers_teacher(vocabulary_path: Path) -> Language:
    """A pipeline of random weights on a BERT of spacy-transformers. Tests must not change it."""
    return make_spacy_transformers_teacher(vocabulary_path)


@pytest.fixture(scope="session")
def spacy_transformers_teacher_path(
    spacy_transformers_teacher: Language, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    path = tmp_path_factory.mktemp("transformer")
    spacy_transformers_teacher.to_disk(path)
    return path


@pytest.fixture(scope="session")
def curated_teacher(vocabulary_path: Path) -> Language:
    """The same on a BERT of spacy-curated-transformers. Tests must not change it."""
    return make_curated_teacher(vocabulary_path)


@pytest.fixture(params=["spacy_transformers_teacher", "curated_teacher"])
def transformer_teacher(request: pytest.FixtureRequest) -> Language:
    """Both in turn."""
    return request.getfixturevalue(request.param)


@pytest.fixture
def without_timing(monkeypatch):
    """Leave out the processes, which take a minute to start; the rest of `compare` runs."""
    measured = {
        "words_per_second": {"1": 10.0, "all": 20.0},
        "words_per_second_runs": {"1": [10.0], "all": [10.0, 20.0, 30.0]},
        "all_cores": "processes",
        "load_seconds": 1.0,
        "load_seconds_runs": [1.0],
        "peak_memory": None,
    }
    timing = {"documents": 1, "words": 1, "runs": 1, "cores": 1}
    monkeypatch.setattr(
        compare_module, "measure_speed", lambda names, *_, **__: (dict.fromkeys(names, measured), timing)
    )


@pytest.fixture(scope="session")
def dev_path(tmp_path_factory):
    path = tmp_path_factory.mktemp("dev") / "dev.spacy"
    DocBin(docs=make_docs(spacy.blank("en").vocab, 5, seed=6)).to_disk(path)
    return path


@pytest.fixture
def small_disk(tmp_path):
    """A disk of 64 MB."""
    with small_disk_at(tmp_path / "disk") as folder:
        yield folder


@pytest.fixture(scope="session")
def recorded(teacher, texts, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("recorded") / "store"
    record_targets(teacher, texts, store=path, config=make_config(teacher, RECORDED_PIPES))
    return path


@pytest.fixture
def little_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a forecast says of time is not tested: only that all the rest is right with hardly any of it."""
    monkeypatch.setattr(forecast, "ASKING_SECONDS", 0.1)
    monkeypatch.setattr(forecast, "LEARNING_SECONDS", 0.1)


@pytest.fixture
def ten_updates(tmp_path: Path) -> Path:
    """The config of a nano student of the tiny teacher, which learns on its texts for ten updates."""
    config = student_config(make_tiny_teacher(updates=0), size="nano")
    config["paths"]["distill"] = str(write_texts(tmp_path / "texts.txt"))
    config["distillation"]["max_steps"] = 10
    config["distillation"]["batcher"]["size"] = 40
    config["training"]["eval_frequency"] = 4
    config.to_disk(tmp_path / "student.cfg")
    return tmp_path / "student.cfg"


@pytest.fixture
def small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shards of about a dozen texts."""
    monkeypatch.setattr("spacy_tinydistill.targets.store.SHARD_WORDS", 150)
