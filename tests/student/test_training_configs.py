"""The configs in a student's folder, where neither this library nor PyTorch can be imported."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import spacy
import srsly
from spacy.language import Language
from spacy.tokens import DocBin
from spacy.training.initialize import init_nlp
from spacy.util import load_config, load_model_from_config

from helpers.plain_spacy import BLOCKED, PLAIN_SPACY
from helpers.students_of_each_kind import LEARNING, annotate, initialized
from helpers.tiny_teacher import LABELS, TEXTS, write_gold
from spacy_tinydistill.config_files import read_config_file
from spacy_tinydistill.schemas import read_distillation_config
from spacy_tinydistill.student.config import student_config
from spacy_tinydistill.student.pipeline import save_student

UPDATES = 20


def plain_spacy(folder: Path, *args: object) -> str:
    script = f"{PLAIN_SPACY.format(blocked=BLOCKED)}\nfrom spacy.cli import setup_cli\nsetup_cli()"
    command = [sys.executable, "-W", "ignore", "-c", script, *map(str, args)]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def score(folder: Path, model: Path, gold: Path) -> dict[str, Any]:
    plain_spacy(folder, "evaluate", model, gold, "--output", folder / "scores.json")
    return srsly.read_json(folder / "scores.json")


@pytest.mark.slow
def test_spacy_alone_trains_on(undisturbed: Path, tmp_path: Path) -> None:
    student = undisturbed / "model-best"
    # Enough that `debug data` does not refuse it.
    gold = write_gold(tmp_path / "gold.spacy", [*TEXTS, *TEXTS, *TEXTS])
    data = ["--paths.train", gold, "--paths.dev", gold]
    for name, source in (("config.cfg", []), ("train.cfg", ["--paths.student", student])):
        config = [student / name, *data, *source]
        out = tmp_path / name
        steps = ["--training.max_steps", UPDATES, "--training.eval_frequency", 10]
        plain_spacy(tmp_path, "train", *config, "--output", out / "trained", *steps)
        plain_spacy(tmp_path, "debug", "data", *config)
        plain_spacy(tmp_path, "debug", "config", *config)
        plain_spacy(tmp_path, "assemble", student / name, out / "assembled", *data, *source)
    before, after = score(tmp_path, student, gold), score(tmp_path, tmp_path / "train.cfg/trained/model-last", gold)
    for key in ("tag_acc", "ents_f", "cats_score"):
        assert after[key] >= before[key]
    # The weights of the one are the student's, those of the other are new.
    weights = (student / "tagger/model").read_bytes()
    assert (tmp_path / "train.cfg/assembled/tagger/model").read_bytes() == weights
    assert (tmp_path / "config.cfg/assembled/tagger/model").read_bytes() != weights


def test_a_student_says_nothing_of_distilling_in_its_config(undisturbed: Path) -> None:
    student = undisturbed / "model-best"
    for name in ("config.cfg", "train.cfg"):
        text = (student / name).read_text()
        assert "distill" not in text
        config = load_config(student / name)
        assert config["paths"] == dict.fromkeys(config["paths"])
        assert config["corpora"]["train"]["@readers"] == config["corpora"]["dev"]["@readers"] == "spacy.Corpus.v1"
    settings = read_distillation_config(read_config_file(student / "distill.cfg"))
    assert settings.corpus == "corpora.distill"
    assert spacy.load(student).config["initialize"]["components"]["tagger"]["labels"] == LABELS["tagger"]


def test_labels_are_in_the_config_where_it_can_hold_them(teacher: Language, tmp_path: Path) -> None:
    student = initialized(student_config(teacher, size="nano"), teacher)
    save_student(student, tmp_path / "student", student.vocab.strings)
    config = load_config(tmp_path / "student" / "config.cfg")
    again = load_model_from_config(config)
    # Like those of a dependency "nsubj:pass", the keys of these cannot be settings.
    left = {"morphologizer", "trainable_lemmatizer"}
    again._link_components()
    with again.select_pipes(disable=[*left]):
        again.initialize()
    for name in LEARNING:
        if name not in left:
            assert again.get_pipe(name).labels == student.get_pipe(name).labels


def test_going_on_keeps_weights_rules_and_tokenizer(teacher: Language, tmp_path: Path) -> None:
    student = initialized(student_config(teacher, size="nano"), teacher)
    student.tokenizer.add_special_case("gimme", [{"ORTH": "gim"}, {"ORTH": "me"}])
    student.get_pipe("entity_ruler").add_patterns([{"label": "TOWN", "pattern": "Bergen"}])
    save_student(student, tmp_path / "student", student.vocab.strings)
    gold = tmp_path / "gold.spacy"
    DocBin(docs=[annotate(student).reference]).to_disk(gold)
    config = load_config(
        tmp_path / "student" / "train.cfg",
        {"paths.student": str(tmp_path / "student"), "paths.train": str(gold), "paths.dev": str(gold)},
    )
    going_on = init_nlp(config)
    doc = going_on.make_doc("gimme Bergen")
    assert [token.text for token in doc] == ["gim", "me", "Bergen"]
    assert [ent.label_ for ent in going_on.get_pipe("entity_ruler")(doc).ents] == ["TOWN"]
    for name in LEARNING:
        assert going_on.get_pipe(name).labels == student.get_pipe(name).labels
        assert going_on.get_pipe(name).model.to_bytes() == student.get_pipe(name).model.to_bytes()
