"""Each factory of spaCy's, each setting changed, from disk and in memory: the student says what the teacher says.

The student is made on the road of a run and is then given its teacher's weights, so that the two must agree exactly: in
everything on the Docs, in all settings, and in the scores. What a student lacks must have been said by name.
"""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import catalogue
import numpy
import pytest
import spacy
import srsly
from spacy.language import Language
from spacy.lookups import Lookups
from spacy.pipeline import TrainablePipe
from spacy.tokens import Doc, Span
from spacy.training import Example
from spacy.util import registry
from thinc.api import fix_random_seed

from helpers.account import account_for, warned_of
from helpers.one_pipe import FACTORIES, annotate, start
from helpers.tiny_teacher import ENCODER, LANGUAGE
from spacy_tinydistill.components.base import Size
from spacy_tinydistill.student import config as configs
from spacy_tinydistill.student import pipeline as students
from spacy_tinydistill.student.config import student_config
from spacy_tinydistill.student.pipeline import save_student

pytestmark = pytest.mark.slow

SIZE = Size(width=24, depth=1, pieces=2, rows={"NORM": 200, "PREFIX": 50, "SUFFIX": 100, "SHAPE": 50}, hidden_width=16)
TEXTS = ["Ann sings in Rome", "Rome sings in Ann", "in in", "Ann", "", "Bob sings in Oslo  and Ann in Rome"]

# spaCy lists it and cannot make it: its architecture is not there any more.
BROKEN_IN_SPACY = "nn_labeller"

# Registers them.
spacy.blank(LANGUAGE)


def module_of(factory: Any) -> str:
    """Find where a factory, function or class, is from; that of a function is a function of spaCy's that returns it."""
    inner = [cell.cell_contents for cell in getattr(factory, "__closure__", None) or () if callable(cell.cell_contents)]
    return (inner[0] if inner else factory).__module__


# spaCy's factories, and not those that other tests have registered in this process; those of a language are further
# makers of "lemmatizer".
ALL = sorted(
    name
    for name, factory in registry.factories.get_all().items()
    if module_of(factory).startswith("spacy.") and "." not in name and name != BROKEN_IN_SPACY
)
LANGUAGES = {"merge_noun_chunks": "en"}

# What is outside of this table is no rule: it has a model and learns.
RULES: dict[str, dict[str, Any]] = {
    "attribute_ruler": {},
    "doc_cleaner": {},
    "entity_linker": {"model": {"@architectures": "spacy.EntityLinker.v2", "tok2vec": ENCODER}},
    "entity_ruler": {},
    "future_entity_ruler": {},
    "lemmatizer": {},
    "merge_entities": {},
    "merge_noun_chunks": {},
    "merge_subtokens": {},
    "sentencizer": {},
    "span_ruler": {},
    "token_splitter": {"min_length": 4, "split_length": 2},
}

# The only pipe that may be left out: it reads the teacher's encoder. What else may be missing are functions that are
# not registered, with which no teacher can be saved, and `doc._.trf_data`, which is no annotation.
OMISSIONS = {"listening linker"}

# Other values, where another one of the same type would not do.
VALUES: dict[str, Any] = {
    "attrs": {"ents": []},
    "ent_id_sep": "::",
    "incorrect_spans_key": "$bad${x}",
    "labels_discard": ["WHO"],
    "mode": "rule",
    "neg_prefix": "$no${x}",
    "phrase_matcher_attr": "LOWER",
    "positive_label": "GLAD",
    "punct_chars": ["Rome"],
    "scorer": {"@scorers": "matrix.scorer.v1"},
    "spans_key": "$a${b}",
    "threshold": 0.3,
}

# These say how a model was made or a pipe's own parts; the pipe must not be given others.
NOT_CHANGED = {"labels", "labels_morph", "labels_pos", "model", "moves", "multitasks", "target", "entity_vector_length"}

# With these spaCy's pipe itself fails on any text.
IMPOSSIBLE = {("spancat_singlelabel", "max_positive")}

# By factory and cell, what was wrong; empty where all was right.
FOUND: dict[str, dict[str, list[str]]] = {}


