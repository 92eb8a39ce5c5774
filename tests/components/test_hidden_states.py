"""An encoder learns from its teacher's: with the pipes that read it, in one pass, and leaves nothing behind."""

import subprocess
import sys

import numpy
import pytest
import spacy
from spacy.training import Example
from thinc.api import chain, fix_random_seed

from helpers.comparison import files_of
from helpers.gradients import check_gradients
from helpers.interruption import Killed
from helpers.plain_spacy import BLOCKED, LOAD_WHERE_BLOCKED
from helpers.students import distil_quickly, make_config, randomize
from helpers.tiny_teacher import ENCODER, LANGUAGE, MODELS, TEXTS, annotate_gold, write_gold
from spacy_tinydistill.api import record_targets
from spacy_tinydistill.components.hidden_states import HiddenStatesLesson
from spacy_tinydistill.errors import DistillationError
from spacy_tinydistill.evaluation_log import CURVE_NAME, read_curve
from spacy_tinydistill.loop import DIR_MODEL_BEST, DIR_MODEL_LAST, _GradientStream
from spacy_tinydistill.pipes.profile import profile_teacher
from spacy_tinydistill.schemas import read_distillation_config
from spacy_tinydistill.student.pipeline import (
    describe_lessons,
    initialize_student,
    make_student,
    plan_lessons,
    start_lessons,
)

RULE = "spacy-tinydistill.HiddenStates.v1"


@pytest.fixture(scope="module")
def teacher():
    """With an encoder of its own that its pipes read."""
    fix_random_seed(0)
    nlp = spacy.blank(LANGUAGE)
    nlp.add_pipe("tok2vec", config={"model": ENCODER})
    listener = {"@architectures": "spacy.Tok2VecListener.v1", "width": ENCODER["width"], "upstream": "*"}
    nlp.add_pipe("tagger", config={"model": {**MODELS["tagger"], "tok2vec": listener}})
    nlp.add_pipe("ner", config={"model": {**MODELS["ner"], "tok2vec": listener}})
    examples = [annotate_gold(nlp, text) for text in TEXTS]
    optimizer = nlp.initialize(lambda: examples)
    optimizer.learn_rate = 0.01
    for _ in range(5):
        nlp.update(examples, sgd=optimizer)
    return nlp


@pytest.fixture(scope="module")
def texts():
    return TEXTS


def config_with_rule(teacher, pipes, **settings):
    config = make_config(teacher, pipes)
    config["distillation"]["teaching"] = {"tok2vec": {"@teaching_rules": RULE, **settings}}
    return config


class Classroom:
    """A student, its lessons, and what its teacher says of a few texts."""

    def __init__(self, teacher, pipes, **settings) -> None:
        config = config_with_rule(teacher, pipes, **settings)
        profile = profile_teacher(teacher)
        self.student = make_student(config, profile)
        plan = plan_lessons(self.student, teacher, read_distillation_config(config.interpolate()))
        texts = TEXTS[::9]
        examples = [Example(self.student.make_doc(text), self.student.make_doc(text)) for text in texts]
        initialize_student(self.student, profile, plan, examples)
        self.lessons = start_lessons(self.student, describe_lessons(self.student, teacher, plan), plan)
        self.encoder = self.student.get_pipe("tok2vec")
        self.docs = [example.predicted for example in examples]
        asked = list(teacher.get_pipe("tok2vec").pipe([teacher.make_doc(text) for text in texts]))
        self.targets = {name: rule.record(teacher.get_pipe(source), asked) for name, (source, rule) in plan.items()}
        # Output layers begin with zeros, through which no gradient flows back, and biases at the kinks of maxout.
        for name in ["tok2vec", *pipes]:
            randomize(self.student.get_pipe(name).model, numpy.random.default_rng(0))

    def learn(self, *names) -> float:
        self.encoder.update([Example(doc, doc) for doc in self.docs], losses={})
        stream = _GradientStream(self.encoder)
        losses = [self.lessons[name].update(self.docs, self.targets[name], dropout=0.0) for name in names]
        stream.finish()
        return sum(losses)


