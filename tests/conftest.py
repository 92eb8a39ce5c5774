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
from spacy.language import Language

from helpers.cnn_teacher import PIPES, train_teacher
from helpers.generator import make_texts
from helpers.transformer_teachers import make_curated_teacher, make_spacy_transformers_teacher, write_vocabulary
from spacy_tinydistill.report import compare as compare_module


@pytest.fixture(scope="session")
def teacher() -> Language:
    """A CNN pipeline with all pipes, which is good at the generator's language. Tests must not change it."""
    return train_teacher(PIPES)


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
