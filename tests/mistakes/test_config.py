"""What is wrong with a config, and what people are told before the teacher runs once."""

import subprocess
import sys
from collections.abc import Callable

import pytest
import spacy
from spacy.util import registry

from helpers.commands import assert_refused
from helpers.mistakes import Mistakes, World
from helpers.tiny_teacher import TEXTS, write_gold

mistake = Mistakes()


def import_what_is_missing() -> None:
    import not_installed_anywhere  # noqa: F401


def raise_key_error() -> None:
    raise KeyError("no key")


registry.loggers("tests.LoggerOfAMissingPackage.v1")(import_what_is_missing)
registry.readers("tests.ReaderOfAMissingPackage.v1")(import_what_is_missing)
registry.architectures("tests.ArchitectureOfAMissingPackage.v1")(import_what_is_missing)
registry.tokenizers("tests.TokenizerOfAMissingPackage.v1")(import_what_is_missing)
registry.callbacks("tests.CallbackOfAMissingPackage.v1")(import_what_is_missing)
registry.architectures("tests.ArchitectureThatFails.v1")(raise_key_error)


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


@mistake("TD004", "not_installed_anywhere", "--code", "install it")
def logger_of_a_package_that_is_not_installed(world: World) -> None:
    world.config["training"]["logger"] = {"@loggers": "tests.LoggerOfAMissingPackage.v1"}


@mistake("TD004", "not_installed_anywhere")
def reader_of_a_package_that_is_not_installed(world: World) -> None:
    world.config["corpora"]["distill"] = {"@readers": "tests.ReaderOfAMissingPackage.v1"}


@mistake("TD004", "not_installed_anywhere")
def architecture_of_a_package_that_is_not_installed(world: World) -> None:
    world.config["components"]["tagger"]["model"] = {"@architectures": "tests.ArchitectureOfAMissingPackage.v1"}


@mistake("TD004", "not_installed_anywhere")
def tokenizer_of_a_package_that_is_not_installed(world: World) -> None:
    world.config["nlp"]["tokenizer"] = {"@tokenizers": "tests.TokenizerOfAMissingPackage.v1"}


@mistake("TD004", "not_installed_anywhere")
def callback_of_a_package_that_is_not_installed(world: World) -> None:
    world.config["initialize"]["before_init"] = {"@callbacks": "tests.CallbackOfAMissingPackage.v1"}


@mistake("TD210", "KeyError('no key')")
def architecture_that_fails(world: World) -> None:
    world.config["components"]["tagger"]["model"] = {"@architectures": "tests.ArchitectureThatFails.v1"}


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


@pytest.mark.parametrize(("spoil", "code", "facts"), mistake)
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


@pytest.mark.slow
def test_a_mistake_in_a_process_of_its_own(world: World) -> None:
    """Through the entry points, and with nothing of a traceback on any stream."""
    misspelt_key(world)
    world.config.to_disk(world.config_path, interpolate=False)
    command = [sys.executable, "-m", "spacy", "distill", world.teacher, world.config_path, "-o", world.output]
    result = subprocess.run([*command, *world.args], capture_output=True, text=True, check=False)
    assert result.returncode == 1
    assert "[TD002]" in result.stdout
    assert "Traceback" not in result.stdout + result.stderr
