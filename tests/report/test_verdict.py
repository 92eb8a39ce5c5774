"""What a report says in ten seconds."""

import pytest

from spacy_tinydistill.report.report import Report
from spacy_tinydistill.report.verdict import (
    GREEN,
    YELLOW,
    compare_factor,
    lights,
    title_of,
    verdict,
    weakest_labels,
)


def with_figures(report: Report, **changes: object) -> dict:
    counts = {"obl": (20, 0.8), "det": (50, 1.0), "rare": (2, 0.0), "compound": (30, 0.9)}
    labels = {"parser": {name: {"teacher": n, "student": n, "agreement": share} for name, (n, share) in counts.items()}}
    figures = {"overall": {"retention": 0.972, "agreement": 0.9}, "labels": labels, "speed_up": {"1": 11.2}}
    return {**report, **figures, "compression": 15.2, "pipes": {"parser": ["dep_las", "dep_uas"]}, **changes}


def test_the_sentence(report: Report) -> None:
    said = verdict(with_figures(report))
    assert said.endswith(
        "keeps 97.2 % of the LAS of en_teacher, at 11 times its speed and in 1/15 of its bytes; weakest: obl, compound."
    )
    slower = verdict(with_figures(report, speed_up={"1": 0.9}, compression=0.5))
    assert "1.1 times slower and in 200.0 % of its bytes" in slower
    without_gold = verdict(with_figures(report, overall={"retention": None, "agreement": 0.9}, speed_up={}))
    assert "says the same as en_teacher in 90.0 % of cases, in 1/15" in without_gold
    missing = {"missing_pipes": ["lemmatizer"]}
    assert "; missing: lemmatizer; weakest" in verdict(with_figures(report, raw_text=missing))


@pytest.mark.parametrize(
    ("agreement", "colour"),
    [(1.0, "green"), (GREEN, "green"), (GREEN - 1e-9, "yellow"), (YELLOW, "yellow"), (0.0, "red"), (None, "none")],
)
def test_a_light_changes_where_the_page_says(report: Report, agreement: float | None, colour: str) -> None:
    (light,) = lights(with_figures(report, agreement={"dep_las": agreement, "dep_uas": 1.0}))
    assert (light.pipe, light.score, light.colour) == ("parser", "dep_las", colour)


def test_rare_labels_are_no_weakness(report: Report) -> None:
    assert [label for _, label, _, _ in weakest_labels(with_figures(report))] == ["obl", "compound"]


@pytest.mark.parametrize(
    ("name", "path", "title"),
    [
        ("en_trec_tiny", "student/model-best", "en_trec_tiny"),
        ("en_pipeline", "runs/tiny/model-best", "tiny"),
        ("en_pipeline", "runs/my_student", "my_student"),
        ("en_pipeline", None, "en_pipeline"),
    ],
)
def test_the_title_is_the_name_or_the_folder(name: str, path: str | None, title: str) -> None:
    assert title_of({"name": name, "path": path}) == title


def test_what_is_not_faster_is_slower() -> None:
    assert compare_factor(0.9, "faster", "slower") == "1.1 x slower"
    assert compare_factor(11.24, "faster", "slower") == "11.2 x faster"
    assert compare_factor(1.01, "faster", "slower") == "the same"
