"""The report: what is compared, what is measured, what is refused. Nothing depends on the machine's speed."""

import json

import pytest
import spacy
from spacy.tokens import Doc, DocBin

from helpers.report_pipelines import gold_docs
from spacy_tinydistill.errors import DistillationError
from spacy_tinydistill.evaluation_log import CURVE_NAME
from spacy_tinydistill.report.compare import _read_data, compare
from spacy_tinydistill.report.table import print_report


@pytest.mark.usefixtures("without_timing")
def test_text_alone_gives_agreement(folder, tmp_path, capsys):
    report = compare(folder / "teacher", folder / "student", folder / "texts.jsonl", output=tmp_path)
    assert report == json.loads((tmp_path / "report.json").read_text(encoding="utf8"))
    assert report["teacher"]["scores"] == report["retention"] == {}
    assert set(report["agreement"]) >= {"tag_acc", "cats_macro_f"}
    assert report["speed_up"] == {"1": 1.0, "all": 1.0}
    print_report(report)
    printed = capsys.readouterr().out
    assert "cats_macro_f" in printed
    assert "differ by more than 30%" in printed

    with pytest.raises(DistillationError, match="TD409"):
        compare(folder / "teacher", folder / "student", folder / "texts.jsonl", output=tmp_path)
    compare(folder / "teacher", folder / "student", folder / "texts.jsonl", output=tmp_path, force=True)


@pytest.mark.usefixtures("without_timing")
def test_a_student_in_the_output_of_its_run(folder, tmp_path):
    """Its learning curve is beside it, and its model card is renewed."""
    other = spacy.load(folder / "student")
    other.meta["distillation"] = {"teacher": {"name": "teacher"}, "texts": {"names": ["a.jsonl"], "documents": 7}}
    (tmp_path / "run").mkdir()
    other.to_disk(tmp_path / "run" / "model-best")
    numbers = {"step": 3, "epoch": 0, "words": 9, "seconds": 1, "score": 0.5}
    point = {**numbers, "losses": {"tagger": 2.0}, "scores": {"tag_acc": 0.5}}
    (tmp_path / "run" / CURVE_NAME).write_text(json.dumps(point) + "\n")
    data = folder / "gold.spacy"
    report = compare(folder / "teacher", tmp_path / "run" / "model-best", data, output=tmp_path / "reports" / "one")
    assert report["learning_curve"] == [point]
    assert report["overall"]["retention"] is not None
    assert "Learning curve" in (tmp_path / "reports" / "one" / "report.html").read_text(encoding="utf8")
    meta = json.loads((tmp_path / "reports" / "one" / "meta.json").read_text(encoding="utf8"))
    assert meta["distillation"]["texts"] == other.meta["distillation"]["texts"]
    assert "10 words/s on one thread" in meta["notes"]
    assert "a.jsonl, 7 texts" in meta["notes"]
    # Another student of the same teacher, beside the first.
    report = compare(folder / "teacher", folder / "student", data, output=tmp_path / "reports" / "two")
    assert [tried["folder"] for tried in report["tried"]] == ["one"]
    assert report["learning_curve"] == []
    # It is none of ours.
    assert not (tmp_path / "reports" / "two" / "meta.json").exists()


@pytest.mark.usefixtures("without_timing")
def test_a_folder_of_gold_annotations(tmp_path):
    docs = list(gold_docs(spacy.blank("en").vocab))
    for name, part in (("a", docs[:2]), ("b", docs[2:])):
        (tmp_path / "dev" / name).mkdir(parents=True)
        DocBin(docs=part).to_disk(tmp_path / "dev" / name / "gold.spacy")
    texts, gold = _read_data(tmp_path / "dev")
    assert texts == [doc.text for doc in gold] == [doc.text for doc in docs]
    assert [token.tag_ for doc in gold for token in doc] == [token.tag_ for doc in docs for token in doc]
    (tmp_path / "dev" / "raw.txt").write_text("No annotations here.")
    texts, found = _read_data(tmp_path / "dev")
    assert len(texts) == len(docs) + 1
    assert found is None


