"""What people get wrong, and what they are told: through the real commands, before the teacher runs once."""

import ast
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from string import Formatter

import pytest
import spacy
import srsly
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from spacy.cli._util import app
from spacy.language import Language
from spacy.tokens import Doc, DocBin, Span
from spacy.util import registry
from thinc.api import Config
from typer.testing import CliRunner, Result

import spacy_tinydistill
import spacy_tinydistill.cli.distill
import spacy_tinydistill.cli.init_config
from helpers.tiny_teacher import LANGUAGE, TEXTS, annotate_gold, make_teacher, write_gold, write_texts
from spacy_tinydistill import api, distill, prepare
from spacy_tinydistill.checkpoint import FORMAT_VERSION, read_checkpoint
from spacy_tinydistill.errors import MESSAGES, DistillationError
from spacy_tinydistill.pipes.pipeline import load_teacher
from spacy_tinydistill.student.config import student_config

SOURCES = sorted(Path(spacy_tinydistill.__file__).parent.rglob("*.py"))


# The catalogue


def find_raised() -> Iterator[tuple[str, set[str], str]]:
    """Every `DistillationError("TD...", key=...)` in the package: code, keys, place."""
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "DistillationError":
                code = node.args[0]
                assert isinstance(code, ast.Constant), f"{path}:{node.lineno}: the code is no literal"
                yield code.value, {keyword.arg for keyword in node.keywords}, f"{path.name}:{node.lineno}"


def test_every_message_is_raised_and_every_code_raised_has_a_message() -> None:
    raised = {code for code, _, _ in find_raised()}
    assert len(raised) > 20
    assert raised == set(MESSAGES)


def test_every_message_gets_the_values_that_it_names() -> None:
    for code, keys, place in find_raised():
        named = {re.split(r"[.\[]", name)[0] for _, name, _, _ in Formatter().parse(MESSAGES[code]) if name}
        assert keys == named, f"{code} in {place}"


def test_codes_named_in_docstrings_exist() -> None:
    for path in SOURCES:
        assert set(re.findall(r"\bTD\d+\b", path.read_text(encoding="utf8"))) <= set(MESSAGES)


# The table of mistakes


@registry.tokenizers("tests.SplitAtSpaces.v1")
def split_at_spaces() -> Callable[[Language], Callable[[str], Doc]]:
    def tokenizer_of(nlp: Language) -> Callable[[str], Doc]:
        def tokenize(text: str) -> Doc:
            words = text.split()
            return Doc(nlp.vocab, words=words, spaces=[True] * (len(words) - 1) + [False] if words else [])

        return tokenize

    return tokenizer_of


