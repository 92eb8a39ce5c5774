"""The student: its config, its labels, what it keeps, and that it is a plain spaCy pipeline."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import spacy
from spacy.cli.package import package
from spacy.language import Language
from spacy.tokens import Doc, Span
from spacy.training import Example
from spacy.util import load_config, load_model_from_config
from thinc.api import Config, fix_random_seed

import spacy_tinydistill
from helpers.plain_spacy import BLOCKED, LOAD_WHERE_BLOCKED
from helpers.tiny_teacher import LANGUAGE, TEXTS, make_teacher, write_gold, write_texts
from spacy_tinydistill.pipes.profile import profile_teacher
from spacy_tinydistill.schemas import read_distillation_config
from spacy_tinydistill.student.config import SIZES, student_config, unmirrored_pipes
from spacy_tinydistill.student.pipeline import (
    initialize_student,
    make_student,
    needed_strings,
    plan_lessons,
    save_student,
)

LEARNING = [
    "tagger",
    "morphologizer",
    "senter",
    "trainable_lemmatizer",
    "parser",
    "ner",
    "textcat",
    "textcat_multilabel",
    "spancat",
    "spancat_singlelabel",
]
RULES = ["sentencizer", "entity_ruler", "attribute_ruler"]

# No word is a label, so that what is kept of the one can be told from the other.
WORDS = ["Zoé", "went", "to", "Reykjavík", "and", "she", "saw", "mice"]


def annotate(nlp: Language) -> Example:
    reference = Doc(
        nlp.vocab,
        words=WORDS,
        tags=["NNP", "VBD", "IN", "NNP", "CC", "PRP", "VBD", "NNS"],
        morphs=["Number=Sing", "Tense=Past", "", "Number=Sing", "", "Case=Nom", "Tense=Past", "Number=Plur"],
        pos=["PROPN", "VERB", "ADP", "PROPN", "CCONJ", "PRON", "VERB", "NOUN"],
        lemmas=["Zoé", "go", "to", "Reykjavík", "and", "she", "see", "mouse"],
        heads=[1, 1, 1, 2, 1, 6, 1, 6],
        deps=["nsubj", "ROOT", "prep", "pobj", "cc", "nsubj", "conj", "dobj"],
        sent_starts=[1, 0, 0, 0, 0, 0, 0, 0],
        ents=["B-PERSON", "O", "O", "B-GPE", "O", "O", "O", "O"],
    )
    reference.cats = {"TRAVEL": 1.0, "FOOD": 0.0, "ANIMALS": 0.0}
    for key in ("sc", "single"):
        reference.spans[key] = [Span(reference, 0, 1, label="WHO"), Span(reference, 3, 4, label="WHERE")]
    return Example(Doc(nlp.vocab, words=WORDS), reference)


@pytest.fixture(scope="module")
def teacher() -> Language:
    """A teacher with each kind of pipe, of random weights."""
    fix_random_seed(0)
    nlp = spacy.blank(LANGUAGE)
    for name in LEARNING:
        nlp.add_pipe(name, config={"spans_key": "single"} if name == "spancat_singlelabel" else {})
    nlp.add_pipe("sentencizer", first=True, config={"punct_chars": ["|"]})
    ruler: Any = nlp.add_pipe("entity_ruler", config={"overwrite_ents": True})
    attributes: Any = nlp.add_pipe("attribute_ruler")
    # In another order than that of the alphabet and of the data.
    for label in ("WHERE", "NOBODY", "WHO"):
        nlp.get_pipe("spancat").add_label(label)
    for label in ("TRAVEL", "ANIMALS", "FOOD"):
        nlp.get_pipe("textcat").add_label(label)
    for label in ("VBD", "NNS", "NNP", "PRP", "IN", "CC"):
        nlp.get_pipe("tagger").add_label(label)
    nlp.initialize(lambda: [annotate(nlp)])
    ruler.add_patterns([{"label": "CITY", "pattern": "Reykjavík", "id": "capital"}])
    attributes.add([[{"LOWER": "mice"}]], {"TAG": "RODENT", "MORPH": "Animacy=Anim"})
    nlp.tokenizer.add_special_case("gimme", [{"ORTH": "gim"}, {"ORTH": "me"}])
    return nlp


@pytest.fixture(scope="module")
def student(teacher: Language) -> Language:
    return initialized(student_config(teacher, size="nano"), teacher)


def initialized(config: Config, teacher: Language) -> Language:
    profile = profile_teacher(teacher)
    student = make_student(config, profile)
    initialize_student(
        student, profile, plan_lessons(student, teacher, read_distillation_config(config)), examples(student)
    )
    return student


def examples(nlp: Language) -> list[Example]:
    return [Example(doc, doc.copy()) for doc in [nlp.make_doc(" ".join(WORDS))]]


# The config


@pytest.mark.parametrize("size", SIZES)
def test_a_written_config_is_complete(size: str, teacher: Language, tmp_path: Path) -> None:
    config = student_config(teacher, size=size)
    config.to_disk(tmp_path / "student.cfg")
    read = load_config(tmp_path / "student.cfg", interpolate=False)
    assert read == config
    # Nothing to fill in, nothing that spaCy does not know, as `spacy debug config` would see it.
    student = load_model_from_config(read, auto_fill=False, validate=True)
    filled = load_model_from_config(read, auto_fill=True).config
    # spaCy fills in a training corpus of its own wherever there is none.
    del filled["corpora"]["train"]
    assert filled == read
    assert student.pipe_names == ["tok2vec", "sentencizer", *LEARNING, "entity_ruler", "attribute_ruler"]
    assert read["components"]["tok2vec"]["model"]["encode"]["width"] == SIZES[size].width
    assert {name: read["paths"][name] for name in ("distill", "gold", "dev")} == dict.fromkeys(
        ("distill", "gold", "dev")
    )
    assert read["nlp"]["lang"] == LANGUAGE
    assert unmirrored_pipes(teacher, config) == []
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
    assert unmirrored_pipes(teacher, config) == [other for other in teacher.pipe_names if other != name]
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
    nlp.add_pipe("entity_linker")
    config = student_config(nlp)
    assert config["nlp"]["pipeline"] == ["sentencizer"]
    assert unmirrored_pipes(nlp, config) == ["entity_linker"]


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


@pytest.fixture(scope="module")
def saved(teacher: Language, student: Language, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("saved") / "student"
    config = student_config(teacher, size="nano")
    plan = plan_lessons(student, teacher, read_distillation_config(config))
    save_student(student, path, needed_strings(config, profile_teacher(teacher), plan, examples(student)))
    return path


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


@pytest.fixture(scope="module")
def distilled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a student that learned from a saved teacher, with gold to score on."""
    folder = tmp_path_factory.mktemp("distilled")
    make_teacher().to_disk(folder / "teacher")
    spacy_tinydistill.distill(
        folder / "teacher",
        write_texts(folder / "texts.txt"),
        output=folder / "output",
        overrides={"distillation.max_steps": 10, "paths.dev": str(write_gold(folder / "dev.spacy"))},
    )
    return folder / "output" / "model-best"


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
    package(distilled, tmp_path, name="songs", version="0.0.1", create_wheel=False, create_sdist=False)
    (root,) = tmp_path.iterdir()
    meta = json.loads((root / "meta.json").read_text(encoding="utf8"))
    assert meta["requirements"] == []
    assert meta["distillation"]["teacher"]["name"] == "tiny_teacher"
    for file in root.rglob("*"):
        if file.suffix in (".py", ".cfg", ".toml", ".txt") and file.name != "config.cfg":
            assert "tinydistill" not in file.read_text(encoding="utf8")
