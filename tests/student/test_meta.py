"""A distilled student: what it says of its origin, and that it is a plain spaCy pipeline."""

import json
import re
import subprocess
import sys
from pathlib import Path

import spacy
from spacy.cli.package import package
from spacy.util import split_requirement

from helpers.plain_spacy import BLOCKED, LOAD_WHERE_BLOCKED
from helpers.tiny_teacher import LANGUAGE, TEXTS

# Any version that this library runs on, not only that which made the student.
SETUP = (Path(__file__).parents[2] / "setup.cfg").read_text(encoding="utf8")
SPACY = re.search(r"^ +(spacy[<>=].*)$", SETUP, re.MULTILINE)[1]


def test_meta_says_where_the_student_comes_from(distilled: Path) -> None:
    meta = json.loads((distilled / "meta.json").read_text(encoding="utf8"))
    teacher = meta["distillation"]["teacher"]
    assert (teacher["lang"], teacher["name"], teacher["version"]) == (LANGUAGE, "tiny_teacher", "1.2.3")
    assert teacher["pipeline"] == ["tagger", "ner", "textcat"]
    assert teacher["bytes"] == sum(
        file.stat().st_size for file in (distilled.parents[1] / "teacher").rglob("*") if file.is_file()
    )
    # What the teacher demands of those who pass it on.
    for meta_or_teacher in (meta, teacher):
        assert meta_or_teacher["license"] == "CC0 1.0"
        assert meta_or_teacher["sources"] == [{"name": "Songs", "url": ""}]
        assert meta_or_teacher["author"] == "Ann"
    # The scores of both on the same data.
    for scores in (meta["performance"], teacher["performance"]):
        for key in ("tag_acc", "ents_f", "cats_score"):
            assert 0.0 <= scores[key] <= 1.0
    assert teacher["performance"]["tag_acc"] > 0.9
    nlp = spacy.load(distilled)
    assert nlp.meta["distillation"] == meta["distillation"]


def test_a_student_has_no_words_of_the_texts_that_it_learned_on(distilled: Path) -> None:
    strings = set(json.loads((distilled / "vocab" / "strings.json").read_text(encoding="utf8")))
    words = {word for text in TEXTS for word in text.split()}
    assert not strings & (words - set(spacy.blank(LANGUAGE).vocab.strings))
    # Not "PERSON" and "NOUN", which spaCy knows anyway.
    assert {"PLACE", "GLAD"} <= strings


def test_a_student_runs_where_there_is_neither_this_library_nor_torch(distilled: Path) -> None:
    script = LOAD_WHERE_BLOCKED.format(blocked=BLOCKED)
    result = subprocess.run(
        [sys.executable, "-c", script, distilled, TEXTS[0]], capture_output=True, text=True, check=False, cwd=distilled
    )
    assert result.returncode == 0, result.stderr
    doc = spacy.load(distilled)(TEXTS[0])
    assert result.stdout.strip() == f"{[(token.tag_, token.ent_type_) for token in doc]} {doc.cats}"


def test_the_block_blocks() -> None:
    """Else the test above would show nothing."""
    script = LOAD_WHERE_BLOCKED.format(blocked=BLOCKED).split("import spacy")[0] + "import spacy_tinydistill"
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert "No module named 'spacy_tinydistill'" in result.stderr


def test_a_package_of_a_student_requires_spacy_alone(distilled: Path, tmp_path: Path) -> None:
    made = {"name": "songs", "version": "0.0.1", "create_wheel": False, "create_sdist": False}
    package(distilled, tmp_path, require_parent=True, **made)
    (root,) = tmp_path.iterdir()
    meta = json.loads((root / "meta.json").read_text(encoding="utf8"))
    (required,) = map(split_requirement, meta["requirements"])
    assert required == ("spacy", split_requirement(SPACY)[1])
    assert meta["distillation"]["teacher"]["name"] == "tiny_teacher"
    for file in root.rglob("*"):
        if file.suffix in (".py", ".cfg", ".toml", ".txt") and file.name != "distill.cfg":
            assert "tinydistill" not in file.read_text(encoding="utf8")
