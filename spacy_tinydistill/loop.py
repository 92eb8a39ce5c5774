"""The distillation loop, which is like spaCy's `training/loop.py`: batches in, checkpoints out."""

import math
import random
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from functools import reduce
from itertools import chain, islice
from operator import and_
from pathlib import Path
from timeit import default_timer as timer
from typing import IO, Any

from spacy.language import Language
from spacy.training import Example
from spacy.training.loop import create_before_to_disk_callback, subdivide_batch
from spacy.util import logger
from thinc.api import Model, Optimizer, fix_random_seed
from wasabi import Printer

from .checkpoint import FILE_NAME, load_checkpoint, save_checkpoint, set_random_state
from .components.annotations import own_categories, speaks_of
from .components.base import Lesson
from .errors import DistillationError
from .evaluation_log import CURVE_NAME, add_point, cut_back
from .files import told_if_not_written
from .pipes.device import fast_matrices, is_out_of_memory
from .pipes.pipeline import is_encoder, models_of, nodes_of, pipes_of
from .pipes.transfer import fetch
from .schemas import DistillationConfig, resolving
from .signals import leave, stop_signals
from .student.meta import add_scores
from .student.pipeline import save_student, switched_on
from .targets.records import Targets

DIR_MODEL_BEST = "model-best"
DIR_MODEL_LAST = "model-last"


@dataclass
class Taught:
    """One text of the corpus, with its targets and gold annotations."""

    example: Example  # The student's Doc, and gold annotations where there are some
    targets: Targets  # What the teacher says about the Doc, by student pipe; none of which it says nothing
    has_gold: bool

    def __len__(self) -> int:
        """The number of tokens, which spaCy's batchers read."""
        return len(self.example)

    @property
    def predicted(self) -> Any:
        """The student's Doc. spaCy's batchers read this attribute of an Example."""
        return self.example.predicted


# Makes a new pass over the corpus, shuffled with these numbers, or in its own order.
Corpus = Callable[[random.Random | None], Iterable[Taught]]
Evaluate = Callable[[], tuple[float, dict[str, Any]]]


def distill(
    student: Language,
    lessons: dict[str, Lesson],
    corpus: Corpus,
    evaluate: Evaluate,
    *,
    settings: DistillationConfig,
    training: dict[str, Any],
    strings: list[str],
    output_path: Path,
    gold: bool = True,
    resume: bool = False,
    stdout: IO = sys.stdout,
    stderr: IO = sys.stderr,
) -> float:
    """Teach a student and write `model-best`, `model-last` and the log of evaluations.

    Args:
        student: An initialized pipeline. It ends with the last weights, averaged if the optimizer averages.
        lessons: The lesson of each pipe to teach.
        corpus: The texts to learn from.
        evaluate: Scores the student. Returns the weighted score that decides on the best student, and all scores.
        settings: The `[distillation]` block.
        training: The `[training]` block, resolved.
        strings: The strings of the saved student's vocabulary; see `save_student`.
        output_path: An existing folder to write to.
        gold: Whether `evaluate` scores against gold annotations, and not against the teacher's.
        resume: Continue from the checkpoint in that folder.
        stdout: Where the logger writes its table.
        stderr: Where the logger draws its progress bar.

    Returns:
        The best weighted score.

    Raises:
        DistillationError: TD301, a loss is not a finite number; TD302 or TD303, there is nothing to resume from;
            TD305, there is not enough memory for one text; TD509, the disk is full.
        KeyboardInterrupt, SystemExit: A signal asked to stop. What was learned is in the checkpoint.
    """
    msg = Printer(no_print=True)
    optimizer = settings.optimizer
    before_to_disk = create_before_to_disk_callback(training["before_to_disk"])
    frozen = training["frozen_components"]
    progress = Progress()
    if resume:
        state = load_checkpoint(output_path / FILE_NAME, student, lessons, optimizer)
        progress = Progress(**state["progress"], random_state=state["random"])
    with told_if_not_written(output_path):
        cut_back(output_path / CURVE_NAME, progress.step)
    steps = distill_while_improving(
        student, lessons, corpus, evaluate, settings=settings, training=training, progress=progress
    )
    stdout.write(msg.info(f"Pipeline: {student.pipe_names}") + "\n")
    stdout.write(msg.info(f"Taught by the teacher: {list(lessons)}") + "\n")
    if frozen:
        stdout.write(msg.info(f"Frozen components: {frozen}") + "\n")
    stdout.write(msg.info(f"Initial learn rate: {optimizer.learn_rate}") + "\n")
    with (
        switched_on(student, lessons),
        student.select_pipes(disable=frozen),
        resolving(of_student=True),
    ):
        log_step, finalize_logger = training["logger"](student, stdout, stderr)
    told = False
    projections = [lesson.model for lesson in lessons.values() if lesson.model is not None]
    try:
        with stop_signals() as stopped, fast_matrices(student, *projections):
            for _, info, is_best in steps:
                if is_best is not None:
                    add_scores(student, info, list(training["score_weights"]), gold=gold)
                    with told_if_not_written(output_path):
                        with _averaged(student, lessons, optimizer):
                            save_student(before_to_disk(student), output_path / DIR_MODEL_LAST, strings)
                            if is_best:
                                save_student(before_to_disk(student), output_path / DIR_MODEL_BEST, strings)
                        add_point(output_path / CURVE_NAME, info)
                        save_checkpoint(output_path / FILE_NAME, student, lessons, optimizer, progress.to_dict())
                    info["output_path"] = str(output_path / DIR_MODEL_LAST)
                log_step(info if is_best is not None else None)
                if is_best is not None and progress.step > 0 and not told and settings.max_steps:
                    told = True
                    left = (settings.max_steps - progress.step) * progress.seconds / progress.step
                    stdout.write(f"About {_minutes(left)} left for learning, at most\n")
                if (number := stopped()) is not None:
                    with told_if_not_written(output_path):
                        save_checkpoint(output_path / FILE_NAME, student, lessons, optimizer, progress.to_dict())
                    stdout.write(msg.warn(f"Stopped after step {progress.step}. Go on with --resume.") + "\n")
                    leave(number)
    finally:
        finalize_logger()
    return max(score for score, _ in progress.results)


