"""What becomes of each of a teacher's pipes in the config of its student, and that it is said."""

from pathlib import Path
from typing import Any

import pytest
import spacy
from spacy.kb import InMemoryLookupKB
from spacy.language import Language
from spacy.lookups import Lookups
from spacy.pipeline import EntityLinker, Lemmatizer
from spacy.tokens import Doc, Span, Token
from spacy.training import Example

from helpers.account import account_for, warned_of
from helpers.one_pipe import annotate, start
from helpers.tiny_teacher import ENCODER, LANGUAGE, MODELS
from spacy_tinydistill.pipes.profile import TeacherProfile, profile_teacher
from spacy_tinydistill.schemas import read_config, read_distillation_config
from spacy_tinydistill.student.config import student_config
from spacy_tinydistill.student.pipeline import initialize_student, make_student, plan_lessons, save_student

FUNCTIONS = {
    "merge_entities": {},
    "merge_noun_chunks": {},
    "merge_subtokens": {},
    "token_splitter": {"min_length": 4, "split_length": 2},
    "doc_cleaner": {"attrs": {"user_data": {}}},
}
LINKER = {"@architectures": "spacy.EntityLinker.v2", "tok2vec": ENCODER}
LISTENER = {"@architectures": "spacy.Tok2VecListener.v1", "width": 24, "upstream": "*"}


@Language.component("config_test_shout")
def shout(doc: Doc) -> Doc:
    doc.ents = [Span(doc, ent.start, ent.end, ent.label_.upper()) for ent in doc.ents]
    return doc


@Language.factory("config_test_count", default_config={"step": 1})
def make_counter(nlp: Language, name: str, step: int) -> Any:
    def count(doc: Doc) -> Doc:
        doc.user_data["count"] = step * len(doc)
        return doc

    return count


def make_kb(vocab: Any) -> InMemoryLookupKB:
    kb = InMemoryLookupKB(vocab, entity_vector_length=4)
    kb.set_entities(["Q1", "Q2"], [3, 4], [[1.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0]])
    kb.add_alias("Ann", ["Q1", "Q2"], [0.3, 0.7])
    return kb


def link(nlp: Language) -> Example:
    example = annotate(nlp)
    ent = Span(example.reference, 0, 1, "WHO", kb_id="Q2")
    example.reference.ents = [ent]
    return example


def teach_to_link(tok2vec: dict[str, Any]) -> Language:
    nlp = spacy.blank(LANGUAGE)
    nlp.add_pipe("tok2vec", config={"model": ENCODER})
    nlp.add_pipe("sentencizer")
    ruler: Any = nlp.add_pipe("entity_ruler")
    nlp.add_pipe("tagger", config={"model": MODELS["tagger"]})
    linker: Any = nlp.add_pipe("entity_linker", config={"model": {**LINKER, "tok2vec": tok2vec}})
    with nlp.select_pipes(disable="entity_linker"):
        nlp.initialize(lambda: [link(nlp)])
    ruler.add_patterns([{"label": "WHO", "pattern": [{"TEXT": "Ann"}]}])
    linker.initialize(lambda: [link(nlp)], nlp=nlp, kb_loader=make_kb)
    return nlp


@pytest.mark.parametrize("where", ["memory", "disk"])
def test_functions_are_carried_over(where: str, tmp_path: Path) -> None:
    teacher = spacy.blank(LANGUAGE)
    teacher.add_pipe("tagger", config={"model": MODELS["tagger"]})
    ruler: Any = teacher.add_pipe("entity_ruler")
    teacher.add_pipe("config_test_shout")
    teacher.add_pipe("config_test_count", config={"step": 3})
    for name in ("merge_entities", "token_splitter"):
        teacher.add_pipe(name, config=FUNCTIONS[name])
    teacher.initialize(lambda: [annotate(teacher)])
    ruler.add_patterns([{"label": "who", "pattern": [{"TEXT": "Ann"}, {"TEXT": "sings"}]}])
    splitter: Any = teacher.get_pipe("token_splitter")
    splitter.split_length = 3
    if where == "disk":
        teacher.to_disk(tmp_path / "teacher")
        teacher = spacy.load(tmp_path / "teacher")
    student, _ = start(teacher)
    save_student(student, tmp_path / "student", student.vocab.strings)
    said = [
        ([token.text for token in doc], [ent.label_ for ent in doc.ents], doc.user_data["count"])
        for doc in (nlp("Ann sings in Rome") for nlp in (teacher, spacy.load(tmp_path / "student")))
    ]
    assert said[0] == said[1] == (["Ann", " si", "ngs", "in", "Rom", "e"], ["WHO"] * len(said[0][1]), 12)
    told = account_for(teacher, student.config)
    assert told.pop("tagger") == "mirrored by tagger"
    assert set(told.values()) == {"carried over"}
    assert list(told) == teacher.pipe_names[1:]


