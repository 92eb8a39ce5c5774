"""Runs that are watched, and killed at a step."""

from pathlib import Path

from spacy.util import registry

from helpers.comparison import files_of
from helpers.disks import fill
from helpers.students import distil_quickly, make_config
from spacy_tinydistill.loop import DIR_MODEL_BEST, DIR_MODEL_LAST


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


RESUMED_PIPES = ["tagger", "parser", "ner", "textcat"]
COMPOUNDING = {"@schedules": "compounding.v1", "start": 60, "stop": 200, "compound": 1.1}


class Runs:
    """Runs of one config that differ in nothing but in being interrupted."""

    def __init__(self, teacher, texts, dev_path, folder, max_epochs) -> None:
        self.teacher = teacher
        self.texts = texts[:24]
        self.folder = folder
        self.settings = {
            "max_epochs": max_epochs,
            "distillation.batcher.size": COMPOUNDING,
            "dropout": 0.2,
            "training.eval_frequency": 4,
            "paths.dev": str(dev_path),
        }

    def run(self, name, *, kill_at=-1, resume=False):
        config = make_config(self.teacher, RESUMED_PIPES)
        settings = dict(self.settings)
        if kill_at >= 0:
            settings["training.before_update"] = {"@callbacks": "tests.watch_updates.v1", "kill_at": kill_at}
        distil_quickly(self.teacher, self.texts, self.folder / name, config, steps=13, resume=resume, **settings)
        return files_of(self.folder / name / DIR_MODEL_LAST), files_of(self.folder / name / DIR_MODEL_BEST)


# What `[training.before_update]` fills up: a disk, and how much of it is left.
FILLED: dict[str, int] = {}


@registry.callbacks("tests.fill_disk.v1")
def fill_disk(at: int):
    def watch(nlp, info):
        if info["step"] == at:
            for folder, leave in FILLED.items():
                fill(Path(folder), leave=leave)

    return watch
