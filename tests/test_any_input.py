"""Whatever texts, labels and pipes there are: the student learns, or a numbered error says why not."""

from pathlib import Path
from typing import Any

import numpy
import pytest
import spacy
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from spacy.language import Language
from spacy.tokens import Doc
from spacy.training import Example
from thinc.api import Model, fix_random_seed

from helpers.cnn_teacher import PIPES, SUGGESTER
from helpers.students import randomize
from helpers.tiny_teacher import LANGUAGE, MODELS
from spacy_tinydistill import distill
from spacy_tinydistill.corpus import replace_surrogates
from spacy_tinydistill.errors import DistillationError
from spacy_tinydistill.student.config import student_config
from spacy_tinydistill.targets.records import Role
from spacy_tinydistill.targets.store import Store

SETTINGS: dict[str, dict[str, Any]] = {
    "trainable_lemmatizer": {"min_tree_freq": 1},
    "spancat": {"spans_key": "sc", "suggester": SUGGESTER},
    "spancat_singlelabel": {"spans_key": "sl", "suggester": SUGGESTER},
}
# Those whose labels are names that somebody chose.
LABELLED = [name for name in PIPES if name not in ("senter", "trainable_lemmatizer")]

QUIET = {"@loggers": "spacy.ConsoleLogger.v3", "progress_bar": None, "console_output": False}

# What people and machines put into text.
ODD_TEXTS = [
    "plain words, as they should be",
    "",
    " ",
    " \t \u3000\u00a0 ",
    "\n",
    "\x00\x01\x07\x1b[31mred\x1b[0m\x7f\x85",
    "\u202eright to left\u202c and \u2066back\u2069 \u200b\u200d\ufeff",
    "a lone \ud83d surrogate \udc00",
    "日本語とРусскийとعربيとहिन्दी",
    "e" + "\u0301" * 50,
    "👩‍👩‍👧‍👦🏳️‍🌈 \U0010ffff \ufffe",
    "x",
    "<script>alert(1)</script>",
    "{0} %s ${paths.dev} \\",
    "word " * 700,
]


def make_teacher(labels: dict[str, list[str]]) -> Language:
    """A pipeline of some pipes, with labels and random weights."""
    fix_random_seed(0)
    nlp = spacy.blank(LANGUAGE)
    for name, names in labels.items():
        model = {} if name not in MODELS else {"model": MODELS[name]}
        pipe: Any = nlp.add_pipe(name, config={**SETTINGS.get(name, {}), **model})
        for label in names:
            pipe.add_label(label)
    doc = Doc(nlp.vocab, words=["Ann", "sings"], lemmas=["Ann", "sing"], sent_starts=[1, 0], tags=["A", "B"])
    nlp.initialize(lambda: [Example(nlp.make_doc("Ann sings"), doc)])
    numbers = numpy.random.default_rng(0)
    for _, pipe in nlp.pipeline:
        if isinstance(getattr(pipe, "model", None), Model):
            randomize(pipe.model, numbers)
    return nlp


def learn(teacher: Language, texts: list[str], output: Path) -> str | None:
    """Distil.

    Returns:
        The number of the error; None where a student has learned from each word of each text.
    """
    overrides = {"distillation.max_steps": 2, "training.eval_frequency": 2, "training.logger": QUIET}
    try:
        config = student_config(teacher, size="nano")
        student = distill(teacher, texts, output=output, config=config, overrides=overrides)
    except DistillationError as error:
        return error.code
    words = sum(len(teacher.tokenizer(replace_surrogates(text))) for text in texts)
    assert sum(len(item) for item in Store(output / "targets").read(*Role)) == words
    for text in texts:
        student(replace_surrogates(text)[:1000])
    return None


@pytest.fixture(scope="module")
def teacher() -> Language:
    return make_teacher(
        {"tagger": ["A", "B"], "parser": ["x", "y"], "ner": ["P"], "textcat": ["G", "B"], "spancat": ["S"]}
    )


def test_odd_texts(teacher: Language, tmp_path: Path) -> None:
    assert learn(teacher, ODD_TEXTS, tmp_path) is None