@pytest.mark.parametrize("name", FUNCTIONS)
def test_each_function_of_spacys(name: str) -> None:
    teacher = spacy.blank("en")
    teacher.add_pipe(name, config=FUNCTIONS[name])
    config = student_config(teacher)
    assert config["nlp"]["pipeline"] == [name]
    assert account_for(teacher, config) == {name: "carried over"}


def test_a_lemmatizer_of_rules_is_carried_over() -> None:
    teacher = spacy.blank(LANGUAGE)
    teacher.add_pipe("tagger", config={"model": MODELS["tagger"]})
    teacher.add_pipe("lemmatizer")
    config = student_config(teacher)
    assert account_for(teacher, config)["lemmatizer"] == "carried over"


def test_an_entity_linker_that_needs_no_encoder_is_carried_over(tmp_path: Path) -> None:
    teacher = teach_to_link(ENCODER)
    student, plan = start(teacher)
    assert list(plan) == ["tagger"]
    assert student.config["training"]["frozen_components"] == ["entity_linker"]
    save_student(student, tmp_path / "student", student.vocab.strings)
    loaded = spacy.load(tmp_path / "student")
    links = [[ent.kb_id_ for ent in nlp("Ann sings in Rome").ents] for nlp in (teacher, loaded)]
    assert links[0] == links[1]
    assert links[0][0] in ("Q1", "Q2")
    weights = [nlp.get_pipe("entity_linker").model.to_bytes() for nlp in (teacher, loaded)]
    assert weights[0] == weights[1]
    assert account_for(teacher, student.config) == {
        "tok2vec": "mirrored by tok2vec",
        "sentencizer": "carried over",
        "entity_ruler": "carried over",
        "tagger": "mirrored by tagger",
        "entity_linker": "carried over",
    }


def test_an_entity_linker_that_reads_the_encoder_is_left_out() -> None:
    teacher = teach_to_link(LISTENER)
    config = student_config(teacher)
    assert isinstance(teacher.get_pipe("entity_linker"), EntityLinker)
    assert "entity_linker" not in config["components"]
    assert warned_of(teacher, config) == ["entity_linker"]
    told = account_for(teacher, config)
    assert told["entity_linker"] == "left out, because its model reads the teacher's encoder"


def test_pipes_that_the_user_left_out() -> None:
    teacher = spacy.blank(LANGUAGE)
    for name in ("tagger", "ner"):
        teacher.add_pipe(name, config={"model": MODELS[name]})
    teacher.add_pipe("senter", config={"model": MODELS["tagger"]})
    teacher.add_pipe("sentencizer")
    for name in ("senter", "sentencizer"):
        teacher.disable_pipe(name)
    config = student_config(teacher, pipeline=["tagger", "sentencizer"])
    assert config["nlp"]["disabled"] == ["sentencizer"]
    assert account_for(teacher, config) == {
        "tagger": "mirrored by tagger",
        "ner": "left out, because it was named to be left out",
        "senter": "left out, because it was named to be left out",
        "sentencizer": "carried over, disabled",
    }
    assert warned_of(teacher, config) == []
    config = student_config(teacher, leave_out=["ner"])
    assert account_for(teacher, config)["senter"] == "mirrored by senter, disabled"
    assert warned_of(teacher, config) == []


