"""Mixed vocabulary: what is drawn, that it is learned from, and that nothing of it is seen outside of training."""

import numpy
import pytest
import spacy
import srsly
from hypothesis import given, settings
from hypothesis import strategies as st
from spacy.util import load_config

from helpers.comparison import files_of
from helpers.interruption import Killed
from helpers.students import distil_quickly
from helpers.transformer_students import CONFIGS, NO_ATTENTION, SHORT, Classroom, config_of, run, trained_pieces
from spacy_tinydistill.errors import DistillationError
from spacy_tinydistill.evaluation_log import CURVE_NAME, read_curve
from spacy_tinydistill.loop import DIR_MODEL_LAST
from spacy_tinydistill.tiny_transformer.encoder import find_transformer, mix_pieces, own_pieces, tiny_transformer
from spacy_tinydistill.tiny_transformer.mixed_vocabulary import (
    fit_to_table,
    inherit,
    mixed_vocabulary_callback,
    own_vectors,
    piece_vectors,
)
from spacy_tinydistill.tiny_transformer.pieces import MixedPieces, train_pieces

torch = pytest.importorskip("torch", reason="needs the extra [tiny-transformer]")
pytest.importorskip("spacy_transformers", reason="needs the extra [transformers]")

MIXED = "spacy-tinydistill.MixedVocabulary.v1"
OWN = train_pieces(lambda: SHORT, 70)
OTHER = train_pieces(lambda: SHORT, 60)
NLP = spacy.blank("en")


@pytest.fixture
def teacher(spacy_transformers_teacher):
    return spacy_transformers_teacher


@pytest.fixture
def teacher_path(spacy_transformers_teacher_path):
    return spacy_transformers_teacher_path


def mixed_config(teacher, folder, texts, probability=0.5, path=None, **changes):
    """A tagger on a tiny transformer with pieces of its own, and its teacher's while it learns."""
    config = config_of(teacher, trained_pieces(folder, texts), NO_ATTENTION, **{"width": 16, **changes})
    config["initialize"]["after_init"] = {"@callbacks": MIXED, "teacher": str(path), "probability": probability}
    return config


def make_model():
    model = tiny_transformer(layers=1, width=8, heads=2, intermediate_width=8, vocab_size=80, max_length=16)
    model.attrs["pieces"] = OWN
    model.initialize()
    numbers = numpy.random.default_rng(0)
    for weights in model.shims[0]._model.parameters():
        weights.data += 0.3 * torch.tensor(numbers.normal(size=weights.shape), dtype=torch.float32)
    return model


# What is drawn


@given(words=st.lists(st.text(max_size=8), max_size=6), probability=st.floats(0, 1), seed=st.integers(0, 2**32 - 1))
@settings(max_examples=60, deadline=None)
def test_a_word_is_in_pieces_of_one_vocabulary(words, probability, seed):
    numpy.random.seed(seed)
    cut = MixedPieces(OWN, OTHER, first=80, probability=probability).cut(words)
    for word, ids in zip(words, cut, strict=True):
        (ours,), (theirs,) = OWN.cut([word]), OTHER.cut([word])
        assert list(ids) in (list(ours), [80 + piece for piece in theirs])


def test_the_share_is_that_which_was_asked_for():
    """And drawn for each word by itself, also where the words are the same."""
    for probability in (0.2, 0.5, 0.9):
        numpy.random.seed(0)
        cut = MixedPieces(OWN, OTHER, first=80, probability=probability).cut(["sings"] * 4000)
        drawn = numpy.array([min(ids) >= 80 for ids in cut])
        # Five standard deviations.
        assert abs(drawn.mean() - probability) < 5 * (probability * (1 - probability) / 4000) ** 0.5
        # Whether the word before was drawn says nothing.
        assert abs(drawn[1:][drawn[:-1]].mean() - probability) < 0.1


# Outside of training


@pytest.fixture(scope="module")
def docs():
    return [NLP.make_doc(text) for text in SHORT]


