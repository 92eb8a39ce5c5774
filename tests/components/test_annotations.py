"""Hard labels and gold: what a person has said of a Doc outranks what a machine wrote about it."""

from pathlib import Path
from typing import Any

import pytest
import spacy
from hypothesis import given, settings
from hypothesis import strategies as st
from spacy.language import Language
from spacy.tokens import Doc, DocBin, Span
from spacy.training import Example

from helpers.tiny_teacher import LANGUAGE, NAMES, PLACES, TEXTS, VERBS, annotate_gold, make_teacher
from spacy_tinydistill import distill
from spacy_tinydistill.components.annotations import (
    Annotations,
    decide,
    harden,
    leave_to_gold,
    read_annotated,
    speaks_of,
)
from spacy_tinydistill.student.config import student_config

WORDS = ["Ann", "sings", "in", "Rome"]


@pytest.fixture(scope="module")
def nlp() -> Language:
    nlp = spacy.blank(LANGUAGE)
    for name in ("tagger", "morphologizer", "trainable_lemmatizer", "senter", "parser", "ner"):
        nlp.add_pipe(name)
    for name in ("textcat", "textcat_multilabel"):
        pipe: Any = nlp.add_pipe(name)
        for label in ("GLAD", "SAD"):
            pipe.add_label(label)
    nlp.add_pipe("spancat")
    return nlp


def left_of(nlp: Language, name: str, machine: Doc, gold: Doc) -> Doc | None:
    """What of a machine's annotations is left for a pipe to learn."""
    (arrays,) = Annotations().record(None, [machine])
    example = Example(Doc(nlp.vocab, words=[token.text for token in machine]), gold)
    left = leave_to_gold(arrays, example, nlp.get_pipe(name))
    return read_annotated(left, nlp.get_pipe(name)) if left else None


@st.composite
def entities(draw: st.DrawFn, length: int) -> list[str]:
    """A label for each token as `Doc` takes it: an entity's, "O" or, missing, ""."""
    labels: list[str] = []
    for _ in range(length):
        following = [f"I-{labels[-1][2:]}"] if labels and labels[-1] not in ("", "O") else []
        labels.append(draw(st.sampled_from(["", "O", "B-A", "B-B", *following])))
    return labels


@given(data=st.data(), length=st.integers(1, 8))
@settings(max_examples=150, deadline=None)
def test_entities_of_which_gold_says_nothing_stay(nlp, data, length):
    words = [f"w{i}" for i in range(length)]
    said, known = data.draw(entities(length)), data.draw(entities(length))
    machine, gold = (Doc(nlp.vocab, words=words, ents=labels) for labels in (said, known))
    left = left_of(nlp, "ner", machine, gold)
    touched = [ent for ent in machine.ents if any(gold[i].ent_iob for i in range(ent.start, ent.end))]
    expected = {(ent.start, ent.end, ent.label_) for ent in machine.ents if ent not in touched}
    assert {(ent.start, ent.end, ent.label_) for ent in left.ents} == expected if left else not expected
    for i in range(length):
        iob = left[i].ent_iob if left else 0
        if gold[i].ent_iob or any(ent.start <= i < ent.end for ent in touched):
            assert iob == 0, "gold's, or of an entity that gold has a part of"
        elif any(machine[j].ent_iob for j in range(length)):
            assert iob == machine[i].ent_iob
        else:
            assert iob == 2, "a machine that found nothing says that there is nothing"


