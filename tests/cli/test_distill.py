"""The commands from end to end, on a teacher on disk, as people type them."""

import re
import shlex
from pathlib import Path

import catalogue
import pytest
import spacy
import srsly
from spacy.tokens import DocBin
from spacy.training import Example
from spacy.util import load_config

from helpers.commands import invoke, retention, spacy_cli, spacy_process
from helpers.tiny_teacher import LANGUAGE, TEXTS, annotate_gold, write_gold, write_texts
from spacy_tinydistill.evaluation_log import read_curve
from spacy_tinydistill.files import bytes_on_disk
from spacy_tinydistill.report.size import count_parameters

# Enough for a student of these 36 texts.
SHORT = ["--distillation.max_steps", "30", "--training.eval_frequency", "15"]
SHORT += ["--distillation.optimizer.learn_rate.warmup_steps", "5", "--distillation.batcher.size", "60"]

CODE = """
from spacy.util import registry
from spacy_tinydistill.components.token_labels import TokenLabels

@registry.batchers("tests.FiveByFive.v1")
def five_by_five():
    def batch(examples):
        examples = list(examples)
        for start in range(0, len(examples), 5):
            yield examples[start : start + 5]
    return batch

@registry.teaching_rules("a_test.LoudLabels.v1")
def loud_labels(volume: int):
    class LoudLabels(TokenLabels):
        def record(self, teacher, docs):
            print("LOUD " * volume)
            return super().record(teacher, docs)
    return LoudLabels(temperature=2.0, top_k=0)
"""


