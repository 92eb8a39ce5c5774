"""Pipes that are disabled in a teacher are taught, and disabled in its student."""

from pathlib import Path
from typing import Any

import pytest
import spacy
from spacy.language import Language
from spacy.tokens import Doc, Span
from thinc.api import fix_random_seed

from helpers.account import account_for, warned_of
from helpers.one_pipe import FACTORIES, annotate, start
from helpers.tiny_teacher import ENCODER, LANGUAGE, MODELS, TEXTS
from spacy_tinydistill.api import distill
from spacy_tinydistill.pipes.profile import profile_teacher
from spacy_tinydistill.schemas import read_distillation_config
from spacy_tinydistill.student.config import student_config
from spacy_tinydistill.student.pipeline import make_student, plan_lessons, save_student
from spacy_tinydistill.targets.records import Record, read_annotated_bytes
from spacy_tinydistill.teacher.recorder import ask

LISTENER = {"@architectures": "spacy.Tok2VecListener.v1", "width": 24, "upstream": "*"}


def make_teacher() -> Language:
    """A tagger, an entity recognizer that is disabled, and a ruler that would see its entities."""
    fix_random_seed(0)
    nlp = spacy.blank(LANGUAGE)
    nlp.add_pipe("tok2vec", config={"model": ENCODER})
    for name in ("tagger", "ner"):
        nlp.add_pipe(name, config={"model": {**MODELS[name], "tok2vec": LISTENER}})
    optimizer = nlp.initialize(lambda: [annotate(nlp)])
    optimizer.learn_rate = 0.01
    for _ in range(15):
        nlp.update([annotate(nlp)], sgd=optimizer)
    ruler: Any = nlp.add_pipe("entity_ruler")
    ruler.add_patterns([{"label": "RULE", "pattern": "Rome"}])
    nlp.disable_pipe("ner")
    return nlp


def entities(nlp: Language, text: str) -> list[tuple[str, str]]:
    return [(ent.text, ent.label_) for ent in nlp(text).ents]


def test_it_is_told_and_is_no_omission() -> None:
    teacher = make_teacher()
    config = student_config(teacher)
    assert config["nlp"]["disabled"] == ["ner"]
    assert account_for(teacher, config) == {
        "tok2vec": "mirrored by tok2vec",
        "tagger": "mirrored by tagger",
        "ner": "mirrored by ner, disabled",
        "entity_ruler": "carried over",
    }
    assert warned_of(teacher, config) == []
    # Nobody sees its score, so it does not count.
    assert config["training"]["score_weights"]["ents_f"] is not None  # The ruler has it, too
    teacher.remove_pipe("entity_ruler")
    weights = student_config(teacher)["training"]["score_weights"]
    assert (weights["ents_f"], weights["tag_acc"]) == (None, 1.0)


def test_a_student_learns_what_its_teacher_would_say(tmp_path: Path) -> None:
    teacher = make_teacher()
    overrides = {"distillation.max_steps": 60, "training.eval_frequency": 30, "distillation.hold_out": 0.2}
    student = distill(
        teacher,
        TEXTS * 2,
        config=student_config(teacher, size="nano"),
        output=tmp_path / "run",
        overrides=overrides,
        strict=True,
    )
    assert student.disabled == teacher.disabled == ["ner"]
    assert entities(student, TEXTS[0]) == entities(teacher, TEXTS[0]) == [("Rome", "RULE")]
    for nlp in (teacher, student):
        nlp.enable_pipe("ner")
        nlp.disable_pipe("entity_ruler")
    said = [[entities(nlp, text) for text in TEXTS] for nlp in (teacher, student)]
    assert any(said[0])
    same = sum(theirs == ours for theirs, ours in zip(*said, strict=True))
    assert same / len(TEXTS) > 0.9
    last = spacy.load(tmp_path / "run" / "model-last")
    assert last.disabled == ["ner"]


@pytest.mark.parametrize("factory", FACTORIES)
def test_each_kind_of_pipe(factory: str, tmp_path: Path) -> None:
    teacher = spacy.blank(LANGUAGE)
    teacher.add_pipe("tagger", name="other", config={"model": MODELS["tagger"]})
    teacher.add_pipe(factory, name="taught", config=FACTORIES[factory])
    teacher.initialize(lambda: [annotate(teacher)])
    teacher.disable_pipe("taught")
    student, plan = start(teacher)
    assert list(plan) == ["other", "taught"]
    assert student.disabled == ["taught"]
    docs = [Record.from_doc(Doc(teacher.vocab, words=["Ann", "sings"]))]
    assert {*next(ask(teacher, docs, plan))} == {"other", "taught"}
    assert teacher.disabled == ["taught"]
    save_student(student, tmp_path / "student", student.vocab.strings)
    loaded = spacy.load(tmp_path / "student")
    assert loaded.disabled == ["taught"]
    loaded.enable_pipe("taught")
    assert len(loaded("Ann sings in Rome")) == 4


@Language.component("disabled_test_seen")
def note_entities(doc: Doc) -> Doc:
    doc.user_data["seen"] = [ent.label_ for ent in doc.ents]
    doc.ents = [Span(doc, 0, 1, "SEEN")] if doc.ents else []
    return doc


def test_nobody_reads_what_a_disabled_pipe_would_write() -> None:
    teacher = spacy.blank(LANGUAGE)
    ruler: Any = teacher.add_pipe("entity_ruler", name="off")
    teacher.add_pipe("disabled_test_seen", name="reader")
    for name in ("first", "second"):
        teacher.add_pipe("ner", name=name, config={"model": MODELS["ner"]})
    teacher.initialize(lambda: [annotate(teacher)])
    ruler.add_patterns([{"label": "RULE", "pattern": "Ann"}])
    teacher.disable_pipe("off")
    config = student_config(teacher, pipeline=["first", "second"])
    config["distillation"]["student_to_teacher"] = {"first": "off", "second": "reader"}
    student = make_student(config, profile_teacher(teacher))
    plan = plan_lessons(student, teacher, read_distillation_config(config))
    asked = next(ask(teacher, [Record.from_doc(Doc(teacher.vocab, words=["Ann", "sings"]))], plan))
    written = {name: read_annotated_bytes(arrays["doc"].tobytes(), student.vocab) for name, arrays in asked.items()}
    assert [ent.label_ for ent in written["first"].ents] == ["RULE"]
    assert [ent.label_ for ent in written["second"].ents] == []
