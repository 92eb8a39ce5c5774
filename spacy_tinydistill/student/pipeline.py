"""Make a student from its config and its teacher, and write it out as a plain spaCy pipeline."""

import shutil
from collections.abc import Iterable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import srsly
from spacy.language import Language
from spacy.pipeline import TrainablePipe
from spacy.tokens import Doc
from spacy.training import Example
from spacy.util import copy_config, load_model_from_config
from thinc.api import Config, ConfigValidationError, fix_random_seed

from ..components.annotations import Annotations
from ..components.base import Lesson, TeachingRule, choose_rule, pipes_of
from ..errors import DistillationError
from ..schemas import DistillationConfig

# For each taught student pipe, the teacher's pipe by name and the rule by which it teaches.
Plan = dict[str, tuple[str, TeachingRule]]


def make_student(config: Config, teacher: Language) -> Language:
    """Create the student's pipes, without weights, with the teacher's tokenizer and rule-based pipes.

    Args:
        config: The student's config, not interpolated.
        teacher: The teacher.

    Raises:
        DistillationError: TD209, another language; TD210, a config that spaCy refuses.
    """
    lang = config.interpolate().get("nlp", {}).get("lang")
    if lang != teacher.lang:
        raise DistillationError("TD209", teacher=teacher.lang, student=lang)
    try:
        fix_random_seed(config.interpolate().get("training", {}).get("seed") or 0)
        student = load_model_from_config(config, auto_fill=True)
    except ConfigValidationError as error:
        raise DistillationError("TD210", reason=error.text.strip()) from None
    except ValueError as error:
        raise DistillationError("TD210", reason=error) from None
    if student.config["nlp"]["tokenizer"] == teacher.config["nlp"]["tokenizer"]:
        tokenizer: Any = teacher.tokenizer
        student.tokenizer.from_bytes(tokenizer.to_bytes(exclude=["vocab"]), exclude=["vocab"])  # type: ignore[union-attr]
    return student


def plan_lessons(student: Language, teacher: Language, settings: DistillationConfig) -> Plan:
    """Decide who teaches whom, and how.

    A student pipe learns from the teacher's pipe that `student_to_teacher` names, else from that of its own name. Where
    the teacher's pipe is not trainable and of the student pipe's own kind, there is nothing to learn: it is carried
    over by `initialize_student`.

    Raises:
        DistillationError: TD205, TD206, TD207 or TD208: see the messages.
    """
    for block in ("student_to_teacher", "teaching"):
        for name in getattr(settings, block):
            if name not in student.pipe_names:
                raise DistillationError("TD208", block=block, pipe=name, pipes=", ".join(student.pipe_names))
    plan: Plan = {}
    frozen = student.config["training"]["frozen_components"]
    for name, pipe in pipes_of(student):
        if not _learns(pipe) or name in frozen:
            continue
        source = settings.student_to_teacher.get(name, name)
        if source not in teacher.pipe_names:
            raise DistillationError("TD205", student=name, teacher=source, pipes=", ".join(teacher.pipe_names))
        teacher_pipe = teacher.get_pipe(source)
        rule = settings.teaching.get(name) or choose_rule(pipe, teacher_pipe)
        if not rule.accepts(pipe, teacher_pipe):
            raise DistillationError(
                "TD207", pipe=name, student=type(pipe).__name__, teacher=type(teacher_pipe).__name__
            )
        plan[name] = (source, rule)
    if not plan:
        raise DistillationError(
            "TD206", teacher=", ".join(teacher.pipe_names) or "none", student=", ".join(student.pipe_names) or "none"
        )
    return plan


def check_tokenizers(student: Language, teacher: Language, docs: Iterable[Doc]) -> None:
    """Compare the two tokenizers on the texts of some Docs.

    Raises:
        DistillationError: TD204, they differ.
    """
    for doc in docs:
        ours = [token.text for token in student.tokenizer(doc.text)]
        theirs = [token.text for token in teacher.tokenizer(doc.text)]
        if ours != theirs:
            at = next(i for i, (a, b) in enumerate(zip([*ours, None], [*theirs, None], strict=False)) if a != b)
            raise DistillationError("TD204", text=doc.text[:60], teacher=theirs[at : at + 5], student=ours[at : at + 5])


