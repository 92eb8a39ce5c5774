"""How annotations are compared label by label."""

from dataclasses import replace

import pytest
import spacy
from spacy.tokens import Doc

from spacy_tinydistill.report.compare import compare_sides
from spacy_tinydistill.report.scores import Side, score_sides
from spacy_tinydistill.report.table import score_rows


def test_labels_agree_as_spacy_scores_them(sides: tuple[Side, Side], compared: dict) -> None:
    scores = score_sides(*sides, sides[0].docs)["student"]
    for pipe, name in (
        ("ner", "ents"),
        ("spancat", "spans_sc"),
        ("textcat", "cats_f"),
        ("textcat_multilabel", "cats_f"),
    ):
        found = {label: counts["agreement"] for label, counts in compared["labels"][pipe].items()}
        if name != "cats_f":
            expected = {label: score["f"] for label, score in scores[f"{name}_per_type"].items()}
            assert found == pytest.approx(expected)
        assert min(found.values()) < 1
    las = {label: score["f"] for label, score in scores["dep_las_per_type"].items()}
    found = {label: counts["agreement"] for label, counts in compared["labels"]["parser"].items()}
    # spaCy leaves punctuation and roots' own word of case out.
    assert {label.lower(): found[label] for label in found if label != "punct"} == pytest.approx(las)


def test_labels_are_counted(sides: tuple[Side, Side], compared: dict) -> None:
    for role, side in zip(("teacher", "student"), sides, strict=True):
        tags = [token.tag_ for doc in side.docs for token in doc]
        assert {label: counts[role] for label, counts in compared["labels"]["tagger"].items() if counts[role]} == {
            tag: tags.count(tag) for tag in tags
        }
    counted = [counts["teacher"] for counts in compared["labels"]["tagger"].values()]
    assert counted == sorted(counted, reverse=True)
    pairs = zip(*([token.tag_ for doc in side.docs for token in doc] for side in sides), strict=True)
    differing = [pair for pair in pairs if pair[0] != pair[1]]
    assert sum(pair["count"] for pair in compared["confusion"]["tagger"]) == len(differing)
    first = compared["confusion"]["tagger"][0]
    assert differing.count((first["teacher"], first["student"])) == first["count"]


def test_what_one_of_them_leaves_out_is_confused_with_nothing(compared: dict) -> None:
    pairs = {(pair["teacher"], pair["student"]) for pair in compared["confusion"]["ner"]}
    assert ("PERSON", "ORG") in pairs
    assert any(student is None for _, student in pairs)
    assert any(
        teacher is None for teacher, _ in {(p["teacher"], p["student"]) for p in compared["confusion"]["spancat"]}
    )
    # Labels that do not exclude each other are not taken for each other.
    assert all(None in (pair["teacher"], pair["student"]) for pair in compared["confusion"]["textcat_multilabel"])
    assert all(None not in (pair["teacher"], pair["student"]) for pair in compared["confusion"]["textcat"])


def test_a_pipeline_does_not_disagree_with_itself(sides: tuple[Side, Side]) -> None:
    compared = compare_sides(sides[0], sides[0], None)
    assert compared["disagreements"] == []
    assert compared["confusion"] == {}
    assert {counts["agreement"] for labels in compared["labels"].values() for counts in labels.values()} == {1.0}
    assert compared["overall"] == {"retention": None, "agreement": pytest.approx(1.0)}


def test_a_teacher_who_was_not_asked(sides: tuple[Side, Side]) -> None:
    compared = compare_sides(replace(sides[0], docs=[]), sides[1], sides[0].docs)
    assert compared["labels"] == compared["confusion"] == {}
    assert compared["disagreements"] == []
    assert compared["overall"] == {"retention": None, "agreement": None}
    assert 0 < compared["student"]["tag_acc"] < 1
    # The student's own scores are still shown, but for those by type.
    rows = score_rows(compared | {role: {"scores": compared[role]} for role in ("teacher", "student")})
    assert {"tag_acc", "ents_f", "dep_las"} <= {row[1] for row in rows}
    assert "ents_per_type" not in {row[1] for row in rows}


def test_other_tokens_and_white_space() -> None:
    """Places are characters, so that pipelines that tokenize differently can be compared."""
    nlp = spacy.blank("en")
    nlp.add_pipe("tagger")
    teacher = Doc(nlp.vocab, words=["do", "n't", "\n", "stop"], spaces=[False, True, False, False], tags=list("ABCD"))
    student = Doc(nlp.vocab, words=["don't", "\n", "stop"], spaces=[True, False, False], tags=list("ACD"))
    compared = compare_sides(Side(nlp, [teacher]), Side(nlp, [student]), None)
    assert {label: counts["agreement"] for label, counts in compared["labels"]["tagger"].items()} == {
        "A": 0.0,
        "B": 0.0,
        "D": 1.0,
    }
    shown = compared["disagreements"][0]
    assert [word["text"] for word in shown["teacher"]["words"]] == ["do", "n't", "stop"]
    assert [word["text"] for word in shown["student"]["words"]] == ["don't", "stop"]
