"""What is found out before hours of work: whether a run would begin, and if not, everything that is in its way."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from timeit import default_timer as timer
from typing import Any, TypeVar

from .components.base import Lesson
from .device import use_device
from .errors import DistillationError
from .material import INITIALIZE_SAMPLE, start_student
from .run import SAMPLE, Run, prepare, read_config, resolve_readers, resolve_training
from .schemas import read_distillation_config
from .student.pipeline import (
    check_tokenizers,
    describe_lessons,
    initialize_student,
    make_student,
    plan_lessons,
    start_lessons,
)
from .teacher.profile import profile_teacher
from .teacher.recorder import load_teacher

CORPORA = {"distill": "Texts", "gold": "Gold annotations", "dev": "Dev data"}

Value = TypeVar("Value")


@dataclass(frozen=True)
class Ready:
    """A run of which all is right that can be known before the teacher is asked."""

    run: Run
    started: tuple[dict[str, Lesson], list[str]] | None  # From `start_student`; None until the labels are known
    seconds: float  # What it took: a run begins with the same


@dataclass(frozen=True)
class Check:
    """One thing that was looked at."""

    name: str
    error: DistillationError | None  # None where it is right


def check(
    teacher: str | Path, config: str | Path, *, overrides: dict[str, Any] | None = None, gpu_id: int = -1
) -> Ready | list[Check]:
    """See whether a run would begin.

    Args:
        teacher: As for `api.distill`, and so the others.
        config: Likewise.
        overrides: Likewise.
        gpu_id: Likewise.

    Returns:
        The run; or, where something is not right, all that could be looked at.
    """
    start = timer()
    try:
        use_device(gpu_id)
        run = prepare(teacher, None, config, overrides or {}, gpu_id)
        started = start_student(run) if run.labels_known else None
    except DistillationError as error:
        checks = _check_each(teacher, config, overrides or {}, gpu_id)
        is_found = any(found.error and found.error.code == error.code for found in checks)
        return checks if is_found else [*checks, Check("The run as a whole", error)]
    return Ready(run, started, timer() - start)


def _check_each(teacher: str | Path, config_path: str | Path, overrides: dict[str, Any], gpu_id: int) -> list[Check]:
    """Look at one thing after another, also where an earlier one was not right, unless it is needed for the next."""
    checks: list[Check] = []

    def look_at(name: str, step: Callable[[], Value]) -> Value | None:
        try:
            value = step()
        except DistillationError as error:
            checks.append(Check(name, error))
            return None
        checks.append(Check(name, None))
        return value

    look_at("Device", lambda: use_device(gpu_id))
    config = look_at("Config", lambda: read_config(config_path, overrides))
    settings = None if config is None else look_at("[distillation]", lambda: read_distillation_config(config))
    nlp = look_at("Teacher", lambda: load_teacher(teacher))
    if config is None or settings is None or nlp is None:
        return checks
    profile = profile_teacher(nlp)
    student = look_at("Student", lambda: make_student(config, profile))
    if student is None:
        return checks
    plan = look_at("Pipes", lambda: plan_lessons(student, nlp, settings))
    training = look_at("[training]", lambda: resolve_training(student.config, settings, gpu_id))
    if training is None:
        return checks
    readers = look_at("[corpora]", lambda: resolve_readers(student.config, settings, training)) or {}
    texts = []
    for key, reader in readers.items():
        examples = look_at(CORPORA[key], lambda reader=reader: list(reader(student))) or []  # type: ignore[misc]
        texts += [] if key == "dev" else examples[:SAMPLE]
    if texts:
        look_at("Tokenizers", lambda: check_tokenizers(student, profile, [example.predicted for example in texts]))
    if texts and plan:
        lessons = describe_lessons(student, nlp, plan)
        look_at("Labels", lambda: initialize_student(student, profile, plan, texts[:INITIALIZE_SAMPLE]))
        for name in plan if checks[-1].error is None else ():
            only = {name: plan[name]}
            look_at(f"Labels of {name}", lambda only=only: start_lessons(student, lessons, only))  # type: ignore[misc]
    return checks
