"""Teachers of the architectures that people use: what they show is what the plain models say, and it is learned.

The weights are random, and larger than those that training begins with, so that attention is far from even.
"""

from functools import partial

import numpy
import pytest
import spacy
from spacy.tokens import Doc
from spacy.training import Example
from thinc.api import fix_random_seed

from helpers.generator import make_docs, make_texts
from helpers.tiny_teacher import LANGUAGE
from spacy_tinydistill.api import record_targets
from spacy_tinydistill.components.hidden_states import HiddenStatesLesson
from spacy_tinydistill.components.transformer_layers import TransformerLayersLesson
from spacy_tinydistill.errors import DistillationError
from spacy_tinydistill.pipes.encoder import all_layers, attention, piece_attention, token_layers
from spacy_tinydistill.pipes.precision import autocast
from spacy_tinydistill.student.config import student_config

torch = pytest.importorskip("torch", reason="needs the extra [tiny-transformer]")
transformers = pytest.importorskip("transformers", reason="needs the extra [transformers]")
pytest.importorskip("spacy_transformers", reason="needs the extra [transformers]")

from tokenizers import BertWordPieceTokenizer, ByteLevelBPETokenizer, SentencePieceUnigramTokenizer  # noqa: E402
from tokenizers.processors import TemplateProcessing  # noqa: E402

from helpers.students import distil_quickly  # noqa: E402

WIDTH = 32
LAYERS = 2
HEADS = 4
MOST_PIECES = 128
SIZES = {
    "hidden_size": WIDTH,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": HEADS,
    "intermediate_size": 64,
    # RoBERTa counts from 2.
    "max_position_embeddings": MOST_PIECES + 2,
    "initializer_range": 0.2,
}
BERT_PIECES = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
END_OF_TEXT = "<|endoftext|>"

TEXTS = make_texts(16, seed=1)
ODD = [
    "Anna's  drum 🥁👩‍👩‍👧!",
    "I don't  know, he said",
    "Donaudampfschifffahrtsgesellschaftskapitän",
    " \n\n",
    "a",
    f"The words [PAD] and {END_OF_TEXT} mean nothing",
]


def word_piece(make, folder):
    trained = BertWordPieceTokenizer()
    trained.train_from_iterator(TEXTS, vocab_size=200, special_tokens=BERT_PIECES, show_progress=False)
    (path,) = trained.save_model(str(folder))
    return make(path)


def byte_level(make, special, folder):
    trained = ByteLevelBPETokenizer()
    trained.train_from_iterator(TEXTS, vocab_size=400, special_tokens=special, show_progress=False)
    return make(*trained.save_model(str(folder)))


def unigram(folder):
    """As DeBERTa-v3's are once they were converted, which itself would need SentencePiece and its file."""
    special = ["[PAD]", "[CLS]", "[SEP]", "[UNK]", "[MASK]"]
    trained = SentencePieceUnigramTokenizer()
    trained.train_from_iterator(TEXTS, vocab_size=150, special_tokens=special, unk_token="[UNK]", show_progress=False)
    trained.post_processor = TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 1), ("[SEP]", 2)])
    path = folder / "spm.model"
    path.write_bytes(b"spacy-transformers copies this file, and with the other one nobody reads it")
    return transformers.DebertaV2TokenizerFast(str(path), tokenizer_object=trained._tokenizer)


ROBERTA_PIECES = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
DEBERTA = {
    "relative_attention": True,
    "position_buckets": 16,
    "norm_rel_ebd": "layer_norm",
    "share_att_key": True,
    "pos_att_type": "p2c|c2p",
    "position_biased_input": False,
}
GPT2 = {"bos_token_id": 0, "eos_token_id": 0}

