import ast
import pickle
import sys
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import spacy
from hypothesis import given, settings
from hypothesis import strategies as st
from spacy.language import Language
from spacy.pipeline import EntityRecognizer
from spacy.tokens import Doc, Span
from spacy.training import Example
from spacy.vectors import Vectors
from spacy.vocab import Vocab
from thinc.api import Model, NumpyOps, fix_random_seed

from helpers.tiny_teacher import ENCODER, LABELS, MODELS, TEXTS, annotate_gold, make_teacher, write_texts
from spacy_tinydistill import acceleration, distill
from spacy_tinydistill.acceleration import BatchEntityRecognizer, _OtherWay, accelerate

NAMES = ["FACT", "PLACE", "PERSON", "WORK-OF-ART"]
WORDS = ["Ann", "sings", "in", "Rome", "\n", "  ", "don", "n't", "naïve", "東京", "ok"]

VOCAB = spacy.blank("xx").vocab

# With and without an upper layer, three features and six, one piece and several.
SHAPES = list(product([True, False], [True, False], [1, 2, 3]))


@pytest.fixture(params=SHAPES, ids=lambda shape: "upper={}-extra={}-pieces={}".format(*shape), scope="module")
def pair(request) -> tuple[EntityRecognizer, EntityRecognizer]:
    """A recognizer and the one that decodes in batches, on the same random weights."""
    return make_pair(*request.param)


def make_pair(upper: bool = False, extra: bool = False, pieces: int = 2) -> tuple[EntityRecognizer, EntityRecognizer]:
    ner = make_ner(upper, extra, pieces).get_pipe("ner")
    return ner, acceleration._recast(ner, BatchEntityRecognizer)


def make_ner(upper: bool = False, extra: bool = False, pieces: int = 2) -> Language:
    """A pipeline whose ner finds entities everywhere."""
    model = {"use_upper": upper, "extra_state_tokens": extra, "maxout_pieces": pieces}
    nlp = spacy.blank("xx", vocab=VOCAB)
    ner = nlp.add_pipe("ner", config={"model": MODELS["ner"] | model})
    for label in NAMES:
        ner.add_label(label)
    fix_random_seed(0)
    nlp.initialize()
    shake(ner.model)
    return nlp


def shake(model: Model) -> None:
    """Give every layer random weights: output layers begin with zeros."""
    numbers = np.random.default_rng(1)
    for node in model.walk():
        for name in node.param_names:
            value = node.get_param(name)
            node.set_param(name, value + numbers.normal(scale=0.5, size=value.shape).astype("float32"))


def entities(doc: Doc) -> list[tuple[int, ...]]:
    return [(token.ent_iob, token.ent_type, token.ent_kb_id, token.ent_id) for token in doc]


def both(pair: tuple[EntityRecognizer, EntityRecognizer], docs: list[Doc], **kwargs: Any) -> tuple[list, list]:
    """What each sets on copies of the Docs."""
    spacys, ours = (list(ner.pipe([doc.copy() for doc in docs], **kwargs)) for ner in pair)
    return [entities(doc) for doc in spacys], [entities(doc) for doc in ours]


@st.composite
def any_docs(draw: Callable) -> list[Doc]:
    """Docs with whatever may stand on them before ner: sentence starts, entities, blocked words, ids of entities."""
    docs = []
    for words in draw(st.lists(st.lists(st.sampled_from(WORDS), max_size=12), max_size=6)):
        doc = Doc(VOCAB, words=words)
        for token in doc:
            token.is_sent_start = draw(st.sampled_from([None, None, True, False]))
        if words and draw(st.integers(0, 3)) == 0:
            start = draw(st.integers(0, len(words) - 1))
            stop = draw(st.integers(start + 1, len(words)))
            span = Span(doc, start, stop, label=draw(st.sampled_from(NAMES)), kb_id=draw(st.sampled_from(["", "Q1"])))
            kind = draw(st.sampled_from(["entities", "blocked", "outside"]))
            entities = [span] if kind == "entities" else []
            others = {kind: [span]} if kind != "entities" else {}
            doc.set_ents(entities, **others, default=draw(st.sampled_from(["missing", "outside"])))
        docs.append(doc)
    return docs


@given(docs=any_docs())
@settings(max_examples=60, deadline=None)
def test_entities_are_those_of_spacy(pair, docs):
    spacys, ours = both(pair, docs)
    assert ours == spacys


