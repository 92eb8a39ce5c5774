"""A CNN teacher with every trainable pipe that spaCy ships, good at the generator's language; it trains in seconds."""

import random
from typing import Any

import spacy
from spacy.language import Language
from spacy.training import Example
from thinc.api import Adam, fix_random_seed

from helpers.generator import TOPICS, TRAITS, make_docs, topic_of

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


def train_teacher(pipes: list[str], *, count: int = 80, epochs: int = 4) -> Language:
    fix_random_seed(0)
    nlp = spacy.blank("en")
    nlp.add_pipe("tok2vec", config={"model": cnn(TEACHER_WIDTH)})
    for name in pipes:
        nlp.add_pipe(name, config={**SETTINGS.get(name, {}), "model": _model_settings(name)})
    gold = [Example(nlp.make_doc(doc.text), doc) for doc in make_docs(nlp.vocab, count, seed=0)]
    topics = [_only_topics(example) for example in gold]
    for name in pipes:
        if name in LABELS:
            nlp.config["initialize"]["components"][name] = {"labels": LABELS[name]}
    # The exclusive text categorizer refuses Examples where more than one category is true.
    nlp.initialize(lambda: topics)
    optimizer = Adam(0.005, L2=0.0, grad_clip=1.0)
    numbers = random.Random(0)
    order = list(range(len(gold)))
    for _ in range(epochs):
        numbers.shuffle(order)
        for start in range(0, len(order), 6):
            batch = order[start : start + 6]
            nlp.update([gold[i] for i in batch], sgd=optimizer, drop=0.1, exclude=["textcat"])
            if "textcat" in pipes:
                nlp.get_pipe("textcat").update([topics[i] for i in batch], sgd=optimizer, drop=0.1)
    return nlp


def cnn(width: int, *, depth: int = 2, rows: int = 1000, subwords: bool = True) -> dict[str, Any]:
    return {
        "@architectures": "spacy.HashEmbedCNN.v2",
        "width": width,
        "depth": depth,
        "embed_size": rows,
        "window_size": 1,
        "maxout_pieces": 2,
        "subword_features": subwords,
        "pretrained_vectors": None,
    }


def _model_settings(name: str) -> dict:
    # A text categorizer's loss is a mean, the other pipes' are sums: in a shared encoder it would hardly be heard.
    listener = {"@architectures": "spacy.Tok2VecListener.v1", "width": TEACHER_WIDTH, "upstream": "*"}
    return {"tok2vec": cnn(TEACHER_WIDTH) if name in LABELS else listener, **_ARCHITECTURES.get(name, {})}


TEXT_CATEGORIZER = {
    "@architectures": "spacy.TextCatReduce.v1",
    "use_reduce_first": False,
    "use_reduce_last": False,
    "use_reduce_max": True,
    "use_reduce_mean": True,
}

_ARCHITECTURES = {
    "textcat": {**TEXT_CATEGORIZER, "exclusive_classes": True},
    "textcat_multilabel": {**TEXT_CATEGORIZER, "exclusive_classes": False},
}


def _only_topics(example: Example) -> Example:
    reference = example.reference.copy()
    reference.cats = topic_of(reference)
    return Example(example.predicted.copy(), reference)