@pytest.fixture(scope="module")
def config_path(tiny_teacher_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("config") / "student.cfg"
    spacy_cli("init", "distill-config", tiny_teacher_path, path, "--size", "nano")
    return path


def test_from_a_teacher_to_a_student(tiny_teacher_path: Path, tmp_path: Path) -> None:
    """The two commands, each in a process of its own, found by their entry points."""
    config_path, output = tmp_path / "student.cfg", tmp_path / "output"
    said = spacy_process("init", "distill-config", tiny_teacher_path, config_path, "--size", "nano")
    assert "tok2vec, tagger, ner, textcat" in " ".join(said.split())
    texts = write_texts(tmp_path / "texts.txt")
    said = spacy_process(
        "distill", tiny_teacher_path, config_path, "--output", output, "--paths.distill", texts, *SHORT
    )

    table = [line.split() for line in said.splitlines() if re.match(r"\s+\d+\s+\d+\s+[\d.]", line)]
    assert [int(row[1]) for row in table] == [0, 15, 30]
    assert "LOSS TAGGER" in said
    kept, student_score, teacher_score = retention(said)
    assert "held-out texts" in said
    # Against itself, the teacher is right.
    assert teacher_score == 1.0
    assert kept == pytest.approx(student_score / teacher_score, abs=0.001)
    assert kept > 0.7

    assert sorted(path.name for path in output.iterdir()) == [
        "checkpoint.msgpack",
        "config.cfg",
        "model-best",
        "model-last",
        "report.html",
        "report.json",
        "scores.jsonl",
        "targets",
    ]
    assert str(output / "report.html") in said
    # The commands that come next can be given as they stand.
    commands = [shlex.split(line) for line in said.splitlines() if line.startswith("  python -m spacy ")]
    assert [words[3] for words in commands] == ["benchmark", "package", "distill"]
    more = commands[2][3:]
    more[more.index("--distillation.max_steps") + 1] = "31"
    assert "Retention" in spacy_cli(*more)
    report = srsly.read_json(output / "report.json")
    assert report["overall"]["agreement"] == pytest.approx(kept, abs=0.001)
    assert report["data"] == {"path": None, "gold": False, "documents": 2, "words": 8}
    for role, path in (("teacher", tiny_teacher_path), ("student", output / "model-best")):
        assert report[role]["bytes"] == pytest.approx(bytes_on_disk(path), rel=0.01)
        assert report[role]["parameters"] == count_parameters(spacy.load(path))
    assert [point["step"] for point in report["learning_curve"]] == [0, 15, 30]
    assert max(point["score"] for point in report["learning_curve"]) == pytest.approx(student_score, abs=0.0001)
    assert set(report["labels"]) == {"tagger", "ner", "textcat"}
    assert f"benchmark distillation {tiny_teacher_path}" in (output / "report.html").read_text(encoding="utf8")
    card = srsly.read_json(output / "model-best" / "meta.json")["notes"]
    assert "34 texts" in card
    assert "tiny\\_teacher 1.2.3" in card
    config = load_config(output / "config.cfg")
    assert config["distillation"]["max_steps"] == 30
    assert config["training"]["eval_frequency"] == 15
    assert config["paths"]["distill"] == str(texts)
    assert spacy.load(output / "model-last").pipe_names == ["tok2vec", "tagger", "ner", "textcat"]
    student, teacher = spacy.load(output / "model-best"), spacy.load(tiny_teacher_path)
    assert student.meta["distillation"]["teacher"]["name"] == "tiny_teacher"
    for text in TEXTS:
        ours, theirs = student(text), teacher(text)
        assert [token.tag_ for token in ours] == [token.tag_ for token in theirs]


@pytest.mark.slow
def test_a_written_run_can_be_run_again(tiny_teacher_path: Path, config_path: Path, tmp_path: Path) -> None:
    """The config in the output folder makes the same student."""
    texts = write_texts(tmp_path / "texts.txt")
    steps = ["--distillation.max_steps", "3"]
    spacy_cli("distill", tiny_teacher_path, config_path, "-o", tmp_path / "a", "--paths.distill", texts, *steps)
    spacy_cli("distill", tiny_teacher_path, tmp_path / "a" / "config.cfg", "-o", tmp_path / "b")
    for name in ("tagger/model", "textcat/model", "tok2vec/model", "vocab/strings.json"):
        assert (tmp_path / "a/model-last" / name).read_bytes() == (tmp_path / "b/model-last" / name).read_bytes()


def test_a_file_of_ones_own_functions(
    tiny_teacher_path: Path, config_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A rule that has to be told its volume is not chosen for other pipes, though it comes first in the alphabet."""
    (tmp_path / "functions.py").write_text(CODE)
    config = load_config(config_path, interpolate=False)
    config["distillation"]["batcher"] = {"@batchers": "tests.FiveByFive.v1"}
    config["distillation"]["teaching"] = {"tagger": {"@teaching_rules": "a_test.LoudLabels.v1", "volume": 3}}
    config.to_disk(tmp_path / "student.cfg")
    # What the file registers is forgotten again.
    monkeypatch.setattr(catalogue, "REGISTRY", dict(catalogue.REGISTRY))
    texts = write_texts(tmp_path / "texts.txt")
    command = [
        "distill",
        tiny_teacher_path,
        tmp_path / "student.cfg",
        "-o",
        tmp_path / "output",
        "--paths.distill",
        texts,
    ]
    # 34 texts that are not held out are 7 batches of 5, of which the first is step 0.
    said = spacy_cli(*command, "--code", tmp_path / "functions.py", "--distillation.max_steps", "7")
    assert "LOUD LOUD LOUD" in said
    rows = [line.split() for line in said.splitlines() if re.match(r"\s+\d+\s+\d+\s+[\d.]", line)]
    assert [row[:2] for row in rows] == [["0", "0"], ["1", "7"]]


@pytest.mark.slow
def test_gold_to_learn_on_and_to_be_scored_on(tiny_teacher_path: Path, config_path: Path, tmp_path: Path) -> None:
    """The gold says SAD where the teacher says GLAD; its weight decides whom the student believes."""
    nlp = spacy.blank(LANGUAGE)
    docs = [annotate_gold(nlp, text).reference for text in TEXTS]
    for doc in docs:
        doc.cats = {label: 1.0 - value for label, value in doc.cats.items()}
    gold = tmp_path / "gold.spacy"
    DocBin(docs=docs).to_disk(gold)
    scores = {}
    texts = write_texts(tmp_path / "texts.txt")
    for weight in (0.0, 20.0):
        output = tmp_path / f"output-{weight}"
        said = spacy_cli(
            "distill", tiny_teacher_path, config_path, "-o", output, "--paths.distill", texts,
            "--paths.gold", gold, "--paths.dev", gold, "--distillation.gold_weight", weight, *SHORT,
        )  # fmt: skip
        assert "Retention on the dev data" in " ".join(said.split())
        kept, student_score, teacher_score = retention(said)
        assert kept == pytest.approx(student_score / teacher_score, abs=0.001)
        assert teacher_score == pytest.approx(2 / 3, abs=0.05)
        scores[weight] = spacy.load(output / "model-last").evaluate(
            [Example(nlp.make_doc(doc.text), doc) for doc in docs]
        )
        assert scores[weight]["tag_acc"] > 0.9
    assert scores[0.0]["cats_score"] < 0.4
    assert scores[20.0]["cats_score"] > 0.7


def test_gold_alone_is_text_too(tiny_teacher_path: Path, config_path: Path, tmp_path: Path) -> None:
    gold = write_gold(tmp_path / "gold.spacy")
    said = spacy_cli("distill", tiny_teacher_path, config_path, "-o", tmp_path / "output", "--paths.gold", gold, *SHORT)
    assert "held-out texts" in " ".join(said.split())
    assert retention(said)[0] > 0.7


@pytest.mark.parametrize("suffix", [".jsonl", ".spacy"])
def test_other_kinds_of_text(
    suffix: str, tiny_teacher_path: Path, config_path: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """With a bad line, and with texts of nothing, of white space, of one token and of emoji."""
    path = tmp_path / f"texts{suffix}"
    odd = ["", " ", "\n\n", "one", "🙂", "👩‍👩‍👧 naïve"]
    if suffix == ".jsonl":
        srsly.write_jsonl(path, [{"text": text} for text in TEXTS + odd] + [{"txt": "none"}])
    else:
        nlp = spacy.blank(LANGUAGE)
        DocBin(docs=[nlp.make_doc(text) for text in TEXTS + odd]).to_disk(path)
    said = spacy_cli(
        "distill", tiny_teacher_path, config_path, "-o", tmp_path / "output", "--paths.distill", path,
        "--corpora.distill.skip_bad_lines", "true", "--corpora.distill.max_length", "3", *SHORT[:2],
    )  # fmt: skip
    assert retention(said)[0] > 0.5
    # Once, though the texts are needed for several things.
    told = [record.getMessage() for record in caplog.records]
    assert sum("skipped 1 lines" in message for message in told) == (suffix == ".jsonl")
    assert sum("3 are empty and left out" in message for message in told) == len(told) - (suffix == ".jsonl") == 1


def test_labels_in_another_order_are_matched(tiny_teacher_path: Path, config_path: Path, tmp_path: Path) -> None:
    config = load_config(config_path, interpolate=False)
    teacher = spacy.load(tiny_teacher_path)
    labels = {name: list(reversed(teacher.get_pipe(name).labels)) for name in ("tagger", "textcat")}
    config["initialize"]["components"] = {name: {"labels": labels[name]} for name in labels}
    config.to_disk(tmp_path / "student.cfg")
    texts = write_texts(tmp_path / "texts.txt")
    said = spacy_cli(
        "distill",
        tiny_teacher_path,
        tmp_path / "student.cfg",
        "-o",
        tmp_path / "output",
        "--paths.distill",
        texts,
        *SHORT,
    )
    assert retention(said)[0] > 0.7
    student = spacy.load(tmp_path / "output" / "model-best")
    for name, expected in labels.items():
        assert list(student.get_pipe(name).labels) == expected
    tags = [[token.tag_ for token in nlp(text)] for text in TEXTS for nlp in (student, teacher)]
    assert tags[::2] == tags[1::2]


def test_epochs_instead_of_steps(tiny_teacher_path: Path, config_path: Path, tmp_path: Path) -> None:
    texts = write_texts(tmp_path / "texts.txt")
    said = spacy_cli(
        "distill", tiny_teacher_path, config_path, "-o", tmp_path / "output", "--paths.distill", texts, *SHORT[4:],
        "--distillation.max_steps", "0", "--distillation.max_epochs", "2",
        "--distillation.optimizer.learn_rate.total_steps", "9",
    )  # fmt: skip
    rows = [line.split() for line in said.splitlines() if re.match(r"\s+\d+\s+\d+\s+[\d.]", line)]
    assert [row[0] for row in rows] == ["0", "1"]


def test_a_stream(tiny_teacher_path: Path, config_path: Path, tmp_path: Path) -> None:
    texts, dev = write_texts(tmp_path / "texts.txt"), write_gold(tmp_path / "dev.spacy")
    said = spacy_cli(
        "distill", tiny_teacher_path, config_path, "-o", tmp_path / "output", "--distillation.max_epochs", "-1",
        "--paths.distill", texts, "--paths.dev", dev, *SHORT,
    )  # fmt: skip
    assert retention(said)[0] > 0.7


@pytest.mark.slow
def test_resuming_goes_on_where_the_run_was(tiny_teacher_path: Path, config_path: Path, tmp_path: Path) -> None:
    texts = write_texts(tmp_path / "texts.txt")
    command = ["distill", tiny_teacher_path, config_path, "--paths.distill", texts, "--training.eval_frequency", "2"]
    # The learning rate must not depend on the number of steps, which differs.
    command += ["--distillation.optimizer.learn_rate.total_steps", "8"]
    spacy_cli(*command, "-o", tmp_path / "whole", "--distillation.max_steps", "6")
    spacy_cli(*command, "-o", tmp_path / "halves", "--distillation.max_steps", "4")
    said = spacy_cli(*command, "-o", tmp_path / "halves", "--distillation.max_steps", "6", "--resume")
    rows = [line.split() for line in said.splitlines() if re.match(r"\s+\d+\s+\d+\s+[\d.]", line)]
    assert [int(row[1]) for row in rows] == [6]
    for name in ("tagger/model", "ner/model", "textcat/model", "tok2vec/model"):
        assert (tmp_path / "whole/model-last" / name).read_bytes() == (
            tmp_path / "halves/model-last" / name
        ).read_bytes()
    whole, halves = (read_curve(tmp_path / name / "scores.jsonl") for name in ("whole", "halves"))
    assert [point["step"] for point in whole] == [0, 2, 4, 6]
    assert [point | {"seconds": 0} for point in halves] == [point | {"seconds": 0} for point in whole]


def test_help_names_the_options() -> None:
    said = spacy_cli("distill", "--help")
    for option in ("--output", "--gpu-id", "--code", "--resume", "--force"):
        assert option in said


def test_one_line_without_a_config(tiny_teacher_path: Path, tmp_path: Path) -> None:
    texts = write_texts(tmp_path / "texts.txt")
    output = tmp_path / "student"
    said = spacy_cli("distill", tiny_teacher_path, texts, "--output", output, *SHORT)
    assert "Retention on held-out texts" in said
    assert load_config(output / "config.cfg")["paths"]["distill"] == str(texts)
    assert spacy.load(output / "model-best").pipe_names == ["tok2vec", "tagger", "ner", "textcat"]


def test_texts_on_standard_input(tiny_teacher_path: Path, tmp_path: Path) -> None:
    arguments = ["distill", tiny_teacher_path, "-", "--output", tmp_path / "student", *SHORT]
    result = invoke(*arguments, text="\n".join(TEXTS))
    assert result.exit_code == 0, result.output
    assert "Retention on held-out texts" in result.output


def test_a_student_of_some_pipes(tiny_teacher_path: Path, tmp_path: Path) -> None:
    config_path = tmp_path / "below" / "student.cfg"
    said = spacy_cli("init", "distill-config", tiny_teacher_path, config_path, "-p", "tagger, ner", "-s", "mini")
    said = " ".join(said.split())
    assert "*left out, because it was named to be left out*" in said
    assert "Left out:" not in said
    assert "mini student: tok2vec, tagger, ner" in said
    assert load_config(config_path)["components"]["tok2vec"]["model"]["encode"]["width"] == 128
    spacy_cli("init", "distill-config", tiny_teacher_path, config_path, "-p", "tagger", "-s", "nano", "--force")
    texts = write_texts(tmp_path / "texts.txt")
    command = ["distill", tiny_teacher_path, config_path, "-o", tmp_path / "output", "--paths.distill", texts, *SHORT]
    said = spacy_cli(*command, "--distillation.leave_out", "[]")
    # Two of the teacher's three pipes are not in the student although nobody named them, and count 0.
    assert "Left out: ner" in said
    assert 0.2 < retention(said)[0] < 0.34
    assert float(re.findall(r"without, it is ([\d.]+)%", " ".join(said.split()))[0]) > 70
    assert spacy.load(tmp_path / "output" / "model-best").pipe_names == ["tok2vec", "tagger"]
