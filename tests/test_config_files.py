"""Configs keep every character of a path, in whichever way it is given."""

import json
import shlex
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import srsly
from confection import Config as PlainConfig
from hypothesis import assume, example, given
from hypothesis import strategies as st
from thinc.api import Config

from helpers.commands import retention, spacy_cli
from helpers.tiny_teacher import write_gold, write_texts
from spacy_tinydistill.cli._util import read_overrides
from spacy_tinydistill.config_files import config_to_text, interpolate, parse_config, read_config_file
from spacy_tinydistill.errors import DistillationError
from spacy_tinydistill.prepare import Run
from spacy_tinydistill.schemas import read_config

# Twenty characters that mean something to confection, JSON, a shell or Python, and words that do.
MEANINGS = [*"$%[]{}\"',# \\;=:&~!é", "${", "$$", "${b}", "null", "123", "1.50", "True", "\\u0024", "\t", "a"]
PATHS = st.lists(st.sampled_from(MEANINGS), min_size=1, max_size=8).map("".join)

BASE = """
[paths]
distill = null

[corpora]

[corpora.distill]
path = ${paths.distill}
"""


@contextmanager
def environment(**variables: str) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in variables.items():
            patch.setenv(name, value)
        yield


def as_two_words(path: str) -> Config:
    assume(not path.startswith("--"))
    return read_config(parse_config(BASE), read_overrides(["--paths.distill", path]))


def as_one_word(path: str) -> Config:
    return read_config(parse_config(BASE), read_overrides([f"--paths.distill={path}"]))


def in_the_environment(path: str) -> Config:
    with environment(SPACY_CONFIG_OVERRIDES=f"--paths.distill={shlex.quote(path)}"):
        return read_config(parse_config(BASE), read_overrides([]))


def in_python(path: str) -> Config:
    return read_config(parse_config(BASE), {"paths.distill": path})


def as_an_argument(path: str) -> Config:
    return Run("-", path, parse_config(BASE), {}, -1).config


def by_hand(spell: Callable[[str], str]) -> Callable[[str], Config]:
    return lambda path: parse_config(BASE.replace("distill = null", f"distill = {spell(path)}"))


WAYS = {
    "--paths.distill PATH": as_two_words,
    "--paths.distill=PATH": as_one_word,
    "SPACY_CONFIG_OVERRIDES": in_the_environment,
    "overrides": in_python,
    "an argument": as_an_argument,
    "a file with $$": by_hand(lambda path: json.dumps(path, ensure_ascii=False).replace("$", "$$")),
    "a file with JSON's escapes": by_hand(lambda path: json.dumps(path).replace("$", "\\u0024")),
}


@pytest.mark.parametrize("way", WAYS)
@given(path=PATHS)
@example("a$b")
@example("a$$b")
@example("a${b")
@example("a${b}")
@example("cost$1.50$")
@example("a$[1,2]$")
@example("123")
@example("[a]")
@example('"a"')
def test_a_path_is_what_was_given(way: str, path: str) -> None:
    # On the command line it is the word for none.
    assume(path != "null")
    config = WAYS[way](path)
    again = parse_config(config_to_text(config))
    for which in (config, again, parse_config(config_to_text(again))):
        found = interpolate(which)
        assert (found["paths"]["distill"], found["corpora"]["distill"]["path"]) == (path, path)
    # Confection reads what we write, and spaCy can do with a config what it likes.
    assert PlainConfig().from_str(config_to_text(config))["paths"]["distill"] == path
    config.interpolate()


@given(path=PATHS.filter(lambda path: "${" not in path))
@example("a$$b")
def test_what_confection_writes_is_read(path: str) -> None:
    text = PlainConfig({**parse_config(BASE), "paths": {"distill": path}}).to_str(interpolate=False)
    assert interpolate(parse_config(text))["corpora"]["distill"]["path"] == path


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("/a$b/texts.txt", "/a$b/texts.txt"),
        ('"/a$b/$$"', "/a$b/$$"),
        ("${paths.root}/a$b.txt", "/r$t/a$b.txt"),
        ('"${paths.root}/$$b.txt"', "/r$t/$b.txt"),
        ("/a\\u0024b", "/a\\u0024b"),
    ],
)
def test_what_people_write_is_read(written: str, expected: str) -> None:
    text = BASE.replace("distill = null", f'root = "/r$t"\ndistill = {written}')
    for config in (parse_config(text), parse_config(config_to_text(parse_config(text)))):
        assert interpolate(config)["corpora"]["distill"]["path"] == expected


def test_a_variable_in_an_override_is_one() -> None:
    config = read_config(parse_config(BASE), read_overrides(["--corpora.distill.path", "${paths.distill}s"]))
    config = read_config(config, read_overrides(["--paths.distill", "text"]))
    assert interpolate(config)["corpora"]["distill"]["path"] == "texts"
    with pytest.raises(DistillationError, match="TD013"):
        read_config(config, read_overrides(["--paths.distill", "--system.seed", "1"]))


def test_null_is_none_or_a_file_of_that_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert read_overrides(["--paths.distill", "null"]) == {"paths.distill": None}
    (tmp_path / "null").mkdir()
    assert read_overrides(["--paths.distill", "null"]) == {"paths.distill": "null"}


@pytest.mark.slow
@pytest.mark.parametrize("name", ["c${d}$1.50$ %[e], 'f' #\"é", "123"])
def test_a_whole_run(name: str, tiny_teacher_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything that a run takes or writes is in a folder of that name."""
    root = tmp_path / name
    root.mkdir()
    monkeypatch.chdir(tmp_path)
    (root / "teacher").symlink_to(tiny_teacher_path)
    write_texts(root / "texts.txt")
    gold = write_gold(root / "gold.spacy")
    here = Path(name)
    steps = ["--distillation.max_steps", 3]
    both = ["--paths.gold", here / "gold.spacy", "--paths.dev", gold]
    spacy_cli("distill", here / "teacher", root / "texts.txt", "-o", here / "first", *both, *steps)
    spacy_cli("distill", here / "teacher", here / "first/config.cfg", "-o", here / "second")
    distilled = root / "second/model-best/distill.cfg"
    said = spacy_cli("distill", here / "teacher", distilled, "-o", here / "third", "-t", here / "first/targets")
    assert retention(said)[0] > 0
    said = spacy_cli("distill", here / "teacher", distilled, "-o", here / "third", "--resume")
    for run in ("first", "second", "third"):
        weights = (root / run / "model-last/tagger/model").read_bytes()
        assert weights == (root / "first/model-last/tagger/model").read_bytes()
        paths = interpolate(read_config_file(root / run / "config.cfg"))["paths"]
        assert paths["distill"] == str(root / "texts.txt")
        assert (paths["gold"], paths["dev"]) == (str(here / "gold.spacy"), str(gold))
    assert srsly.read_json(root / "third/report.json")["data"]["path"] == str(gold)
