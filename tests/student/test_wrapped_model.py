"""A component of a user's own around a PyTorch model: a student learns what it writes, and does not carry it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import spacy
import torch
from spacy.language import Language
from spacy.tokens import Doc, Span

from helpers.account import account_for
from helpers.tiny_teacher import LANGUAGE, NAMES, TEXTS, VERBS
from spacy_tinydistill import distill
from spacy_tinydistill.judge import annotate, judge
from spacy_tinydistill.student.config import student_config

QUIET = {"@loggers": "spacy.ConsoleLogger.v3", "progress_bar": None, "console_output": False}


def write_words(doc: Doc) -> None:
    for token in doc:
        token.tag_, token.pos_ = ("NAME", "PROPN") if token.text in NAMES else ("WORD", "X")


def write_ents(doc: Doc) -> None:
    doc.ents = [Span(doc, token.i, token.i + 1, "PERSON") for token in doc if token.text[0].isupper()]


def write_mood(doc: Doc) -> None:
    glad = float(any(VERBS.get(token.text) == "GLAD" for token in doc))
    doc.cats = {"GLAD": glad, "SAD": 1 - glad}


def write_two_categories(doc: Doc) -> None:
    doc.cats = {"SHORT": 1.0, "NAMED": float(doc[0].text.istitle())}


def write_spans(doc: Doc) -> None:
    doc.spans["found"] = [Span(doc, token.i, token.i + 1, "CAPITAL") for token in doc if token.text[0].isupper()]


def write_nothing_to_learn(doc: Doc) -> None:
    doc.user_data["length"] = len(doc)


# What a model writes, and what learns it.
WRITERS: dict[str, tuple[Callable[[Doc], None], list[str]]] = {
    "words": (write_words, ["tagger", "morphologizer"]),
    "ents": (write_ents, ["ner"]),
    "mood": (write_mood, ["textcat"]),
    "categories": (write_two_categories, ["textcat_multilabel"]),
    "spans": (write_spans, ["spancat"]),
    "nothing": (write_nothing_to_learn, []),
}


class Wrapped:
    """Like what people write around a model: it has no `to_disk`, and is no pipe of spaCy's."""

    def __init__(self, write: Callable[[Doc], None]) -> None:
        self.model = torch.nn.Linear(2, 2)
        self.write = write

    def __call__(self, doc: Doc) -> Doc:
        if len(doc):
            self.write(doc)
        return doc


@Language.factory("wrapped_model", default_config={"writes": "words"})
def make_wrapped(nlp: Language, name: str, writes: str) -> Wrapped:
    return Wrapped(WRITERS[writes][0])


def make_teacher(writes: str) -> Language:
    nlp = spacy.blank(LANGUAGE)
    nlp.add_pipe("wrapped_model", name="mine", config={"writes": writes})
    return nlp


@pytest.mark.parametrize("writes", [name for name, (_, learners) in WRITERS.items() if learners])
def test_what_it_writes_is_learned(writes: str) -> None:
    teacher = make_teacher(writes)
    config = student_config(teacher)
    learners = WRITERS[writes][1]
    assert list(config["components"]) == ["tok2vec", *learners]
    assert config["distillation"]["student_to_teacher"] == dict.fromkeys(learners, "mine")
    assert account_for(teacher, config) == {"mine": f"mirrored by {', '.join(learners)}"}


def test_what_no_pipe_of_spacys_learns_is_carried_over() -> None:
    teacher = make_teacher("nothing")
    assert account_for(teacher, student_config(teacher)) == {"mine": "carried over"}


def test_a_pipe_that_fails_is_carried_over() -> None:
    """It is told by number when the teacher is asked."""
    teacher = make_teacher("words")
    pipe: Any = teacher.get_pipe("mine")
    pipe.write = lambda doc: 1 / 0
    assert list(student_config(teacher)["components"]) == ["mine"]


@pytest.mark.slow
def test_from_end_to_end(tmp_path: Path) -> None:
    teacher = make_teacher("words")
    overrides = {"distillation.max_steps": 40, "training.eval_frequency": 20, "training.logger": QUIET}
    distill(teacher, TEXTS * 2, output=tmp_path / "out", overrides=overrides)
    student = spacy.load(tmp_path / "out" / "model-best")
    assert student.pipe_names == ["tok2vec", "tagger", "morphologizer"]
    found = judge(TEXTS, annotate(teacher, TEXTS), annotate(student, TEXTS))
    assert found.missing == []
    assert found.kinds["tag"].share > 0.95
    assert found.kinds["pos"].share > 0.95


@pytest.mark.parametrize("first", ["words", "ents"])
def test_one_that_is_disabled_is_learned_and_disabled(first: str, tmp_path: Path) -> None:
    """Its labels are known only from what it says, and no other pipe is asked on a Doc that has them."""
    teacher = make_teacher(first)
    second = "ents" if first == "words" else "words"
    teacher.add_pipe("wrapped_model", name="other", config={"writes": second})
    teacher.disable_pipe("mine")
    overrides = {"distillation.max_steps": 2, "training.eval_frequency": 2, "training.logger": QUIET}
    distill(teacher, TEXTS, output=tmp_path / "out", overrides=overrides)
    student = spacy.load(tmp_path / "out" / "model-best")
    assert student.disabled == WRITERS[first][1]
    labels = [set(student.get_pipe(name).labels) for name in ("tagger", "ner")]
    assert labels == [{"NAME", "WORD"}, {"PERSON"}]
