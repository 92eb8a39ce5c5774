"""What a run finds out before the teacher is asked: that config, teacher, student and texts fit together."""

import random
from collections.abc import Iterable, Iterator, Sequence
from configparser import Error as ConfigParserError
from dataclasses import dataclass
from itertools import islice
from math import floor
from pathlib import Path
from typing import Any

from spacy.language import Language
from spacy.schemas import ConfigSchemaTraining
from spacy.tokens import Doc
from spacy.training import Example
from spacy.util import load_config, registry
from thinc.api import Config, ConfigValidationError, set_gpu_allocator
from wasabi import msg

from .corpus import Reader, make_examples, replace_surrogates
from .errors import DistillationError
from .pipes.pipeline import load_teacher
from .pipes.profile import TeacherProfile, fingerprint, profile_teacher
from .schemas import DistillationConfig, check_end, read_distillation_config, reason_of, shares_of
from .student.config import first_config
from .student.pipeline import (
    Plan,
    check_tokenizers,
    describe_lessons,
    encodes_only,
    labels_are_known,
    make_student,
    plan_lessons,
    plan_recorded_lessons,
)
from .targets.records import LessonPlan, Record, Role
from .targets.store import Header, Store
from .teacher.ensemble import EnsembleStore, make_ensemble

# A package, a folder, or a loaded pipeline.
Teacher = str | Path | Language

# What a student learns on.
LEARNED = (Role.TEXT, Role.GOLD)

# What gold annotations of tokens may be of, as spaCy names it.
ANNOTATIONS = ("TAG", "POS", "MORPH", "LEMMA", "DEP", "SENT_START", "ENT_IOB")

# How many texts to draw from what is to be learned on.
SAMPLE = 1000


@dataclass(frozen=True)
class Corpora:
    """The texts, read once, so that a bad line is found before the teacher is asked."""

    readers: dict[str, Reader]  # "distill", "gold" and "dev"
    sample: list[Example]  # Drawn from what is to be learned on; of a stream, its beginning
    n_texts: int  # Without gold; of a stream, or where they were recorded, those of the sample
    n_words: int  # Of these texts
    gold: list[Example]
    dev: list[Example]


@dataclass(frozen=True)
class Run:
    """What is known before the teacher is asked."""

    config: Config
    settings: DistillationConfig
    training: dict[str, Any]
    teachers: list[Language]  # None of them where what they say was recorded
    headers: list[Header]  # Of each of them
    header: Header  # Of the one that they are together
    student: Language  # Not initialized
    plan: Plan
    corpora: Corpora

    @property
    def teacher(self) -> Language | None:
        """The one to compare with; None where what it says was recorded."""
        return self.teachers[0] if self.teachers else None

    @property
    def profile(self) -> TeacherProfile:
        """The teacher without its weights."""
        return self.header.profile

    @property
    def lessons(self) -> dict[str, LessonPlan]:
        """What the rules need of the teacher, by student pipe."""
        return self.header.lessons

    @property
    def labels_known(self) -> bool:
        """Whether the student can be initialized before the teacher is asked."""
        return labels_are_known(self.student, self.profile, self.plan)

    @property
    def encodes_only(self) -> bool:
        """Whether the student is an encoder alone, which annotates nothing that could be scored."""
        return encodes_only(self.student)

    @property
    def streams(self) -> bool:
        """Whether the texts are not kept, so that the teacher is asked about them in every epoch."""
        return self.settings.max_epochs == -1 and self.teacher is not None


