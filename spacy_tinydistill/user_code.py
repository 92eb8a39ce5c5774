"""Import a user's file with registered functions."""

from pathlib import Path

from spacy.util import import_file

from .errors import DistillationError


def import_user_code(path: Path) -> None:
    """Import a Python file, so that its registered functions can be used.

    Raises:
        DistillationError: TD412, it does not exist, is not a Python file, or raises an error.
    """
    if path.suffix != ".py" or not path.is_file():
        raise DistillationError("TD412", path=path, reason="there is no Python file of that name")
    try:
        import_file("python_code", path)
    except Exception as error:  # User code can raise anything
        raise DistillationError("TD412", path=path, reason=f"{type(error).__name__}: {error}") from error
