"""A student's pipes are designed from what the teacher's pipes are, whoever made them and by whichever factory."""

from typing import Any

import numpy
import pytest
import spacy
from spacy.language import Language
from spacy.pipeline import (
    DependencyParser,
    EntityRecognizer,
    SpanCategorizer,
    SpanFinder,
    Tagger,
    TextCategorizer,
)
from spacy.tokens import Doc, Span
from spacy.training import Example
from spacy.util import registry
from thinc.api import Model

from helpers.one_pipe import FINDER, PARSER, SINGLELABEL, SPANCAT, WORDS, annotate, start, teach
from helpers.tiny_teacher import LANGUAGE, MODELS
from spacy_tinydistill.components import registry as rules
from spacy_tinydistill.components.base import Mirror, Size, TeachingRule, teaching_rules
from spacy_tinydistill.components.registry import choose_rule, find_rule
from spacy_tinydistill.components.token_labels import TokenLabels
from spacy_tinydistill.errors import DistillationError
from spacy_tinydistill.student.config import student_config


def mirror(teacher: Language) -> tuple[Any, TeachingRule]:
    """The student's pipe, initialized, and the rule by which it is taught; it has learned a little."""
    student, plan = start(teacher)
    (rule,) = (rule for _, rule in plan.values())
    pipe, original = student.get_pipe("taught"), teacher.get_pipe("taught")
    read = [next(iter(teacher.pipe([Doc(teacher.vocab, words=WORDS)])))]
    lesson = rule.start(pipe, "taught", rule.describe(original))
    docs = [Doc(student.vocab, words=WORDS)]
    student.get_pipe("tok2vec").update([Example(doc, doc) for doc in docs])
    assert lesson.update(docs, rule.record(original, read), dropout=0.0) > 0
    return pipe, rule


# Classes, factories and architectures of a user's own


class ClinicalRecognizer(EntityRecognizer):
    """Made from spaCy's, and nothing else."""


class LoudRecognizer(EntityRecognizer):
    """Writes something else than its model says."""

    def set_annotations(self, docs: Any, batch_states: Any) -> None:
        super().set_annotations(docs, batch_states)
        for doc in docs:
            doc.set_ents([Span(doc, 0, 1, "LOUD")])


@Language.factory("mirrors_clinical", assigns=["doc.ents"], default_config={"net": MODELS["ner"], "beam_width": "wide"})
def make_clinical(nlp: Language, name: str, net: Model, beam_width: str) -> EntityRecognizer:
    return EntityRecognizer(nlp.vocab, net, name)


@Language.factory("mirrors_subclass", assigns=["doc.ents"], default_config={"model": MODELS["ner"]})
def make_subclass(nlp: Language, name: str, model: Model) -> EntityRecognizer:
    return ClinicalRecognizer(nlp.vocab, model, name)


@Language.factory("mirrors_loud", assigns=["doc.ents"], default_config={"model": MODELS["ner"]})
def make_loud(nlp: Language, name: str, model: Model) -> EntityRecognizer:
    return LoudRecognizer(nlp.vocab, model, name)


def suggest_first(docs: Any, *, ops: Any = None) -> Any:
    return registry.misc.get("spacy.ngram_suggester.v1")([1])(docs, ops=ops)


@registry.misc("mirrors.suggester.v1")
def make_suggester() -> Any:
    return suggest_first


def make_spancat(nlp: Language, name: str, model: Model, suggester: Any) -> SpanCategorizer:
    return SpanCategorizer(nlp.vocab, model, suggester, name, spans_key="found", threshold=0.25)


@Language.factory("mirrors_bigrams", assigns=["doc.spans"], default_config={"model": SPANCAT})
def make_bigrams(nlp: Language, name: str, model: Model) -> SpanCategorizer:
    return make_spancat(nlp, name, model, registry.misc.get("spacy.ngram_suggester.v1")([1, 2]))


