"""What becomes of each of a teacher's pipes in its student: mirrored, carried over, or left out."""

from collections.abc import Sequence
from dataclasses import dataclass

from thinc.api import Config
from wasabi import msg

from ..config_files import interpolate
from ..pipes.profile import PipeProfile, TeacherProfile

# The factories of what a student's pipes read.
ENCODERS = ("tok2vec", "transformer", "curated_transformer")


@dataclass(frozen=True)
class Fate:
    """What becomes of one of the teacher's pipes."""

    pipe: str
    text: str
    is_left_out: bool = False
    is_named: bool = False  # Left out by name


def account_for_pipes(teacher: TeacherProfile, config: Config) -> list[Fate]:
    """Say of each of the teacher's pipes what becomes of it in a student.

    A pipe is left out by name where `[distillation] leave_out` names it, or where a config has no such setting: it was
    written by hand, by somebody who chose the pipes.

    Args:
        teacher: The teacher.
        config: The student's config.

    Returns:
        In the teacher's order, disabled pipes too.
    """
    return [_account_for(name, pipe, config) for name, pipe in teacher.pipes.items()]


def left_out_unnamed(fates: Sequence[Fate]) -> dict[str, str]:
    """List the pipes that are left out without having been named, each with the reason."""
    return {fate.pipe: fate.text.removeprefix("left out, ") for fate in fates if fate.is_left_out and not fate.is_named}


def print_fates(fates: Sequence[Fate]) -> None:
    """Print what becomes of each pipe, and warn of those that are left out without having been named."""
    rows = [(fate.pipe, f"*{fate.text}*" if fate.is_left_out else fate.text) for fate in fates]
    msg.table(rows, header=("Teacher's pipe", "In the student"), divider=True)
    warn_of_left_out(fates)


def warn_of_left_out(fates: Sequence[Fate]) -> None:
    """Warn of the pipes that are left out without having been named."""
    left_out = left_out_unnamed(fates)
    if left_out:
        msg.warn(
            f"Left out: {', '.join(f'{pipe}, {reason}' for pipe, reason in left_out.items())}",
            "To learn one of them, add a pipe to the config and name its teacher in [distillation.student_to_teacher]. "
            "If the student shall not have it, say so with --leave-out or in [distillation] leave_out.",
        )


def note_vectors(teacher: TeacherProfile, config: Config) -> None:
    """Say that the student has no word vectors where the teacher has some: no pipe of it reads them, but a user may."""
    count = teacher.meta.get("vectors", {}).get("vectors", 0)
    if count and not interpolate(config).get("initialize", {}).get("vectors"):
        msg.info(
            f"The teacher's {count:,} word vectors are not in the student.",
            "`token.vector` and `similarity` of its Docs are not the teacher's. It can have vectors of its own: make "
            "them with `init distill-vectors` and name them with `init distill-config --vectors`.",
        )


def _account_for(name: str, pipe: PipeProfile, config: Config) -> Fate:
    settings = config["distillation"]
    sources = settings.get("student_to_teacher", {})
    named = settings.get("leave_out")
    learners = [own for own in config["components"] if sources.get(own, own) == name]
    if learners:
        learner = learners[0]
        block = config["components"][learner]
        # The block of a lemmatizer of rules has a model, which is none.
        is_taught = (block.get("model") is not None or "source" in block) and not _is_frozen(learner, pipe, config)
        text = f"mirrored by {', '.join(learners)}" if is_taught else "carried over"
        return Fate(name, f"{text}, disabled" if learner in config["nlp"].get("disabled", ()) else text)
    if pipe.is_encoder:
        own = [own for own, block in config["components"].items() if block.get("factory") in ENCODERS]
        return Fate(name, f"mirrored by {', '.join(own)}" if own else "not needed, as no pipe of the student reads one")
    if named is None or name in named:
        reason = "the config has no pipe for it" if named is None else "it was named to be left out"
        return Fate(name, f"left out, because {reason}", is_left_out=True, is_named=True)
    reason = pipe.not_carried_over or "the config has no pipe for it"
    return Fate(name, f"left out, because {reason}", is_left_out=True)


def _is_frozen(learner: str, pipe: PipeProfile, config: Config) -> bool:
    """Whether a student's pipe keeps the weights of its teacher's."""
    return learner in config["training"].get("frozen_components", ()) and pipe.not_carried_over is None
