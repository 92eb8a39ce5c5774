"""The folders that a run writes to: what may be in them, and what is removed."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from .errors import DistillationError, needed
from .evaluation_log import CURVE_NAME
from .files import remove
from .loop import DIR_MODEL_BEST, DIR_MODEL_LAST, FILE_NAME
from .report.report import HTML_NAME, JSON_NAME
from .targets.folder import Folder
from .targets.store import HEADER, LOCK, MANIFEST

with needed("distill"):
    from filelock import FileLock, Timeout

CONFIG_NAME = "config.cfg"
DIR_TARGETS = "targets"

# What a run writes into its output folder.
OUTPUT_NAMES = (DIR_MODEL_BEST, DIR_MODEL_LAST, DIR_TARGETS, CONFIG_NAME, FILE_NAME, CURVE_NAME, JSON_NAME, HTML_NAME)


@contextmanager
def take_output(path: Path, *, resume: bool, force: bool) -> Iterator[None]:
    """Hold an output folder for one run. It can be written to, nothing in it is lost, and other runs are kept out.

    Raises:
        DistillationError: TD501, it is not empty, and neither `resume` nor `force` was given; TD302, there is nothing
            to resume from; TD506, it is a file; TD507, it cannot be made or written to; TD515, another run holds it.
    """
    if path.exists() and not path.is_dir():
        raise DistillationError("TD506", path=path)
    # One that was stopped before it had recorded or learned anything begins again.
    if resume and not (path / FILE_NAME).exists() and not (path / DIR_TARGETS).exists():
        raise DistillationError("TD302", path=path)
    lock = FileLock(path / LOCK)
    try:
        path.mkdir(parents=True, exist_ok=True)
        if not resume and not force:
            _check_empty(path)
        lock.acquire(timeout=0)
    except Timeout:
        raise DistillationError("TD515", path=path) from None
    except OSError as error:
        raise DistillationError("TD507", path=path, reason=error) from None
    try:
        # Once more: another run may have ended between the two.
        if not resume and not force:
            _check_empty(path)
        yield
    finally:
        # While it is held: another run that has opened it by now cannot take it. Windows keeps what is open.
        with suppress(OSError):
            (path / LOCK).unlink()
        lock.release()


def _check_empty(path: Path) -> None:
    found = sorted(item.name for item in path.iterdir() if item.name != LOCK)
    if found:
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
