"""What a run will take and leave behind, reckoned from a rehearsal of half a minute."""

import io
import random
from collections.abc import Callable, Iterator
from contextlib import suppress
from copy import copy
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from statistics import fmean
from tempfile import TemporaryDirectory
from timeit import default_timer as timer
from typing import IO, Any

import spacy
from spacy.language import Language
from spacy.tokens import Doc

from . import loop
from .dataset import LEARNED, Dataset, choose_raw_texts
from .files import bytes_on_disk
from .judge import take_statement
from .output import DIR_TARGETS, list_folders
from .prepare import Run
from .report.raw_text import compare_raw_text
from .report.worker import peak_memory
from .schemas import DistillationConfig
from .student.pipeline import encodes_only
from .targets.records import Role
from .targets.store import HEADER, SHARD_WORDS, WINDOW_SHARDS, Store, StoreWriter, to_arrow
from .teacher.coverage import Coverage, measure_coverage, unpredicted_labels
from .teacher.ensemble import join_stores
from .teacher.recorder import annotate, record_store

# How long to ask the teacher, and how long to learn.
ASKING_SECONDS = 15.0
LEARNING_SECONDS = 15.0

# The teacher is asked about so many words, twice, before it is timed.
PROBE_WORDS = 250

# The student is evaluated on so many words, after every so many updates.
EVALUATION_WORDS = 2_000
EVALUATION_FREQUENCY = 3

# What a recorded word takes in memory beside its targets, as Python's strings and lists.
WORD_BYTES = 150


@dataclass(frozen=True)
class Forecast:
    """How the texts fit the teacher, and what a run will take and leave behind, in seconds and bytes."""

    sample_words: int  # About which the teacher was asked
    coverage: Coverage | None  # None for a teacher to which no word is unknown
    unpredicted: dict[str, list[str]]  # Labels that the teacher did not predict in the sample, by its pipe
    recorded_words: int  # About which a run asks the teacher before the first update
    updates: int | None  # The most that there can be; None where only `patience` sets an end
    evaluations: int | None  # Likewise
    preparing_seconds: float
    asking_seconds: float
    update_seconds: float  # Of one
    evaluation_seconds: float  # Of one, with what is saved after it
    student_bytes: int
    checkpoint_bytes: int
    targets_bytes: int
    memory_bytes: int | None  # At the peak; None where the system does not tell
    raw_text: dict[str, Any] | None  # From `compare_raw_text`, of a student that has learned little; None for encoders

    @property
    def learning_seconds(self) -> float | None:
        """All updates and evaluations; None where nobody knows how many there will be."""
        if self.updates is None or self.evaluations is None:
            return None
        return self.updates * self.update_seconds + self.evaluations * self.evaluation_seconds

    @property
    def seconds(self) -> float | None:
        """The whole run."""
        learning = self.learning_seconds
        return None if learning is None else self.preparing_seconds + self.asking_seconds + learning

    @property
    def output_bytes(self) -> int:
        """The output folder: the best student and the last, the checkpoint, and what the teacher said."""
        return 2 * self.student_bytes + self.checkpoint_bytes + self.targets_bytes


