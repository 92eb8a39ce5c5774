"""A run is prepared: from a teacher or from recorded targets, which make the same student."""

from pathlib import Path

import pytest
import srsly
from spacy.tokens import DocBin
from spacy.vocab import Vocab

from helpers.commands import spacy_cli
from helpers.comparison import files_of
from helpers.generator import make_docs
from helpers.interruption import Killed
from helpers.students import RECORDED_PIPES, distil_quickly, make_config
from helpers.tiny_teacher import make_teacher, write_texts
from spacy_tinydistill import distill, record_targets
from spacy_tinydistill import prepare as prepare_module
from spacy_tinydistill.errors import DistillationError
from spacy_tinydistill.pipes.profile import fingerprint
from spacy_tinydistill.targets import folder as folder_module
from spacy_tinydistill.targets.records import Role
from spacy_tinydistill.targets.store import (
    read_manifest,
    shard_name,
)


@pytest.mark.slow
def test_from_a_store_and_from_the_teacher_the_same_student_comes(teacher, texts, recorded, tmp_path, monkeypatch):
    config = make_config(teacher, RECORDED_PIPES)
    distil_quickly(teacher, texts, tmp_path / "asked", config, steps=8)

    def fail(*args: object) -> None:
        raise AssertionError("the teacher was loaded")

    monkeypatch.setattr(prepare_module, "load_teacher", fail)
    student = distil_quickly("-", None, tmp_path / "read", config, steps=8, targets=recorded)
    report = srsly.read_json(tmp_path / "read" / "report.json")["raw_text"]
    assert report["source"] == "recording"
    assert {**report, "source": "teacher"} == srsly.read_json(tmp_path / "asked" / "report.json")["raw_text"]
    # Also that which a run records for itself is a store.
    distil_quickly("-", None, tmp_path / "again", config, steps=8, targets=tmp_path / "asked" / "targets")
    expected = files_of(tmp_path / "asked" / "model-last")
    assert files_of(tmp_path / "read" / "model-last") == expected
    assert files_of(tmp_path / "again" / "model-last") == expected
    assert student.meta["distillation"]["agreement"]


def test_a_teacher_that_is_named_is_compared_and_not_loaded(tmp_path, monkeypatch):
    make_teacher().to_disk(tmp_path / "teacher")
    texts = write_texts(tmp_path / "texts.txt")
    output = spacy_cli("distill-targets", tmp_path / "teacher", texts, tmp_path / "store")
    assert "Recorded" in output
    assert fingerprint(tmp_path / "teacher") == read_manifest(tmp_path / "store").fingerprint
    spacy_cli("init", "distill-config", tmp_path / "teacher", tmp_path / "student.cfg", "--size", "nano")
    steps = ["--distillation.max_steps", "2", "--targets", tmp_path / "store"]
    out = ["--output", tmp_path / "student"]
    monkeypatch.setattr(prepare_module, "load_teacher", None)
    output = spacy_cli("distill", tmp_path / "teacher", tmp_path / "student.cfg", *out, *steps)
    assert "Retention on held-out texts" in output
    other = make_teacher()
    other.get_pipe("tagger").model.get_ref("softmax").get_param("b")[0] += 1.0
    with pytest.raises(DistillationError) as caught:
        distill(other, output=tmp_path / "no", config=tmp_path / "student.cfg", targets=tmp_path / "store")
    assert caught.value.code == "TD603"


@pytest.mark.slow
def test_gold_and_dev_data_are_recorded_too(teacher, texts, tmp_path):
    for name, seed in (("gold", 5), ("dev", 6)):
        DocBin(docs=make_docs(Vocab(), 20, seed=seed)).to_disk(tmp_path / f"{name}.spacy")
    paths = {"paths.gold": str(tmp_path / "gold.spacy"), "paths.dev": str(tmp_path / "dev.spacy")}
    config = make_config(teacher, ["tagger", "ner"])
    store = tmp_path / "store"
    manifest = record_targets(teacher, texts[:30], store=store, config=config, overrides=paths)
    assert [manifest.count(role) for role in Role] == [30, 20, 0, 20]
    asked = distil_quickly(teacher, texts[:30], tmp_path / "asked", config, steps=4, **paths)
    read = distil_quickly("-", None, tmp_path / "read", config, steps=4, targets=store, **paths)
    assert files_of(tmp_path / "read" / "model-last") == files_of(tmp_path / "asked" / "model-last")
    assert read.meta["distillation"] == asked.meta["distillation"]
    # Without the gold annotations, their texts are still texts.
    without = {"paths.dev": paths["paths.dev"]}
    distil_quickly("-", None, tmp_path / "without", config, steps=1, targets=store, **without)
    # Other dev data than was recorded: there is a student, and no retention.
    other = {"paths.dev": paths["paths.gold"]}
    student = distil_quickly("-", None, tmp_path / "other", config, steps=1, targets=store, **other)
    assert student.meta["distillation"]["teacher"]["performance"] == {}
    report = srsly.read_json(tmp_path / "other" / "report.json")
    assert report["overall"] == {"retention": None, "agreement": None}
    assert report["disagreements"] == []
    assert report["student"]["scores"]["tag_acc"] is not None
    # With that which was recorded, both are scored on gold, and compared.
    report = srsly.read_json(tmp_path / "read" / "report.json")
    assert report["overall"]["retention"] > 0
    assert report["teacher"]["scores"]["tag_acc"] > report["student"]["scores"]["tag_acc"]
    assert report["teacher"]["parameters"] is None
    assert report["data"]["path"] == paths["paths.dev"]
    assert set(report["labels"]) == {"tagger", "ner"}