def test_only_what_learns_reads_the_mixture(docs):
    model = make_model()
    plain = model.begin_update(docs)[0]
    data = model.to_bytes()
    mix_pieces(model, OTHER, numpy.ones((len(OTHER), 8), dtype="float32"), 0.5)
    # The same bytes: nothing of the teacher's pieces or of their embeddings.
    assert model.to_bytes() == data
    with own_pieces(model):
        numpy.testing.assert_array_equal(model.begin_update(docs)[0][0], plain[0])
    for ours, before in zip(model.predict(docs), plain, strict=True):
        numpy.testing.assert_allclose(ours, before, rtol=1e-4, atol=1e-5)
    first, second = (numpy.concatenate(model.begin_update(docs)[0]) for _ in range(2))
    assert abs(first - numpy.concatenate(plain)).max() > 0.1 < abs(first - second).max()


def test_the_gradients_reach_both_tables(docs):
    model = make_model()
    numbers = numpy.random.default_rng(1)
    vectors = numbers.normal(scale=0.3, size=(len(OTHER), 8)).astype("float32")
    mix_pieces(model, OTHER, vectors, 0.5)
    bert = model.shims[0]._model
    wanted = [numbers.normal(size=(len(doc), 8)).astype("float32") for doc in docs]

    def learn():
        numpy.random.seed(0)  # The same words are drawn
        rows, backprop = model.begin_update(docs)
        return float(sum((a.astype("float64") * b).sum() for a, b in zip(rows, wanted, strict=True))), backprop

    learn()[1](wanted)
    for weights in (bert.pieces.weight, bert.teacher_pieces.weight):
        gradient, before = weights.grad.clone(), weights.data.clone()
        norm = float(gradient.norm())
        assert norm > 1e-2
        found = []
        for sign in (1, -1):
            weights.data = before + sign * 2e-3 * gradient / norm
            found.append(learn()[0])
        weights.data = before
        assert (found[0] - found[1]) / 4e-3 == pytest.approx(norm, rel=0.05)


def test_a_score_is_that_of_the_students_own_pieces(teacher, teacher_path, tmp_path):
    room = Classroom(teacher, mixed_config(teacher, tmp_path, SHORT, path=teacher_path), SHORT)
    lesson = room.lessons["tok2vec"]
    with own_pieces(find_transformer(room.encoder.model)):
        plain = room.learn()
    mixed = {room.learn() for _ in range(3)}
    assert plain not in mixed
    assert len(mixed) == 3
    assert lesson.score(room.docs, room.targets) == pytest.approx(-plain)


# What the teacher's pieces begin with


@pytest.mark.parametrize("width", [5, 12, 20])
def test_vectors_for_a_table_of_another_width(width):
    numbers = numpy.random.default_rng(0)
    vectors = numbers.normal(3.0, size=(40, 12)).astype("float32")
    table = numbers.normal(scale=0.02, size=(30, width)).astype("float32")
    found = fit_to_table(vectors, table)
    assert found.shape == (40, width)
    assert found.dtype == numpy.float32
    numpy.testing.assert_allclose(found.mean(axis=0), 0, atol=1e-5)
    used = found[:, :12]
    assert used.std() == pytest.approx(table.std(), rel=1e-3)
    assert not found[:, 12:].any()
    if width >= 12:  # All of them is kept: the distances are those of the teacher, but for the scale.
        theirs, ours = (numpy.linalg.norm(rows[1:] - rows[:-1], axis=1) for rows in (vectors, found))
        numpy.testing.assert_allclose(ours / theirs, (ours / theirs)[0], rtol=1e-3)


