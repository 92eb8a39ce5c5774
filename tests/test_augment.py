"""Augmenters: words are replaced by those that a model finds near or likely, as often as was asked, always alike."""

import pytest
import spacy
from hypothesis import given, settings
from hypothesis import strategies as st
from spacy.training import Example
from spacy.util import registry

from helpers.tiny_teacher import make_teacher
from spacy_tinydistill import augment
from spacy_tinydistill.augment import _augmenter, masked_word_augmenter, neighbour_augmenter
from spacy_tinydistill.corpus import text_corpus
from spacy_tinydistill.errors import DistillationError

transformers = pytest.importorskip("transformers", reason="needs the extra [transformers]")
pytest.importorskip("spacy_transformers", reason="needs the extra [transformers]")
tokenizers = pytest.importorskip("tokenizers", reason="needs the extra [transformers]")
torch = pytest.importorskip("torch", reason="needs the extra [transformers]")

NLP = spacy.blank("en")
WORDS = ["song", "tune", "hymn", "soup", "stew", "broth", "sang", "ate", "loud", "hot"]
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
TEXT = "Anna sang a loud song, 3 times."


@pytest.fixture(scope="module")
def model_path(tmp_path_factory):
    """A BERT with a masked-LM head, of our choosing: "tune" and "hymn" are near "song", and it says "stew", "broth"."""
    folder = tmp_path_factory.mktemp("bert")
    letters = [*"abcdefghijklmnopqrstuvwxyz", *(f"##{letter}" for letter in "abcdefghijklmnopqrstuvwxyz")]
    vocabulary = [*SPECIAL, *WORDS, *letters, ",", ".", "3"]
    (folder / "vocab.txt").write_text("\n".join(vocabulary) + "\n")
    transformers.BertTokenizerFast(str(folder / "vocab.txt")).save_pretrained(folder)
    config = transformers.BertConfig(
        vocab_size=len(vocabulary), hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16
    )
    torch.manual_seed(0)
    model = transformers.BertForMaskedLM(config)
    with torch.no_grad():
        table = model.get_input_embeddings().weight
        torch.nn.init.orthogonal_(table[:16])
        for word, near in (("tune", 0.1), ("hymn", 0.2)):
            table[vocabulary.index(word)] = table[vocabulary.index("song")] + near * table[vocabulary.index(word)]
        # Whatever the text: first "stew", then "broth".
        model.cls.predictions.bias[vocabulary.index("stew")] = 200.0
        model.cls.predictions.bias[vocabulary.index("broth")] = 100.0
    model.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def teacher_path(model_path, tmp_path_factory):
    """A pipeline on that BERT, without its head."""
    path = tmp_path_factory.mktemp("teacher")
    headless = path / "hugging-face"
    transformers.BertModel.from_pretrained(model_path, add_pooling_layer=False).save_pretrained(headless)
    transformers.BertTokenizerFast.from_pretrained(model_path).save_pretrained(headless)
    nlp = spacy.blank("en")
    model = {
        "@architectures": "spacy-transformers.TransformerModel.v3",
        "name": str(headless),
        "get_spans": {"@span_getters": "spacy-transformers.doc_spans.v1"},
    }
    nlp.add_pipe("transformer", config={"model": model})
    nlp.initialize()
    nlp.to_disk(path / "pipeline")
    return path / "pipeline"


def variants_of(augmenter, text=TEXT):
    doc = NLP.make_doc(text)
    first, *others = augmenter(NLP, Example(doc, doc.copy()))
    assert first.predicted is doc
    return [example.predicted for example in others]


def test_neighbours(teacher_path):
    docs = variants_of(neighbour_augmenter(str(teacher_path), probability=1.0, candidates=2))
    assert len(docs) == 20
    assert {doc[4].text for doc in docs} == {"tune", "hymn"}
    for doc in docs:
        # A stop word, a number, punctuation; a name is spelled as one.
        assert [doc[i].text for i in (2, 5, 6, 8)] == ["a", ",", "3", "."]
        assert doc[0].text.istitle()
        assert doc[0].text.lower() in [*WORDS, *"abcdefghijklmnopqrstuvwxyz"]
        assert doc.text.endswith(", 3 " + doc[7].text + ".")


def test_masked_words(model_path):
    docs = variants_of(masked_word_augmenter(str(model_path), probability=1.0, candidates=2))
    assert {doc[4].text for doc in docs} == {doc[1].text for doc in docs} == {"stew", "broth"}
    # In several pieces: not asked of the model.
    assert {doc[0].text for doc in docs}.isdisjoint({"Stew", "Broth"})
    # No word is proposed in its own place.
    (doc,) = variants_of(masked_word_augmenter(str(model_path), 1.0, 1, 1), "hot stew")
    assert doc.text == "stew broth"


