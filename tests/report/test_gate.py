"""The gate of a release."""

import pytest

from spacy_tinydistill.errors import DistillationError
from spacy_tinydistill.report.gate import find_misses, parse_thresholds

REPORT = {
    "agreement": {"tag_acc": 0.95, "dep_las": 0.9, "ents_f": 0.8},
    "retention": {"tag_acc": 0.99, "dep_las": 0.969, "ents_f": None},
    "speed_up": {"1": 9.99},
}


def test_a_line_a_miss() -> None:
    thresholds = parse_thresholds("tag_acc=0.99, dep_las=0.97,ents_f=0.5")
    assert thresholds == {"tag_acc": 0.99, "dep_las": 0.97, "ents_f": 0.5}
    misses = find_misses(REPORT, min_retention=thresholds, min_speedup=10)
    assert [miss.partition(":")[0] for miss in misses] == ["dep_las", "ents_f", "speed"]
    assert "0.9690" in misses[0]
    assert "gold annotations" in misses[1]
    assert find_misses(REPORT, min_retention={"tag_acc": 0.99}, min_speedup=9.99) == []
    assert find_misses({**REPORT, "speed_up": {}}, min_speedup=0.1) == ["The speed was not measured"]


def test_what_is_not_understood() -> None:
    assert parse_thresholds("") == {}
    for text in ("tag_acc", "tag_acc=", "tag_acc=much", "0.9"):
        with pytest.raises(DistillationError, match="TD415"):
            parse_thresholds(text)
    with pytest.raises(DistillationError, match=r"TD416.*'tag'.*dep_las, ents_f, tag_acc"):
        find_misses(REPORT, min_retention={"tag": 0.9})
    # Not a number is no pass.
    assert find_misses({**REPORT, "retention": {"tag_acc": float("nan")}}, min_retention={"tag_acc": 0.5})
