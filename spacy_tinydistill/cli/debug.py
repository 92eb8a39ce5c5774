"""`python -m spacy debug distillation`."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import typer
from spacy.cli._util import Arg, Opt, debug_cli
from wasabi import msg

from ._util import numbered_errors, read_names, read_overrides

if TYPE_CHECKING:
    from spacy.training import Example

    from ..forecast import Forecast
    from ..preflight import Check, Ready
    from ..teacher.fit import Coverage

# Measured with an English MiniLM: no piece unknown and 1.1 a word in English, of questions as of the web; in other
# languages 1.6 to 5.5 a word, and 2 to 95 % unknown where their letters are. With 14,000 distilled vectors: 7 % of the
# words of their own text without one, 12 % of other English, 48 to 88 % of other languages.
MOST_UNKNOWN = {"pieces": 0.01, "vectors": 0.25}
MOST_PIECES = 2.5

# How many labels to show.
SHOWN = 10


@debug_cli.command("distillation", context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def debug_distillation_cli(
    ctx: typer.Context,
    teacher: str = Arg(..., help="Teacher: a folder or an installed package"),
    config_path: Path = Arg(..., help="The student's config"),
    gpu_id: int = Opt(-1, "--gpu-id", "-g", help="GPU ID or -1 for CPU"),
    code_path: Path | None = Opt(None, "--code", "-c", help="Python file with registered functions of your own"),
) -> None:
    """Find out, before hours of work, what a run of `spacy distill` will come to.

    Sees whether teacher, student, texts and settings fit together. If they do, the teacher is asked about a sample and
    the student learns from it, for about half a minute, to tell how well the texts fit the teacher, which labels it
    does not use, and how much time, disk and memory the whole run will take. Any value of the config can be overridden
    on the command line, as for `spacy distill`.
    """
    from ..forecast import forecast
    from ..preflight import check
    from ..user_code import import_user_code

    with numbered_errors():
        if code_path:
            import_user_code(code_path)
        ready = check(read_names(teacher), config_path, overrides=read_overrides(ctx.args), gpu_id=gpu_id)
        msg.divider("Compatibility")
        if isinstance(ready, list):
            _print_checks(ready)
            sys.exit(1)
        _print_run(ready)
        msg.divider("Rehearsal")
        msg.info("Asking the teacher and learning from it, for about half a minute")
        found = forecast(ready)
    msg.divider("Texts and teacher")
    _print_coverage(found.coverage)
    _print_labels(ready, found)
    msg.divider("Forecast")
    _print_forecast(found)


def _print_checks(checks: "list[Check]") -> None:
    for item in checks:
        if item.error is None:
            msg.good(item.name)
        else:
            msg.fail(item.name, str(item.error))


def _print_run(ready: "Ready") -> None:
    run = ready.run
    for header in run.headers:
        msg.good(f"Teacher: {header.profile.name}, with {', '.join(header.profile.pipes) or 'no pipes'}")
    msg.good(f"Student: {run.student.lang}, with {', '.join(run.student.pipe_names)}")
    for name, (source, rule) in run.plan.items():
        msg.text(f"  {name} learns from {source} ({type(rule).__name__})")
    msg.good("The tokenizers agree")
    if ready.started:
        msg.good("The student has all of the teacher's labels")
    else:
        msg.info("The labels will be found in what the teacher writes")
    corpora = run.corpora
    texts = "A stream" if run.streams else f"{corpora.n_texts:,} texts of {corpora.n_words:,} words"
    msg.good(f"To learn on: {texts}, and {len(corpora.gold):,} with gold annotations")
    if corpora.dev:
        msg.good(f"To score on: {len(corpora.dev):,} texts with gold annotations")
    else:
        msg.good(f"To score on: {run.settings.hold_out:.0%} of what there is to learn on, as there is no dev corpus")
    for name, examples in (("gold", corpora.gold), ("dev", corpora.dev)):
        _print_alignment(name, examples)


def _print_alignment(name: str, examples: "list[Example]") -> None:
    from ..gold_tokens import count_gold_tokens, warn_of_alignment

    share, _ = count_gold_tokens(examples)
    warning = warn_of_alignment("the student's tokenizer", share)
    if warning:
        msg.warn(f"The {name} corpus: {warning}")
    elif share is not None:
        msg.good(f"Of the {name} corpus's tokens {share:.1%} are tokens of the student's tokenizer")


def _print_coverage(coverage: "Coverage | None") -> None:
    if coverage is None:
        msg.info("No words are unknown to this teacher, which reads hashes of them")
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
        msg.warn(text, "The teacher was hardly trained for such text, and the student learns its mistakes.")
    else:
        msg.good(text)


def _print_labels(ready: "Ready", found: "Forecast") -> None:
    for pipe, labels in found.unpredicted.items():
        total = len(ready.run.profile.pipes[pipe].labels)
        if labels:
            shown = ", ".join(map(str, labels[:SHOWN])) + (", ..." if len(labels) > SHOWN else "")
            msg.info(f"{pipe}: {len(labels)} of {total} labels are not predicted: {shown}")
        else:
            msg.good(f"{pipe}: all {total} labels are predicted")
    msg.text(
        f"In a sample of {found.sample_words:,} words, that is; rare labels may be missing from it by chance. A label "
        "that the teacher predicts nowhere in the texts is one that the student hardly learns."
    )


def _print_forecast(found: "Forecast") -> None:
    rows = [
        ("Preparing", _duration(found.preparing_seconds), ""),
        ("Asking the teacher", _duration(found.asking_seconds), f"{found.recorded_words:,} words"),
    ]
    if found.learning_seconds is not None and found.seconds is not None:
        details = (
            f"{found.updates:,} updates of {found.update_seconds:.2f} s, "
            f"{found.evaluations:,} evaluations of {found.evaluation_seconds:.1f} s"
        )
        rows += [
            ("Learning", _duration(found.learning_seconds), details),
            ("Time in all", _duration(found.seconds), "at the most"),
        ]
    else:
        details = (
            f"{found.update_seconds:.2f} s an update, {found.evaluation_seconds:.1f} s an evaluation; "
            "patience decides how many"
        )
        rows.append(("Learning", "?", details))
    disk = (
        f"{_size(found.targets_bytes)} said by the teacher, {_size(found.checkpoint_bytes)} checkpoint, "
        "and the student twice"
    )
    rows += [
        ("Student", _size(found.student_bytes), "on disk"),
        ("Output folder", _size(found.output_bytes), disk),
        ("Memory", "?" if found.memory_bytes is None else _size(found.memory_bytes), "at the peak, of the CPU's"),
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
