"""`python -m spacy benchmark distillation`: a student against its teacher."""

from pathlib import Path
from typing import Annotated

from spacy.cli._util import Arg, Opt, benchmark_cli

from ._util import numbered_errors


@benchmark_cli.command("distillation")
def benchmark_distillation_cli(
    teacher: Annotated[str, Arg(help="Package name or path of the teacher")],
    student: Annotated[str, Arg(help="Package name or path of the student")],
    data: Annotated[Path, Arg(help="Gold annotations (.spacy), or text alone (.jsonl, .txt)")],
    output: Annotated[Path, Opt("--output", "-o", help="Folder to write the report to")],
    max_words: Annotated[int, Opt("--max-words", "-n", min=1, help="Most words in a timed pass")] = 20_000,
    gpu_id: Annotated[int, Opt("--gpu-id", "-g", help="GPU to use as well, or -1 for CPU")] = -1,
    code: Annotated[Path | None, Opt("--code", "-c", help="Python file to import first")] = None,
    force: Annotated[bool, Opt("--force", "-F", help="Replace a report that is there already")] = False,
) -> None:
    """
    Measure how much of its teacher a student retains, and what it saves: scores, agreement, words per second,
    load time, memory and size of both, in one run on this machine. Prints tables, and writes report.json,
    report.html with plots and the sentences on which the two disagree most, and the student's meta.json with a
    model card, for `spacy package --meta-path`.
    """
    # Every call of `python -m spacy` imports this file; only this command should pay for what it needs.
    from wasabi import msg

    with numbered_errors():
        from ..report.compare import compare
        from ..report.report import HTML_NAME
        from ..report.table import print_report

        report = compare(
            teacher, student, data, output=output, max_words=max_words, gpu_id=gpu_id, code=code, force=force
        )
    print_report(report)
    msg.good("Wrote the report", output / HTML_NAME)