def test_own_pieces_begin_with_the_mean_of_those_that_spell_them():
    own = train_pieces(lambda: ["sings Sings sing oslo ö"], 60)
    coarse = train_pieces(lambda: ["sing sing", "s"], 30)
    numbers = numpy.random.default_rng(0)
    vectors = numbers.normal(size=(len(coarse), 4)).astype("float32")
    table = numbers.normal(size=(70, 4)).astype("float32")
    before = table.copy()
    found = inherit(own, table, coarse, vectors)
    numpy.testing.assert_array_equal(table, before)
    ours, theirs = own.tokenizer.get_vocab(), coarse.tokenizer.get_vocab()

    def expected(*pieces: str):
        return vectors[[theirs[piece] for piece in pieces]].mean(axis=0)

    for piece, spelled in {
        "[CLS]": ["[CLS]"],
        "[UNK]": ["[UNK]"],
        "sing": ["sing"],
        "sings": ["sing", "##s"],
        "##s": ["##s"],
    }.items():
        numpy.testing.assert_allclose(found[ours[piece]], expected(*spelled), rtol=1e-6)
    # No letter of it is known; and rows without a piece.
    for row in (ours["ö"], *range(len(own), 70)):
        numpy.testing.assert_array_equal(found[row], before[row])


def fill(teacher_path, probability=0.5):
    """A new transformer, as the callback leaves it, and its own embeddings before."""
    student = spacy.blank("en")
    student.add_pipe("tok2vec", config={"model": {"@architectures": "spacy-tinydistill.TinyTransformer.v1"}})
    node = find_transformer(student.get_pipe("tok2vec").model)
    node.attrs["pieces"] = OWN
    node.initialize()
    before = own_vectors(node).copy()
    mixed_vocabulary_callback(str(teacher_path), probability)(student)
    return node, before


def test_the_teachers_pieces_begin_with_its_embeddings(teacher, teacher_path):
    pieces, vectors = piece_vectors(teacher)
    table = teacher.get_pipe("transformer").model.transformer.get_input_embeddings().weight.detach().numpy()
    numpy.testing.assert_array_equal(vectors, table[: len(pieces)])
    node, before = fill(teacher_path)
    fitted = fit_to_table(vectors, before)
    numpy.testing.assert_array_equal(node.shims[0]._model.teacher_pieces.weight.detach().numpy(), fitted)
    numpy.testing.assert_array_equal(own_vectors(node), inherit(OWN, before, pieces, fitted))
    assert abs(own_vectors(node) - before).max() > 0.01


def test_without_a_share_nothing_is_mixed_in(teacher_path):
    node, before = fill(teacher_path, 0.0)
    shim = node.shims[0]
    assert (shim.mixed, shim._model.teacher_pieces) == (None, None)
    # Its own pieces begin with the teacher's all the same.
    assert abs(own_vectors(node) - before).max() > 0.01


# In the loop


@pytest.mark.slow
def test_a_killed_run_goes_on_as_if_nothing_had_happened(teacher, teacher_path, tmp_path):
    config = mixed_config(teacher, tmp_path, SHORT, path=teacher_path)
    run(teacher, SHORT * 3, tmp_path / "undisturbed", config)
    with pytest.raises(Killed):
        run(teacher, SHORT * 3, tmp_path / "killed", config, kill_at=6)
    run(teacher, SHORT * 3, tmp_path / "killed", config, resume=True)
    found = files_of(tmp_path / "undisturbed" / DIR_MODEL_LAST)
    assert files_of(tmp_path / "killed" / DIR_MODEL_LAST) == found
    weights = srsly.read_msgpack(tmp_path / "undisturbed" / "checkpoint.msgpack")["weights"]
    (table,) = (array for name, array in weights.items() if name.endswith("teacher_pieces.weight"))
    assert len(table) == len(piece_vectors(teacher)[0])
    config["initialize"]["after_init"] = None
    run(teacher, SHORT * 3, tmp_path / "without", config)
    without = files_of(tmp_path / "without" / DIR_MODEL_LAST)
    # As large as without, and learned something else.
    assert {name: len(data) for name, data in found.items() if name.endswith("model")} == {
        name: len(data) for name, data in without.items() if name.endswith("model")
    }
    assert found["tok2vec/model"] != without["tok2vec/model"]
    assert len(list(spacy.load(tmp_path / "undisturbed" / DIR_MODEL_LAST).pipe(SHORT))) == len(SHORT)


