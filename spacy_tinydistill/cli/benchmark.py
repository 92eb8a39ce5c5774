"""`python -m spacy benchmark distillation`: a student against its teacher."""

import sys
from pathlib import Path
from typing import Annotated

from spacy.cli._util import Arg, Opt, benchmark_cli

from ._util import numbered_errors


@benchmark_cli.command("distillation")
def benchmark_distillation_cli(
    teacher: Annotated[str, Arg(help="Teacher pipeline: an installed package or a folder")],
    student: Annotated[str, Arg(help="Student pipeline: an installed package or a folder")],
    data: Annotated[Path, Arg(help="Gold annotations (.spacy), or texts without annotations (.jsonl, .txt)")],
    output: Annotated[Path, Opt("--output", "-o", help="Folder to write the report to")],
    other: Annotated[
        Path | None, Opt("--other", help="Texts of another kind, with or without gold annotations, to compare on too")
    ] = None,
    against: Annotated[
        str | None, Opt("--against", help="Earlier student, to see what got better and what got worse")
    ] = None,
    min_retention: Annotated[
        str, Opt("--min-retention", help="Exit with code 1 below, such as tag_acc=0.99,dep_las=0.97")
    ] = "",
    min_speedup: Annotated[
        float | None, Opt("--min-speedup", help="Exit with code 1 if it is not so many times faster on one thread")
    ] = None,
    max_words: Annotated[int, Opt("--max-words", "-n", min=1, help="Maximum number of words in a timed pass")] = 20_000,
    gpu_id: Annotated[int, Opt("--gpu-id", "-g", help="GPU to measure too, or -1 for the CPU only")] = -1,
    code: Annotated[Path | None, Opt("--code", "-c", help="Python file that registers functions of your own")] = None,
    force: Annotated[bool, Opt("--force", "-f", "-F", help="Replace an existing report")] = False,
) -> None:
    """
    Compare a student with its teacher on this machine: scores, agreement, words per second, load time, memory and
    size. Prints tables, and writes report.html (with plots and the sentences on which the two disagree most) and
    report.json. Of a distilled student it also writes the model card, README.md and meta.json, here and in the
    student's folder, where `spacy package` finds it.
    """
    # Every `python -m spacy` command imports this file, so heavy imports happen only when this command runs.
    from wasabi import msg

    with numbered_errors():
        from ..report.against import print_against
        from ..report.compare import compare
        from ..report.gate import find_misses, parse_thresholds
        from ..report.report import HTML_NAME
        from ..report.table import print_report

        thresholds = parse_thresholds(min_retention)
        report = compare(
            teacher,
            student,
            data,
            other=other,
            against=against,
            output=output,
            max_words=max_words,
            gpu_id=gpu_id,
            code=code,
            force=force,
        )
        print_report(report)
        print_against(report)
        msg.good("Wrote the report", output / HTML_NAME)
        misses = find_misses(report, min_retention=thresholds, min_speedup=min_speedup)
    for miss in misses:
        msg.fail(miss)
    if misses:
        sys.exit(1)
