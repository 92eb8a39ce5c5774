"""Teachers and texts that the tests share."""
# ruff: noqa: E402

import os

# Before any library starts its threads: small matrices are slower on several, and the results less repeatable.
for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(name, "1")
# No test may reach for the network.
os.environ.setdefault("HF_HUB_OFFLINE", "1")

import random

import pytest
import spacy
from generator import TOPICS, TRAITS, make_docs, make_texts, topic_of
from spacy.language import Language
from spacy.training import Example
from thinc.api import Adam, fix_random_seed

# Every trainable pipe that spaCy ships, in an order in which each finds what it reads.
PIPES = [
    "tagger",
    "morphologizer",
    "trainable_lemmatizer",
    "senter",
    "parser",
    "ner",
    "textcat",
    "textcat_multilabel",
    "spancat",
    "spancat_singlelabel",
]

TEACHER_WIDTH = 64
SUGGESTER = {"@misc": "spacy.ngram_suggester.v1", "sizes": [1, 2, 3]}
SETTINGS = {
    "trainable_lemmatizer": {"min_tree_freq": 1},
    "spancat": {"spans_key": "sc", "suggester": SUGGESTER},
    "spancat_singlelabel": {"spans_key": "sl", "suggester": SUGGESTER},
}
LABELS = {"textcat": list(TOPICS), "textcat_multilabel": TRAITS}


@pytest.fixture(scope="session")
def teacher() -> Language:
    """A CNN pipeline with all pipes, which is good at the generator's language. Tests must not change it."""
    return train_teacher(PIPES)


@pytest.fixture(scope="session")
def texts() -> list[str]:
    """What students learn on."""
    return make_texts(300, seed=1)


@pytest.fixture(scope="session")
def held_out_texts() -> list[str]:
    """What students are scored on."""
    return make_texts(60, seed=2)


def train_teacher(pipes: list[str], *, count: int = 120, epochs: int = 6) -> Language:
    fix_random_seed(0)
    nlp = spacy.blank("en")
    nlp.add_pipe("tok2vec", config={"model": _encoder()})
    for name in pipes:
        nlp.add_pipe(name, config={**SETTINGS.get(name, {}), "model": _model_settings(name)})
    gold = [Example(nlp.make_doc(doc.text), doc) for doc in make_docs(nlp.vocab, count, seed=0)]
    topics = [_only_topics(example) for example in gold]
    for name in pipes:
        if name in LABELS:
            nlp.config["initialize"]["components"][name] = {"labels": LABELS[name]}
    # The exclusive text categorizer refuses Examples where more than one category is true.
    nlp.initialize(lambda: topics)
    optimizer = Adam(0.004, L2=0.0, grad_clip=1.0)
    numbers = random.Random(0)
    order = list(range(len(gold)))
    for _ in range(epochs):
        numbers.shuffle(order)
        for start in range(0, len(order), 8):
            batch = order[start : start + 8]
            nlp.update([gold[i] for i in batch], sgd=optimizer, drop=0.1, exclude=["textcat"])
            if "textcat" in pipes:
                nlp.get_pipe("textcat").update([topics[i] for i in batch], sgd=optimizer, drop=0.1)
    return nlp


def _encoder() -> dict:
    return {
        "@architectures": "spacy.HashEmbedCNN.v2",
        "width": TEACHER_WIDTH,
        "depth": 2,
        "embed_size": 1000,
        "window_size": 1,
        "maxout_pieces": 2,
        "subword_features": True,
        "pretrained_vectors": None,
    }


def _model_settings(name: str) -> dict:
    # A text categorizer's loss is a mean, the other pipes' are sums: in a shared encoder it would hardly be heard.
    listener = {"@architectures": "spacy.Tok2VecListener.v1", "width": TEACHER_WIDTH, "upstream": "*"}
    return {"tok2vec": _encoder() if name in LABELS else listener, **_ARCHITECTURES.get(name, {})}


_TEXT_CATEGORIZER = {
    "@architectures": "spacy.TextCatReduce.v1",
    "use_reduce_first": False,
    "use_reduce_last": False,
    "use_reduce_max": True,
    "use_reduce_mean": True,
}
_ARCHITECTURES = {
    "textcat": {**_TEXT_CATEGORIZER, "exclusive_classes": True},
    "textcat_multilabel": {**_TEXT_CATEGORIZER, "exclusive_classes": False},
}


def _only_topics(example: Example) -> Example:
    reference = example.reference.copy()
    reference.cats = topic_of(reference)
    return Example(example.predicted.copy(), reference)
