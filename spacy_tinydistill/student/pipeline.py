"""Make a student from its config and its teacher, and write it out as a plain spaCy pipeline."""

import re
import sys
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import srsly
from spacy.language import Language
from spacy.pipeline import MultiLabel_TextCategorizer, TextCategorizer, TrainablePipe
from spacy.tokens import Doc
from spacy.training import Example
from spacy.util import copy_config, load_model_from_config
from thinc.api import Config, fix_random_seed

from ..components.annotations import Annotations, needed_labels
from ..components.base import Lesson, Plan
from ..components.registry import choose_rule, describe_rule, find_rule
from ..config_files import interpolate
from ..errors import DistillationError
from ..files import remove
from ..pipes.pipeline import full_name, is_encoder, language_code, spacy_kind
from ..pipes.profile import PipeProfile, TeacherProfile, profile_teacher, write_files
from ..schemas import DistillationConfig, read_distillation_config, resolving
from ..targets.records import LessonPlan
from .training_configs import write_configs

# The table that the attribute NORM is looked up in.
NORMS = "lexeme_norm"

# What spaCy itself writes into a pipeline's folder, beside a folder for each pipe.
TAKEN_NAMES = ("tokenizer", "vocab")


def make_student(config: Config, teacher: TeacherProfile) -> Language:
    """Create the student's pipes, without weights, with the teacher's tokenizer and rule-based pipes.

    Args:
        config: The student's config, not interpolated.
        teacher: The teacher.

    Raises:
        DistillationError: TD209, another language; TD210, a config that spaCy refuses; TD225, a pipe that cannot be
            saved.
    """
    lang = interpolate(config).get("nlp", {}).get("lang")
    if lang is None or language_code(lang) != teacher.lang:
        raise DistillationError("TD209", teacher=teacher.lang, student=lang)
    with resolving(of_student=True):
        fix_random_seed(interpolate(config).get("training", {}).get("seed") or 0)
        student = load_model_from_config(config, auto_fill=True)
    for name in student.component_names:
        if name in TAKEN_NAMES or "/" in name or "\\" in name:
            raise DistillationError("TD225", pipe=name, taken=" and ".join(TAKEN_NAMES))
    _take_lookups(student, teacher)
    # spaCy's limit guards the memory of a parser, which never sees a whole text here, and would end an evaluation.
    student.max_length = sys.maxsize
    if _has_tokenizer_of(teacher, student):
        teacher.load_tokenizer(student.tokenizer)
    return student


def _has_tokenizer_of(teacher: TeacherProfile, student: Language) -> bool:
    return student.config["nlp"]["tokenizer"] == teacher.tokenizer_config


def _take_lookups(student: Language, teacher: TeacherProfile) -> None:
    """Give a student the vocabulary's tables that its teacher's attributes and rules read.

    Norms are read by every pipe that has NORM among its features. Which of the other tables a rule or a function reads
    cannot be told, so with any of these come all.
    """
    has_rules = any(not isinstance(pipe, TrainablePipe) for _, pipe in student.components)
    lookups = student.vocab.lookups
    for name, table in teacher.lookups.items():
        if (name == NORMS or has_rules) and not lookups.has_table(name):
            lookups.add_table(name, table)
    # Only as it is set does the vocabulary look up its norms in it.
    student.vocab.lookups = lookups


def plan_lessons(student: Language, teacher: Language, settings: DistillationConfig) -> Plan:
    """Decide who teaches whom, and how.

    A student pipe learns from the teacher's pipe that `student_to_teacher` names, else from that of its own name. Where
    the teacher's pipe is not trainable and of the student pipe's own kind, there is nothing to learn: it is carried
    over by `initialize_student`. An encoder learns through the pipes that read it, and by itself only where a rule for
    it is in `teaching`; then also from a teacher's only encoder, whatever its name. Pipes that are disabled teach and
    learn like others.

    Raises:
        DistillationError: TD205, TD206, TD207 or TD208: see the messages.
    """
    _check_names(student, settings)
    plan: Plan = {}
    encoders = [name for name, pipe in teacher.components if is_encoder(pipe)]
    for name, pipe in _learning_pipes(student, settings):
        namesake = (
            encoders[0] if is_encoder(pipe) and name not in teacher.component_names and len(encoders) == 1 else name
        )
        source = settings.student_to_teacher.get(name, namesake)
        if source not in teacher.component_names:
            pipes = ", ".join(teacher.component_names) or "none"
            whose = f"{teacher.lang}_{teacher.meta['name']}"
            raise DistillationError("TD205", name=whose, student=name, teacher=source, pipes=pipes)
        teacher_pipe = teacher.get_pipe(source)
        rule = settings.teaching.get(name) or choose_rule(pipe, teacher_pipe)
        if not rule.accepts(pipe, teacher_pipe):
            raise DistillationError(
                "TD207", pipe=name, student=type(pipe).__name__, teacher=type(teacher_pipe).__name__
            )
        plan[name] = (source, rule.fit_to(pipe))
    if not plan:
        raise DistillationError(
            "TD206", teacher=", ".join(teacher.pipe_names) or "none", student=", ".join(student.pipe_names) or "none"
        )
    return plan


