"""The Python API: the whole road from a teacher and texts to a student, told once for Python and the command line."""

import shutil
import sys
from collections.abc import Callable, Iterable, Iterator
from configparser import Error as ConfigParserError
from functools import partial
from itertools import islice, tee
from pathlib import Path
from typing import Any

import spacy
from spacy.language import Language
from spacy.schemas import ConfigSchemaTraining
from spacy.scorer import Scorer
from spacy.tokens import Doc
from spacy.training import Example
from spacy.training.loop import create_evaluation_callback
from spacy.util import load_config, registry
from thinc.api import Config, ConfigValidationError, set_gpu_allocator
from tqdm import tqdm
from wasabi import msg

from . import loop
from .checkpoint import read_checkpoint
from .components.annotations import Annotations, read_annotated
from .corpus import Reader, copy_tokens, make_examples
from .device import use_device
from .errors import DistillationError
from .loop import DIR_MODEL_BEST, DIR_MODEL_LAST, Taught
from .schemas import DistillationConfig, check_end, read_distillation_config
from .student.config import student_config
from .student.meta import add_origin, plain_scores
from .student.pipeline import (
    Plan,
    check_tokenizers,
    initialize_student,
    labels_are_known,
    make_student,
    needed_strings,
    plan_lessons,
    start_lessons,
)
from .teacher.corpus import annotate
from .teacher.recorder import load_teacher, record_targets

CONFIG_NAME = "config.cfg"

# What a run writes into its output folder.
OUTPUT_NAMES = (DIR_MODEL_BEST, DIR_MODEL_LAST, CONFIG_NAME, loop.FILE_NAME)

# How many texts to compare the tokenizers on.
TOKENIZER_SAMPLE = 1000

# How many texts spaCy is shown to find out the shapes of a student's layers.
INITIALIZE_SAMPLE = 10


def distill(
    teacher: str | Path | Language,
    texts: str | Path | Iterable[str] | None = None,
    *,
    output: str | Path,
    config: str | Path | Config | None = None,
    overrides: dict[str, Any] | None = None,
    gpu_id: int = -1,
    resume: bool = False,
    force: bool = False,
) -> Language:
    """Distil a student from a teacher.

    Args:
        teacher: The pipeline to learn from: an installed package, a folder, or loaded.
        texts: What to learn on: texts, or a path as `corpus.text_corpus` takes it. By default what the config says.
        output: The folder to write `model-best`, `model-last`, the config and the checkpoint to.
        config: The student's config with its `[distillation]` block; by default `student.config.student_config` writes
            one.
        overrides: Values to put into the config, by dotted name, such as {"distillation.max_steps": 1000}.
        gpu_id: The GPU to run on; -1 for the CPU.
        resume: Go on with an interrupted run from the checkpoint in `output`.
        force: Replace an earlier run in `output`.

    Returns:
        The best student, loaded from `model-best`.

    Raises:
        DistillationError: Something does not fit; as far as can be known, before the teacher is asked.
    """
    use_device(gpu_id)
    output_path = Path(output)
    check_output(output_path, resume=resume, force=force)
    full_overrides = dict(overrides or {})
    if isinstance(texts, str | Path):
        full_overrides["paths.distill"] = str(texts)
    if config is not None:
        config = read_config(config, full_overrides)
        settings = read_distillation_config(config)
    if not isinstance(teacher, Language):
        msg.info(f"Loading the teacher: {teacher}")
        teacher = load_teacher(teacher)
    if config is None:
        config = read_config(student_config(teacher), full_overrides)
        settings = read_distillation_config(config)

    msg.divider("Initializing student pipeline")
    student = make_student(config, teacher)
    plan = plan_lessons(student, teacher, settings)
    training = _resolve_training(student.config, gpu_id)
    check_end(student.config, settings, training)
    readers = _resolve_corpora(student.config, settings, training)
    if texts is not None and not isinstance(texts, str | Path):
        readers["distill"] = _reader_of(list(texts))
    # What can be kept is read once; of a stream, the beginnings of both corpora.
    examples = list(_read_examples(student, readers)) if settings.max_epochs >= 0 else None
    sample = [example for example, _ in examples or _read_examples(student, readers, limit=TOKENIZER_SAMPLE)]
    if not sample:
        raise DistillationError("TD101")
    check_tokenizers(student, teacher, [example.predicted for example in sample[:TOKENIZER_SAMPLE]])
    labels_known = labels_are_known(student, teacher, plan)
    if labels_known:
        sample = sample[:INITIALIZE_SAMPLE]
        initialize_student(student, teacher, plan, sample)
        strings = needed_strings(config, teacher, plan, sample)
        lessons = start_lessons(student, teacher, plan)
        if resume:
            read_checkpoint(output_path / loop.FILE_NAME, student)
    dev_examples = list(readers["dev"](teacher))
    held_out = [] if dev_examples else _hold_out(examples, settings.hold_out)
    msg.good(f"Initialized student pipeline: {', '.join(student.pipe_names)}")

    msg.divider("Asking the teacher")
    if dev_examples:
        annotate_predicted(teacher, dev_examples)
        judged = dev_examples
        read_dev = readers["dev"]
    else:
        annotated = list(annotate(teacher, tqdm(held_out, desc="Held-out texts", unit="docs")))
        judged = list(_same_twice(teacher, annotated))
        read_dev = partial(_compare_to, held_out, annotated)
    corpus: loop.Corpus
    if examples is None:
        corpus = partial(_ask, teacher, partial(_read_examples, student, readers), plan)
    else:
        taught = list(tqdm(_ask(teacher, lambda: examples, plan), desc="Texts", unit="docs", total=len(examples)))
        corpus = partial(list, taught)
    if not labels_known:
        annotated_examples = list(_annotated_examples(corpus(), student, teacher, plan))
        initialize_student(student, teacher, plan, annotated_examples)
        strings = needed_strings(config, teacher, plan, annotated_examples)
        lessons = start_lessons(student, teacher, plan)
    # By the student's scorers: the teacher may have none, or other pipes that count into the same score.
    teacher_scores = Scorer(student).score(judged)
    add_origin(student, teacher, plain_scores(teacher_scores))

    msg.divider("Distilling student pipeline from teacher")
    if not resume:
        clear_output(output_path)
    student.config.to_disk(output_path / CONFIG_NAME)
    score_weights = training["score_weights"]
    best = loop.distill(
        student,
        lessons,
        corpus,
        create_evaluation_callback(student, read_dev, score_weights),
        settings=settings,
        training=training,
        strings=strings,
        output_path=output_path,
        resume=resume,
        # As they are now: notebooks and tests put others in their place.
        stdout=sys.stdout,
        stderr=sys.stderr,
    )
    msg.good("Saved the best student", output_path / DIR_MODEL_BEST)
    _report_retention(best, _weighted_sum(teacher_scores, score_weights), bool(dev_examples))
    return spacy.load(output_path / DIR_MODEL_BEST)


