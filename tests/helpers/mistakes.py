"""A run that would go well, and tables of the mistakes that spoil it."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from spacy.language import Language
from spacy.tokens import Doc
from spacy.util import registry
from thinc.api import Config
from typer.testing import Result

from helpers.commands import invoke
from helpers.tiny_teacher import write_texts


@registry.tokenizers("tests.SplitAtSpaces.v1")
def split_at_spaces() -> Callable[[Language], Callable[[str], Doc]]:
    def tokenizer_of(nlp: Language) -> Callable[[str], Doc]:
        def tokenize(text: str) -> Doc:
            words = text.split()
            return Doc(nlp.vocab, words=words, spaces=[True] * (len(words) - 1) + [False] if words else [])

        return tokenize

    return tokenizer_of


@dataclass
class World:
    """A run that would go well; a mistake is a function that spoils it."""

    folder: Path
    teachers: Path
    config: Config
    args: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.teacher = str(self.teachers / "all")
        self.output = self.folder / "output"
        self.config_path = self.folder / "config.cfg"
        self.texts = write_texts(self.folder / "texts.txt")
        self.config["paths"]["distill"] = str(self.texts)
        self.config["distillation"]["max_steps"] = 2

    def run(self) -> Result:
        if not self.config_path.exists():
            self.config.to_disk(self.config_path, interpolate=False)
        return invoke("distill", self.teacher, self.config_path, "--output", self.output, *self.args)


class Mistakes(list):
    """A table of functions that each spoil a world, with the error's number and what its message has to say."""

    def __call__(self, code: str, *facts: str, **marks: Any) -> Callable:
        """Add a function to the table."""

        def register(spoil: Callable[[World], None]) -> Callable[[World], None]:
            self.append(pytest.param(spoil, code, facts, id=f"{code}-{spoil.__name__}", **marks))
            return spoil

        return register
