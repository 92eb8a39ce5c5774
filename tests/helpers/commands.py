"""The commands, run in this process or in another."""

import re
import subprocess
import sys

from spacy.cli._util import app
from typer.testing import CliRunner

import spacy_tinydistill.cli.distill
import spacy_tinydistill.cli.init_config
import spacy_tinydistill.cli.init_vectors  # noqa: F401


def spacy_cli(*args: object) -> str:
    """Run a command in this process."""
    result = CliRunner().invoke(app, [str(arg) for arg in args])
    if result.exception:
        raise AssertionError(result.output) from result.exception
    return result.output


def spacy_process(*args: object) -> str:
    """Run a command as people do."""
    result = subprocess.run(
        [sys.executable, "-m", "spacy", *map(str, args)], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def retention(output: str) -> tuple[float, float, float]:
    """Read retention, student's score and teacher's score out of what is said at the end."""
    end = " ".join(output.rpartition("Saved the best student")[2].split())
    found = re.search(r"Retention on .*: ([\d.]+)% \(student ([\d.]+), teacher ([\d.]+)\)", end)
    assert found, output
    return float(found[1]) / 100, float(found[2]), float(found[3])
