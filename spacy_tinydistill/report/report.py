"""A report: a dict of JSON types, which is written to disk with an HTML page, and shown in notebooks."""

import json
from pathlib import Path
from typing import Any

from jinja2 import UndefinedError
from markupsafe import escape

from ..errors import DistillationError
from ..files import told_if_not_written, write_whole
from ..web.export import DATA_NAME, STUDENT_NAME
from ..web.page import make_trial
from ..web.selftest import choose_examples
from .html import to_html

JSON_NAME = "report.json"
HTML_NAME = "report.html"

# So many other students are read of at most.
MOST_TRIED = 100

# What tells teachers apart.
TEACHER = ("name", "version", "pipeline", "bytes")


class Report(dict[str, Any]):
    """A report of `compare`."""

    def write(self, folder: Path) -> None:
        """Write `report.json`, and `report.html` made from it.

        Raises:
            DistillationError: TD408, it cannot be written.
        """
        text = json.dumps(self, indent=2, allow_nan=False) + "\n"
        try:
            write_whole(folder / JSON_NAME, text.encode())
            write_whole(folder / HTML_NAME, to_html(json.loads(text)).encode())
        except OSError as error:
            raise DistillationError("TD408", path=folder, reason=f"{type(error).__name__}: {error}") from error

    def _repr_html_(self) -> str:
        """Show the page in a notebook, in a frame with its own styles."""
        page = to_html(json.loads(json.dumps(self)))
        style = "width: 100%; height: 40rem; border: 1px solid #8888"
        return f'<iframe title="Report" sandbox="" style="{style}" srcdoc="{escape(page)}"></iframe>'


def add_trial(folder: Path, exported: Path) -> None:
    """Make a report's page again, with its student to try in it. The page grows by the student and a third.

    Args:
        folder: The report's.
        exported: The folder that `export_web` wrote.

    Raises:
        DistillationError: TD713, there is no report of this student.
    """
    meta = json.loads((exported / STUDENT_NAME / "meta.json").read_text(encoding="utf8"))
    name = f"{meta['lang']}_{meta['name']}"
    trial = make_trial((exported / DATA_NAME).read_bytes(), choose_examples(meta["lang"]))
    try:
        report = json.loads((folder / JSON_NAME).read_text(encoding="utf8"))
        found = report["student"]["name"]
        page = to_html(report, trial)
    except (OSError, ValueError, RecursionError, KeyError, TypeError, AttributeError, UndefinedError) as error:
        reason = f"none that can be read ({type(error).__name__}: {error})"
        raise DistillationError("TD713", path=folder, student=name, found=reason) from error
    if found != name:
        raise DistillationError("TD713", path=folder, student=name, found=f"one of {found}")
    with told_if_not_written(folder):
        write_whole(folder / HTML_NAME, page.encode())


def find_tried(folder: Path, teacher: dict[str, Any]) -> list[dict[str, Any]]:
    """Find other students of a teacher by their reports in neighbouring folders.

    Args:
        folder: The report's own folder, which is left out.
        teacher: The report's description of the teacher. Its name is not enough, since `spacy train` gives none.

    Returns:
        For each: `folder`, `name`, `bytes`, and `retention` and `agreement` as one number each, None if unknown.
    """
    own = folder.absolute()
    tried = []
    for path in sorted(own.parent.glob(f"*/{JSON_NAME}"))[:MOST_TRIED]:
        if path.parent != own:
            student = _read_tried(path, teacher)
            if student is not None:
                tried.append(student)
    return tried


def _read_tried(path: Path, teacher: dict[str, Any]) -> dict[str, Any] | None:
    """What a report says of its student; None where it is of another teacher, or no report of ours."""
    try:
        report = json.loads(path.read_text(encoding="utf8"))
        if any(report["teacher"].get(key) != teacher.get(key) for key in TEACHER):
            return None
        name, n_bytes, overall = report["student"]["name"], report["student"]["bytes"], report["overall"]
        shares = {key: overall[key] for key in ("retention", "agreement")}
    except (OSError, ValueError, RecursionError, KeyError, TypeError, IndexError, AttributeError):
        return None
    if not isinstance(name, str) or not _is_number(n_bytes, 1e18):
        return None
    if not all(share is None or _is_number(share, 1e6) for share in shares.values()):
        return None
    return {"folder": path.parent.name, "name": name, "bytes": n_bytes, **shares}


def _is_number(value: Any, most: float) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= most
