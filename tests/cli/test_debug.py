"""`spacy debug distillation`: what it says of a run is what the run then comes to."""

from pathlib import Path

import pytest
import spacy
import spacy.cli

from helpers.commands import invoke
from helpers.tiny_teacher import ENCODER, LABELS, LANGUAGE, TEXTS, make_teacher, write_gold, write_texts
from spacy_tinydistill.cli import debug as debug_command
from spacy_tinydistill.student.config import student_config
from spacy_tinydistill.teacher.coverage import Coverage

pytestmark = pytest.mark.usefixtures("little_time")


def debug(*args: object) -> tuple[int, str]:
    result = invoke("debug", "distillation", *args)
    assert result.exception is None or isinstance(result.exception, SystemExit), repr(result.exception)
    return result.exit_code, " ".join(result.output.split())


def test_what_is_printed(tiny_teacher_path: Path, ten_updates: Path) -> None:
    code, said = debug(tiny_teacher_path, ten_updates)
    assert code == 0, said
    for fact in ("Teacher: xx_tiny_teacher", "tagger learns from tagger (TokenLabels)", "36 texts of 144 words"):
        assert fact in said
    assert "textcat: all 2 labels are predicted" in said
    assert "a sample of 144 words" in said
    assert "11 updates of" in said
    assert "4 evaluations of" in said
    assert "the student has pipes for all that the teacher writes" in said


def test_what_the_student_lacks_is_said(tiny_teacher_path: Path, ten_updates: Path) -> None:
    config = spacy.util.load_config(ten_updates, interpolate=False)
    config["nlp"]["pipeline"].remove("ner")
    del config["components"]["ner"]
    config.to_disk(ten_updates)
    code, said = debug(tiny_teacher_path, ten_updates)
    assert code == 0, said
    assert "From raw text: not in the student: entities (ner)" in said
    assert "Left out: ner" in said


def test_where_patience_decides_nobody_knows_how_long_it_takes(tiny_teacher_path: Path, ten_updates: Path) -> None:
    args = ["--distillation.max_steps", 0, "--training.patience", 5]
    code, said = debug(tiny_teacher_path, ten_updates, *args, "--distillation.optimizer.learn_rate.total_steps", 9)
    assert code == 0, said
    assert "patience decides how many" in said
    assert "Total time" not in said


def test_labels_that_are_known_only_when_the_teacher_has_spoken(ten_updates: Path, tmp_path: Path) -> None:
    """A pipe that does not list its labels teaches hard ones."""
    (tmp_path / "code.py").write_text(
        "from spacy.language import Language\n"
        "@Language.component('tests_tag_all')\n"
        "def tag_all(doc):\n"
        "    for token in doc:\n"
        "        token.tag_ = 'LONG' if len(token) > 4 else 'SHORT'\n"
        "    return doc\n"
    )
    spacy.util.import_file("python_code", tmp_path / "code.py")
    nlp = spacy.blank(LANGUAGE)
    nlp.add_pipe("tests_tag_all", name="tagger")
    nlp.to_disk(tmp_path / "teacher")
    config = student_config(make_teacher("tagger", updates=0), size="nano")
    config["distillation"]["max_steps"] = 10
    config.to_disk(tmp_path / "student.cfg")
    texts = write_texts(tmp_path / "texts.txt")
    code, said = debug(tmp_path / "teacher", tmp_path / "student.cfg", "--paths.distill", texts)
    assert code == 0, said
    assert "The labels will be collected from the teacher's annotations" in said


def test_everything_that_is_wrong_is_said(tiny_teacher_path: Path, ten_updates: Path) -> None:
    args = ["--paths.distill", "no_texts.jsonl", "--paths.dev", "no_dev.spacy"]
    args += ["--distillation.student_to_teacher.tagger", "no_tagger", "--training.eval_frequency", "0"]
    args += ["--gpu-id", "99"]
    code, said = debug(tiny_teacher_path, ten_updates, *args)
    assert code == 1
    for fact in ("[TD211]", "[TD205]", "'no_tagger'", "[TD012]", "eval_frequency"):
        assert fact in said
    code, said = debug(tiny_teacher_path, ten_updates, *args[:4])
    assert code == 1
    assert said.count("[TD102]") == 2
    assert "✔ Teacher" in said
    assert "✔ Pipes" in said
    code, said = debug("no_teacher", ten_updates, "--distillation.dropuot", 0.1)
    assert code == 1
    assert "[TD201]" in said
    assert "[TD002]" in said


def test_each_pipe_that_lacks_labels_is_said(tiny_teacher_path: Path, ten_updates: Path) -> None:
    config = spacy.util.load_config(ten_updates, interpolate=False)
    config["initialize"]["components"] = {"tagger": {"labels": ["NOUN"]}, "textcat": {"labels": ["SAD", "OTHER"]}}
    config.to_disk(ten_updates)
    code, said = debug(tiny_teacher_path, ten_updates)
    assert code == 1
    assert said.count("[TD203]") == 2
    assert "✔ Labels of ner" in said


