"""What a student takes over from its teacher, and how a teacher is recognized again."""

import pytest

from spacy_tinydistill.errors import DistillationError
from spacy_tinydistill.pipes.profile import write_files


def test_rules_that_lead_out_of_their_folder(tmp_path):
    for name in ("../outside", "/outside", "a/../../outside"):
        with pytest.raises(DistillationError):
            write_files({name: b""}, tmp_path / "folder")
    assert not (tmp_path / "outside").exists()
