"""`pip install spacy-tinydistill` alone is enough for a student; what only distilling needs is the extra [distill]."""

import subprocess
import sys
from configparser import ConfigParser
from pathlib import Path

import pytest
import spacy

from helpers.tiny_teacher import LANGUAGE, TEXTS, write_texts

SETUP = Path(__file__).parents[1] / "setup.cfg"

# What is not installed without the extra. Jinja2 and MarkupSafe come with spaCy.
ABSENT = ["pyarrow", "threadpoolctl", "fsspec", "filelock"]

# The last two come with PyTorch, and so with a student that needs it.
ABSENT_BESIDE_PYTORCH = ABSENT[:2]

WITHOUT_THEM = """
import sys
blocked = sys.argv.pop(1).split(",")
import spacy

class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in blocked:
            raise ModuleNotFoundError(f"No module named {name!r}")

for name in [name for name in sys.modules if name.partition(".")[0] in blocked]:
    del sys.modules[name]
sys.meta_path.insert(0, Blocker())
"""


def run(code: str, *args: object, absent: list[str] = ABSENT) -> subprocess.CompletedProcess:
    command = [sys.executable, "-c", WITHOUT_THEM + code, ",".join(absent), *map(str, args)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_a_student_with_a_transformer_of_ours_runs(tmp_path: Path) -> None:
    nlp = spacy.blank(LANGUAGE)
    settings = {"layers": 1, "width": 8, "heads": 2, "intermediate_width": 8, "vocab_size": 60, "max_length": 16}
    model = {"@architectures": "spacy-tinydistill.TinyTransformer.v1", **settings}
    nlp.add_pipe("tok2vec", config={"model": model})
    callback = {"@callbacks": "spacy-tinydistill.TrainPieces.v1", "path": str(write_texts(tmp_path / "texts.txt"))}
    nlp.config["initialize"]["before_init"] = callback
    nlp.initialize()
    nlp.to_disk(tmp_path / "student")
    code = """
import spacy_tinydistill
doc = spacy.load(sys.argv[1])(sys.argv[2])
print(doc.tensor.shape)
"""
    done = run(code, tmp_path / "student", TEXTS[0], absent=ABSENT_BESIDE_PYTORCH)
    assert done.stdout == "(4, 8)\n", done.stderr


def test_whatever_is_registered_can_be_imported() -> None:
    """spaCy imports all that is registered where it lists the names that it knows."""
    code = """
from importlib.metadata import entry_points
for entry in entry_points():
    for found in entry_points(group=entry) if isinstance(entry, str) else [entry]:
        if found.value.startswith("spacy_tinydistill."):
            found.load()
            print(found.name)
"""
    done = run(code)
    config = ConfigParser(delimiters="=")
    config.optionxform = str  # type: ignore[assignment,method-assign]
    config.read(SETUP)
    registered = "".join(config["options.entry_points"].values()).split("\n")
    names = {line.partition(" = ")[0] for line in registered if line}
    assert set(done.stdout.split()) == names, done.stderr


def test_python_is_told_which_extra_is_missing() -> None:
    names = ["distill", "record_targets", "compare"]
    code = """
import spacy_tinydistill
for name in sys.argv[1:]:
    try:
        getattr(spacy_tinydistill, name)
    except spacy_tinydistill.errors.DistillationError as error:
        print(error)
"""
    done = run(code, *names)
    lines = done.stdout.splitlines()
    assert len(lines) == len(names), done.stderr
    for line in lines:
        assert line.startswith("[TD901] ")
        assert 'pip install "spacy-tinydistill[distill]"' in line


def test_commands_tell_which_extra_is_missing(tmp_path: Path) -> None:
    (tmp_path / "texts.txt").write_text("a text", encoding="utf8")
    (tmp_path / "dev.spacy").touch()
    commands = [
        "distill teacher texts.txt -o out",
        "distill-targets teacher texts.txt store",
        "debug distillation teacher student.cfg",
        "benchmark distillation teacher student dev.spacy -o out",
        "init distill-vectors teacher texts.txt out",
    ]
    code = """
import os
from spacy.cli import setup_cli
os.chdir(sys.argv[1])
for command in sys.argv[2:]:
    sys.argv[1:] = command.split()
    try:
        setup_cli()
    except SystemExit as exit:
        print("exit code", exit.code)
"""
    done = run(code, tmp_path, *commands)
    said = done.stdout + done.stderr
    assert done.stdout.count("exit code 1") == len(commands), said
    assert said.count("[TD901]") == len(commands), said
    assert "Traceback" not in done.stderr