@registry.scorers("matrix.scorer.v1")
def make_scorer() -> Any:
    return count_examples


def count_examples(examples: Any, **kwargs: Any) -> dict[str, Any]:
    return {"matrix_examples": len(list(examples))}


@Language.component("matrix_annotate")
def write_annotations(doc: Doc) -> Doc:
    """Give rules something to read: a tree, entities, spans and an attribute of a user's own."""
    for token in doc:
        token.dep_, token.pos_ = ("subtok", "NOUN") if token.text in ("in", "Ann") else ("nsubj", "NOUN")
        token.head = doc[min(token.i + 1, len(doc) - 1)]
    doc.ents = [Span(doc, i, i + 2, "PAIR") for i in range(0, len(doc) - 1, 3)]
    doc.spans["ruler"] = [Span(doc, 0, 1, "FIRST")] if len(doc) else []
    doc.user_data["seen"] = [token.text for token in doc]
    return doc


class EntryPoints:
    """The entry points of all packages, looked up once: by far the most of what it takes to make a pipeline."""

    def __init__(self, found: Any) -> None:
        self.select = cache(found.select)


@pytest.fixture(autouse=True)
def entry_points(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalogue, "AVAILABLE_ENTRY_POINTS", EntryPoints(catalogue.AVAILABLE_ENTRY_POINTS))


# Teachers


def fill(nlp: Language, name: str) -> None:
    """Give a rule its content."""
    pipe: Any = nlp.get_pipe(name)
    factory = nlp.get_pipe_meta(name).factory
    if factory == "attribute_ruler":
        pipe.add([[{"TEXT": "Ann"}]], {"TAG": "NNP", "MORPH": "Number=Sing", "NORM": "anna"})
    elif factory == "entity_linker":
        pipe.initialize(lambda: [link(nlp)], nlp=nlp, kb_loader=make_kb)
    elif factory.endswith("ruler"):
        pipe.add_patterns(
            [
                {"label": "WHO", "pattern": "Ann", "id": "ann"},
                {"label": "WHERE", "pattern": [{"LOWER": "rome"}, {"OP": "?"}]},
                {"label": "PAIR", "pattern": [{"TEXT": "sings"}, {"TEXT": "in"}]},
            ]
        )
    elif factory == "lemmatizer":
        lookups = Lookups()
        lookups.add_table("lemma_lookup", {"sings": "sing", "in": "into"})
        lookups.add_table("lemma_rules", {"noun": [["s", "-"]]})
        lookups.add_table("lemma_exc", {"noun": {"rome": ["roma"]}})
        lookups.add_table("lemma_index", {"noun": ["sing"]})
        pipe.initialize(lookups=lookups)


def make_kb(vocab: Any) -> Any:
    from spacy.kb import InMemoryLookupKB

    kb = InMemoryLookupKB(vocab, entity_vector_length=4)
    kb.set_entities(["Q1", "Q2"], [3, 4], [[1.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0]])
    kb.add_alias("Ann sings", ["Q1", "Q2"], [0.3, 0.7])
    return kb


def link(nlp: Language) -> Example:
    example = annotate(nlp)
    example.reference.ents = [Span(example.reference, 0, 2, "WHO", kb_id="Q2")]
    return example


def make_teacher(factory: str) -> Language:
    """A teacher that has learned a little, of the shape that its student will have."""
    fix_random_seed(0)
    learner = "tagger" if factory in RULES or factory == "tok2vec" else factory
    own = {"spans_key": "found"} if learner.startswith("span") else {}
    sketch = spacy.blank(LANGUAGE)
    sketch.add_pipe(learner, name="taught", config=FACTORIES[learner])
    blocks = student_config(sketch, size=SIZE)["components"]
    nlp = spacy.blank(LANGUAGES.get(factory, LANGUAGE))
    nlp.add_pipe("tok2vec", config={"model": blocks["tok2vec"]["model"]})
    nlp.add_pipe(learner, name="taught", config={**FACTORIES[learner], "model": blocks["taught"]["model"], **own})
    optimizer = nlp.initialize(lambda: [annotate(nlp)])
    optimizer.learn_rate = 0.01
    for _ in range(12):
        nlp.update([annotate(nlp)], sgd=optimizer)
    if factory in RULES:
        if factory != "sentencizer":
            nlp.add_pipe("matrix_annotate")
        if factory == "entity_linker":
            nlp.add_pipe("sentencizer")
        nlp.add_pipe(factory, name="rule", config=RULES[factory])
        fill(nlp, "rule")
    return nlp


