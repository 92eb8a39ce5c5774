"""The tiny transformer: against BERT itself, whatever the batch and the text, saved and loaded, and in the loop."""

import json
import pickle
import subprocess
import sys
import textwrap

import numpy
import pytest
import spacy
from hypothesis import given, settings
from hypothesis import strategies as st
from spacy.cli.package import package
from spacy.tokens import Doc
from spacy.vocab import Vocab

from helpers.comparison import files_of
from helpers.interruption import Killed
from helpers.students import distil_quickly
from helpers.tiny_teacher import LANGUAGE, TEXTS, make_teacher, write_texts
from spacy_tinydistill.errors import DistillationError
from spacy_tinydistill.loop import DIR_MODEL_LAST
from spacy_tinydistill.rounding import round_weights
from spacy_tinydistill.student.config import student_config
from spacy_tinydistill.tiny_transformer import encoder
from spacy_tinydistill.tiny_transformer.encoder import cut_windows, tiny_transformer
from spacy_tinydistill.tiny_transformer.pieces import (
    train_pieces,
)

torch = pytest.importorskip("torch", reason="needs the extra [tiny-transformer]")
pytest.importorskip("tokenizers", reason="needs the extra [tiny-transformer]")

ARCHITECTURE = "spacy-tinydistill.TinyTransformer.v1"
SETTINGS = {"layers": 2, "width": 16, "heads": 2, "intermediate_width": 32, "vocab_size": 100, "max_length": 12}
NLP = spacy.blank(LANGUAGE)
PIECES = train_pieces(lambda: TEXTS, 100)


def make_model(**changes):
    model = tiny_transformer(**{**SETTINGS, **changes})
    model.attrs["pieces"] = PIECES
    model.initialize()
    numbers = numpy.random.default_rng(0)
    # BERT begins with weights so small that all words would look alike.
    for weights in model.shims[0]._model.parameters():
        weights.data += 0.3 * torch.tensor(numbers.normal(size=weights.shape), dtype=torch.float32)
    return model


@pytest.fixture(scope="module")
def model():
    return make_model()


@pytest.fixture(scope="module")
def docs():
    """Of many lengths, one of them none, and one in several windows."""
    texts = [*TEXTS[:4], "", "Ann", " ".join(TEXTS[:9]), "🎷 \n\n 🥁 \u200b", "Zoé"]
    return [NLP.make_doc(text) for text in texts]


def test_it_is_bert(model):
    """The same weights in Hugging Face's BERT give the same vectors."""
    transformers = pytest.importorskip("transformers", reason="needs the extra [transformers]")
    config = transformers.BertConfig(
        vocab_size=100, hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32,
        max_position_embeddings=12, layer_norm_eps=1e-5,
    )  # fmt: skip
    bert = transformers.BertModel(config, add_pooling_layer=False).eval()
    ours = model.shims[0]._model
    theirs = {
        "embeddings.word_embeddings.weight": ours.pieces.weight,
        "embeddings.position_embeddings.weight": ours.positions.weight,
        "embeddings.token_type_embeddings.weight": torch.zeros(2, 16),
    }
    layers = {"embeddings.LayerNorm": ours.norm}
    for i, layer in enumerate(ours.layers):
        for j, name in enumerate(("query", "key", "value")):
            rows = slice(16 * j, 16 * (j + 1))
            theirs[f"encoder.layer.{i}.attention.self.{name}.weight"] = layer.query_key_value.weight[rows]
            theirs[f"encoder.layer.{i}.attention.self.{name}.bias"] = layer.query_key_value.bias[rows]
        layers[f"encoder.layer.{i}.attention.output.dense"] = layer.attended
        layers[f"encoder.layer.{i}.attention.output.LayerNorm"] = layer.attended_norm
        layers[f"encoder.layer.{i}.intermediate.dense"] = layer.intermediate
        layers[f"encoder.layer.{i}.output.dense"] = layer.output
        layers[f"encoder.layer.{i}.output.LayerNorm"] = layer.output_norm
    for name, layer in layers.items():
        theirs |= {f"{name}.weight": layer.weight, f"{name}.bias": layer.bias}
    loaded = bert.load_state_dict(theirs, strict=False)
    assert not loaded.missing_keys
    assert not loaded.unexpected_keys
    doc = NLP.make_doc("Anna weeps")
    cut = PIECES.cut(token.text for token in doc)
    assert any(len(ids) > 1 for ids in cut)
    flat = [i for ids in cut for i in ids]
    assert len(flat) <= 10
    with torch.no_grad():
        hidden = bert(torch.tensor([[2, *flat, 3]])).last_hidden_state[0, 1:-1].numpy()
    ends = numpy.cumsum([len(ids) for ids in cut])
    expected = [rows.mean(axis=0) for rows in numpy.split(hidden, ends[:-1])]
    numpy.testing.assert_allclose(model.predict([doc])[0], expected, rtol=1e-4, atol=1e-4)


