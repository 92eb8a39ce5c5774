"""The README of a student's package, as people and the Hugging Face hub read it."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import spacy
from spacy.cli.evaluate import evaluate
from spacy.cli.package import package
from spacy.language import Language
from spacy.training import Corpus

from helpers.reports import HOSTILE, spoil_names
from spacy_tinydistill.report.compare import compare
from spacy_tinydistill.report.model_card import MARK, README_NAME, write_model_card, write_readme
from spacy_tinydistill.report.report import Report

huggingface_hub = pytest.importorskip("huggingface_hub")


@pytest.fixture
def made(folder: Path, tmp_path: Path) -> Path:
    """A distilled student in a folder of its own, whose meta has what spaCy's loop would have left there."""
    nlp = spacy.load(folder / "student")
    nlp.meta["distillation"] = {"teacher": {}, "texts": {"names": ["a.jsonl"], "documents": 7}, "agreement": {"a": 1.0}}
    nlp.meta["performance"] = {"tag_acc": 0.123, "parser_loss": 5311990.0}
    nlp.meta["license"] = "CC BY-SA 4.0"
    nlp.to_disk(tmp_path / "student")
    return tmp_path / "student"


def flat(scores: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    found = {}
    for name, value in scores.items():
        found |= flat(value, f"{prefix}{name}.") if isinstance(value, dict) else {prefix + name: value}
    return found


def read_meta(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "meta.json").read_text(encoding="utf8"))


@pytest.mark.usefixtures("without_timing")
def test_the_hub_reads_the_figures_of_the_report(folder: Path, made: Path, tmp_path: Path) -> None:
    report = compare(folder / "teacher", made, folder / "gold.spacy", output=tmp_path / "out")
    for place in (made, tmp_path / "out"):
        card = huggingface_hub.ModelCard.load(place / README_NAME)
        found = {result.metric_name: result for result in card.data.eval_results}
        assert found.keys() >= {"tag_acc", "cats_macro_f"}
        for name, result in found.items():
            assert result.metric_value == report["student"]["scores"][name]
            assert result.dataset_name == "gold.spacy"
        assert found["tag_acc"].task_type == "token-classification"
        assert found["tag_acc"].metric_type == "accuracy"
        assert found["cats_macro_f"].task_type == "text-classification"
        assert card.data.library_name == "spacy"
        assert card.data.language == ["en"]
        assert card.data.license == "cc-by-sa-4.0"
        assert card.data.base_model == report["teacher"]["name"]


@pytest.mark.usefixtures("without_timing")
def test_performance_is_what_spacy_evaluate_finds(folder: Path, made: Path, tmp_path: Path) -> None:
    """And nothing else: no loss, and nothing that was there before."""
    compare(folder / "teacher", made, folder / "gold.spacy", output=tmp_path / "out")
    meta = read_meta(made)
    metrics = flat(evaluate(str(made), folder / "gold.spacy", silent=True))
    performance = flat(meta["performance"])
    shared = metrics.keys() & performance.keys()
    assert shared >= {"tag_acc", "cats_score", "cats_f_per_type.FOOD.p"}
    # A meta.json has ten digits.
    assert {name: metrics[name] for name in shared} == pytest.approx({name: performance[name] for name in shared})
    nlp = spacy.load(made)
    scores = flat(nlp.evaluate(list(Corpus(folder / "gold.spacy")(nlp))))
    assert {name: scores[name] for name in performance} == pytest.approx(performance)
    assert not [name for name in meta["performance"] if name.endswith("_loss")]
    measured = meta["distillation"]["measured"]
    assert (measured["data"], measured["gold"], measured["documents"]) == ("gold.spacy", True, 4)
    assert measured["agreement"]["tag_acc"] is not None
    assert "agreement" not in meta["distillation"]
    assert meta == read_meta(tmp_path / "out")


@pytest.mark.usefixtures("without_timing")
def test_without_gold_there_is_no_performance(folder: Path, made: Path, tmp_path: Path) -> None:
    compare(folder / "teacher", made, folder / "texts.jsonl", output=tmp_path / "out")
    meta = read_meta(made)
    assert meta["performance"] == {}
    assert meta["distillation"]["measured"]["agreement"]["tag_acc"] > 0
    card = huggingface_hub.ModelCard.load(made / README_NAME)
    assert not card.data.eval_results
    assert "texts.jsonl: 4 texts, without gold annotations" in card.content.replace("\\", "")


@pytest.mark.usefixtures("without_timing")
def test_the_wheel_has_it(folder: Path, made: Path, tmp_path: Path) -> None:
    compare(folder / "teacher", made, folder / "gold.spacy", output=tmp_path / "out")
    package(made, tmp_path, create_sdist=False, create_wheel=False)
    readme = (made / README_NAME).read_text(encoding="utf8")
    (packaged,) = tmp_path.glob("en_pipeline-*")
    assert (packaged / README_NAME).read_text(encoding="utf8") == readme


def test_the_lines_of_code_print_what_is_below_them(judge: Language, report: Report) -> None:
    readme = write_model_card(judge.meta, report)
    code = re.search(r"```python\n(.*?)\n```", readme, re.DOTALL)[1].splitlines()
    printed = re.search(r"```text\n(.*?)\n```", readme, re.DOTALL)[1].splitlines()
    assert code[2] == "nlp = spacy.load('en_pipeline')"
    scope = {"spacy": spacy, "nlp": judge}
    exec(code[3], scope)
    prints = code[4:]
    assert len(prints) == len(printed) == 5
    for line, expected in zip(prints, printed, strict=True):
        assert repr(eval(line.removeprefix("print"), scope)) == expected


def test_a_readme_of_somebody_else_stays(judge: Language, report: Report, tmp_path: Path) -> None:
    own = tmp_path / README_NAME
    own.write_text("# My own\n")
    assert not write_readme(tmp_path, judge.meta, report)
    assert own.read_text() == "# My own\n"
    own.write_text(f"# An earlier card\n{MARK}\n")
    assert write_readme(tmp_path, judge.meta, report)
    assert "An earlier card" not in own.read_text(encoding="utf8")


def test_a_hostile_name_does_not_break_the_front_matter(judge: Language, report: Report) -> None:
    hostile = spoil_names(report, HOSTILE + "\n---\nlicense: mine\n")
    hostile["student"]["scores"] = {name: 0.5 for names in hostile["pipes"].values() for name in names}
    card = huggingface_hub.ModelCard(write_model_card({**judge.meta, "license": HOSTILE}, hostile))
    assert card.data.base_model == hostile["teacher"]["name"]
    assert card.data.library_name == "spacy"
    assert card.data.license != "mine"
    assert {result.metric_value for result in card.data.eval_results} == {0.5}