def test_its_gradient_is_added_to_those_of_the_pipes(teacher):
    room = Classroom(teacher, ["tagger"], weight=0.5)
    lesson = room.lessons["tok2vec"]
    model = chain(room.encoder.model, lesson.model.layers[1])
    assert check_gradients(model, lambda: room.learn("tagger", "tok2vec")) > 4


def test_the_encoder_runs_once(teacher, monkeypatch):
    room = Classroom(teacher, ["tagger"])
    runs = []
    forward = room.encoder.model._func

    def watch(model, docs, is_train):
        vectors, backprop = forward(model, docs, is_train)
        runs.append("forward")
        return vectors, lambda gradient: runs.append("backward") or backprop(gradient)

    monkeypatch.setattr(room.encoder.model, "_func", watch)
    room.learn("tagger", "tok2vec")
    assert runs == ["forward", "backward"]
    # As in a pass over gold annotations, of which its lesson is no part.
    room.learn("tagger")
    assert runs == ["forward", "backward"] * 2


def test_weight(teacher):
    losses = [Classroom(teacher, ["tagger"], weight=weight).learn("tok2vec") for weight in (1.0, 3.0)]
    assert losses[1] == pytest.approx(3 * losses[0])


RUN = {"dropout": 0.2, "training.eval_frequency": 4, "distillation.batcher.size": 50}


def run(teacher, texts, folder, *, kill_at=-1, steps=13, config=None, **changes):
    settings = {**RUN, **changes}
    if kill_at >= 0:
        settings["training.before_update"] = {"@callbacks": "tests.watch_updates.v1", "kill_at": kill_at}
    config = config or config_with_rule(teacher, ["tagger", "ner"])
    return distil_quickly(teacher, texts, folder, config, steps=steps, **settings)


@pytest.mark.slow
def test_a_killed_run_goes_on_as_if_nothing_had_happened(teacher, texts, tmp_path):
    run(teacher, texts[:24], tmp_path / "undisturbed")
    with pytest.raises(Killed):
        run(teacher, texts[:24], tmp_path / "killed", kill_at=11)
    run(teacher, texts[:24], tmp_path / "killed", resume=True)
    for name in (DIR_MODEL_LAST, DIR_MODEL_BEST):
        assert files_of(tmp_path / "killed" / name) == files_of(tmp_path / "undisturbed" / name)


def test_a_student_learns_and_is_plain_spacy(teacher, texts, tmp_path, monkeypatch):
    losses = []
    update = HiddenStatesLesson.update

    def watch(self, docs, targets, *, dropout):
        losses.append(update(self, docs, targets, dropout=dropout) / sum(map(len, docs)))
        return losses[-1]

    monkeypatch.setattr(HiddenStatesLesson, "update", watch)
    record_targets(teacher, texts, store=tmp_path / "store", config=config_with_rule(teacher, ["tagger"]))
    found = {}
    configs = {"with": config_with_rule(teacher, ["tagger"]), "without": make_config(teacher, ["tagger"])}
    for name, config in configs.items():
        distil_quickly("-", None, tmp_path / name, config, steps=40, targets=tmp_path / "store")
        found[name] = files_of(tmp_path / name / DIR_MODEL_LAST)
    assert len(losses) == 41
    assert sum(losses[-5:]) < 0.5 * sum(losses[:5])
    # The same files, names and shapes; other weights.
    assert found["with"].keys() == found["without"].keys()
    assert [len(data) for name, data in found["with"].items() if name.endswith("model")] == [
        len(data) for name, data in found["without"].items() if name.endswith("model")
    ]
    assert found["with"]["tok2vec/model"] != found["without"]["tok2vec/model"]
    script = LOAD_WHERE_BLOCKED.format(blocked=BLOCKED)
    subprocess.run([sys.executable, "-c", script, tmp_path / "with" / DIR_MODEL_LAST, TEXTS[0]], check=True)