def comment_on_config(config: Config, teacher: Language, name: str) -> str:
    """Write what a config cannot say as comments for its file: each pipe's rule, to take the `#` away and change it.

    Args:
        config: The student's, without rules of its own.
        teacher: The pipeline.
        name: Its package or folder.
    """
    profile = profile_teacher(teacher)
    student = make_student(config, profile)
    plan = plan_lessons(student, teacher, read_distillation_config(config))
    lines: list[str] = []
    carried = [own for own, pipe in student.components if _is_carried_over(own, pipe, student, profile)]
    if carried:
        lines += ["", f"# `spacy distill` takes what is in {', '.join(carried)} from the teacher."]
        lines += ["# `spacy train` starts them anew. For the teacher's, also there, make their blocks"]
        lines += [f'# `source = "{name}"` and name them in [training] frozen_components.']
    lines += ["", "# How each pipe learns. To change it, take the # away in front of a block's lines."]
    for name, (_, rule) in plan.items():
        block = Config({"rule": describe_rule(rule)}).to_str().strip().split("\n")[1:]
        lines += ["", *(f"# {line}" for line in (f"[distillation.teaching.{name}]", *block))]
    return "\n".join([*lines, ""])


def plan_recorded_lessons(student: Language, recorded: dict[str, LessonPlan], settings: DistillationConfig) -> Plan:
    """Decide who teaches whom where the teacher is not there, but what it said was recorded.

    Args:
        student: From `make_student`.
        recorded: By student pipe, as the store of targets has it.
        settings: The `[distillation]` block.

    Raises:
        DistillationError: TD206, no pipe to teach; TD208, a setting for a pipe that is not there; TD610, a pipe that
            nothing was recorded for; TD611, it was recorded for another kind of pipe, teacher or rule.
    """
    _check_names(student, settings)
    plan: Plan = {}
    for name, pipe in _learning_pipes(student, settings):
        if name not in recorded:
            raise DistillationError("TD610", pipe=name, pipes=", ".join(recorded))
        lesson = recorded[name]
        rule = settings.teaching.get(name) or find_rule(lesson.rule)
        asked = {
            "student pipe": full_name(type(pipe)),
            "teacher's pipe": settings.student_to_teacher.get(name, lesson.teacher_pipe),
            "rule": type(rule).__name__,
        }
        found = {"student pipe": lesson.student_kind, "teacher's pipe": lesson.teacher_pipe, "rule": lesson.rule}
        for what, value in asked.items():
            if value != found[what]:
                raise DistillationError("TD611", pipe=name, what=what, found=found[what], expected=value)
        plan[name] = (lesson.teacher_pipe, rule.fit_to(pipe))
    if not plan:
        raise DistillationError("TD206", teacher=", ".join(recorded), student=", ".join(student.pipe_names) or "none")
    return plan


def check_tokenizers(student: Language, name: str, tokenizer: Callable[[str], Doc], docs: Iterable[Doc]) -> None:
    """Compare two tokenizers on the texts of some Docs.

    Args:
        student: The pipeline.
        name: The teacher's name.
        tokenizer: The teacher's.
        docs: The Docs.

    Raises:
        DistillationError: TD204, they differ.
    """
    for doc in docs:
        ours = [token.text for token in student.tokenizer(doc.text)]
        theirs = [token.text for token in tokenizer(doc.text)]
        if ours != theirs:
            at = next(i for i, (a, b) in enumerate(zip([*ours, None], [*theirs, None], strict=False)) if a != b)
            raise DistillationError(
                "TD204", name=name, text=doc.text[:60], teacher=theirs[at : at + 5], student=ours[at : at + 5]
            )