def forecast(run: Run) -> Forecast:
    """Ask the teacher about a sample, teach the student from it for a while, and reckon what the whole will take.

    Recorder, store and loop are a run's own; their first batches, in which threads start and caches fill, do not count.
    The sample is drawn from all texts. What is asked counts by words, as Docs differ in length. Updates are those of
    the run's batcher on epochs of the run's length, filled with the sample again and again; that the student knows
    little yet matters hardly, since a parser's way through a Doc is about as long however much it has learned.

    Args:
        run: Prepared. Its student learns, so that it serves once.

    Raises:
        DistillationError: TD414, teacher or student fails on raw text.
    """
    assert run.teacher is not None
    dataset = run.dataset
    coverage = measure_coverage(run.teacher, [example.predicted for example in dataset.sample])
    words = dataset.count_words()
    epoch_words = dataset.count_epoch_words()
    with TemporaryDirectory() as folder:
        output = Path(folder)
        folders = list_folders(output / DIR_TARGETS, len(run.teachers))
        sample, asked = _ask_for(ASKING_SECONDS, run, folders, output)
        stores = [Store(folder) for folder in folders]
        learned = _learn_for(LEARNING_SECONDS, run, sample, join_stores(stores, run.shares), epoch_words, output)
        word_bytes = {role: sum(_bytes_per_word(store, role) for store in stores) for role in Role}
        header_bytes = sum((folder / HEADER).stat().st_size for folder in folders)
        student_bytes = bytes_on_disk(output / loop.DIR_MODEL_LAST)
        checkpoint_bytes = (output / loop.FILE_NAME).stat().st_size
        # Last, so that what the comparison needs is not counted.
        peak = peak_memory()
        raw_text = _compare_raw_text(run, sample, output / loop.DIR_MODEL_LAST)
    # Of a stream only the dev data is recorded: about its texts the teacher is asked as they are learned on.
    recorded = {role: 0 if dataset.is_stream and role is not Role.DEV else words[role] for role in Role}
    targets_bytes = header_bytes + round(sum(recorded[role] * word_bytes[role] for role in Role))
    judged = words[Role.HELD_OUT] + words[Role.DEV]
    updates = _count_updates(run.settings, epoch_words, learned.words_per_update)
    return Forecast(
        sample_words=asked.words,
        coverage=coverage,
        unpredicted=_unpredicted_labels(run, asked.annotated),
        recorded_words=sum(recorded.values()),
        updates=updates,
        evaluations=updates and _count_evaluations(updates, run.training["eval_frequency"]),
        preparing_seconds=run.seconds,
        asking_seconds=asked.asking * (recorded[Role.TEXT] + recorded[Role.GOLD] + recorded[Role.HELD_OUT])
        + asked.annotating * judged,
        update_seconds=learned.update + (asked.asking * learned.words_per_update if dataset.is_stream else 0.0),
        evaluation_seconds=learned.evaluating * judged + learned.saving,
        student_bytes=student_bytes,
        checkpoint_bytes=checkpoint_bytes,
        targets_bytes=targets_bytes,
        memory_bytes=_add_to_peak(peak, sum(recorded.values()), targets_bytes, asked.words),
        raw_text=raw_text,
    )


@dataclass(frozen=True)
class _Asked:
    """What it took to ask the teacher."""

    words: int
    annotated: list[bytes]  # The texts for which the teacher gave an answer, as it annotates them
    asking: float  # Seconds a word
    annotating: float  # Likewise, by the whole teacher


def _ask_for(seconds: float, run: Run, folders: list[Path], output: Path) -> tuple[Dataset, _Asked]:
    """Ask the teachers about as much of a run's texts as there is time for, and keep it, each in its folder."""
    start = timer()
    probe = _draw_sample(run.dataset, PROBE_WORDS)
    _ask(run, probe, list_folders(output / "cold", len(folders)))
    warm = _ask(run, probe, list_folders(output / "warm", len(folders)))
    left = seconds - (timer() - start) - (EVALUATION_WORDS * warm.annotating if run.dataset.dev else 0.0)
    sample = _draw_sample(run.dataset, max(PROBE_WORDS, int(left / (warm.asking + warm.annotating))))
    return sample, _ask(run, sample, folders)


def _ask(run: Run, sample: Dataset, folders: list[Path]) -> _Asked:
    records = list(sample.list_records())
    learned = [item for item in records if item.role is not Role.DEV]
    words = sum(map(len, learned))
    answers: list[list[bytes | None]] = []
    start = timer()
    for teacher in run.teachers:
        answers.append(list(annotate(teacher, (item.make_doc(teacher.vocab) for item in learned), hard=True)))
    annotating = (timer() - start) / words
    recording = 0.0
    for teacher, header, folder in zip(run.teachers, run.headers, folders, strict=True):
        with StoreWriter(folder, header) as writer:
            start = timer()
            record_store(teacher, sample.list_records(), run.plan, writer)
            recording += timer() - start
    # Those that are to be scored on were annotated, too.
    judged = sum(len(item) for item in records if item.role not in LEARNED)
    annotated = [data for data in answers[0] if data is not None]
    return _Asked(words, annotated, max(recording - judged * annotating, 0.0) / words, annotating)


def _draw_sample(dataset: Dataset, words: int) -> Dataset:
    return dataset.draw(words, judged=min(words, EVALUATION_WORDS))


@dataclass(frozen=True)
class _Learned:
    """What it took to learn, in seconds."""

    update: float
    words_per_update: float
    evaluating: float  # A word
    saving: float  # The student and the checkpoint, after an evaluation


