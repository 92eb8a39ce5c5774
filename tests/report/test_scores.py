"""How well two pipelines annotate, by spaCy's scorers."""

import pytest
import spacy
from spacy.language import Language
from spacy.pipeline.dep_parser import parser_score
from spacy.tokens import Doc, Span
from spacy.training import Example

from helpers.report_pipelines import SENTENCES, gold_docs, trained
from spacy_tinydistill.report.scores import Side, _said, annotate, non_empty, score_sides, share_scores


def score_pipelines(teacher, student, texts, gold=None):
    return score_sides(*(Side(nlp, annotate(nlp, texts, gold, "")) for nlp in (teacher, student)), gold)


def test_scores_are_those_of_spacy_evaluate(teacher, student):
    gold = list(gold_docs(teacher.vocab))
    scored = score_pipelines(teacher, student, [text for text, *_ in SENTENCES], gold)
    for nlp, scores in ((teacher, scored["teacher"]), (student, scored["student"])):
        expected = nlp.evaluate([Example(nlp.make_doc(doc.text), doc) for doc in non_empty(nlp, gold)])
        del expected["speed"]
        assert scores == expected
    assert scored["retention"]["tag_acc"] == scored["student"]["tag_acc"] / scored["teacher"]["tag_acc"]
    assert set(scored["pipes"]) == {"tokenizer", "tagger", "textcat"}
    assert "cats_f_per_type" in scored["teacher"]
    assert "cats_f_per_type" not in scored["retention"]


def test_agreement_is_the_part_of_equal_decisions(teacher, student):
    texts = [text for text, *_ in SENTENCES] + ["A truck", "😀 😀", " ", "Apples and cars ?"]
    pairs = [(teacher(text), student(text)) for text in texts]
    tags = [(t.tag_, s.tag_) for a, b in pairs for t, s in zip(a, b, strict=True) if not t.is_space]
    cats = [max(a.cats, key=a.cats.get) == max(b.cats, key=b.cats.get) for a, b in pairs]

    scored = score_pipelines(teacher, student, texts)

    assert scored["teacher"] == scored["student"] == scored["retention"] == {}
    assert scored["agreement"]["tag_acc"] == pytest.approx(sum(t == s for t, s in tags) / len(tags))
    assert scored["agreement"]["cats_micro_f"] == pytest.approx(sum(cats) / len(cats))


@pytest.mark.parametrize("pipe", ["textcat", "textcat_multilabel"])
def test_a_pipeline_agrees_with_itself(pipe):
    nlp = trained(["tagger", "parser", pipe], width=8)
    texts = [text for text, *_ in SENTENCES] + ["Apples  \n\n and\tcars", " ", "\n"]
    agreement = score_pipelines(nlp, nlp, texts)["agreement"]
    for name in ("token_acc", "tag_acc", "dep_uas", "dep_las", "sents_f"):
        assert agreement[name] == 1.0
    assert agreement["cats_micro_f"] == pytest.approx(1.0)
    assert agreement["cats_macro_auc"] == pytest.approx(1.0)


@Language.component("whitespace_roots")
def whitespace_roots(doc):
    """A parse with a sentence that hangs on whitespace, as parsers do produce."""
    heads, deps = [1, 1, 3, 3], ["dep", "ROOT", "dep", "ROOT"]
    return Doc(doc.vocab, [t.text for t in doc], [bool(t.whitespace_) for t in doc], heads=heads, deps=deps)


def test_sentences_that_hang_on_whitespace():
    nlp = spacy.blank("en")
    nlp.add_pipe("parser").initialize(lambda: [Example(doc, doc) for doc in gold_docs(nlp.vocab)], nlp=nlp)
    nlp.add_pipe("whitespace_roots")
    assert [len(sent) for sent in nlp("Apples \n\nCars \n").sents] == [2, 2]
    agreement = score_pipelines(nlp, nlp, ["Apples \n\nCars \n"])["agreement"]
    assert agreement["sents_f"] == agreement["dep_las"] == 1.0


def ruled(attributes: dict[str, str]) -> Language:
    nlp = spacy.blank("en")
    nlp.add_pipe("attribute_ruler").add([[{}]], attributes)
    return nlp


def test_a_teacher_that_finds_nothing():
    """Of its scores by label there are none, where the student's are a dict."""
    teacher, student = spacy.blank("en"), spacy.blank("en")
    teacher.add_pipe("entity_ruler").add_patterns([{"label": "FRUIT", "pattern": "pears"}])
    student.add_pipe("entity_ruler").add_patterns([{"label": "FRUIT", "pattern": "apples"}])
    gold = student.make_doc("I ate apples")
    gold.set_ents([], default="outside")
    scored = score_pipelines(teacher, student, ["I ate apples"], [gold])
    assert scored["teacher"]["ents_per_type"] is None
    assert scored["student"]["ents_per_type"]
    assert "ents_per_type" not in scored["retention"]


