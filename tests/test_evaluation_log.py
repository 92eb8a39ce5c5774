"""The log of a run's evaluations."""

import json
from pathlib import Path

from spacy_tinydistill.evaluation_log import CURVE_NAME, add_point, cut_back, read_curve


def point_at(step: int) -> dict:
    return {
        "step": step,
        "epoch": 0,
        "words": 9,
        "seconds": 1.5,
        "losses": {"ner": 2.0},
        "score": 0.5,
        "other_scores": {},
    }


def test_a_point_before_the_first_update_is_none_of_ours(tmp_path: Path) -> None:
    add_point(tmp_path / CURVE_NAME, point_at(-1))
    add_point(tmp_path / CURVE_NAME, point_at(0))
    assert [point["step"] for point in read_curve(tmp_path / CURVE_NAME)] == [0]


def test_a_curve_is_cut_back_to_where_a_run_goes_on(tmp_path: Path) -> None:
    path = tmp_path / CURVE_NAME
    for step in (0, 10, 20, 30):
        add_point(path, point_at(step))
    with path.open("a") as file:
        file.write('{"step": 40, "epo')
    cut_back(path, 20)
    add_point(path, point_at(30))
    assert [json.loads(line)["step"] for line in path.read_text().splitlines()] == [0, 10, 20, 30]
    cut_back(path, -1)
    assert path.read_text() == ""