def prepare(
    teacher: Teacher | Sequence[Teacher],
    texts: str | Path | Iterable[str] | None,
    config: str | Path | Config | None,
    overrides: dict[str, Any],
    gpu_id: int,
) -> Run:
    """Load the teachers, make a student, and see that all fit the texts.

    Args:
        teacher: As for `api.distill`, and so the others.
        texts: Likewise.
        config: Likewise.
        overrides: Likewise.
        gpu_id: Likewise.

    Raises:
        DistillationError: They do not fit.
    """
    if texts is not None and "paths.distill" in overrides:
        shown = texts if isinstance(texts, str | Path) else "those that were handed over"
        raise DistillationError("TD011", texts=shown, override=overrides["paths.distill"])
    if isinstance(texts, str | Path):
        overrides = {**overrides, "paths.distill": str(texts)}
    if config is not None:
        # Before the teacher is loaded, which may take a while.
        config = read_config(config, overrides)
        settings = read_distillation_config(config)
    named = list_teachers(teacher, None if config is None else settings)
    teachers = [one if isinstance(one, Language) else _load(one) for one in named]
    if config is None:
        config = read_config(first_config(teachers[0]), overrides)
        settings = read_distillation_config(config)
    shares = shares_of(settings, len(teachers))
    msg.divider("Initializing student pipeline")
    profiles = [profile_teacher(nlp) for nlp in teachers]
    student = make_student(config, profiles[0])
    plans = [plan_lessons(student, nlp, settings) for nlp in teachers]
    headers = [
        Header(fingerprint(one), profile, describe_lessons(student, nlp, plan))
        for one, nlp, profile, plan in zip(named, teachers, profiles, plans, strict=True)
    ]
    header = make_ensemble(headers, shares).header
    if len(teachers) > 1 and settings.max_epochs == -1:
        raise DistillationError("TD016", count=len(teachers))
    training = resolve_training(student.config, settings, gpu_id)
    readers = resolve_readers(student.config, settings, training)
    if texts is not None and not isinstance(texts, str | Path):
        readers["distill"] = _reader_of(_check_texts(texts))
    corpora = _read_corpora(readers, student, whole=settings.max_epochs >= 0)
    if corpora.dev and encodes_only(student):
        raise DistillationError("TD223", count=len(corpora.dev))
    if not corpora.dev and settings.max_epochs == -1:
        raise DistillationError("TD008")
    found = corpora.n_texts or len(corpora.gold)
    if not corpora.dev and found < 2:
        raise DistillationError("TD109", found=found, expected=2)
    for profile in profiles:
        check_tokenizers(student, profile, [example.predicted for example in corpora.sample])
    return Run(config, settings, training, teachers, headers, header, student, plans[0], corpora)


def list_teachers(teacher: Teacher | Sequence[Teacher], settings: DistillationConfig | None) -> list[Teacher]:
    """List the teachers that are named, or, where it is "-", those that the config names.

    Args:
        teacher: As for `prepare`.
        settings: The `[distillation]` block, if there is one yet.

    Raises:
        DistillationError: TD627, there are none.
    """
    if teacher == "-":
        teacher = list(settings.teachers) if settings else []
    named = [teacher] if isinstance(teacher, str | Path | Language) else list(teacher)
    if not named:
        raise DistillationError("TD627")
    return named


def check_named(teacher: Teacher | Sequence[Teacher], settings: DistillationConfig) -> None:
    """See that a command names no other teachers than the config does.

    Raises:
        DistillationError: TD015, it does.
    """
    if not settings.teachers:
        return
    named = [
        f"one in memory, {one.meta['name']}" if isinstance(one, Language) else str(one)
        for one in list_teachers(teacher, settings)
    ]
    if named != settings.teachers:
        raise DistillationError("TD015", teachers=", ".join(settings.teachers), teacher=", ".join(named))


