"""What is found out before hours of work: whether a run would begin, and if not, everything that is in its way."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from timeit import default_timer as timer
from typing import Any, TypeVar

from spacy.language import Language
from spacy.training import Example

from .components.base import Lesson
from .errors import DistillationError
from .material import INITIALIZE_SAMPLE, start_student
from .pipes.device import use_device
from .pipes.pipeline import load_teacher
from .pipes.profile import profile_teacher
from .run import (
    SAMPLE,
    Run,
    Teacher,
    check_named,
    list_teachers,
    prepare,
    read_config,
    resolve_readers,
    resolve_training,
)
from .schemas import read_distillation_config, shares_of
from .student.pipeline import (
    check_categories,
    check_frozen_encoders,
    check_gold_labels,
    check_tokenizers,
    describe_lessons,
    initialize_student,
    make_student,
    plan_lessons,
    start_lessons,
)
from .targets.store import Header
from .teacher.ensemble import make_ensemble

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
    teacher: Teacher | Sequence[Teacher],
    config: str | Path,
    *,
    overrides: dict[str, Any] | None = None,
    gpu_id: int = -1,
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
        check_named(teacher, run.settings)
        started = start_student(run) if run.labels_known else None
    except DistillationError as error:
        checks = _check_each(teacher, config, overrides or {}, gpu_id)
        is_found = any(found.error and found.error.code == error.code for found in checks)
        return checks if is_found else [*checks, Check("The run as a whole", error)]
    return Ready(run, started, timer() - start)


def _check_each(
    teacher: Teacher | Sequence[Teacher], config_path: str | Path, overrides: dict[str, Any], gpu_id: int
) -> list[Check]:
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
    teachers = look_at("Teacher", lambda: [_load(one) for one in list_teachers(teacher, settings)])
    if config is None or settings is None or teachers is None:
        return checks
    profiles = [profile_teacher(nlp) for nlp in teachers]
    profile = profiles[0]
    student = look_at("Student", lambda: make_student(config, profile))
    if student is None:
        return checks
    plans = look_at("Pipes", lambda: [plan_lessons(student, nlp, settings) for nlp in teachers])
    training = look_at("[training]", lambda: resolve_training(student.config, settings, gpu_id))
    if training is None:
        return checks
    readers = look_at("[corpora]", lambda: resolve_readers(student.config, settings, training)) or {}
    texts: list[Example] = []
    gold: list[Example] = []
    for key, reader in readers.items():
        examples = look_at(CORPORA[key], lambda reader=reader: list(reader(student))) or []  # type: ignore[misc]
        texts += [] if key == "dev" else examples[:SAMPLE]
        gold = examples if key == "gold" and settings.gold_weight else gold
    for one in profiles if texts else ():
        look_at("Tokenizers", lambda one=one: check_tokenizers(student, one, [eg.predicted for eg in texts]))  # type: ignore[misc]
    headers = [
        Header("", one, describe_lessons(student, nlp, plan))
        for nlp, one, plan in zip(teachers, profiles, plans or [], strict=False)
    ]
    if len(headers) > 1:
        ensemble = look_at("Teachers", lambda: make_ensemble(headers, shares_of(settings, len(headers))))
        headers = [ensemble.header] if ensemble else []
    if texts and plans and headers:
        plan, lessons = plans[0], headers[0].lessons
        look_at("Gold categories", lambda: check_categories(student, plan, gold))
        look_at("Labels", lambda: initialize_student(student, profile, plan, texts[:INITIALIZE_SAMPLE]))
        is_initialized = checks[-1].error is None
        if is_initialized:
            look_at("Frozen encoders", lambda: check_frozen_encoders(student, plan))
            look_at("Gold labels", lambda: check_gold_labels(student, plan, gold))
        for name in plan if is_initialized else ():
            only = {name: plan[name]}
            look_at(f"Labels of {name}", lambda only=only: start_lessons(student, lessons, only))  # type: ignore[misc]
    return checks


def _load(teacher: Teacher) -> Language:
    return teacher if isinstance(teacher, Language) else load_teacher(teacher)