def labels_are_known(student: Language, teacher: TeacherProfile, plan: Plan) -> bool:
    """Whether every taught pipe's labels are in the config or in the teacher's pipe.

    They are not where a pipe is taught through the Doc by one that does not list them, such as a function, or lists
    them in another form: then they are found in what it wrote.
    """
    configured = student.config["initialize"]["components"]
    return all(
        not isinstance(rule, Annotations)
        or "labels" in configured.get(name, {})
        or _labels_of(student.get_pipe(name), teacher.pipes[source]) is not None
        for name, (source, rule) in plan.items()
    )


def encodes_only(student: Language) -> bool:
    """Whether a student has no pipe that is trained to annotate, taught or frozen, but encoders alone."""
    return not any(isinstance(pipe, TrainablePipe) and not is_encoder(pipe) for _, pipe in student.components)


@contextmanager
def switched_on(student: Language, names: Collection[str]) -> Iterator[None]:
    """Have those of a student's pipes that learn take part where they are disabled.

    Args:
        student: The pipeline.
        names: Its pipes that are taught.
    """
    disabled = [name for name in student.disabled if name in names]
    for name in disabled:
        student.enable_pipe(name)
    try:
        yield
    finally:
        for name in disabled:
            student.disable_pipe(name)


def initialize_student(student: Language, teacher: TeacherProfile, plan: Plan, examples: list[Example]) -> None:
    """Give the student its labels, its first weights, and the teacher's rules.

    What comes from `[components.PIPE] source` has labels and weights, and keeps them, as in `spacy train`.

    Args:
        student: From `make_student`; changed in place.
        teacher: The teacher.
        plan: From `plan_lessons`.
        examples: A sample of the corpus; where `labels_are_known` is false, all of it, annotated by the teacher.
    """
    _take_settings(student, teacher, plan)
    carried = [name for name, pipe in student.components if _is_carried_over(name, pipe, student, teacher)]
    frozen = student.config["training"]["frozen_components"]
    configured = student.config["initialize"]["components"]
    original = copy_config(configured)
    # Where spaCy notes which pipes of a config have a source; the config that it keeps says what these are made of.
    sourced = list(student.meta.pop("_sourced_vectors_hashes", {}))
    idle = {*carried, *frozen, *sourced} - {*student.disabled}
    with switched_on(student, plan):
        student._link_components()
    with TemporaryDirectory() as folder, switched_on(student, plan), student.select_pipes(disable=[*idle]):
        for name, (source, _) in plan.items():
            labels = _labels_of(student.get_pipe(name), teacher.pipes[source])
            if labels is not None and "labels" not in configured.get(name, {}):
                # By way of a file, as spaCy does it: a morphologizer's labels are no valid keys of a config.
                file = Path(folder) / f"{name}.json"
                srsly.write_json(file, labels)
                reader = {"@readers": "spacy.read_labels.v1", "path": str(file), "require": True}
                configured.setdefault(name, {})["labels"] = reader
        tokenizer = student.tokenizer
        if _has_tokenizer_of(teacher, student):
            # A function has no `initialize`, which would make it anew, without what the teacher's holds.
            student.tokenizer = lambda text: tokenizer(text)
        try:
            with resolving(of_student=True):
                fix_random_seed(interpolate(student.config)["training"]["seed"] or 0)
                student.initialize(lambda: examples)
        finally:
            student.tokenizer = tokenizer
            student.config["initialize"]["components"] = original
    # Again: what they are initialized with is a setting, too.
    _take_settings(student, teacher, plan)
    with TemporaryDirectory() as folder:
        for number, name in enumerate(carried):
            pipe: Any = student.get_pipe(name)
            pipe.from_disk(write_files(teacher.pipes[name].files, Path(folder) / str(number)), exclude=["vocab"])


def check_frozen_encoders(student: Language, plan: Plan) -> None:
    """See that those who learn from a frozen encoder get to see its vectors.

    Args:
        student: The pipeline, initialized.
        plan: From `plan_lessons`.

    Raises:
        DistillationError: TD229, they do not.
    """
    training = student.config["training"]
    for encoder in {*training["frozen_components"]} - {*training["annotating_components"]}:
        listening = getattr(student.get_pipe(encoder), "listening_components", ())
        pipes = [name for name in listening if name in plan]
        if pipes:
            raise DistillationError("TD229", encoder=encoder, pipes=", ".join(pipes))