@pytest.mark.slow
@pytest.mark.usefixtures("small_shards")
def test_a_run_that_was_interrupted_while_the_teacher_was_asked(teacher, texts, tmp_path, monkeypatch):
    config = make_config(teacher, ["tagger"])
    distil_quickly(teacher, texts[:60], tmp_path / "undisturbed", config, steps=3)
    real = folder_module.write_whole

    def stop(path: Path, data: bytes) -> None:
        if path.name == shard_name(2):
            raise Killed
        real(path, data)

    monkeypatch.setattr(folder_module, "write_whole", stop)
    with pytest.raises(Killed):
        distil_quickly(teacher, texts[:60], tmp_path / "run", config, steps=3)
    monkeypatch.setattr(folder_module, "write_whole", real)
    distil_quickly(teacher, texts[:60], tmp_path / "run", config, steps=3, resume=True)
    assert files_of(tmp_path / "run" / "model-last") == files_of(tmp_path / "undisturbed" / "model-last")


def learn(teacher, store: Path, output: Path, pipes: list[str] = RECORDED_PIPES, **settings) -> str:
    config = settings.pop("config", None) or make_config(teacher, pipes)
    with pytest.raises(DistillationError) as caught:
        distill("-", output=output, config=config, targets=store, overrides=settings)
    return caught.value.code


@pytest.mark.slow
def test_a_student_that_the_store_does_not_fit(teacher, recorded, tmp_path):
    assert learn(teacher, recorded, tmp_path, ["tagger", "senter"]) == "TD610"
    config = make_config(teacher, ["tagger", "textcat"])
    config["distillation"]["teaching"] = {"tagger": {"@teaching_rules": "spacy-tinydistill.Annotations.v1"}}
    assert learn(teacher, recorded, tmp_path, config=config) == "TD611"
    config = make_config(teacher, ["tagger", "ner"])
    config["distillation"]["student_to_teacher"] = {"tagger": "morphologizer"}
    assert learn(teacher, recorded, tmp_path, config=config) == "TD611"
    config = make_config(teacher, ["textcat_multilabel"])
    config["nlp"]["pipeline"] = ["tok2vec", "textcat"]
    config["components"]["textcat"] = config["components"].pop("textcat_multilabel")
    assert learn(teacher, recorded, tmp_path, config=config) == "TD611"
    config = make_config(teacher, ["tagger"])
    labels = list(teacher.get_pipe("tagger").labels)[1:]
    config["initialize"]["components"]["tagger"] = {"labels": labels}
    assert learn(teacher, recorded, tmp_path, config=config) == "TD203"


def test_gold_annotations_that_were_not_recorded(teacher, recorded, tmp_path):
    docs = make_docs(Vocab(), 5, seed=5)
    for doc in docs:
        doc.cats = {}
    DocBin(docs=docs).to_disk(tmp_path / "gold.spacy")
    assert learn(teacher, recorded, tmp_path / "out", **{"paths.gold": str(tmp_path / "gold.spacy")}) == "TD614"


def test_recorded_targets_with_texts_or_without_a_config(teacher, recorded, texts, tmp_path):
    for arguments in ({"texts": texts, "config": make_config(teacher, RECORDED_PIPES)}, {}):
        with pytest.raises(DistillationError) as caught:
            distill("-", output=tmp_path, targets=recorded, **arguments)
        assert caught.value.code == "TD615"


def test_nothing_to_score_on(teacher, texts, tmp_path):
    dev = tmp_path / "dev.spacy"
    DocBin(docs=make_docs(Vocab(), 5, seed=5)).to_disk(dev)
    config = make_config(teacher, ["tagger"])
    record_targets(teacher, texts[:9], store=tmp_path / "store", config=config, overrides={"paths.dev": str(dev)})
    assert learn(teacher, tmp_path / "store", tmp_path / "out", ["tagger"]) == "TD617"
