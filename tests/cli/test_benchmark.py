"""`spacy benchmark distillation` from end to end."""

import json
from importlib.metadata import entry_points
from pathlib import Path

import pytest
import spacy

import spacy_tinydistill.cli.benchmark
from helpers.commands import invoke
from helpers.report_pipelines import SENTENCES, trained, write_pipelines
from spacy_tinydistill.files import bytes_on_disk
from spacy_tinydistill.report import speed


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report")
    pipes = ["tagger", "textcat"]
    write_pipelines(folder, trained(pipes, width=32), trained(pipes, width=8, steps=1))
    return folder


@pytest.mark.slow
def test_the_command(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(speed, "LOADS", 1)
    arguments = [
        "benchmark",
        "distillation",
        *(str(folder / name) for name in ("teacher", "student", "gold.spacy")),
    ]
    result = invoke(*arguments, "--output", tmp_path / "new" / "out", "--max-words", "50")

    assert result.exit_code == 0, result.output
    assert "Agreement" in result.output
    assert "Words/s, all cores" in result.output
    assert "Words/s, one thread, accelerated" in result.output
    report = json.loads((tmp_path / "new" / "out" / "report.json").read_text(encoding="utf8"))
    for role in ("teacher", "student"):
        side = report[role]
        assert side["path"] == str(folder / role)
        assert set(side["words_per_second"]) == set(side["words_per_second_runs"]) == {"1", "accelerated", "all"}
        assert all(len(runs) == 5 for runs in side["words_per_second_runs"].values())
        assert side["all_cores"] in ("threads", "processes")
        assert side["bytes"] == bytes_on_disk(folder / role)
        assert side["parameters"] > 0
        assert side["load_seconds"] > 0
        assert side["peak_memory"] > 10**7
        assert 0 < side["latency"]["p50"] <= side["latency"]["p99"]
        assert side["environment"] == "required"
        assert 0 <= side["scores"]["tag_acc"] <= 1
    assert report["speed_up"].keys() == {"1", "accelerated", "all"}
    assert report["compression"] == report["teacher"]["bytes"] / report["student"]["bytes"]
    assert report["data"]["documents"] == len(SENTENCES)
    assert report["data"]["gold"] is True
    assert report["timing"]["words"] == report["data"]["words"]
    assert report["disagreements"]
    page = (tmp_path / "new" / "out" / "report.html").read_text(encoding="utf8")
    assert "Words/s, all cores" in page
    assert result.output.strip().endswith("report.html")
    assert report["machine"]["cores"] >= 1
    assert report["versions"]["spacy"] == spacy.__version__


def test_the_command_is_registered_where_the_package_is_installed():
    commands = entry_points(group="spacy_cli")
    if "benchmark_distillation" not in commands.names:
        pytest.skip("spacy-tinydistill is not installed")
    command = commands["benchmark_distillation"].load()
    assert command is spacy_tinydistill.cli.benchmark.benchmark_distillation_cli


def test_the_command_shows_the_error_alone(folder, tmp_path):
    arguments = ["benchmark", "distillation", "no_such_pipeline", str(folder / "student")]
    result = invoke(*arguments, folder / "gold.spacy", "-o", tmp_path)
    assert result.exit_code == 1
    assert "TD401" in result.output
    assert "Traceback" not in result.output


@pytest.mark.usefixtures("without_timing")
def test_the_gate_of_a_release(folder, tmp_path):
    command = ["benchmark", "distillation", *(folder / name for name in ("teacher", "student", "gold.spacy"))]
    result = invoke(*command, "-o", tmp_path, "--min-retention", "tag_acc=1.5", "--min-speedup", "10")
    assert result.exit_code == 1
    assert "tag_acc: retention" in result.output
    assert "speed: 1.00 times" in result.output
    assert (tmp_path / "report.html").exists()
    result = invoke(*command, "-o", tmp_path, "-f", "--min-retention", "tag_acc=0.01", "--min-speedup", "1")
    assert result.exit_code == 0, result.output
