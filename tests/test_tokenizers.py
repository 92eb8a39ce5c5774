"""Tokenizers have state, and some write more than tokens: nothing of either gets lost on the way to a student."""

import re
from pathlib import Path
from typing import Any

import pytest
import spacy
import srsly
from spacy.language import Language
from spacy.tokens import Doc
from spacy.training import Example
from spacy.util import registry

from helpers.tiny_teacher import LANGUAGE, MODELS
from spacy_tinydistill import distill, record_targets
from spacy_tinydistill.corpus import make_examples
from spacy_tinydistill.errors import DistillationError
from spacy_tinydistill.pipes.profile import profile_teacher
from spacy_tinydistill.targets.records import Record, Role
from spacy_tinydistill.targets.store import Store

QUIET = {"@loggers": "spacy.ConsoleLogger.v3", "progress_bar": None, "console_output": False}
NAMES = ["Ann", "Bob", "Rome"]
TEXTS = [f"{name} sings. no-one in {place} sings" for name in NAMES for place in NAMES for _ in range(4)]


class DictionaryTokenizer:
    """Splits at spaces, and in front of words of its dictionary, which is given by `initialize` or read from disk."""

    def __init__(self, vocab):
        self.vocab = vocab
        self.words: list[str] = []

    def initialize(self, get_examples, *, nlp, words=()):
        self.words = list(words)

    def __call__(self, text):
        pattern = "|".join(["\\S+", *map(re.escape, self.words)][::-1])
        words, spaces = [], []
        for match in re.finditer(pattern, text):
            words.append(match.group())
            spaces.append(text[match.end() : match.end() + 1] == " ")
        return Doc(self.vocab, words=words, spaces=spaces)

    def to_disk(self, path, *, exclude=()):
        srsly.write_json(path, self.words)

    def from_disk(self, path, *, exclude=()):
        self.words = srsly.read_json(path)
        return self


class TaggingTokenizer(DictionaryTokenizer):
    """Also writes a tag, a sentence start and user data."""

    def __call__(self, text):
        doc = super().__call__(text)
        for token in doc:
            token.tag_ = "NAME" if token.text in self.words else "WORD"
            token.is_sent_start = token.i == 0 or doc[token.i - 1].text.endswith(".")
        doc.user_data["length"] = len(text)
        return doc


class Whitespace:
    """As in spaCy's documentation: without a way to disk."""

    def __init__(self, vocab):
        self.vocab = vocab

    def __call__(self, text):
        return Doc(self.vocab, words=text.split(" "))


@registry.tokenizers("a_test.DictionaryTokenizer.v1")
def make_dictionary_tokenizer():
    return lambda nlp: DictionaryTokenizer(nlp.vocab)


@registry.tokenizers("a_test.TaggingTokenizer.v1")
def make_tagging_tokenizer():
    return lambda nlp: TaggingTokenizer(nlp.vocab)


def make_teacher(tokenizer: str) -> Language:
    """A pipeline whose tokenizer was given words, with a ruler that reads tags and an ner that learned of names."""
    nlp = spacy.blank(LANGUAGE, config={"nlp": {"tokenizer": {"@tokenizers": tokenizer}}})
    nlp.add_pipe("tagger", config={"model": MODELS["tagger"]})
    words = ["Ann", "Bob", "Rome", "no"]
    nlp.config["initialize"]["tokenizer"] = {"words": words}
    nlp.tokenizer.words = words
    docs = [nlp.make_doc(text) for text in TEXTS]
    examples = [Example.from_dict(doc, {"tags": [token.text.title() for token in doc]}) for doc in docs]
    nlp.initialize(lambda: examples)
    nlp.config["initialize"]["tokenizer"] = {}
    return nlp


def describe(doc: Doc) -> tuple[Any, ...]:
    tokens = [(token.text, token.whitespace_, token.is_sent_start, token.tag_) for token in doc]
    return tokens, dict(doc.user_data)