def prepare_recorded(
    stores: Sequence[Store], config: str | Path | Config, overrides: dict[str, Any], gpu_id: int
) -> tuple[Run, Store]:
    """Make a student for what teachers said before, and see that it fits.

    Args:
        stores: What each of them said.
        config: As for `api.distill`, and so the others.
        overrides: Likewise.
        gpu_id: Likewise.

    Raises:
        DistillationError: They do not fit.
    """
    config = read_config(config, overrides)
    settings = read_distillation_config(config)
    store = join_stores(stores, settings)
    msg.divider("Initializing student pipeline")
    student = make_student(config, store.header.profile)
    plan = plan_recorded_lessons(student, store.header.lessons, settings)
    training = resolve_training(student.config, settings, gpu_id)
    readers = resolve_readers(student.config, settings, training)
    readers["distill"] = lambda nlp: (
        Example(doc, doc) for doc in (item.make_doc(nlp.vocab) for item in store.read(*LEARNED))
    )
    corpora = _read_corpora(readers, student, whole=False)
    if corpora.dev and encodes_only(student):
        raise DistillationError("TD223", count=len(corpora.dev))
    if not corpora.dev and not store.manifest.count(Role.HELD_OUT):
        raise DistillationError("TD617", path=store.path)
    check_tokenizers(student, store.header.profile, [example.predicted for example in corpora.sample])
    headers = [one.header for one in stores]
    return Run(config, settings, training, [], headers, store.header, student, plan, corpora), store


def join_stores(stores: Sequence[Store], settings: DistillationConfig) -> Store:
    """Make one store of those of several teachers.

    Raises:
        DistillationError: See `EnsembleStore`; TD014, there are weights for another number of teachers.
    """
    return stores[0] if len(stores) == 1 else EnsembleStore(stores, shares_of(settings, len(stores)))


def list_records(run: Run) -> Iterator[Record]:
    """List all that the teacher is asked about once: the dev data, and, unless it is a stream, what to learn on.

    Without dev data some of the texts are held out; gold annotations only if there is nothing else.
    """
    for i, example in enumerate(run.corpora.dev):
        yield Record.from_doc(example.predicted, Role.DEV, i)
    if run.streams:
        return
    held_out = None if run.corpora.dev else Role.TEXT if run.corpora.n_texts else Role.GOLD
    # Of texts that are the same, all are held out or none, and of those that are nothing is learned from gold either: a
    # student is not scored on what it has learned.
    is_apart: dict[int, bool] = {}
    for role, examples in (
        (Role.TEXT, run.corpora.readers["distill"](run.student)),
        (Role.GOLD, run.corpora.gold),
    ):
        docs = (example.predicted for example in examples if len(example.predicted))
        for i, doc in enumerate(docs):
            if role is held_out:
                is_held_out = is_apart.setdefault(hash(doc.text), _is_held_out(i, run.settings.hold_out))
                yield Record.from_doc(doc, Role.HELD_OUT if is_held_out else role, i)
            elif not is_apart.get(hash(doc.text)):
                yield Record.from_doc(doc, role, i)


def _is_held_out(i: int, share: float) -> bool:
    """Choose a share of the texts, the first of them and others all along, without knowing how many there are."""
    return floor(i * share) != floor((i - 1) * share)


def _load(name: str | Path) -> Language:
    msg.info(f"Loading the teacher: {name}")
    return load_teacher(name)


def read_config(config: str | Path | Config, overrides: dict[str, Any]) -> Config:
    """Read a config and put values into it, without interpolating it.

    Raises:
        DistillationError: TD005, it cannot be read, or a value is to be put where there is no block; TD013, a value
            is to be put in place of a path and is none; TD017, it would run a model's own code.
    """
    for key, value in overrides.items():
        if key.startswith("paths.") and value is not None and not isinstance(value, str):
            raise DistillationError("TD013", key=key, value=value)
    try:
        if isinstance(config, Config):
            found = Config().from_str(config.to_str(), interpolate=False, overrides=overrides)
        else:
            found = load_config(config, overrides=overrides, interpolate=False)
    except ConfigValidationError as error:
        raise DistillationError("TD005", reason=reason_of(error)) from None
    except (OSError, ValueError, ConfigParserError) as error:
        raise DistillationError("TD005", reason=error) from None
    except (LookupError, TypeError, AttributeError, RecursionError) as error:
        # What the parser falls over, it says nothing of.
        raise DistillationError("TD005", reason=repr(error)) from None
    _refuse_remote_code(found)
    return found


