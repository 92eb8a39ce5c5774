"""A CNN teacher so small that it trains in a second, for tests of what happens around the learning."""

from pathlib import Path
from typing import Any

import spacy
from spacy.language import Language
from spacy.tokens import DocBin
from spacy.training import Example
from thinc.api import fix_random_seed

# English would do, but has thousands of exceptions to tokenize by, which take longer to load than all the rest.
LANGUAGE = "xx"

NAMES = {"Ann": "PERSON", "Bob": "PERSON", "Zoé": "PERSON"}
PLACES = {"Rome": "PLACE", "Oslo": "PLACE", "Lima": "PLACE"}
VERBS = {"sings": "GLAD", "laughs": "GLAD", "weeps": "SAD", "sighs": "SAD"}

TEXTS = [f"{name} {verb} in {place}" for name in NAMES for verb in VERBS for place in PLACES]

LABELS = {
    "tagger": ["NOUN", "ADP", "VERB"],
    "ner": ["PLACE", "PERSON"],
    "textcat": ["SAD", "GLAD"],
}

ENCODER: dict[str, Any] = {
    "@architectures": "spacy.HashEmbedCNN.v2",
    "pretrained_vectors": None,
    "width": 24,
    "depth": 1,
    "embed_size": 300,
    "window_size": 1,
    "maxout_pieces": 2,
    "subword_features": True,
}

MODELS: dict[str, dict[str, Any]] = {
    "tagger": {"@architectures": "spacy.Tagger.v2", "tok2vec": ENCODER},
    "ner": {
        "@architectures": "spacy.TransitionBasedParser.v2",
        "state_type": "ner",
        "extra_state_tokens": False,
        "hidden_width": 24,
        "maxout_pieces": 2,
        "use_upper": True,
        "tok2vec": ENCODER,
    },
    "textcat": {
        "@architectures": "spacy.TextCatBOW.v3",
        "exclusive_classes": True,
        "ngram_size": 1,
        "length": 1024,
        "no_output_layer": False,
    },
}


def annotate_gold(nlp: Language, text: str) -> Example:
    """Read one of `TEXTS` as a person would."""
    name, verb, _, place = text.split()
    start = len(text) - len(place)
    return Example.from_dict(
        nlp.make_doc(text),
        {
            "tags": ["NOUN", "VERB", "ADP", "NOUN"],
            "entities": [(0, len(name), NAMES[name]), (start, len(text), PLACES[place])],
            "cats": {label: float(VERBS[verb] == label) for label in LABELS["textcat"]},
        },
    )


def make_teacher(*pipes: str, labels: dict[str, list[str]] | None = None, updates: int = 10) -> Language:
    """Train a teacher of some of the pipes in `MODELS`; by default of all."""
    fix_random_seed(0)
    nlp = spacy.blank(LANGUAGE)
    for name in pipes or MODELS:
        pipe: Any = nlp.add_pipe(name, config={"model": MODELS[name]})
        for label in {**LABELS, **(labels or {})}[name]:
            pipe.add_label(label)
    examples = [annotate_gold(nlp, text) for text in TEXTS]
    optimizer = nlp.initialize(lambda: examples)
    optimizer.learn_rate = 0.01
    for _ in range(updates):
        nlp.update(examples, sgd=optimizer)
    nlp.meta.update(
        name="tiny_teacher", version="1.2.3", license="CC0 1.0", author="Ann", sources=[{"name": "Songs", "url": ""}]
    )
    return nlp


def write_gold(path: Path, texts: list[str] | None = None) -> Path:
    """Write gold annotations as a DocBin."""
    nlp = spacy.blank(LANGUAGE)
    docs = (annotate_gold(nlp, text).reference for text in texts or TEXTS)
    DocBin(docs=docs).to_disk(path)
    return path


def write_texts(path: Path, texts: list[str] | None = None) -> Path:
    """Write plain text, one text a line."""
    path.write_text("".join(f"{text}\n" for text in texts or TEXTS), encoding="utf8")
    return path
