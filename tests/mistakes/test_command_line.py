"""Mistakes that people make on the command line: each ends in a message that names the mistake and the mend.

The other modules of this folder spoil a config one value at a time; here whole command lines are wrong.
"""

import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path

import pytest
import spacy
from spacy.language import Language
from spacy.tokens import DocBin

from helpers.commands import invoke
from helpers.tiny_teacher import LANGUAGE, TEXTS, make_teacher, write_gold, write_texts
from spacy_tinydistill import api, prepare
from spacy_tinydistill.pipes.pipeline import load_teacher
from spacy_tinydistill.student.config import student_config


@dataclass
class Desk:
    """A folder with what somebody needs to distil, and other things that lie about."""

    folder: Path
    made: Path  # Teachers, a config and a store, which tests do not change

    def __call__(self, name: str) -> str:
        return str(self.folder / name)

    def write(self, name: str, content: str | bytes) -> str:
        path = self.folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return str(path)

    @property
    def teacher(self) -> str:
        return str(self.made / "teacher")

    @property
    def config(self) -> str:
        return str(self.made / "student.cfg")

    @property
    def texts(self) -> str:
        return str(self.made / "texts.txt")

    @property
    def out(self) -> list[str]:
        return ["--output", str(self.folder / "output")]

    def distill(self, *args: object, config: str | None = None) -> list[object]:
        """A good command line, and what is added to it."""
        config = config or self.config
        return ["distill", self.teacher, config, *self.out, "--paths.distill", self.texts, *args]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made")
    teacher = make_teacher()
    teacher.to_disk(folder / "teacher")
    config = student_config(teacher, size="nano")
    config["distillation"]["max_steps"] = 2
    config.to_disk(folder / "student.cfg")
    write_texts(folder / "texts.txt")
    other = make_teacher("tagger")
    other.to_disk(folder / "other")
    api.record_targets(other, TEXTS, store=folder / "store-of-other")
    spacy.blank(LANGUAGE).to_disk(folder / "blank")
    return folder


