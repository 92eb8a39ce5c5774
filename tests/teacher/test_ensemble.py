"""Several teachers at once: what they say is averaged by their weights, whichever order their labels are in."""

import random
from pathlib import Path
from typing import Any

import numpy
import pytest
import spacy
import srsly
from hypothesis import given, settings
from hypothesis import strategies as st
from spacy.language import Language
from spacy.tokens import Doc
from thinc.api import Config

from helpers.commands import spacy_cli
from helpers.comparison import files_of
from helpers.students import distil_quickly, randomize
from helpers.tiny_teacher import (
    LABELS,
    LANGUAGE,
    MODELS,
    NAMES,
    PLACES,
    TEXTS,
    VERBS,
    make_teacher,
    write_gold,
    write_texts,
)
from spacy_tinydistill import api, distill, record_targets
from spacy_tinydistill import prepare as prepare_module
from spacy_tinydistill.cli._util import read_names
from spacy_tinydistill.components.base import TeachingRule
from spacy_tinydistill.components.span_labels import SpanLabels
from spacy_tinydistill.components.text_labels import TextLabels
from spacy_tinydistill.components.token_labels import TokenLabels
from spacy_tinydistill.components.transitions import Transitions
from spacy_tinydistill.errors import DistillationError
from spacy_tinydistill.student.config import student_config
from spacy_tinydistill.targets import store as store_module
from spacy_tinydistill.targets.records import Role, pack_soft_labels
from spacy_tinydistill.targets.store import Store
from spacy_tinydistill.teacher.ensemble import EnsembleStore

# The averages, by rule


@st.composite
def panels(draw: st.DrawFn) -> tuple[list[list[str]], list[float], numpy.random.Generator]:
    """Some teachers' labels, each in its own order, and their weights."""
    labels = [f"L{i}" for i in range(draw(st.integers(1, 6)))]
    orders = draw(st.lists(st.permutations(labels), min_size=2, max_size=4))
    weights = draw(st.lists(st.floats(0.1, 10), min_size=len(orders), max_size=len(orders)))
    numbers = numpy.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    return orders, [weight / sum(weights) for weight in weights], numbers


def by_label(rows: numpy.ndarray, labels: list[str]) -> numpy.ndarray:
    return rows[..., numpy.argsort(labels)].astype("float32")


def average(rule: TeachingRule, orders: list[list[str]], weights: list[float], said: list[dict]) -> tuple[dict, dict]:
    description, of_doc = rule.average("pipe", [{"labels": labels} for labels in orders], weights)
    return description, of_doc(said)


@given(panel=panels(), n_tokens=st.integers(1, 5))
@settings(max_examples=60, deadline=None)
def test_tokens_and_texts_are_averaged_by_label(panel, n_tokens):
    orders, weights, numbers = panel
    rows = [numbers.dirichlet(numpy.ones(len(labels)), n_tokens) for labels in orders]
    expected = sum(w * by_label(row, labels) for w, row, labels in zip(weights, rows, orders, strict=True))
    description, found = average(TokenLabels(), orders, weights, [pack_soft_labels(row, 0) for row in rows])
    numpy.testing.assert_allclose(by_label(found["probabilities"], description["labels"]), expected, atol=2e-3)
    said = [{"probabilities": row[0].astype("float16")} for row in rows]
    description, found = average(TextLabels(), orders, weights, said)
    numpy.testing.assert_allclose(by_label(found["probabilities"], description["labels"]), expected[:1], atol=2e-3)


@given(panel=panels(), data=st.data())
@settings(max_examples=60, deadline=None)
def test_a_span_is_averaged_over_those_who_proposed_it(panel, data):
    orders, weights, numbers = panel
    bounds = st.tuples(st.integers(0, 3), st.integers(4, 6))
    proposed = [data.draw(st.lists(bounds, unique=True, max_size=5)) for _ in orders]
    said = [
        {
            "spans": numpy.array(spans, dtype="int32").reshape(-1, 2),
            "probabilities": numbers.random((len(spans), len(labels))).astype("float16"),
        }
        for spans, labels in zip(proposed, orders, strict=True)
    ]
    description, found = average(SpanLabels(), orders, weights, said)
    assert {tuple(span) for span in found["spans"].tolist()} == set().union(*proposed)
    assert len(found["spans"]) == len(found["probabilities"])
    for span, row in zip(found["spans"].tolist(), found["probabilities"], strict=True):
        voices = [
            (weight, by_label(arrays["probabilities"][spans.index(tuple(span))], labels))
            for weight, arrays, spans, labels in zip(weights, said, proposed, orders, strict=True)
            if tuple(span) in spans
        ]
        expected = sum(weight * voice for weight, voice in voices) / sum(weight for weight, _ in voices)
        numpy.testing.assert_allclose(by_label(row, description["labels"]), expected, atol=2e-3)


