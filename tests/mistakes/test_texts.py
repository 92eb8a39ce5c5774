"""What is wrong with the texts to learn on, or with those to be scored on."""

from collections.abc import Callable
from pathlib import Path

import pytest

from helpers.commands import assert_refused
from helpers.mistakes import Mistakes, World
from helpers.tiny_teacher import TEXTS, write_gold, write_texts
from spacy_tinydistill import distill
from spacy_tinydistill.errors import DistillationError

mistake = Mistakes()


@mistake("TD101", "--paths.distill")
def no_texts(world: World) -> None:
    world.config["paths"]["distill"] = None


@mistake("TD102", "missing.jsonl")
def missing_texts(world: World) -> None:
    world.args = ["--paths.distill", "missing.jsonl"]


@mistake("TD102", "missing.spacy")
def missing_gold(world: World) -> None:
    world.args = ["--paths.gold", "missing.spacy"]


@mistake("TD102", "missing.spacy")
def missing_gold_of_a_stream(world: World) -> None:
    """A stream is not read to its end first, but that its gold is missing is known."""
    world.config["paths"]["dev"] = str(write_gold(world.folder / "dev.spacy"))
    write_texts(world.texts, TEXTS * 30)
    world.args = ["--distillation.max_epochs", "-1", "--paths.gold", "missing.spacy"]


@mistake("TD102", "missing.spacy")
def missing_dev(world: World) -> None:
    world.args = ["--paths.dev", "missing.spacy"]


@mistake("TD103", ".jsonl", ".spacy")
def folder_without_texts(world: World) -> None:
    (world.folder / "empty").mkdir()
    world.args = ["--paths.distill", str(world.folder / "empty")]


@mistake("TD104", "texts.xlsx", ".jsonl")
def texts_of_another_kind(world: World) -> None:
    world.args = ["--paths.distill", str(write_texts(world.folder / "texts.xlsx"))]


@mistake("TD104", "dev.txt", ".spacy")
def dev_of_another_kind(world: World) -> None:
    world.args = ["--paths.dev", str(write_texts(world.folder / "dev.txt"))]


@mistake("TD105", "line 2", "skip_bad_lines")
def line_that_is_no_json(world: World) -> None:
    (world.folder / "texts.jsonl").write_text('{"text": "one"}\n{"text": \n')
    world.args = ["--paths.distill", str(world.folder / "texts.jsonl")]


@mistake("TD105", "line 1501")
def line_that_is_no_json_far_down(world: World) -> None:
    (world.folder / "texts.jsonl").write_text('{"text": "one"}\n' * 1500 + "oops\n")
    world.args = ["--paths.distill", str(world.folder / "texts.jsonl")]


@mistake("TD106", "line 2", "its keys are txt", "'text'")
def line_that_has_no_text(world: World) -> None:
    (world.folder / "texts.jsonl").write_text('{"text": "one"}\n{"txt": "two"}\n')
    world.args = ["--paths.distill", str(world.folder / "texts.jsonl")]


@mistake("TD106", "line 2", "is null", "'text'")
def text_that_is_null(world: World) -> None:
    (world.folder / "texts.jsonl").write_text('{"text": "one"}\n{"text": null}\n')
    world.args = ["--paths.distill", str(world.folder / "texts.jsonl")]


@mistake("TD130", "line 31", "has 3 fields", "header has 2", "','", "--corpora.distill.delimiter")
def comma_without_quotes(world: World) -> None:
    write_csv(world, *(f"{i},text {i}" if i != 29 else f"{i},text, and more" for i in range(60)))


@mistake("TD131", "line 31", "never closed", "--corpora.distill.quoting QUOTE_NONE")
def quote_that_is_not_closed(world: World) -> None:
    write_csv(world, *(f"{i},text {i}" if i != 29 else f'{i},"text {i}' for i in range(60)))


@mistake("TD131", "line 3", "--corpora.distill.escapechar '\\'")
def quotes_with_a_backslash(world: World) -> None:
    write_csv(world, "1,text", '2,"a \\"text\\", and more"')


@mistake("TD131", "line 3", "quotes in this file are characters like others")
def other_quotes_than_were_said(world: World) -> None:
    write_csv(world, "1,text", '2,"a "text", and more"')
    world.args += ["--corpora.distill.escapechar", "\\"]


@mistake("TD132", "'text'")
def two_columns_of_one_name(world: World) -> None:
    write_csv(world, "1,2", header="text,text")


@mistake("TD110", "id;text", "--corpora.distill.delimiter")
def semicolons_where_commas_were_said(world: World) -> None:
    write_csv(world, "1;2", header="id;text")
    world.args += ["--corpora.distill.delimiter", ","]


@mistake("TD004", "delimiter is '||'", "one character")
def delimiter_of_two_characters(world: World) -> None:
    world.args = ["--corpora.distill.delimiter", "||"]


def write_csv(world: World, *rows: str, header: str = "id,text") -> None:
    (world.folder / "texts.csv").write_text("\n".join([header, *rows]) + "\n", encoding="utf8")
    world.args = ["--paths.distill", str(world.folder / "texts.csv")]


@mistake("TD107", "texts.txt")
def empty_texts(world: World) -> None:
    world.texts.write_text(" \n\t\n")


@mistake("TD108", "dev.spacy")
def dev_that_is_broken(world: World) -> None:
    (world.folder / "dev.spacy").write_bytes(write_gold(world.folder / "gold.spacy").read_bytes()[:50])
    world.args = ["--paths.dev", str(world.folder / "dev.spacy")]


@mistake("TD109", "--paths.dev")
def one_text_and_no_dev_corpus(world: World) -> None:
    write_texts(world.texts, TEXTS[:1])


@pytest.mark.parametrize(("spoil", "code", "facts"), mistake)
@pytest.mark.usefixtures("no_teacher_runs")
def test_a_mistake_is_named_before_the_teacher_runs(
    spoil: Callable[[World], None], code: str, facts: tuple[str, ...], world: World
) -> None:
    spoil(world)
    assert_refused(world.run(), code, *facts)


@pytest.mark.usefixtures("no_teacher_runs")
@pytest.mark.parametrize(
    ("texts", "code"),
    [([], "TD101"), ([""], "TD101"), (["one"], "TD109"), ("missing.txt", "TD102"), (Path("missing.txt"), "TD102")],
)
def test_mistakes_in_python_are_the_same_errors(texts: object, code: str, tmp_path: Path, teachers: Path) -> None:
    with pytest.raises(DistillationError) as caught:
        distill(str(teachers / "all"), texts, output=tmp_path / "output")
    assert caught.value.code == code
    assert isinstance(caught.value, ValueError)
