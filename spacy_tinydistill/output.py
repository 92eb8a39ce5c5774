"""The folders that a run writes to: what may be in them, and what is removed."""

from pathlib import Path

from .errors import DistillationError
from .evaluation_log import CURVE_NAME
from .files import remove
from .loop import DIR_MODEL_BEST, DIR_MODEL_LAST, FILE_NAME
from .report.report import HTML_NAME, JSON_NAME
from .targets.folder import Folder
from .targets.store import HEADER, LOCK, MANIFEST

CONFIG_NAME = "config.cfg"
DIR_TARGETS = "targets"

# What a run writes into its output folder.
OUTPUT_NAMES = (DIR_MODEL_BEST, DIR_MODEL_LAST, DIR_TARGETS, CONFIG_NAME, FILE_NAME, CURVE_NAME, JSON_NAME, HTML_NAME)


def check_output(path: Path, *, resume: bool, force: bool) -> None:
    """See that an output folder can be written to and that nothing in it is lost.

    Raises:
        DistillationError: TD501, it is not empty, and neither `resume` nor `force` was given; TD302, there is nothing
            to resume from; TD506, it is a file; TD507, it cannot be made.
    """
    if path.exists() and not path.is_dir():
        raise DistillationError("TD506", path=path)
    # One that was stopped before it had recorded or learned anything begins again.
    if resume and not (path / FILE_NAME).exists() and not (path / DIR_TARGETS).exists():
        raise DistillationError("TD302", path=path)
    try:
        path.mkdir(parents=True, exist_ok=True)
        found = sorted(item.name for item in path.iterdir())
    except OSError as error:
        raise DistillationError("TD507", path=path, reason=error) from None
    if found and not resume and not force:
        raise DistillationError("TD501", path=path, found=", ".join(found[:5]))


def clear_output(path: Path) -> None:
    """Remove what an earlier run left in its output folder, and nothing else."""
    for name in OUTPUT_NAMES:
        remove(path / name)


def check_store_folder(folder: Folder) -> None:
    """See that a folder is free, or a store.

    Raises:
        DistillationError: TD506, it is a file; TD618, it holds something else.
    """
    if folder.is_file():
        raise DistillationError("TD506", path=folder.location)
    found = folder.names()
    # A recording that was stopped, or found the disk full, before there was a manifest has left the others.
    others = sorted({*found} - {LOCK, HEADER, f"{HEADER}.new", f"{MANIFEST}.new"})
    if others and MANIFEST not in found:
        raise DistillationError("TD618", path=folder.location, found=", ".join(others[:5]))


def list_folders(path: Path, count: int) -> list[Path]:
    """Name the folder for the targets of each of some teachers."""
    return [path] if count == 1 else [path / str(i + 1) for i in range(count)]
