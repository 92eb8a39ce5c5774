"""The config of a student, and its sizes."""

from pathlib import Path

import pytest
import spacy
from spacy.language import Language
from spacy.util import load_config, load_model_from_config

from helpers.account import warned_of
from helpers.one_pipe import start
from helpers.students_of_each_kind import LEARNING, RULES, initialized
from helpers.tiny_teacher import LANGUAGE, MODELS
from spacy_tinydistill.schemas import read_distillation_config
from spacy_tinydistill.student.config import SIZES, student_config


@pytest.mark.parametrize("size", SIZES)
def test_a_written_config_is_complete(size: str, teacher: Language, tmp_path: Path) -> None:
    config = student_config(teacher, size=size)
    config.to_disk(tmp_path / "student.cfg")
    read = load_config(tmp_path / "student.cfg", interpolate=False)
    assert read == config
    # Nothing to fill in, nothing that spaCy does not know, as `spacy debug config` would see it.
    student = load_model_from_config(read, auto_fill=False, validate=True)
    filled = load_model_from_config(read, auto_fill=True).config
    assert filled == read
    assert student.pipe_names == ["tok2vec", "sentencizer", *LEARNING, "entity_ruler", "attribute_ruler"]
    assert read["components"]["tok2vec"]["model"]["encode"]["width"] == SIZES[size].width
    assert {name: read["paths"][name] for name in ("distill", "gold", "dev")} == dict.fromkeys(
        ("distill", "gold", "dev")
    )
    assert read["nlp"]["lang"] == LANGUAGE
    assert warned_of(teacher, config) == []
    assert read_distillation_config(read).max_steps == 4000


def test_sizes_stand_in_the_order_of_their_size() -> None:
    widths = [size.width for size in SIZES.values()]
    assert widths == sorted(set(widths), reverse=True)
    rows = [sum(size.rows.values()) for size in SIZES.values()]
    assert rows == sorted(set(rows), reverse=True)


@pytest.mark.parametrize("name", LEARNING)
def test_one_pipe_alone(name: str, teacher: Language) -> None:
    config = student_config(teacher, size="nano", pipeline=[name])
    student = initialized(config, teacher)
    assert student.pipe_names == ["tok2vec", name]
    assert warned_of(teacher, config) == []
    assert config["distillation"]["leave_out"] == [other for other in teacher.component_names if other != name]
    pipe, original = student.get_pipe(name), teacher.get_pipe(name)
    assert type(pipe) is type(original)
    assert pipe.labels == original.labels
    doc = student("a text")
    assert [token.text for token in doc] == ["a", "text"]


@pytest.mark.parametrize("name", RULES)
def test_a_rule_alone_needs_no_encoder(name: str, teacher: Language) -> None:
    assert student_config(teacher, pipeline=[name])["nlp"]["pipeline"] == [name]


def test_settings_beside_the_model_are_the_teachers(teacher: Language) -> None:
    config = student_config(teacher)
    assert config["nlp"]["tokenizer"] == teacher.config["nlp"]["tokenizer"]
    # But for what is a matter of speed, and so of the model.
    assert (config["nlp"]["batch_size"], teacher.config["nlp"]["batch_size"]) == (64, 1000)
    assert config["components"]["spancat_singlelabel"]["spans_key"] == "single"
    assert (
        config["components"]["spancat_singlelabel"]["suggester"]
        == (teacher.config["components"]["spancat_singlelabel"]["suggester"])
    )
    assert config["components"]["sentencizer"]["punct_chars"] == ["|"]
    assert config["components"]["entity_ruler"]["overwrite_ents"] is True


def test_pipes_that_nobody_can_mirror_are_named() -> None:
    nlp = spacy.blank(LANGUAGE)
    nlp.add_pipe("sentencizer")
    listener = {"@architectures": "spacy.Tok2VecListener.v1", "width": 8}
    nlp.add_pipe("entity_linker", config={"model": {"tok2vec": listener}})
    config = student_config(nlp)
    assert config["nlp"]["pipeline"] == ["sentencizer"]
    assert warned_of(nlp, config) == ["entity_linker"]


def test_a_teachers_pipe_that_is_named_as_an_encoder() -> None:
    """It took the place of the student's encoder, and learning ended in spaCy's E203."""
    nlp = spacy.blank(LANGUAGE)
    nlp.add_pipe("tagger", name="tok2vec", config={"model": MODELS["tagger"]}).add_label("NOUN")
    nlp.initialize()
    config = student_config(nlp)
    assert {name: block["factory"] for name, block in config["components"].items()} == {
        "student_tok2vec": "tok2vec",
        "tok2vec": "tagger",
    }
    student, _ = start(nlp, config)
    assert student.get_pipe("student_tok2vec").listening_components == ["tok2vec"]
    assert [token.tag_ for token in student("Ann sings")] == ["NOUN", "NOUN"]