def test_the_same_whatever_the_batch(model, docs, monkeypatch):
    together = model.predict(docs)
    assert [rows.shape for rows in together] == [(len(doc), 16) for doc in docs]
    for doc, rows in zip(docs, together, strict=True):
        numpy.testing.assert_allclose(model.predict([doc])[0], rows, rtol=1e-4, atol=1e-5)
    assert abs(together[0][0] - together[0][1]).max() > 0.1
    monkeypatch.setattr(encoder, "CHUNK_PIECES", 1)
    for in_parts, rows in zip(model.predict(docs), together, strict=True):
        numpy.testing.assert_allclose(in_parts, rows, rtol=1e-4, atol=1e-5)
    assert [rows.shape for rows in model.predict([NLP.make_doc("")])] == [(0, 16)]


def test_gradients(docs, monkeypatch):
    """Of every weight; moved along its gradient, the output changes as the gradient says."""
    model = make_model()
    numbers = numpy.random.default_rng(1)
    wanted = [numbers.normal(size=(len(doc), 16)).astype("float32") for doc in docs]

    def output() -> float:
        rows = model.predict(docs)
        return float(sum((a.astype("float64") * b).sum() for a, b in zip(rows, wanted, strict=True)))

    monkeypatch.setattr(encoder, "CHUNK_PIECES", 40)
    _, backprop = model.begin_update(docs)
    backprop(wanted)
    for name, weights in model.shims[0]._model.named_parameters():
        gradient = weights.grad.clone()
        norm = float(gradient.norm())
        assert norm > 1e-2, name
        before = weights.data.clone()
        found = []
        for sign in (1, -1):
            weights.data = before + sign * 2e-3 * gradient / norm
            found.append(output())
        weights.data = before
        assert (found[0] - found[1]) / 4e-3 == pytest.approx(norm, rel=0.05), name


def test_dropout(model, docs):
    first, second = (model.begin_update(docs)[0][0] for _ in range(2))
    numpy.testing.assert_array_equal(first, second)
    model.attrs["dropout_rate"] = 0.5
    assert abs(model.begin_update(docs)[0][0] - first).max() > 0.01
    numpy.testing.assert_allclose(model.predict(docs)[0], first, rtol=1e-4, atol=1e-5)
    model.attrs["dropout_rate"] = 0.0


def test_averaged_weights_are_used(model, docs):
    shim = model.shims[0]
    before = model.predict(docs)[0]
    averages = {(shim.id, name): weights.detach().numpy() * 0.5 for name, weights in shim._model.named_parameters()}
    with model.use_params(averages):
        assert abs(model.predict(docs)[0] - before).max() > 0.1
    numpy.testing.assert_array_equal(model.predict(docs)[0], before)


def test_saved_and_loaded(model, docs):
    data = model.to_bytes()
    loaded = tiny_transformer(**SETTINGS).from_bytes(data)
    assert loaded.to_bytes() == data
    for ours, theirs in zip(model.predict(docs), loaded.predict(docs), strict=True):
        numpy.testing.assert_array_equal(ours, theirs)
    # A pickle of PyTorch's would be a ZIP file.
    assert b"PK\x03\x04" not in data


def test_pickled(docs):
    """As joblib does, Spark, and `nlp.pipe(n_process=2)` where processes are spawned."""
    for precision in ("float32", "int8"):
        model = make_model(precision=precision)
        nlp = spacy.blank(LANGUAGE)
        nlp.add_pipe("tok2vec").model = model
        loaded = pickle.loads(pickle.dumps(nlp)).get_pipe("tok2vec").model
        assert loaded.to_bytes() == model.to_bytes()
        for ours, theirs in zip(model.predict(docs), loaded.predict(docs), strict=True):
            numpy.testing.assert_array_equal(ours, theirs)