@pytest.fixture(scope="module")
def teachers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the teachers "all", of three pipes, and "tagger", of one."""
    folder = tmp_path_factory.mktemp("teachers")
    make_teacher().to_disk(folder / "all")
    spacy.load(folder / "all", exclude=["ner", "textcat"]).to_disk(folder / "tagger")
    return folder


@pytest.fixture(scope="module")
def good_config(teachers: Path) -> Config:
    return student_config(spacy.load(teachers / "all"), size="nano")


@dataclass
class World:
    """A run that would go well; a mistake is a function that spoils it."""

    folder: Path
    teachers: Path
    config: Config
    args: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.teacher = str(self.teachers / "all")
        self.output = self.folder / "output"
        self.config_path = self.folder / "config.cfg"
        self.texts = write_texts(self.folder / "texts.txt")
        self.config["paths"]["distill"] = str(self.texts)
        self.config["distillation"]["max_steps"] = 2

    def run(self) -> Result:
        if not self.config_path.exists():
            self.config.to_disk(self.config_path, interpolate=False)
        return invoke("distill", self.teacher, self.config_path, "--output", self.output, *self.args)


@pytest.fixture
def world(tmp_path: Path, teachers: Path, good_config: Config) -> World:
    return World(tmp_path, teachers, good_config.copy())


def invoke(*args: object) -> Result:
    return CliRunner().invoke(app, [str(arg) for arg in args])


def assert_refused(result: Result, code: str, *facts: str) -> None:
    # The runner turns a traceback into exit code 1 as well.
    assert isinstance(result.exception, SystemExit), f"{result.output}\n{result.exception!r}"
    assert result.exit_code == 1
    assert f"[{code}]" in result.output
    assert "Traceback" not in result.output
    message = " ".join(result.output.split())
    for fact in facts:
        assert fact in message
    # Each is one message, not the end of another one.
    assert message.count("[TD") == 1


@pytest.fixture(scope="module")
def loaded(teachers: Path) -> dict[str, Language]:
    return {str(path): spacy.load(path) for path in teachers.iterdir()}


@pytest.fixture
def no_teacher_runs(monkeypatch: pytest.MonkeyPatch, loaded: dict[str, Language]) -> None:
    """Make it a failure to ask a teacher anything but how it splits a text."""
    # A good teacher is loaded once, to save time.
    monkeypatch.setattr(prepare, "load_teacher", lambda name: loaded.get(name) or load_teacher(name))

    def fail(*args: object, **kwargs: object) -> None:
        raise AssertionError("the teacher was asked")

    monkeypatch.setattr(api, "record_store", fail)
    monkeypatch.setattr(Language, "pipe", fail)
    monkeypatch.setattr(Language, "__call__", fail)


MISTAKES: list = []


def mistake(code: str, *facts: str, **marks: object) -> Callable:
    """Add a function that spoils a world to the table, with what the message must say."""

    def register(spoil: Callable[[World], None]) -> Callable[[World], None]:
        MISTAKES.append(pytest.param(spoil, code, facts, id=f"{code}-{spoil.__name__}", **marks))
        return spoil

    return register


# The config


@mistake("TD001", "[nlp]", "init distill-config")
def no_distillation_block(world: World) -> None:
    del world.config["distillation"]


@mistake("TD001", "[nlp]")
def distillation_is_no_block(world: World) -> None:
    world.config_path.write_text('[nlp]\nlang = "en"\n', encoding="utf8")


@mistake("TD002", "dropuot", 'Did you mean "dropout"?', "max_steps")
def misspelt_key(world: World) -> None:
    world.config["distillation"]["dropuot"] = 0.1


@mistake("TD002", "colour", "Remove it.")
def invented_key(world: World) -> None:
    world.config["distillation"]["colour"] = "red"


@mistake("TD002", "max_step", 'Did you mean "max_steps"?')
def misspelt_override(world: World) -> None:
    world.args = ["--distillation.max_step", "5"]


def out_of_place(key: str, value: object, *facts: str) -> None:
    def spoil(world: World) -> None:
        world.config["distillation"][key] = value

    spoil.__name__ = f"{key}={value}"
    mistake("TD003", key, repr(value), *facts)(spoil)


out_of_place("dropout", 1.5, "less than 1")
out_of_place("dropout", -0.1, "greater than or equal to 0")
out_of_place("dropout", "much", "number")
out_of_place("gold_weight", -1, "greater than or equal to 0")
out_of_place("hold_out", 0.0, "greater than 0")
out_of_place("hold_out", 1.0, "less than 1")
out_of_place("max_epochs", -2, "greater than or equal to -1")
out_of_place("max_epochs", "all", "integer")
out_of_place("max_steps", -1, "greater than or equal to 0")
out_of_place("max_steps", 1.5, "integer")
out_of_place("max_steps", "many", "integer")
out_of_place("max_steps", None, "integer")
out_of_place("corpus", 5, "string")
out_of_place("student_to_teacher", ["tagger"], "dictionary")
out_of_place("batcher", 3, "callable")
out_of_place("optimizer", "adam", "Optimizer")


@mistake("TD003", "teaching.tagger", "'soft'", "TeachingRule")
def rule_that_is_no_function(world: World) -> None:
    world.config["distillation"]["teaching"] = {"tagger": "soft"}


@mistake("TD003", "max_steps", "'[2'", "integer")
def value_with_a_bracket_open(world: World) -> None:
    world.config_path.write_text(world.config.to_str().replace("max_steps = 2", "max_steps = [2"), encoding="utf8")


@mistake("TD004", "spacy.batch_by_colour.v1", "--code")
def unknown_function(world: World) -> None:
    world.config["distillation"]["batcher"]["@batchers"] = "spacy.batch_by_colour.v1"


@mistake("TD004", "training.batcher.@batchers is 5")
def function_named_by_a_number(world: World) -> None:
    world.config["training"]["batcher"] = {"@batchers": 5}


@mistake("TD004", "momentum")
def function_with_a_wrong_argument(world: World) -> None:
    world.config["distillation"]["optimizer"]["momentum"] = 0.9


@mistake("TD004", "size")
def function_without_an_argument(world: World) -> None:
    del world.config["distillation"]["batcher"]["size"]


@mistake("TD004", "warmer")
def function_with_an_argument_of_a_wrong_type(world: World) -> None:
    world.config["distillation"]["teaching"] = {
        "tagger": {"@teaching_rules": "spacy-tinydistill.TokenLabels.v1", "temperature": "warmer"}
    }


@mistake("TD004", "tests.NoSuchReader.v1")
def unknown_reader(world: World) -> None:
    world.config["corpora"]["distill"]["@readers"] = "tests.NoSuchReader.v1"


@mistake("TD210", "max_len")
def reader_with_a_wrong_argument(world: World) -> None:
    world.config["corpora"]["distill"]["max_len"] = 5


@mistake("TD005", "config.cfg")
def no_config_file(world: World) -> None:
    world.config_path = world.folder / "missing" / "config.cfg"
    world.config_path.parent.mkdir()
    world.config_path.mkdir()


@mistake("TD005")
def config_is_prose(world: World) -> None:
    world.config_path.write_text("Dear student,\n", encoding="utf8")


@mistake("TD005")
def config_is_no_text(world: World) -> None:
    world.config_path.write_bytes(b"\xff\xfe[nlp]")


@mistake("TD005", "nowhere")
def override_of_a_section_that_does_not_exist(world: World) -> None:
    world.args = ["--nowhere.at_all", "5"]


@mistake("TD005", "paths.nothing")
def variable_that_does_not_exist(world: World) -> None:
    world.config_path.write_text(
        world.config.to_str(interpolate=False).replace("${paths.distill}", "${paths.nothing}"), encoding="utf8"
    )


@mistake("TD006", "corpus", "corpora.texts", "corpora.distill")
def corpus_that_is_not_defined(world: World) -> None:
    world.config["distillation"]["corpus"] = "corpora.texts"


@mistake("TD006", "gold_corpus", "gold")
def corpus_of_another_section(world: World) -> None:
    world.config["distillation"]["gold_corpus"] = "gold"


@mistake("TD006", "dev_corpus", "corpora.nothing")
def dev_corpus_that_is_not_defined(world: World) -> None:
    world.config["training"]["dev_corpus"] = "corpora.nothing"


@mistake("TD006", "corpus", "corpora.distill")
def config_without_corpora(world: World) -> None:
    del world.config["corpora"]


@mistake("TD007", "max_steps", "max_epochs", "patience")
def run_without_an_end(world: World) -> None:
    world.config["distillation"].update(max_steps=0, max_epochs=0)
    world.config["training"]["patience"] = 0


@mistake("TD007")
def stream_without_an_end(world: World) -> None:
    world.config["distillation"].update(max_steps=0, max_epochs=-1)
    world.config["training"]["patience"] = 0
    world.config["paths"]["dev"] = str(write_gold(world.folder / "dev.spacy"))


@mistake("TD008", "--paths.dev")
def stream_without_a_dev_corpus(world: World) -> None:
    world.config["distillation"]["max_epochs"] = -1


@mistake("TD009", "total_steps", "max_steps")
def epochs_instead_of_steps(world: World) -> None:
    world.args = ["--distillation.max_steps", "0", "--distillation.max_epochs", "3"]


# The text


@mistake("TD101", "--paths.distill")
def no_texts(world: World) -> None:
    world.config["paths"]["distill"] = None


@mistake("TD102", "missing.jsonl")
def missing_texts(world: World) -> None:
    world.args = ["--paths.distill", "missing.jsonl"]


@mistake("TD102", "missing.spacy")
def missing_gold(world: World) -> None:
    world.args = ["--paths.gold", "missing.spacy"]


@mistake("TD102", "missing.spacy")
def missing_gold_of_a_stream(world: World) -> None:
    """A stream is not read to its end first, but that its gold is missing is known."""
    world.config["paths"]["dev"] = str(write_gold(world.folder / "dev.spacy"))
    write_texts(world.texts, TEXTS * 30)
    world.args = ["--distillation.max_epochs", "-1", "--paths.gold", "missing.spacy"]


@mistake("TD102", "missing.spacy")
def missing_dev(world: World) -> None:
    world.args = ["--paths.dev", "missing.spacy"]


@mistake("TD103", ".jsonl", ".spacy")
def folder_without_texts(world: World) -> None:
    (world.folder / "empty").mkdir()
    world.args = ["--paths.distill", str(world.folder / "empty")]


@mistake("TD104", "texts.xlsx", ".jsonl")
def texts_of_another_kind(world: World) -> None:
    world.args = ["--paths.distill", str(write_texts(world.folder / "texts.xlsx"))]


@mistake("TD104", "dev.txt", ".spacy")
def dev_of_another_kind(world: World) -> None:
    world.args = ["--paths.dev", str(write_texts(world.folder / "dev.txt"))]


@mistake("TD105", "line 2", "skip_bad_lines")
def line_that_is_no_json(world: World) -> None:
    (world.folder / "texts.jsonl").write_text('{"text": "one"}\n{"text": \n')
    world.args = ["--paths.distill", str(world.folder / "texts.jsonl")]


@mistake("TD105", "line 1501")
def line_that_is_no_json_far_down(world: World) -> None:
    (world.folder / "texts.jsonl").write_text('{"text": "one"}\n' * 1500 + "oops\n")
    world.args = ["--paths.distill", str(world.folder / "texts.jsonl")]


@mistake("TD106", "line 2", "its keys are txt", "'text'")
def line_that_has_no_text(world: World) -> None:
    (world.folder / "texts.jsonl").write_text('{"text": "one"}\n{"txt": "two"}\n')
    world.args = ["--paths.distill", str(world.folder / "texts.jsonl")]


@mistake("TD106", "line 2", "is null", "'text'")
def text_that_is_null(world: World) -> None:
    (world.folder / "texts.jsonl").write_text('{"text": "one"}\n{"text": null}\n')
    world.args = ["--paths.distill", str(world.folder / "texts.jsonl")]


@mistake("TD130", "line 31", "has 3 fields", "header has 2", "','", "--corpora.distill.delimiter")
def comma_without_quotes(world: World) -> None:
    write_csv(world, *(f"{i},text {i}" if i != 29 else f"{i},text, and more" for i in range(60)))


@mistake("TD131", "line 31", "never closed", "--corpora.distill.quoting QUOTE_NONE")
def quote_that_is_not_closed(world: World) -> None:
    write_csv(world, *(f"{i},text {i}" if i != 29 else f'{i},"text {i}' for i in range(60)))


@mistake("TD131", "line 3", "--corpora.distill.escapechar '\\'")
def quotes_with_a_backslash(world: World) -> None:
    write_csv(world, "1,text", '2,"a \\"text\\", and more"')


@mistake("TD131", "line 3", "quotes in this file are characters like others")
def other_quotes_than_were_said(world: World) -> None:
    write_csv(world, "1,text", '2,"a "text", and more"')
    world.args += ["--corpora.distill.escapechar", "\\"]


@mistake("TD132", "'text'")
def two_columns_of_one_name(world: World) -> None:
    write_csv(world, "1,2", header="text,text")


@mistake("TD110", "id;text", "--corpora.distill.delimiter")
def semicolons_where_commas_were_said(world: World) -> None:
    write_csv(world, "1;2", header="id;text")
    world.args += ["--corpora.distill.delimiter", ","]


@mistake("TD004", "delimiter is '||'", "one character")
def delimiter_of_two_characters(world: World) -> None:
    world.args = ["--corpora.distill.delimiter", "||"]


def write_csv(world: World, *rows: str, header: str = "id,text") -> None:
    (world.folder / "texts.csv").write_text("\n".join([header, *rows]) + "\n", encoding="utf8")
    world.args = ["--paths.distill", str(world.folder / "texts.csv")]


@mistake("TD107", "texts.txt")
def empty_texts(world: World) -> None:
    world.texts.write_text(" \n\t\n")


@mistake("TD108", "dev.spacy")
def dev_that_is_broken(world: World) -> None:
    (world.folder / "dev.spacy").write_bytes(write_gold(world.folder / "gold.spacy").read_bytes()[:50])
    world.args = ["--paths.dev", str(world.folder / "dev.spacy")]


@mistake("TD109", "--paths.dev")
def one_text_and_no_dev_corpus(world: World) -> None:
    write_texts(world.texts, TEXTS[:1])


# Teacher and student


@mistake("TD201", "no_such_teacher")
def teacher_that_is_not_installed(world: World) -> None:
    world.teacher = "no_such_teacher"


@mistake("TD201", "texts.txt")
def teacher_is_a_file(world: World) -> None:
    world.teacher = str(world.texts)


@mistake("TD201", "empty")
def teacher_is_an_empty_folder(world: World) -> None:
    (world.folder / "empty").mkdir()
    world.teacher = str(world.folder / "empty")


def copy_teacher(world: World) -> Path:
    world.teacher = str(shutil.copytree(world.teacher, world.folder / "broken_teacher"))
    return Path(world.teacher)


@mistake("TD202", "broken_teacher", "no_such_factory")
def teacher_with_an_unknown_pipe(world: World) -> None:
    file = copy_teacher(world) / "config.cfg"
    file.write_text(file.read_text().replace('factory = "ner"', 'factory = "no_such_factory"'))


@mistake("TD202", "broken_teacher", "no.Architecture.v1")
def teacher_with_an_unknown_architecture(world: World) -> None:
    file = copy_teacher(world) / "config.cfg"
    file.write_text(file.read_text().replace("spacy.Tagger.v2", "no.Architecture.v1"))


@mistake("TD202", "broken_teacher")
def teacher_with_a_wrong_setting(world: World) -> None:
    file = copy_teacher(world) / "config.cfg"
    file.write_text(file.read_text().replace("overwrite = ", "overrite = "))


@mistake("TD202", "broken_teacher")
def teacher_with_broken_weights(world: World) -> None:
    (copy_teacher(world) / "tagger" / "model").write_bytes(b"hello")


@mistake("TD201", "broken_teacher")
def teacher_without_weights(world: World) -> None:
    (copy_teacher(world) / "tagger" / "model").unlink()


@mistake("TD203", "'tagger'", "1 of", "'ADP'", "[initialize.components.tagger]")
def missing_tag(world: World) -> None:
    world.config["initialize"]["components"]["tagger"] = {"labels": ["NOUN", "VERB"]}


@mistake("TD203", "'textcat'", "2 of", "'SAD'", "'GLAD'")
def other_categories(world: World) -> None:
    world.config["initialize"]["components"]["textcat"] = {"labels": ["BAD", "GOOD"]}


@mistake("TD203", "'ner'", "'B-PERSON'")
def missing_entity(world: World) -> None:
    labels = spacy.load(world.teacher).get_pipe("ner").label_data
    srsly.write_json(
        world.folder / "ner.json", {action: {"PLACE": 1} if names else {} for action, names in labels.items()}
    )
    reader = {"@readers": "spacy.read_labels.v1", "path": str(world.folder / "ner.json"), "require": True}
    world.config["initialize"]["components"]["ner"] = {"labels": reader}


def write_corrected(world: World, correct: Callable[[Doc], None]) -> None:
    """Have gold annotations of which the last is a person's own."""
    nlp = spacy.blank(LANGUAGE)
    docs = [annotate_gold(nlp, text).reference for text in TEXTS]
    correct(docs[-1])
    DocBin(docs=docs).to_disk(world.folder / "gold.spacy")
    world.args = ["--paths.gold", str(world.folder / "gold.spacy")]


