"""The loop: resumed runs, repeatable runs, runs that go wrong, and where each setting makes it stop."""

import os
import subprocess
import sys
from unittest.mock import Mock

import numpy
import pytest
import spacy
import srsly
from spacy.pipeline import Tagger
from spacy.tokens import DocBin
from spacy.training import Example
from spacy.util import copy_config

from helpers.comparison import files_of, weights_of
from helpers.generator import make_docs
from helpers.interruption import UPDATES, Runs
from helpers.students import distil_quickly, initialized_student, make_config
from helpers.undisturbed import SETTINGS
from spacy_tinydistill.components.soft_labels import SoftLabelsLesson
from spacy_tinydistill.components.span_labels import SpanLabels
from spacy_tinydistill.components.text_labels import TextLabels
from spacy_tinydistill.components.token_labels import TokenLabels
from spacy_tinydistill.components.transitions import Transitions
from spacy_tinydistill.errors import DistillationError
from spacy_tinydistill.loop import DIR_MODEL_BEST, DIR_MODEL_LAST, Progress, Taught, distill_while_improving
from spacy_tinydistill.schemas import read_distillation_config, resolve_training


@pytest.fixture
def watched():
    """Settings by which the steps and epochs of a run can be read, with the list that they will be in."""
    UPDATES.clear()
    return UPDATES, {"training.before_update": {"@callbacks": "tests.watch_updates.v1", "kill_at": -1}}


@pytest.mark.slow
def test_the_same_seed_is_the_same_run(teacher, texts, dev_path, tmp_path):
    runs = Runs(teacher, texts, dev_path, tmp_path, max_epochs=0)
    assert runs.run("one") == runs.run("other")


SEEDED = """
import pyarrow
pyarrow.set_cpu_count(3)
pyarrow.set_io_thread_count(3)
from spacy_tinydistill import distill
distill({teacher!r}, {texts!r}, output={output!r}, overrides={settings!r})
"""


@pytest.mark.slow
def test_the_same_seed_is_the_same_run_in_another_process(tiny_teacher_path, tiny_texts_path, undisturbed, tmp_path):
    """With another seed for Python's hashes, in whose order sets are, and other numbers of threads that read data."""
    output = tmp_path / "run"
    script = SEEDED.format(
        teacher=str(tiny_teacher_path), texts=str(tiny_texts_path), output=str(output), settings=SETTINGS
    )
    environment = {**os.environ, "PYTHONHASHSEED": "2" if os.environ.get("PYTHONHASHSEED") == "1" else "1"}
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stdout + done.stderr
    for name in (DIR_MODEL_LAST, DIR_MODEL_BEST, "targets"):
        assert files_of(output / name) == files_of(undisturbed / name)
    assert (output / DIR_MODEL_LAST / "meta.json").read_bytes() == (
        undisturbed / DIR_MODEL_LAST / "meta.json"
    ).read_bytes()


@pytest.mark.slow
def test_another_seed_is_another_run(teacher, texts, dev_path, tmp_path):
    found = []
    for seed in (0, 1):
        output = tmp_path / str(len(found))
        overrides = {"system.seed": seed, "paths.dev": str(dev_path)}
        distil_quickly(teacher, texts[:20], output, make_config(teacher, ["tagger"]), steps=3, **overrides)
        found.append(files_of(output / DIR_MODEL_LAST))
    assert found[0] != found[1]


RULES = {"tagger": TokenLabels, "parser": Transitions, "textcat": TextLabels, "spancat": SpanLabels}


