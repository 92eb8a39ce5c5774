"""A teacher's pipe is asked on a Doc that has what the pipes before it wrote, and the tokens that the student has."""

from typing import Any

import numpy
import pytest
import spacy
from spacy.attrs import NORM
from spacy.language import Language
from spacy.tokens import Doc
from spacy.util import registry
from thinc.api import Model

from helpers.one_pipe import FACTORIES, annotate
from helpers.students import randomize
from helpers.tiny_teacher import LANGUAGE, MODELS
from spacy_tinydistill.components.base import Plan
from spacy_tinydistill.components.token_labels import TokenLabels
from spacy_tinydistill.errors import DistillationError
from spacy_tinydistill.pipes.order import check_tokens_stay, only_annotates, pipes_before, reads_annotations
from spacy_tinydistill.targets.records import Record
from spacy_tinydistill.teacher.recorder import _needed_pipes, ask
from spacy_tinydistill.vectors import distill_vectors


def encoder(*attributes: str) -> dict[str, Any]:
    embed = {
        "@architectures": "spacy.MultiHashEmbed.v2", "width": 16, "attrs": list(attributes),
        "rows": [100] * len(attributes), "include_static_vectors": False,
    }  # fmt: skip
    encode = {
        "@architectures": "spacy.MaxoutWindowEncoder.v2", "width": 16, "depth": 1, "window_size": 1, "maxout_pieces": 2,
    }  # fmt: skip
    return {"@architectures": "spacy.Tok2Vec.v2", "embed": embed, "encode": encode}


def tagger(*attributes: str) -> dict[str, Any]:
    return {"model": {"@architectures": "spacy.Tagger.v2", "tok2vec": encoder(*attributes)}}


@registry.architectures("order.Own.v1")
def own_layer() -> Model:
    inner = registry.resolve({"m": MODELS["tagger"]})["m"]

    def forward(model: Model, docs: Any, is_train: bool) -> Any:
        return inner(docs, is_train)

    return Model("own", forward, layers=[inner], refs={"tok2vec": inner.get_ref("tok2vec")})


@Language.component("order_merge_in")
def merge_in(doc: Doc) -> Doc:
    """Says of itself not that it retokenizes."""
    with doc.retokenize() as retokenizer:
        for token in doc[:-1]:
            if token.text == "in":
                retokenizer.merge(doc[token.i : token.i + 2])
    return doc


@Language.component("order_ok")
def leave(doc: Doc) -> Doc:
    return doc


@pytest.mark.parametrize("factory", FACTORIES)
def test_spacys_pipes_only_annotate_and_read_tokens(factory: str) -> None:
    pipe = spacy.blank(LANGUAGE).create_pipe(factory, config=FACTORIES[factory])
    assert only_annotates(pipe)
    assert not reads_annotations(pipe)


def test_pipes_that_do_more_than_annotate() -> None:
    nlp = spacy.blank("en")
    assert not only_annotates(nlp.add_pipe("token_splitter"))
    assert not only_annotates(nlp.add_pipe("merge_entities"))
    assert not only_annotates(nlp.add_pipe("order_ok"))
    assert not only_annotates(nlp.add_pipe("tok2vec"))
    parser: Any = nlp.add_pipe("parser", config={"learn_tokens": True})
    assert not only_annotates(parser)
    ruler: Any = nlp.add_pipe("attribute_ruler")
    assert only_annotates(ruler)
    ruler.add([[{"LOWER": "a"}]], {"NORM": "b"})
    assert NORM in ruler.attrs[0]
    assert not only_annotates(ruler)


@pytest.mark.parametrize("attribute", ["TAG", "POS", "LEMMA", "ENT_TYPE", "ENT_IOB", "DEP", "MORPH"])
def test_models_that_read_annotations(attribute: str) -> None:
    nlp = spacy.blank(LANGUAGE)
    assert not reads_annotations(nlp.create_pipe("tagger", config=tagger("NORM", "SHAPE", "IS_TITLE")))
    assert reads_annotations(nlp.create_pipe("tagger", config=tagger("NORM", attribute)))
    assert reads_annotations(nlp.create_pipe("tagger", config={"model": {"@architectures": "order.Own.v1"}}))


