"""What is told of teacher and student from raw text: in the console, in the report and on the card."""

import json
from pathlib import Path
from typing import Any

import pytest
import spacy
from spacy.language import Language
from spacy.tokens import Doc

import helpers.own_pipe  # noqa: F401  # registers "own_pipe"
import spacy_tinydistill
from helpers.tiny_teacher import TEXTS, make_teacher
from spacy_tinydistill.errors import DistillationError
from spacy_tinydistill.judge import choose_texts, take_statement
from spacy_tinydistill.report.raw_text import (
    agreement_text,
    compare_raw_text,
    missing_text,
    print_raw_text,
    share_of_pipes,
    tokens_text,
)
from spacy_tinydistill.report.report import JSON_NAME

RAW = ["Ann sings in Rome.", "Bob weeps in Oslo."]


def pipeline(*names: str) -> Language:
    nlp = spacy.blank("en")
    for name in names:
        pipe = nlp.add_pipe(name)
        if name == "entity_ruler":
            pipe.add_patterns(
                [
                    {"label": "CITY", "pattern": "Rome"},
                    {"label": "CITY", "pattern": [{"LOWER": "in"}, {"LOWER": "oslo"}]},
                ]
            )
    return nlp


@Language.component("test_raw_text_returns_nothing")
def returns_nothing(doc: Doc) -> None:
    return None


def compared(teacher: Language, student: Language) -> dict[str, Any]:
    return json.loads(json.dumps(compare_raw_text(take_statement("teacher", teacher, RAW), student, "teacher")))


def test_all_the_same(capsys: pytest.CaptureFixture) -> None:
    found = compared(pipeline("sentencizer", "entity_ruler"), pipeline("sentencizer", "entity_ruler"))
    assert agreement_text(found).startswith("everything the same from raw text (2 texts, compared with the teacher")
    assert missing_text(found) == tokens_text(found) == ""
    assert share_of_pipes({"pipes": {"ner": []}, "raw_text": found}) == 1.0
    print_raw_text(found)
    assert "everything the same" in capsys.readouterr().out


def test_kinds_and_pipes_that_the_student_lacks_are_named(capsys: pytest.CaptureFixture) -> None:
    found = compared(pipeline("sentencizer", "entity_ruler"), pipeline("sentencizer"))
    assert found["missing"] == {"entities": ["entity_ruler"]}
    assert missing_text(found) == "not in the student: entities (entity_ruler)"
    assert agreement_text(found).startswith("entities 0.0 % the same from raw text")
    # One of two pipes is missing.
    assert share_of_pipes({"pipes": {"tokenizer": ["token_acc"], "senter": ["sents_f"]}, "raw_text": found}) == 0.5
    print_raw_text(found)
    assert "not in the student" in capsys.readouterr().out


def test_other_tokens_are_told_with_examples(capsys: pytest.CaptureFixture) -> None:
    found = compared(pipeline("entity_ruler", "merge_entities"), pipeline("entity_ruler"))
    assert tokens_text(found) == (
        "The student's tokens differ from the teacher's: \"in Oslo\" is a token of the teacher alone"
    )
    # It writes no kind of annotation, and is missed all the same.
    assert missing_text(found) == "not in the student: the work of merge_entities"
    print_raw_text(found)
    assert "tokens differ" in " ".join(capsys.readouterr().out.split())


def test_almost_all_is_not_all() -> None:
    found = compared(pipeline("entity_ruler"), pipeline("entity_ruler"))
    found["kinds"]["ents"].update(places=100_000, agreed=99_999, share=0.99999)
    assert agreement_text(found).startswith("entities 99.9 % ")


def test_a_pipeline_that_fails_gets_a_number() -> None:
    nlp = pipeline()
    nlp.add_pipe("test_raw_text_returns_nothing")
    with pytest.raises(DistillationError, match=r"TD414.*teacher failed there: TypeError"):
        take_statement("teacher", nlp, RAW)
    nlp = pipeline("sentencizer")
    nlp.get_pipe("sentencizer").pipe = lambda docs, batch_size: list(docs)[1:]
    with pytest.raises(DistillationError, match=r"TD414.*1 of 2 texts came back"):
        take_statement("student", nlp, RAW)


def test_only_some_thousand_words_are_compared() -> None:
    assert choose_texts((str(number), 1000) for number in range(9)) == ["0", "1", "2"]
    assert choose_texts([]) == []


@pytest.mark.parametrize("from_disk", [True, False])
def test_a_run_tells_what_its_student_does_not_say(
    tmp_path: Path, capsys: pytest.CaptureFixture, *, from_disk: bool
) -> None:
    teacher = make_teacher("tagger")
    teacher.add_pipe("own_pipe")
    teacher.to_disk(tmp_path / "teacher")
    steps = {"distillation.max_steps": 4, "training.eval_frequency": 4}
    student = spacy_tinydistill.distill(
        tmp_path / "teacher" if from_disk else teacher, TEXTS, output=tmp_path / "out", overrides=steps
    )
    said = " ".join(capsys.readouterr().out.split())
    assert "not in the student: lemmas (own_pipe)" in said
    report = json.loads((tmp_path / "out" / JSON_NAME).read_text())
    assert report["raw_text"]["missing"] == {"lemmas": ["own_pipe"]}
    assert report["overall"]["agreement"] == pytest.approx(report["agreement"]["tag_acc"] / 2)
    assert "This counts 0 for what is not in the student (own_pipe);" in said
    card = spacy.load(tmp_path / "out" / "model-best").meta["notes"]
    assert "not in the student: lemmas" in card
    assert "not in the student: lemmas" in (tmp_path / "out" / "report.html").read_text()
    assert student.pipe_names == ["tok2vec", "tagger"]