def check_output(path: Path, *, resume: bool, force: bool) -> None:
    """See that an output folder can be written to and that nothing in it is lost.

    Raises:
        DistillationError: TD501, it is not empty, and neither `resume` nor `force` was given; TD302, there is nothing
            to resume from; TD506, it is a file; TD507, it cannot be made.
    """
    if path.exists() and not path.is_dir():
        raise DistillationError("TD506", path=path)
    if resume and not (path / loop.FILE_NAME).exists():
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


def read_config(config: str | Path | Config, overrides: dict[str, Any]) -> Config:
    """Read a config and put values into it, without interpolating it.

    Raises:
        DistillationError: TD005, it cannot be read, or a value is to be put where there is no block.
    """
    try:
        if isinstance(config, Config):
            return Config().from_str(config.to_str(), interpolate=False, overrides=overrides)
        return load_config(config, overrides=overrides, interpolate=False)
    except ConfigValidationError as error:
        raise DistillationError("TD005", reason=error.text.strip()) from None
    except (OSError, ValueError, ConfigParserError) as error:
        raise DistillationError("TD005", reason=error) from None


def _resolve_training(config: Config, gpu_id: int) -> dict[str, Any]:
    try:
        training = registry.resolve(config.interpolate()["training"], schema=ConfigSchemaTraining)
    except ConfigValidationError as error:
        raise DistillationError("TD210", reason=error.text.strip()) from None
    except ValueError as error:
        raise DistillationError("TD210", reason=error) from None
    if gpu_id >= 0 and training["gpu_allocator"]:
        set_gpu_allocator(training["gpu_allocator"])
    return training


