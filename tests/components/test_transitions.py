"""A parser or ner learns its teacher's scores along its own way, or along the teacher's."""

from types import SimpleNamespace

import numpy
import pytest

from helpers.cnn_teacher import cnn
from helpers.students import initialized_student, randomize
from spacy_tinydistill.components.step_model import StepLayers, StepModel
from spacy_tinydistill.components.transitions import Transitions


@pytest.mark.parametrize("name", ["parser", "ner"])
def test_a_share_of_the_docs_goes_the_teachers_way(teacher, texts, name):
    pipe = initialized_student(teacher, [name], shared=False, encoder=cnn(16, rows=100)).get_pipe(name)
    randomize(pipe.model, numpy.random.default_rng(0))
    source = teacher.get_pipe(name)
    docs = [teacher.make_doc(text) for text in texts[:40]]

    def annotate(who, states):
        annotated = [doc.copy() for doc in docs]
        who.set_annotations(annotated, states)
        return [[(t.dep_, t.head.i, t.ent_type_, t.ent_iob_) for t in doc] for doc in annotated]

    def walk(share):
        rule = Transitions(temperature=1.0, teacher_share=share)
        lesson = rule.start(pipe, name, rule.describe(source))
        walked = pipe.moves.init_batch(docs)
        lesson.student = SimpleNamespace(
            model=pipe.model,
            moves=SimpleNamespace(init_batch=lambda docs: walked, n_moves=pipe.moves.n_moves),
            transition_states=pipe.transition_states,
        )
        numpy.random.seed(0)
        assert lesson.update(docs, rule.record(source, docs), dropout=0.0) > 0
        return annotate(pipe, walked)

    students, teachers = annotate(pipe, pipe.predict(docs)), annotate(source, source.predict(docs))
    assert all(ours != theirs for ours, theirs in zip(students, teachers, strict=True))
    assert (walk(0.0), walk(1.0)) == (students, teachers)
    mixed = walk(0.25)
    assert mixed == walk(0.25)
    led = [found == theirs for found, theirs in zip(mixed, teachers, strict=True)]
    assert 0 < sum(led) < 20
    assert [found == ours for found, ours in zip(mixed, students, strict=True)] == [not one for one in led]
    with pytest.raises(ValueError, match="expected 0 to 1"):
        Transitions(temperature=1.0, teacher_share=1.5)


@pytest.mark.parametrize("name", ["parser", "ner"])
def test_half_precision_leaves_the_teachers_scores_as_they_are(teacher, texts, name):
    pipe = teacher.get_pipe(name)
    docs = [teacher.make_doc(text) for text in texts[:5]]
    recorded = numpy.concatenate([arrays["vectors"] for arrays in Transitions(temperature=1.0).record(pipe, docs)])
    original = pipe.model.predict(docs)
    remade = StepModel(StepLayers.of(pipe.model), recorded.astype("float32"))
    states = pipe.moves.init_batch(docs)
    while states:
        expected = original.predict(states)
        found = remade.predict(remade.token_ids(states))
        numpy.testing.assert_allclose(found, expected, atol=0.01 * numpy.ptp(expected))
        states = pipe.transition_states(states, expected)
