"""`python -m spacy debug distillation`."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import typer
from spacy.cli._util import Arg, Opt, debug_cli, string_to_list
from wasabi import msg

from ._util import numbered_errors, read_names, read_overrides

if TYPE_CHECKING:
    from ..forecast import Forecast
    from ..prepare import Check, Run
    from ..teacher.coverage import Coverage

# Measured with an English MiniLM: no piece unknown and 1.1 a word in English, of questions as of the web; in other
# languages 1.6 to 5.5 a word, and 2 to 95 % unknown where their letters are. With 14,000 distilled vectors: 7 % of the
# words of their own text without one, 12 % of other English, 48 to 88 % of other languages.
MOST_UNKNOWN = {"pieces": 0.01, "vectors": 0.25}
MOST_PIECES = 2.5

# The number of labels to show.
SHOWN = 10


@debug_cli.command("distillation", context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def debug_distillation_cli(
    ctx: typer.Context,
    teacher: str = Arg(..., help="Teacher pipeline: an installed package or a folder"),
    config_path: Path = Arg(..., help="The student's config"),
    gpu_id: int = Opt(-1, "--gpu-id", "-g", help="GPU ID or -1 for CPU"),
    code_path: Path | None = Opt(None, "--code", "-c", help="Python file that registers functions of your own"),
    leave_out: str = Opt("", "--leave-out", help="Teacher's pipes that the student shall not have, by commas"),
    strict: bool = Opt(False, "--strict", help="Fail if a pipe is left out that is not named"),
) -> None:
    """Check a run of `spacy distill` and estimate its time, disk and memory before it starts.

    Checks whether teacher, student, texts and settings fit together. If they do, the teacher annotates a sample and
    the student learns from it, for about half a minute. This shows how well the texts fit the teacher, which labels the
    teacher does not predict, what the student lacks when both are given raw text, and how much time, disk and memory
    the whole run will take. Override any value of the config on the command line, as for `spacy distill`.
    """
    with numbered_errors():
        from ..forecast import forecast
        from ..prepare import Run
        from ..user_code import import_user_code

        if code_path:
            import_user_code(code_path)
        overrides = read_overrides(ctx.args)
        names = string_to_list(leave_out)
        run = Run(read_names(teacher), None, config_path, overrides, gpu_id, leave_out=names, strict=strict)
        checks = run.check()
        msg.divider("Compatibility")
        if any(item.error for item in checks):
            _print_checks(checks)
            sys.exit(1)
        _print_run(run)
        msg.divider("Rehearsal")
        msg.info("Running the teacher and the student on a sample, for about half a minute")
        found = forecast(run)
    msg.divider("Texts and teacher")
    _print_coverage(found.coverage)
    _print_labels(run, found)
    _print_raw_text(found)
    msg.divider("Forecast")
    _print_forecast(found)


def _print_checks(checks: "list[Check]") -> None:
    for item in checks:
        if item.error is None:
            msg.good(item.name)
        else:
            msg.fail(item.name, str(item.error))


def _print_run(run: "Run") -> None:
    from ..gold_tokens import count_gold_tokens
    from ..student.account import note_vectors, print_fates

    for header in run.headers:
        msg.good(f"Teacher: {header.profile.name}, with {', '.join(header.profile.pipes) or 'no pipes'}")
    msg.good(f"Student: {run.student.lang}, with {', '.join(run.student.pipe_names)}")
    for name, (source, rule) in run.plan.items():
        msg.text(f"  {name} learns from {source} ({type(rule).__name__})")
    print_fates(run.fates)
    note_vectors(run.profile, run.config)
    msg.good("The tokenizers agree")
    if run.labels_known:
        msg.good("The student has all of the teacher's labels")
    else:
        msg.info("The labels will be collected from the teacher's annotations")
    dataset = run.dataset
    texts = "a stream" if dataset.is_stream else f"{dataset.texts.count:,} texts of {dataset.texts.words:,} words"
    msg.good(f"To learn from: {texts}, and {len(dataset.gold):,} with gold annotations")
    if dataset.dev:
        msg.good(f"To score on: {len(dataset.dev):,} texts with gold annotations")
    else:
        msg.good(f"To score on: {run.settings.hold_out:.0%} of the texts, held out, because there is no dev corpus")
    for name, examples in (("gold", dataset.gold), ("dev", dataset.dev)):
        share, _ = count_gold_tokens(examples)
        if share is not None:
            msg.good(f"Of the {name} corpus's tokens {share:.1%} are tokens of the student's tokenizer")
    for misfit in run.misfits:
        msg.warn(misfit)


def _print_coverage(coverage: "Coverage | None") -> None:
    if coverage is None:
        msg.info("This teacher has no unknown words: it hashes them")
        return
    share = coverage.share_unknown
    if coverage.known_by == "pieces":
        text = (
            f"{share:.2%} of the texts' {coverage.units:,} word pieces are unknown to the teacher's tokenizer; "
            f"a word has {coverage.units_per_word:.2f} pieces"
        )
    else:
        text = f"{share:.2%} of the texts' {coverage.units:,} words have no vector in the teacher"
    if share > MOST_UNKNOWN[coverage.known_by] or coverage.units_per_word > MOST_PIECES:
        msg.warn(text, "The teacher was probably not trained for such text. The student will learn its mistakes.")
    else:
        msg.good(text)


def _print_labels(run: "Run", found: "Forecast") -> None:
    for pipe, labels in found.unpredicted.items():
        total = len(run.profile.pipes[pipe].labels)
        if labels:
            shown = ", ".join(map(str, labels[:SHOWN])) + (", ..." if len(labels) > SHOWN else "")
            msg.info(f"{pipe}: {len(labels)} of {total} labels are not predicted: {shown}")
        else:
            msg.good(f"{pipe}: all {total} labels are predicted")
    msg.text(
        f"This is of a sample of {found.sample_words:,} words, which may lack rare labels by chance. A label that the "
        "teacher predicts nowhere in the texts will hardly be learned."
    )


def _print_raw_text(found: "Forecast") -> None:
    """Print what the student lacks, however long it learns. How often it agrees comes with learning."""
    from ..report.raw_text import missing_text, tokens_text

    raw_text = found.raw_text
    if raw_text is None:
        return
    # A pipe of the student's that says nothing has not learned to yet.
    missing = {
        kind: pipes
        for kind, pipes in raw_text["missing"].items()
        if not pipes or not {*raw_text["missing_pipes"]}.isdisjoint(pipes)
    }
    lacking, tokens = missing_text({**raw_text, "missing": missing}), tokens_text(raw_text)
    if lacking:
        msg.warn(f"From raw text: {lacking}")
    if tokens:
        msg.fail(tokens)
    if not lacking and not tokens:
        msg.good(f"Raw text: the student has pipes for all that the teacher writes ({raw_text['texts']:,} texts)")


def _print_forecast(found: "Forecast") -> None:
    rows = [
        ("Preparation", _duration(found.preparing_seconds), ""),
        ("Recording the teacher", _duration(found.asking_seconds), f"{found.recorded_words:,} words"),
    ]
    if found.learning_seconds is not None and found.seconds is not None:
        details = (
            f"{found.updates:,} updates of {found.update_seconds:.2f} s, "
            f"{found.evaluations:,} evaluations of {found.evaluation_seconds:.1f} s"
        )
        rows += [
            ("Learning", _duration(found.learning_seconds), details),
            ("Total time", _duration(found.seconds), "at most"),
        ]
    else:
        details = (
            f"{found.update_seconds:.2f} s per update, {found.evaluation_seconds:.1f} s per evaluation; "
            "patience decides how many"
        )
        rows.append(("Learning", "?", details))
    disk = (
        f"{_size(found.targets_bytes)} recorded targets, {_size(found.checkpoint_bytes)} checkpoint, "
        "and the student twice"
    )
    rows += [
        ("Student", _size(found.student_bytes), "on disk"),
        ("Output folder", _size(found.output_bytes), disk),
        ("Memory", "?" if found.memory_bytes is None else _size(found.memory_bytes), "peak, CPU only"),
    ]
    msg.table(rows, aligns=("l", "r", "l"))


def _duration(seconds: float) -> str:
    """As 5 s, 12 min or 3.4 h."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"


def _size(count: float) -> str:
    """As 7.1 MB."""
    for unit in ("kB", "MB"):
        count /= 1000
        if count < 1000:
            return f"{count:.1f} {unit}"
    return f"{count / 1000:.1f} GB"