# How the tokenizer, the config and the model are made.
MODELS = {
    "bert": (partial(word_piece, transformers.BertTokenizerFast), transformers.BertConfig, {}),
    "megatron-bert": (partial(word_piece, transformers.BertTokenizerFast), transformers.MegatronBertConfig, {}),
    "distilbert": (
        partial(word_piece, transformers.DistilBertTokenizerFast),
        transformers.DistilBertConfig,
        {"hidden_dim": 64},
    ),
    "electra": (
        partial(word_piece, transformers.ElectraTokenizerFast),
        transformers.ElectraConfig,
        {"embedding_size": 16},
    ),
    "gpt2": (partial(byte_level, transformers.GPT2TokenizerFast, [END_OF_TEXT]), transformers.GPT2Config, GPT2),
    "roberta": (partial(byte_level, transformers.RobertaTokenizerFast, ROBERTA_PIECES), transformers.RobertaConfig, {}),
    "deberta-v3": (unigram, transformers.DebertaV2Config, DEBERTA),
    # As several for Chinese and Japanese are.
    "gpt2-of-word-pieces": (partial(word_piece, transformers.BertTokenizerFast), transformers.GPT2Config, {}),
}
CAUSAL = ("gpt2", "gpt2-of-word-pieces")
# With pieces that a TinyTransformer can have, and so with attention to teach.
WORD_PIECES = ("bert", "megatron-bert", "distilbert", "electra", "gpt2-of-word-pieces")


@pytest.fixture(scope="module", params=MODELS)
def kind(request):
    return request.param


@pytest.fixture(scope="module")
def folder(kind, tmp_path_factory):
    """What the Hugging Face hub has of a model."""
    return make_folder(kind, tmp_path_factory.mktemp(kind))


@pytest.fixture(scope="module")
def teacher(kind, folder):
    return make_teacher(folder, pad_token=END_OF_TEXT if kind == "gpt2" else None)


@pytest.fixture(scope="module")
def teacher_path(teacher, tmp_path_factory):
    path = tmp_path_factory.mktemp("teacher")
    teacher.to_disk(path)
    return path


def make_folder(kind, folder):
    make_tokenizer, config, settings = MODELS[kind]
    tokenizer = make_tokenizer(folder)
    tokenizer.model_max_length = MOST_PIECES
    tokenizer.save_pretrained(folder)
    fix_random_seed(0)
    model = transformers.AutoModel.from_config(config(vocab_size=len(tokenizer), **SIZES, **settings))
    model.save_pretrained(folder)
    return folder


def make_teacher(folder, *, pad_token=None):
    """A pipeline with a tagger that listens, of random weights too."""
    fix_random_seed(0)
    nlp = spacy.blank(LANGUAGE)
    model = {
        "@architectures": "spacy-transformers.TransformerModel.v3",
        "name": str(folder),
        "get_spans": {"@span_getters": "spacy-transformers.strided_spans.v1", "window": 160, "stride": 120},
        "tokenizer_config": {"use_fast": True, **({"pad_token": pad_token} if pad_token else {})},
    }
    nlp.add_pipe("transformer", config={"model": model})
    listener = {
        "@architectures": "spacy-transformers.TransformerListener.v1",
        "grad_factor": 1.0,
        "pooling": {"@layers": "reduce_mean.v1"},
    }
    nlp.add_pipe("tagger", config={"model": {"@architectures": "spacy.Tagger.v2", "tok2vec": listener}})
    gold = make_docs(nlp.vocab, 4, seed=8)
    nlp.initialize(lambda: [Example(nlp.make_doc(doc.text), doc) for doc in gold])
    output = nlp.get_pipe("tagger").model.get_ref("output_layer")
    # It begins with zeros, of which there is nothing to learn.
    output.set_param("W", numpy.random.default_rng(0).normal(size=output.get_param("W").shape).astype("f"))
    return nlp


class Plain:
    """A model of Hugging Face as it is, asked about one text."""

    def __init__(self, folder, text) -> None:
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
        model = transformers.AutoModel.from_pretrained(folder, attn_implementation="eager").eval()
        encoded = tokenizer(text, return_offsets_mapping=True, return_tensors="pt")
        self.offsets = encoded.pop("offset_mapping")[0].tolist()
        self.ids = encoded["input_ids"][0].numpy()
        with torch.no_grad():
            output = model(**encoded, output_hidden_states=True, output_attentions=True)
        self.layers = [layer[0].double().numpy() for layer in output.hidden_states]
        self.attention = [layer[0].double().numpy() for layer in output.attentions]

    def pieces_of(self, token) -> list[int]:
        """Those that have a character of the token or the space after it, which spacy-transformers counts to it."""
        start, end = token.idx, token.idx + len(token.text_with_ws)
        return [i for i, (first, last) in enumerate(self.offsets) if max(start, first) < min(end, last)]