def test_pair_finds_entities_of_one_word_and_of_several(pair):
    docs = [Doc(pair[0].vocab, words=text.split()) for text in TEXTS]
    found = {min(len(ent), 2) for doc in pair[1].pipe(docs) for ent in doc.ents}
    assert found == {1, 2}


def test_long_doc(pair):
    numbers = np.random.default_rng(0)
    docs = [Doc(pair[0].vocab, words=numbers.choice(WORDS, size=n).tolist()) for n in (3000, 1, 0, 500)]
    spacys, ours = both(pair, docs)
    assert ours == spacys


def test_one_doc_at_a_time():
    spacys, ours = make_pair()
    for text in TEXTS:
        docs = [Doc(ner.vocab, words=text.split()) for ner in (spacys, ours)]
        assert entities(ours(docs[1])) == entities(spacys(docs[0]))


def test_nothing_but_empty_docs():
    pair = make_pair()
    assert both(pair, [Doc(pair[0].vocab)] * 3) == ([[]] * 3, [[]] * 3)


def test_id_without_entity_stays():
    pair = make_pair()
    doc = Doc(pair[0].vocab, words=["Ann", "sings", "in", "Rome"])
    for token in doc:
        token.ent_id_ = "id"
    spacys, ours = both(pair, [doc])
    assert ours == spacys
    assert any(entity[3] for entity in ours[0])


def test_doc_of_another_vocabulary_fails_as_in_spacy():
    for ner in make_pair():
        vocab = spacy.blank("xx").vocab
        with pytest.raises(ValueError, match="E084"):
            list(ner.pipe([Doc(vocab, words=text.split()) for text in TEXTS]))


@pytest.mark.parametrize("upper", [True, False])
def test_label_that_a_doc_brings_along(upper):
    pair = make_pair(upper)
    docs = [Doc(pair[0].vocab, words=text.split()) for text in TEXTS]
    docs[3].set_ents([Span(docs[3], 0, 1, label="NEW")], default="missing")
    first = both(pair, docs)
    assert pair[0].model.attrs["unseen_classes"]
    second = both(pair, docs)
    assert first[0] == first[1] == second[0] == second[1]
    assert pair[1]._known_actions().unseen


def test_label_added_and_learned_later():
    pair = make_pair()
    docs = [Doc(pair[0].vocab, words=text.split()) for text in TEXTS]
    both(pair, docs)
    pair[1].add_label("NEW")
    pair[1].model.attrs["unseen_classes"].clear()
    numbers = {pair[1].moves.get_class_name(i): i for i in range(pair[1].moves.n_moves)}
    bias = pair[1].model.layers[1].get_param("b")
    bias[[numbers["B-NEW"], numbers["L-NEW"], numbers["U-NEW"]]] += 100
    spacys, ours = both(pair, docs)
    assert ours == spacys
    new = pair[0].vocab.strings["NEW"]
    assert any(entity[1] == new for doc in ours for entity in doc)


def count_spacys(monkeypatch, ner: EntityRecognizer) -> list[int]:
    """Count the Docs that are handed to spaCy's own decoding."""
    counts: list[int] = []
    predict = ner.predict
    monkeypatch.setattr(ner, "predict", lambda docs: counts.append(len(docs)) or predict(docs))
    return counts


@pytest.mark.parametrize("broken", ["equal", "almost equal", "nan"])
def test_where_rounding_decides_spacy_does(monkeypatch, broken):
    pair = make_pair(upper=True)
    upper = pair[0].model.layers[2]
    if broken == "equal":
        upper.set_param("W", upper.get_param("W") * 0)
        upper.set_param("b", upper.get_param("b") * 0)
    elif broken == "almost equal":
        upper.set_param("W", np.tile(upper.get_param("W")[:1], (len(upper.get_param("W")), 1)))
        upper.set_param("b", np.linspace(1, 1 + 1e-6, len(upper.get_param("b"))).astype("float32"))
    else:
        upper.set_param("b", upper.get_param("b") + np.float32("nan"))
    counts = count_spacys(monkeypatch, pair[1])
    docs = [Doc(pair[0].vocab, words=text.split()) for text in TEXTS]
    spacys, ours = both(pair, docs)
    assert sum(counts) == len(docs)
    assert ours == spacys


