"""Two small pipelines to be compared, and gold annotations."""

import json
from pathlib import Path

import spacy
from spacy.language import Language
from spacy.tokens import Doc, DocBin
from spacy.training import Example
from thinc.api import fix_random_seed

SENTENCES = [
    ("I like green apples .", ["PRON", "VERB", "ADJ", "NOUN", "PUNCT"], [1, 1, 3, 1, 1], "FOOD"),
    ("You eat red cherries .", ["PRON", "VERB", "ADJ", "NOUN", "PUNCT"], [1, 1, 3, 1, 1], "FOOD"),
    ("They drive fast cars .", ["PRON", "VERB", "ADJ", "NOUN", "PUNCT"], [1, 1, 3, 1, 1], "CARS"),
    ("We park old vans 😀 !", ["PRON", "VERB", "ADJ", "NOUN", "SYM", "PUNCT"], [1, 1, 3, 1, 1, 1], "CARS"),
]


def gold_docs(vocab):
    for text, tags, heads, label in SENTENCES:
        deps = ["ROOT" if head == i else "dep" for i, head in enumerate(heads)]
        doc = Doc(vocab, words=text.split(), tags=tags, heads=heads, deps=deps)
        doc.cats = {name: float(name == label) for name in ("FOOD", "CARS")}
        yield doc


def trained(pipes: list[str], width: int, steps: int = 12) -> Language:
    """A small CNN pipeline trained until it knows most of the few sentences."""
    fix_random_seed(0)
    nlp = spacy.blank("en")
    for pipe in pipes:
        tok2vec = {
            "@architectures": "spacy.HashEmbedCNN.v2",
            "pretrained_vectors": None,
            "width": width,
            "depth": 1,
            "embed_size": 100,
            "window_size": 1,
            "maxout_pieces": 2,
            "subword_features": True,
        }
        if pipe == "tagger":
            model = {"@architectures": "spacy.Tagger.v2", "tok2vec": tok2vec}
        elif pipe == "parser":
            model = {
                "@architectures": "spacy.TransitionBasedParser.v2",
                "tok2vec": tok2vec,
                "state_type": "parser",
                "extra_state_tokens": False,
                "hidden_width": 8,
                "maxout_pieces": 2,
                "use_upper": True,
            }
        else:
            model = {
                "@architectures": "spacy.TextCatReduce.v1",
                "tok2vec": tok2vec,
                "exclusive_classes": pipe == "textcat",
                "use_reduce_mean": True,
                "use_reduce_first": False,
                "use_reduce_last": False,
                "use_reduce_max": False,
            }
        # spaCy forgets transitions that are rarer than 30, which in four sentences is all of them.
        nlp.add_pipe(pipe, config={"model": model, **({"min_action_freq": 1} if pipe == "parser" else {})})
    examples = [Example(nlp.make_doc(doc.text), doc) for doc in gold_docs(nlp.vocab)]
    optimizer = nlp.initialize(lambda: examples)
    for _ in range(steps):
        nlp.update(examples, sgd=optimizer)
    return nlp


def write_pipelines(folder: Path, teacher: Language, student: Language) -> None:
    """Write teacher, student, a pipeline with another task, gold data and the same as text."""
    teacher.to_disk(folder / "teacher")
    student.to_disk(folder / "student")
    spacy.blank("en").to_disk(folder / "blank")
    DocBin(docs=gold_docs(teacher.vocab)).to_disk(folder / "gold.spacy")
    lines = [json.dumps({"text": text}) + "\n" for text, *_ in SENTENCES]
    (folder / "texts.jsonl").write_text("".join(lines), encoding="utf8")
