"""docs/architecture.md says where each thing lives and who may import whom; the code keeps to it."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

PACKAGE = Path(__file__).parent.parent / "spacy_tinydistill"
PAGE = (PACKAGE.parent / "docs" / "architecture.md").read_text(encoding="utf8")


def rows() -> list[list[str]]:
    """The patterns in the first column of the table, by row, from top to bottom."""
    cells = re.findall(r"^\| (`[\w/*]+\.py`[^|]*) \|", PAGE, re.MULTILINE)
    return [list(_paths(re.findall(r"`([^`]+)`", cell))) for cell in cells]


def _paths(names: list[str]) -> Iterator[str]:
    first, *others = names
    yield first
    # The first of a row names the folder of all.
    yield from (f"{first.rpartition('/')[0]}/{other}".removeprefix("/") for other in others)


def row_of(path: Path) -> int:
    """The row of a module: the one that names it, before one whose pattern fits it."""
    name = path.relative_to(PACKAGE).as_posix()
    exact = [number for number, patterns in enumerate(rows()) if name in patterns]
    fitting = [number for number, patterns in enumerate(rows()) if any(map(path.relative_to(PACKAGE).match, patterns))]
    (found,) = exact or fitting
    return found


def modules() -> list[Path]:
    return [path for path in PACKAGE.rglob("*.py") if path.name != "__init__.py"]


def imported(path: Path) -> Iterator[Path]:
    """The package's modules that a module imports, anywhere in it, and be it for its types alone."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf8"))):
        if not isinstance(node, ast.ImportFrom):
            assert not isinstance(node, ast.Import) or not any("spacy_tinydistill" in name.name for name in node.names)
            continue
        assert node.level or not (node.module or "").startswith("spacy_tinydistill"), path
        if not node.level:
            continue
        folder = path.parents[node.level - 1]
        target = folder.joinpath(*(node.module or "").split("."))
        # From a package its modules, from a module its names.
        names = [target / alias.name for alias in node.names] if target.is_dir() else [target]
        for name in names:
            if name.with_suffix(".py").exists():
                yield name.with_suffix(".py")


def test_every_module_has_a_row_and_every_row_a_module() -> None:
    for patterns in rows():
        for pattern in patterns:
            assert list(PACKAGE.glob(pattern)), pattern
    for path in modules():
        row_of(path)


def test_nothing_is_imported_from_above() -> None:
    upwards = [
        f"{path.relative_to(PACKAGE)} imports {other.relative_to(PACKAGE)}"
        for path in modules()
        for other in imported(path)
        if row_of(other) < row_of(path)
    ]
    assert not upwards


def test_there_is_no_circle() -> None:
    left = {path: {*imported(path)} - {path} for path in modules()}
    while left:
        free = [path for path, needs in left.items() if not needs & left.keys()]
        assert free, sorted(path.relative_to(PACKAGE).as_posix() for path in left)
        for path in free:
            del left[path]


def test_imports_are_read() -> None:
    assert sum(len(list(imported(path))) for path in modules()) > 150


def test_the_modules_in_the_picture_exist() -> None:
    (picture,) = re.findall(r"^```text\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    names = re.findall(r"[\w/*]+\.py", picture)
    assert len(names) > 5
    for name in names:
        assert list(PACKAGE.glob(name)), name
