"""A UD treebank to a DocBin, with the words that spaCy's tokenizer makes.

`spacy convert -T` makes one token of every contraction ("didn't", tagged VBD_RB), where spaCy's English tokenizer makes
two: no model learns them, and no score counts them. Here the words of a multiword token stay words if their forms spell
it ("did" + "n't"). They are merged if they do not, as German "zum" = "zu" + "dem".
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import spacy
import typer
from spacy.tokens import Doc, DocBin
from spacy.util import minibatch
from spacy.vocab import Vocab

# What is in a line of CoNLL-U: https://universaldependencies.org/format.html
ID, FORM, LEMMA, UPOS, XPOS, FEATS, HEAD, DEPREL, _DEPS, MISC = range(10)
ATTRIBUTES = ["ORTH", "SPACY", "TAG", "POS", "MORPH", "LEMMA", "DEP", "HEAD", "SENT_START"]


@dataclass
class Word:
    """One token of a sentence."""

    form: str
    has_space: bool  # After it
    tag: str
    pos: str
    morph: str
    lemma: str
    dep: str
    head: int  # The index of a word of the sentence; its own for the root
    is_part: bool = False  # Of a contraction


Row = list[str]


def main(conllu: Path, output: Path, lang: str = "en", sentences: int = 10) -> None:
    """Write the treebank CONLLU to the DocBin OUTPUT, of so many sentences a Doc."""
    found = list(read(conllu))
    vocab = spacy.blank(lang).vocab
    docs = [make_doc(vocab, batch) for batch in minibatch(found, sentences)]
    output.parent.mkdir(parents=True, exist_ok=True)
    DocBin(ATTRIBUTES, docs=docs).to_disk(output)
    words = [word for sentence in found for word in sentence]
    parts = sum(word.is_part for word in words)
    print(f"{output}: {len(docs)} Docs, {len(found)} sentences, {len(words)} words, {parts} of contractions")


def read(path: Path) -> Iterator[list[Word]]:
    """Yield the words of each sentence."""
    lines = enumerate(path.read_text(encoding="utf-8-sig").split("\n"), start=1)
    for is_sentence, numbered in groupby(lines, key=lambda line: bool(line[1].strip())):
        if is_sentence:
            rows = []
            for number, line in numbered:
                row = line.rstrip("\r").split("\t")
                if line.startswith("#"):
                    continue
                if len(row) != 10:
                    raise typer.BadParameter(f"{path}, line {number} has {len(row)} columns. CoNLL-U has 10.")
                rows.append(row)
            if rows:
                yield _make_sentence(rows)


def make_doc(vocab: Vocab, sentences: list[list[Word]]) -> Doc:
    """Make a Doc of some sentences."""
    words: list[Word] = []
    heads: list[int] = []
    for sentence in sentences:
        heads += [len(words) + word.head for word in sentence]
        words += sentence
    return Doc(
        vocab,
        words=[word.form for word in words],
        spaces=[word.has_space for word in words],
        tags=[word.tag for word in words],
        pos=[word.pos for word in words],
        morphs=[word.morph for word in words],
        lemmas=[word.lemma for word in words],
        deps=[word.dep for word in words],
        heads=heads,
    )


def _make_sentence(rows: list[Row]) -> list[Word]:
    # Neither multiword tokens ("1-2") nor words that were left out ("8.1").
    syntactic = [row for row in rows if row[ID].isdigit()]
    # From 0; a root, or a word of which it is not said, is its own head.
    heads = [i if row[HEAD] in ("0", "_") else int(row[HEAD]) - 1 for i, row in enumerate(syntactic)]
    contractions = {}
    for row in rows:
        if "-" in row[ID]:
            first, last = map(int, row[ID].split("-"))
            contractions[first - 1] = (last, row)
    groups: list[tuple[range, Row | None]] = []  # The rows of a word, and the surface of those that are merged
    parts: set[int] = set()
    glued: set[int] = set()
    i = 0
    while i < len(syntactic):
        last, row = contractions.get(i, (i + 1, None))
        if row is None:
            groups.append((range(i, i + 1), None))
        elif "".join(part[FORM] for part in syntactic[i:last]) == row[FORM]:
            groups += [(range(k, k + 1), None) for k in range(i, last)]
            parts |= set(range(i, last))
            glued |= set(range(i, last - 1))
            # Whether there is a space is said of the whole.
            syntactic[last - 1] = [*syntactic[last - 1][:MISC], row[MISC]]
        else:
            groups.append((range(i, last), row))
        i = last
    place = {k: index for index, (group, _) in enumerate(groups) for k in group}
    words = []
    for index, (group, surface) in enumerate(groups):
        top = next((k for k in group if heads[k] not in group or heads[k] == k), group[0])
        head = place[heads[top]]
        row = syntactic[top]
        words.append(
            Word(
                form=surface[FORM] if surface else row[FORM],
                has_space=top not in glued and "SpaceAfter=No" not in (surface or row)[MISC].split("|"),
                # As spaCy's own converter: the universal tag where the treebank has no other.
                tag="_".join(syntactic[k][XPOS if syntactic[k][XPOS] != "_" else UPOS] for k in group),
                pos="" if row[UPOS] == "_" else row[UPOS],
                morph="" if row[FEATS] == "_" else row[FEATS],
                lemma=surface[FORM].lower() if surface else row[LEMMA],
                dep="ROOT" if head == index else row[DEPREL],
                head=head,
                is_part=top in parts,
            )
        )
    return words


if __name__ == "__main__":
    typer.run(main)
