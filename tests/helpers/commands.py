"""The commands, run in this process or in another."""

import re
import subprocess
import sys

from spacy.cli._util import app
from spacy.util import registry
from typer.testing import CliRunner, Result

# As `python -m spacy` does.
registry.cli.get_all()


def spacy_cli(*args: object) -> str:
    """Run a command in this process; it must go well."""
    result = invoke(*args)
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


def invoke(*args: object, text: str | None = None) -> Result:
    """Run a command in this process, with text on its standard input, whatever becomes of it."""
    return CliRunner().invoke(app, [str(arg) for arg in args], input=text)


def assert_refused(result: Result, code: str, *facts: str) -> None:
    """A command has ended in one numbered error, which says all of this, and not in a traceback."""
    # The runner turns a traceback into exit code 1 as well.
    assert isinstance(result.exception, SystemExit), f"{result.output}\n{result.exception!r}"
    assert result.exit_code == 1
    assert f"[{code}]" in result.output
    assert "Traceback" not in result.output
    message = " ".join(result.output.split())
    for fact in facts:
        assert fact in message
    # Each is one message, not the end of another one.
    assert message.count("[TD") == 1