def pipe_of(nlp: Language, factory: str) -> str:
    return "rule" if factory in RULES else "tok2vec" if factory == "tok2vec" else "taught"


# Settings


def settings_of(nlp: Language, name: str) -> dict[str, Any]:
    """Whatever a pipe holds beside its model: what it saves, and what its factory is given."""
    pipe: Any = nlp.get_pipe(name)
    defaults = nlp.get_factory_meta(nlp.get_pipe_meta(name).factory).default_config or {}
    held = {key: getattr(pipe, key) for key in [*defaults, *saved_attributes(pipe)] if hasattr(pipe, key)}
    held |= dict(pipe.cfg) if isinstance(getattr(pipe, "cfg", None), dict) else {}
    held |= {key: getattr(pipe, key) for key in ("scorer", "labels", "key") if hasattr(pipe, key)}
    held.pop("model", None)
    return {key: plain(value) for key, value in held.items()}


def plain(value: Any) -> Any:
    """A setting so that equal ones compare as equal: functions by the code that makes them and what it is given."""
    if isinstance(value, partial):
        return plain(value.func), value.keywords
    if isinstance(value, Lookups):
        return {name: dict(value.get_table(name)) for name in value.tables}
    if isinstance(value, float):
        return round(value, 9)  # As spaCy reads PIPE/cfg, the last digit may be another one
    return sorted(value) if isinstance(value, set) else getattr(value, "__qualname__", value)


def saved_attributes(pipe: Any) -> list[str]:
    """The attributes that rules save."""
    if isinstance(pipe, TrainablePipe) or not hasattr(pipe, "to_bytes"):
        return []
    with suppress(Exception):
        data = srsly.msgpack_loads(pipe.to_bytes())
        data = data.get("cfg", data) if isinstance(data, dict) else {}
        data = srsly.json_loads(data) if isinstance(data, bytes) else data
        return [key for key in data if isinstance(key, str) and key != "vocab" and hasattr(pipe, key)]
    return []


def change(key: str, value: Any) -> Any:
    """Another value; the same where there is none to be had."""
    if key in NOT_CHANGED or (key == "scorer" and value is None):
        return value
    if isinstance(value, bool):
        return not value
    if key in VALUES:
        return VALUES[key]
    if isinstance(value, int):
        return value + 3
    return round(value / 2 + 0.01, 4) if isinstance(value, float) else value


def changeable(nlp: Language, name: str) -> dict[str, Any]:
    """The settings that can be changed, each with another value."""
    block = nlp.get_pipe_config(name)
    found = {key: value for key, value in {**block, **settings_of(nlp, name)}.items() if key not in ("factory", "name")}
    others = {key: change(key, value) for key, value in found.items()}
    held = getattr(nlp.get_pipe(name), "cfg", {})
    for key, other in others.items():
        if isinstance(other, str) and key not in held:
            others[key] = other.replace("${", "$")  # No config can say it
    factory = nlp.get_pipe_meta(name).factory
    return {key: other for key, other in others.items() if other != found[key] and (factory, key) not in IMPOSSIBLE}


def apply(nlp: Language, name: str, key: str, value: Any) -> bool:
    """Change a setting of a loaded pipe, and of the config, which its factory reads when it is loaded again.

    Returns:
        Whether the pipe itself has it now; else its factory has made something of it that cannot be changed.
    """
    pipe: Any = nlp.get_pipe(name)
    block = nlp.get_pipe_config(name)
    if isinstance(getattr(pipe, "cfg", None), dict) and key in pipe.cfg:
        pipe.cfg[key] = value
        return True
    if key in block:
        block[key] = value
    if key == "scorer" or not hasattr(pipe, key):
        return False
    patterns = pipe.patterns if key == "ent_id_sep" else []
    try:
        setattr(pipe, key, value)
    except AttributeError:  # A property
        return False
    if patterns:
        # It is written into each pattern as that is added.
        pipe.clear()
        pipe.add_patterns(patterns)
    return True


