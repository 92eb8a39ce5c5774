"""`python -m spacy distill`."""

from pathlib import Path

import typer
from spacy.cli._util import Arg, Opt, app, string_to_list

from ._util import numbered_errors, read_names, read_overrides, read_standard_input


@app.command("distill", context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def distill_cli(
    ctx: typer.Context,
    teacher: str = Arg(
        ..., help="Teacher pipeline: an installed package or a folder. Several: separated by commas. - for the config's"
    ),
    config_or_texts: str = Arg(..., help="The student's config (.cfg), or the texts to learn on"),
    output_path: Path = Opt(..., "--output", "--output-path", "-o", help="Folder to write the student to"),
    targets: str | None = Opt(
        None, "--targets", "-t", help="Targets recorded by distill-targets. The teacher is not run"
    ),
    size: str | None = Opt(None, "--size", "-s", help="Size of a student without a config: mini, tiny or nano"),
    gpu_id: int = Opt(-1, "--gpu-id", "-g", help="GPU ID or -1 for CPU"),
    code_path: Path | None = Opt(None, "--code", "-c", help="Python file that registers functions of your own"),
    resume: bool = Opt(False, "--resume", "-r", help="Continue an interrupted run"),
    force: bool = Opt(False, "--force", "-f", help="Replace an earlier run in the output folder"),
    leave_out: str = Opt("", "--leave-out", help="Teacher's pipes that the student shall not have, by commas"),
    quiet: bool = Opt(False, "--quiet", "-q", help="Print nothing but errors"),
    strict: bool = Opt(False, "--strict", help="Fail if a pipe is left out that --leave-out does not name"),
) -> None:
    """Distil a student pipeline from a teacher pipeline.

    CONFIG_OR_TEXTS is a config (.cfg) with a [distillation] block, or the texts to learn on: .jsonl, .csv, .txt,
    .spacy, a folder of these, or - for standard input with one text per line. Without a config the student is a tiny
    one that learns for 600 updates: a first result in minutes. A config from init distill-config has 4,000.

    Writes the student (model-best, model-last), the config, the recorded targets, a checkpoint, the scores of each
    evaluation and a report (report.html, report.json) to the output folder. Override any value of the config on the
    command line, such as --paths.distill texts.jsonl or --distillation.max_steps 1000.
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
            size=size,
            gpu_id=gpu_id,
            resume=resume,
            force=force,
            leave_out=string_to_list(leave_out),
            strict=strict,
            quiet=quiet,
        )
