"""How fast a pipeline is: on which texts, in processes of its own. Nothing depends on the machine's speed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tqdm import tqdm

from spacy_tinydistill.errors import DistillationError
from spacy_tinydistill.report.environment import close_requirements, list_unneeded
from spacy_tinydistill.report.speed import _latency, _sample, _shares, _Team


@given(st.lists(st.integers(1, 50), min_size=1, max_size=40), st.integers(1, 500))
def test_sample(words, max_words):
    sample = _sample(words, max_words)
    assert sample == sorted(set(sample))
    assert sample
    assert sum(words[i] for i in sample) <= max(max_words, min(words))
    assert sample == _sample(words, max_words)


@given(st.lists(st.text(max_size=30)), st.integers(1, 5))
def test_shares_hold_every_text_once(texts, n):
    shares = _shares(texts, n)
    assert len(shares) == n
    assert sorted(text for share in shares for text in share) == sorted(texts)
    sizes = [sum(map(len, share)) for share in shares]
    assert max(sizes) - min(sizes) <= max(map(len, texts), default=0)


@pytest.mark.slow
def test_memory_of_a_worker_is_its_own(folder):
    with _Team(str(folder / "blank")) as team:
        before = team.peak_memory()
    ballast = b"x" * 10**9
    with _Team(str(folder / "blank")) as team:
        team.warm_up(["A text.", "", "😀"])
        assert team.peak_memory() < before + len(ballast) // 2


def test_a_pipeline_is_measured_where_only_what_it_requires_can_be_imported(folder, tmp_path):
    """Not the libraries of its teacher, nor the entry points by which spaCy would load them."""
    probe = tmp_path / "probe.py"
    probe.write_text(
        "import importlib.util, sys\n"
        "from importlib.metadata import entry_points\n"
        "groups = ('spacy_cli', 'spacy_factories', 'spacy_architectures')\n"
        "found = {one.dist.name for group in groups for one in entry_points(group=group)}\n"
        "try:\n"
        "    import torch\n"
        "except ModuleNotFoundError:\n"
        "    found.add('no torch')\n"
        "raise RuntimeError(f'found {sorted(found)} thinc={\"thinc\" in sys.modules}')\n"
    )
    hidden = list_unneeded(str(folder / "student"))
    assert "torch" in hidden["modules"]
    assert not {"spacy", "thinc", "numpy", "pydantic"} & {*hidden["modules"], *hidden["distributions"]}
    with pytest.raises(DistillationError, match=r"found \['no torch', 'spacy-legacy'\] thinc=True"):
        _Team(str(folder / "student"), code=probe, hidden=hidden)
    with _Team(str(folder / "student"), hidden=hidden) as team:
        team.warm_up(["A text.", "", "😀"])
        assert len(team.annotate_singly()) == 3


def test_what_requirements_lead_to():
    found = close_requirements(["spacy"])
    assert {"spacy", "thinc", "numpy", "pydantic-core"} <= found
    assert not {"torch", "transformers", "spacy-tinydistill", "cupy"} & found
    with_ours = close_requirements(["spacy", "spacy-tinydistill[tiny-transformer]>=0.1.0"])
    assert {"torch", "tokenizers", "safetensors"} <= with_ours
    assert "pyarrow" not in with_ours
    assert "torch" not in close_requirements(["spacy-tinydistill", "no_such_package", "not a requirement !"])


def test_the_percentiles_of_latency():
    class Team:
        def annotate_singly(self):
            return [0.004, 0.001, 0.002, 0.003]

    found = _latency(Team(), tqdm(disable=True))
    assert found == {"p50": 0.002, "p99": 0.004, "texts": 4}


def test_a_worker_that_stops_leaves_its_last_words(folder, tmp_path):
    code = tmp_path / "code.py"
    code.write_text("print('on stdout')\nraise RuntimeError('no such luck')\n")
    with pytest.raises(DistillationError, match=r"(?s)TD411.*no such luck"):
        _Team(str(folder / "student"), code=code)
