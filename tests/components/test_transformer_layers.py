"""A transformer learns its teacher's layers: the losses are those of the same weights, and nothing is left behind."""

import numpy
import pytest
import spacy
from spacy.util import copy_config, load_config
from thinc.api import Adam

from helpers.comparison import files_of
from helpers.interruption import Killed
from helpers.transformer_students import (
    ARCHITECTURE,
    CONFIGS,
    LIKE_THE_TEACHER,
    NO_ATTENTION,
    RULE,
    SHORT,
    Classroom,
    bert_of,
    config_of,
    run,
    teacher_pieces,
    trained_pieces,
)
from spacy_tinydistill.api import record_targets
from spacy_tinydistill.components import transformer_layers as transformer_layers_module
from spacy_tinydistill.errors import DistillationError
from spacy_tinydistill.evaluation_log import CURVE_NAME, read_curve
from spacy_tinydistill.loop import DIR_MODEL_LAST
from spacy_tinydistill.losses import mean_squared_error
from spacy_tinydistill.pipes.encoder import all_layers, attention, piece_attention
from spacy_tinydistill.student.config import student_config
from spacy_tinydistill.tiny_transformer.encoder import find_transformer
from spacy_tinydistill.tiny_transformer.weights import start_from

torch = pytest.importorskip("torch", reason="needs the extra [tiny-transformer]")
pytest.importorskip("spacy_transformers", reason="needs the extra [transformers]")


@pytest.fixture
def teacher(spacy_transformers_teacher):
    return spacy_transformers_teacher


@pytest.fixture
def teacher_path(spacy_transformers_teacher_path):
    return spacy_transformers_teacher_path


def test_the_attention_is_that_before_the_softmax(teacher, texts):
    encoder = teacher.get_pipe("transformer")
    docs = [teacher.make_doc(text) for text in (texts[0][:30], " ".join(texts[:20]))]
    before = teacher.to_bytes()
    with all_layers(encoder), attention(encoder):
        short, long = encoder.pipe(docs)
    assert teacher.to_bytes() == before
    assert piece_attention(long) is None
    assert piece_attention(next(iter(encoder.pipe([teacher.make_doc(texts[0])])))) is None
    pieces, scores = piece_attention(short)
    assert len(scores) == 2
    assert (pieces[0], pieces[-1]) == (2, 3)
    states = short._.trf_data.model_output.hidden_states
    for hidden, layer, found in zip(states, bert_of(teacher).encoder.layer, scores, strict=False):
        with torch.no_grad():
            query, key = (
                part(torch.tensor(hidden[0, : len(pieces)])).view(-1, 2, 16).transpose(0, 1).double()
                for part in (layer.attention.self.query, layer.attention.self.key)
            )
        expected = (query @ key.transpose(1, 2) / 4).numpy()
        expected -= expected.mean(axis=2, keepdims=True)
        assert abs(expected).max() > 0.01
        numpy.testing.assert_allclose(found, expected, atol=1e-5)


def test_a_student_that_is_its_teacher_has_nothing_to_learn(teacher, teacher_path):
    parts = {"embeddings_weight": 1.0, "hidden_weight": 1.0, "attention_weight": 1.0}
    for name in (None, *parts):
        rule = {key: float(name in (None, key)) for key in parts}
        config = config_of(teacher, teacher_pieces(teacher_path), rule)
        room = Classroom(teacher, config, SHORT)
        before = room.learn()
        start_from(teacher, find_transformer(room.encoder.model), "uniform")
        # But for what half precision rounds away.
        assert room.learn() < 1e-3 * before


def test_what_is_recorded(transformer_teacher, texts, tmp_path):
    config = config_of(transformer_teacher, trained_pieces(tmp_path, texts), {**NO_ATTENTION, "layers": [2]}, layers=1)
    room = Classroom(transformer_teacher, config, texts[:3])
    for doc, arrays in zip(room.docs, room.targets, strict=True):
        assert {name: (array.dtype, array.shape) for name, array in arrays.items()} == {
            "vectors": (numpy.float16, (len(doc), 2, 32))
        }
    config["distillation"]["teaching"]["tok2vec"]["embeddings_weight"] = 0.0
    assert {arrays["vectors"].shape[1] for arrays in Classroom(transformer_teacher, config, texts[:3]).targets} == {1}


@pytest.mark.slow
def test_what_was_recorded_for_more_lessons_serves_for_fewer(teacher, teacher_path, tmp_path, in_float32):
    parts = ("embeddings_weight", "hidden_weight", "attention_weight")
    config = config_of(teacher, teacher_pieces(teacher_path))
    record_targets(teacher, SHORT, store=tmp_path / "all", config=config)
    for part in parts:
        config["distillation"]["teaching"]["tok2vec"] |= {name: float(name == part) for name in parts}
        record_targets(teacher, SHORT, store=tmp_path / part, config=config)
        for store in (part, "all"):
            run("-", None, tmp_path / f"{part} of {store}", config, targets=tmp_path / store, steps=3)
        ours, others = (files_of(tmp_path / f"{part} of {store}" / DIR_MODEL_LAST) for store in (part, "all"))
        assert ours["tok2vec/model"] == others["tok2vec/model"], part