# Its exceptions, such as "don't", are odd too. The pipelines themselves are made faster without.
ENGLISH = spacy.blank("en")


def words_of(text):
    doc = ENGLISH.make_doc(text)
    return [token.text for token in doc], [bool(token.whitespace_) for token in doc]


def encode(teacher, texts):
    encoder = teacher.get_pipe("transformer")
    docs = [Doc(teacher.vocab, *words_of(text)) for text in texts]
    with all_layers(encoder), attention(encoder):
        return list(encoder.pipe(docs))


def test_hidden_states_and_tokens(kind, teacher, folder):
    """Each layer, by token: the mean of the plain model's vectors of its pieces."""
    encoder = teacher.get_pipe("transformer")
    docs = encode(teacher, ["", *ODD, *TEXTS[:4], ""])
    assert [len(doc) for doc in docs].count(0) == 2
    n_without = 0
    for doc in filter(len, docs):
        found, plain = token_layers(doc, encoder), Plain(folder, doc.text)
        assert len(found) == LAYERS + 1
        for i, layer in enumerate(plain.layers):
            expected = numpy.zeros((len(doc), WIDTH))
            for token in doc:
                if pieces := plain.pieces_of(token):
                    expected[token.i] = layer[pieces].mean(axis=0)
                else:
                    n_without += 1
                    # White space, and what joins emoji.
                    assert token.is_space or not token.text.isprintable()
            numpy.testing.assert_allclose(found[i], expected, atol=2e-4)
    assert abs(found[0] - found[1]).max() > 0.1 < abs(found[1] - found[2]).max()
    if kind in WORD_PIECES:
        assert n_without > 0


def test_in_half_precision(teacher):
    """As on a GPU that has bfloat16: what comes out is float32 and nearly the same."""
    encoder = teacher.get_pipe("transformer")
    (exact,) = encode(teacher, TEXTS[:1])
    with autocast(encoder.model.transformer, "cpu"):
        (near,) = encode(teacher, TEXTS[:1])
    for i in range(1, LAYERS + 1):
        ours, theirs = token_layers(near, encoder)[i], token_layers(exact, encoder)[i]
        assert ours.dtype == numpy.float32
        assert 0 < abs(ours - theirs).max() < 0.05 * abs(theirs).max()
    for ours, theirs in zip(piece_attention(near)[1], piece_attention(exact)[1], strict=True):
        assert (numpy.isfinite(ours) == numpy.isfinite(theirs)).all()


def test_attention(kind, teacher, folder):
    """Its softmax is the plain model's attention, from each piece to those that it sees."""
    # In the batch is one that is cut off where the tokenizer has it; spacy-transformers then takes padding for pieces.
    docs = encode(teacher, [*ODD, TEXTS[0], "a " * (MOST_PIECES + 1)])
    for doc in docs[:-1]:
        plain = Plain(folder, doc.text)
        ids, scores = piece_attention(doc)
        assert ids.tolist() == plain.ids.tolist()
        assert len(scores) == LAYERS
        sees = numpy.ones((len(ids), len(ids)), dtype=bool)
        if kind in CAUSAL:
            sees = numpy.tril(sees)
        for layer, expected in zip(scores, plain.attention, strict=True):
            assert layer.shape == (HEADS, len(ids), len(ids))
            assert (numpy.isfinite(layer) == sees).all()
            numpy.testing.assert_allclose(layer.sum(axis=2, where=sees), 0, atol=1e-3)
            probabilities = numpy.exp(layer.astype("d"))
            probabilities /= probabilities.sum(axis=2, keepdims=True)
            numpy.testing.assert_allclose(probabilities, expected, atol=1e-5)
    # Far from even.
    assert scores[0][:, sees].std() > 0.1


def watch_losses(monkeypatch, lesson):
    """Collect the loss of each update by token."""
    losses = []
    update = lesson.update

    def watch(self, docs, targets, *, dropout):
        losses.append(update(self, docs, targets, dropout=dropout) / sum(map(len, docs)))
        return losses[-1]

    monkeypatch.setattr(lesson, "update", watch)
    return losses


