"""What a run says of its student: where it comes from, how much it retains, and the report."""

import os
import shlex
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

from spacy.language import Language
from spacy.scorer import Scorer
from wasabi import msg

from .config_files import interpolate
from .dataset import choose_raw_texts
from .errors import DistillationError
from .judge import Statement, take_statement
from .loop import DIR_MODEL_BEST
from .output import CONFIG_NAME, DIR_TARGETS
from .pipes.pipeline import load_teacher
from .prepare import Run
from .report.compare import Recorded, compare_recorded
from .report.raw_text import compare_raw_text, print_raw_text, share_of_pipes
from .report.report import HTML_NAME, Report
from .report.scores import Side
from .report.size import count_parameters
from .student.account import left_out_unnamed, warn_of_left_out
from .student.meta import add_origin, plain_scores
from .student.pipeline import encodes_only
from .targets.records import Role
from .targets.store import Store


def score_teacher(run: Run, store: Store) -> dict[str, Any]:
    """Score the teacher on what the student is scored on; empty where the dev data was not recorded.

    By the student's scorers: the teacher may have none, or other pipes that count into the same score.
    """
    examples = run.dataset.read_teacher_scored(store, run.student)
    return Scorer(run.student).score(examples) if examples else {}


def write_origin(run: Run, store: Store, teacher_scores: dict[str, Any]) -> None:
    """Write into the student's meta who its teachers are, and which texts it learns on."""
    paths = interpolate(run.config).get("paths", {})
    # Recorded texts come from the store, whatever the config says. Folders are nobody's business.
    files = [paths.get("distill") if run.teacher else None, paths.get("gold")]
    texts = {
        "names": [Path(file).name for file in files if file],
        "documents": run.dataset.count_learned(store),
    }
    profiles = [header.profile for header in run.headers]
    left_out = left_out_unnamed(run.fates)
    # Held-out texts have no annotations but the teacher's own: it would agree with itself.
    scores = plain_scores(teacher_scores) if run.dataset.dev else {}
    add_origin(run.student, profiles, run.shares, scores, texts, left_out)


def report(
    run: Run, store: Store, student: Language, score: float, teacher_scores: dict[str, Any], output_path: Path
) -> None:
    """Print how much the best student retains, and write the report.

    Args:
        run: The run.
        store: Its targets.
        student: The best student, as loaded from disk.
        score: Its weighted score.
        teacher_scores: From `score_teacher`.
        output_path: The folder to write to.
    """
    if encodes_only(student):
        msg.good(
            f"The loss on held-out texts is {-score:.4f} a token. An encoder annotates nothing: there is no report."
        )
        return
    found = _write_report(run, store, student, output_path)
    _print_retention(run, score, teacher_scores, found)
    print_raw_text(found["raw_text"])
    warn_of_left_out(run.fates)
    msg.good("Wrote the report", output_path / HTML_NAME)


def print_next_steps(run: Run, output_path: Path) -> None:
    """Print the commands that a finished run leads to."""
    teacher = str(run.named[0]) if run.named and not isinstance(run.named[0], Language) else "TEACHER"
    dev = run.config.interpolate().get("paths", {}).get("dev") if run.dataset.dev else None
    student, longer = output_path / DIR_MODEL_BEST, output_path.with_name(f"{output_path.name}-longer")
    benchmark = [teacher, student, dev or "gold.spacy", "--output", output_path / "benchmark"]
    again = ["-", output_path / CONFIG_NAME, "--targets", output_path / DIR_TARGETS, "--output", longer]
    commands = {
        "Scores on gold annotations, and speed:": ["benchmark", "distillation", *benchmark],
        "A wheel:": ["package", student, ".", "--build", "wheel"],
    }
    if run.settings.max_steps and (output_path / DIR_TARGETS).exists():
        more = ["--distillation.max_steps", 4 * run.settings.max_steps]
        commands["More updates, without asking the teacher again:"] = ["distill", *again, *more]
    msg.text(f"The student is in {student}. What you can do next:")
    for title, words in commands.items():
        msg.text(title)
        # Not wrapped, to be copied.
        print(f"  python -m spacy {shlex.join(map(str, words))}")