@Language.factory("mirrors_hidden_suggester", assigns=["doc.spans"], default_config={"model": SPANCAT})
def make_hidden(nlp: Language, name: str, model: Model) -> SpanCategorizer:
    return make_spancat(nlp, name, model, suggest_first)


OWN = {
    "Tagger": MODELS["tagger"],
    "Ner": MODELS["ner"],
    "Parser": PARSER,
    "Textcat": MODELS["textcat"],
    "Spancat": SPANCAT,
    "Singlelabel": SINGLELABEL,
    "Finder": FINDER,
}
for NAME, BLOCK in OWN.items():
    # An architecture that takes nothing, so that a block of it has no key but its name.
    registry.architectures(f"mirrors.{NAME}.v1")(lambda block=None, made=BLOCK: registry.resolve({"m": made})["m"])


@pytest.mark.parametrize("factory", ["mirrors_clinical", "mirrors_subclass"])
def test_a_factory_of_ones_own_that_makes_spacys_pipe(factory: str) -> None:
    pipe, rule = mirror(teach(factory))
    assert type(pipe) is EntityRecognizer
    assert type(rule).__name__ == "Transitions"
    assert pipe.labels == ("WHERE", "WHO")
    assert pipe.cfg["beam_width"] == 1


def test_a_class_that_writes_something_else_is_learned_from_what_it_writes() -> None:
    pipe, rule = mirror(teach("mirrors_loud"))
    assert type(pipe) is EntityRecognizer
    assert type(rule).__name__ == "Annotations"


@pytest.mark.parametrize(
    ("factory", "model", "kind"),
    [("beam_ner", MODELS["ner"], EntityRecognizer), ("beam_parser", PARSER, DependencyParser)],
)
def test_a_beam(factory: str, model: dict, kind: type) -> None:
    config = {"min_action_freq": 1} if kind is DependencyParser else {}
    teacher = teach(factory, model=model, beam_width=3, beam_density=0.02, **config)
    pipe, rule = mirror(teacher)
    assert type(pipe) is kind
    assert type(rule).__name__ == "Transitions"
    assert (pipe.cfg["beam_width"], pipe.cfg["beam_density"]) == (3, 0.02)
    # It is the pipe's own width that counts, not the factory's name.
    original: Any = teacher.get_pipe("taught")
    original.cfg["beam_width"] = 1
    assert student_config(teacher)["components"]["taught"]["factory"] == factory.removeprefix("beam_")


@pytest.mark.parametrize(
    ("factory", "name", "rule", "config"),
    [
        ("tagger", "Tagger", "TokenLabels", {}),
        ("trainable_lemmatizer", "Tagger", "TokenLabels", {"min_tree_freq": 1}),
        ("senter", "Tagger", "TokenLabels", {}),
        ("morphologizer", "Tagger", "TokenLabels", {}),
        ("ner", "Ner", "Transitions", {}),
        ("parser", "Parser", "Transitions", {"min_action_freq": 1}),
        ("textcat", "Textcat", "TextLabels", {}),
        ("spancat", "Spancat", "SpanLabels", {"spans_key": "found"}),
        ("spancat_singlelabel", "Singlelabel", "SpanLabels", {"spans_key": "found"}),
        ("span_finder", "Finder", "SpanBounds", {"spans_key": "found"}),
    ],
)
def test_an_architecture_of_ones_own(factory: str, name: str, rule: str, config: dict) -> None:
    teacher = teach(factory, model={"@architectures": f"mirrors.{name}.v1"}, **config)
    pipe, found = mirror(teacher)
    assert type(pipe) is type(teacher.get_pipe("taught"))
    assert type(found).__name__ == rule
    assert getattr(pipe, "labels", ()) == getattr(teacher.get_pipe("taught"), "labels", ())


def test_a_lemmatizers_settings_are_attributes() -> None:
    teacher = teach("trainable_lemmatizer", model=MODELS["tagger"], min_tree_freq=1)
    original: Any = teacher.get_pipe("taught")
    original.backoff, original.top_k = None, 5
    pipe, _ = mirror(teacher)
    assert (pipe.backoff, pipe.top_k) == (None, 5)