# The comparison


def say(nlp: Language, text: str) -> dict[str, Any]:
    """Everything that is on a Doc."""
    doc = nlp(text)
    return {
        "tokens": [
            (
                *(token.text_with_ws, token.idx, token.norm_, token.is_sent_start, token.head.i, str(token.morph)),
                *(token.tag_, token.pos_, token.lemma_, token.dep_, token.ent_iob, token.ent_type_, token.ent_id_),
                token.ent_kb_id_,
            )
            for token in doc
        ],
        "ents": [(ent.start, ent.end, ent.label_, ent.id_, ent.kb_id_) for ent in doc.ents],
        "spans": {
            key: (
                [(span.start, span.end, span.label_, span.id_, span.kb_id_) for span in group],
                {name: numpy.asarray(value).tolist() for name, value in group.attrs.items()},
            )
            for key, group in doc.spans.items()
        },
        "cats": dict(doc.cats),
        "user_data": dict(doc.user_data),
        "tensor": None if doc.tensor is None else numpy.asarray(doc.tensor).tolist(),
    }


def score(nlp: Language) -> dict[str, Any]:
    scores = nlp.evaluate([annotate(nlp)])
    return {key: value for key, value in scores.items() if key != "speed"}


def compare_pipes(teacher: Language, student: Language, told: list[str]) -> list[str]:
    """List the differences in pipes and their settings, but for the pipes that are told to be missing."""
    names = [name for name in teacher.component_names if name not in told]
    disabled = [name for name in teacher.disabled if name not in told]
    wrong = []
    if (student.component_names, student.disabled) != (names, disabled):
        wrong.append(f"{student.component_names} without {student.disabled}, not {names} without {disabled}")
    for name in student.component_names:
        theirs, ours = settings_of(teacher, name), settings_of(student, name)
        wrong += [
            f"{name}.{key} is {ours.get(key)!r}, not {theirs[key]!r}" for key in theirs if ours.get(key) != theirs[key]
        ]
    return wrong


def compare_said(teacher: Language, student: Language, told: list[str]) -> list[str]:
    """List the differences in what is said of raw texts, and in scores."""
    wrong = []
    with teacher.select_pipes(disable=[name for name in teacher.pipe_names if name in told]):
        for text in TEXTS:
            theirs, ours = say(teacher, text), say(student, text)
            wrong += [
                f"{key} of {text!r}: {ours[key]}, not {theirs[key]}" for key in theirs if ours[key] != theirs[key]
            ]
        theirs, ours = score(teacher), score(student)
    return wrong + [
        f"score {key}: {ours.get(key)}, not {theirs[key]}" for key in theirs if ours.get(key) != theirs[key]
    ]


def copy_weights(teacher: Any, student: Any) -> None:
    """Copy weights and nothing else: a model's bytes also say which attributes it reads."""
    for theirs, ours in zip(teacher.model.walk(), student.model.walk(), strict=True):
        for name in theirs.param_names:
            if theirs.has_param(name):
                ours.set_param(name, theirs.get_param(name).copy())


def make_twin(teacher: Language, folder: Path) -> tuple[Language, list[str]]:
    """The teacher's student with the teacher's weights, as loaded from its folder, and the pipes told to be missing."""
    config = student_config(teacher, size=SIZE)
    told = warned_of(teacher, config)
    fates = account_for(teacher, config)
    student, _ = start(teacher, config)
    for name, fate in fates.items():
        if fate.startswith("mirrored by"):
            copy_weights(teacher.get_pipe(name), student.get_pipe(name))
    save_student(student, folder, student.vocab.strings)
    return spacy.load(folder), told


def check(teacher: Language, folder: Path) -> list[str]:
    """List what is wrong with a teacher's student."""
    student, told = make_twin(teacher, folder)
    left_out = [f"{name} is left out" for name in told if name not in OMISSIONS]
    return left_out + compare_pipes(teacher, student, told) + compare_said(teacher, student, told)


