"""Gold annotations that do not fit are told, by pipe."""

import pytest
import spacy
from spacy.tokens import Doc, DocBin, Span
from spacy.training import Example

from helpers.commands import spacy_cli
from helpers.tiny_teacher import TEXTS, annotate_gold, make_teacher, write_texts
from spacy_tinydistill.gold_fit import NEEDS, find_misfits

NLP = spacy.blank("en")
FACTORIES = ["tagger", "morphologizer", "senter", "trainable_lemmatizer", "parser", "ner", "textcat", "spancat"]
FACTORIES += ["textcat_multilabel", "spancat_singlelabel", "span_finder", "beam_ner", "beam_parser"]
ENGLISH = [f"the cat sat on the mat and saw {chr(97 + i // 26)}{chr(97 + i % 26)}" for i in range(300)]
GERMAN = "Der Hund läuft schnell über die Straße und bellt laut"


def example(nlp, **annotations):
    doc = Doc(nlp.vocab, words=["Ann", "sings"], **annotations)
    return Example(nlp.make_doc("Ann sings"), doc)


def annotated(nlp):
    full = example(
        nlp, tags=["N", "V"], pos=["NOUN", "VERB"], lemmas=["Ann", "sing"], heads=[1, 1], deps=["nsubj", "ROOT"],
        ents=["B-WHO", "O"],
    )  # fmt: skip
    full.reference.cats = {"GLAD": 1.0}
    full.reference.spans["sc"] = [Span(full.reference, 0, 1, "WHO")]
    return full


@pytest.mark.parametrize("factory", FACTORIES)
def test_what_a_pipe_needs(factory):
    nlp = spacy.blank("en")
    nlp.add_pipe(factory, config={"spans_key": "sc"} if factory.startswith("span") else {})
    assert find_misfits("gold", [annotated(nlp)], nlp, [factory], []) == []
    (said,) = find_misfits("gold", [example(nlp)], nlp, [factory], [])
    assert factory in said
    assert "none of its 1 texts has" in said
    assert "learns from the teacher alone" in said
    assert "has no score" in find_misfits("dev", [example(nlp)], nlp, [factory], [])[0]


def test_each_kind_is_tried():
    nlp = spacy.blank("en")
    pipes = [nlp.create_pipe(factory) for factory in FACTORIES]
    assert {kind for kind in NEEDS if any(isinstance(pipe, kind) for pipe in pipes)} == set(NEEDS)


def test_another_language():
    texts = [Example(NLP.make_doc(text), NLP.make_doc(text)) for text in ENGLISH]
    german = [Example(NLP.make_doc(GERMAN), NLP.make_doc(GERMAN)) for _ in range(30)]
    (said,) = find_misfits("dev", german, NLP, [], texts)
    assert "another language" in said
    assert find_misfits("dev", texts[:100], NLP, [], texts) == []
    # Of a few words nobody can tell.
    assert find_misfits("dev", german[:3], NLP, [], texts) == []


def test_tokens_that_the_tokenizer_does_not_make():
    gold = Doc(NLP.vocab, words=["don't", "sing"], spaces=[True, False], tags=["V", "V"])
    (said,) = find_misfits("gold", [Example(NLP.make_doc(gold.text), gold)], NLP, [], [])
    assert "Only 50.0% of the gold tokens" in said


@pytest.mark.parametrize("command", [pytest.param("distill", marks=pytest.mark.slow), "debug"])
def test_both_commands_tell(command, tmp_path):
    teacher = make_teacher()
    teacher.to_disk(tmp_path / "teacher")
    docs = [annotate_gold(teacher, text).reference for text in TEXTS]
    for doc in docs:
        doc.ents = []
    DocBin(docs=docs).to_disk(tmp_path / "dev.spacy")
    texts = write_texts(tmp_path / "texts.txt")
    paths = ["--paths.distill", texts, "--paths.dev", tmp_path / "dev.spacy", "--distillation.max_steps", "1"]
    spacy_cli("init", "distill-config", tmp_path / "teacher", tmp_path / "student.cfg")
    command = ["distill"] if command == "distill" else ["debug", "distillation"]
    output = ["--output", tmp_path / "out"] if command == ["distill"] else []
    said = " ".join(spacy_cli(*command, tmp_path / "teacher", tmp_path / "student.cfg", *output, *paths).split())
    assert "has entities, so ner has no score" in said