def test_clear_scores_are_not_left_to_spacy(pair, monkeypatch):
    counts = count_spacys(monkeypatch, pair[1])
    docs = [Doc(pair[0].vocab, words=text.split()) for text in TEXTS]
    both(pair, docs)
    assert sum(counts) <= len(docs) / 10


def test_small_batches_are_left_to_spacy(monkeypatch):
    ours = make_pair()[1]
    ours.least_words = 5
    counts = count_spacys(monkeypatch, ours)
    for n_words in (4, 5):
        ours(Doc(ours.vocab, words=["Ann"] * n_words))
        list(ours.pipe([Doc(ours.vocab, words=["Ann"] * n_words)]))
    assert counts == [1, 1]


def test_order_and_batches_stay(monkeypatch):
    pair = make_pair()
    monkeypatch.setattr(acceleration, "WORDS_AT_ONCE", 7)
    docs = [Doc(pair[1].vocab, words=["Ann"] * (i % 5)) for i in range(50)]
    assert [id(doc) for doc in pair[1].pipe(docs, batch_size=8)] == [id(doc) for doc in docs]
    spacys, ours = both(pair, docs, batch_size=8)
    assert ours == spacys


def test_stream_is_read_batch_by_batch():
    ours = make_pair()[1]
    read = []
    stream = (read.append(i) or Doc(ours.vocab, words=["Ann"]) for i in range(10))
    next(ours.pipe(stream, batch_size=3))
    assert len(read) == 3


def test_errors_go_to_the_handler(monkeypatch):
    ours = make_pair()[1]
    caught = []
    ours.set_error_handler(lambda name, pipe, docs, error: caught.append((name, pipe, len(docs), str(error))))

    def fail(*arguments: Any) -> None:
        raise ValueError("broken")

    monkeypatch.setattr(acceleration, "_set_entities", fail)
    docs = [Doc(ours.vocab, words=["Ann"]) for _ in range(3)]
    assert list(ours.pipe(docs, batch_size=2)) == []
    assert ours(docs[0]) is None
    assert caught == [("ner", ours, 2, "broken"), ("ner", ours, 1, "broken"), ("ner", ours, 1, "broken")]


# The pipeline


@pytest.fixture
def nlp() -> Language:
    """A pipeline with several kinds of pipe, one of them ner."""
    fix_random_seed(0)
    nlp = spacy.blank("xx")
    nlp.add_pipe("tok2vec", config={"model": ENCODER})
    listener = {"@architectures": "spacy.Tok2VecListener.v1", "width": ENCODER["width"], "upstream": "tok2vec"}
    for name in ("tagger", "ner", "textcat"):
        model = MODELS[name] | ({"tok2vec": listener} if "tok2vec" in MODELS[name] else {})
        pipe = nlp.add_pipe(name, config={"model": model})
        for label in LABELS[name]:
            pipe.add_label(label)
    nlp.initialize()
    for _, pipe in nlp.pipeline:
        shake(pipe.model)
    return nlp


@pytest.fixture
def faster(monkeypatch) -> Callable[[bool], None]:
    """Say which way is found to be the faster one."""

    def say(ours: bool) -> None:
        monkeypatch.setattr(acceleration, "_fastest", lambda ways, make_input: [1.0, 0.1 if ours else 0.95])

    return say


def annotations(nlp: Language) -> list[Any]:
    return [
        (doc.to_json()["ents"], doc.to_json()["tokens"], max(doc.cats, key=doc.cats.get)) for doc in nlp.pipe(TEXTS)
    ]


def test_faster_ways_are_taken_and_say_the_same(nlp, faster):
    before = annotations(nlp)
    faster(True)
    found = accelerate(nlp)
    assert type(nlp.get_pipe("ner")) is BatchEntityRecognizer
    assert set(found.changed) == {"tok2vec", "tagger", "ner", "nlp.pipe"}
    assert "words that repeat are embedded once, from 2 words on" in found.changed["tok2vec"]
    assert "words are encoded in blocks, from 2 words on" in found.changed["tok2vec"]
    assert "textcat: left alone, nothing in it is known to be slow" in str(found)
    layers = [node for _, pipe in nlp.pipeline for node in pipe.model.walk() if node.has_param("W")]
    assert not any(node.ops.use_blis for node in layers if node.get_param("W").ndim > 1)
    assert annotations(nlp) == before