# Suggesters


def test_a_suggester_of_spacys_is_read_off_the_pipe() -> None:
    pipe, _ = mirror(teach("mirrors_bigrams"))
    assert pipe.suggester.keywords == {"sizes": [1, 2]}
    assert (pipe.key, pipe.cfg["threshold"]) == ("found", 0.25)


def test_a_suggester_of_ones_own_is_read_off_the_config() -> None:
    suggester = {"@misc": "mirrors.suggester.v1"}
    pipe, _ = mirror(teach("spancat", model=SPANCAT, suggester=suggester, spans_key="found"))
    assert pipe.suggester is suggest_first


def test_a_suggester_that_nobody_names() -> None:
    with pytest.raises(DistillationError, match=r"TD510.*mirrors_hidden_suggester.*suggester"):
        student_config(teach("mirrors_hidden_suggester"))


# Span_finder


def test_a_student_learns_to_find_its_teachers_spans() -> None:
    teacher = teach("span_finder", model=FINDER, spans_key="found")
    optimizer = teacher.create_optimizer()
    for _ in range(40):
        teacher.update([annotate(teacher)], sgd=optimizer)
    pipe, original = (
        spacy.blank(LANGUAGE).create_pipe("span_finder", config={"model": FINDER}),
        teacher.get_pipe("taught"),
    )
    rule = find_rule("SpanBounds")
    assert rule.accepts(pipe, original)
    docs = [Doc(teacher.vocab, words=WORDS), Doc(teacher.vocab, words=WORDS[:3])]
    pipe.initialize(lambda: [Example(doc, doc) for doc in docs])
    lesson = rule.start(pipe, "found", rule.describe(original))
    targets = rule.record(original, docs)
    assert [arrays["probabilities"].shape for arrays in targets] == [(4, 2), (3, 2)]
    assert targets[0]["probabilities"].dtype == numpy.float16
    losses = []
    for _ in range(60):
        losses.append(lesson.update(docs, targets, dropout=0.0))
        pipe.finish_update(optimizer)
    assert losses[-1] < losses[0]
    numpy.testing.assert_allclose(pipe.predict(docs), original.predict(docs), atol=0.1)
    assert sorted(original.predict(docs)[:4, 0] > 0.5) == [False, False, True, True]


# Which rule is taken


class Greedy(TeachingRule):
    """Accepts everything, and would design everything."""

    def accepts(self, student: Any, teacher: Any) -> bool:
        return True

    def record(self, teacher: Any, docs: Any) -> list:
        raise NotImplementedError

    def describe(self, teacher: Any) -> dict:
        raise NotImplementedError

    def start(self, student: Any, name: str, teacher: dict) -> Any:
        raise NotImplementedError

    def mirror(self, teacher: Any, size: Size) -> Mirror | None:
        return Mirror("sentencizer", {})


@pytest.fixture
def greedy(monkeypatch: pytest.MonkeyPatch) -> None:
    """A rule of somebody else's, first in the alphabet, whose class has the name of one of this library's."""
    found = {**teaching_rules.get_all(), "a.Greedy.v1": Greedy, "a.TokenLabels.v1": type("TokenLabels", (Greedy,), {})}
    monkeypatch.setattr(rules, "teaching_rules", type("Rules", (), {"get_all": staticmethod(lambda: found)}))


@pytest.mark.usefixtures("greedy")
def test_a_rule_of_ones_own_does_not_take_over_spacys_pipes() -> None:
    teacher = teach("tagger", model=MODELS["tagger"])
    pipe = teacher.get_pipe("taught")
    assert type(choose_rule(pipe, pipe)) is TokenLabels
    assert type(find_rule("TokenLabels")) is TokenLabels
    assert student_config(teacher)["components"]["taught"]["factory"] == "tagger"
    # It outranks hard labels, which accept everything.
    assert type(choose_rule(pipe, object())) is Greedy
    assert isinstance(pipe, Tagger)
    assert not isinstance(pipe, SpanFinder | TextCategorizer)
