"""What got better and what got worse since an earlier student."""

from pathlib import Path

import pytest
import spacy
from spacy.tokens import Doc

from helpers.report_pipelines import trained
from spacy_tinydistill.pipes.labels import Said, list_layers
from spacy_tinydistill.report.against import compare_students, print_against
from spacy_tinydistill.report.compare import compare


def test_places_by_hand() -> None:
    nlp = spacy.blank("en")
    nlp.add_pipe("tagger")
    layers = list_layers(nlp)

    def said(*tags: str) -> Said:
        return Said(Doc(nlp.vocab, words=["a", "b", "c", "d"], tags=list(tags)), {})

    right, old, new = said("A", "B", "C", "D"), said("A", "X", "C", "X"), said("A", "B", "Y", "Z")
    found = compare_students(layers, [right], [old], [new])["tagger"]
    # The first is right in both, the last in none.
    assert (found["better"], found["worse"]) == (1, 1)
    (better,), (worse,) = found["better_examples"], found["worse_examples"]
    assert (better["place"], better["right"], better["old"], better["new"]) == ("b", "B", "X", "B")
    assert (worse["place"], worse["right"], worse["old"], worse["new"]) == ("c", "C", "C", "Y")


@pytest.mark.usefixtures("without_timing")
@pytest.mark.parametrize("data", ["gold.spacy", "texts.jsonl"])
def test_two_students(folder: Path, tmp_path: Path, data: str, capsys: pytest.CaptureFixture[str]) -> None:
    trained(["tagger", "textcat"], width=8, steps=3).to_disk(tmp_path / "old")
    report = compare(folder / "teacher", folder / "student", folder / data, against=tmp_path / "old", output=tmp_path)
    found = report["against"]
    assert found["basis"] == ("gold annotations" if data == "gold.spacy" else "what the teacher says")
    own = report["student"]["scores"] if data == "gold.spacy" else report["agreement"]
    assert found["scores"]["tag_acc"]["new"] == own["tag_acc"]
    assert found["pipes"].keys() == {"tagger", "textcat"}
    tagger = found["pipes"]["tagger"]
    # What got better less what got worse is the difference of the scores, in tokens.
    difference = found["scores"]["tag_acc"]["new"] - found["scores"]["tag_acc"]["old"]
    assert tagger["better"] - tagger["worse"] == round(21 * difference)
    print_against(report)
    assert "places got better" in capsys.readouterr().out
    assert "Against an earlier student" in (tmp_path / "report.html").read_text(encoding="utf8")
