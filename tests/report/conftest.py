"""Pipelines to be compared, and a report."""

import pytest
import spacy
from spacy.language import Language
from spacy.training import Example

from helpers.generator import make_docs
from helpers.report_pipelines import trained, write_pipelines
from helpers.reports import JUDGED_PIPES, make_report, spoil
from spacy_tinydistill.evaluation_log import CURVE_NAME, add_point
from spacy_tinydistill.report.compare import compare_sides
from spacy_tinydistill.report.report import Report
from spacy_tinydistill.report.scores import Side


@pytest.fixture(scope="session")
def teacher():
    return trained(["tagger", "textcat"], width=32)


@pytest.fixture(scope="session")
def student():
    return trained(["tagger", "textcat"], width=8, steps=1)


@pytest.fixture(scope="session")
def folder(tmp_path_factory, teacher, student):
    """See `write_pipelines`."""
    folder = tmp_path_factory.mktemp("report")
    write_pipelines(folder, teacher, student)
    return folder


@pytest.fixture(scope="session")
def judge(tmp_path_factory: pytest.TempPathFactory) -> Language:
    """A pipeline on disk with each kind of pipe and the generator's labels; it has learned nothing."""
    nlp = spacy.blank("en")
    for name in JUDGED_PIPES:
        nlp.add_pipe(name)
    docs = make_docs(nlp.vocab, 40, seed=0)
    topics = {label for doc in docs for label in list(doc.cats)[:4]}
    traits = {label for doc in docs for label in list(doc.cats)[4:]}
    nlp.config["initialize"]["components"] = {
        "textcat": {"labels": sorted(topics)},
        "textcat_multilabel": {"labels": sorted(traits)},
    }
    examples = [Example(nlp.make_doc(doc.text), doc) for doc in docs]
    for example in examples:
        example.reference.cats = {label: example.reference.cats[label] for label in topics}
    nlp.initialize(lambda: examples)
    path = tmp_path_factory.mktemp("judge") / "model-best"
    nlp.to_disk(path)
    return spacy.load(path)


@pytest.fixture(scope="session")
def sides(judge: Language) -> tuple[Side, Side]:
    """What a teacher says, and a student who differs."""
    teacher, student = (make_docs(judge.vocab, 12, seed=5) for _ in range(2))
    spoil(student)
    return Side(judge, teacher), Side(judge, student)


@pytest.fixture(scope="session")
def compared(sides: tuple[Side, Side]) -> dict:
    return compare_sides(*sides, None)


@pytest.fixture(scope="session")
def report(judge: Language, sides: tuple[Side, Side], tmp_path_factory: pytest.TempPathFactory) -> Report:
    folder = tmp_path_factory.mktemp("runs") / "one"
    folder.mkdir()
    for step in (0, 100, 200):
        scores = {"tag_acc": step / 200, "cats_auc_per_type": {"A": 1.0}}
        losses = {"tagger": 9.0 * (step + 1), "ner": 300.0 - step}
        info = {"step": step, "epoch": 0, "words": step * 9, "seconds": 1, "losses": losses, "score": step / 250}
        add_point(folder / CURVE_NAME, {**info, "other_scores": scores})
    return make_report(judge, sides, folder)
