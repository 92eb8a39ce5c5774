"""Whether an accelerated pipeline says what it said, on texts and on Docs that are made to be difficult.

    OMP_NUM_THREADS=1 python benchmarks/accelerate_equal.py PIPELINE TEXTS --words 200000

A third of the words are in the texts as they are; the others in Docs with words of other texts in any order, rare
characters, capitals, whitespace, sentence starts in any place, entities and blocked words, one word or none.
"""

import random
from collections import Counter
from collections.abc import Iterator
from itertools import cycle
from pathlib import Path
from typing import Annotated, Any

import spacy
import typer
from spacy.language import Language
from spacy.pipeline import TextCategorizer
from spacy.tokens import Doc, Span
from spacy.util import minibatch
from thinc.api import Model, NumpyOps

from spacy_tinydistill import acceleration
from spacy_tinydistill.corpus import read_texts

DOCS_AT_ONCE = 2000
ODD = ["\n", "  ", "\t\t", "", "​", "🙂", "नमस्ते", "…", "''", "'s", "12,5%", "İ", "ﬁ", "A" * 300, "@@", "<br>"]


def main(
    pipeline: str,
    texts: Annotated[Path, typer.Argument(help="JSONL, text or DocBin")],
    words: Annotated[int, typer.Option(help="How many words at least")] = 200_000,
    seed: int = 0,
) -> None:
    """Print how many Docs and words were compared, and how many differ in which annotation."""
    plain, fast = spacy.load(pipeline), spacy.load(pipeline)
    # As on a machine on which each of its ways is the faster one, whatever the batch.
    acceleration._faster_from = lambda sizes, spacys, ours: 1
    found = acceleration.accelerate(fast)
    for _, pipe in fast.pipeline:
        for node in pipe.model.walk() if isinstance(getattr(pipe, "model", None), Model) else ():
            if type(node.ops) is NumpyOps:
                node.ops = NumpyOps(use_blis=False)
    counts: Counter[str] = Counter()
    differ: Counter[str] = Counter()
    furthest = 0.0
    for docs in minibatch(any_docs(plain, list(read_texts(texts)), random.Random(seed)), DOCS_AT_ONCE):
        pairs = zip(plain.pipe([doc.copy() for doc in docs]), fast.pipe([doc.copy() for doc in docs]), strict=True)
        for before, after in pairs:
            counts["Docs"] += 1
            counts["words"] += len(before)
            counts["entities"] += len(before.ents)
            differ.update(differences(before, after))
            furthest = max([furthest, *(abs(before.cats[label] - after.cats[label]) for label in before.cats)])
        if counts["words"] >= words:
            break
    print(f"{pipeline}, spaCy {spacy.__version__}\n{found}")
    print(", ".join(f"{count:,} {what}" for what, count in counts.items()), end=": ")
    print(", ".join(f"{n:,} Docs differ in {what}" for what, n in differ.items()) or "no Doc differs")
    print(f"Scores in doc.cats differ by {furthest:.1g} at most")


def any_docs(nlp: Language, texts: list[str], numbers: random.Random) -> Iterator[Doc]:
    """Docs as they come to the first pipe, without end."""
    ner = [pipe for _, pipe in nlp.pipeline if hasattr(pipe, "moves") and hasattr(pipe, "scored_ents")]
    labels = list(ner[0].labels)[:3] if ner else []
    # spaCy's textcat itself fails on an empty Doc among others.
    shortest = 1 if any(isinstance(pipe, TextCategorizer) for _, pipe in nlp.pipeline) else 0
    vocabulary = [token.text for text in texts[:2000] for token in nlp.make_doc(text)]
    for text in cycle(texts):
        doc = nlp.make_doc(text)
        yield doc
        length = numbers.choice([shortest, 1, 1, 2, len(doc), len(doc), 2 * len(doc)])
        chosen = [numbers.choice(ODD if numbers.random() < 0.2 else vocabulary) or " " for _ in range(length)]
        change = numbers.choice([str, str, str.upper, str.title])
        yield Doc(nlp.vocab, words=[change(word) for word in chosen])
        doc = nlp.make_doc(text.upper() if numbers.random() < 0.1 else text)
        kind = numbers.choice(["sentences", "entities", "blocked", "both"])
        if kind in ("sentences", "both"):
            for token in doc:
                token.is_sent_start = numbers.choice([None, None, None, False, True])
        if kind != "sentences" and len(doc) and labels:
            set_entities(doc, kind, labels, numbers)
        yield doc


def set_entities(doc: Doc, kind: str, labels: list[str], numbers: random.Random) -> None:
    """Set an entity, or block a span of words."""
    start = numbers.randrange(len(doc))
    span = Span(doc, start, numbers.randint(start + 1, min(len(doc), start + 4)), label=numbers.choice(labels))
    if kind == "blocked":
        doc.set_ents([], blocked=[span], default="missing")
    else:
        doc.set_ents([span], default=numbers.choice(["missing", "outside"]))


def differences(before: Doc, after: Doc) -> Iterator[str]:
    """Name each annotation in which two Docs differ."""
    views: dict[str, Any] = {
        "entities": lambda doc: [(t.ent_iob, t.ent_type, t.ent_kb_id, t.ent_id) for t in doc],
        "tags": lambda doc: [(t.tag, t.pos, t.morph.key) for t in doc],
        "lemmas": lambda doc: [t.lemma for t in doc],
        "trees": lambda doc: [(t.head.i, t.dep, t.is_sent_start) for t in doc],
        "category": lambda doc: max(doc.cats, key=doc.cats.get, default=None),
    }
    for name, view in views.items():
        if view(before) != view(after):
            yield name


if __name__ == "__main__":
    typer.run(main)