@pytest.mark.parametrize("tokenizer", ["a_test.DictionaryTokenizer.v1", "a_test.TaggingTokenizer.v1"])
@pytest.mark.parametrize("is_loaded", [True, False], ids=["from disk", "in memory"])
def test_a_student_holds_what_its_teachers_tokenizer_holds(tokenizer, is_loaded, tmp_path):
    teacher = make_teacher(tokenizer)
    teacher.to_disk(tmp_path / "teacher")
    overrides = {"distillation.max_steps": 1, "training.eval_frequency": 1, "training.logger": QUIET}
    handed = str(tmp_path / "teacher") if is_loaded else teacher
    distill(handed, TEXTS, output=tmp_path / "out", overrides=overrides)
    student = spacy.load(tmp_path / "out" / "model-best")
    for text in [*TEXTS, "Bobno Rome", ""]:
        assert describe(student.make_doc(text)) == describe(teacher.make_doc(text))


def test_what_a_tokenizer_writes_is_there_when_the_teacher_is_asked(tmp_path):
    """A ruler that reads the tokenizer's tags; of what it is asked about, each name is an entity."""
    teacher = make_teacher("a_test.TaggingTokenizer.v1")
    teacher.remove_pipe("tagger")
    teacher.add_pipe("entity_ruler").add_patterns(
        [{"label": "NAME", "pattern": [{"TAG": "NAME", "TEXT": {"REGEX": "^[A-Z]"}}]}]
    )
    teacher.add_pipe("ner", config={"model": MODELS["ner"]}).add_label("NAME")
    teacher.initialize(lambda: [Example.from_dict(teacher.make_doc(text), {}) for text in TEXTS])
    record_targets(teacher, TEXTS, store=tmp_path / "store")
    for item in Store(tmp_path / "store").read(Role.HELD_OUT):
        expected = teacher(item.text)
        assert {ent.text for ent in expected.ents} <= {*NAMES}
        assert [(ent.text, ent.label_) for ent in item.make_annotated_doc(teacher.vocab).ents] == [
            (ent.text, ent.label_) for ent in expected.ents
        ]
        assert describe(item.make_doc(teacher.vocab)) == describe(teacher.make_doc(item.text))


def test_a_long_text_is_cut_with_what_its_tokenizer_wrote():
    nlp = make_teacher("a_test.TaggingTokenizer.v1")
    whole = nlp.make_doc(" ".join(TEXTS))
    pieces = [example.predicted for example in make_examples(nlp, whole.text, max_length=7)]
    assert [token.tag_ for piece in pieces for token in piece] == [token.tag_ for token in whole]
    assert len(pieces) > 3


def test_a_record_of_an_ordinary_tokenizer_holds_tokens_alone():
    nlp = spacy.blank("en")
    assert Record.from_doc(nlp.make_doc("We don't. Ann's")).preset is None


def test_what_a_tokenizer_wrote_is_of_the_record_s_words():
    nlp = make_teacher("a_test.TaggingTokenizer.v1")
    item = Record.from_doc(nlp.make_doc("Ann sings"))
    item.words = ["Bob", "sings"]
    with pytest.raises(DistillationError) as caught:
        item.make_doc(nlp.vocab)
    assert caught.value.code == "TD628"


def break_by_class(nlp: Language) -> None:
    nlp.tokenizer = Whitespace(nlp.vocab)


def break_by_place(nlp: Language) -> None:
    """Its class is written in a way that is not registered."""
    nlp.tokenizer = DictionaryTokenizer(nlp.vocab)


def break_by_function(nlp: Language) -> None:
    nlp.tokenizer.token_match = lambda text: text.startswith("ID-")


@pytest.mark.parametrize("broken", [break_by_class, break_by_place, break_by_function])
def test_a_tokenizer_that_cannot_be_made_again(broken, tmp_path: Path):
    nlp = spacy.blank("en")
    nlp.add_pipe("tagger", config={"model": MODELS["tagger"]}).add_label("A")
    nlp.initialize()
    broken(nlp)
    with pytest.raises(DistillationError, match=r"\[nlp\.tokenizer\]") as caught:
        profile_teacher(nlp)
    assert caught.value.code == "TD242"
    with pytest.raises(DistillationError) as caught:
        distill(nlp, TEXTS, output=tmp_path / "out")
    assert caught.value.code == "TD242"