def cells(factory: str, folder: Path) -> Iterator[tuple[str, Language]]:
    """Make the teachers of a row of the matrix, each with its name."""
    original = make_teacher(factory)
    name = pipe_of(original, factory)
    original.to_disk(folder / "original")
    yield "default, memory", original
    yield "default, disk", spacy.load(folder / "original")
    for key, value in changeable(original, name).items():
        teacher = spacy.load(folder / "original")
        is_changed = apply(teacher, name, key, value)
        teacher.to_disk(folder / "changed")
        if key == "scorer":
            is_changed, teacher = True, spacy.load(folder / "changed")
        teacher._path = None
        if is_changed:
            yield f"{key}, memory", teacher
        yield f"{key}, disk", spacy.load(folder / "changed")


@pytest.mark.parametrize("factory", ALL)
def test_a_factory(factory: str, tmp_path: Path) -> None:
    row = FOUND.setdefault(factory, {})
    for cell, teacher in cells(factory, tmp_path):
        row[cell] = check(teacher, tmp_path / "student")
    wrong = {cell: found[:3] for cell, found in row.items() if found}
    assert wrong == {}


def test_a_linker_that_reads_the_encoder_is_the_only_omission(tmp_path: Path) -> None:
    teacher = make_teacher("entity_linker")
    listener = {"@architectures": "spacy.Tok2VecListener.v1", "width": SIZE.width, "upstream": "tok2vec"}
    model = {**RULES["entity_linker"]["model"], "tok2vec": listener}
    teacher.add_pipe("entity_linker", name="listening linker", config={"model": model})
    fill(teacher, "listening linker")
    student, told = make_twin(teacher, tmp_path / "student")
    assert told == ["listening linker"]
    assert compare_pipes(teacher, student, told) + compare_said(teacher, student, told) == []


def test_one_of_spacys_factories_makes_nothing() -> None:
    with pytest.raises(Exception, match=r"spacy\.MultiTask\.v1"):
        spacy.blank(LANGUAGE).add_pipe(BROKEN_IN_SPACY)


def break_rule(factory: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Break what makes a student's pipe of a teacher's."""
    if factory == "tok2vec":
        encode = configs._encoder
        swapped = replace(SIZE, rows={"NORM": 200, "SHAPE": 50, "SUFFIX": 100, "PREFIX": 50})
        monkeypatch.setattr(configs, "_encoder", lambda size, has_vectors: encode(swapped, has_vectors))
    elif factory in RULES:
        reason = configs.why_not_carried_over
        kind = type(make_teacher(factory).get_pipe("rule"))

        def refuse(pipe: Any) -> str | None:
            return "it is broken" if type(pipe) is kind and pipe is not write_annotations else reason(pipe)

        monkeypatch.setattr(configs, "why_not_carried_over", refuse)
    else:
        monkeypatch.setattr(configs, "_settings_of", lambda pipe, mirror, block: {"factory": mirror.factory})
        monkeypatch.setattr(students, "_take_settings", lambda student, teacher, plan: None)


@pytest.mark.parametrize("factory", ALL)
def test_a_cell_is_red_where_the_rule_is_broken(factory: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    teacher = make_teacher(factory)
    if factory not in RULES and factory != "tok2vec":
        for key, value in changeable(teacher, "taught").items():
            apply(teacher, "taught", key, value)
    break_rule(factory, monkeypatch)
    student, told = make_twin(teacher, tmp_path / "student")
    assert (
        compare_said(teacher, student, [])
        if factory in RULES or factory == "tok2vec"
        else compare_pipes(teacher, student, told)
    )


def test_the_size_of_the_matrix(capsys: pytest.CaptureFixture[str]) -> None:
    if set(FOUND) != set(ALL):
        pytest.skip("only a part of the matrix was tried")
    passed = sum(not wrong for row in FOUND.values() for wrong in row.values())
    count = sum(map(len, FOUND.values()))
    with capsys.disabled():
        print(f"\nThe matrix: {len(ALL)} factories, {count} cells, {passed} agree exactly.")
    assert passed == count