@contextmanager
def silenced(quiet: bool) -> Iterator[None]:
    """Let nothing be printed, neither text nor progress bars, if that is wanted. Errors are raised as always."""
    if not quiet:
        yield
        return
    with Path(os.devnull).open("w") as nowhere, redirect_stdout(nowhere), redirect_stderr(nowhere):
        yield


def _print_retention(run: Run, score: float, teacher_scores: dict[str, Any], found: Report) -> None:
    data = "the dev data" if run.dataset.dev else "held-out texts, against the teacher's own annotations"
    weights = run.training["score_weights"].items()
    teacher = sum(
        teacher_scores[key] * weight for key, weight in weights if weight and teacher_scores.get(key) is not None
    )
    student = score * share_of_pipes(found)
    if teacher:
        msg.good(f"Retention on {data}: {student / teacher:.1%} (student {student:.4f}, teacher {teacher:.4f})")
        if student < score:
            missing = ", ".join(found["raw_text"]["missing_pipes"])
            msg.text(f"This counts 0 for what is not in the student ({missing}); without, it is {score / teacher:.1%}.")
    elif teacher_scores:
        msg.warn(f"No retention on {data}: the teacher's own score there is 0.")
    else:
        msg.warn(
            f"No retention: what the teacher says of the dev data was not recorded (student {score:.4f}).",
            "Record with --paths.dev, or compare with `python -m spacy benchmark distillation`.",
        )


def _write_report(run: Run, store: Store, student: Language, output_path: Path) -> Report:
    dataset = run.dataset
    # First, by a student of which nothing was asked yet.
    raw_text = _compare_raw_text(run, store, student)
    judged = [example for example in dataset.read_teacher_scored(store, student) if len(example.predicted)]
    examples = [example for example in dataset.read_scored(store, student) if len(example.predicted)]
    teacher = run.named[0] if run.named else None
    recorded = Recorded(
        teacher={
            "name": run.profile.name,
            "version": run.profile.meta["version"],
            "path": None if teacher is None or isinstance(teacher, Language) else str(teacher),
            "pipeline": list(run.profile.pipes),
            "bytes": run.profile.bytes_on_disk,
            "parameters": count_parameters(run.teacher) if run.teacher else None,
        },
        side=Side(student, [example.predicted for example in judged]),
        gold=[example.reference for example in examples] if dataset.dev else None,
        data=(interpolate(run.config).get("paths", {}).get("dev") or "the dev data") if dataset.dev else None,
        raw_text=raw_text,
    )
    docs = list(student.pipe(example.predicted for example in examples))
    return compare_recorded(recorded, Side(student, docs), output_path, gpu_id=run.gpu_id)


def _compare_raw_text(run: Run, store: Store, student: Language) -> dict[str, Any] | None:
    """Compare the student from raw text with its first teacher; None, with a word why, where that cannot be done."""
    try:
        # Who gives targets does not want the teacher to be run.
        recorded = store.read_raw_text() if run.teacher is None else None
        statement = recorded or _ask_whole_teacher(run, store)
        if statement is None:
            return None
        return compare_raw_text(statement, student, "recording" if recorded else "teacher")
    except DistillationError as error:
        # Hours of learning do not end without a report because of one text.
        msg.fail(str(error))
        return None


def _ask_whole_teacher(run: Run, store: Store) -> Statement | None:
    """Ask the first teacher as it was handed over: loaded afresh, or the one in memory with its own settings."""
    texts = choose_raw_texts(store.read(Role.HELD_OUT, Role.DEV))
    if not run.named or not texts:
        return None
    teacher = run.named[0]
    return take_statement("teacher", teacher if isinstance(teacher, Language) else load_teacher(teacher), texts)
