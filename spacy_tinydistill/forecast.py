"""What a run will take and leave behind, reckoned from a rehearsal of half a minute."""

import io
import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import chain
from math import ceil
from pathlib import Path
from statistics import fmean
from tempfile import TemporaryDirectory
from timeit import default_timer as timer
from typing import IO, Any

from spacy.language import Language
from spacy.tokens import Doc
from spacy.training import Example

from . import loop
from .components.base import Lesson
from .corpus import make_examples
from .files import bytes_on_disk
from .material import list_folders, make_corpus, make_evaluate, open_targets, start_student
from .preflight import Ready
from .report.worker import peak_memory
from .run import LEARNED, SAMPLE, Corpora, Run, list_records
from .schemas import DistillationConfig
from .targets.records import Role
from .targets.store import HEADER, SHARD_WORDS, WINDOW_SHARDS, Store, StoreWriter, to_arrow
from .teacher.coverage import Coverage, measure_coverage, unpredicted_labels
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


def forecast(ready: Ready) -> Forecast:
    """Ask the teacher about a sample, teach the student from it for a while, and reckon what the whole will take.

    Recorder, store and loop are a run's own; their first batches, in which threads start and caches fill, do not count.
    The sample is drawn from all texts. What is asked counts by words, as Docs differ in length. Updates are those of
    the run's batcher on epochs of the run's length, filled with the sample again and again; that the student knows
    little yet matters hardly, since a parser's way through a Doc is about as long however much it has learned.

    Args:
        ready: From `preflight.check`. Its student learns, so that it serves once.
    """
    run = ready.run
    assert run.teacher is not None
    coverage = measure_coverage(run.teacher, [example.predicted for example in run.corpora.sample])
    words = _count_words(run)
    epoch_words = _count_epoch(run, words)
    with TemporaryDirectory() as folder:
        output = Path(folder)
        sample, asked = _ask_for(ASKING_SECONDS, run, output)
        store = open_targets(output / "targets", run)
        learned = _learn_for(LEARNING_SECONDS, sample, store, ready.started, epoch_words, output)
        folders = list_folders(output / "targets", run)
        word_bytes = {role: sum(_bytes_per_word(Store(folder), role) for folder in folders) for role in Role}
        header_bytes = sum((folder / HEADER).stat().st_size for folder in folders)
        student_bytes = bytes_on_disk(output / loop.DIR_MODEL_LAST)
        checkpoint_bytes = (output / loop.FILE_NAME).stat().st_size
    # Of a stream only the dev data is recorded: about its texts the teacher is asked as they are learned on.
    recorded = {role: 0 if run.streams and role is not Role.DEV else words[role] for role in Role}
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
        preparing_seconds=ready.seconds,
        asking_seconds=asked.asking * (recorded[Role.TEXT] + recorded[Role.GOLD] + recorded[Role.HELD_OUT])
        + asked.annotating * judged,
        update_seconds=learned.update + (asked.asking * learned.words_per_update if run.streams else 0.0),
        evaluation_seconds=learned.evaluating * judged + learned.saving,
        student_bytes=student_bytes,
        checkpoint_bytes=checkpoint_bytes,
        targets_bytes=targets_bytes,
        memory_bytes=_add_to_peak(sum(recorded.values()), targets_bytes, asked.words),
    )


@dataclass(frozen=True)
class _Asked:
    """What it took to ask the teacher."""

    words: int
    annotated: list[bytes]  # The texts of which the teacher said anything, as it annotates them
    asking: float  # Seconds a word
    annotating: float  # Likewise, by the whole teacher


def _ask_for(seconds: float, run: Run, output: Path) -> tuple[Run, _Asked]:
    """Ask the teacher about as much of a run's texts as there is time for, and keep it in `targets`."""
    start = timer()
    probe = _draw_sample(run, PROBE_WORDS)
    _ask(probe, output / "cold")
    warm = _ask(probe, output / "warm")
    left = seconds - (timer() - start) - (EVALUATION_WORDS * warm.annotating if run.corpora.dev else 0.0)
    sample = _draw_sample(run, max(PROBE_WORDS, int(left / (warm.asking + warm.annotating))))
    return sample, _ask(sample, output / "targets")


def _ask(run: Run, path: Path) -> _Asked:
    records = list(list_records(run))
    learned = [item for item in records if item.role is not Role.DEV]
    words = sum(map(len, learned))
    said: list[list[bytes | None]] = []
    start = timer()
    for teacher in run.teachers:
        said.append(list(annotate(teacher, (item.make_doc(teacher.vocab) for item in learned), hard=True)))
    annotating = (timer() - start) / words
    recording = 0.0
    for teacher, header, folder in zip(run.teachers, run.headers, list_folders(path, run), strict=True):
        with StoreWriter(folder, header) as writer:
            start = timer()
            record_store(teacher, list_records(run), run.plan, writer)
            recording += timer() - start
    # Those that are to be scored on were annotated, too.
    judged = sum(len(item) for item in records if item.role not in LEARNED)
    annotated = [data for data in said[0] if data is not None]
    return _Asked(words, annotated, max(recording - judged * annotating, 0.0) / words, annotating)


