"""Two pipelines seen from outside: whatever stands on the Docs is compared."""

import json
from typing import Any

import pytest
import spacy
from spacy.language import Language
from spacy.tokens import Doc, Span, Token

from spacy_tinydistill.judge import EXAMPLES, Judgement, annotate, judge, name_kind, read_doc, writers

TEXTS = ["Ann sings in Rome.", "Bob weeps.", "", "Zoé runs in Oslo today."]
PATTERNS = [
    {"label": "CITY", "pattern": "Rome", "id": "Q220"},
    {"label": "CITY", "pattern": "Oslo"},
    {"label": "PERSON", "pattern": [{"LOWER": "ann"}, {"LOWER": "sings"}]},
]


def pipeline(*names: str, **config: dict[str, Any]) -> Language:
    nlp = spacy.blank("en")
    for name in names:
        pipe = nlp.add_pipe(name, config=config.get(name, {}))
        if name == "entity_ruler":
            pipe.add_patterns(PATTERNS)
    return nlp


def judged(teacher: Language, student: Language, texts: list[str] = TEXTS) -> Judgement:
    # By way of JSON, as a recording has it.
    said = json.loads(json.dumps(list(annotate(teacher, texts))))
    return judge(texts, said, annotate(student, texts))


def test_the_same_pipeline_says_the_same() -> None:
    nlp = pipeline("sentencizer", "entity_ruler", "merge_entities")
    found = judged(nlp, nlp)
    assert found.differing_texts == 0
    assert [*found.kinds] == ["tokens", "sents", "ents", "ent_id"]
    assert all(agreement.share == 1.0 for agreement in found.kinds.values())
    assert found.same_tokens
    assert not found.missing


def test_a_pipe_that_merges_tokens_is_missed() -> None:
    found = judged(pipeline("entity_ruler", "merge_entities"), pipeline("entity_ruler"))
    assert not found.same_tokens
    # "Ann sings" is one token of the teacher and two of the student; entities are at the same places.
    assert found.kinds["tokens"].places - found.kinds["tokens"].agreed == 3
    assert found.kinds["ents"].share == 1.0
    assert found.differing_texts == 1


def test_what_the_student_never_writes_is_missing() -> None:
    found = judged(pipeline("sentencizer", "entity_ruler"), pipeline("sentencizer"))
    assert found.missing == ["ents", "ent_id"]
    assert found.kinds["ents"].share == 0.0
    first = found.kinds["ents"].examples[0]
    assert (first.text, first.teacher, first.student) == ("Ann sings", "PERSON", None)


def test_what_only_the_student_writes_is_a_difference() -> None:
    found = judged(pipeline("sentencizer"), pipeline("sentencizer", "entity_ruler"))
    assert found.missing == []
    assert found.kinds["ents"].share == 0.0


def test_no_more_examples_than_are_shown_and_one_of_a_text() -> None:
    texts = ["Rome and Rome and Rome"] * 10
    examples = judged(pipeline("entity_ruler"), pipeline(), texts).kinds["ents"].examples
    assert [example.text for example in examples] == ["Rome"] * EXAMPLES


@pytest.mark.parametrize("threshold", [0.2, 0.8])
def test_categories_are_decided_by_each_pipelines_own_threshold(threshold: float) -> None:
    teacher, student = pipeline("textcat_multilabel"), pipeline("textcat_multilabel")
    for nlp in (teacher, student):
        nlp.get_pipe("textcat_multilabel").add_label("GLAD")
    student.get_pipe("textcat_multilabel").cfg["threshold"] = threshold
    docs = [Doc(nlp.vocab, words=["Ann"]) for nlp in (teacher, student)]
    for doc in docs:
        doc.cats = {"GLAD": 0.6}
    said = [[read_doc(doc, nlp)] for nlp, doc in zip((teacher, student), docs, strict=True)]
    assert judge(["Ann"], *said).kinds["cats"].share == float(threshold == 0.2)


def test_of_exclusive_categories_the_best_is_decided() -> None:
    nlp = pipeline("textcat")
    for label in ("GLAD", "SAD"):
        nlp.get_pipe("textcat").add_label(label)
    docs = [Doc(nlp.vocab, words=["Ann"]) for _ in range(2)]
    docs[0].cats, docs[1].cats = {"GLAD": 0.3, "SAD": 0.2}, {"GLAD": 0.9, "SAD": 0.1}
    theirs, ours = ([read_doc(doc, nlp)] for doc in docs)
    assert judge(["Ann"], theirs, ours).kinds["cats"].share == 1.0


def test_every_kind_of_annotation_is_compared() -> None:
    if not Doc.has_extension("judged"):
        Doc.set_extension("judged", default=None)
        Token.set_extension("judged", default=None)
        Span.set_extension("judged", default=None)
        # spacy-transformers has its own, where it is loaded.
        Doc.set_extension("trf_data", default=None, force=True)

    def say(doc: Doc) -> Doc:
        doc[2].is_sent_start = True
        doc[0].tag_, doc[0].pos_, doc[0].lemma_, doc[0].dep_ = "NNP", "PROPN", "ann", "nsubj"
        doc[0].set_morph("Number=Sing")
        doc[0].head = doc[1]
        doc.set_ents([Span(doc, 0, 1, label="PERSON", kb_id="Q1", span_id="p1")])
        doc.spans["sc"] = [Span(doc, 0, 2, label="A"), Span(doc, 0, 2, label="B"), Span(doc, 0, 2, label="B")]
        doc.cats = {"GLAD": 1.0}
        doc.sentiment = 0.84
        doc._.judged, doc[1]._.judged, doc[0:2]._.judged = {"a": [1]}, "token", ("span", 2)
        doc._.trf_data = "not compared"
        doc.user_data["readings"] = ["ka"]
        return doc

    nlp = spacy.blank("en")
    said = read_doc(say(nlp.make_doc("Ann sings well")), nlp)
    bare = read_doc(nlp.make_doc("Ann sings well"), nlp)
    assert {kind for kind in said if said[kind] != bare.get(kind)} == {
        *("sents", "tag", "pos", "morph", "lemma", "dep", "head", "ents", "ent_id", "kb_id", "cats"),
        "sentiment",
        *("spans['sc']", "_.judged", "user_data['readings']"),
    }
    assert said["sentiment"] == {"the text": 0.8}
    assert said["_.judged"] == {"the text": {"a": [1]}, "4:": "token", "0:9": ["span", 2]}
    assert said["spans['sc']"] == {"0:9 A": ["", "", 1], "0:9 B": ["", "", 2]}


def test_which_pipe_writes_what() -> None:
    nlp = pipeline("sentencizer", "entity_ruler", "merge_entities")
    found = writers(nlp, TEXTS)
    assert found["ents"] == ["entity_ruler"]
    assert found["tokens"] == ["merge_entities"]
    assert found["sents"][0] == "sentencizer"


def test_kinds_have_names() -> None:
    assert name_kind("kb_id") == "entity links"
    assert name_kind("spans['sc']") == "spans['sc']"