@pytest.mark.slow
def test_attention_is_learned_where_the_pieces_are_the_same(teacher, teacher_path, texts):
    config = config_of(teacher, teacher_pieces(teacher_path), {"hidden_weight": 0.0, "embeddings_weight": 0.0})
    # One after the other: the same pieces; white space, which is a token but no piece; too long for one window.
    losses = []
    for text in (SHORT[0], "Anna \n sings", " ".join(texts[:20])):
        room = Classroom(teacher, config, [text])
        losses.append(room.learn())
        assert ("attention" in room.targets[0]) == (len(room.docs[0]) < 30)
        n = len(room.targets[0]["pieces"])
        assert ("attention" in room.targets[0]) == (n > 0)
        if n:
            assert room.targets[0]["attention"].shape == (2, 2, n, n)
    assert losses[0] > 0
    assert losses[1:] == [0.0, 0.0]


@pytest.mark.parametrize(
    ("width", "down_weight", "projections"), [(32, 0.0, 0), (16, 0.0, 2), (16, 2.0, 3), (32, 2.0, 0)]
)
def test_gradients(teacher, teacher_path, texts, width, down_weight, projections, monkeypatch):
    """Of every weight of the student and of its projections; moved along it, the loss changes as it says."""
    monkeypatch.setattr("spacy_tinydistill.tiny_transformer.encoder.CHUNK_PIECES", 60)
    rule = {"layers": "last", "attention_weight": 3.0, "down_weight": down_weight}
    config = config_of(teacher, teacher_pieces(teacher_path), rule, layers=1, width=width)
    room = Classroom(teacher, config, [*SHORT, texts[0]])
    numbers = numpy.random.default_rng(0)
    for weights in room.bert.parameters():
        weights.data += 0.3 * torch.tensor(numbers.normal(size=weights.shape), dtype=torch.float32)
    model = room.lessons["tok2vec"].model
    learned = [node for node in model.walk() if node.param_names]
    assert len(learned) == projections
    assert room.learn() > 0

    def check(value, gradient, name) -> None:
        norm = float((gradient**2).sum()) ** 0.5
        assert norm > 1e-3, name
        start = value.copy() if isinstance(value, numpy.ndarray) else value.clone()
        losses = []
        for sign in (1, -1):
            value[:] = start + sign * 3e-3 * gradient / norm
            losses.append(room.learn())
        value[:] = start
        assert (losses[0] - losses[1]) / 6e-3 == pytest.approx(norm, rel=0.05), name

    gradients = {name: weights.grad.clone() for name, weights in room.bert.named_parameters()}
    projected = [
        (node.get_param(name), node.get_grad(name).copy(), name) for node in learned for name in node.param_names
    ]
    for name, weights in room.bert.named_parameters():
        check(weights.data, gradients[name], name)
    for value, gradient, name in projected:
        check(value, gradient, name)