@mistake("TD228", "'tagger'", "1 labels", "['SHOUT']", "[initialize.components.tagger]")
def gold_with_a_tag_of_its_own(world: World) -> None:
    def correct(doc: Doc) -> None:
        doc[0].tag_ = "SHOUT"

    write_corrected(world, correct)


@mistake("TD228", "'ner'", "['SHIP']")
def gold_with_an_entity_of_its_own(world: World) -> None:
    write_corrected(world, lambda doc: doc.set_ents([Span(doc, 0, 1, label="SHIP")]))


@mistake("TD115", "'textcat'", "'GLAD': 0.7", TEXTS[-1])
def gold_that_is_not_sure(world: World) -> None:
    write_corrected(world, lambda doc: doc.cats.update(GLAD=0.7))


@mistake("TD115", "'textcat'", "'GLAD': 1.0", "'SAD': 1.0", "textcat_multilabel")
def gold_that_is_both(world: World) -> None:
    write_corrected(world, lambda doc: doc.cats.update(GLAD=1.0, SAD=1.0))


@mistake("TD229", "'tok2vec'", "tagger, ner, textcat", "annotating_components")
def frozen_encoder_that_does_not_run(world: World) -> None:
    world.config["training"]["frozen_components"] = ["tok2vec"]


@mistake("TD204", "'Ann sings.'", "['sings', '.']", "['sings.']")
def other_tokenizer(world: World) -> None:
    write_texts(world.texts, [*TEXTS, "Ann sings."])
    world.config["nlp"]["tokenizer"] = {"@tokenizers": "tests.SplitAtSpaces.v1"}


