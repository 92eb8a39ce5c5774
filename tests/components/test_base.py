"""Gradients of whole lessons, against finite differences: through each kind of output layer and pipe."""

import numpy
import pytest
from thinc.api import Linear, Logistic, Softmax, chain, softmax_activation

from helpers.cnn_teacher import PIPES, cnn
from helpers.generator import make_texts
from helpers.gradients import LOSSES, check_gradients
from helpers.students import initialized_student, randomize
from spacy_tinydistill.components.base import output_activation, to_output_gradient
from spacy_tinydistill.components.registry import choose_rule

OUTPUT_LAYERS = {
    "softmax": lambda: Softmax(5, 4),
    "softmax_activation": lambda: chain(Linear(5, 4), softmax_activation()),
    "logistic": lambda: chain(Linear(5, 4), Logistic()),
}


@pytest.mark.parametrize("temperature", [1.0, 3.0])
@pytest.mark.parametrize("name", OUTPUT_LAYERS)
def test_gradient_through_the_output_layer(name, temperature):
    model = OUTPUT_LAYERS[name]().initialize()
    numbers = numpy.random.default_rng(0)
    randomize(model, numbers)
    inputs = numbers.normal(size=(6, 4)).astype("float32")
    loss_function, activation = LOSSES["binary" if name == "logistic" else "exclusive"]
    teacher = activation(numbers.normal(size=(6, 5)))

    def learn() -> float:
        scores, backprop = model.begin_update(inputs)
        gradient, loss = loss_function(scores, teacher.astype("float32"), temperature=temperature)
        backprop(to_output_gradient(output_activation(model), scores, gradient).astype("float32"))
        return loss

    assert output_activation(model) == name
    assert check_gradients(model, learn) == 2


TOKEN_PIPES = PIPES[:4]

TEXT_MODELS = {
    "reduce": {"@architectures": "spacy.TextCatReduce.v1"},
    "ensemble": {"@architectures": "spacy.TextCatEnsemble.v2"},
    "bow": {"@architectures": "spacy.TextCatBOW.v3", "ngram_size": 1, "length": 512, "no_output_layer": False},
}


@pytest.mark.slow
@pytest.mark.parametrize("name", [*TOKEN_PIPES, "spancat", "spancat_singlelabel", "textcat", "textcat_multilabel"])
def test_gradient_of_a_whole_lesson(teacher, name):
    check_lesson(teacher, name, temperature=2.0)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["textcat", "textcat_multilabel"])
@pytest.mark.parametrize("architecture", ["ensemble", "bow"])
def test_gradient_of_other_text_categorizers(teacher, name, architecture):
    model = {**TEXT_MODELS[architecture], "exclusive_classes": name == "textcat", "nO": None}
    if architecture == "ensemble":
        model["linear_model"] = {**TEXT_MODELS["bow"], "exclusive_classes": name == "textcat", "nO": None}
        del model["exclusive_classes"]
    check_lesson(teacher, name, model=model)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "temperature", "model"),
    [
        ("parser", 1.0, {}),
        ("parser", 2.0, {"use_upper": False}),
        ("parser", 1.0, {"extra_state_tokens": True}),
        ("ner", 2.0, {"maxout_pieces": 1}),
        ("ner", 1.0, {"use_upper": False, "maxout_pieces": 1}),
    ],
)
def test_gradient_of_a_walk(teacher, name, temperature, model):
    check_lesson(teacher, name, temperature=temperature, model=model)


def check_lesson(teacher, name, *, temperature=1.0, model=None):
    """Compare the gradients that a lesson leaves in a pipe's model to how its loss changes with the weights."""
    encoder = cnn(16, depth=1, rows=100, subwords=False)
    student = initialized_student(teacher, [name], shared=False, encoder=encoder, model=model)
    pipe = student.get_pipe(name)
    randomize(pipe.model, numpy.random.default_rng(0))
    source = teacher.get_pipe(name)
    rule = choose_rule(pipe, source)
    rule.temperature = temperature
    texts = make_texts(2, seed=11)
    targets = rule.record(source, [teacher.make_doc(text) for text in texts])
    lesson = rule.start(pipe, name, rule.describe(source))
    lesson.student = walker = Walker(pipe)
    docs = [student.make_doc(text) for text in texts]

    def learn() -> float:
        walker.position = 0
        return lesson.update(docs, targets, dropout=0.0)

    # The last layer and at least an encoder's worth below it.
    assert check_gradients(pipe.model, learn) >= 2
    assert (walker.position > 10) == (name in ("parser", "ner"))


class Walker:
    """A pipe that goes the way it went the first time: where it goes next has no slope, and is not learned."""

    def __init__(self, pipe) -> None:
        self.pipe = pipe
        self.scores: list[numpy.ndarray] = []
        self.position = 0

    def __getattr__(self, name):
        return getattr(self.pipe, name)

    def transition_states(self, states, scores):
        if self.position == len(self.scores):
            self.scores.append(scores.copy())
        self.position += 1
        return self.pipe.transition_states(states, self.scores[self.position - 1])