@pytest.mark.slow
def test_a_token_of_a_megabyte(teacher: Language, tmp_path: Path) -> None:
    """Longer than `nlp.max_length`; spaCy would refuse it in the middle of the run, when the student is scored."""
    # The first text is held out to score on.
    assert learn(teacher, ["x" * 1_000_001, "short", "words"], tmp_path) is None


ANY_TEXT = (
    st.text(st.characters(), max_size=60)
    | st.sampled_from(ODD_TEXTS)
    | st.text("\u202e\u200b\x00 \n\tא字é😀a", max_size=20)
)

thorough = settings(
    max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], derandomize=True
)


@pytest.mark.slow
@thorough
@given(texts=st.lists(ANY_TEXT, max_size=6))
def test_any_texts(texts: list[str], teacher: Language, tmp_path_factory: pytest.TempPathFactory) -> None:
    code = learn(teacher, texts, tmp_path_factory.mktemp("run"))
    # One to learn on and one to score on; a text may have no tokens.
    enough = sum(bool(len(teacher.tokenizer(replace_surrogates(text)))) for text in texts) > 1
    assert (code is None) == enough
    assert code in (None, "TD101", "TD109")


@pytest.mark.parametrize("texts", [[1, "two"], ["one", None], ["one", b"two"], [["one"], "two"]])
def test_texts_that_are_no_strings(texts: list[Any], teacher: Language, tmp_path: Path) -> None:
    assert learn(teacher, texts, tmp_path) == "TD114"


ODD_LABELS = [
    "",
    " ",
    "a b",
    "a/b",
    "../a",
    "a.b",
    "A-B-C",
    "B-",
    "😀",
    "a=b|c=d",
    "<b>",
    "{0}",
    "${x.y}",
    "\u202e",
    "#",
    "\x00",
]
ANY_LABEL = st.sampled_from(ODD_LABELS) | st.text(st.characters(exclude_categories=["Cs"]), max_size=8)

# That a pipe with these labels cannot be trained is spaCy's word.
REFUSED = ("TD203", "TD210")


def learn_labels(labels: dict[str, list[str]], output: Path) -> str | None:
    try:
        teacher = make_teacher(labels)
    except (ValueError, KeyError):
        return "no teacher"  # spaCy itself makes none
    return learn(teacher, ["Ann sings in Oslo", "Bob weeps", "Oslo"], output)


def test_odd_labels(tmp_path: Path) -> None:
    # A morphologizer's label has features.
    labels = {name: ["a=b|c=d", "é=\u202e"] if name == "morphologizer" else ODD_LABELS for name in LABELLED}
    assert learn_labels(labels, tmp_path) is None


@pytest.mark.slow
@thorough
@given(
    labels=st.dictionaries(
        st.sampled_from(LABELLED), st.lists(ANY_LABEL, min_size=1, max_size=3, unique=True), min_size=1, max_size=3
    )
)
def test_any_labels(labels: dict[str, list[str]], tmp_path_factory: pytest.TempPathFactory) -> None:
    assert learn_labels(labels, tmp_path_factory.mktemp("run")) in (None, "no teacher", *REFUSED)


@pytest.mark.slow
@thorough
@given(pipes=st.lists(st.sampled_from(PIPES), min_size=1, max_size=4, unique=True))
def test_any_pipes(pipes: list[str], tmp_path_factory: pytest.TempPathFactory) -> None:
    labels = {name: ["A=1", "B=2"] if name in LABELLED else [] for name in pipes}
    assert learn_labels(labels, tmp_path_factory.mktemp("run")) is None


@pytest.mark.parametrize("name", ["/tmp/a_pipe_outside", "a/b", "a\\b", "vocab", "tokenizer"])
def test_a_pipe_that_has_no_folder(name: str, tmp_path: Path) -> None:
    """spaCy would write it beside the student, or over another part of it."""
    nlp = spacy.blank(LANGUAGE)
    pipe = nlp.add_pipe("tagger", name=name, config={"model": MODELS["tagger"]})
    for label in ("A", "B"):
        pipe.add_label(label)
    nlp.initialize()
    assert learn(nlp, ["one", "two"], tmp_path / "output") == "TD225"
    assert not Path("/tmp/a_pipe_outside").exists()