@pytest.mark.parametrize("name", RULES)
def test_a_target_that_is_no_number(teacher, texts, dev_path, tmp_path, monkeypatch, name):
    record = RULES[name].record
    bad_text = texts[7]

    def spoiled(self, pipe, docs):
        recorded = record(self, pipe, docs)
        for doc, arrays in zip(docs, recorded, strict=True):
            if doc.text == bad_text:
                arrays["vectors" if name == "parser" else "probabilities"][:] = numpy.nan
        return recorded

    monkeypatch.setattr(RULES[name], "record", spoiled)
    config = make_config(teacher, [name])
    overrides = {"paths.dev": str(dev_path), "distillation.batcher.size": 60, "training.eval_frequency": 1}
    with pytest.raises(DistillationError) as caught:
        distil_quickly(teacher, texts[:20], tmp_path, config, steps=50, **overrides)
    assert caught.value.code == "TD301"
    assert repr(name) in str(caught.value)
    assert "nan" in str(caught.value)
    student = spacy.load(tmp_path / DIR_MODEL_LAST)
    assert all(numpy.isfinite(weights).all() for weights in weights_of(student).values())
    student("Anna played the drum.")


def test_weights_that_are_no_numbers(teacher, texts, dev_path, tmp_path):
    config = make_config(teacher, ["tagger"])
    config["distillation"]["optimizer"]["learn_rate"] = 1e38
    overrides = {
        "paths.dev": str(dev_path),
        "distillation.optimizer.use_averages": False,
        "training.eval_frequency": 1,
    }
    with pytest.raises(DistillationError) as caught:
        distil_quickly(teacher, texts[:20], tmp_path, config, steps=50, learn_rate=False, **overrides)
    assert caught.value.code in ("TD301", "TD304")
    assert "'tagger'" in str(caught.value) or "'tok2vec'" in str(caught.value)


@pytest.mark.slow
def test_accumulated_gradients_are_those_of_the_whole_batch(teacher, texts, tmp_path):
    found = []
    for parts in (1, 3):
        config = make_config(teacher, ["tagger", "ner"], shared=False)
        # Adam would make a whole step of a gradient that is all rounding.
        config["distillation"]["optimizer"] = {"@optimizers": "SGD.v1", "learn_rate": 0.001}
        output = tmp_path / str(parts)
        settings = {"training.accumulate_gradient": parts, "dropout": 0.0, "distillation.batcher.size": 200}
        distil_quickly(teacher, texts[:40], output, config, steps=3, learn_rate=False, **settings)
        found.append(weights_of(spacy.load(output / DIR_MODEL_LAST)))
    whole, in_parts = found
    for name, weights in whole.items():
        numpy.testing.assert_allclose(in_parts[name], weights, atol=1e-4, err_msg=name)


class OutOfMemoryError(RuntimeError):
    """Stands for PyTorch's, by its name; CuPy's is a MemoryError."""


@pytest.fixture
def little_memory(monkeypatch):
    """Make the last pipe's lesson run out of memory, its work half done, where it has more texts than so many."""

    def set_limit(most, error):
        update = SoftLabelsLesson.update

        def fail(self, docs, targets, *, dropout):
            loss = update(self, docs, targets, dropout=dropout)
            if self.student.name == "senter" and len(docs) > most:
                raise error("out of memory")
            return loss

        monkeypatch.setattr(SoftLabelsLesson, "update", fail)

    return set_limit


@pytest.mark.slow
@pytest.mark.parametrize("error", [OutOfMemoryError, MemoryError])
def test_where_memory_is_short_the_same_is_learned_in_smaller_parts(
    teacher, texts, tmp_path, little_memory, caplog, error
):
    gold = tmp_path / "gold.spacy"
    DocBin(docs=make_docs(spacy.blank("en").vocab, 10, seed=7)).to_disk(gold)
    settings = {"dropout": 0.0, "distillation.batcher.size": 300, "paths.gold": str(gold), "gold_weight": 3.0}
    found = []
    for name in ("enough", "little"):
        if name == "little":
            little_memory(3, error)
        # Two pipes and an encoder that they share: when the second fails, the others hold gradients already.
        config = make_config(teacher, ["tagger", "senter"])
        # Adam would make a whole step of a gradient that is all rounding.
        config["distillation"]["optimizer"] = {"@optimizers": "SGD.v1", "learn_rate": 0.001}
        distil_quickly(teacher, texts[:30], tmp_path / name, config, steps=4, learn_rate=False, **settings)
        meta = srsly.read_json(tmp_path / name / DIR_MODEL_LAST / "meta.json")
        found.append((weights_of(spacy.load(tmp_path / name / DIR_MODEL_LAST)), meta["distillation"]["losses"]))
    (enough, losses), (little, losses_of_little) = found
    assert "not enough memory" not in caplog.text.partition("Step 0")[0]
    for name, weights in enough.items():
        numpy.testing.assert_allclose(little[name], weights, atol=1e-5, err_msg=name)
    for pipe in ("tagger", "senter"):
        assert losses_of_little[pipe] == pytest.approx(losses[pipe], rel=1e-3)
    # What is too much for one batch is not tried with each.
    warnings = [record for record in caplog.records if "not enough memory" in record.getMessage()]
    assert 1 <= len(warnings) <= 3


