"""A German teacher from PyPI, where spaCy has none: the Hannover Tagger (hanta), whose tags a student learns.

python benchmarks/web_german.py TEACHER CONFIG
python -m spacy distill TEACHER CONFIG --code benchmarks/web_german.py ...
"""

from functools import cache
from pathlib import Path
from typing import Any

import spacy
import typer
from spacy.language import Language
from spacy.tokens import Doc

from spacy_tinydistill.student.config import student_config

PIPE = "hanta"


@cache
def load_hanta() -> Any:
    """Load the tagger, which takes some seconds."""
    from HanTa.HanoverTagger import HanoverTagger

    return HanoverTagger("morphmodel_ger.pgz")


@Language.component(PIPE, assigns=["token.tag"])
def tag_words(doc: Doc) -> Doc:
    """Tag the words of each text as those of one sentence; white space is left out."""
    tokens = [token for token in doc if not token.is_space]
    if tokens:
        tagged = load_hanta().tag_sent([token.text for token in tokens])
        for token, (_, _, tag) in zip(tokens, tagged, strict=True):
            token.tag_ = tag
    return doc


def make(teacher: Path, config: Path, size: str = "nano") -> None:
    """Write the teacher, and the config of a student that learns its tags."""
    nlp = spacy.blank("de")
    nlp.add_pipe(PIPE)
    nlp.to_disk(teacher)
    pattern = spacy.blank("de")
    pattern.add_pipe("tagger")
    written = student_config(pattern, size=size)
    written["distillation"]["student_to_teacher"] = {"tagger": PIPE}
    written.to_disk(config)


if __name__ == "__main__":
    typer.run(make)
