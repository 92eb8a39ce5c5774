"""The benchmark scripts run, with both sides of each ratio; their figures are nobody's concern here."""

import json
import re
import shutil
import subprocess
import sys
from operator import attrgetter

import pytest
import spacy
import srsly
import typer
from spacy.tokens import DocBin
from spacy.util import import_file

from helpers.paths import ROOT
from helpers.tiny_teacher import make_teacher, write_texts
from spacy_tinydistill.components.registry import choose_rule

BENCHMARKS = ROOT / "benchmarks"
THROUGHPUT = BENCHMARKS / "throughput.py"
QUALITY = BENCHMARKS / "quality.py"
SMALL_TRANSFORMERS = BENCHMARKS / "small_transformers.py"
SIZES = BENCHMARKS / "sizes.py"


@pytest.mark.slow
def test_throughput_has_both_sides(tmp_path):
    make_teacher().to_disk(tmp_path / "teacher")
    texts = write_texts(tmp_path / "texts.txt")
    command = [sys.executable, THROUGHPUT, "--teacher", tmp_path / "teacher", "--texts", texts]
    command += ["--output", tmp_path / "out", "--words", 200, "--repeats", 1, "--sizes", "100,200"]
    result = subprocess.run([str(part) for part in command], capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr
    report = json.loads((tmp_path / "out" / "throughput.json").read_text())

    assert [comparison["title"] for comparison in report["comparisons"]] == ["Recording", "Training"]
    for comparison in report["comparisons"]:
        assert len(comparison["words_per_second"]) == 2
        for side in (*comparison["words_per_second"].values(), comparison["ratio"]):
            assert 0 < side["min"] <= side["median"] <= side["max"]
            assert len(side["runs"]) == 1
    for what in ("recording", "training"):
        assert [run["words"] for run in report["growth"][what]["runs"]] == [100, 200]
        assert all(run["seconds"] > 0 and run["peak_memory"] > 0 for run in report["growth"][what]["runs"])
    # There is no interpreter with spaCy 4 here.
    assert "--v4-python" in report["left_out"]
    assert "<svg" in (tmp_path / "out" / "throughput.svg").read_text()
    # What was recorded in between is gone.
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["throughput.json", "throughput.svg"]


@pytest.mark.slow
def test_quality_says_how_much_of_the_gap_is_closed_and_trains_no_student_twice(tmp_path):
    (tmp_path / "benchmarks").mkdir()
    students = [
        ("gold", 0, 0, 0.80),
        ("gold", 0, 1, 0.82),
        ("soft", 0, 0, 0.84),
        ("soft", 0, 1, 0.84),
        ("ours", 0, 0, 0.85),
    ]
    students += [("ours", 0, 1, 0.87), ("hard", 0, 0, 0.83)]
    rows = [
        {
            "task": "wnut17",
            "way": way,
            "raw_words": words,
            "seed": seed,
            "bytes": 7_000_000,
            "scores": {"ents_f": score},
            "agreement": {"ents_f": score},
            "teacher": {"ents_f": 0.91},
        }
        for way, words, seed, score in students
    ]
    srsly.write_jsonl(tmp_path / "benchmarks" / "quality.jsonl", rows)

    def quality(*arguments):
        result = subprocess.run([sys.executable, QUALITY, *arguments], cwd=tmp_path, capture_output=True, text=True)
        assert result.returncode == 0, result.stderr
        return result.stdout

    said = (
        "ours, 0 words of raw text: 86.00 ± 1.41 of 2, gap closed 50%, retained 94.5%, agrees 86.00%, 7,000,000 bytes"
    )
    assert said in quality("table")
    quality("plot", "quality.svg")
    assert "ents_f" in (tmp_path / "quality.svg").read_text()
    assert quality("run", "--task", "wnut17", "--seeds", "2", "--raw-words", "0") == ""


def test_what_a_teacher_decides_follows_from_what_was_recorded(teacher, texts, monkeypatch):
    monkeypatch.syspath_prepend(BENCHMARKS)
    quality = import_file("quality", QUALITY)
    names = ["tagger", "morphologizer", "parser", "ner", "textcat"]
    docs = list(teacher.get_pipe("tok2vec").pipe(teacher.make_doc(text) for text in texts[:30]))
    annotated = list(teacher.pipe(texts[:30]))
    for name in names:
        pipe = teacher.get_pipe(name)
        for doc, arrays in zip(docs, choose_rule(pipe, pipe).record(pipe, docs), strict=True):
            quality.decide(pipe, doc, arrays)
    for decided, expected in zip(docs, annotated, strict=True):
        for attribute in ("tag_", "morph", "dep_", "head.i", "ent_iob_", "ent_type_"):
            read = attrgetter(attribute)
            assert [str(read(token)) for token in decided] == [str(read(token)) for token in expected]
        best = max(decided.cats, key=decided.cats.__getitem__)
        assert decided.cats[best] == 1.0
        assert best == max(teacher.get_pipe("textcat").labels, key=expected.cats.__getitem__)


def test_what_is_scored_on_is_left_out_of_raw_text(teacher, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(BENCHMARKS)
    quality = import_file("quality", QUALITY)
    DocBin(docs=[teacher.make_doc("Anna ' s drum , again !")]).to_disk(tmp_path / "test.spacy")
    srsly.write_jsonl(tmp_path / "raw.jsonl", [{"text": text} for text in ("Did he pay?", "anna's drum, again", "No.")])
    found = quality.first_words(tmp_path / "raw.jsonl", 4, left_out=tmp_path / "test.spacy")
    assert list(found) == ["Did he pay?", "No."]


@pytest.mark.slow
def test_sizes_are_drawn_and_trained_once(tmp_path):
    (tmp_path / "benchmarks").mkdir()
    shapes = ["96 x 4", "96 x 3"]
    rows = [
        {
            "shape": shape,
            "updates": 10,
            "seed": 0,
            "bytes": size,
            "parameters": size // 4,
            "agreement": {"token_acc": 1.0, "dep_las": agreement},
            "scores": {"token_acc": 1.0, "dep_las": agreement - 0.1},
            "teacher": {"token_acc": 1.0, "dep_las": 0.9},
        }
        for shape, size, agreement in zip(shapes, (9_000_000, 8_000_000), (0.91, 0.88), strict=True)
    ]
    srsly.write_jsonl(tmp_path / "benchmarks" / "sizes.jsonl", rows)
    speeds = {shape: {"words_per_second": {"1": 10_000.0}} for shape in shapes}
    srsly.write_json(tmp_path / "benchmarks" / "sizes_speed.json", {"passes": {}, "measured": speeds})

    def sizes(*arguments):
        command = [sys.executable, SIZES, *arguments]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True).stdout

    assert "96 x 4, 10 updates, seed 0: 9,000,000 bytes\n  dep_las: agreement 91.00%, score 81.00% of 90.00%" in sizes(
        "table"
    )
    known = ["--shape", shapes[0], "--shape", shapes[1], "--updates", "10"]
    assert sizes("run", "teacher", "texts", "gold", "dev", "apart", *known) == ""
    sizes("plot", "sizes.svg", "--updates", "10")
    # What is a preset's shape is said to be.
    assert "96 x 4 (tiny)" in (tmp_path / "sizes.svg").read_text()


@pytest.mark.slow
def test_small_transformers_are_compared_to_their_teacher_and_trained_once(tmp_path):
    (tmp_path / "benchmarks").mkdir()
    students = [("nothing", 0, 0.90), ("nothing", 1, 0.86), ("attention", 0, 0.81)]
    rows = [
        {
            "task": "trec",
            "kind": "tinybert",
            "without": without,
            "updates": 500,
            "seed": seed,
            "scores": {"cats_micro_f": score},
            "teacher": {"cats_micro_f": 0.92},
            "bytes": 1000,
            "teacher_bytes": 8000,
        }
        for without, seed, score in students
    ]
    srsly.write_jsonl(tmp_path / "benchmarks" / "small_transformers.jsonl", rows)

    def small_transformers(*arguments):
        command = [sys.executable, SMALL_TRANSFORMERS, *arguments]
        result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
        assert result.returncode == 0, result.stderr
        return result.stdout

    found = small_transformers("table")
    assert "without nothing: 88.0 ± 2.8 of 2, 95.7% of the teacher's 92.0; 1,000 bytes, 1/8.0 of the teacher's" in found
    assert "without attention: 81.0 of 1" in found
    known = ("--task", "trec", "--kind", "tinybert", "--without", "nothing", "--seeds", "2")
    assert small_transformers("run", *known) == ""


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


@pytest.mark.slow
def test_speed_compares_the_same_pipes(tmp_path, monkeypatch, capsys):
    """It is timed elsewhere; here it is seen what is timed."""
    speed = import_file("speed", BENCHMARKS / "speed.py")
    seen, switched = [], []

    def measure(pipelines, texts, words, max_words, code):
        seen.append(
            ({role: spacy.load(path).component_names for role, path in pipelines.items()}, len(texts), sum(words))
        )
        if code:
            switched.append(subprocess.run([sys.executable, code], capture_output=True, text=True))
        rates = {"student": [30.0, 10.0, 20.0], "other": [10.0, 10.0, 5.0], "tokenizer": [100.0, 100.0, 100.0]}
        return {role: {"words_per_second_runs": {"1": runs}} for role, runs in rates.items()}, {"runs": 3}

    monkeypatch.setattr(speed, "measure_speed", measure)
    teacher = make_teacher()
    teacher.to_disk(tmp_path / "student")
    teacher.add_pipe("sentencizer")
    teacher.to_disk(tmp_path / "other")
    texts = write_texts(tmp_path / "texts.txt")
    kept = next(name for name in teacher.pipe_names if name not in speed.SHARED)
    speed.main(str(tmp_path / "student"), str(tmp_path / "other"), texts, tmp_path / "out", pipes=kept)
    (short, n_short, words), *once_more, (long, n_long, words_joined) = seen
    assert short == long
    assert [n for _, n, _ in once_more] == [n_short, n_long]
    assert [run.returncode for run in switched] == [0, 0]
    assert short["student"] == short["other"] == [name for name in teacher.pipe_names if name in (kept, *speed.SHARED)]
    assert short["tokenizer"] == []
    # A line break between two texts is a token, too.
    assert n_long == 1 < n_short
    assert words_joined == words + n_short - 1
    assert srsly.read_json(tmp_path / "out" / "speed.json")["long"]["BLIS"]["ratio"] == {"1": [3.0, 1.0, 4.0]}
    assert re.search(r"student / other +1 +3.00 +1.00 +4.00", capsys.readouterr().out)
    with pytest.raises(typer.BadParameter, match="has no parser"):
        speed.main(str(tmp_path / "student"), str(tmp_path / "other"), texts, tmp_path / "out", pipes="tagger,parser")


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("node") is None, reason="needs node: apt-get install nodejs")
def test_web_compares_and_measures_both_sides(tmp_path):
    make_teacher("tagger", "ner").to_disk(tmp_path / "student")
    texts = write_texts(tmp_path / "texts.txt")
    command = [sys.executable, BENCHMARKS / "web.py", tmp_path / "student", texts, "--hostile", 100, "--repeats", 1]
    result = subprocess.run([*map(str, command), "--precisions", "int8"], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    report = json.loads(result.stdout)
    assert report["texts"]["differences"] == report["hostile"]["differences"] == []
    assert report["texts"]["tokens"] > 40
    assert report["hostile"]["tokens"] >= 100
    assert report["browser"] in (None, "0 differences")
    assert all(0 < least <= middle <= most for middle, least, most in report["speed"].values())


@pytest.mark.slow
def test_gpu_rehearsed_on_the_cpu(tmp_path):
    """All its steps, and none of them twice."""
    pytest.importorskip("spacy_transformers", reason="needs the extra [transformers]")
    command = [sys.executable, str(BENCHMARKS / "gpu.py"), str(tmp_path), "--dry-run"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout[-3000:] + result.stderr[-3000:]
    told = json.loads((tmp_path / "gpu.json").read_text(encoding="utf8"))
    assert {key.partition(":")[0] for key in told} == {"right", "recording", "learning"}
    assert told["right: no such gpu"]["code"] == "TD211"
    assert told["right: same student"]["within"]
    assert told["right: full memory"]["said"]
    assert all(found["words_per_second"] > 0 for key, found in told.items() if key.startswith("learning"))
    again = subprocess.run(command, capture_output=True, text=True, check=False)
    assert again.returncode == 0
    assert json.loads((tmp_path / "gpu.json").read_text(encoding="utf8")) == told
    assert "right: machine" not in again.stdout


def test_wheels_are_packed_into_folders_of_a_size(tmp_path):
    packer = import_file("gpu_wheels", BENCHMARKS / "gpu_wheels.py")
    for name, size in {"a": 50, "b": 40, "c": 30, "d": 10}.items():
        (tmp_path / f"{name}.whl").write_bytes(bytes(size))
    assert packer.main(tmp_path, 60) == [["a.whl", "d.whl"], ["b.whl"], ["c.whl"]]
    assert (tmp_path / "1" / "d.whl").exists()
    (tmp_path / "e.whl").write_bytes(bytes(61))
    with pytest.raises(ValueError, match=r"e\.whl has 61 bytes, expected 60"):
        packer.main(tmp_path, 60)
