"""What the commands share."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from click import NoSuchOption
from spacy.cli._util import parse_config_overrides
from wasabi import msg

from ..errors import DistillationError
from ..signals import terminable


@contextmanager
def numbered_errors() -> Iterator[None]:
    """Print a `DistillationError` without its traceback and leave with exit code 1; after a signal, with 130 or 143."""
    try:
        with terminable():
            yield
    except DistillationError as error:
        msg.fail(str(error))
        sys.exit(1)
    except KeyboardInterrupt:
        # As a shell reports it; click would say 1.
        sys.exit(130)


def read_overrides(args: list[str]) -> dict[str, Any]:
    """Read what the command line puts into a config, such as `--distillation.max_steps 1000`.

    Args:
        args: What is left of the command line when the command's own options are taken out.

    Raises:
        DistillationError: TD010, an option that is neither the command's own nor a value of the config.
    """
    try:
        return parse_config_overrides(args)
    except NoSuchOption as error:
        from ..schemas import DistillationConfig

        key = error.option_name.lstrip("-").replace("-", "_")
        hint = f"Did you mean --distillation.{key}?" if key in DistillationConfig.model_fields else "See --help."
        raise DistillationError("TD010", option=error.option_name, hint=hint) from None


def read_names(text: str) -> str | list[str]:
    """Read a name or a path, or several with commas in between; one that holds a comma itself is taken as it is."""
    names = [name.strip() for name in text.split(",")]
    return text if len(names) == 1 or Path(text).exists() else names


def read_standard_input() -> list[str]:
    """Read one text a line.

    Raises:
        DistillationError: TD108, it is no UTF-8.
    """
    try:
        # Not as text, which Python reads as the locale says, and where that says nothing, without complaint.
        return [line.rstrip("\r") for line in sys.stdin.buffer.read().decode("utf-8-sig").split("\n")]
    except UnicodeDecodeError as error:
        raise DistillationError("TD108", path="Standard input", reason=error) from None