def labels_are_known(student: Language, teacher: Language, plan: Plan) -> bool:
    """Whether every taught pipe's labels are in the config or in the teacher's pipe.

    They are not where a pipe is taught through the Doc by one that does not list them, such as a function, or lists
    them in another form: then they are found in what it wrote.
    """
    configured = student.config["initialize"]["components"]
    return all(
        not isinstance(rule, Annotations)
        or "labels" in configured.get(name, {})
        or _labels_of(student.get_pipe(name), teacher.get_pipe(source)) is not None
        for name, (source, rule) in plan.items()
    )


def initialize_student(student: Language, teacher: Language, plan: Plan, examples: list[Example]) -> None:
    """Give the student its labels, its first weights, and the teacher's rules.

    Args:
        student: From `make_student`; changed in place.
        teacher: The teacher.
        plan: From `plan_lessons`.
        examples: A sample of the corpus; where `labels_are_known` is false, all of it, annotated by the teacher.
    """
    carried = [name for name, pipe in pipes_of(student) if _is_carried_over(name, pipe, teacher)]
    frozen = student.config["training"]["frozen_components"]
    configured = student.config["initialize"]["components"]
    original = copy_config(configured)
    with TemporaryDirectory() as folder, student.select_pipes(disable=[*carried, *frozen]):
        for name, (source, _) in plan.items():
            labels = _labels_of(student.get_pipe(name), teacher.get_pipe(source))
            if labels is not None and "labels" not in configured.get(name, {}):
                # By way of a file, as spaCy does it: a morphologizer's labels are no valid keys of a config.
                file = Path(folder) / f"{name}.json"
                srsly.write_json(file, labels)
                reader = {"@readers": "spacy.read_labels.v1", "path": str(file), "require": True}
                configured.setdefault(name, {})["labels"] = reader
        try:
            fix_random_seed(student.config.interpolate()["training"]["seed"] or 0)
            student.initialize(lambda: examples)
        except ConfigValidationError as error:
            raise DistillationError("TD210", reason=error.text.strip()) from None
        except (ValueError, OSError) as error:
            raise DistillationError("TD210", reason=error) from None
        finally:
            student.config["initialize"]["components"] = original
    with TemporaryDirectory() as folder:
        for name in carried:
            # Not by way of bytes: an entity_ruler that is read from those forgets its phrases.
            original_pipe: Any = teacher.get_pipe(name)
            pipe: Any = student.get_pipe(name)
            original_pipe.to_disk(Path(folder) / name, exclude=["vocab"])
            pipe.from_disk(Path(folder) / name, exclude=["vocab"])


def start_lessons(student: Language, teacher: Language, plan: Plan) -> dict[str, Lesson]:
    """Bind each rule to its two pipes.

    Raises:
        DistillationError: TD203, the student lacks one of the teacher's labels.
    """
    return {
        name: rule.start(student.get_pipe(name), name, rule.describe(teacher.get_pipe(source)))
        for name, (source, rule) in plan.items()
    }


def needed_strings(config: Config, teacher: Language, plan: Plan, examples: list[Example]) -> list[str]:
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
    shutil.rmtree(new, ignore_errors=True)
    student.to_disk(new)
    srsly.write_json(new / "vocab" / "strings.json", sorted(strings))
    replace_folder(new, path)


def replace_folder(new: Path, path: Path) -> None:
    """Put a finished folder in another's place; a crash leaves the old or the new one whole, under one of two names."""
    old = path.with_name(f"{path.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    if path.exists():
        path.rename(old)
    new.rename(path)
    shutil.rmtree(old, ignore_errors=True)


def _learns(pipe: Any) -> bool:
    return isinstance(pipe, TrainablePipe) and pipe.is_trainable and not hasattr(pipe, "listeners")


def _is_carried_over(name: str, pipe: Any, teacher: Language) -> bool:
    return (
        not isinstance(pipe, TrainablePipe)
        and name in teacher.pipe_names
        and type(teacher.get_pipe(name)) is type(pipe)
        and hasattr(pipe, "from_disk")
    )


def _labels_of(student_pipe: Any, teacher_pipe: Any) -> Any:
    """The teacher pipe's labels in the form that the student pipe's `initialize` takes; None where it has none."""
    if isinstance(teacher_pipe, type(student_pipe)):
        return teacher_pipe.label_data
    # A plain list, which not every pipe can be initialized with: a parser's labels are grouped by action.
    takes_list = isinstance(student_pipe.label_data, tuple | list)
    return list(getattr(teacher_pipe, "labels", ())) or None if takes_list else None