def test_what_no_single_check_finds_is_said(tiny_teacher_path: Path, ten_updates: Path, tmp_path: Path) -> None:
    code, said = debug(tiny_teacher_path, ten_updates, "--paths.distill", write_texts(tmp_path / "one.txt", TEXTS[:1]))
    assert code == 1
    assert "[TD109]" in said


def test_what_cannot_be_described_is_one_line_of_the_list(ten_updates: Path, tmp_path: Path) -> None:
    """The teacher has one layer: the list is there, and says so of the rule alone."""
    nlp = make_teacher("tagger", updates=0)
    nlp.add_pipe("tok2vec", config={"model": ENCODER}, first=True)
    nlp.initialize()
    nlp.to_disk(tmp_path / "teacher")
    config = student_config(nlp, size="nano")
    rule = {"@teaching_rules": "spacy-tinydistill.HiddenStates.v1", "layers": [5]}
    config["distillation"]["teaching"] = {"tok2vec": rule}
    config.to_disk(ten_updates)
    code, said = debug(tmp_path / "teacher", ten_updates, "--paths.distill", "no_texts.txt")
    assert code == 1
    assert said.count("[TD212]") == said.count("[TD102]") == 1
    assert "✔ Teacher" in said
    assert "✔ Pipes" in said
    # What needs a step that failed cannot be looked at, and is neither right nor wrong.
    assert "Labels" not in said


def test_of_an_endless_stream_a_beginning_is_read(tiny_teacher_path: Path, ten_updates: Path, tmp_path: Path) -> None:
    """Also where something is wrong, and all is looked at."""
    (tmp_path / "code.py").write_text(
        "from itertools import count\n"
        "from spacy.training import Example\n"
        "from spacy.util import registry\n"
        "@registry.readers('tests_endless')\n"
        "def endless():\n"
        "    def read(nlp):\n"
        "        for number in count():\n"
        "            assert number < 5000, 'the stream was read to its end'\n"
        "            yield Example(nlp.make_doc('Ann sings'), nlp.make_doc('Ann sings'))\n"
        "    return read\n"
    )
    config = spacy.util.load_config(ten_updates, interpolate=False)
    config["corpora"]["distill"] = {"@readers": "tests_endless"}
    config["distillation"]["max_epochs"] = -1
    config["initialize"]["components"] = {"tagger": {"labels": ["NOUN"]}}
    config.to_disk(ten_updates)
    dev = write_gold(tmp_path / "dev.spacy", TEXTS[:5])
    code, said = debug(tiny_teacher_path, ten_updates, "--paths.dev", dev, "--code", tmp_path / "code.py")
    assert code == 1
    assert "[TD203]" in said
    assert "✔ Texts" in said


def test_a_teacher_is_loaded_once(tiny_teacher_path: Path, ten_updates: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is wrong, and however often it is needed."""
    loaded: list[Path] = []
    load = spacy.load
    monkeypatch.setattr(spacy, "load", lambda name: loaded.append(name) or load(name))
    code, said = debug(tiny_teacher_path, ten_updates, "--paths.distill", "no_texts.txt")
    assert code == 1
    assert "[TD102]" in said
    assert len(loaded) == 1


def test_labels_never_predicted(tmp_path: Path) -> None:
    labels = {"tagger": [*LABELS["tagger"], "NEVER"], "ner": [*LABELS["ner"], "UNSEEN"]}
    make_teacher(labels=labels).to_disk(tmp_path / "teacher")
    config = student_config(spacy.load(tmp_path / "teacher"), size="nano")
    config["distillation"]["max_steps"] = 10
    config.to_disk(tmp_path / "student.cfg")
    texts = write_texts(tmp_path / "texts.txt")
    code, said = debug(tmp_path / "teacher", tmp_path / "student.cfg", "--paths.distill", texts)
    assert code == 0
    assert "tagger: 1 of 4 labels are not predicted: NEVER" in said
    assert "ner: 1 of 3 labels are not predicted: UNSEEN" in said


@pytest.mark.parametrize(("words", "unknown", "is_warned"), [(800, 0, False), (800, 15, True), (300, 0, True)])
def test_text_that_the_teacher_does_not_know_is_warned_of(
    words: int, unknown: int, is_warned: bool, capsys: pytest.CaptureFixture
) -> None:
    debug_command._print_coverage(Coverage("pieces", words=words, units=1000, unknown=unknown))
    said = " ".join(capsys.readouterr().out.split())
    assert f"{unknown / 1000:.2%} of the texts' 1,000 word pieces" in said
    assert f"{1000 / words:.2f} pieces" in said
    assert ("probably not trained for such text" in said) is is_warned
