"""`python -m spacy distill`."""

from pathlib import Path

import typer
from spacy.cli._util import Arg, Opt, app

from ._util import numbered_errors, read_names, read_overrides, read_standard_input


@app.command("distill", context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def distill_cli(
    ctx: typer.Context,
    teacher: str = Arg(..., help="Teacher: a folder or an installed package; several with commas; - for the config's"),
    config_or_texts: str = Arg(..., help="The student's config; or texts, which need none: see --paths.distill"),
    output_path: Path = Opt(..., "--output", "--output-path", "-o", help="Folder to write the student to"),
    targets: str | None = Opt(None, "--targets", "-t", help="What distill-targets recorded; the teacher is not asked"),
    gpu_id: int = Opt(-1, "--gpu-id", "-g", help="GPU ID or -1 for CPU"),
    code_path: Path | None = Opt(None, "--code", "-c", help="Python file with registered functions of your own"),
    resume: bool = Opt(False, "--resume", "-r", help="Go on with an interrupted run"),
    force: bool = Opt(False, "--force", "-f", help="Replace an earlier run in the output folder"),
) -> None:
    """Distil a student pipeline from a teacher pipeline.

    CONFIG_OR_TEXTS is a config (.cfg) with a [distillation] block, or the texts to learn on: .jsonl, .csv, .txt,
    .spacy, a folder of these, or - for one text a line on standard input. Without a config that of a tiny student is
    written, which learns for 600 updates instead of 4,000: a first look, in minutes.

    Writes model-best, model-last, the config, what the teacher said, a checkpoint, the scores of each evaluation and
    a report (report.html, report.json) to the output folder. Any value of the config can be overridden on the command
    line, such as --paths.distill texts.jsonl or --distillation.max_steps 1000.
    """
    is_config = config_or_texts.endswith(".cfg")
    texts: list[str] | Path | None = None if is_config else Path(config_or_texts)
    with numbered_errors():
        from ..api import distill
        from ..user_code import import_user_code

        if code_path:
            import_user_code(code_path)
        if config_or_texts == "-":
            texts = read_standard_input()
        distill(
            read_names(teacher),
            texts,
            config=config_or_texts if is_config else None,
            output=output_path,
            overrides=read_overrides(ctx.args),
            targets=read_names(targets) if targets else None,
            gpu_id=gpu_id,
            resume=resume,
            force=force,
        )