@dataclass
class Progress:
    """The state of a run."""

    step: int = -1  # The last update that was made
    epoch: int = 0
    words: int = 0
    seconds: float = 0.0
    results: list[Any] = field(default_factory=list)  # (score, step) of each evaluation
    losses: dict[str, float] = field(default_factory=dict)  # Sums since the last evaluation, by pipe
    random_state: dict[str, Any] | None = None  # To go on with, where the run is a resumed one

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for the checkpoint."""
        return {key: value for key, value in vars(self).items() if key != "random_state"}


def distill_while_improving(
    student: Language,
    lessons: dict[str, Lesson],
    corpus: Corpus,
    evaluate: Evaluate,
    *,
    settings: DistillationConfig,
    training: dict[str, Any],
    progress: Progress,
) -> Iterator[tuple[list[Taught], dict[str, Any], bool | None]]:
    """Teach until the score stops improving or all updates are made.

    Args:
        student: See `distill`.
        lessons: Likewise.
        corpus: Likewise.
        evaluate: Likewise.
        settings: Likewise.
        training: Likewise.
        progress: Updated after each step. The batches of a resumed run that were seen before are skipped.

    Yields:
        After each update `(batch, info, is_best)`, like spaCy's `train_while_improving`. `is_best` is None if the
        student was not evaluated.
    """
    optimizer = settings.optimizer
    if settings.max_steps and progress.step >= settings.max_steps:
        return  # A finished run was resumed
    frozen = training["frozen_components"]
    learning = [
        (name, pipe)
        for name, pipe in _pipes_in_use(student, lessons)
        if name not in frozen and getattr(pipe, "is_trainable", False) and isinstance(pipe.model, Model)
    ]
    halvings = 0
    start_time = timer() - progress.seconds
    batches = create_batches(corpus, settings, training["seed"])
    for _ in islice(batches, progress.step + 1):
        pass
    if progress.random_state:
        set_random_state(progress.random_state)
    else:
        # A teacher may have drawn random numbers since the student was made, or nobody asked it: no matter.
        fix_random_seed(training["seed"] or 0)
    for (epoch, batch), is_last in _mark_last(batches):
        progress.step += 1
        progress.epoch = epoch
        is_last = is_last or 0 < settings.max_steps <= progress.step
        if training["before_update"]:
            training["before_update"](student, {"step": progress.step, "epoch": progress.epoch})
        # What one batch found too large is too large for those that follow.
        halvings = _Update(student, lessons, settings, training, progress).learn(batch, halvings)
        for _, pipe in learning:
            pipe.finish_update(optimizer)
        for lesson in lessons.values():
            if lesson.model is not None:
                lesson.model.finish_update(optimizer)
        optimizer.step_schedules()
        # spaCy's loggers ask for the loss of each pipe, of which there may have been nothing to learn.
        losses = dict.fromkeys((name for name, _ in learning), 0.0) | progress.losses
        score, other_scores, is_best = None, None, None
        if progress.step % training["eval_frequency"] == 0 or is_last:
            _check_weights(student, lessons, progress)
            with _averaged(student, lessons, optimizer):
                score, other_scores = evaluate()
            progress.results.append((score, progress.step))
            is_best = score == max(result[0] for result in progress.results)
            progress.losses = {}
        progress.words += sum(len(taught) for taught in batch)
        progress.seconds = timer() - start_time
        info = {
            "epoch": progress.epoch,
            "step": progress.step,
            "score": score,
            "other_scores": other_scores,
            "losses": losses,
            "checkpoints": progress.results,
            "seconds": int(progress.seconds),
            "words": progress.words,
        }
        yield batch, info, is_best
        # The earliest of equal scores is the best, as in spaCy.
        best_step = -max((score, -step) for score, step in progress.results)[1]
        if is_last or (training["patience"] and progress.step - best_step >= training["patience"]):
            break


def create_batches(
    corpus: Corpus, settings: DistillationConfig, seed: int | None
) -> Iterator[tuple[int, list[Taught]]]:
    """Make the batches of one epoch after another. The same seed gives the same batches.

    Args:
        corpus: Called for each epoch. It is not shuffled if `max_epochs` is -1.
        settings: The `[distillation]` block.
        seed: The seed of the shuffling, which has its own random numbers. So a resumed run finds its place without
            repeating updates.
    """
    numbers = random.Random(seed or 0)
    epoch = 0
    shuffle = None if settings.max_epochs == -1 else numbers
    while settings.max_epochs < 1 or epoch < settings.max_epochs:
        for batch in settings.batcher(corpus(shuffle)):  # type: ignore[arg-type]
            yield epoch, list(batch)  # type: ignore[arg-type]
        epoch += 1


def _minutes(seconds: float) -> str:
    return f"{seconds / 60:.0f} min" if seconds >= 90 else f"{seconds:.0f} s"


def _mark_last(batches: Iterator[tuple[int, list[Taught]]]) -> Iterator[tuple[tuple[int, list[Taught]], bool]]:
    """Say of each batch whether it is the last, so that the end of the last epoch is evaluated too."""
    current = next(batches, None)
    while current is not None:
        following = next(batches, None)
        yield current, following is None
        current = following


class _Update:
    """The forward and backward passes of one update."""

    def __init__(
        self,
        student: Language,
        lessons: dict[str, Lesson],
        settings: DistillationConfig,
        training: dict[str, Any],
        progress: Progress,
    ) -> None:
        self.student = student
        self.lessons = lessons
        self.settings = settings
        self.dropout = settings.dropout
        self.gold_weight = settings.gold_weight
        self.frozen = training["frozen_components"]
        self.annotating = training["annotating_components"]
        self.n_parts = training["accumulate_gradient"]
        self.progress = progress

    def learn(self, batch: list[Taught], halvings: int) -> int:
        """Add the gradients of a batch; where memory is too small for that, from the start again in smaller parts.

        Args:
            batch: The texts.
            halvings: How often its parts, of which `accumulate_gradient` says the number, are halved at first.

        Returns:
            How often they had to be.

        Raises:
            DistillationError: TD305, memory is too small for one text at a time.
        """
        parts = _split(batch, self.n_parts, halvings)
        before = dict(self.progress.losses)
        while not self._run_both_passes(parts):
            if max(map(len, parts)) == 1:
                raise DistillationError(
                    "TD305", step=self.progress.step, epoch=self.progress.epoch, words=max(map(len, batch))
                )
            # What a part that broke off had added cannot be told from the rest.
            _forget_gradients(self.student, self.lessons)
            self.progress.losses = dict(before)
            halvings += 1
            parts = _split(batch, self.n_parts, halvings)
            logger.warning(
                "Step %d: not enough memory. Batches are now learned in parts of half the size, here of %d texts at "
                "most; what is learned stays the same.",
                self.progress.step,
                max(map(len, parts)),
            )
        return halvings

    def _run_both_passes(self, parts: list[list[Taught]]) -> bool:
        """Make both passes over the parts of a batch, first on gold annotations, then on the teacher's targets.

        Returns:
            Whether memory was large enough; else gradients and losses are of a part of the batch.
        """
        try:
            if self.gold_weight:
                for part in parts:
                    self.learn_from_gold(part)
                _scale_gradients(self.student, self.lessons, self.gold_weight)
            for part in parts:
                self.learn_from_teacher(part)
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            return False
        return True

    def learn_from_gold(self, batch: list[Taught]) -> None:
        """Add the gradients of spaCy's own losses on gold annotations; a pipe learns from Docs that have its own."""

        def learn(name: str, pipe: Any, batch: list[Taught]) -> float:
            try:
                examples = [own_categories(taught.example, pipe) for taught in batch]
                losses: dict[str, float] = {}
                # What is returned is None with a beam.
                pipe.update(examples, drop=self.dropout, losses=losses)
                return float(losses[name])
            except ValueError as error:
                # spaCy's own errors for a loss or scores that are not numbers.
                if str(error).startswith(("[E910]", "[E940]")):
                    return math.nan
                raise

        learners = [name for name in self.lessons if self.settings.learns_from_gold(name)]

        def speakers(taught: Taught) -> set[str]:
            gold = taught.example.reference
            return {name for name in learners if taught.has_gold and speaks_of(gold, self.student.get_pipe(name))}

        self._run_groups(batch, speakers, learn)

    def learn_from_teacher(self, batch: list[Taught]) -> None:
        """Add the gradients of the distillation losses."""

        def learn(name: str, pipe: Any, batch: list[Taught]) -> float:
            docs = [taught.predicted for taught in batch]
            return self.lessons[name].update(docs, [taught.targets[name] for taught in batch], dropout=self.dropout)

        self._run_groups(batch, lambda taught: taught.targets.keys() & self.lessons, learn)

    def _run_groups(
        self,
        batch: list[Taught],
        learners: Callable[[Taught], set[str]],
        learn: Callable[[str, Any, list[Taught]], float],
    ) -> None:
        """Let each pipe learn from those texts that have something for it.

        An encoder hands its vectors of all texts to all of its listeners, so texts with something for the same pipes,
        which most often are all, go through it together, and those with something for others by themselves.
        """
        groups: dict[frozenset[str], list[Taught]] = {}
        for taught in batch:
            groups.setdefault(frozenset(learners(taught)), []).append(taught)
        for names, group in groups.items():
            if names:
                self._run_pipes(group, names, learn)

    def _run_pipes(
        self, batch: list[Taught], names: frozenset[str], learn: Callable[[str, Any, list[Taught]], float]
    ) -> None:
        """Let encoders hand out their vectors, the pipes learn, and their gradients flow back into the encoders."""
        if self.annotating:
            # Gold is read once, and what the student writes to a Doc now is not to be there when it learns it again.
            batch = [replace(taught, example=_unannotated(taught.example)) for taught in batch]
        examples = [taught.example for taught in batch]
        streams, taught_encoders = [], []
        for name, pipe in _pipes_in_use(self.student, self.lessons):
            if is_encoder(pipe) and name not in self.frozen:
                has_lesson = name in self.lessons
                # What spaCy calls an encoder's loss is the size of its gradients.
                pipe.update(examples, drop=self.dropout, losses={} if has_lesson else self.progress.losses)
                streams.append(_GradientStream(pipe))
                taught_encoders += [(name, pipe)] * (name in names)
            elif name in names:
                self._add_loss(name, learn(name, pipe, batch), batch)
            if name in self.annotating:
                for example, doc in zip(examples, pipe.pipe([eg.predicted for eg in examples]), strict=True):
                    example.predicted = doc
        for name, pipe in taught_encoders:
            self._add_loss(name, learn(name, pipe, batch), batch)
        for stream in streams:
            stream.finish()

    def _add_loss(self, name: str, loss: float, batch: list[Taught]) -> None:
        if not math.isfinite(loss):
            raise DistillationError(
                "TD301", pipe=name, loss=loss, step=self.progress.step, epoch=self.progress.epoch, docs=len(batch),
                text=batch[0].predicted.text[:60],
            )  # fmt: skip
        self.progress.losses[name] = self.progress.losses.get(name, 0.0) + loss


