"""The set-up of a run: what must fit together before the teacher is asked, as one sequence of steps."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from itertools import islice
from pathlib import Path
from timeit import default_timer as timer
from typing import TYPE_CHECKING, Any, Self

from spacy.language import Language
from spacy.training import Example
from thinc.api import Config
from wasabi import msg

from .components.annotations import without_categories
from .components.base import Lesson, Plan
from .config_files import literal
from .corpus import Reader, copy_doc
from .dataset import LEARNED, SAMPLE, Dataset, Texts, draw_texts, make_readers, make_text_reader, read_gold
from .errors import DistillationError
from .gold_fit import find_misfits
from .pipes.device import use_device
from .pipes.order import check_tokens_stay
from .pipes.pipeline import load_teacher
from .pipes.profile import TeacherProfile, fingerprint, profile_teacher
from .schemas import DistillationConfig, read_config, read_distillation_config, resolve_training, shares_of
from .student.account import Fate, account_for_pipes, left_out_unnamed
from .student.config import first_config
from .student.pipeline import (
    check_categories,
    check_frozen_encoders,
    check_gold_labels,
    check_tokenizers,
    describe_lessons,
    encodes_only,
    initialize_student,
    labels_are_known,
    make_student,
    needed_strings,
    own_settings,
    plan_lessons,
    plan_recorded_lessons,
    start_lessons,
)
from .targets.records import Role
from .targets.store import Header, Store, check_teacher
from .teacher.ensemble import join_stores, make_ensemble

# A package, a folder, or a loaded pipeline.
Teacher = str | Path | Language

# The name of each step, and what takes it.
Steps = Iterator[tuple[str, Callable[[], object]]]

# How many texts spaCy is shown to find out the shapes of a student's layers.
INITIALIZE_SAMPLE = 10

# How many texts the teacher is tried on where one of its pipes might change tokens.
TOKENS_SAMPLE = 20

if TYPE_CHECKING:
    step = cached_property
else:

    class step(cached_property):
        """A step of the set-up: taken when another one first needs it, and once, also where it fails."""

        def __get__(self, run: "Run", owner: Any = None) -> Any:
            """Make the attribute, or raise what was raised when it was tried."""
            if self.attrname in run.failed:
                raise run.failed[self.attrname]
            try:
                return super().__get__(run, owner)
            except DistillationError as error:
                run.failed[self.attrname] = error
                raise


@dataclass(frozen=True)
class Check:
    """A step that was taken."""

    name: str
    error: DistillationError | None  # None where all is right


class Run:
    """A run, which asks its teachers itself.

    What a step makes is an attribute, and is made when it is first needed. `steps` says in which order.
    """

    def __init__(
        self,
        teacher: Teacher | Sequence[Teacher],
        texts: str | Path | Iterable[str] | None,
        config: str | Path | Config | None,
        overrides: dict[str, Any] | None,
        gpu_id: int,
        *,
        size: str | None = None,
        leave_out: Sequence[str] = (),
        strict: bool = False,
    ) -> None:
        """Take no step yet. The arguments are those of `api.distill`."""
        self.size = size
        self.leave_out = leave_out
        self.strict = strict
        self.named_teacher = teacher
        self.given_texts = texts
        self.given_config = config
        self.overrides = overrides or {}
        self.gpu_id = gpu_id
        self.failed: dict[str, DistillationError] = {}  # By attribute
        self.strings: list[str] = []  # That the student needs, once it is initialized
        self.lessons: dict[str, Lesson] = {}  # By student pipe, once the student has started
        self.seconds = 0.0  # That the steps took

    def prepare(self) -> Self:
        """Take all steps that can be taken now.

        Raises:
            DistillationError: The first one that fails.
        """
        for item in self._take_steps():
            if item.error:
                raise item.error
        return self

    def check(self) -> list[Check]:
        """Take all steps that can be taken now, but for those that need one that failed."""
        return list(self._take_steps())

    def start(self, store: Store) -> None:
        """Give the run its targets, so that a student starts whose labels are known only from them."""
        self.store = store
        if not self.lessons:
            self.prepare()

    def steps(self) -> Steps:
        """List the steps that can be taken now, with the names under which `debug distillation` shows them."""
        yield from self.steps_to_record()
        if self.store is not None:
            yield "Targets", lambda: self.unannotated
        if self.labels_known or self.store is not None:
            gold = self.dataset.learned_gold
            yield "Gold categories", lambda: self._check_categories()
            yield "Labels", lambda: self.initialized
            yield "Frozen encoders", lambda: check_frozen_encoders(self.initialized, self.plan)
            yield "Gold labels", lambda: check_gold_labels(self.initialized, self.plan, self.settings, gold)
            for name in self.plan:
                yield f"Labels of {name}", partial(self._start_lesson, name)

    def steps_to_record(self) -> Steps:
        """List those that come before the teacher is asked, also where no student is to start."""
        yield "Device", lambda: use_device(self.gpu_id)
        yield "Config", lambda: self.config
        yield "[distillation]", lambda: self.settings
        yield "Teachers named", lambda: self.shares
        yield "Teacher", lambda: self.teachers
        yield "Student", lambda: self.student
        yield "Pipes", lambda: self.plans
        yield "Teaching rules", lambda: self.headers
        yield "All of the teacher's pipes", self._check_left_out
        yield "Teachers together", lambda: self.header
        yield "[training]", lambda: self.training
        yield "[corpora]", lambda: self.readers
        yield "Dev data", lambda: self.dev
        yield "Gold annotations", lambda: self.gold
        yield "Texts", lambda: self.texts
        yield "Enough texts", lambda: self.dataset
        yield "Tokenizers", self._check_tokenizers
        yield "Teacher's tokens", self._check_tokens

    def _take_steps(self) -> Iterator[Check]:
        start = timer()
        told: list[DistillationError] = []
        try:
            for title, take in self.steps():
                try:
                    take()
                except DistillationError as error:
                    # It may be that of an earlier step, which this one needs.
                    if error not in told:
                        told.append(error)
                        yield Check(title, error)
                else:
                    yield Check(title, None)
        except DistillationError as error:
            # Which steps are left may depend on one that failed.
            if error not in told:
                raise
        self.seconds += timer() - start

    @step
    def config(self) -> Config:
        """The student's config, with the overrides, not interpolated.

        TD011, the texts are also among the overrides; TD019, a size is given beside a config; and see
        `schemas.read_config`.
        """
        overrides = self.overrides
        if self.given_texts is not None and "paths.distill" in overrides:
            is_path = isinstance(self.given_texts, str | Path)
            shown = self.given_texts if is_path else "those that were handed over"
            raise DistillationError("TD011", texts=shown, override=overrides["paths.distill"])
        if isinstance(self.given_texts, str | Path):
            overrides = {**overrides, "paths.distill": literal(str(self.given_texts))}
        # One that is given is read before the teacher is loaded, which may take a while.
        if self.given_config is None:
            return read_config(first_config(self.teachers[0], self.leave_out, self.size or "tiny"), overrides)
        if self.size is not None:
            raise DistillationError("TD019", size=self.size)
        config = read_config(self.given_config, overrides)
        if self.leave_out:
            named = config["distillation"].get("leave_out") or []
            config["distillation"]["leave_out"] = [*dict.fromkeys([*named, *self.leave_out])]
        return config

    @step
    def settings(self) -> DistillationConfig:
        """The `[distillation]` block; see `schemas.read_distillation_config`."""
        return read_distillation_config(self.config)

    @step
    def named(self) -> list[Teacher]:
        """The teachers that are named, or, where it is "-", those that the config names; TD627, there are none."""
        teacher = self.named_teacher
        if teacher == "-":
            teacher = [] if self.given_config is None else list(self.settings.teachers)
        named = [teacher] if isinstance(teacher, str | Path | Language) else list(teacher)
        if not named:
            raise DistillationError("TD627")
        return named

    @step
    def shares(self) -> list[float]:
        """How much each teacher counts.

        TD015, the config names others; TD014, there are weights for another number; TD016, several have no stream.
        """
        self._check_named()
        if len(self.named) > 1 and self.settings.max_epochs == -1:
            raise DistillationError("TD016", count=len(self.named))
        return shares_of(self.settings, len(self.named))

    def _check_named(self) -> None:
        named = [f"one in memory, {one.meta['name']}" if isinstance(one, Language) else str(one) for one in self.named]
        if self.settings.teachers and named != self.settings.teachers:
            raise DistillationError("TD015", teachers=", ".join(self.settings.teachers), teacher=", ".join(named))

    @step
    def teachers(self) -> list[Language]:
        """The teachers, loaded; the student is compared with the first one. TD201 or TD202, see `load_teacher`."""
        return [one if isinstance(one, Language) else _load(one) for one in self.named]

    @property
    def teacher(self) -> Language | None:
        """The one to compare with; None where its targets were recorded."""
        return self.teachers[0] if self.teachers else None

    @step
    def profiles(self) -> list[TeacherProfile]:
        """Each teacher without its weights."""
        return [profile_teacher(nlp) for nlp in self.teachers]

    @property
    def profile(self) -> TeacherProfile:
        """The first one's."""
        return self.profiles[0]

    @step
    def student(self) -> Language:
        """The student, not initialized; see `make_student`."""
        profile = self.profile
        msg.divider("Initializing student pipeline")
        return make_student(self.config, profile)

    @step
    def plans(self) -> list[Plan]:
        """For each teacher, which of its pipes teaches which of the student's, and how; see `plan_lessons`."""
        return [plan_lessons(self.student, nlp, self.settings) for nlp in self.teachers]

    @property
    def plan(self) -> Plan:
        """The first teacher's."""
        return self.plans[0]

    @step
    def headers(self) -> list[Header]:
        """What each teacher's store says of it. As TD212: a rule cannot teach what it is set to."""
        return [
            Header(fingerprint(one), profile, describe_lessons(self.student, nlp, plan))
            for one, nlp, profile, plan in zip(self.named, self.teachers, self.profiles, self.plans, strict=True)
        ]

    @step
    def fates(self) -> list[Fate]:
        """What becomes of each of the first teacher's pipes."""
        return account_for_pipes(self.profile, self.config)

    def _check_left_out(self) -> None:
        """TD504, no such pipe is there to be left out; TD511, one is that nobody named."""
        for name in self.leave_out:
            if name not in self.profile.pipes:
                raise DistillationError("TD504", pipe=name, pipes=", ".join(self.profile.pipes))
        left_out = left_out_unnamed(self.fates)
        if self.strict and left_out:
            raise DistillationError("TD511", pipes="; ".join(f"{pipe}: {why}" for pipe, why in left_out.items()))

    @step
    def header(self) -> Header:
        """That of the one that they are together. TD220, TD221 or TD222, they do not fit together."""
        return make_ensemble(self.headers, self.shares).header

    @step
    def training(self) -> dict[str, Any]:
        """The `[training]` block, resolved; see `schemas.resolve_training`."""
        return resolve_training(self.student.config, self.settings, self.gpu_id)

    @step
    def readers(self) -> dict[str, Reader]:
        """The readers of "distill", "gold" and "dev"; see `dataset.make_readers` and `dataset.make_text_reader`."""
        readers = make_readers(self.student.config, self.settings, self.training)
        if self.given_texts is not None and not isinstance(self.given_texts, str | Path):
            readers["distill"] = make_text_reader(self.given_texts)
        return readers

    @step
    def dev(self) -> list[Example]:
        """The dev data. TD111, it has no annotations; TD223, the student is an encoder alone, which needs none."""
        dev = read_gold("dev", self.readers["dev"](self.student))
        if dev and encodes_only(self.student):
            raise DistillationError("TD223", count=len(dev))
        return dev

    @step
    def gold(self) -> list[Example]:
        """The gold annotations. TD111, there are none on the Docs."""
        examples = self.readers["gold"](self.student)
        return read_gold("gold", (example for example in examples if len(example.predicted)))

    @step
    def texts(self) -> Texts:
        """The texts, of a stream its beginning; raises what their reader does."""
        examples = self.readers["distill"](self.student)
        texts = (example for example in examples if len(example.predicted))
        # Of what was recorded only a sample is looked at: the store knows how much there is.
        is_counted = self.store is None and self.settings.max_epochs >= 0
        return draw_texts(texts if is_counted else islice(texts, SAMPLE))

    @step
    def dataset(self) -> Dataset:
        """All texts in their roles. TD101, there are none; TD008, TD109 or TD617, there are none to score on."""
        is_stream = self.store is None and self.settings.max_epochs == -1
        readers = self.readers
        dataset = Dataset(
            self.student, self.settings, readers["distill"], readers["dev"], self.texts, self.gold, self.dev, is_stream
        )
        if not dataset.sample:
            raise DistillationError("TD101")
        found = dataset.texts.count or len(dataset.gold)
        if dataset.dev:
            return dataset
        if is_stream:
            raise DistillationError("TD008")
        if self.store is None and found < 2:
            raise DistillationError("TD109", found=found, expected=2)
        if self.store is not None and not self.store.manifest.count(Role.HELD_OUT):
            raise DistillationError("TD617", path=self.store.path)
        return dataset

    @property
    def misfits(self) -> list[str]:
        """In which ways gold annotations and dev data do not fit the student; see `gold_fit.find_misfits`."""
        dataset = self.dataset
        learning = self.settings.gold_pipes if self.settings.gold_pipes is not None else list(self.plan)
        sides = (("gold", dataset.learned_gold, learning), ("dev", dataset.dev, list(self.plan)))
        return [
            misfit
            for corpus, examples, pipes in sides
            for misfit in find_misfits(corpus, examples, self.student, pipes, dataset.texts.sample)
        ]

    def _check_tokenizers(self) -> None:
        docs = [example.predicted for example in self.dataset.sample]
        for i, profile in enumerate(self.profiles):
            # The one that will be asked, where it is here.
            tokenizer = self.teachers[i].tokenizer if self.teachers else profile.make_tokenizer()
            check_tokenizers(self.student, profile.name, tokenizer, docs)

    def _check_tokens(self) -> None:
        """TD241, a teacher's pipe merges or splits tokens before one that is taught."""
        for nlp, plan in zip(self.teachers, self.plans, strict=False):
            sample = self.dataset.sample[:TOKENS_SAMPLE]
            docs = (copy_doc(nlp, example.predicted) for example in sample)
            check_tokens_stay(nlp, [source for source, _ in plan.values()], docs)

    def _check_categories(self) -> None:
        check_categories(self.student, self.plan, self.profile, self.settings, self.dataset.learned_gold)

    # From here on the student starts

    @step
    def labels_known(self) -> bool:
        """Whether the student can start before the teacher is asked; else what the teacher annotated has its labels."""
        return labels_are_known(self.student, self.profile, self.plan)

    @step
    def store(self) -> Store | None:
        """The targets; None until the teachers were asked, see `start`."""
        return None

    @step
    def unannotated(self) -> dict[str, int]:
        """How many texts the teacher's pipe gave no answer for, by student pipe; see `Dataset`. Needs the store."""
        assert self.store
        self.dataset.check_recorded(self.store)
        return self.dataset.count_unannotated(self.store, self.plan)

    @step
    def initialized(self) -> Language:
        """The student with its labels and first weights. TD210, spaCy refuses its config."""
        if self.labels_known:
            # Labels are known, and a classifier would check the categories of all the others.
            examples = [without_categories(example) for example in self.dataset.sample[:INITIALIZE_SAMPLE]]
        else:
            assert self.store
            examples = list(self.dataset.read_annotated(self.store, self.plan, self.teacher))
        initialize_student(self.student, self.profile, self.plan, examples)
        for setting in own_settings(self.student, self.profile, self.plan):
            msg.info(f"The student's config has a setting of its own. {setting}")
        self.strings = needed_strings(self.config, self.profile, self.plan, examples)
        return self.student

    def _start_lesson(self, name: str) -> None:
        """TD203, the student's pipe lacks one of the teacher's labels."""
        if name not in self.lessons:
            self.lessons |= start_lessons(self.initialized, self.header.lessons, {name: self.plan[name]})


