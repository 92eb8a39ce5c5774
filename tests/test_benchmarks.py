"""The benchmark script runs, with both sides of each ratio; its figures are nobody's concern here."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from tiny_teacher import make_teacher, write_texts

THROUGHPUT = Path(__file__).parents[1] / "benchmarks" / "throughput.py"


@pytest.mark.slow
def test_throughput_has_both_sides(tmp_path):
    make_teacher().to_disk(tmp_path / "teacher")
    texts = write_texts(tmp_path / "texts.txt")
    command = [sys.executable, THROUGHPUT, "--teacher", tmp_path / "teacher", "--texts", texts]
    command += ["--output", tmp_path / "out", "--words", 200, "--repeats", 2, "--sizes", "100,200"]
    result = subprocess.run([str(part) for part in command], capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr
    report = json.loads((tmp_path / "out" / "throughput.json").read_text())

    assert [comparison["title"] for comparison in report["comparisons"]] == ["Recording", "Training"]
    for comparison in report["comparisons"]:
        assert len(comparison["words_per_second"]) == 2
        for side in (*comparison["words_per_second"].values(), comparison["ratio"]):
            assert 0 < side["min"] <= side["median"] <= side["max"]
            assert len(side["runs"]) == 2
    for what in ("recording", "training"):
        assert [run["words"] for run in report["growth"][what]["runs"]] == [100, 200]
        assert all(run["seconds"] > 0 and run["peak_memory"] > 0 for run in report["growth"][what]["runs"])
    # There is no interpreter with spaCy 4 here.
    assert "--v4-python" in report["left_out"]
    assert "<svg" in (tmp_path / "out" / "throughput.svg").read_text()
    # What was recorded in between is gone.
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["throughput.json", "throughput.svg"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("script", "options", "said"),
    [
        ("killed_training.py", ["--kills", "1", "--steps", "4", "--eval-frequency", "2"], "these differ: none"),
        ("memory.py", ["--minutes", "0", "--warm-up", "0", "--every", "1"], "+0.00%"),
    ],
)
def test_scripts_of_reliability_run(script, options, said, tmp_path):
    make_teacher().to_disk(tmp_path / "teacher")
    texts = write_texts(tmp_path / "texts.txt")
    command = [sys.executable, THROUGHPUT.with_name(script), tmp_path / "teacher", texts, *options]
    result = subprocess.run([str(part) for part in command], capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr
    assert said in result.stdout