def _learn_for(seconds: float, run: Run, sample: Dataset, store: Store, epoch_words: int, output: Path) -> _Learned:
    """Teach the run's student from a sample; where its labels were not known, it starts with those of the sample."""
    rehearsal = copy(run)
    rehearsal.dataset = sample
    rehearsal.start(store)
    read = sample.make_corpus(store, run.plan, run.teacher)

    def read_epoch(shuffle: random.Random | None) -> Iterator[loop.Taught]:
        words = 0
        while True:
            for taught in read(shuffle):
                yield taught
                words += len(taught)
                if words >= epoch_words:
                    return

    stopwatch = _Stopwatch(seconds)
    evaluate = sample.make_evaluate(store, rehearsal.lessons, run.training["score_weights"])
    ours = {"logger": stopwatch.logger, "eval_frequency": EVALUATION_FREQUENCY, "patience": 0}
    with suppress(_TimeIsUp):
        loop.distill(
            run.student,
            rehearsal.lessons,
            read_epoch,
            stopwatch.timed(evaluate),
            # Without an end, as it is stopped when there is enough.
            settings=sample.settings,
            training={**run.training, **ours},
            strings=rehearsal.strings,
            output_path=output,
            stdout=io.StringIO(),
            stderr=io.StringIO(),
        )
    judged = sum(len(item) for item in store.read(Role.HELD_OUT, Role.DEV))
    return stopwatch.read(judged)


class _TimeIsUp(Exception):
    """There is enough to reckon with."""


class _Stopwatch:
    """Stands in the place of a loop's logger, which hears of each update, and ends the loop when its time is up.

    The updates up to the second evaluation do not count.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.evaluations: list[float] = []
        self.updates: list[float] = []
        self.saves: list[float] = []  # With their update and evaluation
        self.infos: list[dict[str, Any]] = []
        self.last = self.begun = 0.0

    def timed(self, evaluate: loop.Evaluate) -> loop.Evaluate:
        """Take the time of an evaluation, too."""

        def timed_evaluate() -> tuple[float, dict[str, Any]]:
            start = timer()
            result = evaluate()
            self.evaluations.append(timer() - start)
            return result

        return timed_evaluate

    def logger(self, student: Language, stdout: IO, stderr: IO) -> tuple[Callable, Callable]:
        """Be what `[training.logger]` names."""
        return self.log_step, lambda: None

    def log_step(self, info: dict[str, Any] | None) -> None:
        """Hear of an update; of one with an evaluation, with what is known about it."""
        now = timer()
        if len(self.infos) >= 2:
            (self.updates if info is None else self.saves).append(now - self.last)
        if info is not None:
            self.infos.append(dict(info))
            if len(self.infos) == 2:
                self.begun = now
            elif len(self.infos) > 2 and now - self.begun >= self.seconds:
                raise _TimeIsUp
        self.last = timer()

    def read(self, judged: int) -> _Learned:
        """Say what was found.

        Args:
            judged: How many words the student was evaluated on.
        """
        first, last = self.infos[1], self.infos[-1]
        update = fmean(self.updates)
        evaluation = fmean(self.evaluations[2:])
        return _Learned(
            update=update,
            words_per_update=(last["words"] - first["words"]) / (last["step"] - first["step"]),
            evaluating=evaluation / judged,
            saving=max(fmean(self.saves) - evaluation - update, 0.0),
        )


def _count_updates(settings: DistillationConfig, epoch_words: int, words_per_update: float) -> int | None:
    limits = []
    if settings.max_steps:
        limits.append(settings.max_steps + 1)  # Step 0 is an update, too.
    if settings.max_epochs > 0:
        limits.append(settings.max_epochs * ceil(epoch_words / words_per_update))
    return min(limits, default=None)


def _count_evaluations(updates: int, frequency: int) -> int:
    """Count every so many updates, with step 0, and the last one."""
    full, rest = divmod(updates - 1, frequency)
    return full + 1 + (rest > 0)


def _bytes_per_word(store: Store, role: Role) -> float:
    records = list(store.read(role))
    return len(to_arrow(records)) / sum(map(len, records)) if records else 0.0


def _unpredicted_labels(run: Run, annotated: list[bytes]) -> dict[str, list[str]]:
    assert run.teacher is not None
    docs = (Doc(run.teacher.vocab).from_bytes(data) for data in annotated)
    return unpredicted_labels(run.teacher, [source for source, _ in run.plan.values()], docs)


def _compare_raw_text(run: Run, sample: Dataset, student: Path) -> dict[str, Any] | None:
    """Compare the student with its first teacher from raw text, as a run does when it ends."""
    assert run.teacher is not None
    if encodes_only(run.student):
        return None
    texts = choose_raw_texts(sample.list_records())
    return compare_raw_text(take_statement("teacher", run.teacher, texts), spacy.load(student), "teacher")


def _add_to_peak(peak: int | None, words: int, targets_bytes: int, sample_words: int) -> int | None:
    """Add what a run holds at once and the rehearsal did not: two shards being written, or those being shuffled."""
    if peak is None:
        return None
    held = min(words, WINDOW_SHARDS * SHARD_WORDS) - min(words, sample_words)
    return peak + round(held * (WORD_BYTES + targets_bytes / max(words, 1)))