def tagger_config(teacher, **teaching):
    config = student_config(teacher, size="nano", pipeline=["tagger"])
    config["distillation"]["teaching"] = {"tok2vec": teaching}
    return config


def transformer_config(teacher, callback, **settings):
    config = tagger_config(teacher, **{"@teaching_rules": "spacy-tinydistill.TransformerLayers.v1", **settings})
    architecture = "spacy-tinydistill.TinyTransformer.v1"
    sizes = {"layers": LAYERS, "width": WIDTH, "heads": HEADS, "intermediate_width": 64, "vocab_size": 300}
    config["components"]["tok2vec"]["model"] = {"@architectures": architecture, **sizes}
    config["components"]["tagger"]["model"]["tok2vec"]["width"] = WIDTH
    config["initialize"]["before_init"] = callback
    return config


def trained_pieces(folder):
    (folder / "texts.txt").write_text("\n".join(TEXTS), encoding="utf8")
    return {"@callbacks": "spacy-tinydistill.TrainPieces.v1", "path": str(folder / "texts.txt")}


def falls(losses) -> bool:
    return sum(losses[-3:]) < 0.8 * sum(losses[:3])


STEPS = 15


def test_a_cnn_learns(teacher, teacher_path, tmp_path, monkeypatch):
    losses = watch_losses(monkeypatch, HiddenStatesLesson)
    config = tagger_config(teacher, **{"@teaching_rules": "spacy-tinydistill.HiddenStates.v1", "layers": [0, -1]})
    student = distil_quickly(str(teacher_path), [*ODD, "", *TEXTS], tmp_path, config, steps=STEPS, dropout=0.0)
    assert falls(losses)
    assert student(TEXTS[0]).has_annotation("TAG")


def test_a_transformer_learns(kind, teacher, teacher_path, tmp_path, monkeypatch):
    """Attention, too, where teacher and student can have the same pieces."""
    losses = watch_losses(monkeypatch, TransformerLayersLesson)
    teacher_pieces = {"@callbacks": "spacy-tinydistill.TeacherPieces.v1", "teacher": str(teacher_path)}
    if kind in WORD_PIECES:
        config = transformer_config(teacher, teacher_pieces, embeddings_weight=0.0, hidden_weight=0.0)
    else:
        config = transformer_config(teacher, trained_pieces(tmp_path), attention_weight=0.0)
    distil_quickly(str(teacher_path), TEXTS, tmp_path / "student", config, steps=STEPS, dropout=0.0)
    assert falls(losses)
    # What no piece attends to has no part in it: one such score would count for thousands.
    assert 0 < max(losses) < 100
    if kind not in WORD_PIECES:
        config = transformer_config(teacher, trained_pieces(tmp_path))
        with pytest.raises(DistillationError, match="no WordPiece") as caught:
            record_targets(teacher, TEXTS[:2], store=tmp_path / "store", config=config)
        assert caught.value.code == "TD219"


def test_pieces_without_beginning_and_end(tmp_path):
    """A student puts [CLS] and [SEP] around each text, so it could not attend as a teacher that has neither."""
    folder = make_folder("gpt2-of-word-pieces", tmp_path)
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(single="$A")
    tokenizer.save_pretrained(folder)
    teacher = make_teacher(folder)
    with pytest.raises(DistillationError, match=r"\[CLS\]") as caught:
        record_targets(teacher, TEXTS[:2], store=tmp_path / "store", config=transformer_config(teacher, None))
    assert caught.value.code == "TD219"


@pytest.mark.parametrize("value", [1e6, numpy.nan])
def test_layers_that_half_precision_has_no_room_for(value, tmp_path):
    teacher = make_teacher(make_folder("gpt2-of-word-pieces", tmp_path))
    teacher.get_pipe("transformer").model.transformer.ln_f.weight.data.fill_(value)

    def record(name, **settings):
        rule = {"@teaching_rules": "spacy-tinydistill.HiddenStates.v1", **settings}
        record_targets(teacher, TEXTS[:2], store=tmp_path / name, config=tagger_config(teacher, **rule))

    with pytest.raises(DistillationError) as caught:
        record("all")
    assert caught.value.code == "TD236"
    record("others", layers=[0, 1])
