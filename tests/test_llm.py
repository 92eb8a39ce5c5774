"""spacy-llm as a teacher: what it answers is learned, and that it did not answer is not."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Iterable  # noqa: UP035, by which spacy-llm knows a model

import pytest
import spacy
from spacy.language import Language
from spacy.tokens import Doc

from helpers.students import distil_quickly
from helpers.tiny_teacher import LANGUAGE, NAMES, PLACES, TEXTS, VERBS, make_teacher
from spacy_tinydistill import record_targets
from spacy_tinydistill.components.annotations import Annotations
from spacy_tinydistill.errors import DistillationError
from spacy_tinydistill.student.config import student_config
from spacy_tinydistill.targets.records import Record, Role
from spacy_tinydistill.targets.store import Store
from spacy_tinydistill.teacher.recorder import annotate, ask

spacy_llm = pytest.importorskip("spacy_llm", reason="needs spacy-llm")

Prompts = Iterable[Iterable[str]]


def text_of(prompt: str) -> str:
    """What spacy-llm's templates put last, between quotes or lines of them."""
    return next(text for text in TEXTS if text in prompt)


def name_entities(prompt: str) -> str:
    words = text_of(prompt).split()
    return f"PERSON: {words[0]}\nPLACE: {words[-1]}"


def choose_mood(prompt: str) -> str:
    return VERBS[text_of(prompt).split()[1]]


def register_model(name: str, answer: Callable[[str], str]) -> None:
    def model(prompts: Prompts) -> Prompts:
        return [[answer(prompt) for prompt in of_doc] for of_doc in prompts]

    def make_model() -> Callable[[Prompts], Prompts]:
        return model

    spacy_llm.registry.registry.llm_models.register(name, func=make_model)


@pytest.fixture
def make_llm() -> Callable[..., Language]:
    """Make a pipeline of LLMs, each of which is a function that answers a prompt."""

    def make(**answers: Callable[[str], str]) -> Language:
        nlp = spacy.blank(LANGUAGE)
        for name, answer in answers.items():
            register_model(f"tests.{name}.v1", answer)
            task = {"@llm_tasks": "spacy.NER.v2", "labels": ["PERSON", "PLACE"]}
            if name.startswith("textcat"):
                labels = ["GLAD", "SAD"]
                task = {"@llm_tasks": "spacy.TextCat.v3", "labels": labels, "exclusive_classes": True}
            nlp.add_pipe("llm", name=name, config={"task": task, "model": {"@llm_models": f"tests.{name}.v1"}})
        return nlp

    return make


def ask_it(nlp: Language, texts: list[str]) -> list[dict]:
    records = [Record.from_doc(nlp.make_doc(text)) for text in texts]
    return list(ask(nlp, records, {name: (name, Annotations()) for name in nlp.pipe_names}))


def test_an_empty_answer_says_nothing(make_llm):
    nlp = make_llm(
        ner=lambda prompt: " \n" if "Bob" in prompt else "none" if "Zoé" in prompt else name_entities(prompt)
    )
    said = dict(zip(TEXTS, ask_it(nlp, TEXTS), strict=True))
    for text, targets in said.items():
        assert ("ner" in targets) == ("Bob" not in text)
        if "ner" in targets:
            doc = Doc(nlp.vocab).from_bytes(targets["ner"]["doc"].tobytes())
            # "None" is an answer: there are no entities.
            assert len(doc.ents) == (0 if "Zoé" in text else 2)
    # Nothing is left of its having been looked at.
    assert nlp.get_pipe("ner")._save_io is False
    annotated = list(annotate(nlp, map(nlp.make_doc, TEXTS), hard=True))
    assert [data is None for data in annotated] == ["Bob" in text for text in TEXTS]


@pytest.mark.parametrize("answer", ["I think it is glad.", "GLAD, SAD", ""])
def test_an_answer_that_chooses_no_category_says_nothing(make_llm, answer):
    nlp = make_llm(textcat=lambda prompt: answer if "Bob" in prompt else choose_mood(prompt))
    said = ask_it(nlp, TEXTS)
    assert ["textcat" in targets for targets in said] == ["Bob" not in text for text in TEXTS]


