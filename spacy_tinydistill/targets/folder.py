"""Where a store's files are: in a folder of this machine, or behind a URL."""

import hashlib
from pathlib import Path
from typing import Any

from ..errors import DistillationError, needed
from ..files import remove, replace_file, told_if_not_written, write_whole

with needed("distill"):
    import pyarrow as pa
    from fsspec.core import url_to_fs
    from fsspec.implementations.local import LocalFileSystem


class Folder:
    """A folder on this machine, or behind a URL. File names are relative to it."""

    def __init__(self, location: str | Path) -> None:
        """Find the folder, which need not exist.

        Args:
            location: A path, or a URL such as "s3://bucket/targets".

        Raises:
            DistillationError: TD507, no installed package knows such a URL.
        """
        self.local: Path | None = None
        if "://" not in str(location):
            self.local = Path(location).absolute()
        else:
            try:
                self._files, self._root = url_to_fs(str(location))
            except (ValueError, ImportError) as error:
                raise DistillationError("TD507", path=location, reason=error) from error
            if isinstance(self._files, LocalFileSystem):
                self.local = Path(self._root)
        # Absolute, for processes that run in another folder.
        self.location = str(self.local or location)

    def names(self) -> list[str]:
        """List the names in the folder; none if it does not exist."""
        if self.local:
            return sorted(item.name for item in self.local.iterdir()) if self.local.exists() else []
        if not self._files.isdir(self._root):
            return []
        return sorted(name.rstrip("/").rpartition("/")[2] for name in self._files.ls(self._root, detail=False))

    def is_file(self, name: str = "") -> bool:
        """Whether there is a file of that name, not a link; without a name, whether the folder is a file."""
        if self.local:
            return (self.local / name).is_file() and not (self.local / name).is_symlink()
        return self._files.isfile(self._remote(name))

    def read(self, name: str) -> bytes:
        """Read a whole file."""
        return (self.local / name).read_bytes() if self.local else self._files.cat_file(self._remote(name))

    def map(self, name: str) -> Any:
        """Open a file for Arrow: mapped into memory, or read into it if it is behind a URL."""
        return pa.memory_map(str(self.local / name)) if self.local else pa.BufferReader(self.read(name))

    def hash(self, name: str) -> str:
        """Compute a file's SHA-256."""
        with (self.local / name).open("rb") if self.local else self._files.open(self._remote(name)) as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    def write(self, name: str, data: bytes) -> None:
        """Write a file completely or not at all.

        Raises:
            DistillationError: TD509, it cannot be written, for example because the disk is full.
        """
        with told_if_not_written(f"{self.location}/{name}"):
            if self.local:
                file = self.local / name
                # A folder that was removed meanwhile is not made again, without the files that were in it.
                if file.parent != self.local:
                    file.parent.mkdir(exist_ok=True)
                write_whole(file, data)
            else:
                self._files.pipe_file(self._remote(name), data)

    def move(self, source: str, name: str) -> None:
        """Rename a file, replacing any file of that name."""
        if self.local:
            replace_file(self.local / source, self.local / name)
        else:
            self._files.mv(self._remote(source), self._remote(name))

    def remove(self, name: str = "") -> None:
        """Remove this folder or one in it, if it exists."""
        if self.local:
            remove(self.local / name)
        elif self._files.exists(self._remote(name)):
            self._files.rm(self._remote(name), recursive=True)

    def _remote(self, name: str) -> str:
        return f"{self._root.rstrip('/')}/{name}".rstrip("/")