@pytest.mark.parametrize("attribute", ["TAG", "NORM"])
def test_a_pipe_is_asked_on_what_the_pipes_before_it_wrote(attribute: str) -> None:
    """Whether its model reads a tag that another pipe wrote, or a norm that a rule did."""
    nlp = spacy.blank(LANGUAGE)
    nlp.add_pipe("tagger", name="first", config=FACTORIES["tagger"])
    ruler: Any = nlp.add_pipe("attribute_ruler")
    nlp.add_pipe("tagger", name="second", config=tagger("SHAPE", attribute))
    nlp.initialize(lambda: [annotate(nlp)])
    if attribute == "NORM":
        ruler.add([[{"LOWER": "rome"}]], {"NORM": "lima"})
    for _, pipe in nlp.pipeline[::2]:
        randomize(pipe.model, numpy.random.default_rng(0), scale=1.0)  # type: ignore[attr-defined]
    doc = nlp.make_doc("Ann sings in Rome")
    (said,) = ask(nlp, [Record.from_doc(doc)], {"second": ("second", TokenLabels())})
    with nlp.select_pipes(disable="second"):
        before = nlp(doc.text)
    expected = TokenLabels().record(nlp.get_pipe("second"), [before])[0]["probabilities"]
    numpy.testing.assert_allclose(said["second"]["probabilities"], expected, atol=0.001)
    bare = TokenLabels().record(nlp.get_pipe("second"), [doc])[0]["probabilities"]
    assert abs(bare - expected).max() > 0.005


def test_only_those_pipes_run_that_somebody_may_read() -> None:
    nlp = spacy.blank(LANGUAGE)
    nlp.add_pipe("tagger", name="first", config=FACTORIES["tagger"])
    nlp.add_pipe("tagger", name="second", config=FACTORIES["tagger"])
    plan: Plan = {"second": ("second", TokenLabels())}
    assert [name for name, *_ in _needed_pipes(nlp, plan)] == ["second"]
    nlp.add_pipe("order_ok", before="second")
    # Who knows what a function reads?
    assert [(name, writes) for name, _, writes in _needed_pipes(nlp, plan)] == [
        ("first", True),
        ("order_ok", True),
        ("second", False),
    ]


@pytest.mark.parametrize("name", ["order_merge_in", "token_splitter", "merge_entities"])
def test_tokens_that_change_before_a_taught_pipe(name: str) -> None:
    nlp = spacy.blank(LANGUAGE)
    nlp.add_pipe("sentencizer")
    nlp.add_pipe(name)
    nlp.add_pipe("tagger", config=FACTORIES["tagger"])
    docs = [nlp.make_doc("Ann sings"), nlp.make_doc("Ann sings in Rome")]
    with pytest.raises(DistillationError, match=rf"TD241.*'{name}'.*'tagger'"):
        check_tokens_stay(nlp, ["tagger"], docs)
    # Behind those that are taught it may do what it likes.
    check_tokens_stay(nlp, ["sentencizer"], docs)


def test_a_function_that_leaves_the_tokens() -> None:
    nlp = spacy.blank(LANGUAGE)
    nlp.add_pipe("order_ok")
    nlp.add_pipe("tagger", config=FACTORIES["tagger"])
    check_tokens_stay(nlp, ["tagger"], [nlp.make_doc("Ann sings in Rome")])
    assert [name for name, _ in pipes_before(nlp, "tagger")] == ["order_ok"]


def test_vectors_of_an_encoder_that_reads_what_others_wrote() -> None:
    nlp = spacy.blank(LANGUAGE)
    ruler: Any = nlp.add_pipe("entity_ruler")
    nlp.add_pipe("tok2vec", config={"model": encoder("ENT_TYPE")})
    nlp.add_pipe("tagger", config=FACTORIES["tagger"])
    nlp.initialize(lambda: [annotate(nlp)])
    ruler.add_patterns([{"label": "WHO", "pattern": [{"TEXT": "Ann"}]}])
    texts = ["Ann Bob Ann Bob Ann"]
    vectors = distill_vectors(nlp, texts, width=1, min_count=1, contexts=5)
    assert abs(vectors.vocab["Ann"].vector - vectors.vocab["Bob"].vector).max() > 0.1
    nlp.remove_pipe("entity_ruler")
    same = distill_vectors(nlp, texts, width=1, min_count=1, contexts=0)
    assert abs(same.vocab["Ann"].vector - same.vocab["Bob"].vector).max() < 1e-3
    nlp.add_pipe("token_splitter", first=True)
    with pytest.raises(DistillationError, match=r"TD241.*token_splitter"):
        distill_vectors(nlp, texts, width=1)