@mistake("TD205", "'ner'", "tagger")
def pipe_that_the_teacher_lacks(world: World) -> None:
    world.teacher = str(world.teachers / "tagger")


@mistake("TD205", "'tagger'", "'pos_tagger'", "tagger, ner, textcat", "student_to_teacher")
def teacher_pipe_that_does_not_exist(world: World) -> None:
    world.config["distillation"]["student_to_teacher"] = {"tagger": "pos_tagger"}


@mistake("TD206", "tagger, ner, textcat", "sentencizer")
def no_pipe_in_common(world: World) -> None:
    world.config["nlp"]["pipeline"] = ["sentencizer"]
    world.config["components"] = {"sentencizer": {"factory": "sentencizer"}}


@mistake("TD206", "tagger, ner, textcat", "none")
def student_without_pipes(world: World) -> None:
    world.config["nlp"]["pipeline"] = []
    world.config["components"] = {}


@mistake("TD206")
def everything_frozen(world: World) -> None:
    world.config["training"]["frozen_components"] = ["tok2vec", "tagger", "ner", "textcat"]


@mistake("TD207", "teaching.tagger", "Tagger")
def rule_of_another_kind(world: World) -> None:
    world.config["distillation"]["teaching"] = {"tagger": {"@teaching_rules": "spacy-tinydistill.TextLabels.v1"}}