@pytest.mark.parametrize(
    ("name", "attributes"),
    [("tagger", ["tags"]), ("morphologizer", ["pos", "morphs"]), ("trainable_lemmatizer", ["lemmas"])],
)
def test_tokens_of_which_gold_says_nothing_stay(nlp, name, attributes):
    values = {"tags": "XYZW", "pos": ["NOUN", "VERB", "ADP", "PROPN"], "morphs": ["A=1"] * 4, "lemmas": "abcd"}
    machine = Doc(nlp.vocab, words=WORDS, **{key: list(values[key]) for key in attributes})
    gold = Doc(nlp.vocab, words=WORDS, **{attributes[0]: ["", values[attributes[0]][0], "", ""]})
    left = left_of(nlp, name, machine, gold)
    read = {
        "tags": lambda token: token.tag_,
        "pos": lambda token: token.pos_,
        "morphs": lambda token: str(token.morph),
        "lemmas": lambda token: token.lemma_,
    }
    for key in attributes:
        expected = list(values[key])
        expected[1] = ""
        assert [read[key](token) for token in left] == expected
    # Where a person has seen to all tokens, there is nothing left to say.
    whole = Doc(nlp.vocab, words=WORDS, **{attributes[0]: [values[attributes[0]][0]] * 4})
    assert left_of(nlp, name, machine, whole) is None
    assert left_of(nlp, name, machine, Doc(nlp.vocab, words=WORDS)) is not None


def test_trees_and_sentences_are_left_whole(nlp):
    machine = Doc(nlp.vocab, words=WORDS, heads=[1, 1, 1, 2], deps=["s", "ROOT", "p", "o"])
    part = Doc(nlp.vocab, words=WORDS, heads=[1, 1, 2, 3], deps=["s", "", "", ""])
    nothing = Doc(nlp.vocab, words=WORDS)
    for name in ("parser", "senter"):
        assert left_of(nlp, name, machine, machine.copy()) is None
        assert [token.dep_ for token in left_of(nlp, name, machine, nothing)] == ["s", "ROOT", "p", "o"]
    assert left_of(nlp, "parser", machine, part) is None


def test_categories_and_spans_of_which_gold_says_nothing_stay(nlp):
    machine, gold, nothing = (Doc(nlp.vocab, words=WORDS) for _ in range(3))
    machine.cats = {"GLAD": 0.9, "SAD": 0.2}
    gold.cats = {"SAD": 1.0}
    machine.spans["sc"] = [Span(machine, 0, 1, label="X")]
    gold.spans["sc"] = []
    nothing.cats = {"OTHER": 1.0}
    nothing.spans["other"] = []
    assert left_of(nlp, "textcat_multilabel", machine, gold).cats == {"GLAD": 1.0}
    assert left_of(nlp, "textcat_multilabel", machine, nothing).cats == {"GLAD": 1.0, "SAD": 0.0}
    # One of these excludes the others.
    assert left_of(nlp, "textcat", machine, gold) is None
    assert left_of(nlp, "textcat", machine, nothing).cats == {"GLAD": 1.0, "SAD": 0.0}
    # That a person has looked and found none is an annotation, too.
    assert left_of(nlp, "spancat", machine, gold) is None
    assert len(left_of(nlp, "spancat", machine, nothing).spans["sc"]) == 1


def test_a_pipe_of_ones_own_learns_both(nlp):
    class Own:
        vocab = nlp.vocab

    machine = Doc(nlp.vocab, words=WORDS, tags=["X"] * 4)
    (arrays,) = Annotations().record(None, [machine])
    assert speaks_of(machine, Own())
    assert leave_to_gold(arrays, Example(machine, machine.copy()), Own()) is arrays


def test_no_category_is_not_the_first_one():
    assert harden({"A": 0.0, "B": 0.0}, exclusive=True) == {"A": 0.0, "B": 0.0}
    assert harden({"A": 0.1, "B": 0.3}, exclusive=True) == {"A": 0.0, "B": 1.0}


def test_categories_of_another_component_are_not_a_classifiers(nlp):
    machine = Doc(nlp.vocab, words=WORDS)
    machine.cats = {"OTHER": 1.0, "GLAD": 0.2, "SAD": 0.7}
    (arrays,) = Annotations().record(None, [machine])
    assert read_annotated(arrays, nlp.get_pipe("textcat")).cats == {"GLAD": 0.0, "SAD": 1.0}


