"""Helpers of all commands: errors, overrides, names."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from io import TextIOWrapper
from itertools import pairwise
from pathlib import Path
from typing import Any

from click import NoSuchOption
from click.shell_completion import split_arg_string
from spacy.cli._util import parse_config_overrides
from spacy.util import ENV_VARS
from wasabi import msg

from ..errors import DistillationError
from ..signals import terminable


@contextmanager
def numbered_errors() -> Iterator[None]:
    """Print a `DistillationError` without its traceback and exit with code 1; after a signal, with 130 or 143."""
    _insist_on_utf8()
    try:
        with terminable():
            yield
    except DistillationError as error:
        msg.fail(str(error))
        sys.exit(1)
    except KeyboardInterrupt:
        # The exit code of a shell; click would return 1.
        sys.exit(130)


def _insist_on_utf8() -> None:
    """Start the command again in Python's UTF-8 mode, where the locale has nothing but ASCII.

    There a path with other characters is a string that no config, JSON file or report can hold. Python itself takes
    this mode in the locale C, unless PYTHONUTF8=0 forbids it, as some containers do. What is printed stays in the
    locale's encoding; other characters are escaped.
    """
    if sys.getfilesystemencoding() == "ascii" and os.environ.get("PYTHONUTF8") != "1":
        encoding = os.environ.get("PYTHONIOENCODING", "ascii:backslashreplace")
        # By the environment, as other processes of this command need it, too.
        environment = {**os.environ, "PYTHONUTF8": "1", "PYTHONIOENCODING": encoding}
        os.execve(sys.executable, sys.orig_argv, environment)
    if isinstance(sys.stdout, TextIOWrapper) and sys.stdout.encoding.lower() != "utf-8":
        sys.stdout.reconfigure(errors="backslashreplace")


def read_overrides(args: list[str]) -> dict[str, Any]:
    """Read config overrides from the command line, such as `--distillation.max_steps 1000`.

    Args:
        args: The command line without the command's own options.

    Raises:
        DistillationError: TD010, an option that is neither the command's own nor a config value.
    """
    # Those of the environment outrank the others, as in spaCy.
    given = _given_paths(args) | _given_paths(split_arg_string(os.environ.get(ENV_VARS.CONFIG_OVERRIDES, "")))
    try:
        return parse_config_overrides(args) | given
    except NoSuchOption as error:
        from ..schemas import DistillationConfig

        key = error.option_name.lstrip("-").replace("-", "_")
        hint = f"Did you mean --distillation.{key}?" if key in DistillationConfig.model_fields else "See --help."
        raise DistillationError("TD010", option=error.option_name, hint=hint) from None


def _given_paths(args: list[str]) -> dict[str, str | None]:
    """Find the values of `--paths.NAME` as they are: spaCy would read a path such as 123 or [a] as JSON.

    Only null is none, unless there is a file of that name.
    """
    given: dict[str, str | None] = {}
    for arg, following in pairwise([*args, "--"]):
        key, equals, value = arg.removeprefix("--").partition("=")
        if arg.startswith("--paths.") and (equals or not following.startswith("--")):
            path = value if equals else following
            given[key.replace("-", "_")] = path if path != "null" or Path(path).exists() else None
    return given


def read_names(text: str) -> str | list[str]:
    """Read a name or path, or several separated by commas. An existing path may contain commas."""
    names = [name.strip() for name in text.split(",")]
    return text if len(names) == 1 or Path(text).exists() else names


def read_standard_input() -> list[str]:
    """Read one text per line from standard input.

    Raises:
        DistillationError: TD108, it is not UTF-8.
    """
    try:
        # As bytes: as text, Python would decode it by the locale, and some locales hide errors.
        return [line.rstrip("\r") for line in sys.stdin.buffer.read().decode("utf-8-sig").split("\n")]
    except UnicodeDecodeError as error:
        raise DistillationError("TD108", path="Standard input", reason=error) from None
