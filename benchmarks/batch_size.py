"""How many Docs at once a pipeline annotates fastest, on long and on short ones.

python benchmarks/batch_size.py PIPELINE DOCS.spacy
"""

from collections import defaultdict
from pathlib import Path
from statistics import median
from time import process_time
from typing import Annotated

import spacy
import typer
from spacy.tokens import DocBin

SIZES = (8, 16, 32, 64, 128, 256, 1000)
RUNS = 5


def main(
    pipeline: Annotated[str, typer.Argument(help="Path or package")],
    docs: Annotated[Path, typer.Argument(help="A DocBin with sentence boundaries")],
) -> None:
    """Time the texts of DOCS, and each of their sentences as a text of its own, the sizes in turn; on one thread.

    Words per second of the process's own time: the median, the smallest and the largest.
    """
    nlp = spacy.load(pipeline)
    found = list(DocBin().from_disk(docs).get_docs(nlp.vocab))
    kinds = {"documents": [doc.text for doc in found], "sentences": [sent.text for doc in found for sent in doc.sents]}
    for kind, texts in kinds.items():
        words = sum(len(nlp.make_doc(text)) for text in texts)
        rates = defaultdict(list)
        for _ in range(RUNS):
            for size in SIZES:
                start = process_time()
                for _ in nlp.pipe(texts, batch_size=size):
                    pass
                rates[size].append(words / (process_time() - start))
        print(f"{len(texts):,} {kind}")
        for size, runs in rates.items():
            print(f"  {size:,} at once: {median(runs):,.0f} words/s ({min(runs):,.0f} to {max(runs):,.0f})")


if __name__ == "__main__":
    typer.run(main)