class _GradientStream:
    """Sees to it that an encoder learns even where its last listener did not.

    spaCy's encoders add up their listeners' gradients and run backwards when the last one answers. A pipe that found
    nothing to learn in a batch does not answer, and if it was the last one, the others' gradients would be lost.

    And spares the listeners to go through all words of the batch, each of them, only to see that it is the one that
    their encoder saw, which took a tenth of the time of a run: `_run_pipes` gives the same to all.
    """

    def __init__(self, encoder: Any) -> None:
        self.listeners = list(encoder.listeners)
        self.answered: set[int] = set()
        for i, listener in enumerate(self.listeners):
            listener._backprop = self._watch(i, listener._backprop)
            listener.verify_inputs = lambda _: True

    def _watch(self, i: int, backprop: Any) -> Any:
        def watched(*args: Any) -> Any:
            self.answered.add(i)
            return backprop(*args)

        return watched

    def finish(self) -> None:
        """Answer, with no gradient, for the last listener if it did not; leave the listeners as they were."""
        for listener in self.listeners:
            # It may listen to two encoders, where its upstream is "*".
            listener.__dict__.pop("verify_inputs", None)
        last = len(self.listeners) - 1
        if self.answered and last not in self.answered:
            self.listeners[last]._backprop([])


def _unannotated(example: Example) -> Example:
    return Example(example.predicted.copy(), example.reference)


