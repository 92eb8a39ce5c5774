"""Sentences of reviews, editorials and tweets, to distil on where a treebank alone is too little text.

From the data of Hutto and Gilbert (2014), "VADER: A Parsimonious Rule-based Model for Sentiment Analysis of Social
Media Text", whose ratings nobody needs here: `id<TAB>rating<TAB>text` a line, with a header. The films' sentences are
those of SST-2, also of its dev and test data: whoever is scored on these must not learn on them.
"""

import html
from collections.abc import Iterator
from pathlib import Path

import srsly
import typer


def main(output: Path, snippets: list[Path]) -> None:
    """Write the texts of the files SNIPPETS, each text once, as JSONL to OUTPUT."""
    texts = dict.fromkeys(text for path in snippets for text in read(path))
    output.parent.mkdir(parents=True, exist_ok=True)
    srsly.write_jsonl(output, [{"text": text} for text in texts])
    print(f"{output}: {len(texts)} texts, {sum(len(text.split()) for text in texts)} words")


def read(path: Path) -> Iterator[str]:
    """Yield the text of each line, with characters for the HTML entities that tweets are full of."""
    for line in path.read_text(encoding="utf8").splitlines()[1:]:
        yield html.unescape(line.split("\t", 2)[2]).strip()


if __name__ == "__main__":
    typer.run(main)