@mistake("TD208", "teaching", "'parser'", "tok2vec, tagger, ner, textcat")
def rule_for_a_pipe_that_does_not_exist(world: World) -> None:
    world.config["distillation"]["teaching"] = {"parser": {"@teaching_rules": "spacy-tinydistill.Transitions.v1"}}


@mistake("TD208", "student_to_teacher", "'parser'")
def map_of_a_pipe_that_does_not_exist(world: World) -> None:
    world.config["distillation"]["student_to_teacher"] = {"parser": "tagger"}


@mistake("TD209", "'xx'", "'de'")
def other_language(world: World) -> None:
    world.args = ["--nlp.lang", "de"]


@mistake("TD209", "'klingon'")
def unknown_language(world: World) -> None:
    world.args = ["--nlp.lang", "klingon"]


@mistake("TD210", "no.Architecture.v1")
def student_of_an_unknown_architecture(world: World) -> None:
    world.args = ["--components.tagger.model.@architectures", "no.Architecture.v1"]


@mistake("TD210", "no_such_factory")
def student_of_an_unknown_factory(world: World) -> None:
    world.args = ["--components.tagger.factory", "no_such_factory"]


@mistake("TD210", "tagger")
def student_pipe_without_a_block(world: World) -> None:
    del world.config["components"]["tagger"]


