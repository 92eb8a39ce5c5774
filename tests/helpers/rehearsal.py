"""Distils every kind of pipe on the GPU that `pretend_gpu` stands for, and tells what was copied to it and back.

    python tests/helpers/rehearsal.py FOLDER [ACT ...]

Writes FOLDER/rehearsal.json: for each act the error that ended it, if any, and the copies, by direction and function,
while the teacher was asked, while batches were learned, and in all the rest.
"""
# ruff: noqa: E402, I001

import json
import os
import sys
import traceback
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")
sys.path.insert(0, str(Path(__file__).parent.parent))

from helpers import pretend_gpu

pretend_gpu.install()

from thinc.api import fix_random_seed, require_gpu

require_gpu(0)

import numpy
import pytest
import spacy
from spacy.language import Language
from spacy.tokens import DocBin
from spacy_tinydistill import forecast, loop
from spacy_tinydistill.components.soft_labels import SoftLabels
from spacy_tinydistill.components.text_labels import TextLabels
from spacy_tinydistill.pipes.pipeline import load_teacher
from spacy_tinydistill.prepare import Run
from spacy_tinydistill.teacher import recorder
from spacy_tinydistill.vectors import distill_vectors

from helpers.cnn_teacher import cnn
from helpers.interruption import Killed
from helpers.one_pipe import FACTORIES, annotate, teach
from helpers.students import distil_quickly, make_config
from helpers.tiny_teacher import LANGUAGE, TEXTS as ALL_TEXTS
from helpers.transformer_students import config_of, run, teacher_pieces, trained_pieces
from helpers.transformer_teachers import HEADS, make_curated_teacher, make_spacy_transformers_teacher, write_vocabulary

TEXTS = ALL_TEXTS[:16]
UPDATES = 3

ASK, LEARN = recorder._ask, loop._Update.learn_from_teacher


class Stopwatch:
    """Counts the copies of each part of a run, by wrapping the functions that are those parts."""

    def __init__(self) -> None:
        self.parts: dict[str, Counter[tuple[str, str]]] = {"recording": Counter(), "learning": Counter()}
        self.calls: Counter[str] = Counter()
        self.pipes: set[str] = set()
        recorder._ask = self._watch("recording", ASK)
        loop._Update.learn_from_teacher = self._watch("learning", LEARN)

    def _watch(self, part: str, function: Callable) -> Callable:
        def watched(*args: Any) -> Any:
            self.calls[part] += 1
            with pretend_gpu.counted() as found:
                answer = function(*args)
            self.parts[part].update(found)
            return answer

        return watched

    def describe(self, everything: Counter[tuple[str, str]]) -> dict[str, Any]:
        rest = everything - self.parts["recording"] - self.parts["learning"]
        parts = {**self.parts, "rest": rest}
        copies = {part: [[*key, number] for key, number in found.most_common()] for part, found in parts.items()}
        return {"calls": dict(self.calls), "copies": copies}


# Teachers


def cnn_teacher(folder: Path) -> Language:
    """A teacher with a pipe of each of spaCy's trainable factories."""
    path = folder.parent / "cnn"
    if not path.exists():
        fix_random_seed(0)
        nlp = spacy.blank(LANGUAGE)
        for factory, config in FACTORIES.items():
            nlp.add_pipe(factory, config=config)
        optimizer = nlp.initialize(lambda: [annotate(nlp)])
        nlp.update([annotate(nlp)], sgd=optimizer)
        nlp.to_disk(path)
    return load_teacher(path)


def transformer_teacher(folder: Path, make: Callable = make_spacy_transformers_teacher) -> tuple[Any, Path]:
    path = folder.parent / make.__name__
    if not path.exists():
        vocabulary = folder.parent / "vocab.txt"
        write_vocabulary(vocabulary)
        make(vocabulary, LANGUAGE).to_disk(path)
    return load_teacher(path), path


# Acts


def every_kind(folder: Path) -> None:
    """All kinds of pipes on one encoder; gold annotations, a killed run that goes on, evaluation and report."""
    teacher = cnn_teacher(folder)
    gold = folder / "gold.spacy"
    DocBin(docs=[annotate(spacy.blank(LANGUAGE)).reference]).to_disk(gold)
    config = make_config(teacher, list(FACTORIES))
    settings: dict[str, Any] = {
        "paths.gold": str(gold),
        "paths.dev": str(gold),
        "training.eval_frequency": 2,
        "distillation.batcher.size": 30,
        "dropout": 0.1,
    }
    killed = settings | {"training.before_update": {"@callbacks": "tests.watch_updates.v1", "kill_at": 3}}
    with suppress(Killed):
        distil_quickly(teacher, TEXTS, folder / "run", config, steps=UPDATES + 1, gpu_id=0, **killed)
    distil_quickly(teacher, TEXTS, folder / "run", config, steps=UPDATES + 1, gpu_id=0, resume=True, **settings)


def own_encoders(folder: Path) -> None:
    """Each pipe on an encoder of its own, and a parser and ner without an upper layer."""
    teacher = cnn_teacher(folder)
    config = make_config(teacher, list(FACTORIES), shared=False, encoder=cnn(16, rows=100))
    for name in ("parser", "ner"):
        config["components"][name]["model"]["use_upper"] = False
    distil_quickly(teacher, TEXTS, folder / "run", config, steps=UPDATES, gpu_id=0)


