"""A student's pipes have the settings that their teachers hold when they annotate: what spaCy saves in PIPE/cfg."""

from pathlib import Path
from typing import Any

import pytest
import spacy
from spacy.language import Language
from thinc.api import Config

from helpers.one_pipe import FACTORIES, start, teach
from helpers.tiny_teacher import LANGUAGE
from spacy_tinydistill.errors import DistillationError
from spacy_tinydistill.pipes.profile import TeacherProfile, profile_teacher
from spacy_tinydistill.student.config import student_config
from spacy_tinydistill.student.pipeline import own_settings, save_student


def settings_of(nlp: Language) -> dict[str, Any]:
    """What the pipe holds beside its labels."""
    pipe: Any = nlp.get_pipe("taught")
    return {key: value for key, value in pipe.cfg.items() if not key.startswith("labels")}


def change(key: str, value: Any) -> Any:
    """Another value that spaCy takes as well."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return value + 3
    if isinstance(value, float):
        return round(value / 2 + 0.01, 4)
    if isinstance(value, list) or key == "moves":
        return value
    return "$a${b}" if key.endswith(("_key", "_label", "_prefix")) else 2


@pytest.mark.parametrize("factory", FACTORIES)
def test_whatever_a_pipe_holds_is_its_students(factory: str, tmp_path: Path) -> None:
    teacher = teach(factory, **FACTORIES[factory])
    # Written by another hand, before the teacher was given other settings.
    before = student_config(teacher, size="nano")
    pipe: Any = teacher.get_pipe("taught")
    pipe.cfg.update({key: change(key, value) for key, value in settings_of(teacher).items()})
    expected = settings_of(teacher)
    teacher.to_disk(tmp_path / "teacher")
    for nlp in (teacher, spacy.load(tmp_path / "teacher")):
        for config in (None, before):
            student, plan = start(nlp, config)
            assert settings_of(student) == expected
            assert own_settings(student, profile_teacher(nlp), plan) == []
            save_student(student, tmp_path / "student", student.vocab.strings)
            assert settings_of(spacy.load(tmp_path / "student")) == expected


def test_there_is_something_to_change_in_each_kind_of_pipe() -> None:
    """But in those whose settings are attributes, or which have none."""
    blank = spacy.blank(LANGUAGE)
    without = []
    for factory, config in FACTORIES.items():
        pipe: Any = blank.add_pipe(factory, name=factory, config=config)
        if not [key for key, value in pipe.cfg.items() if not key.startswith("labels") and change(key, value) != value]:
            without.append(factory)
    assert without == ["trainable_lemmatizer"]


def test_a_positive_label_with_a_dollar() -> None:
    teacher = spacy.blank(LANGUAGE)
    pipe: Any = teacher.add_pipe("textcat", name="taught", config=FACTORIES["textcat"])
    pipe.add_label("$up")
    pipe.add_label("$down")
    teacher.initialize()
    pipe.cfg["positive_label"] = "$up"
    student, _ = start(teacher)
    assert settings_of(student)["positive_label"] == "$up"
    assert student.get_pipe("taught").labels == ("$up", "$down")


def test_a_setting_of_the_students_own_stays_and_is_told() -> None:
    teacher = teach("textcat", **FACTORIES["textcat"])
    pipe: Any = teacher.get_pipe("taught")
    pipe.cfg["threshold"] = 0.4
    student, plan = start(teacher, None, **{"components.taught.threshold": 0.7})
    assert settings_of(student)["threshold"] == 0.7
    told = own_settings(student, profile_teacher(teacher), plan)
    assert told == ["taught: threshold = 0.7, its teacher has 0.4"]


def test_another_kind_of_pipe_keeps_its_own_settings() -> None:
    teacher = teach("textcat_multilabel", **FACTORIES["textcat_multilabel"])
    pipe: Any = teacher.get_pipe("taught")
    pipe.cfg["threshold"] = 0.4
    config = student_config(teacher, size="nano")
    config["components"]["taught"].update(factory="textcat", threshold=0.0)
    config["components"]["taught"]["model"]["exclusive_classes"] = True
    config["components"]["taught"]["scorer"] = {"@scorers": "spacy.textcat_scorer.v2"}
    student, _ = start(teacher, config)
    assert settings_of(student)["threshold"] == 0.0


def test_settings_are_kept_with_recorded_targets() -> None:
    teacher = teach("span_finder", **FACTORIES["span_finder"])
    pipe: Any = teacher.get_pipe("taught")
    pipe.cfg["threshold"] = 0.1
    profile = TeacherProfile.from_bytes(profile_teacher(teacher).to_bytes())
    assert profile.pipes["taught"].cfg["threshold"] == 0.1


def test_variables_of_the_teachers_config_are_resolved() -> None:
    config = Config().from_str(
        '[vars]\nmarks = [";"]\n[nlp]\nlang = "xx"\npipeline = ["sentencizer"]\n[components]\n'
        '[components.sentencizer]\nfactory = "sentencizer"\npunct_chars = ${vars.marks}\n',
        interpolate=False,
    )
    teacher = spacy.util.load_model_from_config(config, auto_fill=True)
    assert student_config(teacher)["components"]["sentencizer"]["punct_chars"] == [";"]


def test_a_value_that_no_config_can_say() -> None:
    in_config = spacy.blank(LANGUAGE)
    in_config.add_pipe("span_finder", config={"spans_key": "${key}"})
    with pytest.raises(DistillationError, match=r"TD240.*\$\{key\}"):
        student_config(in_config)
    on_pipe = spacy.blank(LANGUAGE)
    ruler: Any = on_pipe.add_pipe("span_ruler")
    ruler.spans_key = "${key}"
    with pytest.raises(DistillationError, match=r"TD240.*spans_key.*\$\{key\}"):
        student_config(on_pipe)


def test_rules_have_the_settings_that_they_hold() -> None:
    teacher = spacy.blank(LANGUAGE)
    ruler: Any = teacher.add_pipe("span_ruler")
    ruler.spans_key, ruler.annotate_ents = "mine", True
    block = student_config(teacher)["components"]["span_ruler"]
    assert (block["factory"], block["spans_key"], block["annotate_ents"]) == ("span_ruler", "mine", True)