def _split(batch: list[Taught], n_parts: int, halvings: int) -> list[list[Taught]]:
    """Divide a batch as spaCy does, and then the parts in two, so often, as long as they have two texts."""
    parts = list(subdivide_batch(batch, n_parts))
    for _ in range(halvings):
        parts = [half for part in parts for half in (part[: len(part) // 2], part[len(part) // 2 :]) if half]
    return parts


def _forget_gradients(student: Language, lessons: dict[str, Lesson]) -> None:
    """Set all gradients to 0, and let go of what encoders keep for the way back."""
    own = (lesson.model for lesson in lessons.values() if lesson.model is not None)
    for node in nodes_of(chain(_models(student, lessons), own)):
        for name in node.param_names:
            if node.has_grad(name):
                node.get_grad(name).fill(0)
        for shim in node.shims:
            shim._model.zero_grad()
    for _, pipe in _pipes_in_use(student, lessons):
        for listener in getattr(pipe, "listeners", ()):
            listener._outputs = listener._backprop = None


def _scale_gradients(student: Language, lessons: dict[str, Lesson], factor: float) -> None:
    if factor == 1.0:
        return
    for node in nodes_of(_models(student, lessons)):
        for name in node.param_names:
            if node.has_grad(name):
                gradient = node.get_grad(name)
                gradient *= factor
        for shim in node.shims:
            for parameter in shim._model.parameters():
                if parameter.grad is not None:
                    parameter.grad *= factor


def _check_weights(student: Language, lessons: dict[str, Lesson], progress: Progress) -> None:
    for pipe_name, model in models_of(_pipes_in_use(student, lessons)):
        nodes = list(nodes_of([model]))
        weights = [(node, node.get_param(name)) for node in nodes for name in node.param_names if node.has_param(name)]
        # A GPU is asked once, not for each layer.
        finite = fetch([node.ops.xp.isfinite(array).all() for node, array in weights])
        tensors = [
            tensor.isfinite().all() for node in nodes for shim in node.shims for tensor in shim._model.parameters()
        ]
        if not all(finite) or (tensors and not reduce(and_, tensors)):
            raise DistillationError("TD304", pipe=pipe_name, step=progress.step, epoch=progress.epoch)


def _models(student: Language, lessons: dict[str, Lesson]) -> Iterator[Model]:
    return (model for _, model in models_of(_pipes_in_use(student, lessons)))


def _pipes_in_use(student: Language, lessons: dict[str, Lesson]) -> list[tuple[str, Any]]:
    """List the pipes that run in the student, and those that learn although they are disabled in it."""
    with switched_on(student, lessons):
        return pipes_of(student)


@contextmanager
def _averaged(student: Language, lessons: dict[str, Lesson], optimizer: Optimizer) -> Iterator[None]:
    """Give the student and its lessons the averages of their weights, if the optimizer has any."""
    with ExitStack() as stack:
        with switched_on(student, lessons):
            stack.enter_context(student.use_params(optimizer.averages or {}))
        for lesson in lessons.values():
            if lesson.model is not None:
                stack.enter_context(lesson.model.use_params(optimizer.averages or {}))
        yield
