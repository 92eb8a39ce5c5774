"""Gather text of several kinds in one folder, which then holds that and nothing of an earlier time."""

import shutil
from pathlib import Path

import typer


def main(folder: Path, sources: list[Path]) -> None:
    """Make FOLDER anew, with a copy of each of SOURCES, files or folders."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for number, source in enumerate(sources):
        copy = shutil.copytree if source.is_dir() else shutil.copy
        copy(source, folder / f"{number}-{source.name}")


if __name__ == "__main__":
    typer.run(main)
