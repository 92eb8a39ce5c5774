"""The Python API: the whole road from a teacher and texts to a student, told once for Python and the command line."""

import random
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from itertools import chain, tee
from pathlib import Path
from typing import Any

import spacy
from spacy.language import Language
from spacy.scorer import Scorer
from spacy.training import Example
from spacy.training.loop import create_evaluation_callback
from spacy.util import is_package
from thinc.api import Config
from tqdm import tqdm
from wasabi import msg

from . import loop
from .checkpoint import read_checkpoint
from .components.annotations import Annotations, read_annotated
from .components.base import Lesson
from .device import use_device
from .errors import DistillationError
from .files import Folder
from .loop import DIR_MODEL_BEST, DIR_MODEL_LAST, Taught
from .run import LEARNED, Run, list_records, prepare, prepare_recorded
from .student.meta import add_origin, plain_scores
from .student.pipeline import initialize_student, needed_strings, start_lessons
from .teacher.profile import fingerprint
from .teacher.ray import Worker, connect, record_on_cluster
from .teacher.recorder import ask, record_store
from .teacher.store import MANIFEST, Manifest, Store, StoreWriter, check_teacher
from .teacher.targets import Record, Role

CONFIG_NAME = "config.cfg"
DIR_TARGETS = "targets"

# Where the teacher is asked: here, or on a Ray cluster.
ENGINES = ("local", "ray")

# What a run writes into its output folder.
OUTPUT_NAMES = (DIR_MODEL_BEST, DIR_MODEL_LAST, DIR_TARGETS, CONFIG_NAME, loop.FILE_NAME)

# How many texts spaCy is shown to find out the shapes of a student's layers.
INITIALIZE_SAMPLE = 10


