"""Texts annotated by a teacher, as a corpus for plain `spacy train`."""

from pathlib import Path

import pytest
import spacy
from spacy.cli.init_config import init_config
from spacy.cli.train import train
from spacy.language import Language

from helpers.tiny_teacher import LABELS, LANGUAGE, TEXTS, write_texts
from spacy_tinydistill.errors import DistillationError
from spacy_tinydistill.teacher.corpus import teacher_corpus


@pytest.fixture(scope="module")
def nlp() -> Language:
    return spacy.blank("en")


def test_the_teacher_annotates_a_corpus(tiny_teacher_path: Path, tmp_path: Path, nlp: Language) -> None:
    texts = write_texts(tmp_path / "texts.txt")
    teacher = spacy.load(tiny_teacher_path)
    examples = list(teacher_corpus(str(tiny_teacher_path), str(texts))(nlp))
    assert [example.text for example in examples] == TEXTS
    for example in examples:
        said = teacher(example.text)
        assert [token.tag_ for token in example.reference] == [token.tag_ for token in said]
        assert [(ent.text, ent.label_) for ent in example.reference.ents] == [(e.text, e.label_) for e in said.ents]
        # Decisions, as spaCy's own text categorizers learn them.
        assert sorted(example.reference.cats.values()) == [0.0, 1.0]
        assert max(example.reference.cats, key=example.reference.cats.get) == max(said.cats, key=said.cats.get)
        assert not example.predicted.has_annotation("TAG")
        assert example.predicted.vocab is nlp.vocab


def test_the_teacher_annotates_once(tiny_teacher_path: Path, tmp_path: Path, nlp: Language, monkeypatch) -> None:
    import spacy_tinydistill.teacher.corpus as module

    calls = []
    monkeypatch.setattr(module, "load_teacher", lambda name: calls.append(name) or spacy.load(name))
    corpus = teacher_corpus(str(tiny_teacher_path), str(write_texts(tmp_path / "texts.txt")))
    assert [eg.text for eg in corpus(nlp)] == [eg.text for eg in corpus(nlp)]
    assert len(calls) == 1


def test_the_teachers_corpus_reports_a_missing_text(tiny_teacher_path: Path, tmp_path: Path, nlp: Language) -> None:
    with pytest.raises(DistillationError, match="TD102"):
        list(teacher_corpus(str(tiny_teacher_path), str(tmp_path / "missing.txt"))(nlp))
    with pytest.raises(DistillationError, match="TD201"):
        list(teacher_corpus(str(tmp_path / "missing"), str(write_texts(tmp_path / "texts.txt")))(nlp))


def test_plain_spacy_train_takes_the_teachers_corpus(tiny_teacher_path: Path, tmp_path: Path) -> None:
    """A config as spaCy writes it, with other readers and nothing else changed."""
    config = init_config(lang=LANGUAGE, pipeline=["tagger", "ner", "textcat"], optimize="efficiency")
    texts = write_texts(tmp_path / "texts.txt")
    for name in ("train", "dev"):
        config["corpora"][name] = {
            "@readers": "spacy-tinydistill.TeacherCorpus.v1",
            "teacher": str(tiny_teacher_path),
            "path": str(texts),
        }
    config.to_disk(tmp_path / "config.cfg")
    steps = {"training.max_steps": 20, "training.eval_frequency": 20}
    train(tmp_path / "config.cfg", tmp_path / "out", overrides=steps)
    student = spacy.load(tmp_path / "out" / "model-best")
    assert set(student.get_pipe("tagger").labels) == set(LABELS["tagger"])
    assert set(student.get_pipe("ner").labels) == set(LABELS["ner"])
    assert set(student.get_pipe("textcat").labels) == set(LABELS["textcat"])
    teacher = spacy.load(tiny_teacher_path)
    tags = [(a.tag_, b.tag_) for text in TEXTS for a, b in zip(student(text), teacher(text), strict=True)]
    assert sum(ours == theirs for ours, theirs in tags) > 0.9 * len(tags)