@pytest.mark.usefixtures("without_timing")
def test_gold_without_annotations_and_unknown_spaces(folder, tmp_path):
    bare = DocBin(docs=[Doc(spacy.blank("en").vocab, words=["don't", "stop"]), Doc(spacy.blank("en").vocab)])
    bare.to_disk(tmp_path / "bare.spacy")
    report = compare(folder / "teacher", folder / "student", tmp_path / "bare.spacy")
    assert report["data"]["documents"] == 1
    assert report["teacher"]["scores"]["tag_acc"] is None
    assert report["retention"]["tag_acc"] is None
    assert report["agreement"]["tag_acc"] is not None


@pytest.mark.usefixtures("without_timing")
def test_loaded_pipelines_and_lists(folder, tmp_path):
    nlp = {name: spacy.load(folder / name) for name in ("teacher", "student")}
    before = (folder / "student" / "meta.json").read_bytes()
    nlp["student"].meta["distillation"] = {}
    texts = ["I like green apples .", "They drive fast cars .", " "]
    report = compare(nlp["teacher"], nlp["student"], texts, output=tmp_path)
    assert report["data"] == {"path": "3 texts", "gold": False, "documents": 2, "words": 10}
    assert report["student"]["path"] is None
    assert report["student"]["bytes"] > 0
    (tmp_path / "texts.txt").write_text("\n".join(texts))
    by_path = compare(folder / "teacher", folder / "student", tmp_path / "texts.txt")
    assert report["agreement"] == by_path["agreement"]
    # What was handed over may differ from its folder, which stays as it is; the card is in the output.
    assert (folder / "student" / "meta.json").read_bytes() == before
    assert (tmp_path / "README.md").exists()
    with pytest.raises(DistillationError, match="TD107"):
        compare(nlp["teacher"], nlp["student"], [" "])


# Bad input


def raises(message, folder, teacher="teacher", student="student", data="gold.spacy", **options):
    with pytest.raises(DistillationError, match=message):
        compare(folder / teacher, folder / student, folder / data, **options)


def test_bad_pipelines(folder, tmp_path):
    raises("TD401.*teacher.*missing", folder, teacher="missing")
    raises("TD401.*student", folder, student="gold.spacy")
    (tmp_path / "empty").mkdir()
    raises("TD402.*student", folder, student=tmp_path / "empty")
    with pytest.raises(DistillationError, match="TD401"):
        compare("", folder / "student", folder / "gold.spacy")
    with pytest.raises(DistillationError, match="TD401"):
        compare("__import__('os').getcwd()", folder / "student", folder / "gold.spacy")


def test_bad_data(folder, tmp_path):
    raises("TD102", folder, data="missing.spacy")
    raises("TD103", folder, data="teacher")
    (tmp_path / "broken.spacy").write_bytes(b"no DocBin")
    raises("TD108", folder, data=tmp_path / "broken.spacy")
    DocBin().to_disk(tmp_path / "empty.spacy")
    raises("TD107", folder, data=tmp_path / "empty.spacy")
    (tmp_path / "table.ods").write_text("a,b")
    raises("TD104.*ods", folder, data=tmp_path / "table.ods")
    (tmp_path / "latin.txt").write_bytes(b"caf\xe9")
    raises("TD108", folder, data=tmp_path / "latin.txt")
    (tmp_path / "blank.txt").write_text("\n\n")
    raises("TD107", folder, data=tmp_path / "blank.txt")
    (tmp_path / "lines.jsonl").write_text('{"text": "one"}\n{"texts": "two"}\n')
    raises("TD106.*line 2", folder, data=tmp_path / "lines.jsonl")
    (tmp_path / "long.txt").write_text("a" * 1_000_001)
    raises("TD413", folder, data=tmp_path / "long.txt")


def test_bad_options(folder, tmp_path):
    raises("TD408", folder, output=folder / "gold.spacy")
    raises("TD412", folder, code=tmp_path / "missing.py")
    raises("TD211", folder, gpu_id=99)
    raises("TD407", folder, student="blank")
