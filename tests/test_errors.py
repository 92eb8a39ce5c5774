"""The catalogue of errors: each message is raised, gets what it names, and is documented where it is named."""

import ast
import re
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from string import Formatter

import pytest

import spacy_tinydistill
from spacy_tinydistill.errors import MESSAGES, DistillationError
from spacy_tinydistill.pipes.pipeline import load_teacher

SOURCES = sorted(Path(spacy_tinydistill.__file__).parent.rglob("*.py"))


def find_raised() -> Iterator[tuple[str, set[str], str]]:
    """Every `DistillationError("TD...", key=...)` in the package: code, keys, place."""
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "DistillationError":
                code = node.args[0]
                assert isinstance(code, ast.Constant), f"{path}:{node.lineno}: the code is no literal"
                yield code.value, {keyword.arg for keyword in node.keywords}, f"{path.name}:{node.lineno}"


def test_every_message_is_raised_and_every_code_raised_has_a_message() -> None:
    assert {code for code, _, _ in find_raised()} == set(MESSAGES)


def test_every_message_gets_the_values_that_it_names() -> None:
    for code, keys, place in find_raised():
        named = {re.split(r"[.\[]", name)[0] for _, name, _, _ in Formatter().parse(MESSAGES[code]) if name}
        assert keys == named, f"{code} in {place}"


def test_codes_named_in_docstrings_exist() -> None:
    for path in SOURCES:
        assert set(re.findall(r"\bTD\d+\b", path.read_text(encoding="utf8"))) <= set(MESSAGES)


def test_an_error_comes_out_of_another_process_as_it_went_in(tmp_path: Path) -> None:
    """As from a worker of Ray's, whose arguments are not those that made the message."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        error = pool.submit(load_teacher, str(tmp_path / "nowhere")).exception()
    assert isinstance(error, DistillationError)
    assert error.code == "TD201"
    with pytest.raises(DistillationError) as here:
        load_teacher(str(tmp_path / "nowhere"))
    assert str(error) == str(here.value)
    assert "nowhere" in str(error)
