"""How fast a pipeline is: on which texts, in processes of its own. Nothing depends on the machine's speed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spacy_tinydistill.errors import DistillationError
from spacy_tinydistill.report.speed import _sample, _shares, _Team


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


def test_a_worker_that_stops_leaves_its_last_words(folder, tmp_path):
    code = tmp_path / "code.py"
    code.write_text("print('on stdout')\nraise RuntimeError('no such luck')\n")
    with pytest.raises(DistillationError, match=r"(?s)TD411.*no such luck"):
        _Team(str(folder / "student"), code=code)
