"""What is foretold of a run is what the run then comes to."""

import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers.tiny_teacher import TEXTS, write_gold, write_texts
from spacy_tinydistill import api, forecast
from spacy_tinydistill.files import bytes_on_disk
from spacy_tinydistill.prepare import Run
from spacy_tinydistill.targets.store import read_manifest

pytestmark = pytest.mark.usefixtures("little_time")


def foretell(tiny_teacher_path: Path, config: Path, **overrides: Any) -> forecast.Forecast:
    return forecast.forecast(Run(tiny_teacher_path, None, config, overrides, -1).prepare())


@pytest.mark.slow
@pytest.mark.parametrize("with_gold", [False, True])
def test_the_run_is_as_it_was_foretold(
    with_gold: bool, tiny_teacher_path: Path, ten_updates: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    paths = {}
    if with_gold:
        paths["paths.gold"] = str(write_gold(tmp_path / "gold.spacy", TEXTS[:7]))
        paths["paths.dev"] = str(write_gold(tmp_path / "dev.spacy", TEXTS[:5]))
    found = foretell(tiny_teacher_path, ten_updates, **paths)
    capsys.readouterr()
    output = tmp_path / "output"
    api.distill(tiny_teacher_path, output=output, config=ten_updates, overrides=paths)
    lines = capsys.readouterr().out.splitlines()
    rows = [line.split() for line in lines if re.match(r"\s+\d+\s+\d+\s+[\d.]", line)]
    assert found.updates == int(rows[-1][1]) + 1 == 11
    assert found.evaluations == len(rows)
    manifest = read_manifest(output / "targets")
    assert found.recorded_words == pytest.approx(manifest.words, abs=4)
    assert found.student_bytes == pytest.approx(bytes_on_disk(output / "model-best"), rel=0.01)
    assert found.checkpoint_bytes == pytest.approx((output / "checkpoint.msgpack").stat().st_size, rel=0.01)
    assert found.targets_bytes == pytest.approx(bytes_on_disk(output / "targets"), rel=0.3)
    assert found.output_bytes == pytest.approx(bytes_on_disk(output), rel=0.05)


def test_epochs_are_counted_too(tiny_teacher_path: Path, ten_updates: Path) -> None:
    """Of 34 texts in batches of ten, the last one smaller; not of the sample's size."""
    ends = {"distillation.max_steps": 0, "distillation.max_epochs": 3}
    found = foretell(tiny_teacher_path, ten_updates, **ends, **{"distillation.optimizer.learn_rate.total_steps": 9})
    assert found.updates == 3 * 4


def test_of_a_stream_only_the_dev_data_is_recorded(tiny_teacher_path: Path, ten_updates: Path, tmp_path: Path) -> None:
    dev = str(write_gold(tmp_path / "dev.spacy", TEXTS[:5]))
    found = foretell(tiny_teacher_path, ten_updates, **{"distillation.max_epochs": -1, "paths.dev": dev})
    assert found.recorded_words == 20
    assert found.updates == 11


@given(updates=st.integers(1, 200), frequency=st.integers(1, 50))
def test_evaluations_are_counted_as_the_loop_makes_them(updates: int, frequency: int) -> None:
    made = sum(step % frequency == 0 or step == updates - 1 for step in range(updates))
    assert forecast._count_evaluations(updates, frequency) == made


@pytest.mark.parametrize("with_dev", [False, True])
@pytest.mark.parametrize("with_texts", [False, True])
def test_words_are_counted_as_they_are_recorded(
    with_texts: bool, with_dev: bool, tiny_teacher_path: Path, ten_updates: Path, tmp_path: Path
) -> None:
    overrides: dict[str, Any] = {"paths.gold": str(write_gold(tmp_path / "gold.spacy", TEXTS[:20]))}
    overrides["paths.distill"] = str(write_texts(tmp_path / "texts.txt", TEXTS[20:])) if with_texts else None
    if with_dev:
        overrides["paths.dev"] = str(write_gold(tmp_path / "dev.spacy", TEXTS[:5]))
    run = Run(tiny_teacher_path, None, ten_updates, {**overrides, "distillation.hold_out": 0.25}, -1).prepare()
    counted = run.dataset.count_words()
    recorded: Counter = Counter()
    for item in run.dataset.list_records():
        recorded[item.role] += len(item)
    assert counted == {role: recorded[role] for role in counted}