def distill(
    teacher: str | Path | Language,
    texts: str | Path | Iterable[str] | None = None,
    *,
    output: str | Path,
    config: str | Path | Config | None = None,
    overrides: dict[str, Any] | None = None,
    targets: str | Path | None = None,
    gpu_id: int = -1,
    resume: bool = False,
    force: bool = False,
) -> Language:
    """Distil a student from a teacher.

    Args:
        teacher: The pipeline to learn from: an installed package, a folder, or loaded. With `targets` it is not
            loaded, only seen to be the one that was recorded; "-" spares that.
        texts: What to learn on: texts, or a path as `corpus.text_corpus` takes it. By default what the config says.
        output: The folder to write `model-best`, `model-last`, the config, the targets and the checkpoint to.
        config: The student's config with its `[distillation]` block; by default `student.config.student_config` writes
            one.
        overrides: Values to put into the config, by dotted name, such as {"distillation.max_steps": 1000}.
        targets: What `record_targets` recorded, as a folder or a URL; by default the teacher is asked, once, and the
            record kept in `output`.
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
    store = None
    if targets is None:
        run = prepare(teacher, texts, config, overrides or {}, gpu_id)
    else:
        if config is None or texts is not None:
            raise DistillationError("TD615")
        store = _open_store(targets, teacher)
        run = prepare_recorded(store, config, overrides or {}, gpu_id)
    student = run.student
    labels_known = run.labels_known
    if labels_known:
        lessons, strings = _start(run, run.corpora.sample[:INITIALIZE_SAMPLE])
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
        _record(run, output_path / DIR_TARGETS)
        store = Store(output_path / DIR_TARGETS)
    if not labels_known:
        lessons, strings = _start(run, list(_annotated_examples(store, run)))
    corpus = partial(_ask_again, run) if run.streams else partial(_read_targets, store, run, _match_gold(store, run))
    judged, read_dev = _make_dev(store, run)
    # By the student's scorers: the teacher may have none, or other pipes that count into the same score.
    teacher_scores = Scorer(student).score(judged) if judged else {}
    add_origin(student, run.profile, plain_scores(teacher_scores))

    msg.divider("Distilling student pipeline from teacher")
    student.config.to_disk(output_path / CONFIG_NAME)
    score_weights = run.training["score_weights"]
    best = loop.distill(
        student,
        lessons,
        corpus,
        create_evaluation_callback(student, read_dev, score_weights),
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
    _report_retention(best, teacher_scores, score_weights, on_gold=bool(run.corpora.dev))
    return spacy.load(output_path / DIR_MODEL_BEST)


def record_targets(
    teacher: str | Path | Language,
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
        msg.divider("Asking the teacher")
        if force:
            folder.remove()
        if isinstance(teacher, Language) or engine == "local":
            return _record(run, store)
        worker = Worker(
            # A folder is named from the root, as the workers are elsewhere.
            teacher=str(teacher) if is_package(str(teacher)) else str(Path(teacher).absolute()),
            code=Path(code).absolute() if code else None,
            gpu=gpu_id >= 0,
            gpu_allocator=run.training["gpu_allocator"],
        )
        return _record(run, store, partial(record_on_cluster, worker, workers))


def check_output(path: Path, *, resume: bool, force: bool) -> None:
    """See that an output folder can be written to and that nothing in it is lost.

    Raises:
        DistillationError: TD501, it is not empty, and neither `resume` nor `force` was given; TD302, there is nothing
            to resume from; TD506, it is a file; TD507, it cannot be made.
    """
    if path.exists() and not path.is_dir():
        raise DistillationError("TD506", path=path)
    if resume and not (path / loop.FILE_NAME).exists() and not (path / DIR_TARGETS / MANIFEST).exists():
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
        if (path / name).is_dir():
            shutil.rmtree(path / name)
        else:
            (path / name).unlink(missing_ok=True)


def _open_store(path: str | Path, teacher: str | Path | Language) -> Store:
    store = Store(path)
    if teacher != "-":
        check_teacher(path, store.manifest, fingerprint(teacher))
    return store


def _check_store_folder(folder: Folder) -> None:
    """See that a folder is free, or a store."""
    if folder.is_file():
        raise DistillationError("TD506", path=folder.location)
    found = folder.names()
    if found and MANIFEST not in found:
        raise DistillationError("TD618", path=folder.location, found=", ".join(found[:5]))


def _record(run: Run, path: str | Path, on_cluster: Callable[..., None] | None = None) -> Manifest:
    """Ask the teacher about all texts, or about those that an interrupted recording has left.

    Args:
        run: What is to be asked.
        path: The store.
        on_cluster: In place of `record_store`, told who is asked.
    """
    assert run.teacher is not None
    ask = on_cluster or partial(record_store, run.teacher)
    total = len(run.corpora.dev) + (0 if run.streams else run.corpora.n_texts + len(run.corpora.gold))
    with StoreWriter(path, run.header) as writer, tqdm(desc="Texts", unit="docs", total=total) as bar:
        ask(list_records(run), run.plan, writer, on_doc=bar.update)
    return writer.manifest


def _start(run: Run, examples: list[Example]) -> tuple[dict[str, Lesson], list[str]]:
    """Give the student its first weights; return its lessons and the strings that it will need."""
    initialize_student(run.student, run.profile, run.plan, examples)
    strings = needed_strings(run.config, run.profile, run.plan, examples)
    return start_lessons(run.student, run.lessons, run.plan), strings


def _annotated_examples(store: Store, run: Run) -> Iterator[Example]:
    """The corpus with what the last of the hard-label teachers left on the Docs, to find the labels in."""
    hard = [name for name, (_, rule) in run.plan.items() if isinstance(rule, Annotations)]
    order = list(run.profile.pipes)
    last = max(hard, key=lambda name: order.index(run.plan[name][0]))
    records = _ask_about(run, run.corpora.sample) if run.streams else store.read(*LEARNED)
    for item in records:
        doc = item.make_doc(run.student.vocab)
        yield Example(doc, read_annotated(item.targets[last], run.student.get_pipe(last)))


def _match_gold(store: Store, run: Run) -> dict[int, Example]:
    """See that the gold annotations are of Docs that were recorded; return those to learn on, by their index."""
    gold = dict(enumerate(run.corpora.gold))
    found = {item.index: item for item in store.read(Role.GOLD)} if gold else {}
    # Those that are missing were held out, or there was no gold when the teacher was asked.
    expected = len(gold) - (store.manifest.count(Role.HELD_OUT) if not store.manifest.count(Role.TEXT) else 0)
    if len(found) != expected:
        raise DistillationError("TD614", path=store.path, found=len(found), expected=len(gold))
    for i, item in found.items():
        if i not in gold or item.words != [token.text for token in gold[i].predicted]:
            raise DistillationError("TD614", path=store.path, found=len(found), expected=len(gold))
    return {i: gold[i] for i in found}


def _read_targets(store: Store, run: Run, gold: dict[int, Example], shuffle: random.Random | None) -> Iterator[Taught]:
    roles = (*LEARNED, Role.HELD_OUT) if run.corpora.dev else LEARNED
    for item in store.read(*roles, shuffle=shuffle):
        if item.role is Role.GOLD and gold:
            yield Taught(gold[item.index], item.targets, has_gold=True)
        else:
            doc = item.make_doc(run.student.vocab)
            yield Taught(Example(doc, doc), item.targets, has_gold=False)


def _ask_about(run: Run, examples: Iterable[Example]) -> Iterator[Record]:
    assert run.teacher is not None
    asked, kept = tee(Record.from_doc(example.predicted) for example in examples)
    for item, targets in zip(kept, ask(run.teacher, asked, run.plan), strict=True):
        yield replace(item, targets=targets)


def _ask_again(run: Run, shuffle: random.Random | None) -> Iterator[Taught]:
    """Ask the teacher about a stream, which nobody could keep."""
    readers = run.corpora.readers
    texts = ((example, False) for example in readers["distill"](run.student))
    gold = ((example, True) for example in run.corpora.gold)
    asked, kept = tee(pair for pair in chain(texts, gold) if len(pair[0].predicted))
    records = _ask_about(run, (example for example, _ in asked))
    for (example, has_gold), item in zip(kept, records, strict=True):
        yield Taught(example, item.targets, has_gold)


def _make_dev(store: Store, run: Run) -> tuple[list[Example], Any]:
    """Make what teacher and student are scored on.

    Returns:
        The teacher's annotations and what they are compared to, none where the dev data was not recorded; and a reader
        for the student.
    """
    vocab = run.student.vocab
    if run.corpora.dev:
        said = [item.make_annotated_doc(vocab) for item in store.read(Role.DEV)]
        references = [example.reference for example in run.corpora.dev]
        is_same = [doc.text for doc in said] == [doc.text for doc in references]
        judged = [Example(*pair) for pair in zip(said, references, strict=True)] if is_same else []
        return judged, run.corpora.readers["dev"]

    def read(student: Language) -> Iterator[Example]:
        for item in store.read(Role.HELD_OUT):
            yield Example(item.make_doc(student.vocab), item.make_annotated_doc(student.vocab))

    said = [item.make_annotated_doc(vocab) for item in store.read(Role.HELD_OUT)]
    return [Example(doc, doc.copy()) for doc in said], read


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
