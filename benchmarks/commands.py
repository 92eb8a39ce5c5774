"""What the benchmarks that train students have in common: spaCy's commands, and results kept as they come."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import srsly


def call(*arguments: Any) -> None:
    """Run one of spaCy's commands, and stop where it fails."""
    subprocess.run([sys.executable, "-m", "spacy", *map(str, arguments)], check=True)


def score(pipeline: Path, test: Path, output: Path) -> dict[str, float]:
    """Score a pipeline as `spacy evaluate` does, and write it to a file."""
    output.parent.mkdir(parents=True, exist_ok=True)
    call("evaluate", pipeline, test, "--output", output)
    return read_scores(output)


def score_once(pipeline: Path, test: Path, output: Path) -> dict[str, float]:
    """Score what does not change, such as a teacher, unless that was done."""
    return read_scores(output) if output.exists() else score(pipeline, test, output)


def read_scores(path: Path) -> dict[str, float]:
    """Read the scores that are numbers, as those of the whole are."""
    scores: Any = srsly.read_json(path)
    return {key: value for key, value in scores.items() if isinstance(value, float)}


def read_rows(results: Path) -> Iterator[dict[str, Any]]:
    """Read what is known."""
    yield from srsly.read_jsonl(results) if results.exists() else ()


def keep_row(results: Path, row: dict[str, Any]) -> None:
    """Add a row to what is known."""
    with results.open("a", encoding="utf8") as file:
        file.write(json.dumps(row) + "\n")


def is_recorded(store: Path) -> bool:
    """See whether a recording of targets came to its end."""
    manifest = store / "manifest.json"
    found: Any = srsly.read_json(manifest) if manifest.exists() else {}
    return bool(found.get("complete"))


def gather(folder: Path, files: list[Path]) -> None:
    """Make a folder of links to some files, to be read in this order.

    What is there stays, where `scripts/gather.py` begins anew: another student's run may be reading it.
    """
    folder.mkdir(exist_ok=True)
    for number, file in enumerate(files):
        link = folder / f"{number}-{file.name}"
        if not link.exists():
            link.symlink_to(file.resolve())
