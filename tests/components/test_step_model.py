"""The states of a parser or ner are scored as spaCy scores them."""

import numpy
import pytest

from helpers.students import initialized_student, randomize
from spacy_tinydistill.components.step_model import StepLayers, StepModel

STEP_MODELS = [{}, {"use_upper": False}, {"extra_state_tokens": True}, {"maxout_pieces": 1}]


@pytest.mark.parametrize("model", STEP_MODELS[:-1])
@pytest.mark.parametrize("name", ["parser", "ner"])
def test_states_are_scored_as_by_spacy(teacher, texts, name, model):
    pipe, layers = random_step_model(teacher, name, model)
    docs = [teacher.make_doc(text) for text in texts[:5]]
    spacys = pipe.model.predict(docs)
    ours = StepModel(layers, spacys.tokvecs)
    remade = StepModel(StepLayers.from_description(layers.describe()), spacys.tokvecs)
    states = pipe.moves.init_batch(docs)
    n_steps = 0
    while states:
        expected = spacys.predict(states)
        ids = ours.token_ids(states)
        for found in (ours.predict(ids), ours.begin_update(ids, dropout=0.0)[0], remade.predict(ids)):
            numpy.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)
        states = pipe.transition_states(states, expected)
        n_steps += 1
    assert n_steps >= max(len(doc) for doc in docs)


@pytest.mark.parametrize("model", STEP_MODELS)
@pytest.mark.parametrize("name", ["parser", "ner"])
def test_a_walk_ends_where_spacys_does(teacher, texts, name, model):
    pipe, layers = random_step_model(teacher, name, model)
    annotated = {}
    for who in ("spaCy", "we"):
        docs = [teacher.make_doc(text) for text in texts[:5]]
        if who == "spaCy":
            ends = pipe.predict(docs)
        else:
            ends = states = pipe.moves.init_batch(docs)
            ours = StepModel(layers, pipe.model.get_ref("tok2vec").predict(docs))
            while states:
                states = pipe.transition_states(states, ours.predict(ours.token_ids(states)))
        pipe.set_annotations(docs, ends)
        annotated[who] = [[(t.dep_, t.head.i, t.is_sent_start, t.ent_type_, t.ent_iob_) for t in doc] for doc in docs]
    assert annotated["spaCy"] == annotated["we"]


def random_step_model(teacher, name, model):
    """A pipe with random weights, which does for comparing scores, and its layers; one action is unseen."""
    pipe = initialized_student(teacher, [name], model=model).get_pipe(name)
    randomize(pipe.model, numpy.random.default_rng(0))
    pipe.model.attrs["unseen_classes"].add(1)
    return pipe, StepLayers.of(pipe.model)
