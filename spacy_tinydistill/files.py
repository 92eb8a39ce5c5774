"""Files that are written completely or not at all."""

import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .errors import DistillationError

# Windows refuses to replace a file that another program has open, such as a virus scanner that looks at a new one.
SECONDS_TO_REPLACE = 2.0


def list_files(folder: Path) -> Iterator[Path]:
    """List the files in a folder and in those below it, by name."""
    return (file for file in sorted(folder.rglob("*")) if file.is_file())


def bytes_on_disk(folder: Path) -> int:
    """Sum the sizes of all files in a folder and in those below it."""
    return sum(file.stat().st_size for file in list_files(folder))


def write_whole(path: Path, data: bytes) -> None:
    """Write a file completely or not at all, even if the machine stops."""
    new = path.with_name(f"{path.name}.new")
    # Left by an interrupted write, or a link through which another file would be written.
    remove(new)
    try:
        with new.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        replace_file(new, path)
    except OSError:
        # On a full disk it would take up room.
        new.unlink(missing_ok=True)
        raise


def replace_file(source: Path, target: Path) -> None:
    """Rename a file, replacing the target; wait for other programs to close it."""
    end = time.monotonic() + SECONDS_TO_REPLACE
    while True:
        try:
            source.replace(target)
            return
        except PermissionError:
            if os.name != "nt" or time.monotonic() > end:
                raise
            time.sleep(0.05)


def remove(path: Path) -> None:
    """Remove a file or folder, if it exists; for a link, the link."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


@contextmanager
def told_if_not_written(path: str | Path) -> Iterator[None]:
    """Turn an OSError, such as of a full disk or a read-only folder, into a numbered error.

    Raises:
        DistillationError: TD509, a file could not be written within the block.
    """
    try:
        yield
    except OSError as error:
        raise DistillationError("TD509", path=error.filename or path, reason=error.strerror or error) from error