def test_memory_that_is_too_small_for_one_text(teacher, texts, tmp_path, little_memory):
    little_memory(0, MemoryError)
    with pytest.raises(DistillationError) as caught:
        distil_quickly(teacher, texts[:20], tmp_path, make_config(teacher, ["tagger", "senter"]), steps=4)
    assert caught.value.code == "TD305"
    assert "max_length" in str(caught.value)


# A full disk


def test_patience(teacher, texts, tmp_path, watched):
    updates, settings = watched
    settings |= {"training.patience": 7, "training.eval_frequency": 5, "distillation.batcher.size": 100}
    settings["distillation.optimizer.learn_rate.initial_rate"] = 0.0
    distil_quickly(teacher, texts[:20], tmp_path, make_config(teacher, ["textcat"]), steps=100, **settings)
    # Nothing gets better than at step 0, the first to have been evaluated.
    assert updates[-1]["step"] == 7


def test_max_epochs(teacher, texts, tmp_path, watched):
    updates, settings = watched
    settings |= {"max_epochs": 3, "distillation.batcher.size": 100}
    distil_quickly(teacher, texts[:20], tmp_path, make_config(teacher, ["textcat"]), steps=1000, **settings)
    assert {info["epoch"] for info in updates} == {0, 1, 2}
    per_epoch = [sum(info["epoch"] == epoch for info in updates) for epoch in range(3)]
    assert min(per_epoch) > 2
    assert max(per_epoch) - min(per_epoch) <= 1
    # The end was evaluated too, though no multiple of eval_frequency.
    checkpoint = srsly.msgpack_loads((tmp_path / "checkpoint.msgpack").read_bytes())
    assert checkpoint["progress"]["step"] == updates[-1]["step"] == sum(per_epoch) - 1


def test_a_streamed_corpus_is_asked_about_in_each_epoch(teacher, texts, dev_path, tmp_path, watched, monkeypatch):
    updates, settings = watched
    asked: list[str] = []
    record = TextLabels.record
    monkeypatch.setattr(
        TextLabels, "record", lambda self, pipe, docs: asked.extend(d.text for d in docs) or record(self, pipe, docs)
    )
    settings |= {"max_epochs": -1, "paths.dev": str(dev_path), "distillation.batcher.size": 100}
    config = make_config(teacher, ["textcat"])
    distil_quickly(teacher, texts[:12], tmp_path, config, steps=10, **settings)
    assert updates[-1]["step"] == 10
    assert updates[-1]["epoch"] >= 2
    # Each once before any a second time, in whichever order.
    assert sorted(asked[:12]) == sorted(asked[12:24]) == sorted(texts[:12])


def test_frozen_components_stay_as_they_were(teacher, texts, tmp_path):
    teacher.to_disk(tmp_path / "source")
    config = make_config(teacher, ["tagger", "textcat"])
    config["components"]["tagger"] = {"source": str(tmp_path / "source"), "replace_listeners": ["model.tok2vec"]}
    config["training"]["frozen_components"] = ["tagger"]
    student = distil_quickly(teacher, texts[:20], tmp_path / "student", config, steps=3)
    before, after = (weights_of_pipe(nlp, "tagger") for nlp in (spacy.load(tmp_path / "source"), student))
    # The source's listener has become an encoder of the pipe's own, which comes first; the layers above are these.
    assert all((after[name] == weights).all() for name, weights in before.items())
    docs = [nlp("Anna tuned the old guitar in Oslo on Monday.") for nlp in (teacher, student)]
    assert [token.tag_ for token in docs[0]] == [token.tag_ for token in docs[1]]


