"""The Python API: the whole road from a teacher and texts to a student, told once for Python and the command line."""

import sys
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import spacy
from spacy.language import Language
from spacy.scorer import Scorer
from spacy.tokens import DocBin
from spacy.util import is_package
from thinc.api import Config
from tqdm import tqdm
from wasabi import msg

from . import loop
from .checkpoint import read_checkpoint
from .errors import DistillationError
from .evaluation_log import CURVE_NAME
from .files import remove, told_if_not_written
from .loop import DIR_MODEL_BEST, DIR_MODEL_LAST
from .material import (
    check_roles,
    count_silence,
    describe_texts,
    judge_teacher,
    list_folders,
    make_corpus,
    make_evaluate,
    open_targets,
    read_dev,
    start_student,
)
from .pipes.device import use_device
from .pipes.profile import fingerprint
from .report.compare import Recorded, compare_recorded
from .report.report import HTML_NAME, JSON_NAME
from .report.scores import Side
from .report.size import count_parameters
from .run import Run, Teacher, check_named, list_records, list_teachers, prepare, prepare_recorded
from .schemas import shares_of
from .student.meta import add_origin, plain_scores
from .targets.folder import Folder
from .targets.store import HEADER, LOCK, MANIFEST, Manifest, Store, StoreWriter, check_teacher
from .teacher.ray import Worker, connect, record_on_cluster
from .teacher.recorder import record_store

CONFIG_NAME = "config.cfg"
DIR_TARGETS = "targets"

# Where the teacher is asked: here, or on a Ray cluster.
ENGINES = ("local", "ray")

# What a run writes into its output folder.
OUTPUT_NAMES = (
    DIR_MODEL_BEST,
    DIR_MODEL_LAST,
    DIR_TARGETS,
    CONFIG_NAME,
    loop.FILE_NAME,
    CURVE_NAME,
    JSON_NAME,
    HTML_NAME,
)


def distill(
    teacher: Teacher | Sequence[Teacher],
    texts: str | Path | Iterable[str] | None = None,
    *,
    output: str | Path,
    config: str | Path | Config | None = None,
    overrides: dict[str, Any] | None = None,
    targets: str | Path | Sequence[str | Path] | None = None,
    gpu_id: int = -1,
    resume: bool = False,
    force: bool = False,
) -> Language:
    """Distil a student from a teacher.

    Args:
        teacher: The pipeline to learn from: an installed package, a folder, or loaded. Of a list of them the soft
            labels are averaged. "-" for those that the config names. With `targets` it is not loaded, only seen to be
            the one that was recorded; "-" spares that.
        texts: What to learn on: texts, or a path as `corpus.text_corpus` takes it. By default what the config says.
        output: The folder to write `model-best`, `model-last`, the config, the targets, the checkpoint, the scores of
            each evaluation and the report to.
        config: The student's config with its `[distillation]` block; by default `student.config.first_config` writes
            one, for a first student to look at.
        overrides: Values to put into the config, by dotted name, such as {"distillation.max_steps": 1000}.
        targets: What `record_targets` recorded, as a folder or a URL, or a list of these, one for each teacher; by
            default the teacher is asked, once, and the record kept in `output`.
        gpu_id: The GPU to run on; -1 for the CPU.
        resume: Go on with an interrupted run from what is in `output`.
        force: Replace an earlier run in `output`.

    Returns:
        The best student, loaded from `model-best`.

    Raises:
        DistillationError: Something does not fit; as far as can be known, before the teacher is asked.
    """
    use_device(gpu_id)
    output_path = Path(output)
    check_output(output_path, resume=resume, force=force)
    store: Store | None = None
    if targets is None:
        run = prepare(teacher, texts, config, overrides or {}, gpu_id)
    else:
        if config is None or texts is not None:
            raise DistillationError("TD615")
        run, store = prepare_recorded(_open_stores(targets, teacher), config, overrides or {}, gpu_id)
    check_named(teacher, run.settings)
    student = run.student
    labels_known = run.labels_known
    if labels_known:
        lessons, strings = start_student(run)
    checkpoint = output_path / loop.FILE_NAME
    goes_on = resume
    # A run that was interrupted while the teacher was asked has none yet.
    resume = resume and checkpoint.exists()
    if resume and labels_known:
        read_checkpoint(checkpoint, student, lessons)
    msg.good(f"Initialized student pipeline: {', '.join(student.pipe_names)}")

    if store is None:
        msg.divider("Asking the teacher")
        if force and not goes_on:
            clear_output(output_path)
        for number, folder in enumerate(list_folders(output_path / DIR_TARGETS, run)):
            _record(run, folder, number)
        store = open_targets(output_path / DIR_TARGETS, run)
    check_roles(store, run)
    for name, count in count_silence(store, run).items():
        msg.warn(f"Of {count} texts the teacher said nothing for {name} to learn.")
    if not labels_known:
        lessons, strings = start_student(run, store)
    corpus = make_corpus(store, run)
    # By the student's scorers: the teacher may have none, or other pipes that count into the same score.
    judged = judge_teacher(store, run, student)
    teacher_scores = Scorer(student).score(judged) if judged else {}
    shares = shares_of(run.settings, len(run.headers))
    profiles = [header.profile for header in run.headers]
    add_origin(student, profiles, shares, plain_scores(teacher_scores), describe_texts(store, run))

    msg.divider("Distilling student pipeline from teacher")
    with told_if_not_written(output_path):
        student.config.to_disk(output_path / CONFIG_NAME)
    score_weights = run.training["score_weights"]
    best = loop.distill(
        student,
        lessons,
        corpus,
        make_evaluate(store, run, lessons),
        settings=run.settings,
        training=run.training,
        strings=strings,
        output_path=output_path,
        resume=resume,
        # As they are now: notebooks and tests put others in their place.
        stdout=sys.stdout,
        stderr=sys.stderr,
    )
    msg.good("Saved the best student", output_path / DIR_MODEL_BEST)
    student = spacy.load(output_path / DIR_MODEL_BEST)
    if run.encodes_only:
        msg.good(
            f"The loss on held-out texts is {-best:.4f} a token. An encoder annotates nothing: there is no report."
        )
        return student
    _report_retention(best, teacher_scores, score_weights, on_gold=bool(run.corpora.dev))
    _write_report(student, store, run, teacher, output_path, gpu_id)
    msg.good("Wrote the report", output_path / HTML_NAME)
    return student


