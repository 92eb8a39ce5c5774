"""How a config is read, interpolated and written, so that every character of a path stays what it is.

In spaCy's config format `${block.name}` is a variable, and `$$` is a dollar sign. But confection, which spaCy reads and
writes configs with, undoes `$$` only where it replaces variables at once, and spaCy reads configs without that. So a
dollar sign that was written and read again is two, then four. The report is in upstream/confection-dollar.
Here configs are read and written by these rules:

- In memory a text is what it is. Only a `${` that begins no variable is `STAND_IN` and `{`, as spaCy would fail on it.
- In a file a dollar sign is `\\u0024`, which JSON readers know: confection and `read_config_file` read the same.
- Of other files, `$$` is read as one dollar sign, and so is one alone, as people write it.
"""

import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from spacy.util import CONFIG_SECTION_ORDER
from thinc.api import Config

# As confection finds them.
VARIABLE = re.compile(r"\$\{([\w.:]+)\}")

# What stands for a dollar sign where confection would misread it: a character for private use, and as JSON.
STAND_IN, STAND_IN_ESCAPED = "\ue024", "\\ue024"

# A dollar sign as JSON escapes it, and not after a backslash that is escaped itself.
DOLLAR = "\\u0024"
ESCAPED_DOLLAR = re.compile(r"(?<!\\)((?:\\\\)*)\\u0024")


def read_config_file(path: str | Path, overrides: dict[str, Any] | None = None) -> Config:
    """Read a config without replacing its variables.

    Args:
        path: The file; "-" for standard input.
        overrides: Values to put into it, by dotted name.

    Raises:
        OSError: There is no such file.
        ValueError: confection cannot read it, or there is no block for one of the overrides.
    """
    text = sys.stdin.read() if str(path) == "-" else Path(path).read_text(encoding="utf-8")
    return parse_config(text, overrides)


def parse_config(text: str, overrides: dict[str, Any] | None = None) -> Config:
    """Read a config from text, as `read_config_file` does from a file."""
    config = Config(section_order=CONFIG_SECTION_ORDER).from_str(
        ESCAPED_DOLLAR.sub(lambda found: found[1] + STAND_IN_ESCAPED, text),
        interpolate=False,
        overrides=_map_texts(overrides or {}, _shield),
    )
    return _map_config(config, _as_in_memory)


def interpolate(config: Config) -> Config:
    """Replace the variables of a config; all other text comes out as it is.

    Raises:
        ValueError: A variable names nothing; confection's own error.
    """
    found = Config(_map_texts(config, _shield), is_interpolated=False).interpolate()
    return _map_config(found, without_stand_ins)


def config_to_text(config: Config) -> str:
    """Write a config, with its variables, so that confection and `parse_config` read the same again."""
    shielded = Config(_map_texts(config, _shield), section_order=config.section_order)
    return shielded.to_str(interpolate=False).replace(STAND_IN_ESCAPED, DOLLAR)


def write_config_file(config: Config, path: Path) -> None:
    """Write a config with its variables to a file.

    Raises:
        OSError: It cannot be written.
    """
    path.write_text(config_to_text(config), encoding="utf-8")


def literal(text: str) -> str:
    """Write a text for a config in memory, so that no part of it is taken for a variable."""
    return text.replace("${", f"{STAND_IN}{{")


def without_stand_ins(text: str) -> str:
    """Undo `literal`, where spaCy hands on what a config has."""
    return text.replace(STAND_IN, "$")


def names_nothing(config: Config, text: str) -> bool:
    """Whether what looks like a variable is none: the config has nothing of that name."""
    for name in VARIABLE.findall(text):
        node: Any = config
        for part in name.replace(":", ".").split("."):
            if not isinstance(node, dict) or part not in node:
                return True
            node = node[part]
    return False


def _as_in_memory(text: str) -> str:
    """Make what confection has read of a file what it is in memory."""
    # Outside of JSON it is no escape, but what it says.
    text = text.replace(STAND_IN_ESCAPED, DOLLAR)
    if _is_variable(text):
        # One alone confection would refuse, beside a variable.
        return re.sub(r"\$\$|\$(?!\{)", "$$", text)
    if VARIABLE.search(text) and text.startswith('"'):
        # Confection leaves a text quoted in which it sees a variable.
        text = json.loads(text)
    # Who writes one alone does not double the others either.
    if all(len(run) % 2 == 0 for run in re.findall(r"\$+", text)):
        text = text.replace("$$", "$")
    return literal(without_stand_ins(text))


def _is_variable(text: str) -> bool:
    return VARIABLE.search(text.replace("$$", "")) is not None


def _shield(text: str) -> str:
    return text if _is_variable(text) else text.replace("$", STAND_IN)


def _map_config(config: Config, change: Callable[[str], str]) -> Config:
    return Config(
        _map_texts(config, change), is_interpolated=config.is_interpolated, section_order=config.section_order
    )


def _map_texts(values: Any, change: Callable[[str], str]) -> Any:
    """Change every text of a config but its keys."""
    if isinstance(values, str):
        return change(values)
    if isinstance(values, dict):
        return {key: _map_texts(value, change) for key, value in values.items()}
    if isinstance(values, list | tuple):
        return [_map_texts(value, change) for value in values]
    return values
