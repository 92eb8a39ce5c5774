"""The configs in a student's folder, with which spaCy alone trains it anew or goes on training it."""

from pathlib import Path
from typing import Any

from spacy.language import Language
from spacy.pipeline import TrainablePipe
from thinc.api import Config

from ..config_files import interpolate, write_config_file
from ..pipes.pipeline import pipes_of

# What `spacy.load` reads; `spacy train` makes the same pipeline of it, with new weights.
CONFIG_NAME = "config.cfg"
# With this one `spacy train` goes on with the student's weights, and `spacy assemble` copies them.
TRAIN_NAME = "train.cfg"
# What the student was distilled with.
DISTILL_NAME = "distill.cfg"


def write_configs(student: Language, path: Path) -> None:
    """Write all three into a student's folder, in place of the one that spaCy has written.

    Args:
        student: The pipeline.
        path: Its folder.

    Raises:
        OSError: One cannot be written.
    """
    write_config_file(student.config, path / DISTILL_NAME)
    write_config_file(new_training(student), path / CONFIG_NAME)
    write_config_file(further_training(student), path / TRAIN_NAME)


def new_training(student: Language) -> Config:
    """Write a config for the same pipeline, with labels, but without weights, and without what distilled it.

    It has spaCy's own settings of `[training]` and `[corpora]`. Labels that a config cannot hold are left to the
    training data: those with "${", a morphologizer's, as their keys contain `=`, and a lemmatizer's, whose trees are as
    large as its model.

    Args:
        student: The pipeline, initialized.
    """
    # Variables may name blocks that are left out.
    own = interpolate(student.config)
    config = Config(Language.default_config).copy()
    config["nlp"] = own["nlp"]
    config["components"] = own["components"]
    config["system"] = own["system"]
    for key in ("score_weights", "annotating_components"):
        config["training"][key] = own["training"][key]
    config["initialize"]["tokenizer"] = own["initialize"]["tokenizer"]
    settings = own["initialize"]["components"]
    for name, pipe in pipes_of(student):
        initialize = {key: value for key, value in settings.get(name, {}).items() if key != "labels"}
        labels = _labels_of(pipe)
        # spaCy would take "${" for the beginning of a variable, for which a config has no other spelling.
        if labels and "${" not in repr(labels):
            initialize["labels"] = labels
        if initialize:
            config["initialize"]["components"][name] = initialize
    return config


def further_training(student: Language) -> Config:
    """Write a config in which all of a pipeline's components come from `[paths] student`, the pipeline itself.

    Args:
        student: The pipeline.
    """
    config = new_training(student)
    config["paths"]["student"] = None
    config["components"] = {name: {"source": "${paths.student}"} for name in config["components"]}
    config["training"]["frozen_components"] = student.config["training"]["frozen_components"]
    copied = ["vocab", *(["tokenizer"] if hasattr(student.tokenizer, "to_bytes") else [])]
    config["initialize"] |= {
        "before_init": {"@callbacks": "spacy.copy_from_base_model.v1", **dict.fromkeys(copied, "${paths.student}")},
        "components": {},
    }
    return config


def _labels_of(pipe: Any) -> Any:
    """The labels of a pipe as its `initialize` takes them, where a config can hold that."""
    if not isinstance(pipe, TrainablePipe):
        return None
    moves = getattr(pipe, "moves", None)
    if moves is not None:
        # A table whose keys are labels, such as "nsubj:pass", would be blocks and settings: pairs instead.
        return [[int(action), dict(labels)] for action, labels in moves.labels.items()]
    data = pipe.label_data
    return list(data) if isinstance(data, list | tuple) else None