def make_actor(name: str, labels: str, seed: int) -> Any:
    """A parser or ner of random weights; its output layer begins with zeros, by which all states would be the same."""
    nlp = spacy.blank(LANGUAGE)
    pipe: Any = nlp.add_pipe(name, config={"model": {**MODELS["ner"], "state_type": name}})
    for label in labels:
        pipe.add_label(label)
    nlp.initialize()
    randomize(pipe.model, numpy.random.default_rng(seed), scale=0.3)
    return pipe


def make_docs(pipe: Any) -> list[Doc]:
    return [Doc(pipe.vocab, words=text.split()) for text in TEXTS[:8]]


@pytest.mark.parametrize("name", ["parser", "ner"])
def test_actions_are_averaged_in_the_students_states(name):
    """The gradient of the average is the average of the gradients, as the states are the student's own."""
    student, *pipes = (make_actor(name, labels, seed) for seed, labels in enumerate(["ABC", "ABC", "CAB"]))
    rule, weights = Transitions(), [0.7, 0.3]
    said = [rule.record(pipe, make_docs(pipe)) for pipe in pipes]
    descriptions = [rule.describe(pipe) for pipe in pipes]
    assert descriptions[0]["labels"] != descriptions[1]["labels"]
    docs = make_docs(student)

    def learn(description: dict, targets: list[dict]) -> dict[str, numpy.ndarray]:
        for node in student.model.walk():
            for param in node.param_names:
                node.has_grad(param) and node.set_grad(param, node.get_grad(param) * 0)
        rule.start(student, name, description).update(docs, targets, dropout=0.0)
        return {
            f"{i}.{param}": node.get_grad(param).copy()
            for i, node in enumerate(student.model.walk())
            for param in node.param_names
            if node.has_grad(param)
        }

    alone = [learn(description, targets) for description, targets in zip(descriptions, said, strict=True)]
    description, of_doc = rule.average(name, descriptions, weights)
    together = learn(description, [of_doc(arrays) for arrays in zip(*said, strict=True)])
    assert together
    assert any(abs(alone[0][key] - alone[1][key]).max() > 1e-3 for key in together)
    for key, gradient in together.items():
        expected = weights[0] * alone[0][key] + weights[1] * alone[1][key]
        numpy.testing.assert_allclose(gradient, expected, rtol=1e-3, atol=1e-3)


