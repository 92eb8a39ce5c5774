"""The Python API: the whole road from a teacher and texts to a student, told once for Python and the command line."""

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import spacy
from spacy.language import Language
from spacy.util import is_package
from thinc.api import Config
from tqdm.auto import tqdm
from wasabi import msg

from . import loop
from .checkpoint import read_checkpoint
from .config_files import write_config_file
from .dataset import choose_raw_texts
from .errors import DistillationError
from .files import told_if_not_written
from .output import CONFIG_NAME, DIR_TARGETS, check_store_folder, clear_output, list_folders, take_output
from .prepare import RecordedRun, Recording, Run, Teacher
from .student.account import note_vectors, print_fates
from .summary import print_next_steps, report, score_teacher, silenced, write_origin
from .targets.folder import Folder
from .targets.store import Manifest, Store, StoreWriter
from .teacher.ensemble import join_stores
from .teacher.ray import RayCluster, Worker, connect, record_on_cluster
from .teacher.recorder import record_raw_text, record_store

# tqdm's own estimate is of the first batch, which takes long while a teacher warms up.
RECORDING_BAR = "{desc}: {percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt} {unit} [{elapsed}{postfix}]"
FIRST_ESTIMATE = 10.0


def distill(
    teacher: Teacher | Sequence[Teacher],
    texts: str | Path | Iterable[str] | None = None,
    *,
    output: str | Path,
    config: str | Path | Config | None = None,
    overrides: dict[str, Any] | None = None,
    targets: str | Path | Sequence[str | Path] | None = None,
    size: str | None = None,
    gpu_id: int = -1,
    resume: bool = False,
    force: bool = False,
    leave_out: Sequence[str] = (),
    strict: bool = False,
    quiet: bool = False,
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
        size: "mini", "tiny" or "nano", of a student without a config; by default "tiny".
        gpu_id: The GPU to run on; -1 for the CPU.
        resume: Go on with an interrupted run from what is in `output`.
        force: Replace an earlier run in `output`.
        leave_out: The teacher's pipes that the student shall not have, beside those that the config names.
        strict: Whether a pipe that is left out without having been named is an error, not a warning.
        quiet: Print nothing.

    Returns:
        The best student, loaded from `model-best`. Its `meta["distillation"]` has where it comes from.

    Example:
        >>> student = distill("en_core_web_trf", ["Ann Lee flew to Berlin.", ...], output="student")
        >>> [(ent.text, ent.label_) for ent in student("Ann Lee flew to Berlin.").ents]

    Raises:
        DistillationError: Something does not fit; as far as can be known, before the teacher is asked.
    """
    output_path = Path(output)
    with silenced(quiet), take_output(output_path, resume=resume, force=force):
        run = (
            Run(teacher, texts, config, overrides, gpu_id, size=size, leave_out=leave_out, strict=strict)
            if targets is None
            else RecordedRun(
                targets, teacher, texts, config, overrides, gpu_id, size=size, leave_out=leave_out, strict=strict
            )
        ).prepare()
        # A run that was interrupted while the teacher was asked has no checkpoint yet.
        goes_on = resume and (output_path / loop.FILE_NAME).exists()
        if goes_on and run.lessons:
            read_checkpoint(output_path / loop.FILE_NAME, run.student, run.lessons)
        msg.good(f"Initialized student pipeline: {', '.join(run.student.pipe_names)}")
        print_fates(run.fates)
        note_vectors(run.profile, run.config)
        for misfit in run.misfits:
            msg.warn(misfit)

        store = run.store or _ask_teachers(run, output_path, clear=force and not resume)
        run.start(store)
        for name, count in run.unannotated.items():
            msg.warn(f"For {count} texts the teacher gave no answer that {name} could learn.")
        teacher_scores = score_teacher(run, store)
        write_origin(run, store, teacher_scores)

        score = _learn(run, store, output_path, resume=goes_on)
        msg.good("Saved the best student", output_path / loop.DIR_MODEL_BEST)
        student = spacy.load(output_path / loop.DIR_MODEL_BEST)
        msg.text("Comparing teacher and student ...")
        report(run, store, student, score, teacher_scores, output_path)
        print_next_steps(run, output_path)
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
    cluster: RayCluster | None = None,
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
        cluster: Record on a Ray cluster, whose machines must all know the teacher and the store by the same name. By
            default the teacher is asked here.

    Returns:
        What is in the store: its `shards`, how many `words` and `bytes`, and the teacher's `fingerprint`.

    Example:
        >>> record_targets("en_core_web_trf", "texts.jsonl", store="targets").words
        >>> distill("-", config="student.cfg", targets="targets", output="student")

    Raises:
        DistillationError: Something does not fit; as far as can be known, before the teacher is asked.
    """
    folder = Folder(store)
    check_store_folder(folder)
    with ExitStack() as stack:
        if cluster is not None:
            if isinstance(teacher, Language):
                raise DistillationError("TD622")
            stack.enter_context(connect(cluster.address))
        # On a cluster it is the workers who need a GPU.
        run = Recording(teacher, texts, config, overrides, gpu_id if cluster is None else -1).prepare()
        msg.divider("Asking the teacher")
        if force:
            folder.remove()
        if cluster is None:
            return _record(run, store)
        (name,) = run.named
        worker = Worker(
            # A folder is named from the root, as the workers are elsewhere.
            teacher=str(name) if is_package(str(name)) else str(Path(str(name)).absolute()),
            code=Path(cluster.code).absolute() if cluster.code else None,
            gpu=gpu_id >= 0,
            gpu_allocator=run.training["gpu_allocator"],
        )
        return _record(run, store, on_cluster=partial(record_on_cluster, worker, cluster.workers))


def _ask_teachers(run: Run, output_path: Path, *, clear: bool) -> Store:
    """Record the targets of each teacher, or what an interrupted run has left of them to record."""
    msg.divider("Asking the teacher")
    if clear:
        clear_output(output_path)
    folders = list_folders(output_path / DIR_TARGETS, len(run.teachers))
    for number, folder in enumerate(folders):
        _record(run, folder, number)
    return join_stores([Store(folder) for folder in folders], run.shares)


def _record(run: Run, path: str | Path, number: int = 0, *, on_cluster: Callable[..., None] | None = None) -> Manifest:
    """Ask a teacher about all texts, or about those that an interrupted recording has left.

    Args:
        run: What is to be asked.
        path: The store.
        number: Which of the teachers is asked, from 0.
        on_cluster: In place of `record_store`, told who is asked.
    """
    ask = on_cluster or partial(record_store, run.teachers[number])
    total = run.dataset.count_records()
    with (
        StoreWriter(path, run.headers[number]) as writer,
        tqdm(desc="Texts", unit="docs", total=total, bar_format=RECORDING_BAR) as bar,
        _told_what_is_kept(path, bar),
    ):
        bar.set_postfix_str("warming up")
        texts = choose_raw_texts(run.dataset.list_records()) if writer.manifest.raw_text is None else []
        if texts:
            try:
                record_raw_text(run.teachers[number], texts, writer)
            except DistillationError as error:
                # It will fail once more on its way over all texts, or it was chance.
                msg.warn(str(error))
        ask(run.dataset.list_records(), run.plan, writer, on_doc=partial(_count, bar))
    return writer.manifest


def _count(bar: tqdm) -> None:
    """Count a text, and estimate what is left from the minute's worth of work that is done, not from a first batch."""
    bar.update()
    elapsed = bar.format_dict["elapsed"]
    if not bar.total or elapsed < FIRST_ESTIMATE:
        return
    left = (bar.total - bar.n) * elapsed / bar.n
    bar.set_postfix_str(f"{tqdm.format_interval(left)} left, then learning", refresh=False)


@contextmanager
def _told_what_is_kept(path: str | Path, bar: tqdm) -> Iterator[None]:
    """Say, where a recording is stopped, what is kept of it."""
    try:
        yield
    except (KeyboardInterrupt, SystemExit):
        bar.close()
        msg.warn(
            f"Stopped: the teacher was asked about {bar.n:,} of {bar.total or 0:,} texts. What is complete is kept",
            f"In {path}. Give the same command again, spacy distill with --resume, to go on from there.",
        )
        raise


def _learn(run: Run, store: Store, output_path: Path, *, resume: bool) -> float:
    """Run the training loop; return the best score."""
    corpus = run.dataset.make_corpus(store, run.plan, run.teacher)
    msg.divider("Distilling student pipeline from teacher")
    with told_if_not_written(output_path):
        write_config_file(run.student.config, output_path / CONFIG_NAME)
    return loop.distill(
        run.student,
        run.lessons,
        corpus,
        run.dataset.make_evaluate(store, run.lessons, run.training["score_weights"]),
        settings=run.settings,
        training=run.training,
        strings=run.strings,
        output_path=output_path,
        gold=bool(run.dataset.dev),
        resume=resume,
        # As they are now: notebooks and tests put others in their place.
        stdout=sys.stdout,
        stderr=sys.stderr,
    )
