"""Teachers of one pipe, "taught", and their students, for tests of what a pipe's kind decides."""

from typing import Any

import spacy
from spacy.language import Language
from spacy.tokens import Doc, Span
from spacy.training import Example
from thinc.api import Config, fix_random_seed

from helpers.tiny_teacher import ENCODER, LANGUAGE, MODELS
from spacy_tinydistill.components.base import Plan
from spacy_tinydistill.pipes.profile import profile_teacher
from spacy_tinydistill.schemas import read_config, read_distillation_config
from spacy_tinydistill.student.config import student_config
from spacy_tinydistill.student.pipeline import initialize_student, make_student, plan_lessons

WORDS = ["Ann", "sings", "in", "Rome"]
PARSER = {**MODELS["ner"], "state_type": "parser"}
SPANCAT = {
    "@architectures": "spacy.SpanCategorizer.v1",
    "tok2vec": ENCODER,
    "reducer": {"@layers": "spacy.mean_max_reducer.v1", "hidden_size": 16},
    "scorer": {"@layers": "spacy.LinearLogistic.v1"},
}
SINGLELABEL = {**SPANCAT, "scorer": {"@layers": "Softmax.v2"}}
FINDER = {
    "@architectures": "spacy.SpanFinder.v1",
    "tok2vec": ENCODER,
    "scorer": {"@layers": "spacy.LinearLogistic.v1", "nO": 2},
}

# What spaCy's trainable factories are given in a test.
FACTORIES: dict[str, dict[str, Any]] = {
    "tagger": {"model": MODELS["tagger"]},
    "morphologizer": {"model": MODELS["tagger"]},
    "senter": {"model": MODELS["tagger"]},
    "trainable_lemmatizer": {"model": MODELS["tagger"], "min_tree_freq": 1},
    "ner": {"model": MODELS["ner"]},
    "beam_ner": {"model": MODELS["ner"]},
    "parser": {"model": PARSER, "min_action_freq": 1},
    "beam_parser": {"model": PARSER, "min_action_freq": 1},
    "textcat": {"model": MODELS["textcat"]},
    "textcat_multilabel": {"model": {**MODELS["textcat"], "exclusive_classes": False}},
    "spancat": {"model": SPANCAT, "spans_key": "found"},
    "spancat_singlelabel": {"model": SINGLELABEL, "spans_key": "found"},
    "span_finder": {"model": FINDER, "spans_key": "found"},
}


def annotate(nlp: Language) -> Example:
    doc = Doc(
        nlp.vocab, words=WORDS, tags=["N", "V", "P", "N"], lemmas=["ann", "sing", "in", "rome"],
        pos=["NOUN", "VERB", "ADP", "NOUN"], sent_starts=[1, 0, 0, 0],
        heads=[1, 1, 1, 2], deps=["nsubj", "ROOT", "prep", "pobj"], ents=["B-WHO", "O", "O", "B-WHERE"],
    )  # fmt: skip
    doc.cats = {"GLAD": 1.0, "SAD": 0.0}
    doc.spans["found"] = [Span(doc, 0, 1, "WHO"), Span(doc, 3, 4, "WHERE")]
    return Example(Doc(nlp.vocab, words=WORDS), doc)


def teach(factory: str, **config: Any) -> Language:
    """A teacher of one pipe, "taught", that has learned a little."""
    fix_random_seed(0)
    nlp = spacy.blank(LANGUAGE)
    nlp.add_pipe(factory, name="taught", config=config)
    optimizer = nlp.initialize(lambda: [annotate(nlp)])
    for _ in range(3):
        nlp.update([annotate(nlp)], sgd=optimizer)
    return nlp


def start(teacher: Language, config: Config | None = None, **overrides: Any) -> tuple[Language, Plan]:
    """The student, initialized as in a run, and who teaches whom.

    Args:
        teacher: The pipeline.
        config: The student's; by default the one that is written for it.
        overrides: As on a command line.
    """
    config = read_config(student_config(teacher, size="nano") if config is None else config, overrides)
    profile = profile_teacher(teacher)
    student = make_student(config, profile)
    plan = plan_lessons(student, teacher, read_distillation_config(config))
    docs = [Doc(student.vocab, words=WORDS)]
    initialize_student(student, profile, plan, [Example(doc, doc.copy()) for doc in docs])
    return student, plan