def test_steps_aside_where_spacy_is_as_fast(nlp, faster):
    ner = nlp.get_pipe("ner")
    faster(False)
    found = accelerate(nlp)
    assert not found.changed
    assert "spaCy decodes as fast" in found.left_alone["ner"]
    assert "it is no faster if words that repeat are embedded once" in found.left_alone["tok2vec"]
    assert "it is no faster if words are encoded in blocks" in found.left_alone["tok2vec"]
    assert not any(isinstance(node._func, _OtherWay) for node in nlp.get_pipe("tok2vec").model.walk())
    assert nlp.get_pipe("ner") is ner
    assert all(node.ops.use_blis for _, pipe in nlp.pipeline for node in pipe.model.walk())


def test_sizes_that_spacy_is_faster_at_are_left_to_it(nlp, monkeypatch):
    tried = []

    def measure(ways: Any, make_input: Any) -> list[float]:
        docs = make_input()
        if not isinstance(docs, list) or not isinstance(docs[0], Doc):
            return [1.0, 1.0]
        tried.append(sum(map(len, docs)))
        return [1.0, 2.0 if tried[-1] < 16 else 0.5]

    monkeypatch.setattr(acceleration, "_fastest", measure)
    accelerate(nlp)
    assert tuple(tried) == acceleration.TRIED_WORDS
    assert nlp.get_pipe("ner").least_words == 16


def test_real_timings_end_in_one_of_both(nlp):
    before = annotations(nlp)
    found = accelerate(nlp)
    assert {*found.changed, *found.left_alone} - {"nlp.pipe"} == set(nlp.pipe_names)
    assert annotations(nlp) == before