def test_other_layers_than_were_recorded(teacher, texts, tmp_path):
    config = config_with_rule(teacher, ["tagger"], layers=[0])
    record_targets(teacher, texts[:10], store=tmp_path / "store", config=config)
    with pytest.raises(DistillationError) as caught:
        distil_quickly(
            "-", None, tmp_path / "student", config_with_rule(teacher, ["tagger"]), steps=1, targets=tmp_path / "store"
        )
    assert caught.value.code == "TD611"
    assert "[0]" in str(caught.value)


@pytest.mark.parametrize("layer", [1, -2])
def test_a_layer_that_the_teacher_does_not_have(teacher, texts, tmp_path, layer):
    with pytest.raises(DistillationError) as caught:
        run(teacher, texts[:10], tmp_path, config=config_with_rule(teacher, ["tagger"], layers=[-1, layer]))
    assert caught.value.code == "TD212"
    assert "'tok2vec'" in str(caught.value)


def test_a_pipe_that_is_no_encoder(teacher, texts, tmp_path):
    config = config_with_rule(teacher, ["tagger"])
    config["distillation"]["student_to_teacher"] = {"tok2vec": "tagger"}
    with pytest.raises(DistillationError) as caught:
        run(teacher, texts[:10], tmp_path, config=config)
    assert caught.value.code == "TD207"


# An encoder alone


def encoder_config(teacher, **settings):
    config = config_with_rule(teacher, ["tagger"], **settings)
    del config["components"]["tagger"]
    config["nlp"]["pipeline"] = ["tok2vec"]
    return config


def test_an_encoder_alone_is_scored_by_its_loss(teacher, texts, tmp_path, capsys):
    student = run(teacher, texts, tmp_path / "output", config=encoder_config(teacher), steps=30, dropout=0.0)
    assert student.pipe_names == ["tok2vec"]
    scores = [point["score"] for point in read_curve(tmp_path / "output" / CURVE_NAME)]
    assert scores[0] < scores[4] < scores[-1] < 0
    # The last one is that of what was saved as the best, on the texts that were held out.
    assert f"held-out texts is {-max(scores):.4f} a token" in capsys.readouterr().out
    assert not (tmp_path / "output" / "report.json").exists()


def test_an_encoder_alone_and_gold(teacher, texts, tmp_path):
    gold = write_gold(tmp_path / "dev.spacy")
    with pytest.raises(DistillationError) as caught:
        run(teacher, texts, tmp_path / "output", config=encoder_config(teacher), **{"paths.dev": str(gold)})
    assert caught.value.code == "TD223"
    store = tmp_path / "store"
    record_targets(teacher, texts[:10], store=store, config=encoder_config(teacher))
    with pytest.raises(DistillationError) as caught:
        distil_quickly(
            "-", None, tmp_path / "output", encoder_config(teacher), steps=1, targets=store, **{"paths.dev": str(gold)}
        )
    assert caught.value.code == "TD223"


def test_a_student_starts_from_an_earlier_one(teacher, texts, tmp_path):
    """As spaCy's users do it: by the source of a component."""
    earlier = run(teacher, texts, tmp_path / "earlier", config=encoder_config(teacher), steps=5)
    config = make_config(teacher, ["tagger"])
    config["components"]["tok2vec"] = {"source": str(tmp_path / "earlier" / DIR_MODEL_BEST)}
    profile = profile_teacher(teacher)
    student = make_student(config, profile)
    plan = plan_lessons(student, teacher, read_distillation_config(config.interpolate()))
    doc = student.make_doc(texts[0])
    initialize_student(student, profile, plan, [Example(doc, doc)])
    before, after = (nlp.get_pipe("tok2vec").model.predict([nlp.make_doc(texts[0])])[0] for nlp in (earlier, student))
    numpy.testing.assert_array_equal(before, after)
    assert student.get_pipe("tagger").labels == teacher.get_pipe("tagger").labels
    student = run(teacher, texts, tmp_path / "output", config=config, steps=5)
    # What is saved stands for itself.
    assert student.config["components"]["tok2vec"]["factory"] == "tok2vec"
    assert abs(student.get_pipe("tok2vec").model.predict([doc])[0] - before).max() > 1e-3
