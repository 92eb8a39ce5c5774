"""Small disks, which a test may fill or make read-only."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def small_disk_at(folder: Path, megabytes: int = 64) -> Iterator[Path]:
    """Mount a disk in memory. Where that is not allowed the test is skipped; in CI it fails."""
    folder.mkdir()
    try:
        _mount(folder, "-t", "tmpfs", "-o", f"size={megabytes}m,mode=777", "tmpfs")
    except (OSError, subprocess.CalledProcessError) as error:
        said = error.stderr.decode() if isinstance(error, subprocess.CalledProcessError) else str(error)
        reason = f"no small disk can be made here: {said}"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    try:
        yield folder
    finally:
        # Lazily: shards may still be mapped.
        subprocess.run([*_as_root(), "umount", "--lazy", str(folder)], check=True)


def make_read_only(folder: Path) -> None:
    """Make a small disk read-only, for root as well."""
    _mount(folder, "-o", "remount,ro")


def fill(folder: Path, *, leave: int) -> None:
    """Fill a disk but for so many bytes."""
    with (folder / "filler").open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, max(1, shutil.disk_usage(folder).free - leave))


def _mount(folder: Path, *options: str) -> None:
    subprocess.run([*_as_root(), "mount", *options, str(folder)], check=True, capture_output=True)


def _as_root() -> list[str]:
    return [] if os.geteuid() == 0 else ["sudo", "-n"]