class Recording(Run):
    """A run that ends when its one teacher has been recorded: no student starts."""

    def steps(self) -> Steps:
        """List all but those by which a student starts."""
        return self.steps_to_record()

    @step
    def shares(self) -> list[float]:
        """One teacher, whomever the config names beside it. TD616, a stream is not recorded; TD636, there are more."""
        if self.settings.max_epochs == -1:
            raise DistillationError("TD616")
        if len(self.named) > 1:
            raise DistillationError("TD636", count=len(self.named))
        return [1.0]


class RecordedRun(Run):
    """A run whose teachers were recorded, and are not loaded."""

    def __init__(self, targets: str | Path | Sequence[str | Path], *args: Any, **kwargs: Any) -> None:
        """Take no step yet. The arguments are those of `api.distill`, the targets first."""
        super().__init__(*args, **kwargs)
        self.targets = [targets] if isinstance(targets, str | Path) else targets

    @step
    def config(self) -> Config:
        """The student's config. TD615, there is none, or there are texts as well."""
        if self.given_config is None or self.given_texts is not None:
            raise DistillationError("TD615")
        return super().config

    @step
    def named(self) -> list[Teacher]:
        """The teachers that are named, if any."""
        return [] if self.named_teacher == "-" and not self.settings.teachers else super().named

    @step
    def stores(self) -> list[Store]:
        """What was recorded. TD635 or TD603, it is not of the teachers that the command names."""
        stores = [Store(path) for path in self.targets]
        if self.named_teacher != "-":
            if len(self.named) != len(stores):
                raise DistillationError("TD635", found=len(stores), expected=len(self.named))
            for store, one in zip(stores, self.named, strict=True):
                check_teacher(store.path, store.manifest, fingerprint(one))
        return stores

    @step
    def shares(self) -> list[float]:
        """How much each teacher counts. TD015 and TD014 as for other runs."""
        self._check_named()
        return shares_of(self.settings, len(self.stores))

    @step
    def teachers(self) -> list[Language]:
        """No one."""
        return []

    @step
    def store(self) -> Store:
        """The targets, of several teachers averaged; see `EnsembleStore`."""
        return join_stores(self.stores, self.shares)

    @step
    def profiles(self) -> list[TeacherProfile]:
        """Each teacher without its weights."""
        return [header.profile for header in self.headers]

    @step
    def plans(self) -> list[Plan]:
        """What was recorded for which of the student's pipes; see `plan_recorded_lessons`."""
        return [plan_recorded_lessons(self.student, self.header.lessons, self.settings)]

    @step
    def headers(self) -> list[Header]:
        """What each store says of its teacher."""
        return [store.header for store in self.stores]

    @step
    def header(self) -> Header:
        """That of the one that they are together."""
        return self.store.header

    @step
    def readers(self) -> dict[str, Reader]:
        """The readers: what there is to learn on is in the store."""
        return {**super().readers, "distill": self._read_recorded}

    def _read_recorded(self, nlp: Language) -> Iterator[Example]:
        for item in self.store.read(*LEARNED):
            doc = item.make_doc(nlp.vocab)
            yield Example(doc, doc)


def _load(name: str | Path) -> Language:
    msg.info(f"Loading the teacher: {name}")
    return load_teacher(name)