def test_a_text_of_many_words_is_asked_about_in_parts(model_path, monkeypatch):
    text = " ".join(WORDS * 3)
    whole = [doc.text for doc in variants_of(masked_word_augmenter(str(model_path)), text)]
    monkeypatch.setattr(augment, "MASKED_AT_ONCE", 4)
    assert [doc.text for doc in variants_of(masked_word_augmenter(str(model_path)), text)] == whole


def test_masked_words_of_a_model_that_reads_the_space_before_a_word(tmp_path):
    """As RoBERTa does."""
    tokenizer = tokenizers.ByteLevelBPETokenizer(add_prefix_space=True)
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    tokenizer.train_from_iterator([f" {word}" for word in WORDS] * 5, vocab_size=400, special_tokens=special)
    tokenizer.save_model(str(tmp_path))
    files = (str(tmp_path / "vocab.json"), str(tmp_path / "merges.txt"))
    transformers.RobertaTokenizerFast(*files).save_pretrained(tmp_path)
    config = transformers.RobertaConfig(
        vocab_size=tokenizer.get_vocab_size(), hidden_size=16, num_hidden_layers=1, num_attention_heads=2,
        intermediate_size=16, max_position_embeddings=40,
    )  # fmt: skip
    model = transformers.RobertaForMaskedLM(config)
    with torch.no_grad():
        model.lm_head.bias[tokenizer.token_to_id("Ġstew")] = 200.0
    model.save_pretrained(tmp_path)
    docs = variants_of(masked_word_augmenter(str(tmp_path), probability=1.0, candidates=1), "loud song")
    assert {doc.text for doc in docs} == {"stew stew"}


def test_the_same_each_time(teacher_path):
    def read(seed, text=TEXT):
        return [doc.text for doc in variants_of(neighbour_augmenter(str(teacher_path), seed=seed), text)]

    augmenter = neighbour_augmenter(str(teacher_path), seed=1)
    variants_of(augmenter, "soup")
    assert [doc.text for doc in variants_of(augmenter)] == read(1) != read(2)


def test_how_often():
    def propose(doc):
        return [["tune"] if token.text == "song" else [] for token in doc]

    docs = variants_of(_augmenter(propose, 0.4, 200, 0), "song " * 50 + "soup")
    words = [token.text for doc in docs for token in doc]
    assert words.count("soup") == 200
    assert words.count("tune") / 10_000 == pytest.approx(0.4, abs=0.02)
    assert [doc.text for doc in variants_of(_augmenter(propose, 0.0, 2, 0), TEXT)] == [TEXT] * 2


@given(st.text(max_size=40), st.floats(0, 1))
@settings(max_examples=60, deadline=None)
def test_any_text(text, probability):
    doc = NLP.make_doc(text)
    augmenter = _augmenter(lambda doc: [["tune"]] * len(doc), probability, 2, 0)
    for example in augmenter(NLP, Example(doc, doc.copy())):
        assert len(example.predicted) == len(example.reference) == len(doc)
        assert [t.whitespace_ for t in example.predicted] == [t.whitespace_ for t in doc]


def test_in_a_corpus(teacher_path, tmp_path):
    """By the names in a config; a corpus that is read again says the same."""
    (tmp_path / "texts.txt").write_text("hot soup\nloud song\n", encoding="utf8")
    block = {
        "corpus": {
            "@readers": "spacy-tinydistill.TextCorpus.v1",
            "path": str(tmp_path / "texts.txt"),
            "augmenter": {
                "@augmenters": "spacy-tinydistill.NeighbourAugmenter.v1",
                "teacher": str(teacher_path),
                "variants": 3,
            },
        }
    }
    read = registry.resolve(block)["corpus"]
    texts = [example.predicted.text for example in read(NLP)]
    assert len(texts) == 8
    assert (texts[0], texts[4]) == ("hot soup", "loud song")
    assert texts == [example.predicted.text for example in read(NLP)]
    assert len(list(text_corpus(str(tmp_path / "texts.txt"))(NLP))) == 2


def test_a_teacher_without_word_embeddings(tmp_path):
    make_teacher("tagger").to_disk(tmp_path)
    with pytest.raises(DistillationError) as caught:
        variants_of(neighbour_augmenter(str(tmp_path)))
    assert caught.value.code == "TD112"


def test_a_model_that_is_not_there(tmp_path):
    with pytest.raises(DistillationError) as caught:
        variants_of(masked_word_augmenter(str(tmp_path / "bert-bsae-uncased")))
    assert caught.value.code == "TD116"


def test_a_model_without_a_head(teacher_path):
    with pytest.raises(DistillationError) as caught:
        variants_of(masked_word_augmenter(str(teacher_path.parent / "hugging-face")))
    assert caught.value.code == "TD113"
