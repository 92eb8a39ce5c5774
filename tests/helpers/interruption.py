"""Runs that are watched, and killed at a step."""

from spacy.util import registry


class Killed(Exception):
    """Stands for a power cut."""


# What `[training.before_update]` was told, by run.
UPDATES: list[dict] = []


@registry.callbacks("tests.watch_updates.v1")
def watch_updates(kill_at: int = -1):
    def watch(nlp, info):
        UPDATES.append(info)
        if info["step"] == kill_at:
            raise Killed

    return watch
