"""Put wheels into folders that are small enough to be carried one by one.

    python benchmarks/gpu_wheels.py FOLDER

Moves the wheels in FOLDER into FOLDER/1, FOLDER/2 and so on, of at most 60 MiB each.
"""

import sys
from pathlib import Path

MOST_BYTES = 60 * 2**20


def main(folder: Path, most: int = MOST_BYTES) -> list[list[str]]:
    """Move the wheels, the largest first, each into the first folder with room for it.

    Returns:
        The names in each folder.

    Raises:
        ValueError: A wheel is larger than a folder may be.
    """
    packages: list[list[Path]] = []
    for wheel in sorted(folder.glob("*.whl"), key=lambda path: (-path.stat().st_size, path.name)):
        if wheel.stat().st_size > most:
            raise ValueError(f"{wheel.name} has {wheel.stat().st_size:,} bytes, expected {most:,} at most.")
        fitting = (found for found in packages if sum(path.stat().st_size for path in [*found, wheel]) <= most)
        package = next(fitting, None)
        if package is None:
            packages.append(package := [])
        package.append(wheel)
    for number, package in enumerate(packages, start=1):
        (folder / str(number)).mkdir(exist_ok=True)
        for wheel in package:
            wheel.rename(folder / str(number) / wheel.name)
    return [[wheel.name for wheel in package] for package in packages]


if __name__ == "__main__":
    for number, names in enumerate(main(Path(sys.argv[1])), start=1):
        print(f"{sys.argv[1]}/{number}:", ", ".join(names))