@mistake("TD210", "no.Logger.v1")
def unknown_logger(world: World) -> None:
    world.args = ["--training.logger.@loggers", "no.Logger.v1"]


@mistake("TD210", "eval_frequency")
def training_value_of_a_wrong_type(world: World) -> None:
    world.args = ["--training.eval_frequency", "often"]


@mistake("TD210", "lables")
def initialize_with_a_wrong_key(world: World) -> None:
    world.config["initialize"]["components"]["tagger"] = {"lables": ["NOUN"]}


@mistake("TD210", "missing.json")
def initialize_with_a_missing_file(world: World) -> None:
    reader = {"@readers": "spacy.read_labels.v1", "path": "missing.json", "require": True}
    world.config["initialize"]["components"]["tagger"] = {"labels": reader}


@mistake("TD210", "missing_vectors")
def missing_vectors(world: World) -> None:
    world.args = ["--paths.vectors", "missing_vectors"]


@mistake("TD211", "GPU 99", "--gpu-id")
def gpu_that_is_not_there(world: World) -> None:
    world.args = ["--gpu-id", "99"]


# Several teachers


def two_teachers(world: World, other: str = "all") -> None:
    world.teacher = f"{world.teachers / 'all'},{world.teachers / other}"


@mistake("TD014", "3 numbers", "2 teachers")
def weight_too_many(world: World) -> None:
    two_teachers(world)
    world.args = ["--distillation.teacher_weights", "[1, 2, 3]"]


@mistake("TD003", "teacher_weights", "greater than 0")
def weight_of_nothing(world: World) -> None:
    two_teachers(world)
    world.config["distillation"]["teacher_weights"] = [1, 0]


@mistake("TD015", "tagger", "Give -")
def another_teacher_than_the_configs(world: World) -> None:
    world.config["distillation"]["teachers"] = [str(world.teachers / "tagger")]


