"""`spacy init distill-config`: what it writes, and what it refuses."""

from pathlib import Path

import spacy
from spacy.util import load_config, load_model_from_config
from thinc.api import Config

from helpers.commands import assert_refused, invoke, spacy_cli
from helpers.tiny_teacher import LANGUAGE, TEXTS
from spacy_tinydistill.prepare import Run


def test_writing_a_config_for_mistakes(tiny_teacher_path: Path, tmp_path: Path) -> None:
    teacher, out = tiny_teacher_path, tmp_path / "out.cfg"
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


def test_a_student_learns_for_as_long_as_the_help_says(tiny_teacher_path: Path, tmp_path: Path) -> None:
    """A first one without a config, and one with the config that is written."""
    spacy_cli("init", "distill-config", tiny_teacher_path, tmp_path / "student.cfg")
    first = Run(tiny_teacher_path, TEXTS, None, {}, -1).settings.max_steps
    other = load_config(tmp_path / "student.cfg")["distillation"]["max_steps"]
    # Lines are also broken at hyphens.
    said = " ".join(spacy_cli("distill", "--help").split()).replace("- ", "-")
    assert f"learns for {first:,} updates" in said
    assert f"A config from init distill-config has {other:,}" in said


def test_the_rule_of_each_pipe_is_there_as_a_comment(tiny_teacher_path: Path, tmp_path: Path) -> None:
    """Without the `#` it is the rule that the pipe had, with the settings that it had."""
    config = tmp_path / "student.cfg"
    spacy_cli("init", "distill-config", tiny_teacher_path, config)
    text = config.read_text(encoding="utf-8") + "\n"
    run = Run(tiny_teacher_path, TEXTS, config, {}, -1)
    assert list(run.plan) == ["tagger", "ner", "textcat"]
    for name, (_, rule) in run.plan.items():
        assert f"# [distillation.teaching.{name}]\n# @teaching_rules" in text
        changed = tmp_path / f"{name}.cfg"
        start, end = text.index(f"# [distillation.teaching.{name}]"), text.index("\n\n", text.index(f".{name}]\n# @"))
        changed.write_text(text[:start] + text[start:end].replace("# ", "") + text[end:], encoding="utf-8")
        _, configured = Run(tiny_teacher_path, TEXTS, changed, {}, -1).plan[name]
        assert type(configured) is type(rule)
        assert vars(configured) == vars(rule)


def test_a_comment_says_what_spacy_train_would_not_have(tiny_teacher_path: Path, tmp_path: Path) -> None:
    teacher = spacy.load(tiny_teacher_path)
    spacy_cli("init", "distill-config", tiny_teacher_path, tmp_path / "plain.cfg")
    assert "spacy train" not in (tmp_path / "plain.cfg").read_text(encoding="utf-8")
    teacher.add_pipe("entity_ruler", name="towns").add_patterns([{"label": "TOWN", "pattern": "Rome"}])
    teacher.to_disk(tmp_path / "teacher")
    spacy_cli("init", "distill-config", tmp_path / "teacher", tmp_path / "rules.cfg")
    text = (tmp_path / "rules.cfg").read_text(encoding="utf-8")
    assert "takes what is in towns from the teacher" in text
    # As the comment says.
    source = f'source = "{tmp_path / "teacher"}"'
    assert source in text
    start = text.index("[components.towns]")
    end = text.index("\n[components", start + 1) if "\n[components" in text[start:] else text.index("\n[corpora]")
    text = f"{text[:start]}[components.towns]\n{source}\n{text[end:]}"
    nlp = load_model_from_config(Config().from_str(text, interpolate=False))
    assert [ent.label_ for ent in nlp.get_pipe("towns")(nlp.make_doc("in Rome")).ents] == ["TOWN"]
