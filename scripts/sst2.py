"""SST-2, sentences of film reviews that praise or blame, as DocBins, and those to learn on as JSONL, too.

Socher et al. (2013), "Recursive Deep Models for Semantic Compositionality Over a Sentiment Treebank",
https://aclanthology.org/D13-1170/. The two files have whole sentences alone, a line each: `sentence<TAB>0` or 1.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path

import spacy
import srsly
import typer
from spacy.tokens import Doc, DocBin

# In the order of the files' numbers.
LABELS = ("NEGATIVE", "POSITIVE")


def main(data: Path, output: Path) -> None:
    """Write train and dev, of the folder DATA, and the text of train as distill.jsonl, to OUTPUT.

    Args:
        data: A folder with train.tsv and dev.tsv, UTF-8.
        output: Another one; made where there is none.
    """
    output.mkdir(parents=True, exist_ok=True)
    for name in ("train", "dev"):
        rows = list(read(data / f"{name}.tsv"))
        DocBin(docs=to_docs(rows)).to_disk(output / f"{name}.spacy")
        print(f"{name}: {len(rows)} sentences")
        if name == "train":
            texts = dict.fromkeys(text for text, _ in rows)
            srsly.write_jsonl(output / "distill.jsonl", [{"text": text} for text in texts])
            print(f"distill: {len(texts)} sentences")


def read(path: Path) -> Iterator[tuple[str, str]]:
    """Yield (sentence, label) for each line."""
    for line in path.read_text(encoding="utf8").rstrip("\n").split("\n"):
        text, _, number = line.rpartition("\t")
        yield text.strip(), LABELS[int(number)]


def to_docs(rows: Iterable[tuple[str, str]]) -> Iterator[Doc]:
    """Tokenize each sentence and give it its class.

    The sentences stay as the treebank has them, in lower case and with spaces between tokens, so that scores compare
    with others' on SST-2. spaCy finds the same tokens: *it 's*, *wo n't*.
    """
    nlp = spacy.blank("en")
    for text, label in rows:
        doc = nlp.make_doc(text)
        doc.cats = {name: float(name == label) for name in LABELS}
        yield doc


if __name__ == "__main__":
    typer.run(main)
