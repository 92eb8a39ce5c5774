"""Agreement where people write otherwise."""

from collections.abc import Iterable
from typing import Any

import pytest
import spacy
from spacy.language import Language
from spacy.scorer import Scorer
from spacy.tokens import Doc
from spacy.training import Example

from spacy_tinydistill.report.html import to_html
from spacy_tinydistill.report.report import Report
from spacy_tinydistill.report.table import writings_text
from spacy_tinydistill.report.writing import WRITINGS, compare_writings

TEXTS = ["Ann's U.S. trip, in 2.5 hours: Rome!", "Bob weeps in Oslo."]


@Language.factory("tests_case_tagger", assigns=["token.tag"])
class CaseTagger:
    """Tags what is in lower case, and what else there is only where it does not see case."""

    def __init__(self, nlp: Language, name: str, *, sees_case: bool) -> None:
        self.sees_case = sees_case

    def __call__(self, doc: Doc) -> Doc:
        for token in doc:
            token.tag_ = "LOW" if not self.sees_case or token.text.islower() else "OTHER"
        return doc

    def score(self, examples: Iterable[Example], **kwargs: Any) -> dict[str, Any]:
        return Scorer.score_token_attr(examples, "tag", **kwargs)


def pipeline(sees_case: bool) -> Language:
    nlp = spacy.blank("en")
    nlp.add_pipe("tests_case_tagger", config={"sees_case": sees_case})
    return nlp


def compared(teacher_sees: bool, student_sees: bool, texts: list[str] = TEXTS) -> dict[str, Any]:
    found = compare_writings(pipeline(teacher_sees), pipeline(student_sees), texts)
    assert found is not None
    return found


def test_the_writings() -> None:
    assert {name: write(TEXTS[0]) for name, write in WRITINGS.items()} == {
        "as written": TEXTS[0],
        "in lower case": "ann's u.s. trip, in 2.5 hours: rome!",
        "in capitals": "ANN'S U.S. TRIP, IN 2.5 HOURS: ROME!",
        "without punctuation": "Ann's U.S trip in 2.5 hours Rome",
    }


def test_a_student_that_sees_case() -> None:
    found = compared(False, True, ["Ann sings", "in rome"])
    assert [one["agreement"]["tag_acc"] for one in found.values()] == [0.75, 1.0, 0.0, 0.75]
    assert [one["overall"] for one in found.values()] == [0.75, 1.0, 0.0, 0.75]
    assert writings_text(found) == (
        "Agreement: 75.00 % as written, 100.00 % in lower case, 0.00 % in capitals, 75.00 % without punctuation"
    )


def test_nothing_is_left_without_punctuation() -> None:
    found = compared(True, True, ["...", "!"])
    assert [one["documents"] for one in found.values()] == [2, 2, 2, 0]


def test_not_all_of_a_large_corpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("spacy_tinydistill.report.writing.WORDS", 30)
    found = compared(True, True, ["a b c"] * 100)
    assert {one["documents"] for one in found.values()} == {10}


def test_the_page(report: Report) -> None:
    found = compared(False, True, ["Ann sings", "in rome"])
    page = to_html({**report, "writings": found})
    assert "In other writing" in page
    assert "75.00" in page
    assert "In other writing" not in to_html({**report, "writings": None})


def test_an_llm_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("spacy_tinydistill.report.writing.is_llm", lambda pipe: True)
    assert compare_writings(pipeline(True), pipeline(True), TEXTS) is None
    assert "LLM" in writings_text(None)