def config_of(pipe: str, **paths: str) -> Any:
    config = student_config(make_teacher(pipe, updates=0), size="nano")
    config["paths"].update(paths)
    return config


@pytest.mark.slow
def test_texts_without_an_answer_are_not_learned_from(make_llm, tmp_path, capsys):
    """Two thirds of the texts have no answer; a student that took this for "no entities" would find none."""
    nlp = make_llm(ner=lambda prompt: "" if "Ann" in prompt or "Bob" in prompt else name_entities(prompt))
    student = distil_quickly(nlp, TEXTS, tmp_path, config_of("ner"), steps=40)
    assert "For 24 texts the teacher gave no answer that ner could learn" in capsys.readouterr().out
    for text in TEXTS:
        place = text.split()[-1]
        assert (place, PLACES[place]) in [(ent.text, ent.label_) for ent in student(text).ents]
    # Nor are those that were held out counted against it.
    held_out = list(Store(tmp_path / "targets").read(Role.HELD_OUT))
    assert [(item.words[0], item.annotated) for item in held_out] == [("Ann", None), ("Bob", None)]


@pytest.mark.slow
def test_two_llms_teach_two_pipes(make_llm, tmp_path):
    nlp = make_llm(ner=name_entities, textcat=choose_mood)
    config = student_config(make_teacher("ner", "textcat", updates=0), size="nano")
    student = distil_quickly(nlp, TEXTS, tmp_path, config, steps=40)
    for text in TEXTS:
        doc = student(text)
        name, verb, _, place = text.split()
        assert [(ent.text, ent.label_) for ent in doc.ents] == [(name, NAMES[name]), (place, PLACES[place])]
        assert doc.cats[VERBS[verb]] > 0.5


def test_an_llm_that_never_answers(make_llm, tmp_path):
    with pytest.raises(DistillationError) as caught:
        distil_quickly(make_llm(ner=lambda prompt: ""), TEXTS, tmp_path, config_of("ner"), steps=1)
    assert caught.value.code == "TD632"


def test_a_llm_that_fails_goes_on_where_it_stopped(make_llm, tmp_path, monkeypatch):
    monkeypatch.setattr("spacy_tinydistill.targets.store.SHARD_WORDS", 20)
    left = [12]

    def answer(prompt: str) -> str:
        if not left[0]:
            raise ConnectionError("the line is dead")
        left[0] -= 1
        return name_entities(prompt)

    nlp, config = make_llm(ner=answer), config_of("ner")
    with pytest.raises(DistillationError, match="the line is dead") as caught:
        record_targets(nlp, TEXTS, store=tmp_path / "store", config=config)
    assert caught.value.code == "TD631"
    left[0] = -1
    record_targets(nlp, TEXTS, store=tmp_path / "store", config=config)
    # Each text was asked about once, but for those of the shards at hand when the line went dead.
    assert -1 - left[0] < len(TEXTS)
    records = list(Store(tmp_path / "store").read(*Role))
    assert all("ner" in item.targets for item in records)


@Language.factory("tests_forgetful")
class Forgetful:
    """Gives back the Docs that it has something to say of, and no others."""

    def __init__(self, nlp: Language, name: str) -> None:
        pass

    def __call__(self, doc: Doc) -> Doc:
        return doc

    def pipe(self, docs: Iterable[Doc], *, batch_size: int = 1) -> Iterable[Doc]:
        return (doc for doc in docs if "Bob" not in doc.text)


def test_docs_that_do_not_come_back(tmp_path: Path):
    nlp = spacy.blank(LANGUAGE)
    nlp.add_pipe("tests_forgetful", name="ner")
    with pytest.raises(DistillationError, match="24 of 36") as caught:
        distil_quickly(nlp, TEXTS, tmp_path, config_of("ner"), steps=1)
    assert caught.value.code == "TD630"
    with pytest.raises(DistillationError, match="24 of 36") as caught:
        list(annotate(nlp, map(nlp.make_doc, TEXTS), hard=True))
    assert caught.value.code == "TD630"