def record_targets(
    teacher: Teacher,
    texts: str | Path | Iterable[str] | None = None,
    *,
    store: str | Path,
    config: str | Path | Config | None = None,
    overrides: dict[str, Any] | None = None,
    gpu_id: int = -1,
    force: bool = False,
    engine: str = "local",
    address: str | None = None,
    workers: int = 1,
    code: str | Path | None = None,
) -> Manifest:
    """Ask a teacher about texts, once, and keep what it says on disk, for any number of students.

    An interrupted recording goes on where it stopped when it is started again.

    Args:
        teacher: The pipeline to learn from: an installed package, a folder, or loaded.
        texts: As for `distill`.
        store: The folder to write, or a URL that fsspec knows; see `teacher.store`.
        config: The config of a student, which says what is recorded, and how; by default that which
            `student.config.student_config` writes. Its gold corpus and its dev data are recorded too.
        overrides: As for `distill`.
        gpu_id: The GPU to run on; -1 for the CPU. On a cluster each worker has a GPU of its own, whatever its number.
        force: Replace what is in the folder.
        engine: "local", or "ray" for as many machines as there are; these must all know the teacher and the store by
            the same name.
        address: The Ray cluster's, as `ray.init` takes it; without, Ray starts on this machine.
        workers: How many teachers to load on the cluster.
        code: A Python file with registered functions of yours, for the workers to import.

    Returns:
        What is in the store.

    Raises:
        DistillationError: Something does not fit; as far as can be known, before the teacher is asked.
    """
    if engine not in ENGINES:
        raise DistillationError("TD620", engine=engine, known=", ".join(ENGINES))
    folder = Folder(store)
    _check_store_folder(folder)
    with ExitStack() as stack:
        if engine == "local":
            use_device(gpu_id)
        elif isinstance(teacher, Language):
            raise DistillationError("TD622")
        else:
            stack.enter_context(connect(address))
        # On a cluster it is the workers who need a GPU.
        run = prepare(teacher, texts, config, overrides or {}, gpu_id if engine == "local" else -1)
        if run.streams:
            raise DistillationError("TD616")
        if len(run.teachers) > 1:
            raise DistillationError("TD636", count=len(run.teachers))
        (teacher,) = list_teachers(teacher, run.settings)
        msg.divider("Asking the teacher")
        if force:
            folder.remove()
        if isinstance(teacher, Language) or engine == "local":
            return _record(run, store, 0)
        worker = Worker(
            # A folder is named from the root, as the workers are elsewhere.
            teacher=str(teacher) if is_package(str(teacher)) else str(Path(teacher).absolute()),
            code=Path(code).absolute() if code else None,
            gpu=gpu_id >= 0,
            gpu_allocator=run.training["gpu_allocator"],
        )
        return _record(run, store, 0, partial(record_on_cluster, worker, workers))


