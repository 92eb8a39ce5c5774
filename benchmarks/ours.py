"""This library's side of each comparison; as a script, one job in a process of its own.

    python benchmarks/ours.py JOB.json

The file names one of `JOBS` and its arguments; the answer is the last line of stdout, JSON.
"""

import json
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy
from spacy.language import Language
from spacy.training import Example
from spacy.training.loop import create_train_batches, train_while_improving
from thinc.api import Config, Model

from spacy_tinydistill import distill, record_targets
from spacy_tinydistill.components.base import Lesson
from spacy_tinydistill.loop import Progress, distill_while_improving
from spacy_tinydistill.pipes.device import fast_matrices
from spacy_tinydistill.pipes.pipeline import pipes_of
from spacy_tinydistill.pipes.profile import profile_teacher
from spacy_tinydistill.prepare import INITIALIZE_SAMPLE, Run
from spacy_tinydistill.report.worker import peak_memory
from spacy_tinydistill.schemas import DistillationConfig, read_config, read_distillation_config
from spacy_tinydistill.student.config import student_config
from spacy_tinydistill.student.pipeline import initialize_student, make_student, plan_lessons, start_lessons
from spacy_tinydistill.targets.records import Record, Role
from spacy_tinydistill.targets.store import Store, StoreWriter
from spacy_tinydistill.teacher.recorder import record_store

# The last update, on which learning rates depend; no benchmark comes near it.
FAR_AWAY = 1_000_000

# No score is looked at, and none is better than another.
NO_SCORE: tuple[float, dict[str, Any]] = (0.0, {})


def main(job: Path) -> None:
    """Do a job and print its answer."""
    arguments = json.loads(job.read_text(encoding="utf8"))
    answer = JOBS[arguments.pop("do")](**arguments)
    print(json.dumps(answer | {"peak_memory": peak_memory()}))


def job_epochs(teacher: str, config: str, texts: str, store: str) -> dict[str, Any]:
    """Record, then train from the store: seconds of the recording and of each epoch."""
    run = Run(teacher, Path(texts), Path(config), {}, -1).prepare()
    records = list_texts(run)
    start = perf_counter()
    recorded = record_all(run, records, Path(store))
    recording = perf_counter() - start
    return {"words": sum(map(len, records)), "recording": recording, "epochs": train_from_store(run, recorded)}


def job_record(teacher: str, config: str, texts: str, store: str, dev: str) -> dict[str, Any]:
    """Record as a user does: seconds of the whole, loading included."""
    start = perf_counter()
    manifest = record_targets(teacher, Path(texts), store=store, config=config, overrides={"paths.dev": dev})
    return {"bytes": manifest.bytes, "seconds": perf_counter() - start}


def job_distill(config: str, store: str, output: str, dev: str) -> dict[str, Any]:
    """Train from a store for an epoch as a user does: seconds of the whole, two small evaluations included."""
    start = perf_counter()
    distill("-", output=output, config=config, targets=store, overrides={"paths.dev": dev})
    return {"seconds": perf_counter() - start}


JOBS: dict[str, Callable[..., dict[str, Any]]] = {
    "epochs": job_epochs,
    "record": job_record,
    "distill": job_distill,
}


def list_texts(run: Run) -> list[Record]:
    """List a run's texts, all of them to learn on."""
    examples = run.dataset.read_texts(run.student)
    return [Record.from_doc(example.predicted, Role.TEXT, i) for i, example in enumerate(examples)]


def record_all(run: Run, records: Iterable[Record], path: Path) -> Store:
    """Record into a new store, as `spacy distill-targets` does once the teacher is loaded."""
    assert run.teacher is not None
    with StoreWriter(path, run.header) as writer:
        record_store(run.teacher, records, run.plan, writer)
    return Store(path)


