"""Gold annotations for one of two pipes of a kind: the other learns from the teacher alone."""

from pathlib import Path
from typing import Any

import pytest
import spacy
from spacy.language import Language
from spacy.tokens import Doc, DocBin, Span
from spacy.training import Example
from thinc.api import fix_random_seed

from helpers.one_pipe import FACTORIES, annotate, teach
from helpers.tiny_teacher import LANGUAGE, MODELS
from spacy_tinydistill import distill
from spacy_tinydistill.components.annotations import own_categories
from spacy_tinydistill.errors import DistillationError

TEXTS = [
    f"{name} {verb} in {place}" for name in ("Ann", "Bob") for verb in ("sings", "weeps") for place in ("Rome", "Oslo")
]
QUICK = {"distillation.max_steps": 12, "training.eval_frequency": 6, "distillation.batcher.size": 40}


def two_of_a_kind(kind: str, labels: dict[str, list[str]]) -> Language:
    nlp = spacy.blank(LANGUAGE)
    for name in labels:
        pipe: Any = nlp.add_pipe(kind, name=name, config={"model": MODELS[kind]})
        for label in labels[name]:
            pipe.add_label(label)
    fix_random_seed(0)
    nlp.initialize(lambda: [Example(nlp.make_doc(text), nlp.make_doc(text)) for text in TEXTS])
    return nlp


def write_gold(path: Path, annotate: Any) -> str:
    nlp = spacy.blank(LANGUAGE)
    docs = [nlp.make_doc(text) for text in TEXTS[:4]]
    for doc in docs:
        annotate(doc)
    DocBin(docs=docs).to_disk(path)
    return str(path)


def name_people(doc: Doc) -> None:
    doc.set_ents([Span(doc, 0, 1, label="PERSON")])


def test_two_entity_recognizers(tmp_path: Path) -> None:
    teacher = two_of_a_kind("ner", {"ner": ["PERSON"], "places": ["PLACE"]})
    overrides = QUICK | {"paths.gold": write_gold(tmp_path / "gold.spacy", name_people), "distillation.hold_out": 0.3}
    with pytest.raises(DistillationError, match=r"TD228.*'places'.*\['PERSON'\].*gold_pipes"):
        distill(teacher, TEXTS, output=tmp_path / "no", overrides=overrides)
    with pytest.raises(DistillationError, match=r"TD208.*gold_pipes.*'people'"):
        distill(teacher, TEXTS, output=tmp_path / "none", overrides=overrides | {"distillation.gold_pipes": ["people"]})
    overrides |= {"distillation.gold_pipes": ["ner"], "distillation.gold_weight": 5.0, "distillation.max_steps": 60}
    overrides |= {"distillation.optimizer.learn_rate.warmup_steps": 1, "training.eval_frequency": 60}
    student = distill(teacher, TEXTS, output=tmp_path / "yes", overrides=overrides)
    assert student.get_pipe("ner").labels == ("PERSON",)
    # The teacher, which knows nothing, never says so; gold does.
    last = spacy.load(tmp_path / "yes" / "model-last")
    assert [(ent.text, ent.label_) for ent in last(TEXTS[0]).ents if ent.label_ == "PERSON"] == [("Ann", "PERSON")]


@pytest.mark.parametrize("pipes", [None, ["mood"]])
def test_categories_are_for_the_classifier_that_has_them(tmp_path: Path, pipes: list[str] | None) -> None:
    """Two exclusive classifiers: a text has a category of each, which spaCy alone would refuse."""
    teacher = two_of_a_kind("textcat", {"mood": ["SAD", "GLAD"], "topic": ["MUSIC", "TEARS"]})

    def annotate(doc: Doc) -> None:
        sings = doc[1].text == "sings"
        doc.cats = {"SAD": not sings, "GLAD": sings, "MUSIC": sings, "TEARS": not sings}
        doc.cats = {label: float(value) for label, value in doc.cats.items()}

    gold = write_gold(tmp_path / "gold.spacy", annotate)
    overrides = QUICK | {"paths.gold": gold, "distillation.gold_pipes": pipes, "distillation.gold_weight": 20.0}
    overrides |= {"distillation.optimizer.learn_rate.warmup_steps": 1, "training.eval_frequency": 60}
    distill(teacher, TEXTS, output=tmp_path / "out", overrides=overrides | {"distillation.max_steps": 60})
    student = spacy.load(tmp_path / "out" / "model-last")
    for text, (mood, topic) in {TEXTS[0]: ("GLAD", "MUSIC"), TEXTS[2]: ("SAD", "TEARS")}.items():
        cats = student(text).cats
        assert cats[mood] > 0.6
        assert (cats[topic] > 0.6) == (pipes is None)


def test_a_classifier_sees_its_own_categories() -> None:
    nlp = two_of_a_kind("textcat", {"mood": ["SAD", "GLAD"], "topic": ["MUSIC", "TEARS"]})
    doc = nlp.make_doc(TEXTS[0])
    doc.cats = {"SAD": 1.0, "GLAD": 0.0, "MUSIC": 1.0}
    example = Example(nlp.make_doc(TEXTS[0]), doc)
    seen = own_categories(example, nlp.get_pipe("mood"))
    assert seen.reference.cats == {"SAD": 1.0, "GLAD": 0.0}
    assert seen.predicted is example.predicted
    assert own_categories(example, nlp.add_pipe("tagger")) is example
    assert example.reference.cats == {"SAD": 1.0, "GLAD": 0.0, "MUSIC": 1.0}


@pytest.mark.parametrize("factory", ["beam_ner", "beam_parser"])
def test_gold_for_a_pipe_with_a_beam(tmp_path: Path, factory: str) -> None:
    """Whose `update` returns nothing."""
    teacher = teach(factory, **FACTORIES[factory])
    DocBin(docs=[annotate(teacher).reference]).to_disk(tmp_path / "gold.spacy")
    overrides = QUICK | {"paths.gold": str(tmp_path / "gold.spacy"), "distillation.max_steps": 2}
    distill(teacher, TEXTS, output=tmp_path / "run", overrides=overrides)
    assert (tmp_path / "run" / "model-last").is_dir()
