"""How well texts fit a teacher: unknown pieces and words, labels that it never predicts."""

from pathlib import Path
from typing import Any

import numpy
import pytest
import spacy
import spacy.cli
from spacy.language import Language
from spacy.tokens import Doc, Span

from spacy_tinydistill.teacher.coverage import measure_coverage, unpredicted_labels


def test_labels_are_read_from_whatever_a_pipe_writes() -> None:
    nlp = spacy.blank("en")
    labels = {
        "tagger": ["NN", "VB"],
        "morphologizer": ["Number=Sing|POS=NOUN", "POS=VERB", "POS=ADP"],
        "parser": ["nsubj", "obj"],
        "ner": ["PERSON", "ORG"],
        "textcat": ["A", "B"],
        "spancat": ["X", "Y"],
    }
    for name, names in labels.items():
        pipe: Any = nlp.add_pipe(name)
        for label in names:
            pipe.add_label(label)
    nlp.add_pipe("trainable_lemmatizer")
    doc = Doc(
        nlp.vocab, words=["Ann", "sings"], tags=["NN", "VB"], pos=["NOUN", "VERB"], morphs=["Number=Sing", ""],
        heads=[1, 1], deps=["nsubj", "ROOT"],
    )  # fmt: skip
    doc.ents = [Span(doc, 0, 1, label="PERSON")]
    doc.cats = {"A": 0.0, "B": 1.0}
    doc.spans["sc"] = [Span(doc, 0, 2, label="Y")]
    assert unpredicted_labels(nlp, nlp.pipe_names, [doc]) == {
        "tagger": [],
        "morphologizer": ["POS=ADP"],
        "parser": ["obj"],
        "ner": ["ORG"],
        "textcat": ["A"],
        "spancat": ["X"],
    }


PIECES = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "ann", "sing", "##s", "in", "."]


@pytest.fixture(scope="module")
def vocabulary(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("pieces") / "vocab.txt"
    path.write_text("\n".join(PIECES), encoding="utf8")
    return path


@pytest.fixture(scope="module")
def transformer(vocabulary: Path) -> Language:
    pytest.importorskip("spacy_transformers")
    transformers = pytest.importorskip("transformers")
    folder = vocabulary.parent / "bert"
    transformers.BertTokenizerFast(str(vocabulary)).save_pretrained(folder)
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    transformers.BertModel(transformers.BertConfig(vocab_size=len(PIECES), **sizes)).save_pretrained(folder)
    nlp = spacy.blank("en")
    nlp.add_pipe("transformer", config={"model": {"name": str(folder)}})
    nlp.initialize()
    return nlp


@pytest.fixture(scope="module")
def curated_transformer(vocabulary: Path) -> Language:
    pytest.importorskip("spacy_curated_transformers")
    encoder = {"@architectures": "spacy-curated-transformers.BertWordpieceEncoder.v1"}
    sizes = {"hidden_width": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_width": 32}
    model = {"@architectures": "spacy-curated-transformers.BertTransformer.v1", "vocab_size": len(PIECES)}
    spans = {"@architectures": "spacy-curated-transformers.WithStridedSpans.v1"}
    nlp = spacy.blank("en")
    nlp.add_pipe(
        "curated_transformer", config={"model": {**model, **sizes, "piece_encoder": encoder, "with_spans": spans}}
    )
    loader = {"@model_loaders": "spacy-curated-transformers.WordpieceLoader.v1", "path": str(vocabulary)}
    nlp.config["initialize"]["components"]["curated_transformer"] = {"piecer_loader": loader}
    nlp.initialize()
    return nlp


@pytest.mark.parametrize("name", ["transformer", "curated_transformer"])
def test_unknown_pieces(name: str, request: pytest.FixtureRequest) -> None:
    nlp = request.getfixturevalue(name)
    nlp.get_pipe(name).model.attrs.update(lowercase=True)
    vocab = spacy.blank("en").vocab
    docs = [Doc(vocab, words=["ann", "sings", "in", "Oslo", "."]), Doc(vocab, words=["ann", "\n", "ann", "ümläut"])]
    found = measure_coverage(nlp, docs)
    assert found is not None
    assert (found.known_by, found.words, found.units, found.unknown) == ("pieces", 8, 9, 2)
    assert found.share_unknown == pytest.approx(2 / 9)


def test_words_without_a_vector() -> None:
    nlp = spacy.blank("en")
    # Of another vocabulary, whose words the teacher's does not hold.
    docs = [Doc(spacy.blank("en").vocab, words=["Ann", "sings", "\n", "well"])]
    assert measure_coverage(nlp, docs) is None
    nlp.vocab.set_vector("sings", numpy.array([1.0, 2.0], dtype="float32"))
    found = measure_coverage(nlp, docs)
    assert found is not None
    assert (found.known_by, found.units, found.unknown) == ("vectors", 3, 2)