@pytest.mark.slow
def test_weights(teacher, teacher_path):
    names = ("embeddings_weight", "hidden_weight", "attention_weight", "down_weight")

    def learn(*weights) -> float:
        rule = dict(zip(names, weights, strict=True))
        return Classroom(teacher, config_of(teacher, teacher_pieces(teacher_path), rule), SHORT).learn()

    alone = [learn(1.0, 0.0, 0.0, 0.0), learn(0.0, 1.0, 0.0, 0.0), learn(0.0, 0.0, 1.0, 0.0)]
    alone.append(learn(0.0, 1.0, 0.0, 1.0) - alone[1])
    assert min(alone) > 0
    expected = 2 * alone[0] + 3 * alone[1] + 0.5 * alone[2] + 4 * alone[3]
    assert learn(2.0, 3.0, 0.5, 4.0) == pytest.approx(expected, rel=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("collapses", [False, True])
def test_states_that_are_compared_both_ways_do_not_collapse(teacher, teacher_path, texts, collapses, monkeypatch):
    """As they would if the teacher's, projected down, were compared by the mean squared error."""

    def squared_error(student, explained):
        gradient, loss = mean_squared_error(student, explained)
        return gradient, -gradient, loss

    if collapses:
        monkeypatch.setattr(transformer_layers_module, "unexplained_variance", squared_error)
    rule = {"embeddings_weight": 0.0, "attention_weight": 0.0, "down_weight": 10.0}
    room = Classroom(teacher, config_of(teacher, teacher_pieces(teacher_path), rule, width=16), texts[:20])
    lesson = room.lessons["tok2vec"]
    before = spread_of(room)
    optimizer = Adam(0.01)
    losses = []
    for _ in range(60):
        losses.append(room.learn())
        room.encoder.finish_update(optimizer)
        lesson.model.finish_update(optimizer)
    assert losses[-1] < 0.8 * losses[0]
    assert (spread_of(room) < 0.5 * before) == collapses


def spread_of(room) -> float:
    """How far the student's vectors are from their mean."""
    return float(numpy.concatenate(room.encoder.model.predict(room.docs)).var(axis=0).mean())


@pytest.mark.slow
def test_a_killed_run_goes_on_as_if_nothing_had_happened(teacher, texts, tmp_path):
    config = config_of(teacher, trained_pieces(tmp_path, texts), NO_ATTENTION, width=16)
    run(teacher, SHORT * 3, tmp_path / "undisturbed", config)
    with pytest.raises(Killed):
        run(teacher, SHORT * 3, tmp_path / "killed", config, kill_at=6)
    run(teacher, SHORT * 3, tmp_path / "killed", config, resume=True)
    assert files_of(tmp_path / "killed" / DIR_MODEL_LAST) == files_of(tmp_path / "undisturbed" / DIR_MODEL_LAST)
    for rule, word in (({**NO_ATTENTION, "layers": [2, 2]}, "layers"), ({}, "lessons")):
        config["distillation"]["teaching"]["tok2vec"] = {"@teaching_rules": RULE, **rule}
        with pytest.raises(DistillationError) as caught:
            run("-", None, tmp_path / word, config, targets=tmp_path / "undisturbed" / "targets")
        assert caught.value.code == "TD611"
        assert f"choice of {word}" in str(caught.value)


@pytest.mark.parametrize("changes", [{"heads": 4}, {}])
def test_a_student_with_other_heads_or_pieces(teacher, teacher_path, texts, tmp_path, changes):
    callback = teacher_pieces(teacher_path) if changes else trained_pieces(tmp_path, texts)
    with pytest.raises(DistillationError) as caught:
        run(teacher, texts[:20], tmp_path / "student", config_of(teacher, callback, **changes))
    assert caught.value.code == "TD219"
    assert ("4 heads" if changes else "other pieces") in str(caught.value)


def test_a_teacher_that_shows_no_attention(curated_teacher, texts, tmp_path):
    with pytest.raises(DistillationError) as caught:
        record_targets(curated_teacher, texts[:5], store=tmp_path / "store", config=config_of(curated_teacher, None))
    assert caught.value.code == "TD219"


def test_a_student_that_is_no_transformer(teacher, texts, tmp_path):
    config = student_config(teacher, size="nano", pipeline=["tagger"])
    config["distillation"]["teaching"] = {"tok2vec": {"@teaching_rules": RULE}}
    with pytest.raises(DistillationError) as caught:
        run(teacher, texts[:5], tmp_path, copy_config(config))
    assert caught.value.code == "TD207"


def test_nothing_of_it_is_saved(teacher, teacher_path, texts, tmp_path):
    config = config_of(teacher, teacher_pieces(teacher_path), {"down_weight": 1.0}, width=16)
    run(teacher, SHORT, tmp_path / "with", config, steps=2)
    del config["distillation"]["teaching"]
    run(teacher, SHORT, tmp_path / "without", config, steps=2)
    found = {name: files_of(tmp_path / name / DIR_MODEL_LAST) for name in ("with", "without")}
    sizes = [{path: len(data) for path, data in files.items() if path.endswith("model")} for files in found.values()]
    assert sizes[0] == sizes[1]
    assert len(list(spacy.load(tmp_path / "with" / DIR_MODEL_LAST).pipe(texts[:3]))) == 3


@pytest.mark.slow
def test_the_stages(teacher, teacher_path, tmp_path):
    """The configs of the workflow: layers of a bare teacher, layers of one with a task, predictions."""
    bare = tmp_path / "bare"
    spacy.load(teacher_path, exclude=[name for name in teacher.pipe_names if name != "transformer"]).to_disk(bare)
    size = {f"components.tok2vec.model.{key}": value for key, value in {**LIKE_THE_TEACHER, "width": 16}.items()}
    stages = {
        "general": (bare, {**size, "paths.teacher": str(teacher_path)}),
        "layers": (teacher_path, {"paths.student": str(tmp_path / "general" / DIR_MODEL_LAST)}),
        "predictions": (
            teacher_path,
            {
                "paths.student": str(tmp_path / "layers" / DIR_MODEL_LAST),
                "components.textcat.model.tok2vec.width": 16,
            },
        ),
    }
    for name, (source, overrides) in stages.items():
        config = load_config(CONFIGS / f"tinybert-{name}.cfg", interpolate=False)
        student = run(str(source), SHORT * 4, tmp_path / name, config, steps=20, dropout=0.0, **overrides)
    first, last = (read_curve(tmp_path / "layers" / CURVE_NAME)[i]["score"] for i in (0, -1))
    # What the first stage had learned is where the second one begins.
    assert read_curve(tmp_path / "general" / CURVE_NAME)[0]["score"] < first < last < 0
    assert sum(student(SHORT[0]).cats.values()) == pytest.approx(1.0, abs=1e-3)
    assert student.config["components"]["tok2vec"]["model"]["@architectures"] == ARCHITECTURE