def annotations(folder: Path) -> None:
    """Hard labels."""
    teacher = spacy.blank(LANGUAGE)
    teacher.add_pipe("entity_ruler").add_patterns([{"label": "WHERE", "pattern": "Oslo"}])
    config = make_config(cnn_teacher(folder), ["ner"])
    mapping = {"ner": "entity_ruler"}
    distil_quickly(teacher, TEXTS, folder / "run", config, steps=UPDATES, gpu_id=0, student_to_teacher=mapping)


def hidden_states(folder: Path) -> None:
    """A CNN that learns a transformer's hidden states, those of either library."""
    for make in (make_spacy_transformers_teacher, make_curated_teacher):
        teacher, _ = transformer_teacher(folder, make)
        config = make_config(teacher, HEADS)
        rule = {"@teaching_rules": "spacy-tinydistill.HiddenStates.v1", "layers": [0, -1]}
        config["distillation"]["teaching"] = {"tok2vec": rule}
        distil_quickly(teacher, TEXTS, folder / f"hidden-{make.__name__}", config, steps=UPDATES, gpu_id=0)


def transformer_layers(folder: Path) -> None:
    """TinyBERT's lessons, from its teacher's weights, with a killed run that goes on."""
    teacher, path = transformer_teacher(folder)
    config = config_of(teacher, teacher_pieces(path), {"down_weight": 0.5}, width=16)
    config["initialize"]["after_init"] = {"@callbacks": "spacy-tinydistill.TeacherWeights.v1", "teacher": str(path)}
    output = folder / "layers"
    changes = {"steps": UPDATES + 1, "gpu_id": 0, "training.eval_frequency": 2}
    with suppress(Killed):
        run(teacher, TEXTS, output, config, kill_at=3, **changes)
    run(teacher, TEXTS, output, config, resume=True, **changes)


def mixed_vocabulary(folder: Path) -> None:
    """A student with pieces of its own that reads some words in its teacher's."""
    teacher, path = transformer_teacher(folder)
    config = config_of(teacher, trained_pieces(folder, TEXTS), {"attention_weight": 0.0}, width=16)
    callback = {"@callbacks": "spacy-tinydistill.MixedVocabulary.v1", "teacher": str(path), "probability": 0.5}
    config["initialize"]["after_init"] = callback
    run(teacher, TEXTS, folder / "mixed", config, steps=UPDATES, gpu_id=0)


def vectors_and_forecast(folder: Path) -> None:
    """What else reads a teacher: word vectors, and the rehearsal of `debug distillation`."""
    teacher, _ = transformer_teacher(folder)
    distill_vectors(teacher, TEXTS, width=8, limit=60, contexts=60)
    texts = folder / "check.txt"
    texts.write_text("\n".join(TEXTS), encoding="utf8")
    config = make_config(teacher, HEADS)
    config["paths"]["distill"] = str(texts)
    config.to_disk(folder / "check.cfg")
    checked = Run(teacher, None, folder / "check.cfg", {}, 0)
    problems = [check for check in checked.check() if check.error]
    assert not problems, problems
    forecast.ASKING_SECONDS = forecast.LEARNING_SECONDS = 0.1
    forecast.forecast(checked)


# Faults, put in by hand, to see that each is found


def concatenated_by_numpy(folder: Path) -> None:
    """Device arrays in a function of NumPy's."""

    def compare(self: Any, student: Any, teacher: Any, *, exclusive: bool) -> Any:
        return numpy.concatenate([student - teacher]), 0.0

    SoftLabels.compare = compare  # type: ignore[method-assign]
    one_pipe("textcat", folder)


def masked_by_host(folder: Path) -> None:
    """A device array, and a mask on the CPU."""

    def compare(self: Any, student: Any, teacher: Any, *, exclusive: bool) -> Any:
        gradient = student - teacher
        gradient[numpy.ones(len(gradient), dtype=bool)] = 0
        return gradient, 0.0

    SoftLabels.compare = compare  # type: ignore[method-assign]
    one_pipe("textcat", folder)


def recorded_without_to_numpy(folder: Path) -> None:
    """What the teacher said, written to the store from where it was."""

    def record(self: Any, teacher: Any, docs: Any) -> Any:
        return [{"probabilities": row} for row in teacher.predict(docs)]

    TextLabels.record = record  # type: ignore[method-assign]
    one_pipe("textcat", folder)


def one_pipe(factory: str, folder: Path) -> None:
    """Distil the least that there is."""
    teacher = teach(factory, **FACTORIES[factory])
    distil_quickly(teacher, TEXTS, folder / "run", make_config(teacher, ["taught"]), steps=1, gpu_id=0)


ACTS = [
    every_kind, own_encoders, annotations, hidden_states, transformer_layers, mixed_vocabulary,
    vectors_and_forecast,
]  # fmt: skip
FAULTS = [concatenated_by_numpy, masked_by_host, recorded_without_to_numpy]


def main(folder: Path, names: list[str]) -> None:
    """Play some acts, by default all."""
    folder.mkdir(parents=True, exist_ok=True)
    told = {}
    for act in [*ACTS, *FAULTS]:
        if names and act.__name__ not in names:
            continue
        pretend_gpu.crossings.clear()
        stopwatch = Stopwatch()
        error = None
        scene = folder / act.__name__
        scene.mkdir()
        try:
            act(scene)
        except pytest.skip.Exception as reason:
            told[act.__name__] = {"skipped": str(reason)}
            continue
        except Exception:
            error = traceback.format_exc()
        told[act.__name__] = {"error": error, **stopwatch.describe(pretend_gpu.crossings)}
    (folder / "rehearsal.json").write_text(json.dumps(told, indent=1), encoding="utf8")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