def test_two_that_find_nothing_where_gold_has_something():
    """Their agreement by label is None, and no row of the report, in which gold's is a dict."""
    nlp = spacy.blank("en")
    nlp.add_pipe("entity_ruler").add_patterns([{"label": "FRUIT", "pattern": "pears"}])
    gold = nlp.make_doc("I ate apples")
    gold.set_ents([Span(gold, 2, 3, label="FRUIT")])
    scored = score_pipelines(nlp, nlp, ["I ate apples"], [gold])
    assert scored["teacher"]["ents_per_type"]
    assert scored["agreement"]["ents_f"] is None
    assert "ents_per_type" not in scored["agreement"]


def test_strings_of_the_teacher_that_the_student_never_saw():
    scored = score_pipelines(ruled({"MORPH": "Number=Plur"}), ruled({"MORPH": "Case=Gen"}), ["apples"])
    assert scored["agreement"]["morph_acc"] == 0.0
    assert scored["agreement"]["tag_acc"] is None  # neither says anything
    with_tags = score_pipelines(ruled({"TAG": "TEACHERS"}), ruled({"TAG": "STUDENTS"}), ["apples"])
    assert with_tags["agreement"]["tag_acc"] == 0.0


def test_no_score_in_common(teacher, student):
    assert share_scores(score_pipelines(teacher, student, ["apples"]))
    assert not share_scores(score_pipelines(teacher, spacy.blank("en"), ["apples"]))


def test_whitespace_in_one_text_does_not_count_in_the_next():
    nlp = spacy.blank("en")
    parsed = {"heads": [0, 0, 0], "deps": ["ROOT", "obj", "advmod"]}
    docs = [Doc(nlp.vocab, words=words, **parsed) for words in (["Ann", "  ", "sings"], ["Bob", "sees", "Ann"])]
    examples = [Example(*pair) for pair in zip(docs, _said(Side(nlp, docs), nlp), strict=True)]
    assert parser_score(examples)["dep_uas"] == 1.0


@Language.factory("of_ones_own", default_score_weights={"mood_acc": 0.5, "place_acc": 0.5})
class OfOnesOwn:
    """A pipe that writes what no DocBin keeps: a Doc's sentiment, and an attribute of a user's own."""

    def __init__(self, nlp: Language, name: str) -> None:
        self.happy = "apples"

    def __call__(self, doc: Doc) -> Doc:
        doc.sentiment = 1.0 if self.happy in doc.text else -1.0
        doc._.place = "orchard" if self.happy in doc.text else "street"
        return doc

    def score(self, examples, **kwargs):
        pairs = [(example.predicted, example.reference) for example in examples]
        return {
            "mood_acc": sum(doc.sentiment == gold.sentiment for doc, gold in pairs) / len(pairs),
            "place_acc": sum(doc._.place == gold._.place for doc, gold in pairs) / len(pairs),
        }


def test_scores_of_what_no_docbin_keeps():
    Doc.set_extension("place", default=None, force=True)
    teacher, student = spacy.blank("en"), spacy.blank("en")
    teacher.add_pipe("of_ones_own")
    student.add_pipe("of_ones_own").happy = "cars"
    texts = ["I ate apples", "I like cars", "no fruit", "no apples"]
    gold = [teacher(text) for text in texts]
    scored = score_pipelines(teacher, student, texts, gold)
    assert scored["teacher"]["mood_acc"] == scored["teacher"]["place_acc"] == 1.0
    assert scored["student"]["mood_acc"] == scored["student"]["place_acc"] == 0.25
    assert scored["agreement"]["mood_acc"] == scored["agreement"]["place_acc"] == 0.25


def test_a_doc_comes_whole_to_another_vocabulary():
    """Everything that a scorer may read."""
    nlp, other = spacy.blank("en"), spacy.blank("en")
    words = ["Ann", " ", "weeps", "in", "Rome"]
    doc = Doc(
        nlp.vocab, words=words, tags=["T1", "", "T2", "T3", "T1"], pos=["PROPN", "", "VERB", "ADP", "PROPN"],
        morphs=["Number=Sing", "", "", "", "Case=Odd"], lemmas=[f"l-{word}" for word in words],
        heads=[2, 0, 2, 2, 3], deps=["nsubj", "", "ROOT", "prep", "pobj"], ents=["B-WHO", "O", "O", "O", "B-WHERE"],
    )  # fmt: skip
    doc.set_ents([Span(doc, 0, 1, "WHO", kb_id="Q1", span_id="ann")], missing=[doc[4:5]], default="unmodified")
    doc.spans["odd key"] = [Span(doc, 0, 3, "CLAUSE", kb_id="Q9", span_id="c1")]
    doc.cats = {"GLAD": 0.25}
    doc.sentiment = 0.5
    doc.user_data["seen"] = {1, 2}
    (copy,) = non_empty(other, [doc, nlp.make_doc("")])
    assert copy.vocab is other.vocab
    assert copy.to_json() == doc.to_json()
    assert (copy.cats, copy.sentiment, copy.user_data) == (doc.cats, doc.sentiment, doc.user_data)
    assert [(span.kb_id_, span.id_) for span in copy.spans["odd key"]] == [("Q9", "c1")]
    columns = ["ENT_IOB", "ENT_ID", "ENT_KB_ID", "SENT_START", "NORM", "LEMMA", "MORPH", "DEP", "HEAD"]
    assert (copy.to_array(columns) == doc.to_array(columns)).all()
