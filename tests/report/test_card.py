"""The model card in a student's package."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from spacy.language import Language

from helpers.reports import HOSTILE, spoil_names
from spacy_tinydistill.report.card import TITLE, cell, write_card, write_meta
from spacy_tinydistill.report.report import Report


def test_the_card_says_what_was_measured(report: Report) -> None:
    texts = {"names": ["distill.jsonl"], "documents": 1234}
    card = write_card({"distillation": {"texts": texts}}, report)
    assert card.startswith(TITLE)
    assert "distill.jsonl, 1,234 texts" in card
    assert "not measured" in card
    timed = {
        "timing": {"runs": 5, "words": 10},
        "speed_up": {"1": 12.34},
        "student": {**report["student"], "words_per_second": {"1": 5678.9}, "load_seconds": 1.0, "peak_memory": 5},
    }
    card = write_card({}, {**report, **timed})
    assert "5,679 words/s on one thread, 12.3 times faster" in card
    assert "Learned on" not in card


def test_the_card_is_in_the_notes_once(judge: Language, report: Report, tmp_path: Path) -> None:
    write_meta(tmp_path, {**judge.meta, "notes": "Notes of my own.\n\n"}, report)
    write_meta(tmp_path, json.loads((tmp_path / "meta.json").read_text(encoding="utf8")), report)
    notes = json.loads((tmp_path / "meta.json").read_text(encoding="utf8"))["notes"]
    assert notes.count("Notes of my own.") == 1
    assert notes.count(TITLE) == 1
    assert notes.endswith(write_card(judge.meta, report))


def markdown_cells(text: str) -> Iterator[str]:
    markdown_it = pytest.importorskip("markdown_it")
    for token in markdown_it.MarkdownIt().enable("table").parse(text):
        if token.type == "inline":
            assert all(child.type == "text" for child in token.children), token.children
            yield "".join(child.content for child in token.children)


@settings(deadline=None)
@given(st.text(st.characters(exclude_categories=("Cs",)), min_size=1, max_size=60))
def test_a_cell_says_what_it_was_given_and_nothing_else(text: str) -> None:
    expected = " ".join(text.split())
    table = f"| one | two |\n| --- | --- |\n| {cell(text)} | end |"
    assert list(markdown_cells(table)) == ["one", "two", expected.replace("\0", "\ufffd"), "end"]


def test_a_hostile_name_does_not_break_the_card(report: Report) -> None:
    hostile = spoil_names(report, HOSTILE + "\n\n# big\n| a | b |\n<img src=x>")
    card = write_card({"distillation": {"texts": {"names": [HOSTILE], "documents": None}}}, hostile)
    markdown_it = pytest.importorskip("markdown_it")
    tokens = markdown_it.MarkdownIt().enable("table").parse(card)
    kinds = {child.type for token in tokens for child in token.children or ()} | {token.type for token in tokens}
    assert not kinds & {"html_block", "html_inline", "link_open", "image", "code_inline", "fence"}
    assert [token.markup for token in tokens if token.type == "heading_open"] == ["###", "###"]
    widths = {len(row.split("td_close")) for row in " ".join(token.type for token in tokens).split("tr_close")[:-1]}
    # Two tables: of two columns and of six, as none of these scores is counted; their heads have no cells of that kind.
    assert widths == {1, 3, 7}