def _resolve_corpora(config: Config, settings: DistillationConfig, training: dict[str, Any]) -> dict[str, Reader]:
    """Make the readers for "distill", "gold" and "dev"."""
    names = {"corpus": settings.corpus, "gold_corpus": settings.gold_corpus, "dev_corpus": training["dev_corpus"]}
    corpora = config.interpolate()["corpora"]
    readers: list[Reader] = []
    for key, name in names.items():
        section, _, block = (name or "").partition(".")
        if name is not None and (section != "corpora" or block not in corpora):
            raise DistillationError("TD006", key=key, value=name)
        try:
            readers.append(registry.resolve({block: corpora[block]})[block] if name else _reader_of([]))
        except ConfigValidationError as error:
            raise DistillationError("TD004", reason=error.text.strip()) from None
        except (ValueError, TypeError) as error:
            raise DistillationError("TD004", reason=error) from None
    return dict(zip(("distill", "gold", "dev"), readers, strict=True))


def _reader_of(texts: list[str]) -> Reader:
    def read(nlp: Language) -> Iterator[Example]:
        for text in texts:
            yield from make_examples(nlp, text, max_length=500)

    return read


def _read_examples(
    student: Language, readers: dict[str, Reader], *, limit: int | None = None
) -> Iterator[tuple[Example, bool]]:
    """Read the corpus and the gold corpus, each up to a limit, each Example with whether it has gold annotations."""
    for name, has_gold in (("distill", False), ("gold", True)):
        for example in islice(readers[name](student), limit):
            if len(example.predicted):
                yield example, has_gold


def _hold_out(examples: list[tuple[Example, bool]] | None, share: float) -> list[Doc]:
    """Take texts that are spread over the corpus out of the list, to score on; gold only if there is nothing else."""
    if examples is None:
        raise DistillationError("TD008")
    candidates = [i for i, (_, has_gold) in enumerate(examples) if not has_gold] or list(range(len(examples)))
    count = max(1, round(share * len(candidates)))
    if len(candidates) < 2:
        raise DistillationError("TD109", found=len(candidates), expected=2)
    chosen = {candidates[i * len(candidates) // count] for i in range(count)}
    held_out = [examples[i][0].predicted for i in sorted(chosen)]
    examples[:] = [pair for i, pair in enumerate(examples) if i not in chosen]
    return held_out


def annotate_predicted(teacher: Language, examples: list[Example]) -> None:
    """Let the teacher annotate the dev data to be scored, as `Language.evaluate` would, with a progress bar.

    Args:
        teacher: The teacher.
        examples: Gold annotations; their predicted Docs are replaced by the teacher's.
    """
    docs = teacher.pipe(example.predicted for example in examples)
    for example, doc in zip(examples, tqdm(docs, desc="Dev data", unit="docs", total=len(examples)), strict=True):
        example.predicted = doc


def _same_twice(teacher: Language, annotated: list[bytes]) -> Iterator[Example]:
    for data in annotated:
        yield Example(Doc(teacher.vocab).from_bytes(data), Doc(teacher.vocab).from_bytes(data))


def _compare_to(held_out: list[Doc], annotated: list[bytes], student: Language) -> Iterator[Example]:
    for doc, data in zip(held_out, annotated, strict=True):
        yield Example(copy_tokens(student, doc), Doc(student.vocab).from_bytes(data))


def _ask(teacher: Language, read: Callable[[], Iterable[tuple[Example, bool]]], plan: Plan) -> Iterator[Taught]:
    asked, kept = tee(read())
    targets = record_targets(teacher, (example.predicted for example, _ in asked), plan)
    for (example, has_gold), said in zip(kept, targets, strict=True):
        yield Taught(example, said, has_gold)


def _annotated_examples(
    corpus: Iterable[Taught], student: Language, teacher: Language, plan: Plan
) -> Iterator[Example]:
    """The corpus with what the last of the hard-label teachers left on the Docs, to find the labels in."""
    hard = [name for name, (_, rule) in plan.items() if isinstance(rule, Annotations)]
    last = max(hard, key=lambda name: teacher.pipe_names.index(plan[name][0]))
    for taught in corpus:
        yield Example(taught.predicted, read_annotated(taught.targets[last], student.get_pipe(last)))


def _weighted_sum(scores: dict[str, Any], weights: dict[str, float | None]) -> float:
    return sum(scores[key] * weight for key, weight in weights.items() if weight and scores.get(key) is not None)


def _report_retention(student: float, teacher: float, on_gold: bool) -> None:
    data = "the dev data" if on_gold else "held-out texts, against the teacher's own annotations"
    if teacher:
        msg.good(f"Retention on {data}: {student / teacher:.1%} (student {student:.4f}, teacher {teacher:.4f})")
    else:
        msg.warn(f"No retention on {data}: the teacher's own score there is 0.")