@pytest.fixture
def desk(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    # A good teacher is loaded once, to save time.
    teacher = _loaded(made / "teacher")
    monkeypatch.setattr(
        prepare, "load_teacher", lambda name: teacher if Path(name) == made / "teacher" else load_teacher(name)
    )
    return Desk(tmp_path, made)


LOADED: dict[Path, Language] = {}


def _loaded(path: Path) -> Language:
    if path not in LOADED:
        LOADED[path] = spacy.load(path)
    return LOADED[path]


Line = Callable[[Desk], list]

# Name; command line; number, or None where spaCy refuses it first; what the message says of the mistake and the mend.
MISTAKES: list[tuple[str, Line, str | None, list[str]]] = [
    # What to distil from and with
    (
        "teacher misspelt",
        lambda desk: ["distill", "en_core_web_tfr", desk.config, *desk.out],
        "TD201",
        ["'en_core_web_tfr'", "an installed pipeline package, or a folder"],
    ),
    (
        "teacher zipped",
        lambda desk: [
            "distill",
            shutil.make_archive(desk("zipped"), "zip", desk.teacher),
            desk.config,
            *desk.out,
        ],
        "TD201",
        ["zipped.zip", "Expected an installed pipeline package, or a folder"],
    ),
    (
        "config and teacher swapped",
        lambda desk: ["distill", desk.config, desk.teacher, *desk.out],
        "TD201",
        ["student.cfg is a file, no pipeline; did you swap the teacher and the config?"],
    ),
    (
        "a folder in place of the config",
        lambda desk: ["distill", desk.teacher, str(Path(desk.teacher) / "vocab"), *desk.out],
        "TD103",
        ["vocab", "Expected at least one", ".jsonl"],
    ),
    (
        "config misspelt",
        lambda desk: desk.distill(config=desk("studnet.cfg")),
        "TD005",
        ["studnet.cfg", "init distill-config"],
    ),
    (
        "config in place of texts",
        lambda desk: ["distill", desk.teacher, desk.config, *desk.out, "--paths.distill", desk.config],
        "TD104",
        ["student.cfg", ".jsonl"],
    ),
    (
        "texts and config swapped",
        lambda desk: ["distill", desk.teacher, desk.texts, *desk.out, "--paths.distill", desk.config],
        "TD011",
        ["texts.txt", "student.cfg", "spacy distill TEACHER CONFIG --paths.distill TEXTS"],
    ),
    (
        "config of spacy train",
        lambda desk: desk.distill(config=str(Path(desk.teacher) / "config.cfg")),
        "TD001",
        ["no [distillation] block", "init distill-config"],
    ),
    (
        "config of another teacher",
        lambda desk: [
            "distill",
            str(desk.made / "other"),
            desk.config,
            *desk.out,
            "--paths.distill",
            desk.texts,
        ],
        "TD205",
        ["no pipe 'ner'", "Its pipes are tagger", "student_to_teacher"],
    ),
    (
        "teacher without pipes",
        lambda desk: ["distill", str(desk.made / "blank"), desk.texts, *desk.out],
        "TD505",
        ["it has none", "Write a config"],
    ),
    (
        "teacher without the pipes",
        lambda desk: ["distill", str(desk.made / "blank"), desk.config, *desk.out],
        "TD205",
        ["Its pipes are none", "frozen_components"],
    ),
    (
        "teacher that needs what is not installed",
        lambda desk: ["distill", _needy_teacher(desk), desk.config, *desk.out],
        "TD202",
        ["needy", "llm", "pip install"],
    ),
    # Texts
    (
        "Latin-1",
        lambda desk: desk.distill("--paths.distill", desk.write("latin.txt", "Zoé sings\n".encode("latin1"))),
        "TD108",
        ["latin.txt", "0xe9", "Expected UTF-8", "iconv -f LATIN1"],
    ),
    (
        "a broken line",
        lambda desk: desk.distill("--paths.distill", desk.write("broken.jsonl", '{"text": "one"}\n{"text": "two}\n')),
        "TD105",
        ["broken.jsonl, line 2", "skip_bad_lines"],
    ),
    (
        "CSV without the column",
        lambda desk: desk.distill("--paths.distill", desk.write("mails.csv", "id,body\n1,Ann sings\n")),
        "TD110",
        ["mails.csv", "'text'", "id, body", "--corpora.distill.column"],
    ),
    (
        "a file with nothing in it",
        lambda desk: desk.distill("--paths.distill", desk.write("empty.txt", "")),
        "TD107",
        ["empty.txt", "Expected at least one text"],
    ),
    (
        "a folder with nothing to read in it",
        lambda desk: desk.distill("--paths.distill", str(Path(desk.write("scans/page.pdf", "%PDF")).parent)),
        "TD103",
        ["scans", "Expected at least one", ".jsonl"],
    ),
    (
        "nothing on standard input",
        lambda desk: ["distill", desk.teacher, "-", *desk.out],
        "TD101",
        ["no text to learn on", "Give a file or folder"],
    ),
    (
        "dev data that is not there",
        lambda desk: desk.distill("--paths.dev", desk("dev.spacy")),
        "TD102",
        ["dev.spacy", "check the path"],
    ),
    (
        "gold that is text",
        lambda desk: desk.distill("--paths.gold", desk.texts),
        "TD104",
        ["texts.txt", "ends in one of .spacy"],
    ),
    (
        "gold without annotations",
        lambda desk: desk.distill("--paths.gold", _bare_docs(desk)),
        "TD111",
        ["gold corpus", "none of its 36 Docs", "belongs in [paths] distill"],
    ),
    (
        "dev data without annotations",
        lambda desk: desk.distill("--paths.dev", _bare_docs(desk)),
        "TD111",
        ["dev corpus", "Expected gold annotations", "spacy convert"],
    ),
    # Options and overrides
    (
        "an option that is an override",
        lambda desk: desk.distill("--max-steps", 5),
        "TD010",
        ["--max-steps", "Did you mean --distillation.max_steps?"],
    ),
    (
        "an option that does not exist",
        lambda desk: desk.distill("--epochs", 5),
        "TD010",
        ["--epochs", "See --help"],
    ),
    (
        "an override misspelt",
        lambda desk: desk.distill("--distillation.max_step", 5),
        "TD002",
        ["max_step", 'Did you mean "max_steps"?'],
    ),
    (
        "an override's block misspelt",
        lambda desk: desk.distill("--distilation.max_steps", 5),
        "TD005",
        ["distilation", "init distill-config"],
    ),
    (
        "an override without its value",
        lambda desk: desk.distill("--distillation.max_steps"),
        "TD003",
        ["max_steps = True", "Correct it"],
    ),
    (
        "a path without its value",
        lambda desk: ["distill", desk.teacher, desk.config, *desk.out, "--paths.distill"],
        "TD013",
        ["--paths.distill", "True", "Give a path"],
    ),
    (
        "a value without its option",
        lambda desk: desk.distill("more.txt"),
        None,
        ["'more.txt'", "should start with --"],
    ),
    (
        "a comma for a point",
        lambda desk: desk.distill("--distillation.hold_out", "0,05"),
        "TD003",
        ["'0,05'", "valid number", "Correct it"],
    ),
    (
        "percent for a share",
        lambda desk: desk.distill("--distillation.dropout", 10),
        "TD003",
        ["dropout = 10", "less than 1"],
    ),
    (
        "no updates",
        lambda desk: desk.distill("--distillation.max_steps", 0),
        "TD007",
        ["max_steps", "Set at least one"],
    ),
    (
        "evaluated every 0 updates",
        lambda desk: desk.distill("--training.eval_frequency", 0),
        "TD012",
        ["eval_frequency is 0", "at least 1"],
    ),
    (
        "batches cut into 0 parts",
        lambda desk: desk.distill("--training.accumulate_gradient", 0),
        "TD012",
        ["accumulate_gradient is 0", "at least 1"],
    ),
    (
        "a word for a number",
        lambda desk: desk.distill("--training.patience", "none"),
        "TD210",
        ["patience", "found 'none'", "Correct the config"],
    ),
    (
        "negative temperature",
        lambda desk: desk.distill(config=_taught(desk, "temperature = -1.0")),
        "TD004",
        ["temperature is -1.0", "more than 0"],
    ),
    (
        "negative top_k",
        lambda desk: desk.distill(config=_taught(desk, "top_k = -1")),
        "TD004",
        ["top_k is -1", "0 or more"],
    ),
    (
        "a GPU that is not there",
        lambda desk: desk.distill("--gpu-id", 99),
        "TD211",
        ["GPU 99", "Leave out --gpu-id"],
    ),
    (
        "a GPU by name",
        lambda desk: desk.distill("--gpu-id", "cuda:0"),
        None,
        ["--gpu-id", "valid integer"],
    ),
    (
        "code that is not there",
        lambda desk: desk.distill("--code", desk("functions.py")),
        "TD412",
        ["functions.py", "there is no Python file", "Give a Python file"],
    ),
    (
        "code in a folder",
        lambda desk: desk.distill("--code", desk.folder),
        "TD412",
        ["there is no Python file", "Give a Python file"],
    ),
    (
        "code with a mistake in it",
        lambda desk: desk.distill("--code", desk.write("functions.py", "def halve(x):\n    return x / 2)\n")),
        "TD412",
        ["functions.py", "unmatched ')'", "line 2"],
    ),
    (
        "code that needs what is not installed",
        lambda desk: desk.distill("--code", desk.write("functions.py", "import not_installed_here\n")),
        "TD412",
        ["functions.py", "No module named 'not_installed_here'"],
    ),
    # Output and going on
    (
        "no output",
        lambda desk: ["distill", desk.teacher, desk.config],
        None,
        ["Missing option", "--output"],
    ),
    (
        "no config",
        lambda desk: ["distill", desk.teacher, *desk.out],
        None,
        ["Missing argument", "config_or_texts"],
    ),
    (
        "an output folder in use",
        lambda desk: [desk.write("output/thesis.tex", "x") and arg for arg in desk.distill()],
        "TD501",
        ["output", "thesis.tex", "Choose another folder"],
    ),
    (
        "an output that cannot be made",
        lambda desk: ["distill", desk.teacher, desk.config, "-o", desk.write("notes.txt", "x") + "/student"],
        "TD507",
        ["notes.txt/student", "Choose another folder"],
    ),
    (
        "nothing to resume",
        lambda desk: desk.distill("--resume"),
        "TD302",
        ["output", "Start without --resume"],
    ),
    (
        "targets of another teacher",
        lambda desk: ["distill", desk.teacher, desk.config, *desk.out, "-t", desk.made / "store-of-other"],
        "TD603",
        ["store-of-other", "another teacher", "Name the teacher that was recorded"],
    ),
    (
        "targets of other pipes",
        lambda desk: ["distill", "-", desk.config, *desk.out, "-t", desk.made / "store-of-other"],
        "TD610",
        ["'ner'", "They are for tagger", "Record again"],
    ),
    (
        "targets that are not there",
        lambda desk: ["distill", desk.teacher, desk.config, *desk.out, "--targets", desk("store")],
        "TD601",
        ["store", "distill-targets"],
    ),
    (
        "targets and texts",
        lambda desk: ["distill", "-", desk.texts, *desk.out, "--targets", desk.made / "store-of-other"],
        "TD615",
        ["Give a config in place of the texts"],
    ),
    (
        "no teacher and no targets",
        lambda desk: ["distill", "-", desk.config, *desk.out],
        "TD627",
        ["there are none", "--targets"],
    ),
    # The other commands
    (
        "a size that does not exist",
        lambda desk: ["init", "distill-config", desk.teacher, desk("out.cfg"), "--size", "small"],
        "TD503",
        ["'small'", "mini, tiny, nano"],
    ),
    (
        "a pipe that does not exist",
        lambda desk: ["init", "distill-config", desk.teacher, desk("out.cfg"), "--pipeline", "tagger,parser"],
        "TD504",
        ["'parser'", "tagger, ner, textcat"],
    ),
    (
        "a config that is there",
        lambda desk: ["init", "distill-config", desk.teacher, desk.write("mine.cfg", "[nlp]")],
        "TD502",
        ["mine.cfg", "--force"],
    ),
    (
        "an engine that does not exist",
        lambda desk: ["distill-targets", desk.teacher, desk.texts, desk("store"), "--engine", "dask"],
        "TD620",
        ["'dask'", "local, ray"],
    ),
    (
        "a store where other things are",
        lambda desk: ["distill-targets", desk.teacher, desk.texts, desk.made],
        "TD618",
        ["student.cfg", "Choose another folder"],
    ),
    (
        "a store behind a URL that nothing knows",
        lambda desk: ["distill-targets", desk.teacher, desk.texts, "s4://bucket/store"],
        "TD507",
        ["s4://bucket/store", "Choose another folder"],
    ),
    (
        "a config in place of texts to record",
        lambda desk: ["distill-targets", desk.teacher, desk.config, desk("store")],
        "TD104",
        ["student.cfg", ".jsonl"],
    ),
    (
        "vectors of a teacher without an encoder",
        lambda desk: ["init", "distill-vectors", str(desk.made / "blank"), desk.texts, desk("vectors")],
        "TD520",
        ["no pipes", "transformer"],
    ),
    (
        "a student that was never made",
        lambda desk: ["benchmark", "distillation", desk.teacher, desk("student"), desk.texts, "-o", desk("report")],
        "TD401",
        ["no student", "Check the path"],
    ),
    (
        "teacher and student swapped with the data",
        lambda desk: ["benchmark", "distillation", desk.texts, desk.teacher, desk.texts, "-o", desk("report")],
        "TD401",
        ["texts.txt is a file, no pipeline; did you swap"],
    ),
    (
        "thresholds without a number",
        lambda desk: [
            *["benchmark", "distillation", desk.teacher, desk.teacher, desk.texts, "-o", desk("report")],
            *["--min-retention", "tag_acc"],
        ],
        "TD415",
        ["'tag_acc'", "tag_acc=0.99,dep_las=0.97"],
    ),
    (
        "texts and teacher swapped",
        lambda desk: ["distill", desk.texts, desk.teacher, *desk.out],
        "TD201",
        ["texts.txt is a file, no pipeline; did you swap the teacher and the texts?"],
    ),
    (
        "texts, as a link, and teacher swapped",
        lambda desk: ["distill", link(desk("linked.txt"), desk.texts), desk.teacher, *desk.out],
        "TD201",
        ["linked.txt is a file, no pipeline; did you swap the teacher and the texts?"],
    ),
    (
        "size misspelt, without a config",
        lambda desk: ["distill", desk.teacher, desk.texts, *desk.out, "--size", "tinny"],
        "TD503",
        ["'tinny'", "nano"],
    ),
    (
        "size beside a config",
        lambda desk: desk.distill("--size", "nano"),
        "TD019",
        ["'nano'", "init distill-config"],
    ),
    (
        "an export in a precision that there is not",
        lambda desk: ["export-web", desk("student"), desk("web"), "--precision", "int4"],
        "TD711",
        ["'int4'", "int8"],
    ),
    (
        "a benchmark on what is not there",
        lambda desk: [
            "benchmark",
            "distillation",
            desk.teacher,
            desk.teacher,
            desk("test.spacy"),
            "-o",
            desk("report"),
        ],
        "TD102",
        ["test.spacy", "check the path"],
    ),
    (
        "debugging without a config",
        lambda desk: ["debug", "distillation", desk.teacher, desk("studnet.cfg")],
        "TD005",
        ["studnet.cfg", "init distill-config"],
    ),
]


def _needy_teacher(desk: Desk) -> str:
    folder = shutil.copytree(desk.teacher, desk("needy"))
    config = folder + "/config.cfg"
    Path(config).write_text(Path(config).read_text().replace('factory = "ner"', 'factory = "llm"'))
    return folder


def _bare_docs(desk: Desk) -> str:
    nlp = spacy.blank(LANGUAGE)
    DocBin(docs=[nlp.make_doc(text) for text in TEXTS]).to_disk(desk("bare.spacy"))
    return desk("bare.spacy")


def _taught(desk: Desk, setting: str) -> str:
    lines = [
        Path(desk.config).read_text(),
        "[distillation.teaching.tagger]",
        '@teaching_rules = "spacy-tinydistill.TokenLabels.v1"',
        setting,
    ]
    return desk.write("taught.cfg", "\n".join(lines))


def link(path: str, target: str) -> str:
    Path(path).symlink_to(target)
    return path


def run_line(line: list) -> tuple[int, str, BaseException | None]:
    result = invoke(*line)
    said = re.sub(r"\x1b\[[\d;]*m", "", result.output)
    return result.exit_code, " ".join(said.split()), result.exception


@pytest.mark.parametrize(("line", "code", "facts"), [pytest.param(*row[1:], id=row[0]) for row in MISTAKES])
def test_a_mistake_is_named_and_its_mend(line: Line, code: str | None, facts: list[str], desk: Desk) -> None:
    exit_code, said, exception = run_line(line(desk))
    # The runner turns a traceback into exit code 1 as well.
    assert isinstance(exception, SystemExit), repr(exception)
    assert exit_code in (1, 2)
    assert "Traceback" not in said
    assert re.findall(r"\[(TD\d+)\]", said) == ([code] if code else [])
    # A message may break a path where the line ends, and not every version of Typer writes arguments in small letters.
    unbroken = said.replace(" ", "").lower()
    for fact in facts:
        assert fact.replace(" ", "").lower() in unbroken, said


def test_each_command_has_a_mistake(desk: Desk) -> None:
    lines = [list(map(str, line(desk))) for _, line, _, _ in MISTAKES]
    made = {"_".join(line[: 2 if line[0] in ("init", "debug", "benchmark") else 1]).replace("-", "_") for line in lines}
    assert made == {
        command.name for command in entry_points(group="spacy_cli") if command.value.startswith("spacy_tinydistill.")
    }


def test_the_line_without_a_mistake_goes_well(desk: Desk) -> None:
    """Else the table would show nothing."""
    exit_code, said, _ = run_line(desk.distill("--paths.gold", write_gold(desk.folder / "gold.spacy")))
    assert exit_code == 0, said


@pytest.mark.slow
@pytest.mark.parametrize("option", ["--max-steps", "--gpu-id"])
def test_an_option_that_is_wrong_in_a_process_of_its_own(option: str, desk: Desk) -> None:
    """Where an exception of click's, or of the click in typer, would be a traceback."""
    line = [sys.executable, "-m", "spacy", *map(str, desk.distill(option, "many"))]
    result = subprocess.run(line, capture_output=True, text=True, check=False)
    assert result.returncode in (1, 2)
    assert "Traceback" not in result.stdout + result.stderr
    assert option in result.stdout + result.stderr


def test_standard_input_in_another_encoding(desk: Desk) -> None:
    line = [sys.executable, "-m", "spacy", "distill", desk.teacher, "-", *desk.out]
    result = subprocess.run(line, input="Zoé sings\n".encode("latin1"), capture_output=True, check=False)
    assert result.returncode == 1
    assert b"[TD108] Standard input" in result.stdout
    assert b"Traceback" not in result.stdout + result.stderr
