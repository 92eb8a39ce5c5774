"""A teacher with each kind of pipe, of random weights, and its students."""

from spacy.language import Language
from spacy.tokens import Doc, Span
from spacy.training import Example
from thinc.api import Config

from spacy_tinydistill.pipes.profile import profile_teacher
from spacy_tinydistill.schemas import read_distillation_config
from spacy_tinydistill.student.pipeline import (
    initialize_student,
    make_student,
    plan_lessons,
)

LEARNING = [
    "tagger",
    "morphologizer",
    "senter",
    "trainable_lemmatizer",
    "parser",
    "ner",
    "textcat",
    "textcat_multilabel",
    "spancat",
    "spancat_singlelabel",
]
RULES = ["sentencizer", "entity_ruler", "attribute_ruler"]

# No word is a label, so that what is kept of the one can be told from the other.
WORDS = ["Zoé", "went", "to", "Reykjavík", "and", "she", "saw", "mice"]


def annotate(nlp: Language) -> Example:
    reference = Doc(
        nlp.vocab,
        words=WORDS,
        tags=["NNP", "VBD", "IN", "NNP", "CC", "PRP", "VBD", "NNS"],
        morphs=["Number=Sing", "Tense=Past", "", "Number=Sing", "", "Case=Nom", "Tense=Past", "Number=Plur"],
        pos=["PROPN", "VERB", "ADP", "PROPN", "CCONJ", "PRON", "VERB", "NOUN"],
        lemmas=["Zoé", "go", "to", "Reykjavík", "and", "she", "see", "mouse"],
        heads=[1, 1, 1, 2, 1, 6, 1, 6],
        deps=["nsubj", "ROOT", "prep", "pobj", "cc", "nsubj", "conj", "dobj"],
        sent_starts=[1, 0, 0, 0, 0, 0, 0, 0],
        ents=["B-PERSON", "O", "O", "B-GPE", "O", "O", "O", "O"],
    )
    reference.cats = {"TRAVEL": 1.0, "FOOD": 0.0, "ANIMALS": 0.0}
    for key in ("sc", "single"):
        reference.spans[key] = [Span(reference, 0, 1, label="WHO"), Span(reference, 3, 4, label="WHERE")]
    return Example(Doc(nlp.vocab, words=WORDS), reference)


def initialized(config: Config, teacher: Language) -> Language:
    profile = profile_teacher(teacher)
    student = make_student(config, profile)
    initialize_student(
        student, profile, plan_lessons(student, teacher, read_distillation_config(config)), examples(student)
    )
    return student


def examples(nlp: Language) -> list[Example]:
    return [Example(doc, doc.copy()) for doc in [nlp.make_doc(" ".join(WORDS))]]
