"""Hugging Face models as teachers, through spacy-huggingface-pipelines: the models of the example, made in seconds."""

import shutil
from pathlib import Path
from typing import Any

import numpy
import pytest
import spacy
import srsly
from spacy.language import Language
from spacy.tokens import Doc
from spacy.util import import_file
from thinc.api import Config

pytest.importorskip("spacy_huggingface_pipelines", reason="needs spacy-huggingface-pipelines")
torch = pytest.importorskip("torch", reason="needs the extra [transformers]")

from helpers.account import warned_of  # noqa: E402
from helpers.paths import ROOT  # noqa: E402
from helpers.students import distil_quickly  # noqa: E402
from spacy_tinydistill.components.text_scores import TextScores  # noqa: E402
from spacy_tinydistill.pipes.profile import fingerprint, profile_teacher  # noqa: E402
from spacy_tinydistill.pipes.third_party import list_labels  # noqa: E402
from spacy_tinydistill.report.size import count_parameters  # noqa: E402
from spacy_tinydistill.student.config import student_config  # noqa: E402
from spacy_tinydistill.targets.records import Record, Role  # noqa: E402
from spacy_tinydistill.targets.store import Store  # noqa: E402
from spacy_tinydistill.teacher.recorder import annotate, ask  # noqa: E402

example = import_file("hugging_face_teacher", ROOT / "examples" / "hugging_face_teacher.py")


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    example.train_models(folder)
    return folder


@pytest.fixture(scope="module")
def teacher(models: Path) -> Language:
    return example.make_teacher(models)


def test_a_config_for_a_student_of_both(teacher):
    config = student_config(teacher, size="nano")
    factories = {name: block["factory"] for name, block in config["components"].items()}
    assert factories == {"tok2vec": "tok2vec", "ner": "ner", "textcat": "textcat"}
    assert config["distillation"]["student_to_teacher"] == {"ner": "entities", "textcat": "moods"}
    assert warned_of(teacher, config) == []
    assert warned_of(teacher, student_config(teacher, pipeline=["moods"])) == []
    assert student_config(teacher, pipeline=["moods"])["distillation"]["leave_out"] == ["entities"]


@pytest.mark.parametrize(
    ("annotate", "factory"), [("tag", "tagger"), ("pos", "morphologizer"), ("spans", "spancat"), ("ents", "ner")]
)
def test_a_config_for_each_kind_of_annotation(models, annotate, factory):
    nlp = spacy.blank("en")
    settings = {"model": str(models / "tokens"), "annotate": annotate, "annotate_spans_key": "found"}
    nlp.add_pipe("hf_token_pipe", config=settings)
    # A name that is taken already is not given twice.
    nlp.add_pipe("hf_token_pipe", name="again", config=settings)
    config = student_config(nlp)
    assert config["components"][factory]["factory"] == config["components"]["again"]["factory"] == factory
    assert config["distillation"]["student_to_teacher"] == {factory: "hf_token_pipe"}
    if annotate == "spans":
        assert config["components"]["spancat"]["spans_key"] == "found"


def test_what_is_known_of_them(teacher, models):
    assert list_labels(teacher.get_pipe("entities")) == ["PERSON", "PLACE"]
    assert list_labels(teacher.get_pipe("moods")) == ["GLAD", "SAD"]
    weights = sum(len(tensor.ravel()) for name in ("tokens", "texts") for tensor in parameters(models / name))
    assert count_parameters(teacher) == weights


def parameters(folder: Path) -> list[numpy.ndarray]:
    from safetensors.numpy import load_file

    return list(load_file(folder / "model.safetensors").values())


def test_the_fingerprint_is_of_the_weights_too(teacher, models, tmp_path):
    """They are not in the pipeline's folder, which only names them."""
    teacher.to_disk(tmp_path / "teacher")
    before = fingerprint(tmp_path / "teacher")
    assert fingerprint(tmp_path / "teacher") == before
    sizes = [profile_teacher(spacy.load(tmp_path / "teacher")).bytes_on_disk]
    assert sizes[0] > sum((models / name / "model.safetensors").stat().st_size for name in ("tokens", "texts"))
    weights = models / "texts" / "model.safetensors"
    data = weights.read_bytes()
    try:
        weights.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
        assert fingerprint(tmp_path / "teacher") != before
    finally:
        weights.write_bytes(data)