def _draw_sample(run: Run, words: int) -> Run:
    """Make a run of so many of another's words, of texts and gold annotations in the proportion in which there are."""
    corpora = run.corpora
    judged = min(words, EVALUATION_WORDS)
    n_gold = sum(len(example.predicted) for example in corpora.gold)
    share = corpora.n_words / (corpora.n_words + n_gold)
    texts = _draw(corpora.sample[: min(corpora.n_texts, SAMPLE)], words * share)
    gold = _draw(corpora.gold, words * (1 - share))

    def read_texts(nlp: Language) -> Iterator[Example]:
        return chain.from_iterable(make_examples(nlp, example.reference.text, 0) for example in texts)

    def read_dev(nlp: Language) -> Iterator[Example]:
        return _first(corpora.readers["dev"](nlp), judged)

    n_words = sum(len(example.predicted) for example in texts)
    hold_out = max(run.settings.hold_out, min(0.5, judged / words))
    return replace(
        run,
        # Without an end, as it is stopped when there is enough.
        settings=run.settings.model_copy(update={"hold_out": hold_out, "max_steps": 0, "max_epochs": 0}),
        corpora=Corpora(
            readers={"distill": read_texts, "gold": lambda nlp: gold, "dev": read_dev},
            sample=[*texts, *gold],
            n_texts=len(texts),
            n_words=n_words,
            gold=gold,
            dev=list(_first(corpora.dev, judged)),
        ),
    )


def _draw(examples: Sequence[Example], words: float) -> list[Example]:
    """Draw Examples of so many words, but at least two, so that one can be held out."""
    drawn: list[Example] = []
    for example in random.Random(0).sample(examples, len(examples)):
        if words <= 0 and len(drawn) >= 2:
            break
        drawn.append(example)
        words -= len(example.predicted)
    return drawn


def _first(examples: Iterable[Example], words: int) -> Iterator[Example]:
    for example in examples:
        if words <= 0:
            break
        yield example
        words -= len(example.predicted)


@dataclass(frozen=True)
class _Learned:
    """What it took to learn, in seconds."""

    update: float
    words_per_update: float
    evaluating: float  # A word
    saving: float  # The student and the checkpoint, after an evaluation


def _learn_for(
    seconds: float,
    run: Run,
    store: Store,
    started: tuple[dict[str, Lesson], list[str]] | None,
    epoch_words: int,
    output: Path,
) -> _Learned:
    lessons, strings = started or start_student(run, store)
    read = make_corpus(store, run)

    def read_epoch(shuffle: random.Random | None) -> Iterator[loop.Taught]:
        words = 0
        while True:
            for taught in read(shuffle):
                yield taught
                words += len(taught)
                if words >= epoch_words:
                    return

    stopwatch = _Stopwatch(seconds)
    evaluate = make_evaluate(store, run, lessons)
    ours = {"logger": stopwatch.logger, "eval_frequency": EVALUATION_FREQUENCY, "patience": 0}
    with suppress(_TimeIsUp):
        loop.distill(
            run.student,
            lessons,
            read_epoch,
            stopwatch.timed(evaluate),
            settings=run.settings,
            training={**run.training, **ours},
            strings=strings,
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


def _count_words(run: Run) -> dict[Role, int]:
    """Count the words that there are for each purpose; of a stream, those of its beginning."""
    corpora = run.corpora
    count = {role: 0 for role in Role}
    count[Role.TEXT] = corpora.n_words
    count[Role.GOLD] = sum(len(example.predicted) for example in corpora.gold)
    count[Role.DEV] = sum(len(example.predicted) for example in corpora.dev)
    if not corpora.dev:
        source = Role.TEXT if corpora.n_texts else Role.GOLD
        count[Role.HELD_OUT] = round(count[source] * run.settings.hold_out)
        count[source] -= count[Role.HELD_OUT]
    return count


def _count_epoch(run: Run, words: dict[Role, int]) -> int:
    """Count the words of an epoch, in which gold is read again where it is to have a share."""
    if run.settings.gold_share and words[Role.TEXT] and words[Role.GOLD]:
        return round(words[Role.TEXT] / (1 - run.settings.gold_share))
    return sum(words[role] for role in LEARNED)


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


def _add_to_peak(words: int, targets_bytes: int, sample_words: int) -> int | None:
    """Add what a run holds at once and the rehearsal did not: two shards being written, or those being shuffled."""
    peak = peak_memory()
    if peak is None:
        return None
    held = min(words, WINDOW_SHARDS * SHARD_WORDS) - min(words, sample_words)
    return peak + round(held * (WORD_BYTES + targets_bytes / max(words, 1)))
