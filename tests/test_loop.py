"""The loop: resumed runs, repeatable runs, runs that go wrong, and where each setting makes it stop."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from unittest.mock import Mock

import numpy
import pytest
import spacy
import srsly
from spacy.pipeline import Tagger
from spacy.tokens import DocBin
from spacy.training import Example
from spacy.util import copy_config, registry

from helpers.comparison import files_of, weights_of
from helpers.generator import make_docs
from helpers.interruption import UPDATES, Killed
from helpers.students import distil_quickly, initialized_student, make_config
from helpers.tiny_teacher import make_teacher, write_texts
from spacy_tinydistill import api, distill, record_targets
from spacy_tinydistill.components.soft_labels import SoftLabelsLesson
from spacy_tinydistill.components.span_labels import SpanLabels
from spacy_tinydistill.components.text_labels import TextLabels
from spacy_tinydistill.components.token_labels import TokenLabels
from spacy_tinydistill.components.transitions import Transitions
from spacy_tinydistill.errors import DistillationError
from spacy_tinydistill.evaluation_log import read_curve
from spacy_tinydistill.loop import DIR_MODEL_BEST, DIR_MODEL_LAST, Progress, Taught, distill_while_improving
from spacy_tinydistill.schemas import read_distillation_config, resolve_training
from spacy_tinydistill.targets import store as store_module
from spacy_tinydistill.targets.records import Role
from spacy_tinydistill.targets.store import HEADER, Store, read_manifest


@pytest.fixture
def watched():
    """Settings by which the steps and epochs of a run can be read, with the list that they will be in."""
    UPDATES.clear()
    return UPDATES, {"training.before_update": {"@callbacks": "tests.watch_updates.v1", "kill_at": -1}}


@pytest.fixture(scope="module")
def dev_path(tmp_path_factory):
    path = tmp_path_factory.mktemp("dev") / "dev.spacy"
    DocBin(docs=make_docs(spacy.blank("en").vocab, 5, seed=6)).to_disk(path)
    return path


RESUMED_PIPES = ["tagger", "parser", "ner", "textcat"]
COMPOUNDING = {"@schedules": "compounding.v1", "start": 60, "stop": 200, "compound": 1.1}


class Runs:
    """Runs of one config that differ in nothing but in being interrupted."""

    def __init__(self, teacher, texts, dev_path, folder, max_epochs) -> None:
        self.teacher = teacher
        self.texts = texts[:24]
        self.folder = folder
        self.settings = {
            "max_epochs": max_epochs,
            "distillation.batcher.size": COMPOUNDING,
            "dropout": 0.2,
            "training.eval_frequency": 4,
            "paths.dev": str(dev_path),
        }

    def run(self, name, *, kill_at=-1, resume=False):
        config = make_config(self.teacher, RESUMED_PIPES)
        settings = dict(self.settings)
        if kill_at >= 0:
            settings["training.before_update"] = {"@callbacks": "tests.watch_updates.v1", "kill_at": kill_at}
        distil_quickly(self.teacher, self.texts, self.folder / name, config, steps=13, resume=resume, **settings)
        return files_of(self.folder / name / DIR_MODEL_LAST), files_of(self.folder / name / DIR_MODEL_BEST)


@pytest.mark.slow
@pytest.mark.parametrize("max_epochs", [0, -1], ids=["shuffled", "streamed"])
def test_a_killed_run_goes_on_as_if_nothing_had_happened(teacher, texts, dev_path, tmp_path, max_epochs):
    runs = Runs(teacher, texts, dev_path, tmp_path, max_epochs)
    undisturbed = runs.run("undisturbed")
    with pytest.raises(Killed):
        runs.run("killed", kill_at=11)
    # The weights moved after the checkpoint, and what was saved is not yet what it will be.
    assert files_of(tmp_path / "killed" / DIR_MODEL_LAST) != undisturbed[0]
    assert runs.run("killed", resume=True) == undisturbed
    # A run that is done stays as it is.
    assert runs.run("killed", resume=True) == undisturbed
    curves = [read_curve(tmp_path / name / "scores.jsonl") for name in ("killed", "undisturbed")]
    assert [point["step"] for point in curves[0]] == [0, 4, 8, 12, 13]
    assert [{**point, "seconds": 0} for point in curves[0]] == [{**point, "seconds": 0} for point in curves[1]]
    assert len((tmp_path / "killed" / "scores.jsonl").read_text().splitlines()) == len(curves[0])


@pytest.mark.slow
def test_the_same_seed_is_the_same_run(teacher, texts, dev_path, tmp_path):
    runs = Runs(teacher, texts, dev_path, tmp_path, max_epochs=0)
    assert runs.run("one") == runs.run("other")


SEEDED = """
import pyarrow
pyarrow.set_cpu_count({threads})
pyarrow.set_io_thread_count({threads})
from spacy_tinydistill import distill
distill({teacher!r}, {texts!r}, output={output!r}, overrides={settings!r})
"""


@pytest.mark.slow
def test_the_same_seed_is_the_same_run_in_another_process(tmp_path):
    """With another seed for Python's hashes, in whose order sets are, and other numbers of threads that read data."""
    make_teacher().to_disk(tmp_path / "teacher")
    texts = write_texts(tmp_path / "texts.txt")
    settings = {"distillation.max_steps": 20, "training.eval_frequency": 10, "distillation.batcher.size": 60}
    found = []
    for hash_seed, threads in (("1", 1), ("2", 3)):
        output = tmp_path / hash_seed
        script = SEEDED.format(
            threads=threads, teacher=str(tmp_path / "teacher"), texts=str(texts),
            output=str(output), settings=settings,
        )  # fmt: skip
        environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
        done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=environment)
        assert done.returncode == 0, done.stdout + done.stderr
        found.append({name: files_of(output / name) for name in (DIR_MODEL_LAST, DIR_MODEL_BEST, "targets")})
        found[-1]["meta"] = (output / DIR_MODEL_LAST / "meta.json").read_bytes()
    assert found[0] == found[1]


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
        found.append((weights_of(spacy.load(tmp_path / name / DIR_MODEL_LAST)), meta["performance"]))
    (enough, performance), (little, performance_of_little) = found
    assert "not enough memory" not in caplog.text.partition("Step 0")[0]
    for name, weights in enough.items():
        numpy.testing.assert_allclose(little[name], weights, atol=1e-5, err_msg=name)
    for loss in ("tagger_loss", "senter_loss"):
        assert performance_of_little[loss] == pytest.approx(performance[loss], rel=1e-3)
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


