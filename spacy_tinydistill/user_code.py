"""Import a file of somebody's own registered functions."""

from pathlib import Path

from spacy.util import import_file

from .errors import DistillationError


def import_user_code(path: Path) -> None:
    """Import a Python file, so that what it registers is known.

    Raises:
        DistillationError: TD412, it is not there, is no Python file, or fails.
    """
    if path.suffix != ".py" or not path.is_file():
        raise DistillationError("TD412", path=path, reason="there is no Python file of that name")
    try:
        import_file("python_code", path)
    except Exception as error:  # Whatever somebody else's code raises
        raise DistillationError("TD412", path=path, reason=f"{type(error).__name__}: {error}") from error