@pytest.mark.slow
def test_a_student_learns(teacher, teacher_path, texts, tmp_path):
    """Also one that comes from an earlier student, whose encoder is not initialized again."""
    config = mixed_config(teacher, tmp_path, texts, path=teacher_path)
    config["nlp"]["pipeline"] = ["tok2vec"]
    del config["components"]["tagger"]
    config["distillation"]["student_to_teacher"] = {}
    run(teacher, texts[:60], tmp_path / "first", config, steps=40, dropout=0.0)
    config["components"]["tok2vec"] = {"source": str(tmp_path / "first" / DIR_MODEL_LAST)}
    config["initialize"]["before_init"] = None
    run(teacher, texts[:60], tmp_path / "second", config, steps=20, dropout=0.0)
    curves = [[point["score"] for point in read_curve(tmp_path / name / CURVE_NAME)] for name in ("first", "second")]
    assert 0.7 * curves[0][0] < curves[0][-1] < 0
    assert curves[0][0] < curves[1][0] < curves[1][-1]
    weights = srsly.read_msgpack(tmp_path / "second" / "checkpoint.msgpack")["weights"]
    assert any(name.endswith("teacher_pieces.weight") for name in weights)


@pytest.mark.slow
def test_the_stages(teacher, teacher_path, tmp_path):
    """The configs of the workflow: layers in the pieces of both, predictions in the student's own."""
    (tmp_path / "pieces").mkdir()
    trained_pieces(tmp_path / "pieces", SHORT)
    size = {"width": 16, "heads": 2, "intermediate_width": 32, "vocab_size": 80}
    stages = {
        "layers": {
            **{f"components.tok2vec.model.{key}": value for key, value in size.items()},
            "paths.pieces": str(tmp_path / "pieces"),
            "paths.teacher": str(teacher_path),
        },
        "predictions": {
            "paths.student": str(tmp_path / "layers" / DIR_MODEL_LAST),
            "components.textcat.model.tok2vec.width": 16,
        },
    }
    for name, overrides in stages.items():
        config = load_config(CONFIGS / f"mixed-vocab-{name}.cfg", interpolate=False)
        student = run(str(teacher_path), SHORT * 4, tmp_path / name, config, steps=20, dropout=0.0, **overrides)
    curve = read_curve(tmp_path / "layers" / CURVE_NAME)
    assert curve[0]["score"] < curve[-1]["score"] < 0
    assert sum(student(SHORT[0]).cats.values()) == pytest.approx(1.0, abs=1e-3)
    assert student.config["components"]["tok2vec"]["model"]["precision"] == "float16"
    # Nothing that a pipeline is made of is the teacher's.
    assert MIXED not in str(student.config)
    assert not any(str(teacher_path) in str(student.config[section]) for section in ("nlp", "components", "initialize"))


# Mistakes


@pytest.mark.parametrize("probability", [-0.1, 1.0, 2.0])
def test_a_probability_that_is_none(teacher, teacher_path, tmp_path, probability):
    config = mixed_config(teacher, tmp_path, SHORT, probability, teacher_path)
    with pytest.raises(DistillationError) as caught:
        distil_quickly(teacher, SHORT, tmp_path / "student", config, steps=1)
    assert caught.value.code == "TD226"
    assert str(probability) in str(caught.value)
    assert not (tmp_path / "student" / "targets").exists()


def test_a_probability_that_is_no_number():
    with pytest.raises(DistillationError) as caught:
        mixed_vocabulary_callback("teacher", float("nan"))
    assert caught.value.code == "TD226"


def test_a_teacher_whose_pieces_are_no_wordpiece(curated_teacher, tmp_path):
    curated_teacher.to_disk(tmp_path / "curated")
    config = mixed_config(curated_teacher, tmp_path, SHORT, path=tmp_path / "curated")
    with pytest.raises(DistillationError) as caught:
        distil_quickly(curated_teacher, SHORT, tmp_path / "student", config, steps=1)
    assert caught.value.code == "TD227"
    assert "transformer, tagger" in str(caught.value)
    assert not (tmp_path / "student" / "targets").exists()
