"""A teacher with each kind of pipe, its student, and one that is distilled."""

from pathlib import Path
from typing import Any

import pytest
import spacy
from spacy.language import Language
from thinc.api import fix_random_seed

import spacy_tinydistill
from helpers.students_of_each_kind import LEARNING, annotate, examples, initialized
from helpers.tiny_teacher import LANGUAGE, make_teacher, write_gold, write_texts
from spacy_tinydistill.pipes.profile import profile_teacher
from spacy_tinydistill.schemas import read_distillation_config
from spacy_tinydistill.student.config import student_config
from spacy_tinydistill.student.pipeline import (
    needed_strings,
    plan_lessons,
    save_student,
)


@pytest.fixture(scope="session")
def teacher() -> Language:
    """A teacher with each kind of pipe, of random weights."""
    fix_random_seed(0)
    nlp = spacy.blank(LANGUAGE)
    for name in LEARNING:
        nlp.add_pipe(name, config={"spans_key": "single"} if name == "spancat_singlelabel" else {})
    nlp.add_pipe("sentencizer", first=True, config={"punct_chars": ["|"]})
    ruler: Any = nlp.add_pipe("entity_ruler", config={"overwrite_ents": True})
    attributes: Any = nlp.add_pipe("attribute_ruler")
    # In another order than that of the alphabet and of the data.
    for label in ("WHERE", "NOBODY", "WHO"):
        nlp.get_pipe("spancat").add_label(label)
    for label in ("TRAVEL", "ANIMALS", "FOOD"):
        nlp.get_pipe("textcat").add_label(label)
    for label in ("VBD", "NNS", "NNP", "PRP", "IN", "CC"):
        nlp.get_pipe("tagger").add_label(label)
    nlp.initialize(lambda: [annotate(nlp)])
    ruler.add_patterns([{"label": "CITY", "pattern": "Reykjavík", "id": "capital"}])
    attributes.add([[{"LOWER": "mice"}]], {"TAG": "RODENT", "MORPH": "Animacy=Anim"})
    nlp.tokenizer.add_special_case("gimme", [{"ORTH": "gim"}, {"ORTH": "me"}])
    return nlp


@pytest.fixture(scope="session")
def student(teacher: Language) -> Language:
    return initialized(student_config(teacher, size="nano"), teacher)


@pytest.fixture(scope="session")
def saved(teacher: Language, student: Language, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("saved") / "student"
    config = student_config(teacher, size="nano")
    plan = plan_lessons(student, teacher, read_distillation_config(config))
    save_student(student, path, needed_strings(config, profile_teacher(teacher), plan, examples(student)))
    return path


@pytest.fixture(scope="session")
def distilled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a student that learned from a saved teacher, with gold to score on."""
    folder = tmp_path_factory.mktemp("distilled")
    make_teacher().to_disk(folder / "teacher")
    spacy_tinydistill.distill(
        folder / "teacher",
        write_texts(folder / "texts.txt"),
        output=folder / "output",
        overrides={"distillation.max_steps": 10, "paths.dev": str(write_gold(folder / "dev.spacy"))},
    )
    return folder / "output" / "model-best"