def check_output(path: Path, *, resume: bool, force: bool) -> None:
    """See that an output folder can be written to and that nothing in it is lost.

    Raises:
        DistillationError: TD501, it is not empty, and neither `resume` nor `force` was given; TD302, there is nothing
            to resume from; TD506, it is a file; TD507, it cannot be made.
    """
    if path.exists() and not path.is_dir():
        raise DistillationError("TD506", path=path)
    # One that was stopped before it had recorded or learned anything begins again.
    if resume and not (path / loop.FILE_NAME).exists() and not (path / DIR_TARGETS).exists():
        raise DistillationError("TD302", path=path)
    try:
        path.mkdir(parents=True, exist_ok=True)
        found = sorted(item.name for item in path.iterdir())
    except OSError as error:
        raise DistillationError("TD507", path=path, reason=error) from None
    if found and not resume and not force:
        raise DistillationError("TD501", path=path, found=", ".join(found[:5]))


def clear_output(path: Path) -> None:
    """Remove what an earlier run left in its output folder, and nothing else."""
    for name in OUTPUT_NAMES:
        remove(path / name)


def _open_stores(targets: str | Path | Sequence[str | Path], teacher: Teacher | Sequence[Teacher]) -> list[Store]:
    """Open what was recorded, and see that it is of the teachers that are named."""
    stores = [Store(path) for path in ([targets] if isinstance(targets, str | Path) else targets)]
    if teacher != "-":
        named = list_teachers(teacher, None)
        if len(named) != len(stores):
            raise DistillationError("TD635", found=len(stores), expected=len(named))
        for store, one in zip(stores, named, strict=True):
            check_teacher(store.path, store.manifest, fingerprint(one))
    return stores


def _check_store_folder(folder: Folder) -> None:
    """See that a folder is free, or a store."""
    if folder.is_file():
        raise DistillationError("TD506", path=folder.location)
    found = folder.names()
    # A recording that was stopped, or found the disk full, before there was a manifest has left the others.
    others = sorted({*found} - {LOCK, HEADER, f"{HEADER}.new", f"{MANIFEST}.new"})
    if others and MANIFEST not in found:
        raise DistillationError("TD618", path=folder.location, found=", ".join(others[:5]))


def _record(run: Run, path: str | Path, number: int, on_cluster: Callable[..., None] | None = None) -> Manifest:
    """Ask a teacher about all texts, or about those that an interrupted recording has left.

    Args:
        run: What is to be asked.
        path: The store.
        number: Which of the teachers is asked, from 0.
        on_cluster: In place of `record_store`, told who is asked.
    """
    ask = on_cluster or partial(record_store, run.teachers[number])
    total = len(run.corpora.dev) + (0 if run.streams else run.corpora.n_texts + len(run.corpora.gold))
    with StoreWriter(path, run.headers[number]) as writer, tqdm(desc="Texts", unit="docs", total=total) as bar:
        ask(list_records(run), run.plan, writer, on_doc=bar.update)
    return writer.manifest


def _write_report(
    student: Language,
    store: Store,
    run: Run,
    teacher: Teacher | Sequence[Teacher],
    output_path: Path,
    gpu_id: int,
) -> None:
    judged = [example for example in judge_teacher(store, run, student) if len(example.predicted)]
    examples = [example for example in read_dev(store, run, student) if len(example.predicted)]
    first = None if teacher == "-" and not run.settings.teachers else list_teachers(teacher, run.settings)[0]
    recorded = Recorded(
        teacher={
            "name": run.profile.name,
            "version": run.profile.meta["version"],
            "path": None if first is None or isinstance(first, Language) else str(first),
            "pipeline": list(run.profile.pipes),
            "bytes": run.profile.bytes_on_disk,
            "parameters": count_parameters(run.teacher) if run.teacher else None,
        },
        side=Side(student, [example.predicted for example in judged]),
        gold=DocBin(docs=[example.reference for example in examples]) if run.corpora.dev else None,
        data=(run.config.interpolate().get("paths", {}).get("dev") or "the dev data") if run.corpora.dev else None,
    )
    docs = list(student.pipe(example.predicted for example in examples))
    compare_recorded(recorded, Side(student, docs), output_path, gpu_id=gpu_id)


def _weighted_sum(scores: dict[str, Any], weights: dict[str, float | None]) -> float:
    return sum(scores[key] * weight for key, weight in weights.items() if weight and scores.get(key) is not None)


def _report_retention(
    student: float, teacher_scores: dict[str, Any], weights: dict[str, float | None], *, on_gold: bool
) -> None:
    data = "the dev data" if on_gold else "held-out texts, against the teacher's own annotations"
    teacher = _weighted_sum(teacher_scores, weights)
    if teacher:
        msg.good(f"Retention on {data}: {student / teacher:.1%} (student {student:.4f}, teacher {teacher:.4f})")
    elif teacher_scores:
        msg.warn(f"No retention on {data}: the teacher's own score there is 0.")
    else:
        msg.warn(
            f"No retention: what the teacher says of the dev data was not recorded (student {student:.4f}).",
            "Record with --paths.dev, or compare with `python -m spacy benchmark distillation`.",
        )
