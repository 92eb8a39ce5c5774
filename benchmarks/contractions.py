"""How often tag and pos are right on the parts of contractions, and on other words: from raw text, end to end.

    python benchmarks/contractions.py ../shared/data/ud_english_ewt/en_ewt-ud-dev.conllu TEACHER STUDENT

A pipeline reads the treebank's text with its own tokenizer. "Found" is the share of the words that are its tokens; tag
and pos are of those, as in spaCy's scores. "its" for "it's" is two words of the treebank and one token.
"""

import sys
from collections import Counter
from pathlib import Path

import spacy
import typer
from spacy.util import minibatch
from wasabi import msg

sys.path.append(str(Path(__file__).parents[1] / "scripts"))

from ud import Word, make_doc, read

KINDS = {True: "parts of contractions", False: "other words"}


def main(conllu: Path, pipelines: list[str], sentences: int = 10) -> None:
    """Score PIPELINES on the text of the treebank CONLLU, so many sentences at a time."""
    groups = list(minibatch(read(conllu), sentences))
    rows = []
    for name in pipelines:
        counts = count(name, groups)
        for is_part, kind in KINDS.items():
            total = counts[is_part, "words"]
            found = counts[is_part, "found"]
            shares = [counts[is_part, column] / max(found, 1) for column in ("tag", "pos")]
            rows.append((name, kind, f"{total:,}", *(f"{share:.2%}" for share in (found / max(total, 1), *shares))))
    msg.table(
        rows,
        header=("pipeline", "of", "words", "found", "tag", "pos"),
        divider=True,
        aligns=("l", "l", "r", "r", "r", "r"),
    )


def count(name: str, groups: list[list[list[Word]]]) -> Counter[tuple[bool, str]]:
    """Count the words, those that are found, and those whose tag and pos are right, by whether they are parts."""
    nlp = spacy.load(name)
    gold = [make_doc(nlp.vocab, group) for group in groups]
    counts: Counter[tuple[bool, str]] = Counter()
    docs = nlp.pipe(doc.text for doc in gold)
    for group, expected, doc in zip(groups, gold, docs, strict=True):
        tokens = {(token.idx, len(token)): token for token in doc}
        words = (word for sentence in group for word in sentence)
        for word, reference in zip(words, expected, strict=True):
            found = tokens.get((reference.idx, len(reference)))
            counts[word.is_part, "words"] += 1
            counts[word.is_part, "found"] += found is not None
            counts[word.is_part, "tag"] += found is not None and found.tag == reference.tag
            counts[word.is_part, "pos"] += found is not None and found.pos == reference.pos
    return counts


if __name__ == "__main__":
    typer.run(main)