def check_categories(
    student: Language, plan: Plan, teacher: TeacherProfile, settings: DistillationConfig, gold: Iterable[Example]
) -> None:
    """See that gold categories are such as spaCy's classifiers learn.

    Args:
        student: The pipeline, initialized or not.
        plan: From `plan_lessons`.
        teacher: Whose labels a student has that is not initialized.
        settings: The `[distillation]` block.
        gold: What is to be learned.

    Raises:
        DistillationError: TD115, they are not.
    """
    classifiers = [
        (name, pipe, pipe.labels or teacher.pipes[source].labels)
        for name, (source, _) in plan.items()
        if settings.learns_from_gold(name) and isinstance(pipe := student.get_pipe(name), TextCategorizer)
    ]
    for doc in (example.reference for example in gold):
        for name, pipe, labels in classifiers:
            values = [value for label, value in doc.cats.items() if label in labels or not labels]
            most = len(values) if isinstance(pipe, MultiLabel_TextCategorizer) else 1
            if not {*values} <= {0, 1} or sum(values) > most:
                raise DistillationError("TD115", pipe=name, text=doc.text[:60], cats=dict(doc.cats))


def check_gold_labels(student: Language, plan: Plan, settings: DistillationConfig, gold: Iterable[Example]) -> None:
    """See that the pipes that are taught know the labels of gold annotations.

    Args:
        student: The pipeline, initialized.
        plan: From `plan_lessons`.
        settings: The `[distillation]` block.
        gold: What is to be learned.

    Raises:
        DistillationError: TD228, one does not.
    """
    pipes: dict[str, Any] = {name: student.get_pipe(name) for name in plan if settings.learns_from_gold(name)}
    needed: dict[str, set[str]] = {name: set() for name in pipes}
    for doc in (example.reference for example in gold):
        for name, pipe in pipes.items():
            needed[name] |= needed_labels(doc, pipe)
    for name, labels in needed.items():
        unknown = sorted(labels.difference(pipes[name].labels)) if labels else []
        if unknown:
            raise DistillationError("TD228", pipe=name, count=len(unknown), labels=unknown[:10])


def describe_lessons(student: Language, teacher: Language, plan: Plan) -> dict[str, LessonPlan]:
    """Take down, for each student pipe, by which rule it is taught and what the rule needs of the teacher."""
    return {
        name: LessonPlan(
            student_kind=full_name(type(student.get_pipe(name))),
            teacher_pipe=source,
            rule=type(rule).__name__,
            settings={key: value for key, value in vars(rule).items() if isinstance(value, str | int | float)},
            description=rule.describe(teacher.get_pipe(source)),
        )
        for name, (source, rule) in plan.items()
    }


def start_lessons(student: Language, lessons: dict[str, LessonPlan], plan: Plan) -> dict[str, Lesson]:
    """Bind each rule to its student pipe and to what was taken down of the teacher's.

    Raises:
        DistillationError: TD203, the student lacks one of the teacher's labels.
    """
    return {
        name: rule.start(student.get_pipe(name), name, lessons[name].description) for name, (_, rule) in plan.items()
    }


def needed_strings(config: Config, teacher: TeacherProfile, plan: Plan, examples: list[Example]) -> list[str]:
    """List the strings that a student's vocabulary must hold, such as its labels, and none of the words it has read.

    They are those of another student, made in the same way, that sees Docs of the first one's vocabulary alone.

    Args:
        config: As for `make_student`.
        teacher: The teacher.
        plan: From `plan_lessons`.
        examples: Those on which the student was initialized.
    """
    other = make_student(config, teacher)
    initialize_student(other, teacher, plan, examples)
    return list(other.vocab.strings)


def save_student(student: Language, path: Path, strings: Iterable[str]) -> None:
    """Write the student whole or not at all, with no more strings than it needs.

    Args:
        student: The pipeline.
        path: The folder to write; what is there is replaced.
        strings: From `needed_strings`. spaCy would also store every word of the text that the student learned on, a
            megabyte or more that no pipe reads.
    """
    new = path.with_name(f"{path.name}.new")
    remove(new)
    try:
        student.to_disk(new)
        write_configs(student, new)
        srsly.write_json(new / "vocab" / "strings.json", sorted(strings))
    except OSError:
        # On a full disk it would take the room that others need.
        remove(new)
        raise
    replace_folder(new, path)


def replace_folder(new: Path, path: Path) -> None:
    """Put a finished folder in another's place; a crash leaves the old or the new one whole, under one of two names."""
    old = path.with_name(f"{path.name}.old")
    remove(old)
    if path.exists():
        path.rename(old)
    new.rename(path)
    remove(old)


