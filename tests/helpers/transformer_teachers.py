"""Teachers of random weights on a transformer, of either library."""

import string

import numpy
import pytest
import spacy
from spacy.training import Example
from thinc.api import fix_random_seed

from helpers.cnn_teacher import TEXT_CATEGORIZER
from helpers.generator import TOPICS, make_docs
from helpers.students import randomize

# Small enough to run in no time, and as the real ones in all else.
WIDTH = 32
HEADS = ["tagger", "parser", "textcat"]


def write_vocabulary(path):
    """Write a WordPiece vocabulary of single characters."""
    letters = list(dict.fromkeys([*string.ascii_letters, *string.digits, *string.punctuation]))
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    path.write_text("\n".join([*special, *letters, *(f"##{letter}" for letter in letters)]) + "\n")


def make_spacy_transformers_teacher(vocabulary_path, language="en"):
    pytest.importorskip("spacy_transformers", reason="needs the extra [transformers]")
    transformers = pytest.importorskip("transformers", reason="needs the extra [transformers]")
    folder = vocabulary_path.parent / "hugging-face"
    transformers.BertTokenizerFast(str(vocabulary_path), do_lower_case=False).save_pretrained(folder)
    config = transformers.BertConfig(
        vocab_size=len(vocabulary_path.read_text().split()), hidden_size=WIDTH, num_hidden_layers=2,
        num_attention_heads=2, intermediate_size=64,
    )  # fmt: skip
    fix_random_seed(0)
    transformers.BertModel(config).save_pretrained(folder)
    model = {
        "@architectures": "spacy-transformers.TransformerModel.v3",
        "name": str(folder),
        "get_spans": {"@span_getters": "spacy-transformers.strided_spans.v1", "window": 64, "stride": 48},
    }
    listener = {
        "@architectures": "spacy-transformers.TransformerListener.v1",
        "grad_factor": 1.0,
        "pooling": {"@layers": "reduce_mean.v1"},
    }
    return add_heads("transformer", model, listener, language)


def make_curated_teacher(vocabulary_path, language="en"):
    pytest.importorskip("spacy_curated_transformers", reason="needs spacy-curated-transformers")
    model = {
        "@architectures": "spacy-curated-transformers.BertTransformer.v1",
        "vocab_size": len(vocabulary_path.read_text().split()),
        "hidden_width": WIDTH,
        "intermediate_width": 64,
        "num_attention_heads": 2,
        "num_hidden_layers": 2,
        "piece_encoder": {"@architectures": "spacy-curated-transformers.BertWordpieceEncoder.v1"},
        "with_spans": {"@architectures": "spacy-curated-transformers.WithStridedSpans.v1", "window": 64, "stride": 48},
    }
    listener = {
        "@architectures": "spacy-curated-transformers.LastTransformerLayerListener.v1",
        "width": WIDTH,
        "pooling": {"@layers": "reduce_mean.v1"},
    }
    loader = {"@model_loaders": "spacy-curated-transformers.WordpieceLoader.v1", "path": str(vocabulary_path)}
    return add_heads("curated_transformer", model, listener, language, piecer_loader=loader)


def add_heads(factory, model, listener, language, **initialize):
    """A pipeline of random weights on a transformer; what it says is no English, but it says it of every word."""
    fix_random_seed(0)
    nlp = spacy.blank(language)
    nlp.add_pipe(factory, name="transformer", config={"model": model})
    nlp.config["initialize"]["components"]["transformer"] = initialize
    for name in HEADS:
        settings = {"tok2vec": listener, "nO": None}
        if name == "textcat":
            settings |= {**TEXT_CATEGORIZER, "exclusive_classes": True}
        nlp.add_pipe(name, config={"model": settings})
    nlp.config["initialize"]["components"]["textcat"] = {"labels": list(TOPICS)}
    gold = make_docs(nlp.vocab, 10, seed=8)
    for doc in gold:
        doc.cats = {}
    nlp.initialize(lambda: [Example(nlp.make_doc(doc.text), doc) for doc in gold])
    numbers = numpy.random.default_rng(0)
    # Output layers begin with zeros, of which there is nothing to learn.
    for name, layer in (("tagger", "output_layer"), ("parser", "upper"), ("textcat", "output_layer")):
        randomize(nlp.get_pipe(name).model.get_ref(layer), numbers, scale=1.0)
    return nlp