def test_a_disabled_rule_is_in_the_student_and_disabled(tmp_path: Path) -> None:
    teacher = spacy.blank(LANGUAGE)
    teacher.add_pipe("tagger", config={"model": MODELS["tagger"]})
    ruler: Any = teacher.add_pipe("entity_ruler")
    teacher.initialize(lambda: [annotate(teacher)])
    ruler.add_patterns([{"label": "WHO", "pattern": [{"TEXT": "Ann"}]}])
    teacher.disable_pipe("entity_ruler")
    student, _ = start(teacher)
    save_student(student, tmp_path / "student", student.vocab.strings)
    loaded = spacy.load(tmp_path / "student")
    assert loaded.disabled == ["entity_ruler"]
    assert not loaded("Ann sings").ents
    loaded.enable_pipe("entity_ruler")
    assert [ent.label_ for ent in loaded("Ann sings").ents] == ["WHO"]


@Language.component("carried_over_test_look_up")
def look_up(doc: Doc) -> Doc:
    table = doc.vocab.lookups.get_table("jobs", {})
    doc.user_data["jobs"] = [table.get(token.text) for token in doc]
    return doc


@Language.factory("carried_over_test_lemmatizer")
class TableLemmatizer(Lemmatizer):
    """One that reads a table of the vocabulary, and has none of its own."""

    def __init__(self, nlp: Language, name: str) -> None:
        super().__init__(nlp.vocab, None, name, overwrite=True)

    @classmethod
    def get_lookups_config(cls, mode: str) -> tuple[list[str], list[str]]:
        return [], []

    def lookup_lemmatize(self, token: Token) -> list[str]:
        return [self.vocab.lookups.get_table("lemmas").get(token.text, token.text)]


@pytest.mark.parametrize("where", ["memory", "disk", "store"])
def test_tables_of_the_vocabulary(where: str, tmp_path: Path) -> None:
    teacher = spacy.blank(LANGUAGE)
    lookups = Lookups()
    lookups.add_table("lexeme_norm", {"sings": "song", "Rome": "roma"})
    lookups.add_table("jobs", {"Ann": "singer"})
    lookups.add_table("lemmas", {"sings": "sing"})
    teacher.vocab.lookups = lookups
    teacher.add_pipe("tagger", config={"model": MODELS["tagger"]})
    teacher.add_pipe("carried_over_test_look_up")
    teacher.add_pipe("carried_over_test_lemmatizer")
    ruler: Any = teacher.add_pipe("entity_ruler")
    teacher.initialize(lambda: [annotate(teacher)])
    ruler.add_patterns([{"label": "WHERE", "pattern": [{"NORM": "roma"}]}])
    if where == "disk":
        teacher.to_disk(tmp_path / "teacher")
        teacher = spacy.load(tmp_path / "teacher")
    config = student_config(teacher, size="nano")
    profile = profile_teacher(teacher)
    if where == "store":
        profile = TeacherProfile.from_bytes(profile.to_bytes())
    student = make_student(read_config(config, {}), profile)
    plan = plan_lessons(student, teacher, read_distillation_config(config))
    initialize_student(student, profile, plan, [Example(doc, doc) for doc in [student.make_doc("Ann sings in Rome")]])
    save_student(student, tmp_path / "student", student.vocab.strings)
    said = [
        (
            [(token.norm_, token.lemma_) for token in doc],
            doc.user_data["jobs"],
            [(ent.text, ent.label_) for ent in doc.ents],
        )
        for doc in (nlp("Ann sings in Rome") for nlp in (teacher, student, spacy.load(tmp_path / "student")))
    ]
    assert said[0] == said[1] == said[2]
    assert said[0][0][1] == ("song", "sing")
    assert said[0][1:] == (["singer", None, None, None], [("Rome", "WHERE")])


def test_tables_that_no_rule_can_read_stay_behind() -> None:
    teacher = spacy.blank(LANGUAGE)
    teacher.add_pipe("tagger", config={"model": MODELS["tagger"]})
    for name in ("lexeme_norm", "jobs"):
        teacher.vocab.lookups.add_table(name, {"Ann": "singer"})
    teacher.initialize(lambda: [annotate(teacher)])
    student, _ = start(teacher)
    assert student.vocab.lookups.tables == ["lexeme_norm"]