# In a run


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Teachers with labels in two orders, and some that do not fit beside them."""
    folder = tmp_path_factory.mktemp("teachers")
    make_teacher().to_disk(folder / "one")
    other = make_teacher(labels={name: labels[::-1] for name, labels in LABELS.items()})
    other.meta.update(name="other_teacher", license="MIT", author="Bob")
    other.to_disk(folder / "other")
    make_teacher("tagger").to_disk(folder / "tagger")
    make_teacher(labels={"tagger": [*LABELS["tagger"], "X"]}).to_disk(folder / "more_labels")
    ruler = make_teacher("tagger", "textcat")
    ruler.add_pipe("entity_ruler", name="ner")
    ruler.to_disk(folder / "ruler")
    write_texts(folder / "texts.txt")
    write_gold(folder / "dev.spacy")
    student_config(spacy.load(folder / "one"), size="nano").to_disk(folder / "student.cfg")
    return folder


@pytest.fixture
def config(folder: Path) -> Config:
    return Config().from_disk(folder / "student.cfg", interpolate=False)


def run_command(*args: object) -> str:
    return " ".join(spacy_cli(*args).split())


@pytest.mark.slow
def test_a_student_of_two(folder, config, tmp_path):
    teachers = [folder / "one", folder / "other"]
    student = distil_quickly(teachers, TEXTS, tmp_path / "student", config, steps=80)
    for text in TEXTS:
        doc = student(text)
        name, verb, _, place = text.split()
        assert [(ent.text, ent.label_) for ent in doc.ents] == [(name, NAMES[name]), (place, PLACES[place])]
        assert max(doc.cats, key=lambda label: doc.cats[label]) == VERBS[verb]
    # Each was asked once, about the same.
    stores = [Store(tmp_path / "student" / "targets" / str(i)) for i in (1, 2)]
    assert [store.header.profile.meta["name"] for store in stores] == ["tiny_teacher", "other_teacher"]
    assert stores[0].manifest.shards[0].text == stores[1].manifest.shards[0].text
    # What it says of its origin
    meta = srsly.read_json(tmp_path / "student" / "model-best" / "meta.json")
    assert meta["license"] == "CC0 1.0, MIT"
    assert meta["author"] == "Ann, Bob"
    assert meta["sources"] == [{"name": "Songs", "url": ""}]
    origin = meta["distillation"]
    assert origin["teacher"]["name"] == "tiny_teacher"
    assert [(one["name"], one["share"]) for one in origin["teachers"]] == [
        ("tiny_teacher", 0.5),
        ("other_teacher", 0.5),
    ]
    assert r"xx\_tiny\_teacher 1.2.3 (50%), xx\_other\_teacher 1.2.3 (50%)" in meta["notes"]
    assert "**Compared with**" in meta["notes"]


@pytest.fixture(scope="module")
def contrary() -> list[Language]:
    """Two that say of each text the opposite mood."""
    teachers = [make_teacher("textcat", updates=60) for _ in range(2)]
    other: Any = teachers[1].get_pipe("textcat")
    other.cfg["labels"] = other.cfg["labels"][::-1]
    assert [nlp.get_pipe("textcat").labels for nlp in teachers] == [("SAD", "GLAD"), ("GLAD", "SAD")]
    assert min(teachers[0](text).cats[VERBS[text.split()[1]]] for text in TEXTS) > 0.9
    assert min(teachers[1](text).cats[VERBS[text.split()[1]]] for text in TEXTS) < 0.1
    return teachers


@pytest.mark.parametrize(("weights", "expected"), [([], 0.5), ([3, 1], 0.75), ([1, 9], 0.1)])
def test_the_weights_decide(contrary, tmp_path, weights, expected):
    """Of two that contradict each other the student learns the mean."""
    config = student_config(contrary[0], size="nano")
    config["distillation"]["teacher_weights"] = weights
    distil_quickly(contrary, TEXTS, tmp_path, config, steps=50, dropout=0.0)
    # Not the best one, which is chosen by what the first teacher says.
    student = spacy.load(tmp_path / "model-last")
    cats = [student(text).cats[VERBS[text.split()[1]]] for text in TEXTS]
    assert numpy.mean(cats) == pytest.approx(expected, abs=0.08)


@pytest.mark.slow
def test_from_stores_the_same_student_comes(folder, config, tmp_path, monkeypatch):
    monkeypatch.setattr(store_module, "SHARD_WORDS", 20)
    teachers = [folder / "one", folder / "other"]
    asked = distil_quickly(teachers, TEXTS, tmp_path / "asked", config, steps=6)
    for name in ("one", "other"):
        store = tmp_path / f"store_{name}"
        run_command("distill-targets", folder / name, folder / "texts.txt", store, "--config", folder / "student.cfg")
    monkeypatch.setattr(prepare_module, "load_teacher", None)
    stores = [tmp_path / "store_one", tmp_path / "store_other"]
    for teacher in ("-", teachers):
        output = tmp_path / f"read_{teacher == '-'}"
        read = distil_quickly(teacher, None, output, config, steps=6, targets=stores)
        assert files_of(output / "model-last") == files_of(tmp_path / "asked" / "model-last")
        assert read.meta["distillation"]["teachers"] == asked.meta["distillation"]["teachers"]
    with pytest.raises(DistillationError) as caught:
        distil_quickly(teachers[::-1], None, tmp_path / "no", config, steps=1, targets=stores)
    assert caught.value.code == "TD603"
    with pytest.raises(DistillationError) as caught:
        distil_quickly(teachers[0], None, tmp_path / "no", config, steps=1, targets=stores)
    assert caught.value.code == "TD635"


def test_the_stores_are_read_in_step(folder, config, tmp_path, monkeypatch):
    monkeypatch.setattr(store_module, "SHARD_WORDS", 20)
    for name in ("one", "other"):
        record_targets(folder / name, TEXTS, store=tmp_path / name, config=config)
    stores = [Store(tmp_path / name) for name in ("one", "other")]
    ensemble = EnsembleStore(stores, [0.5, 0.5])
    numbers = [random.Random(3), random.Random(3)]
    for _ in range(2):
        found = list(ensemble.read(*Role, shuffle=numbers[0]))
        assert [item.words for item in found] == [item.words for item in stores[0].read(*Role, shuffle=numbers[1])]
    # Both epochs went on with the same random numbers as one teacher's would.
    assert numbers[0].getstate() == numbers[1].getstate()
    assert {tuple(item.words) for item in found} == {tuple(text.split()) for text in TEXTS}
    assert ensemble.header.fingerprint not in [store.header.fingerprint for store in stores]
    assert ensemble.header.fingerprint != EnsembleStore(stores, [0.9, 0.1]).header.fingerprint


@pytest.mark.slow
def test_teachers_that_the_config_names(folder, tmp_path):
    """By the real commands: named in the config, and with a comma."""
    named = f'["{folder / "one"}", "{folder / "other"}"]'
    options = ["--distillation.max_steps", "3", "--paths.distill", folder / "texts.txt"]
    by_config = ["--distillation.teachers", named, "--distillation.teacher_weights", "[2, 1]"]
    run_command("distill", "-", folder / "student.cfg", "--output", tmp_path / "a", *options, *by_config)
    both = f"{folder / 'one'},{folder / 'other'}"
    run_command(
        "distill", both, folder / "student.cfg", "--output", tmp_path / "b", *options,
        "--distillation.teacher_weights", "[4, 2]", "--paths.dev", folder / "dev.spacy",
    )  # fmt: skip
    for name in ("a", "b"):
        meta = srsly.read_json(tmp_path / name / "model-last" / "meta.json")
        assert [one["share"] for one in meta["distillation"]["teachers"]] == pytest.approx([2 / 3, 1 / 3])
    output = run_command("distill", both, folder / "texts.txt", "--output", tmp_path / "c", *options[:2])
    assert "Saved the best student" in output
    # What was written says whom it was of, and runs again.
    run_command("distill", "-", tmp_path / "a" / "config.cfg", "--output", tmp_path / "d", *options)
    assert files_of(tmp_path / "d" / "model-last") == files_of(tmp_path / "a" / "model-last")


def test_a_path_may_hold_a_comma(tmp_path):
    (tmp_path / "a,b").mkdir()
    assert read_names(str(tmp_path / "a,b")) == str(tmp_path / "a,b")
    assert read_names("a, b") == ["a", "b"]
    assert read_names("a") == "a"


def test_debug_of_several(folder, monkeypatch):
    from spacy_tinydistill import forecast

    monkeypatch.setattr(forecast, "ASKING_SECONDS", 0.1)
    monkeypatch.setattr(forecast, "LEARNING_SECONDS", 0.1)
    options = ["--distillation.max_steps", "3", "--paths.distill", folder / "texts.txt"]
    both = f"{folder / 'one'},{folder / 'other'}"
    output = run_command("debug", "distillation", both, folder / "student.cfg", *options)
    assert "Teacher: xx_tiny_teacher" in output
    assert "Teacher: xx_other_teacher" in output


def test_an_interrupted_run_goes_on(folder, config, tmp_path, monkeypatch):
    """While the second teacher was asked: the first is not asked again, and the student is the same."""
    monkeypatch.setattr(store_module, "SHARD_WORDS", 20)
    teachers = [folder / "one", folder / "other"]
    distil_quickly(teachers, TEXTS, tmp_path / "whole", config, steps=6)
    record_store, asked = api.record_store, []

    def record(teacher: Language, *args: Any, **kwargs: Any) -> None:
        asked.append(teacher.meta["name"])
        if len(asked) == 2:
            raise KeyboardInterrupt
        record_store(teacher, *args, **kwargs)

    monkeypatch.setattr(api, "record_store", record)
    with pytest.raises(KeyboardInterrupt):
        distil_quickly(teachers, TEXTS, tmp_path / "stopped", config, steps=6)
    before = (tmp_path / "stopped" / "targets" / "1" / "shard-000000.arrow").stat().st_mtime_ns
    distil_quickly(teachers, TEXTS, tmp_path / "stopped", config, steps=6, resume=True)
    assert (tmp_path / "stopped" / "targets" / "1" / "shard-000000.arrow").stat().st_mtime_ns == before
    assert files_of(tmp_path / "stopped" / "model-last") == files_of(tmp_path / "whole" / "model-last")


# What does not fit


def refused(folder: Path, tmp_path: Path, config: Config, *names: str, **overrides: Any) -> str:
    """The message, when nobody was asked; with its code."""
    teachers = [folder / name for name in names] if len(names) != 1 else names[0]
    with pytest.raises(DistillationError) as caught:
        distill(teachers, TEXTS, output=tmp_path / "no", config=config, overrides=overrides)
    assert not list((tmp_path / "no").glob("targets/**/*.arrow"))
    return str(caught.value)


def test_what_does_not_fit(folder, config, tmp_path):
    said = refused(folder, tmp_path, config, "one", "more_labels")
    assert said.startswith("[TD220]")
    assert "'X'" in said
    said = refused(folder, tmp_path, config, "one", "tagger")
    assert said.startswith("[TD205]")
    assert "'xx_tiny_teacher' has no pipe 'ner'" in said
    said = refused(folder, tmp_path, config, "one", "ruler")
    assert said.startswith("[TD221]")
    assert "Annotations" in said
    two = {"distillation.teacher_weights": [1, 2, 3]}
    assert refused(folder, tmp_path, config, "one", "other", **two).startswith("[TD014]")
    below = {"distillation.teacher_weights": [1, 0]}
    assert refused(folder, tmp_path, config, "one", "other", **below).startswith("[TD003]")
    named = {"distillation.teachers": [str(folder / "one"), str(folder / "other")]}
    assert refused(folder, tmp_path, config, str(folder / "tagger"), **named).startswith("[TD")
    assert refused(folder, tmp_path, config, str(folder / "one"), **named).startswith("[TD015]")
    stream = {"distillation.max_epochs": -1, "paths.dev": str(folder / "dev.spacy")}
    assert refused(folder, tmp_path, config, "one", "other", **stream).startswith("[TD016]")
    assert refused(folder, tmp_path, config, "-").startswith("[TD627]")


def test_hard_labels_are_not_averaged(folder, config, tmp_path):
    del config["components"]["tagger"], config["components"]["textcat"]
    config["nlp"]["pipeline"] = ["tok2vec", "ner"]
    assert refused(folder, tmp_path, config, "ruler", "ruler").startswith("[TD222]")


def test_tokenizers_that_differ(folder, config, tmp_path):
    other = spacy.load(folder / "other")
    other.tokenizer.add_special_case("Rome", [{"ORTH": "Ro"}, {"ORTH": "me"}])
    other.to_disk(tmp_path / "splits")
    with pytest.raises(DistillationError, match=r"TD204.*xx_other_teacher"):
        distill([folder / "one", tmp_path / "splits"], TEXTS, output=tmp_path / "no", config=config)


def test_one_store_of_two_teachers(folder, config, tmp_path):
    config["distillation"]["teachers"] = [str(folder / "one"), str(folder / "other")]
    with pytest.raises(DistillationError) as caught:
        record_targets("-", TEXTS, store=tmp_path / "store", config=config)
    assert caught.value.code == "TD636"


def test_stores_that_differ(folder, config, tmp_path):
    record_targets(folder / "one", TEXTS, store=tmp_path / "all", config=config)
    record_targets(folder / "other", TEXTS[:20], store=tmp_path / "fewer", config=config)
    record_targets(folder / "tagger", TEXTS, store=tmp_path / "tagger")
    for other, code in (("fewer", "TD633"), ("tagger", "TD634")):
        with pytest.raises(DistillationError) as caught:
            distil_quickly("-", None, tmp_path / "no", config, steps=1, targets=[tmp_path / "all", tmp_path / other])
        assert caught.value.code == code