def weights_of_pipe(nlp, name):
    output = nlp.get_pipe(name).model.get_ref("output_layer")
    return {param: output.get_param(param).copy() for param in output.param_names}


@pytest.mark.parametrize("annotating", [[], ["tagger"]])
def test_annotating_components(teacher, texts, tmp_path, monkeypatch, annotating):
    """What a student's pipe writes while it learns is there for those behind it, where the config says so."""
    seen = []
    update = SoftLabelsLesson.update

    def watch(self, docs, targets, *, dropout):
        if self.student.name == "textcat":
            seen.extend(doc.has_annotation("TAG") for doc in docs)
        return update(self, docs, targets, dropout=dropout)

    monkeypatch.setattr(SoftLabelsLesson, "update", watch)
    config = make_config(teacher, ["tagger", "textcat"])
    config["training"]["annotating_components"] = annotating
    distil_quickly(teacher, texts[:20], tmp_path, config, steps=2)
    assert seen
    assert set(seen) == {bool(annotating)}


def test_what_a_student_annotates_is_gone_when_it_learns_the_text_again(teacher, texts, tmp_path, monkeypatch):
    """Gold Docs are the same in each epoch; what an untrained student wrote to them would otherwise stay."""
    seen = []
    update = Tagger.update

    def watch(self, examples, **settings):
        seen.extend(example.predicted.has_annotation("TAG") for example in examples)
        return update(self, examples, **settings)

    monkeypatch.setattr(Tagger, "update", watch)
    docs = make_docs(teacher.vocab, 5, seed=0)
    for doc in docs:
        doc.cats = {}
    DocBin(docs=docs).to_disk(tmp_path / "gold.spacy")
    config = make_config(teacher, ["tagger", "textcat"])
    config["paths"]["gold"] = str(tmp_path / "gold.spacy")
    config["training"]["annotating_components"] = ["tagger"]
    distil_quickly(teacher, texts[5:10], tmp_path / "student", config, steps=6)
    assert len(seen) > 5
    assert not any(seen)


def test_each_pipe_has_a_loss_to_be_logged(teacher, texts, tmp_path):
    """Also one of which there was nothing to learn since the last evaluation."""
    student = initialized_student(teacher, ["tagger", "textcat"])
    settings = read_distillation_config(student.config.interpolate())
    lessons = {"textcat": Mock(model=None, update=Mock(return_value=1.0))}
    taught = Taught(Example(student.make_doc(texts[0]), student.make_doc(texts[0])), {"textcat": {}}, has_gold=False)
    steps = distill_while_improving(
        student,
        lessons,
        lambda numbers: [taught],
        lambda: (0.0, {}),
        settings=settings.model_copy(update={"max_steps": 1}),
        training=resolve_training(student.config, settings, -1),
        progress=Progress(),
    )
    logged = [info["losses"] for _, info, _ in steps]
    assert [set(losses) for losses in logged] == [{"tok2vec", "tagger", "textcat"}] * 2
    assert logged[0]["tagger"] == 0.0


def test_a_listener_to_two_encoders(teacher, texts, tmp_path):
    """As spaCy's own configs have it: upstream is "*"."""
    config = make_config(teacher, ["tagger"])
    config["components"]["other"] = copy_config(config["components"]["tok2vec"])
    config["nlp"]["pipeline"].insert(0, "other")
    config["components"]["tagger"]["model"]["tok2vec"]["upstream"] = "*"
    student = distil_quickly(teacher, texts[:20], tmp_path, config, steps=3)
    assert student(texts[0])[0].tag_