def test_saved_in_half_precision(model, docs):
    exact = model.to_bytes()
    half = tiny_transformer(**SETTINGS, precision="float16").from_bytes(exact)
    # What was saved in one precision is read by the other.
    assert half.predict(docs)[0].tobytes() == model.predict(docs)[0].tobytes()
    data = half.to_bytes()
    loaded = tiny_transformer(**SETTINGS, precision="float16").from_bytes(data)
    assert loaded.to_bytes() == data
    weights = [weights.numel() for weights in model.shims[0]._model.parameters()]
    # The names and shapes beside the weights are a little shorter too: of "F16", and of smaller offsets.
    assert 0 <= len(exact) - len(data) - 2 * sum(weights) < 10 * len(weights)
    assert {weights.dtype for weights in loaded.shims[0]._model.parameters()} == {torch.float32}
    for ours, theirs in zip(loaded.predict(docs), model.predict(docs), strict=True):
        numpy.testing.assert_allclose(ours, theirs, atol=0.02)


def test_saved_in_eight_bits(model, docs):
    exact = model.to_bytes()
    data = tiny_transformer(**SETTINGS, precision="int8").from_bytes(exact).to_bytes()
    assert len(data) < 0.5 * len(exact)
    loaded = tiny_transformer(**SETTINGS, precision="int8").from_bytes(data)
    # Rounded once more, the weights stay as they are, and any other precision reads them.
    assert loaded.to_bytes() == data
    assert tiny_transformer(**SETTINGS).from_bytes(data).predict(docs)[0].tobytes() == loaded.predict(docs)[0].tobytes()
    for name, weights in loaded.shims[0]._model.own_weights().items():
        theirs = model.shims[0]._model.own_weights()[name]
        assert torch.equal(weights, torch.from_numpy(round_weights(theirs.numpy(), "int8").restore()))


def test_weights_that_half_precision_cannot_hold(model):
    half = tiny_transformer(**SETTINGS, precision="float16").from_bytes(model.to_bytes())
    with torch.no_grad():
        half.shims[0]._model.norm.weight[0] = 1e6
    with pytest.raises(DistillationError) as caught:
        half.to_bytes()
    assert caught.value.code == "TD709"
    assert "norm.weight" in str(caught.value)


@given(texts=st.lists(st.text(max_size=60), min_size=1, max_size=4))
@settings(max_examples=60, deadline=None)
def test_no_token_is_lost(texts):
    docs = [NLP.make_doc(text) for text in texts]
    n_tokens = sum(map(len, docs))
    if n_tokens:
        check_windows(cut_windows(docs, PIECES, 12), n_tokens, 12)


def check_windows(windows, n_tokens, max_length):
    lengths = [length for chunk in windows.chunks for count, length in chunk.groups for _ in range(count)]
    assert max(lengths) <= max_length
    assert lengths == sorted(lengths)
    assert sum(lengths) == sum(len(chunk.ids) for chunk in windows.chunks) == len(windows.tokens) == len(windows.shares)
    start = 0
    for length in lengths:
        tokens = windows.tokens[start : start + length]
        assert tokens[0] == tokens[-1] == -1
        # In the Doc's order, and none left out on the way.
        assert set(numpy.diff(tokens[1:-1])) <= {0, 1}
        start += length
    shares = numpy.zeros(n_tokens)
    is_piece = windows.tokens >= 0
    numpy.add.at(shares, windows.tokens[is_piece], windows.shares[is_piece])
    numpy.testing.assert_allclose(shares, 1.0, rtol=1e-5)
    assert not windows.shares[~is_piece].any()


@given(st.integers(1, 40), st.integers(3, 12))
@settings(max_examples=60, deadline=None)
def test_windows(n_words, max_length):
    check_windows(cut_windows([Doc(Vocab(), words=["a"] * n_words)], PIECES, max_length), n_words, max_length)


@pytest.mark.slow
def test_a_very_long_doc():
    doc = Doc(Vocab(), words=["Ann", "sings", "\n", "🎷"] * 25_000)
    rows = make_model(layers=1, max_length=64).predict([doc, NLP.make_doc("Ann")])
    assert rows[0].shape == (100_000, 16)
    assert numpy.isfinite(rows[0]).all()
    assert rows[0].any(axis=1).all()


