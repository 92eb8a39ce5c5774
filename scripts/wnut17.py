"""WNUT 2017, emerging and rare entities (https://aclanthology.org/W17-4418/): two columns to a DocBin.

`spacy convert -c ner` reads the training file as one long text, for its messages are parted by lines with a tab.
"""

from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

import spacy
import typer
from spacy.tokens import Doc, DocBin


def main(conll: Path, output: Path) -> None:
    """Write the messages of CONLL, `token<TAB>BIO label` a line, to the DocBin OUTPUT, a Doc each."""
    vocab = spacy.blank("en").vocab
    docs = [Doc(vocab, words=words, ents=labels) for words, labels in read(conll)]
    output.parent.mkdir(parents=True, exist_ok=True)
    DocBin(docs=docs).to_disk(output)
    print(f"{output}: {len(docs)} messages, {sum(len(doc.ents) for doc in docs)} entities")


def read(path: Path) -> Iterator[tuple[list[str], list[str]]]:
    """Yield the tokens and the labels of each message."""
    for has_token, lines in groupby(path.read_text(encoding="utf8").split("\n"), key=lambda line: bool(line.strip())):
        if has_token:
            rows = [line.rstrip().split("\t") for line in lines]
            yield [row[0] for row in rows], [row[1] for row in rows]


if __name__ == "__main__":
    typer.run(main)
