"""Static vectors distilled from a teacher: of each kind of encoder, and into a student."""

import numpy as np
import pytest
import spacy
from spacy.language import Language
from spacy.tokens import Doc
from thinc.api import Ragged

from spacy_tinydistill.errors import DistillationError
from spacy_tinydistill.pipes.encoder import token_layers
from spacy_tinydistill.vectors import (
    add_contexts,
    distill_vectors,
    embed_contexts,
    encoder_name,
    frequent_words,
    most_similar,
    principal_components,
)

TEXTS = ["The cat sat on the mat.", "A dog and the cat ran.", "Cats, dogs and mats!"]
WORDS = ["cat", "dog", "mat", "sat", "the", "ran", "on", "a", "and", ".", "house", "tree"]


@pytest.fixture
def tok2vec_teacher() -> Language:
    nlp = spacy.blank("en")
    nlp.add_pipe("tok2vec", config={"model": {"width": 32, "depth": 1, "embed_size": 100}})
    nlp.initialize()
    return nlp


@pytest.fixture(scope="module")
def transformer_teacher(tmp_path_factory) -> Language:
    pytest.importorskip("spacy_transformers")
    transformers = pytest.importorskip("transformers")
    folder = tmp_path_factory.mktemp("bert")
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS, "##s", "!", ","]
    (folder / "vocab.txt").write_text("\n".join(pieces), encoding="utf8")
    transformers.BertTokenizerFast(str(folder / "vocab.txt")).save_pretrained(folder)
    sizes = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
    config = transformers.BertConfig(vocab_size=len(pieces), **sizes)
    transformers.BertModel(config).save_pretrained(folder)
    nlp = spacy.blank("en")
    nlp.add_pipe("transformer", config={"model": {"name": str(folder), "tokenizer_config": {"use_fast": True}}})
    nlp.initialize()
    return nlp


def test_words_by_frequency_then_the_encoders_own(transformer_teacher):
    spellings = frequent_words(transformer_teacher, "transformer", TEXTS, limit=100, min_count=1)
    words = list(spellings)
    assert words[0] == "the"
    assert words.index("cats") < words.index("house")
    assert words[-2:] == ["house", "tree"]
    assert spellings["the"] == ["the", "The"]
    assert not any(word.startswith(("[", "#")) for word in words)


def test_words_that_are_too_rare_in_the_texts(transformer_teacher, tok2vec_teacher):
    words = [
        list(frequent_words(transformer_teacher, "transformer", TEXTS, limit=100, min_count=count)) for count in (1, 2)
    ]
    assert "cats" in words[0]
    assert words[1][:4] == ["the", "cat", ".", "and"]
    # What the encoder has as a piece of its own follows, however rare it is in the texts.
    assert words[1][4:] == [word for word in WORDS if word not in words[1][:4]]
    vectors = distill_vectors(tok2vec_teacher, [*TEXTS, "wombat, wombat"], width=8).vocab.vectors
    assert vectors.find(key="wombat") != -1
    assert vectors.find(key="sat") == -1


def test_limit_and_scale(transformer_teacher):
    data = distill_vectors(transformer_teacher, TEXTS, width=3, limit=5).vocab.vectors.data
    assert data.shape == (5, 3)
    assert data.dtype == np.float32
    np.testing.assert_allclose(data.mean(axis=0), 0, atol=1e-5)
    assert data.std() == pytest.approx(1, abs=1e-4)


def test_a_word_alone_counts_as_one_context_more(transformer_teacher):
    nlp = transformer_teacher
    words = ["cat", "dog", "house"]
    encode = nlp.get_pipe("transformer").pipe
    unit = lambda vector: vector / np.linalg.norm(vector)  # noqa: E731
    read = lambda text, i: unit(token_layers(next(encode([nlp.make_doc(text)])), None)[-1][i])  # noqa: E731
    texts = ["the cat sat on a cat", "dog sat"]
    sums, counts = embed_contexts(nlp, "transformer", words, texts)
    cats, dogs = [read(texts[0], 1), read(texts[0], 5)], [read(texts[1], 0)]
    np.testing.assert_array_equal(counts, [2, 1, 0])
    np.testing.assert_allclose(sums, [sum(cats), sum(dogs), 0 * dogs[0]], atol=1e-5)

    alone = np.stack([read(word, 0) for word in words])
    added = add_contexts(alone, sums, counts)
    centred = alone - alone.mean(axis=0)
    shared = (sums[0] / 2 + sums[1]) / 2
    np.testing.assert_allclose(added[0], (centred[0] + sums[0] - 2 * shared) / 3, atol=1e-5)
    np.testing.assert_allclose(added[1], (centred[1] + sums[1] - shared) / 2, atol=1e-5)
    np.testing.assert_allclose(added[2], centred[2], atol=1e-5)


@pytest.mark.parametrize(("contexts", "is_same"), [(7, True), (9, False)])
def test_contexts_are_of_the_first_texts(transformer_teacher, contexts, is_same):
    # The same words as often, in another context.
    made = [
        distill_vectors(
            transformer_teacher,
            iter(["", "the cat sat on a cat", "dog sat", last]),
            width=3,
            limit=10,
            contexts=contexts,
        ).vocab.vectors.data
        for last in ("on house", "house on")
    ]
    assert np.array_equal(*made) == is_same


def test_no_text_to_read_words_in(transformer_teacher):
    alone, asked = (distill_vectors(transformer_teacher, [""], width=3, contexts=n).vocab.vectors.data for n in (0, 9))
    np.testing.assert_array_equal(alone, asked)