def own_settings(student: Language, teacher: TeacherProfile, plan: Plan) -> list[str]:
    """List the settings in which a student's pipes differ from their teacher's because its config says so.

    Returns:
        Such as "textcat: threshold = 0.3, its teacher has 0.5".
    """
    return [
        f"{name}: {key} = {own[key]!r}, its teacher has {held!r}"
        for name, (source, _) in plan.items()
        for own in [_own_settings(student, name, teacher.pipes[source])]
        for key, held in _settings_of(student.get_pipe(name), teacher.pipes[source]).items()
        if key in own
    ]


def _take_settings(student: Language, teacher: TeacherProfile, plan: Plan) -> None:
    """Give pipes the settings that their teachers hold, as spaCy does when it loads PIPE/cfg: it outranks the config.

    It holds whatever a config can say and more, such as a "${" in a text. A setting of the student's own stays.
    """
    for name, (source, _) in plan.items():
        pipe: Any = student.get_pipe(name)
        own = _own_settings(student, name, teacher.pipes[source])
        for key, held in _settings_of(pipe, teacher.pipes[source]).items():
            if key not in own:
                pipe.cfg[key] = held


def _settings_of(student_pipe: Any, teacher_pipe: PipeProfile) -> dict[str, Any]:
    """List what a teacher's pipe holds beside its labels; nothing where the student's is of another kind."""
    kind = spacy_kind(student_pipe)
    if kind is None or not hasattr(student_pipe, "cfg") or full_name(kind) != teacher_pipe.spacy_kind:
        return {}
    return {key: value for key, value in teacher_pipe.cfg.items() if not key.startswith("labels")}


def _own_settings(student: Language, name: str, teacher_pipe: PipeProfile) -> dict[str, Any]:
    """List what a student's config says of a pipe that is not the teacher's, and not its factory's default either.

    Somebody has set it. All else may have been filled in by spaCy or copied from the teacher's config, perhaps before
    the teacher was given other settings.
    """
    block = student.config["components"][name]
    configured = {**block, **student.config["initialize"]["components"].get(name, {})}
    defaults = student.get_factory_meta(block["factory"]).default_config or {}
    return {
        key: configured[key]
        for key, held in teacher_pipe.cfg.items()
        if key in configured
        and _as_written(configured[key])
        not in [_as_written(value) for value in (held, defaults.get(key), teacher_pipe.block.get(key, held))]
    }


def _as_written(value: Any) -> Any:
    """Write a setting so that it equals what a config makes of it, in which a "$" is doubled and a float is rounded."""
    if isinstance(value, float):
        return float(f"{value:.9g}")
    return re.sub(r"\$+", "$", value) if isinstance(value, str) else value


def _check_names(student: Language, settings: DistillationConfig) -> None:
    for block in ("student_to_teacher", "teaching", "gold_pipes"):
        for name in getattr(settings, block) or ():
            if name not in student.component_names:
                raise DistillationError("TD208", block=block, pipe=name, pipes=", ".join(student.component_names))


def _learning_pipes(student: Language, settings: DistillationConfig) -> Iterator[tuple[str, Any]]:
    frozen = student.config["training"]["frozen_components"]
    for name, pipe in student.components:
        is_taught = not is_encoder(pipe) or name in settings.teaching
        if isinstance(pipe, TrainablePipe) and pipe.is_trainable and is_taught and name not in frozen:
            yield name, pipe


def _is_carried_over(name: str, pipe: Any, student: Language, teacher: TeacherProfile) -> bool:
    is_frozen = name in student.config["training"]["frozen_components"]
    return (
        hasattr(pipe, "from_disk")
        and name in teacher.pipes
        and teacher.pipes[name].kinds[0] == full_name(type(pipe))
        and (not isinstance(pipe, TrainablePipe) or (is_frozen and bool(teacher.pipes[name].files)))
    )


def _labels_of(student_pipe: Any, teacher_pipe: PipeProfile) -> Any:
    """The teacher pipe's labels in the form that the student pipe's `initialize` takes; None where it has none."""
    if full_name(type(student_pipe)) in teacher_pipe.kinds:
        return teacher_pipe.label_data
    # A plain list, which not every pipe can be initialized with: a parser's labels are grouped by action.
    takes_list = isinstance(student_pipe.label_data, tuple | list)
    return teacher_pipe.labels or None if takes_list else None
