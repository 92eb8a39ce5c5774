"""The examples run, and their students learn what they are said to learn."""

from pathlib import Path
from types import ModuleType
from typing import Any

import nbformat
import pytest
import srsly
from nbclient import NotebookClient
from spacy.util import import_file

from helpers.paths import ROOT


def example(name: str) -> ModuleType:
    return import_file(name, ROOT / "examples" / f"{name}.py")


@pytest.mark.slow
def test_an_llm_and_a_person(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("spacy_llm", reason="needs spacy-llm")
    llm = example("llm_teacher")
    student = llm.main(tmp_path)
    for text in llm.TEXTS:
        doc = student(text)
        person, verb, _, place = text.split()
        # Nobody said anything of Bob, and a person that Rio is one, which the LLM takes for a place.
        if person != "Bob":
            assert [(ent.text, ent.label_) for ent in doc.ents] == [(person, "PERSON"), (place, "PLACE")]
        assert max(doc.cats, key=lambda label: doc.cats[label]) == llm.MOODS[verb]
    assert "texts the teacher gave no answer that ner could learn" in capsys.readouterr().out


@pytest.mark.slow
def test_several(tmp_path: Path) -> None:
    several = example("several_teachers")
    student = several.main(tmp_path)
    assert [one["name"] for one in student.meta["distillation"]["teachers"]] == ["teacher_1", "teacher_2"]
    assert student.meta["distillation"]["agreement"]["ents_f"] > 0.8
    report = srsly.read_json(tmp_path / "student" / "report.json")
    assert report["teacher"]["name"] == "en_teacher_1"


@pytest.mark.slow
def test_the_notebook(tmp_path: Path) -> None:
    """It runs in an empty folder, all but the cell that installs, and answers as it says."""
    notebook = nbformat.read(ROOT / "examples" / "quickstart.ipynb", as_version=4)
    expected = [answer_of(cell) for cell in notebook.cells]
    assert sum(answer is not None for answer in expected) == 3
    NotebookClient(notebook, timeout=600, resources={"metadata": {"path": str(tmp_path)}}).execute()
    for cell, answer in zip(notebook.cells, expected, strict=True):
        assert answer is None or answer_of(cell) == answer
    assert any("<iframe" in output.get("data", {}).get("text/html", "") for output in notebook.cells[-3].outputs)


def answer_of(cell: Any) -> str | None:
    """The value of a cell's last line, where it is shown as text alone."""
    shown = [output.data for output in cell.get("outputs", ()) if output.output_type == "execute_result"]
    return shown[0]["text/plain"] if shown and "text/html" not in shown[0] else None
