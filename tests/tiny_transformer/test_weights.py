"""A tiny transformer that starts with weights of its teacher's."""

import numpy
import pytest

from helpers.transformer_students import (
    LIKE_THE_TEACHER,
    SHORT,
    Classroom,
    bert_of,
    config_of,
    teacher_pieces,
)
from spacy_tinydistill.components.transformer_layers import TransformerLayers
from spacy_tinydistill.errors import DistillationError
from spacy_tinydistill.pipes.encoder import token_layers
from spacy_tinydistill.tiny_transformer.encoder import tiny_transformer
from spacy_tinydistill.tiny_transformer.pieces import copy_pieces, train_pieces
from spacy_tinydistill.tiny_transformer.weights import start_from

torch = pytest.importorskip("torch", reason="needs the extra [tiny-transformer]")
pytest.importorskip("spacy_transformers", reason="needs the extra [transformers]")

WEIGHTS = "spacy-tinydistill.TeacherWeights.v1"


@pytest.fixture
def teacher(spacy_transformers_teacher):
    return spacy_transformers_teacher


@pytest.fixture
def teacher_path(spacy_transformers_teacher_path):
    return spacy_transformers_teacher_path


def test_weights_of_the_teacher(teacher, teacher_path, texts):
    """At its own size the student is its teacher; at half of it, nearer to it than chance."""
    config = config_of(teacher, teacher_pieces(teacher_path))
    config["initialize"]["after_init"] = {"@callbacks": WEIGHTS, "teacher": str(teacher_path), "layers": [1, 2]}
    room = Classroom(teacher, config, SHORT)
    (doc,) = teacher.get_pipe("transformer").pipe([teacher.make_doc(SHORT[1])])
    expected = token_layers(doc, teacher.get_pipe("transformer"))[-1]
    assert abs(expected[0] - expected[1]).max() > 0.1
    numpy.testing.assert_allclose(room.encoder.model.predict([room.docs[1]])[0], expected, atol=2e-3)
    rule = {"embeddings_weight": 0.0, "hidden_weight": 0.0}
    losses = []
    for after_init in (None, {"@callbacks": WEIGHTS, "teacher": str(teacher_path)}):
        config = config_of(teacher, teacher_pieces(teacher_path), rule, layers=1, width=16, intermediate_width=24)
        config["initialize"]["after_init"] = after_init
        losses.append(Classroom(teacher, config, SHORT).learn())
    assert losses[1] < 0.8 * losses[0]


def test_embeddings_of_the_teacher_alone(teacher):
    """Also where the heads are others and a dense layer is wider: of a layer nothing is taken over."""
    model = tiny_transformer(**{**LIKE_THE_TEACHER, "heads": 4, "intermediate_width": 80})
    model.attrs["pieces"] = copy_pieces(teacher)
    model.initialize()
    bert = model.shims[0]._model
    layers = {name: weights.clone() for name, weights in bert.layers.state_dict().items()}
    start_from(teacher, model, [])
    theirs = bert_of(teacher).embeddings
    expected = theirs.word_embeddings.weight + theirs.token_type_embeddings.weight[0]
    numpy.testing.assert_allclose(
        bert.pieces.weight.detach().numpy()[: len(model.attrs["pieces"])],
        expected.detach().numpy()[: len(model.attrs["pieces"])],
        atol=1e-6,
    )
    for name, weights in bert.layers.state_dict().items():
        assert torch.equal(weights, layers[name])


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({"width": 36}, "width of 36"),
        ({"intermediate_width": 65}, "intermediate_width of 65"),
        ({"max_length": 513}, "max_length of 513"),
        ({"heads": 4}, "4 heads"),
        ({}, "other pieces"),
    ],
)
def test_weights_that_do_not_fit(teacher, changes, found):
    model = tiny_transformer(**{**LIKE_THE_TEACHER, **changes})
    model.attrs["pieces"] = copy_pieces(teacher) if changes else train_pieces(lambda: SHORT, 60)
    model.initialize()
    with pytest.raises(DistillationError) as caught:
        start_from(teacher, model, "uniform")
    assert caught.value.code == "TD224"
    assert found in str(caught.value)


def test_weights_of_a_teacher_that_is_no_bert(curated_teacher):
    with pytest.raises(DistillationError) as caught:
        start_from(curated_teacher, tiny_transformer(**LIKE_THE_TEACHER), "last")
    assert caught.value.code == "TD224"


@pytest.mark.parametrize("weights", [(0.0, 0.0, 0.0), (1.0, -1.0, 1.0), (1.0, 0.0, 1.0, 1.0), (1.0, 1.0, 1.0, -1.0)])
def test_weights_that_teach_nothing(weights):
    with pytest.raises(ValueError, match="weight"):
        TransformerLayers("last", *weights)