@pytest.mark.parametrize("changes", [{"heads": 3}, {"max_length": 2}])
def test_sizes_that_do_not_fit(changes):
    with pytest.raises(DistillationError) as caught:
        tiny_transformer(**{**SETTINGS, **changes})
    assert caught.value.code == "TD216"


# In the loop


@pytest.fixture(scope="module")
def teacher():
    return make_teacher("tagger")


def config_of(teacher, path):
    config = student_config(teacher, size="nano", pipeline=["tagger"])
    config["components"]["tok2vec"]["model"] = {"@architectures": ARCHITECTURE, **SETTINGS, "vocab_size": 60}
    config["components"]["tagger"]["model"]["tok2vec"]["width"] = SETTINGS["width"]
    config["initialize"]["before_init"] = {"@callbacks": "spacy-tinydistill.TrainPieces.v1", "path": path}
    return config


RUN = {"dropout": 0.2, "training.eval_frequency": 4, "distillation.batcher.size": 60}


def run(teacher, folder, output, *, kill_at=-1, steps=13, resume=False, **changes):
    overrides = {**RUN, **changes}
    if kill_at >= 0:
        overrides["training.before_update"] = {"@callbacks": "tests.watch_updates.v1", "kill_at": kill_at}
    config = config_of(teacher, str(write_texts(folder / "texts.txt")))
    return distil_quickly(teacher, TEXTS, folder / output, config, steps=steps, resume=resume, **overrides)


def test_a_student_learns(teacher, tmp_path):
    student = run(teacher, tmp_path, "student", steps=60, dropout=0.0)
    ours, theirs = ([[token.tag_ for token in doc] for doc in nlp.pipe(TEXTS)] for nlp in (student, teacher))
    assert len({tag for tags in theirs for tag in tags}) > 1
    assert numpy.mean(numpy.array(ours) == numpy.array(theirs)) > 0.95
    (tmp_path / "package").mkdir()
    model = tmp_path / "student" / DIR_MODEL_LAST
    package(model, tmp_path / "package", name="songs", version="0.0.1", create_wheel=False, create_sdist=False)
    (root,) = (tmp_path / "package").iterdir()
    (requirement,) = json.loads((root / "meta.json").read_text(encoding="utf8"))["requirements"]
    assert requirement.startswith("spacy-tinydistill[tiny-transformer]>=")


def test_a_killed_run_goes_on_as_if_nothing_had_happened(teacher, tmp_path):
    run(teacher, tmp_path, "undisturbed")
    with pytest.raises(Killed):
        run(teacher, tmp_path, "killed", kill_at=11)
    run(teacher, tmp_path, "killed", resume=True)
    assert files_of(tmp_path / "killed" / DIR_MODEL_LAST) == files_of(tmp_path / "undisturbed" / DIR_MODEL_LAST)


def test_a_precision_that_there_is_not(teacher, tmp_path):
    config = config_of(teacher, str(write_texts(tmp_path / "texts.txt")))
    config["components"]["tok2vec"]["model"]["precision"] = "float8"
    with pytest.raises(DistillationError) as caught:
        distil_quickly(teacher, TEXTS, tmp_path / "student", config, steps=1)
    assert caught.value.code == "TD210"
    assert "float16" in str(caught.value)


def test_without_pytorch():
    code = f"""
        import sys
        for name in ("torch", "tokenizers", "safetensors"):
            sys.modules[name] = None
        from spacy.util import registry
        import spacy_tinydistill.tiny_transformer.pieces
        make = registry.architectures.get({ARCHITECTURE!r})
        try:
            make()
        except ValueError as error:
            print(error)
    """
    command = [sys.executable, "-c", textwrap.dedent(code)]
    assert "[TD214]" in subprocess.run(command, check=True, capture_output=True, text=True).stdout


def test_without_pieces(teacher, tmp_path):
    for before_init in ({"@callbacks": "spacy-tinydistill.TrainPieces.v1", "path": None}, None):
        config = config_of(teacher, None)
        config["initialize"]["before_init"] = before_init
        with pytest.raises(DistillationError) as caught:
            distil_quickly(teacher, TEXTS, tmp_path / "student", config, steps=1)
        assert caught.value.code == "TD217"
