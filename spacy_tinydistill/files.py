"""How files appear whole or not at all."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .errors import DistillationError


def list_files(folder: Path) -> Iterator[Path]:
    """List the files in a folder and in those below it, by name."""
    return (file for file in sorted(folder.rglob("*")) if file.is_file())


def bytes_on_disk(folder: Path) -> int:
    """Sum the sizes of all files in a folder and in those below it."""
    return sum(file.stat().st_size for file in list_files(folder))


def write_whole(path: Path, data: bytes) -> None:
    """Write a file so that it appears whole or not at all, also where the machine stops."""
    new = path.with_name(f"{path.name}.new")
    # What is left of a write that was broken off; or a link that somebody laid there, to have another file written.
    remove(new)
    try:
        with new.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        new.replace(path)
    except OSError:
        # On a full disk it would take the room that others need.
        new.unlink(missing_ok=True)
        raise


def remove(path: Path) -> None:
    """Remove a file or a folder, if it is there; of a link, the link."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


@contextmanager
def told_if_not_written(path: str | Path) -> Iterator[None]:
    """Tell of a full disk, and of a folder that is not to be written to.

    Raises:
        DistillationError: TD509, what is done within could not be written.
    """
    try:
        yield
    except OSError as error:
        raise DistillationError("TD509", path=error.filename or path, reason=error.strerror or error) from error
