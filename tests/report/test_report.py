"""A report on disk, in a notebook, and beside those of other students."""

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.pages import Elements
from spacy_tinydistill.errors import DistillationError
from spacy_tinydistill.report.html import to_html
from spacy_tinydistill.report.report import HTML_NAME, JSON_NAME, Report, find_tried


def test_a_notebook_shows_the_page_in_a_frame(report: Report) -> None:
    frame = Elements(report._repr_html_())
    assert frame.found == [("iframe", ("title", "sandbox", "style", "srcdoc"))]
    assert frame.page == to_html(report)
    assert isinstance(report, dict)


def test_json_and_page_are_written(report: Report, tmp_path: Path) -> None:
    report.write(tmp_path)
    assert json.loads((tmp_path / JSON_NAME).read_text(encoding="utf8")) == report
    assert (tmp_path / HTML_NAME).read_text(encoding="utf8") == to_html(report)
    with pytest.raises(DistillationError, match="TD408"):
        report.write(tmp_path / JSON_NAME)


TEACHER = {"name": "en_teacher", "version": "1.0", "pipeline": ["tagger"], "bytes": 2_000_000}


def write_tried(folder: Path, name: str, **changes: object) -> None:
    (folder / name).mkdir(parents=True)
    student = {"name": "en_student", "bytes": 1000}
    found = {"teacher": TEACHER, "student": student, "overall": {"retention": 0.9, "agreement": None}}
    (folder / name / JSON_NAME).write_text(json.dumps(found | changes), encoding="utf8")


def test_other_students_of_the_teacher(report: Report, tmp_path: Path) -> None:
    for name in ("b", "a", "own"):
        write_tried(tmp_path, name)
    write_tried(tmp_path, "of-another", teacher=TEACHER | {"name": "en_other"})
    # Of another task, where `spacy train` has given its teacher the same name.
    write_tried(tmp_path, "of-a-namesake", teacher=TEACHER | {"bytes": 1_999_999})
    write_tried(tmp_path, "strange", student={"name": 5, "bytes": "many"})
    found = find_tried(tmp_path / "own", TEACHER)
    assert found == [
        {"folder": name, "name": "en_student", "bytes": 1000, "retention": 0.9, "agreement": None}
        for name in ("a", "b")
    ]
    page = "".join(Elements(to_html({**report, "tried": found})).text)
    assert "2. a: en_student" in page
    unknown = {**report, "tried": found, "student": report["student"] | {"bytes": None}}
    assert "2. a: en_student" not in to_html(unknown)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["name", "bytes", "retention", "agreement"]), inner)
    ),
    max_leaves=6,
)


@settings(deadline=None, max_examples=50)
@given(st.dictionaries(st.sampled_from(["teacher", "student", "overall"]), json_values) | json_values)
def test_a_report_of_somebody_elses_making(tmp_path_factory: pytest.TempPathFactory, found: object) -> None:
    folder = tmp_path_factory.mktemp("tried")
    (folder / "other").mkdir()
    (folder / "other" / JSON_NAME).write_text(json.dumps(found), encoding="utf8")
    for student in find_tried(folder / "own", TEACHER):
        assert set(student) == {"folder", "name", "bytes", "retention", "agreement"}