def test_vectors_with_contexts_are_other_vectors(transformer_teacher):
    vectors = [
        distill_vectors(transformer_teacher, iter(TEXTS), width=3, limit=10, contexts=contexts).vocab.vectors.data
        for contexts in (0, 10)
    ]
    assert vectors[0].shape == vectors[1].shape
    assert not np.allclose(vectors[0], vectors[1], atol=0.1)


def test_pieces_of_a_token_are_averaged(transformer_teacher):
    encoder = transformer_teacher.get_pipe("transformer")
    doc = next(encoder.pipe([Doc(transformer_teacher.vocab, ["cats", "on"])]))
    hidden = doc._.trf_data.model_output.last_hidden_state[0]  # [CLS] cat ##s on [SEP]
    np.testing.assert_allclose(token_layers(doc, encoder)[-1], [hidden[1:3].mean(axis=0), hidden[3]], rtol=1e-5)


def test_student_reads_the_vectors(tok2vec_teacher, tmp_path):
    blank = distill_vectors(tok2vec_teacher, TEXTS, width=8, min_count=1)
    blank.to_disk(tmp_path)
    nlp = spacy.blank("en")
    nlp.config["initialize"]["vectors"] = str(tmp_path)
    embed = {"@architectures": "spacy.MultiHashEmbed.v2", "width": 8, "attrs": ["NORM"], "rows": [10]}
    encode = {"@architectures": "spacy.MaxoutWindowEncoder.v2", "width": 8, "depth": 1, "window_size": 1}
    model = {
        "@architectures": "spacy.Tok2Vec.v2",
        "embed": {**embed, "include_static_vectors": True},
        "encode": {**encode, "maxout_pieces": 2},
    }
    nlp.add_pipe("tok2vec", config={"model": model})
    nlp.initialize()
    np.testing.assert_array_equal(nlp("dog").tensor, nlp("Dog").tensor)
    before = nlp("dog").tensor
    nlp.vocab.vectors.data = -nlp.vocab.vectors.data
    assert not np.allclose(nlp("dog").tensor, before)


def test_strings_stay_out_of_the_student(tok2vec_teacher):
    nlp = distill_vectors(tok2vec_teacher, ["wombat"], width=8, min_count=1)
    assert "wombat" not in nlp.vocab.strings
    assert nlp.vocab.vectors.find(key=tok2vec_teacher.vocab.strings["wombat"]) == 0


def test_curated_transformers_output():
    output = pytest.importorskip("spacy_curated_transformers.models.output")
    if not Doc.has_extension("trf_data"):
        Doc.set_extension("trf_data", default=None)
    doc = Doc(spacy.blank("en").vocab, ["cats", "", "on"][::2])
    pieces = Ragged(np.arange(6, dtype="f").reshape(3, 2), np.array([2, 1], dtype="i"))
    doc._.trf_data = output.DocTransformerOutput(all_outputs=[pieces], last_layer_only=True)
    np.testing.assert_array_equal(token_layers(doc, None)[-1], [[1, 2], [4, 5]])


def test_transformer_before_tok2vec(transformer_teacher, tok2vec_teacher):
    assert encoder_name(tok2vec_teacher) == "tok2vec"
    assert encoder_name(transformer_teacher) == "transformer"


def test_principal_components_keep_distances():
    rng = np.random.default_rng(0)
    flat = rng.normal(size=(50, 3)).astype("f") @ rng.normal(size=(3, 10)).astype("f")
    kept = principal_components(flat, 3)
    original = np.linalg.norm(flat[:, None] - flat[None], axis=-1)
    projected = np.linalg.norm(kept[:, None] - kept[None], axis=-1)
    ratio = projected[original > 0] / original[original > 0]
    np.testing.assert_allclose(ratio, ratio[0], rtol=1e-3)


def test_words_beyond_a_number_of_rows_share_that_of_the_most_similar(transformer_teacher):
    alone = distill_vectors(transformer_teacher, TEXTS, width=4, limit=10).vocab.vectors
    whole = distill_vectors(transformer_teacher, TEXTS, width=4, limit=14).vocab.vectors
    pruned = distill_vectors(transformer_teacher, TEXTS, width=4, limit=14, prune=10).vocab.vectors
    np.testing.assert_allclose(pruned.data, alone.data, atol=1e-5)
    assert pruned.key2row.keys() == whole.key2row.keys() > alone.key2row.keys()
    assert {key: pruned.key2row[key] for key in alone.key2row} == alone.key2row
    for key in whole.key2row.keys() - alone.key2row.keys():
        assert whole.key2row[key] >= 10 > pruned.key2row[key]


def test_the_most_similar_row_is_at_the_smallest_angle():
    rows = np.asarray([[1, 0], [0, 1], [-5, -5]], dtype="f")
    vectors = np.asarray([[9, 8.9], [0.1, 0.2], [-1, 0.5], [0, -1]], dtype="f")
    assert list(most_similar(vectors, rows)) == [0, 1, 1, 2]


@pytest.mark.parametrize("width", [0, 33])
def test_width_out_of_range(tok2vec_teacher, width):
    with pytest.raises(DistillationError, match="TD522"):
        distill_vectors(tok2vec_teacher, TEXTS, width=width)


def test_nothing_to_make_vectors_of(tok2vec_teacher):
    with pytest.raises(DistillationError, match="TD521"):
        distill_vectors(tok2vec_teacher, ["", " \n"])
    with pytest.raises(DistillationError, match="2 times"):
        distill_vectors(tok2vec_teacher, ["each word once"])
    with pytest.raises(DistillationError, match="TD520"):
        distill_vectors(spacy.blank("en"), TEXTS)