def train_from_store(run: Run, store: Store) -> list[float]:
    """Train a new student from a store; return the seconds of each epoch, the reading of the store included."""
    student, settings, lessons = _new_student(run)
    corpus = replace(run.dataset, student=student).make_corpus(store, run.plan, run.teacher)
    steps = distill_while_improving(
        student,
        lessons,
        corpus,
        lambda: NO_SCORE,
        settings=settings,
        training=run.training,
        progress=Progress(),
    )
    with fast_matrices(student):
        return _epoch_seconds(steps)


def train_with_spacy(run: Run, annotated: Sequence[bytes]) -> list[float]:
    """Train a new student as `spacy train` does, on Docs that are in memory; return the seconds of each epoch.

    Args:
        run: Says what the student is, and with which batches, dropout and optimizer it is trained.
        annotated: The Docs, from `annotated_bytes`.
    """
    student, settings, _ = _new_student(run)
    references = [
        Record(Role.TEXT, 0, [], [], {}, annotated=data).make_annotated_doc(student.vocab) for data in annotated
    ]
    examples = [Example(Record.from_doc(doc).make_doc(student.vocab), doc) for doc in references]
    steps = train_while_improving(
        student,
        settings.optimizer,
        # Typed as if it took one Example a batch.
        create_train_batches(student, lambda _: examples, settings.batcher, settings.max_epochs),  # type: ignore[arg-type]
        lambda: NO_SCORE,
        dropout=settings.dropout,
        eval_frequency=run.training["eval_frequency"],
        accumulate_gradient=run.training["accumulate_gradient"],
        patience=0,
        max_steps=settings.max_steps,
        exclude=[],
        annotating_components=[],
        before_update=None,
    )
    return _epoch_seconds(steps)


def _new_student(run: Run) -> tuple[Language, DistillationConfig, dict[str, Lesson]]:
    """Make a student with first weights, with an optimizer that has not seen another one."""
    student = make_student(run.config, run.profile)
    initialize_student(student, run.profile, run.plan, run.dataset.sample[:INITIALIZE_SAMPLE])
    return student, read_distillation_config(run.config), start_lessons(student, run.header.lessons, run.plan)


def _epoch_seconds(steps: Iterator[tuple[Any, dict[str, Any], Any]]) -> list[float]:
    """Run a training loop; an epoch lasts until its last update is made."""
    times = {-1: perf_counter()}
    for _, info, _ in steps:
        times[info["epoch"]] = perf_counter()
    return [times[epoch] - times[epoch - 1] for epoch in range(len(times) - 1)]


def write_config(teacher: Language, path: Path, *, pipes: Sequence[str], epochs: int, size: str = "tiny") -> Path:
    """Write a student's config that trains for some epochs and evaluates no more than it must."""
    config = student_config(teacher, size=size, pipeline=list(pipes))
    config["distillation"] |= {"max_epochs": epochs, "max_steps": FAR_AWAY}
    config["training"] |= {"eval_frequency": FAR_AWAY}
    config["training"]["logger"] = {"@loggers": "spacy.ConsoleLogger.v3", "progress_bar": None, "console_output": False}
    config.to_disk(path)
    return path


def make_random_teacher(teacher: Language, path: Path, *, config: Path) -> Path:
    """Write a pipeline of a student's architecture with the teacher's labels and random weights."""
    profile = profile_teacher(teacher)
    nlp = make_student(read_config(config, {}), profile)
    plan = plan_lessons(nlp, teacher, read_distillation_config(Config(nlp.config)))
    docs = [nlp.make_doc(text) for text in ("This is a text.", "So is this one.")]
    initialize_student(nlp, profile, plan, [Example(doc, doc) for doc in docs])
    numbers = numpy.random.default_rng(0)
    for _, pipe in pipes_of(nlp):
        if isinstance(getattr(pipe, "model", None), Model):
            _randomize(pipe.model, numbers)
    nlp.to_disk(path)
    return path


def _randomize(model: Model, numbers: numpy.random.Generator) -> None:
    """Move every weight: output layers begin with zeros, and would say the same of every token."""
    for node in model.walk():
        for name in node.param_names:
            if node.has_param(name):
                value = node.get_param(name)
                node.set_param(name, value + numbers.normal(scale=0.05, size=value.shape).astype("float32"))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