def _refuse_remote_code(block: dict[str, Any], path: str = "") -> None:
    """See that no Hugging Face model of which a config names the arguments may bring its own code."""
    for key, value in block.items():
        if key == "trust_remote_code" and value:
            raise DistillationError("TD017", key=f"{path}{key}", value=value)
        if isinstance(value, dict):
            _refuse_remote_code(value, f"{path}{key}.")


def resolve_training(config: Config, settings: DistillationConfig, gpu_id: int) -> dict[str, Any]:
    """Resolve and check a config's `[training]` block, and set the GPU's allocator.

    Raises:
        DistillationError: TD210, spaCy refuses it; TD007 or TD009, see `check_end`; TD012, it counts to 0.
    """
    try:
        training = registry.resolve(config.interpolate()["training"], schema=ConfigSchemaTraining)
    except ConfigValidationError as error:
        raise DistillationError("TD210", reason=reason_of(error)) from None
    except ValueError as error:
        raise DistillationError("TD210", reason=error) from None
    for key in ("eval_frequency", "accumulate_gradient"):
        if training[key] < 1:
            raise DistillationError("TD012", key=key, value=training[key])
    check_end(config, settings, training)
    if gpu_id >= 0 and training["gpu_allocator"]:
        set_gpu_allocator(training["gpu_allocator"])
    return training


def resolve_readers(config: Config, settings: DistillationConfig, training: dict[str, Any]) -> dict[str, Reader]:
    """Make the readers for "distill", "gold" and "dev".

    Raises:
        DistillationError: TD006, there is no such block; TD004, it names a function that cannot be made.
    """
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
            raise DistillationError("TD004", reason=reason_of(error)) from None
        except (ValueError, TypeError) as error:
            raise DistillationError("TD004", reason=error) from None
    return dict(zip(("distill", "gold", "dev"), readers, strict=True))


def _check_texts(texts: Iterable[str]) -> list[str]:
    checked = []
    for number, text in enumerate(texts, start=1):
        if not isinstance(text, str):
            raise DistillationError("TD114", number=number, found=type(text).__name__)
        checked.append(replace_surrogates(text))
    return checked


def _reader_of(texts: list[str]) -> Reader:
    def read(nlp: Language) -> Iterator[Example]:
        for text in texts:
            yield from make_examples(nlp, text, max_length=500)

    return read


def _read_corpora(readers: dict[str, Reader], student: Language, *, whole: bool) -> Corpora:
    dev = list(readers["dev"](student))
    gold = [example for example in readers["gold"](student) if len(example.predicted)]
    for corpus, examples in (("dev", dev), ("gold", gold)):
        if examples and not any(_is_annotated(example.reference) for example in examples):
            raise DistillationError("TD111", corpus=corpus, count=len(examples))
    texts = (example for example in readers["distill"](student) if len(example.predicted))
    sample, n_texts, n_words = _draw(texts if whole else islice(texts, SAMPLE))
    sample += gold[:SAMPLE]
    if not sample:
        raise DistillationError("TD101")
    return Corpora(readers, sample, n_texts, n_words, gold, dev)


def _is_annotated(doc: Doc) -> bool:
    return bool(doc.cats or doc.spans) or any(doc.has_annotation(attribute) for attribute in ANNOTATIONS)


def _draw(examples: Iterable[Example]) -> tuple[list[Example], int, int]:
    """Draw `SAMPLE` Examples, each as likely as any other (Vitter's algorithm R), and count all and their words."""
    numbers = random.Random(0)
    sample: list[Example] = []
    n_texts = n_words = 0
    for n_texts, example in enumerate(examples, start=1):
        n_words += len(example.predicted)
        if n_texts <= SAMPLE:
            sample.append(example)
        elif (place := numbers.randrange(n_texts)) < SAMPLE:
            sample[place] = example
    return sample, n_texts, n_words
