"""A dollar sign in a value of a config: where confection doubles it, keeps it doubled, or loses what is beside it.

It needs confection alone, and spaCy for the last part: `python show_fault.py`. It prints a line for each way in, and
ends with exit code 1 if any is at fault. README.md has the report.
"""

import sys
import tempfile
from pathlib import Path

from confection import Config

PATHS = ["a$b", "a$$b", "a${b", "a${b}", "cost$1.50$", "a$[1,2]$b", "a$ 1$b"]


def made(path: str) -> Config:
    """Make a config with a path and a variable that names it."""
    return Config({"paths": {"texts": path}, "corpus": {"path": "${paths.texts}"}}, is_interpolated=False)


def read(config: Config) -> str:
    """Read the path where the variable was."""
    return config["corpus"]["path"]


def in_memory(path: str) -> str:
    """Replace the variable at once."""
    return read(made(path).interpolate())


def written_and_read_at_once(path: str) -> str:
    """Replace the variable while reading."""
    return read(Config().from_str(made(path).to_str(interpolate=False)))


def written_and_read_in_two_steps(path: str) -> str:
    """As spaCy reads every config: without interpolation first, as it wants to keep the variables."""
    return read(Config().from_str(made(path).to_str(interpolate=False), interpolate=False).interpolate())


def written_twice(path: str) -> str:
    """Do that again with what was read."""
    once = Config().from_str(made(path).to_str(interpolate=False), interpolate=False)
    return read(Config().from_str(once.to_str(interpolate=False), interpolate=False).interpolate())


def as_override_in_two_steps(path: str) -> str:
    """Give it as an override, as `spacy train --paths.train` does."""
    text = made("x").to_str(interpolate=False)
    return read(Config().from_str(text, interpolate=False, overrides={"paths.texts": path}).interpolate())


def as_override_at_once(path: str) -> str:
    """Give it as an override while variables are replaced."""
    return read(Config().from_str(made("x").to_str(interpolate=False), overrides={"paths.texts": path}))


def saved_by_spacy_three_times(path: str) -> str:
    """Let spaCy save and load it."""
    import spacy

    nlp = spacy.blank("xx")
    nlp.config["paths"]["train"] = path
    with tempfile.TemporaryDirectory() as folder:
        for number in range(3):
            nlp.to_disk(Path(folder) / str(number))
            nlp = spacy.load(Path(folder) / str(number))
    return nlp.config.interpolate()["paths"]["train"]


WAYS = [
    in_memory,
    written_and_read_at_once,
    written_and_read_in_two_steps,
    written_twice,
    as_override_in_two_steps,
    as_override_at_once,
    saved_by_spacy_three_times,
]


def main() -> None:
    """Try each path in each way."""
    faults = 0
    for path in PATHS:
        print(f"\n{path}")
        for way in WAYS:
            try:
                found = way(path)
            except ImportError as error:
                print(f"  {'skipped':8} {way.__name__}: {error}")
                continue
            except Exception as error:
                found = f"{type(error).__name__}: {' '.join(str(error).split())[:70]}"
            faults += found != path
            print(f"  {'ok' if found == path else 'FAULT':8} {way.__name__}: {found}")
    print(f"\n{faults} faults")
    sys.exit(faults > 0)


if __name__ == "__main__":
    main()