@mistake("TD016", "there are 2", "max_epochs")
def stream_for_two_teachers(world: World) -> None:
    two_teachers(world)
    world.config["distillation"]["max_epochs"] = -1
    world.config["paths"]["dev"] = str(write_gold(world.folder / "dev.spacy"))


@mistake("TD205", "xx_tiny_teacher", "ner")
def teacher_that_lacks_a_pipe_of_the_others(world: World) -> None:
    two_teachers(world, "tagger")


@mistake("TD627", "--targets")
def no_teacher_at_all(world: World) -> None:
    world.teacher = "-"


# The output


@mistake("TD302", "output", "--resume")
def nothing_to_resume(world: World) -> None:
    world.args = ["--resume"]


@mistake("TD303", "checkpoint.msgpack", "cannot be read")
def resume_from_a_damaged_checkpoint(world: World) -> None:
    world.output.mkdir()
    (world.output / "checkpoint.msgpack").write_bytes(b"hello")
    world.args = ["--resume"]


@mistake("TD303", "format is 99, expected")
def resume_from_a_checkpoint_of_another_version(world: World) -> None:
    world.output.mkdir()
    srsly.write_msgpack(world.output / "checkpoint.msgpack", {"format_version": 99, "weights": {}})
    world.args = ["--resume"]


@mistake("TD501", "output", "notes.txt", "--force", "--resume")
def output_with_other_things(world: World) -> None:
    world.output.mkdir()
    (world.output / "notes.txt").write_text("mine")


@mistake("TD506", "output")
def output_is_a_file(world: World) -> None:
    world.output.write_text("mine")


@mistake("TD507", "texts.txt")
def output_below_a_file(world: World) -> None:
    world.output = world.texts / "output"


@pytest.mark.parametrize(("spoil", "code", "facts"), MISTAKES)
@pytest.mark.usefixtures("no_teacher_runs")
def test_a_mistake_is_named_before_the_teacher_runs(
    spoil: Callable[[World], None], code: str, facts: tuple[str, ...], world: World
) -> None:
    spoil(world)
    assert_refused(world.run(), code, *facts)


def test_the_world_without_a_mistake_goes_well(world: World) -> None:
    """Else the table would show nothing."""
    result = world.run()
    assert result.exit_code == 0, result.output
    assert spacy.load(world.output / "model-best")(TEXTS[0]).has_annotation("TAG")


@pytest.mark.usefixtures("no_teacher_runs")
def test_a_run_without_a_mistake_asks_the_teacher(world: World) -> None:
    """Else that the teacher was not asked would show nothing either."""
    assert isinstance(world.run().exception, AssertionError)


# From Python


@pytest.mark.usefixtures("no_teacher_runs")
@pytest.mark.parametrize(
    ("texts", "code"),
    [([], "TD101"), ([""], "TD101"), (["one"], "TD109"), ("missing.txt", "TD102"), (Path("missing.txt"), "TD102")],
)
def test_mistakes_in_python_are_the_same_errors(texts: object, code: str, tmp_path: Path, teachers: Path) -> None:
    with pytest.raises(DistillationError) as caught:
        distill(str(teachers / "all"), texts, output=tmp_path / "output")
    assert caught.value.code == code
    assert isinstance(caught.value, ValueError)


# The output folder


def list_files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.usefixtures("no_teacher_runs")
@pytest.mark.parametrize("args", [[], ["--force", "--paths.distill", "missing.txt"], ["--gpu-id", "99", "--force"]])
def test_a_refused_run_leaves_the_output_folder_as_it_was(args: list[str], world: World) -> None:
    for name in ("model-best", "model-last"):
        (world.output / name).mkdir(parents=True)
        (world.output / name / "meta.json").write_text("{}")
    (world.output / "config.cfg").write_text("[nlp]")
    (world.output / "checkpoint.msgpack").write_bytes(b"state")
    before = list_files(world.output)
    world.args = args
    assert world.run().exit_code == 1
    assert list_files(world.output) == before


def test_force_replaces_an_earlier_run_and_nothing_else(world: World) -> None:
    foreign = ["notes.txt", "model-best.bak/meta.json", "data/model-best/meta.json"]
    ours = ["model-best/meta.json", "model-best/old.txt", "model-last/old.txt", "config.cfg", "checkpoint.msgpack"]
    for name in foreign + ours:
        (world.output / name).parent.mkdir(parents=True, exist_ok=True)
        (world.output / name).write_text(name)
    world.args = ["--force"]
    result = world.run()
    assert result.exit_code == 0, result.output
    after = list_files(world.output)
    for name in foreign:
        assert after[name] == name.encode()
    for name in ours:
        assert after.get(name) != name.encode()
    assert spacy.load(world.output / "model-best").pipe_names == world.config["nlp"]["pipeline"]


