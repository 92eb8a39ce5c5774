"""What probabilities are worth, by hand."""

from typing import Any

import pytest
import spacy
from hypothesis import given
from hypothesis import strategies as st
from spacy.tokens import Doc, Span

from spacy_tinydistill.report.calibration import Reference, calibrate, calibration_error, try_thresholds


def test_the_error_of_two_bins_by_hand() -> None:
    # Bins of a half: 0.4 and 0.2, one of two right; 0.9 and 0.7, both right.
    found = calibration_error([0.4, 0.2, 0.9, 0.7], [True, False, True, True], bins=2)
    assert found == pytest.approx((2 * abs(0.5 - 0.3) + 2 * abs(1.0 - 0.8)) / 4)
    assert calibration_error([], []) is None


@given(st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1))
def test_the_error_is_a_share(pairs: list[tuple[float, bool]]) -> None:
    error = calibration_error([confidence for confidence, _ in pairs], [is_right for _, is_right in pairs])
    assert 0.0 <= error <= 1.0 + 1e-9


def test_who_is_always_sure_and_right_has_no_error() -> None:
    assert calibration_error([1.0, 0.0], [True, False]) == 0.0


def test_categories_and_their_thresholds() -> None:
    nlp = spacy.blank("en")
    for name in ("textcat", "textcat_multilabel"):
        nlp.add_pipe(name)
    for label in ("A", "B"):
        nlp.get_pipe("textcat").add_label(label)
        nlp.get_pipe("textcat_multilabel").add_label(label.lower())
    docs = [Doc(nlp.vocab, words=["a"]) for _ in range(2)]
    docs[0].cats = {"A": 0.8, "B": 0.2, "a": 0.55, "b": 0.35}
    docs[1].cats = {"A": 0.6, "B": 0.4, "a": 0.95, "b": 0.05}
    references = [
        Reference(docs[0], {"A": 1.0, "B": 0.0, "a": 0.0, "b": 1.0}),
        Reference(docs[1], {"A": 0.0, "B": 1.0, "a": 1.0, "b": 0.0}),
    ]
    errors = calibrate(nlp, docs, references)
    # The best of exclusive ones: 0.8, right, and 0.6, wrong; they are in different bins.
    assert errors["textcat"] == pytest.approx((0.2 + 0.6) / 2)
    assert errors["textcat_multilabel"] == pytest.approx((0.55 + 0.65 + 0.05 + 0.05) / 4)
    tables = try_thresholds(nlp, docs, references)
    assert tables.keys() == {"textcat_multilabel"}
    rows = {row["threshold"]: row for row in tables["textcat_multilabel"]}
    assert [threshold for threshold, row in rows.items() if row["current"]] == [0.5]
    assert (rows[0.5]["precision"], rows[0.5]["recall"]) == (0.5, 0.5)
    assert (rows[0.3]["precision"], rows[0.3]["recall"]) == (pytest.approx(2 / 3), 1.0)
    assert (rows[0.9]["precision"], rows[0.9]["recall"]) == (1.0, 0.5)
    assert rows[0.9]["f"] == pytest.approx(2 / 3)


def test_spans_have_thresholds_from_their_own_on() -> None:
    nlp = spacy.blank("en")
    nlp.add_pipe("spancat", config={"threshold": 0.4})
    doc, gold = (Doc(nlp.vocab, words=["one", "two", "three"]) for _ in range(2))
    doc.spans["sc"] = [Span(doc, 0, 1, "A"), Span(doc, 1, 2, "A")]
    doc.spans["sc"].attrs["scores"] = [0.45, 0.85]
    gold.spans["sc"] = [Span(gold, 1, 2, "A")]
    rows = try_thresholds(nlp, [doc], [Reference(gold, {})])["spancat"]
    assert [row["threshold"] for row in rows] == [0.4, 0.5, 0.6, 0.7, 0.8, 0.9]
    assert [row["precision"] for row in rows] == [0.5, 1.0, 1.0, 1.0, 1.0, 0.0]
    # Without probabilities nothing is told.
    del doc.spans["sc"].attrs["scores"]
    assert try_thresholds(nlp, [doc], [Reference(gold, {})]) == {}


@pytest.mark.parametrize("max_positive", [None, 1, 2])
def test_spans_as_a_pipe_writes_them(max_positive: int | None) -> None:
    """With one label for each span, spaCy's scores have two dimensions."""
    nlp = spacy.blank("en")
    pipe: Any = nlp.add_pipe("spancat", config={"threshold": 0.0, "max_positive": max_positive})
    for label in ("A", "B"):
        pipe.add_label(label)
    nlp.initialize()
    doc = nlp("one two three")
    assert len(doc.spans["sc"])
    rows = try_thresholds(nlp, [doc], [Reference(doc, {})])["spancat"]
    assert (rows[0]["precision"], rows[0]["recall"]) == (1.0, 1.0)