@pytest.fixture
def small_disk(tmp_path):
    """A disk of 64 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", str(folder)]
    if shutil.which("mount") is None or subprocess.run(command, capture_output=True).returncode:
        pytest.skip("no small disk can be made here: mounting a tmpfs is not allowed")
    yield folder
    # Lazily: shards may still be mapped.
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(folder: Path, *, leave: int) -> None:
    """Fill a disk but for so many bytes."""
    with (folder / "filler").open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, max(1, shutil.disk_usage(folder).free - leave))


# What `[training.before_update]` fills up: a disk, and how much of it is left.
FILLED: dict[str, int] = {}


@registry.callbacks("tests.fill_disk.v1")
def fill_disk(at: int):
    def watch(nlp, info):
        if info["step"] == at:
            for folder, leave in FILLED.items():
                fill(Path(folder), leave=leave)

    return watch


@pytest.mark.parametrize("room", ["nothing", "a student", "two students"])
def test_a_full_disk(teacher, texts, dev_path, tmp_path, small_disk, room):
    """The last good checkpoint stays, and from it the run goes on."""

    def run(output, *, fill_at=-1, resume=False):
        settings = {"paths.dev": str(dev_path), "training.eval_frequency": 4, "distillation.batcher.size": 100}
        settings["training.before_update"] = {"@callbacks": "tests.fill_disk.v1", "at": fill_at}
        config = make_config(teacher, ["tagger"])
        distil_quickly(teacher, texts[:20], output, config, steps=8, resume=resume, **settings)

    run(tmp_path / "undisturbed")
    student = sum(map(len, files_of(tmp_path / "undisturbed" / DIR_MODEL_LAST).values()))
    checkpoint = (tmp_path / "undisturbed" / "checkpoint.msgpack").stat().st_size
    leave = {"nothing": 0, "a student": int(1.2 * student), "two students": int(2.5 * student)}[room]
    # Else there would be room for all.
    assert leave < checkpoint
    FILLED.clear()
    FILLED[str(small_disk)] = leave
    with pytest.raises(DistillationError) as caught:
        run(small_disk / "run", fill_at=6)
    assert caught.value.code == "TD509"
    assert "No space left on device" in str(caught.value)
    assert "--resume" in str(caught.value)
    assert not list((small_disk / "run").glob("*.new"))
    state = srsly.msgpack_loads((small_disk / "run" / "checkpoint.msgpack").read_bytes())
    assert state["progress"]["step"] == 4
    spacy.load(small_disk / "run" / DIR_MODEL_LAST)
    spacy.load(small_disk / "run" / DIR_MODEL_BEST)
    (small_disk / "filler").unlink()
    run(small_disk / "run", resume=True)
    for name in (DIR_MODEL_LAST, DIR_MODEL_BEST):
        assert files_of(small_disk / "run" / name) == files_of(tmp_path / "undisturbed" / name)


def test_a_full_disk_while_the_teacher_is_asked(teacher, texts, tmp_path, small_disk, monkeypatch):
    monkeypatch.setattr(store_module, "SHARD_WORDS", 300)
    config = make_config(teacher, ["parser"])
    undisturbed = record_targets(teacher, texts[:60], store=tmp_path / "store", config=config)
    assert len(undisturbed.shards) > 4
    fill(
        small_disk, leave=(tmp_path / "store" / HEADER).stat().st_size + int(2.5 * undisturbed.shards[0].bytes) + 50_000
    )
    store = small_disk / "store"
    with pytest.raises(DistillationError) as caught:
        record_targets(teacher, texts[:60], store=store, config=config)
    assert caught.value.code == "TD509"
    assert "No space left on device" in str(caught.value)
    begun = read_manifest(store)
    assert 0 < len(begun.shards) < len(undisturbed.shards)
    assert begun.shards == undisturbed.shards[: len(begun.shards)]
    (small_disk / "filler").unlink()
    assert record_targets(teacher, texts[:60], store=store, config=config) == undisturbed
    Store(store)


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
    assert asked[:24] == texts[:12] * 2 or sorted(asked[:24]) == sorted(texts[:12] * 2)


def test_a_streamed_corpus_without_dev_data(teacher, texts, tmp_path):
    with pytest.raises(DistillationError) as caught:
        distil_quickly(teacher, texts[:20], tmp_path, make_config(teacher, ["textcat"]), steps=1, max_epochs=-1)
    assert caught.value.code == "TD008"


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


def test_a_text_is_learned_or_held_out_however_often_it_occurs(teacher, texts, tmp_path):
    """Also where there is gold of it: the first text is held out."""
    DocBin(docs=[teacher(text) for text in texts[:2]]).to_disk(tmp_path / "gold.spacy")
    config = make_config(teacher, ["tagger"])
    config["paths"]["gold"] = str(tmp_path / "gold.spacy")
    distil_quickly(teacher, texts[:25] * 3, tmp_path / "student", config, steps=1)
    roles: dict[tuple[str, ...], set[Role]] = {}
    for item in Store(tmp_path / "student" / "targets").read(*Role):
        roles.setdefault(tuple(item.words), set()).add(item.role)
    counts = Counter(frozenset(found) for found in roles.values())
    assert counts == {
        frozenset({Role.HELD_OUT}): 2,
        frozenset({Role.TEXT}): 22,
        frozenset({Role.TEXT, Role.GOLD}): 1,
    }


def test_one_text_again_and_again(teacher, texts, tmp_path):
    with pytest.raises(DistillationError) as caught:
        distil_quickly(teacher, texts[:1] * 10, tmp_path, make_config(teacher, ["tagger"]), steps=1)
    assert caught.value.code == "TD109"


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


def test_nothing_to_resume(teacher, texts, tmp_path):
    with pytest.raises(DistillationError) as caught:
        distil_quickly(teacher, texts[:20], tmp_path, make_config(teacher, ["tagger"]), steps=1, resume=True)
    assert caught.value.code == "TD302"


def test_resuming_another_student(teacher, texts, tmp_path):
    distil_quickly(teacher, texts[:20], tmp_path, make_config(teacher, ["tagger"]), steps=1)
    with pytest.raises(DistillationError) as caught:
        distil_quickly(teacher, texts[:20], tmp_path, make_config(teacher, ["senter"]), steps=1, resume=True)
    assert caught.value.code == "TD303"


def test_nothing_is_overwritten(teacher, texts, tmp_path):
    distil_quickly(teacher, texts[:20], tmp_path, make_config(teacher, ["tagger"]), steps=1)
    with pytest.raises(DistillationError) as caught:
        api.distill(teacher, texts[:20], output=tmp_path)
    assert caught.value.code == "TD501"


def test_resume_keeps_what_it_goes_on_from_also_with_force(teacher, texts, tmp_path):
    config = make_config(teacher, ["textcat"])
    distil_quickly(teacher, texts[:20], tmp_path, config, steps=2)
    more = {"distillation.max_steps": 3, "training.eval_frequency": 10_000}
    distill(teacher, texts[:20], output=tmp_path, config=config, overrides=more, resume=True, force=True)
    assert srsly.msgpack_loads((tmp_path / "checkpoint.msgpack").read_bytes())["progress"]["step"] == 3


SIGNALLED = """
import sys
from spacy.cli._util import app
import spacy_tinydistill.cli.distill
sys.argv = ["spacy", "distill", *{arguments!r}]
app()
"""


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_run_that_is_asked_to_stop(tmp_path, number, code):
    """Between two evaluations; resumed, it ends as if nobody had asked."""
    make_teacher().to_disk(tmp_path / "teacher")
    texts = write_texts(tmp_path / "texts.txt")
    settings = {
        "distillation.max_steps": 400,
        "training.eval_frequency": 350,
        "distillation.batcher.size": 60,
        "training.logger.progress_bar": "train",
        "training.logger.console_output": True,
    }
    distill(tmp_path / "teacher", texts, output=tmp_path / "undisturbed", overrides=settings)
    overrides = [part for key, value in settings.items() for part in (f"--{key}", json.dumps(value).strip('"'))]
    arguments = [str(tmp_path / "teacher"), str(texts), "--output", str(tmp_path / "run"), *overrides]
    script = SIGNALLED.format(arguments=arguments)
    process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    checkpoint = tmp_path / "run" / "checkpoint.msgpack"
    # Written at step 0 for the first time.
    while process.poll() is None and not checkpoint.exists():
        time.sleep(0.01)
    time.sleep(0.3)
    process.send_signal(number)
    output = process.communicate()[0].decode()
    assert process.returncode == code, output
    assert "Go on with --resume" in output
    step = srsly.msgpack_loads(checkpoint.read_bytes())["progress"]["step"]
    assert 0 < step < 400
    distill(tmp_path / "teacher", texts, output=tmp_path / "run", overrides=settings, resume=True)
    assert files_of(tmp_path / "run" / "model-last") == files_of(tmp_path / "undisturbed" / "model-last")
