"""The fuzzer's kept inputs: one archive, fuzz/corpus.zip, with a folder for each target.

Written anew from the same inputs it has the same bytes: sorted names, no dates, and no compression, whose bytes
depend on the version of zlib. Git compresses it.
"""

from pathlib import Path
from zipfile import ZipFile, ZipInfo

ARCHIVE = Path(__file__).parent / "corpus.zip"


def read_inputs(path: Path = ARCHIVE) -> dict[str, dict[str, bytes]]:
    """All inputs by their target and name."""
    inputs: dict[str, dict[str, bytes]] = {}
    with ZipFile(path) as archive:
        for name in archive.namelist():
            target, _, file = name.partition("/")
            inputs.setdefault(target, {})[file] = archive.read(name)
    return inputs


def write_inputs(inputs: dict[str, dict[str, bytes]], path: Path = ARCHIVE) -> None:
    """Write all inputs."""
    with ZipFile(path, "w") as archive:
        for target, files in sorted(inputs.items()):
            for name, data in sorted(files.items()):
                archive.writestr(ZipInfo(f"{target}/{name}"), data)


def extract_inputs(target: str, folder: Path) -> None:
    """Write the inputs of a target as files, as the fuzzer reads them."""
    for name, data in read_inputs()[target].items():
        (folder / name).write_bytes(data)