def test_what_a_pipeline_decides(nlp):
    """Of one whose categories exclude each other the best, of others those above the threshold."""
    first = spacy.blank(LANGUAGE)
    several: Any = first.add_pipe("textcat_multilabel", config={"threshold": 0.3})
    several.add_label("LOUD")
    one: Any = first.add_pipe("textcat")
    for label in ("GLAD", "SAD"):
        one.add_label(label)
    assert decide(first, {"LOUD": 0.4, "GLAD": 0.3, "SAD": 0.2, "RULE": 0.6}) == {
        "LOUD": 1.0, "GLAD": 1.0, "SAD": 0.0, "RULE": 1.0,
    }  # fmt: skip
    # A component behind may have replaced all categories.
    assert decide(first, {"RULE": 0.1}) == {"RULE": 0.0}
    assert decide(first, {}) == {}


# In a run


@Language.component("sad_and_somewhere")
def sad_and_somewhere(doc: Doc) -> Doc:
    """A machine that is wrong about half of it: all texts are sad, and all names are of places."""
    doc.ents = [Span(doc, i, i + 1, label="PLACE") for i in (0, 3)]
    doc.cats = {"GLAD": 0.0, "SAD": 1.0}
    return doc


@pytest.fixture(scope="module")
def machine() -> Language:
    nlp = spacy.blank(LANGUAGE)
    nlp.add_pipe("sad_and_somewhere")
    return nlp


@pytest.fixture
def learn(machine: Language, tmp_path: Path) -> Any:
    """Let a student learn from the machine, from gold, and from both at once."""

    def run(corrected: list[Doc], texts: list[str] | None = None, **overrides: Any) -> Language:
        DocBin(docs=corrected).to_disk(tmp_path / "gold.spacy")
        config = student_config(make_teacher("ner", "textcat", updates=0), size="nano")
        return distill(
            machine,
            texts,
            output=tmp_path / "student",
            config=config,
            overrides={
                "paths.gold": str(tmp_path / "gold.spacy"),
                "paths.dev": str(tmp_path / "gold.spacy"),
                "distillation.student_to_teacher": dict.fromkeys(["ner", "textcat"], "sad_and_somewhere"),
                "distillation.max_steps": 25,
                "distillation.batcher.size": 100,
                "distillation.optimizer.learn_rate.initial_rate": 0.02,
                "distillation.optimizer.learn_rate.warmup_steps": 5,
                "training.eval_frequency": 100,
                **overrides,
            },
        )

    return run


def correct(text: str, *, ents: bool = True, cats: bool = True) -> Doc:
    doc = annotate_gold(spacy.blank(LANGUAGE), text).reference
    if not ents:
        doc.set_ents([], default="missing")
    if not cats:
        doc.cats = {}
    return doc


@pytest.mark.slow
@pytest.mark.parametrize("texts", [None, TEXTS])
def test_corrections_outrank_the_machine(learn, texts):
    """Also where those that were corrected are among the other texts."""
    student = learn([correct(text) for text in TEXTS], texts)
    for text in TEXTS:
        doc = student(text)
        name, verb, _, place = text.split()
        assert [(ent.text, ent.label_) for ent in doc.ents] == [(name, NAMES[name]), (place, PLACES[place])]
        assert max(doc.cats, key=lambda label: doc.cats[label]) == VERBS[verb]


@pytest.mark.slow
def test_where_nobody_corrects_the_machine_is_believed(learn):
    """Entities were corrected and categories were not; in between are texts of which only the names are known."""
    docs = [correct(text, cats=False) for text in TEXTS]
    for doc in docs[::2]:
        doc.set_ents([doc.ents[0]], missing=[doc[3:4]], outside=[doc[1:3]])
    student = learn(docs)
    for text in TEXTS:
        doc = student(text)
        assert [ent.label_ for ent in doc.ents] == ["PERSON", "PLACE"]
        # Gold without categories does not mean that no category is true.
        assert doc.cats["SAD"] > 0.8


@pytest.mark.slow
def test_gold_that_does_not_count_outranks_nobody(learn):
    student = learn([correct(text) for text in TEXTS], **{"distillation.gold_weight": 0.0})
    assert all(ent.label_ == "PLACE" for text in TEXTS for ent in student(text).ents)
    assert all(student(text).cats["SAD"] > 0.8 for text in TEXTS)