def test_the_whole_distribution_is_recorded(teacher):
    records = [Record.from_doc(teacher.make_doc(text)) for text in example.TEXTS]
    for record, said in zip(
        records, ask(teacher, records, {"textcat": ("moods", TextScores(temperature=1.0))}), strict=True
    ):
        cats = teacher(" ".join(record.words)).cats
        numpy.testing.assert_allclose(said["textcat"]["probabilities"], [cats["GLAD"], cats["SAD"]], atol=1e-3)
        assert 0 < said["textcat"]["probabilities"].min() < 0.5


def test_a_text_on_which_it_fails_is_not_learned(teacher, monkeypatch):
    pipe: Any = teacher.get_pipe("moods")
    pipeline = pipe.hf_pipeline

    class Failing:
        model = pipeline.model

        def __call__(self, texts: Any, **kwargs: Any) -> Any:
            if "Bob" in str(texts):
                raise RuntimeError
            return pipeline(texts, **kwargs)

    monkeypatch.setattr(pipe, "hf_pipeline", Failing())
    records = [Record.from_doc(teacher.make_doc(text)) for text in example.TEXTS]
    with pytest.warns(UserWarning, match="skipping annotation"):
        said = list(ask(teacher, records, {"textcat": ("moods", TextScores(temperature=1.0))}))
    assert ["textcat" in targets for targets in said] == ["Bob" not in text for text in example.TEXTS]


def test_texts_held_out_have_what_it_decides(teacher):
    """spaCy's scorers would take each of its probabilities, which are all above 0, for a yes."""
    docs = [teacher.make_doc(text) for text in example.TEXTS]
    for data, text in zip(annotate(teacher, docs, hard=True), example.TEXTS, strict=True):
        cats, soft = Doc(teacher.vocab).from_bytes(data).cats, teacher(text).cats
        assert sorted(cats.values()) == [0.0, 1.0]
        assert cats[max(soft, key=soft.get)] == 1.0


@pytest.mark.slow
def test_the_example(tmp_path):
    student = example.main(tmp_path)
    for text in example.TEXTS:
        doc = student(text)
        person, verb, _, place = text.split()
        assert [(ent.text, ent.label_) for ent in doc.ents] == [(person, "PERSON"), (place, "PLACE")]
        assert max(doc.cats, key=lambda label: doc.cats[label]) == example.MOODS[verb]
    rules = Store(tmp_path / "student" / "targets").manifest.pipes
    assert {name: pipe["rule"] for name, pipe in rules.items()} == {"ner": "Annotations", "textcat": "TextScores"}


def test_two_classifiers_with_a_spacy_one(teacher, tmp_path):
    """A teacher of spaCy's and one of Hugging Face's are averaged, as both give probabilities of texts."""
    student = spacy.blank("en")
    textcat: Any = student.add_pipe("textcat", name="moods")
    for label in ("SAD", "GLAD"):
        textcat.add_label(label)
    student.initialize()
    config: Config = student_config(teacher, size="nano", pipeline=["moods"])
    distil_quickly([teacher, student], example.TEXTS, tmp_path, config, steps=2)
    one, other = (Store(tmp_path / "targets" / str(i)) for i in (1, 2))
    assert [store.manifest.pipes["textcat"]["rule"] for store in (one, other)] == ["TextScores", "TextLabels"]
    assert one.manifest.count(*Role) == other.manifest.count(*Role) == len(example.TEXTS)


def test_code_of_a_model_is_not_run(models, tmp_path):
    """A model's folder may hold code; transformers runs it only if told, and nobody tells it."""
    shutil.copytree(models / "texts", tmp_path / "evil")
    (tmp_path / "evil" / "evil.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w').close()\nraise SystemExit\n")
    config = srsly.read_json(tmp_path / "evil" / "config.json")
    config |= {"model_type": "evil", "auto_map": {"AutoConfig": "evil.Evil"}}
    srsly.write_json(tmp_path / "evil" / "config.json", config)
    nlp = spacy.blank("en")
    with pytest.raises(ValueError, match="trust_remote_code"):
        nlp.add_pipe("hf_text_pipe", config={"model": str(tmp_path / "evil")})
    assert not (tmp_path / "ran").exists()
