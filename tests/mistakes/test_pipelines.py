"""Teachers and students that cannot be loaded or do not fit each other."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import spacy
import srsly
from spacy.tokens import Doc, DocBin, Span

from helpers.commands import assert_refused
from helpers.mistakes import Mistakes, World
from helpers.tiny_teacher import LANGUAGE, TEXTS, annotate_gold, write_gold, write_texts

mistake = Mistakes()


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


@mistake("TD202", "broken_teacher", "no.Tokenizer.v1", "--code")
def teacher_with_an_unknown_tokenizer(world: World) -> None:
    file = copy_teacher(world) / "config.cfg"
    file.write_text(file.read_text().replace("spacy.Tokenizer.v1", "no.Tokenizer.v1"))


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


@mistake("TD004", "no.Architecture.v1")
def student_of_an_unknown_architecture(world: World) -> None:
    world.args = ["--components.tagger.model.@architectures", "no.Architecture.v1"]


@mistake("TD210", "no_such_factory")
def student_of_an_unknown_factory(world: World) -> None:
    world.args = ["--components.tagger.factory", "no_such_factory"]


@mistake("TD210", "tagger")
def student_pipe_without_a_block(world: World) -> None:
    del world.config["components"]["tagger"]


@mistake("TD004", "no.Logger.v1")
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


@pytest.mark.parametrize(("spoil", "code", "facts"), mistake)
@pytest.mark.usefixtures("no_teacher_runs")
def test_a_mistake_is_named_before_the_teacher_runs(
    spoil: Callable[[World], None], code: str, facts: tuple[str, ...], world: World
) -> None:
    spoil(world)
    assert_refused(world.run(), code, *facts)
