"""`distill` and `record_targets` as Python functions."""

import pytest

from helpers.students import distil_quickly, make_config
from spacy_tinydistill import api
from spacy_tinydistill.errors import DistillationError


def test_nothing_is_overwritten(teacher, texts, tmp_path):
    distil_quickly(teacher, texts[:20], tmp_path, make_config(teacher, ["tagger"]), steps=1)
    with pytest.raises(DistillationError) as caught:
        api.distill(teacher, texts[:20], output=tmp_path)
    assert caught.value.code == "TD501"