def test_what_is_saved_is_the_plain_pipeline(nlp, faster, tmp_path):
    plain = nlp.to_bytes()
    nlp.to_disk(tmp_path / "plain")
    faster(True)
    accelerate(nlp)
    assert nlp.to_bytes() == plain
    nlp.to_disk(tmp_path / "accelerated")
    before, after = (
        {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
        for folder in (tmp_path / "plain", tmp_path / "accelerated")
    )
    assert after == before
    assert type(spacy.load(tmp_path / "accelerated").get_pipe("ner")) is EntityRecognizer
    again = pickle.loads(pickle.dumps(nlp))
    assert type(again.get_pipe("ner")) is EntityRecognizer
    assert "spacy_tinydistill" not in pickle.dumps(nlp).decode("latin1")
    assert [doc.text for doc in again.pipe(TEXTS)] == TEXTS


def test_timing_leaves_vocabulary_and_weights_alone(nlp):
    strings, lexemes = set(nlp.vocab.strings), len(nlp.vocab)
    ids = [node.id for _, pipe in nlp.pipeline for node in pipe.model.walk()]
    accelerate(nlp)
    assert (set(nlp.vocab.strings), len(nlp.vocab)) == (strings, lexemes)
    assert [node.id for _, pipe in nlp.pipeline for node in pipe.model.walk()] == ids


def test_learns_on_as_before(nlp, faster):
    other = pickle.loads(pickle.dumps(nlp))
    faster(True)
    accelerate(nlp)
    for node in (node for _, pipe in nlp.pipeline for node in pipe.model.walk()):
        node.ops = NumpyOps()  # NumPy's sums would round differently.
    for pipeline in (nlp, other):
        fix_random_seed(0)
        optimizer = pipeline.resume_training()
        for _ in range(3):
            pipeline.update([annotate_gold(pipeline, text) for text in TEXTS], sgd=optimizer, drop=0.1)
    assert nlp.to_bytes() == other.to_bytes()
    assert annotations(nlp) == annotations(other)


def test_evaluates_the_same(nlp, faster):
    examples: list[Example] = [annotate_gold(nlp, text) for text in TEXTS]
    before = nlp.evaluate(examples)
    faster(True)
    accelerate(nlp)
    after = nlp.evaluate([annotate_gold(nlp, text) for text in TEXTS])
    assert after["ents_per_type"] == before["ents_per_type"]


def test_evaluations_of_a_run_decode_in_batches(faster, monkeypatch, tmp_path):
    make_teacher("ner").to_disk(tmp_path / "teacher")
    faster(True)
    decoded = []
    decode = acceleration._set_entities
    monkeypatch.setattr(acceleration, "_set_entities", lambda *given: decoded.append(len(given[0])) or decode(*given))
    settings = {"distillation.max_steps": 4, "training.eval_frequency": 2}
    distill(tmp_path / "teacher", write_texts(tmp_path / "texts.txt"), output=tmp_path / "out", overrides=settings)
    assert decoded
    assert type(spacy.load(tmp_path / "out" / "model-best").get_pipe("ner")) is EntityRecognizer


def test_several_processes(nlp, faster):
    before = annotations(nlp)
    faster(True)
    accelerate(nlp)
    found = list(nlp.pipe(TEXTS, n_process=2))
    assert [doc.to_json()["ents"] for doc in found] == [ents for ents, _, _ in before]


def test_texts_are_gathered_by_words_and_stay_in_order(nlp, faster, monkeypatch):
    plain = list(nlp.pipe(TEXTS))
    monkeypatch.setattr(acceleration, "WORDS_AT_ONCE", 40)
    faster(True)
    accelerate(nlp)
    sizes = []
    tok2vec = nlp.get_pipe("tok2vec")
    predict = tok2vec.predict
    monkeypatch.setattr(tok2vec, "predict", lambda docs: sizes.append(len(docs)) or predict(docs))
    found = list(nlp.pipe(TEXTS))
    assert [doc.text for doc in found] == TEXTS
    assert [doc.to_json()["ents"] for doc in found] == [doc.to_json()["ents"] for doc in plain]
    assert 1 < max(sizes) < 40
    assert sum(sizes) == len(TEXTS)
    pairs = list(nlp.pipe(((text, i) for i, text in enumerate(TEXTS)), as_tuples=True))
    assert [(doc.text, i) for doc, i in pairs] == [(text, i) for i, text in enumerate(TEXTS)]
    assert [doc.text for doc in nlp.pipe(map(nlp.make_doc, TEXTS), disable=["ner"])] == TEXTS
    assert list(nlp.pipe([])) == []


def test_batch_size_that_is_given_is_kept(nlp, faster):
    faster(True)
    accelerate(nlp)
    read = []
    next(nlp.pipe((read.append(text) or text for text in TEXTS), batch_size=3))
    assert len(read) == 3
    read.clear()
    list(nlp.pipe(TEXTS, component_cfg={"ner": {"batch_size": 2}}))


def test_pipes_of_others_are_not_given_larger_batches(nlp, faster):
    @Language.component("mine")
    def mine(doc: Doc) -> Doc:
        return doc

    nlp.add_pipe("mine")
    faster(True)
    found = accelerate(nlp)
    assert "ner" in found.changed
    assert "nlp.pipe" not in found.changed
    assert "pipe" not in vars(nlp)


def test_second_call_changes_nothing_more(nlp, faster):
    faster(True)
    accelerate(nlp)
    ner = nlp.get_pipe("ner")
    assert accelerate(nlp).left_alone["ner"] == "it decodes in batches already"
    assert nlp.get_pipe("ner") is ner


# Layers

ATTRIBUTES = ["NORM", "PREFIX", "SUFFIX", "SHAPE"]


def make_encoder(depth: int = 3, window: int = 1, pieces: int = 2, vectors: bool = False, width: int = 8) -> Model:
    """A `tok2vec` with random weights."""
    nlp = spacy.blank("xx", vocab=WITH_VECTORS if vectors else VOCAB)
    embed = {"@architectures": "spacy.MultiHashEmbed.v2", "width": width, "include_static_vectors": vectors}
    encode = {"@architectures": "spacy.MaxoutWindowEncoder.v2", "width": width, "maxout_pieces": pieces}
    model = {
        "@architectures": "spacy.Tok2Vec.v2",
        "embed": embed | {"attrs": ATTRIBUTES, "rows": [50] * 4},
        "encode": encode | {"depth": depth, "window_size": window},
    }
    nlp.add_pipe("tok2vec", config={"model": model})
    fix_random_seed(0)
    nlp.initialize()
    shake(nlp.get_pipe("tok2vec").model)
    return nlp.get_pipe("tok2vec").model


WITH_VECTORS = spacy.blank("xx").vocab
for number, word in enumerate(WORDS[:6]):
    WITH_VECTORS.set_vector(word, np.arange(4) + number)


def other_ways(model: Model) -> list[str]:
    """Have a model's layers work in the other way, whether it is faster or not, and name these layers."""
    found = [node.name for node in model.walk() if acceleration._window_layers(node) or acceleration._attributes(node)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(acceleration, "_fastest", lambda ways, make_input: [1.0, 0.1])
        taken, left = acceleration._take_faster_layers(model, VOCAB)
    assert len(taken) == len(found)
    assert not left
    return taken


def assert_same_vectors(before: list[np.ndarray], after: list[np.ndarray]) -> None:
    assert [rows.shape for rows in after] == [rows.shape for rows in before]
    for ours, plain in zip(after, before, strict=True):
        np.testing.assert_allclose(ours, plain, rtol=1e-4, atol=1e-4)


@st.composite
def docs_for_layers(draw: Callable) -> list[Doc]:
    """Docs with some word, and words with a norm of their own."""
    docs = []
    for words in draw(st.lists(st.lists(st.sampled_from(WORDS), max_size=9), max_size=6)):
        doc = Doc(WITH_VECTORS, words=words)
        for token in doc:
            if draw(st.integers(0, 5)) == 0:
                token.norm_ = draw(st.sampled_from(WORDS))
        docs.append(doc)
    return [*docs, Doc(WITH_VECTORS, words=["Rome", "Rome"])]


ENCODERS = [(1, 1, 2, False, 8), (4, 1, 3, False, 8), (2, 2, 1, True, 5), (3, 1, 2, True, 24)]


@pytest.fixture(params=ENCODERS, ids=str, scope="module")
def encoders(request) -> tuple[Model, Model]:
    plain, ours = make_encoder(*request.param), make_encoder(*request.param)
    assert len(other_ways(ours)) == 2
    return plain, ours


@given(docs=docs_for_layers(), block=st.integers(1, 40))
@settings(max_examples=40, deadline=None)
def test_vectors_are_those_of_spacy(encoders, docs, block):
    plain, ours = encoders
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(acceleration, "WORDS_A_BLOCK", block)
        assert_same_vectors(plain.predict(docs), ours.predict(docs))


def test_words_are_embedded_once(monkeypatch):
    model = make_encoder()
    other_ways(model)
    rows = []
    hashed = next(node for node in model.walk() if node.name == "hashembed")
    forward = hashed._func
    monkeypatch.setattr(hashed, "_func", lambda node, X, is_train: rows.append(len(X)) or forward(node, X, is_train))
    docs = [Doc(VOCAB, words=["Ann", "sings", "Ann"]), Doc(VOCAB), Doc(VOCAB, words=["sings", "in", "Ann"])]
    model.predict(docs)
    assert rows == [3]


def test_words_with_the_same_number_by_chance_stay_different(monkeypatch):
    plain, ours = make_encoder(), make_encoder()
    other_ways(ours)
    monkeypatch.setattr(acceleration, "_MIX", np.zeros(64, dtype="uint64"))
    docs = [Doc(VOCAB, words=text.split()) for text in TEXTS]
    assert_same_vectors(plain.predict(docs), ours.predict(docs))


def test_layer_norm_is_the_same_to_the_last_bit():
    layer = acceleration._window_layers(make_encoder().layers[1])[0]
    windows = np.random.default_rng(0).normal(size=(300, layer.maxout.get_dim("nI"))).astype("float32")
    assert np.array_equal(layer(windows), layer.norm.predict(layer.maxout.predict(windows)))


def test_changed_weights_count_at_once():
    plain, ours = make_encoder(), make_encoder()
    other_ways(ours)
    docs = [Doc(VOCAB, words=text.split()) for text in TEXTS]
    before = ours.predict(docs)
    for model in (plain, ours):
        shake(model)
    assert abs(before[0] - ours.predict(docs)[0]).max() > 0.1
    assert_same_vectors(plain.predict(docs), ours.predict(docs))


def test_copies_of_layers_have_their_own_weights():
    ours = make_encoder()
    other_ways(ours)
    copied = ours.copy()
    shake(copied)
    plain = make_encoder()
    shake(plain)
    docs = [Doc(VOCAB, words=text.split()) for text in TEXTS]
    assert_same_vectors(plain.predict(docs), copied.predict(docs))


def test_gradients_are_those_of_spacy():
    models = make_encoder(), make_encoder()
    other_ways(models[1])
    docs = [Doc(VOCAB, words=text.split()) for text in TEXTS]
    grads = []
    for is_train in (True, False):
        for model in models:
            found, backprop = model(docs, is_train=is_train)
            backprop([np.ones_like(rows) for rows in found])
            grads.append({(i, n): node.get_grad(n) for i, node in enumerate(model.walk()) for n in node.grad_names})
            model.finish_update(lambda key, weights, gradient: (weights, gradient * 0))
    for other in grads[1:]:
        assert other.keys() == grads[0].keys()
        for key, gradient in grads[0].items():
            np.testing.assert_allclose(other[key], gradient, rtol=1e-3, atol=1e-3)


def own_function(node: Model, X: Any, is_train: bool) -> tuple[Any, Callable]:
    return X, lambda d_output: d_output


def with_own_layer(model: Model) -> None:
    for node in model.walk():
        if node.name == "layernorm":
            node._func = own_function


def with_less_room_between_docs(model: Model) -> None:
    model.layers[1].attrs["pad"] -= 1
    with_own_layer(model.layers[0])


def on_a_gpu(model: Model) -> None:
    for node in model.walk():
        if node.name == "maxout":
            node.ops = object()


@pytest.mark.parametrize("change", [with_own_layer, with_less_room_between_docs, on_a_gpu])
def test_layers_that_may_say_something_else_are_left_alone(change):
    model = make_encoder()
    change(model)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(acceleration, "_fastest", lambda ways, make_input: [1.0, 0.1])
        assert acceleration._take_faster_layers(model, VOCAB) == ([], [])


def test_real_layers_are_timed_with_vectors_of_words_and_of_their_parts():
    for vocab in (VOCAB, WITH_VECTORS, floret_vocab()):
        nlp = spacy.blank("xx", vocab=vocab)
        model = MODELS["tagger"] | {"tok2vec": ENCODER | {"pretrained_vectors": len(vocab.vectors.data) > 0 or None}}
        nlp.add_pipe("tagger", config={"model": model}).add_label("NOUN")
        nlp.initialize()
        taken, left = acceleration._take_faster_layers(nlp.get_pipe("tagger").model, vocab)
        assert len(taken) + len(left) == 2


def floret_vocab() -> Vocab:
    vocab = spacy.blank("xx").vocab
    table = np.ones((10, 4), dtype="float32")
    vocab.vectors = Vectors(data=table, mode="floret", hash_count=1, minn=1, maxn=3, strings=vocab.strings)
    return vocab


# What is left alone


class OwnRecognizer(EntityRecognizer):
    def predict(self, docs):
        return super().predict(docs)


def as_subclass(nlp: Language) -> None:
    nlp._components = [
        (name, acceleration._recast(pipe, OwnRecognizer) if name == "ner" else pipe) for name, pipe in nlp._components
    ]


def as_beam(nlp: Language) -> None:
    nlp.get_pipe("ner").cfg["beam_width"] = 4


def with_own_model(nlp: Language) -> None:
    nlp.get_pipe("ner").model.name = "mine"


def with_own_features(nlp: Language) -> None:
    nlp.get_pipe("ner").model.layers[1].name = "mine"


def without_weights(nlp: Language) -> None:
    nlp.replace_pipe("ner", "ner", config={"model": MODELS["ner"]})


def on_another_device(nlp: Language) -> None:
    nlp.get_pipe("ner").model.layers[1].ops = object()


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (as_subclass, "OwnRecognizer may decode in a way of its own"),
        (as_beam, "spaCy decodes beams"),
        (with_own_model, "its model is not one of spaCy's"),
        (with_own_features, "its model is not one of spaCy's"),
        (without_weights, "it has not been trained"),
        (on_another_device, "it is on a GPU"),
    ],
)
def test_what_is_not_exact_is_left_alone_by_name(nlp, faster, change, why):
    change(nlp)
    ner = nlp.get_pipe("ner")
    faster(True)
    found = accelerate(nlp)
    assert why in found.left_alone["ner"]
    assert nlp.get_pipe("ner") is ner


def test_beam_that_is_asked_for_later_is_decoded_by_spacy(monkeypatch):
    ours = make_pair()[1]
    counts = count_spacys(monkeypatch, ours)
    docs = [Doc(ours.vocab, words=text.split()) for text in TEXTS]
    list(ours.pipe(docs))
    ours.cfg["beam_width"] = 2
    list(ours.pipe([doc.copy() for doc in docs]))
    assert counts == [len(docs)]


def test_needs_no_more_than_a_student_does():
    source = Path(acceleration.__file__).read_text(encoding="utf8")
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {name.name.split(".")[0] for name in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add("." * node.level + (node.module or "").split(".")[0])
    assert found <= {"spacy", "thinc", "numpy", *sys.stdlib_module_names}