# Resuming


@pytest.fixture(scope="module")
def finished(teachers: Path, good_config: Config, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The output of a run of two steps."""
    world = World(tmp_path_factory.mktemp("finished"), teachers, good_config.copy())
    assert world.run().exit_code == 0
    return world.output


@pytest.fixture(scope="module")
def student(finished: Path) -> Language:
    return spacy.load(finished / "model-last")


@pytest.mark.usefixtures("no_teacher_runs")
@pytest.mark.parametrize("width", [24, 96])
def test_resuming_another_student(width: int, world: World, finished: Path) -> None:
    shutil.copytree(finished, world.output)
    world.config["components"]["ner"]["model"]["hidden_width"] = width
    world.args = ["--resume"]
    assert_refused(world.run(), "TD303", "other names or shapes", "--force")


@pytest.mark.usefixtures("no_teacher_runs")
def test_resuming_with_fewer_pipes(world: World, finished: Path) -> None:
    shutil.copytree(finished, world.output)
    world.config["nlp"]["pipeline"] = ["tok2vec", "tagger"]
    for name in ("ner", "textcat"):
        del world.config["components"][name]
    world.args = ["--resume"]
    assert_refused(world.run(), "TD303", "other names or shapes")


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], derandomize=True)
@given(data=st.data())
def test_any_damage_to_a_checkpoint_is_told(
    data: st.DataObject, finished: Path, student: Language, tmp_path: Path
) -> None:
    """Cut off, or with bytes changed near its beginning, where the structure is."""
    content = bytearray((finished / "checkpoint.msgpack").read_bytes())
    if data.draw(st.booleans()):
        del content[data.draw(st.integers(0, len(content) - 1)) :]
    else:
        start = data.draw(st.integers(0, 300))
        content[start : start + 8] = data.draw(st.binary(min_size=1, max_size=8))
    (tmp_path / "checkpoint.msgpack").write_bytes(content)
    try:
        state = read_checkpoint(tmp_path / "checkpoint.msgpack", student, {})
    except DistillationError as error:
        assert error.code == "TD303"  # noqa: PT017
    else:
        # Other weights of the same shapes cannot be told from the right ones.
        assert state["format_version"] == FORMAT_VERSION


# The other command


def test_writing_a_config_for_mistakes(tmp_path: Path, teachers: Path) -> None:
    teacher, out = teachers / "all", tmp_path / "out.cfg"
    command = ("init", "distill-config")
    assert_refused(invoke(*command, "no_such_teacher", out), "TD201", "no_such_teacher")
    assert_refused(invoke(*command, teacher, out, "--size", "huge"), "TD503", "'huge'", "mini, tiny, nano")
    assert_refused(invoke(*command, teacher, out, "--pipeline", "tagger,parsnip"), "TD504", "'parsnip'", "tagger, ner")
    spacy.blank(LANGUAGE).to_disk(tmp_path / "blank")
    assert_refused(invoke(*command, tmp_path / "blank", out), "TD505", "none")
    assert not out.exists()
    out.write_text("mine")
    assert_refused(invoke(*command, teacher, out), "TD502", "out.cfg", "--force")
    assert out.read_text() == "mine"
    assert invoke(*command, teacher, out, "--force").exit_code == 0
    assert out.read_text() != "mine"
    assert_refused(invoke(*command, teacher, out / "below.cfg"), "TD508", "below.cfg")
    assert_refused(invoke(*command, teacher, tmp_path, "--force"), "TD508", str(tmp_path))


# As people run it


def test_a_mistake_in_a_process_of_its_own(world: World) -> None:
    """Through the entry points, and with nothing of a traceback on any stream."""
    misspelt_key(world)
    world.config.to_disk(world.config_path, interpolate=False)
    command = [sys.executable, "-m", "spacy", "distill", world.teacher, world.config_path, "-o", world.output]
    result = subprocess.run([*command, *world.args], capture_output=True, text=True, check=False)
    assert result.returncode == 1
    assert "[TD002]" in result.stdout
    assert "Traceback" not in result.stdout + result.stderr
