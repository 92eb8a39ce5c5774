"""The student: its config, its labels, what it keeps, and that it is a plain spaCy pipeline."""

import json
from pathlib import Path
from typing import Any

import pytest
import spacy
import srsly
from spacy.language import Language
from spacy.tokens import Doc

from helpers.students_of_each_kind import LEARNING, WORDS
from helpers.tiny_teacher import MODELS, TEXTS
from spacy_tinydistill.pipes.profile import profile_teacher
from spacy_tinydistill.student.config import student_config
from spacy_tinydistill.student.pipeline import make_student, save_student

# The config


# Labels, rules, tokenizer


@pytest.mark.parametrize("name", LEARNING)
def test_labels_come_in_the_teachers_order(name: str, teacher: Language, student: Language) -> None:
    pipe, original = student.get_pipe(name), teacher.get_pipe(name)
    assert pipe.labels == original.labels
    assert pipe.label_data == original.label_data
    if name in ("tagger", "textcat"):
        assert list(pipe.labels) != sorted(pipe.labels)
    if name in ("parser", "ner"):
        names = [[p.moves.get_class_name(i) for i in range(p.moves.n_moves)] for p in (pipe, original)]
        assert names[0] == names[1]
    if name == "trainable_lemmatizer":
        trees = [[p.trees.tree_to_str(tree) for tree in p.labels] for p in (pipe, original)]
        assert trees[0] == trees[1]


def test_the_teachers_config_is_not_left_in_the_students(teacher: Language, student: Language) -> None:
    """Labels come by way of a file that is gone afterwards; the saved config must not name it."""
    assert student.config["initialize"]["components"] == {}
    assert "read_labels" not in student.config.to_str()


def test_rules_are_carried_over(teacher: Language, student: Language) -> None:
    doc = student(" ".join(WORDS) + " | gimme mice")
    assert ("Reykjavík", "CITY", "capital") in [(ent.text, ent.label_, ent.ent_id_) for ent in doc.ents]
    assert {(token.tag_, str(token.morph)) for token in doc if token.text == "mice"} == {("RODENT", "Animacy=Anim")}
    assert [token.text for token in doc][-3:] == ["gim", "me", "mice"]
    doc = student.get_pipe("sentencizer")(student.make_doc("one . two | three"))
    assert [token.text for token in doc if token.is_sent_start] == ["one", "three"]


# What is saved


def annotations(doc: Doc) -> dict[str, Any]:
    """Everything a pipeline says of a text, as strings."""
    return {
        **doc.to_json(),
        "morphs": [str(token.morph) for token in doc],
        "labels": [(token.tag_, token.pos_, token.dep_, token.lemma_, token.ent_type_) for token in doc],
        "groups": {
            key: [(span.start, span.end, span.label_) for span in spans] for key, spans in sorted(doc.spans.items())
        },
    }


def test_the_saved_student_says_what_the_one_in_memory_says(student: Language, saved: Path) -> None:
    reloaded = spacy.load(saved)
    said = 0
    for text in [" ".join(WORDS), *TEXTS[:8], "🙂 mice | gimme", "wholly unheard-of words, Reykjavík"]:
        ours, theirs = annotations(student(text)), annotations(reloaded(text))
        assert ours == theirs
        said += sum(bool(value) for label in ours["labels"] for value in label)
    assert said > 100


def test_the_saved_vocabulary_holds_no_words_of_the_texts(teacher: Language, student: Language, saved: Path) -> None:
    strings = set(json.loads((saved / "vocab" / "strings.json").read_text(encoding="utf8")))
    # Of an edit tree, and of rules.
    needed = {"went", "Reykjavík", "mice"}
    assert strings & set(WORDS) == needed
    # spaCy lists no strings that it knows anyway, "PERSON" for one.
    for name in ("tagger", "textcat", "spancat"):
        assert set(student.get_pipe(name).labels) <= strings


def test_a_saved_student_replaces_another_whole(student: Language, saved: Path, tmp_path: Path) -> None:
    path = tmp_path / "student"
    path.mkdir()
    (path / "old.txt").write_text("old")
    save_student(student, path, list(student.vocab.strings))
    assert sorted(file.name for file in tmp_path.iterdir()) == ["student"]
    assert sorted(file.name for file in path.iterdir()) == sorted(file.name for file in saved.iterdir())


# A distilled student


@pytest.mark.parametrize("code", ["en", "eng"])
def test_a_teacher_whose_package_has_another_code_for_its_language(code: str, tmp_path: Path) -> None:
    """As `eng-spacysentiment` on PyPI has: spaCy takes it for English, and the student's config says "en"."""
    spacy.blank("en").to_disk(tmp_path / "teacher")
    meta = srsly.read_json(tmp_path / "teacher" / "meta.json")
    srsly.write_json(tmp_path / "teacher" / "meta.json", {**meta, "lang": code, "name": "songs"})
    teacher = spacy.load(tmp_path / "teacher")
    teacher.add_pipe("tagger", config={"model": MODELS["tagger"]}).add_label("NOUN")
    teacher.initialize()

    profile = profile_teacher(teacher)
    student = make_student(student_config(teacher), profile)
    assert (profile.name, profile.lang, student.lang) == (f"{code}_songs", "en", "en")
