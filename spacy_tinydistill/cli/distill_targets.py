"""`python -m spacy distill-targets`."""

from pathlib import Path

import typer
from spacy.cli._util import Arg, Opt, app
from wasabi import msg

from ._util import numbered_errors, read_overrides


@app.command("distill-targets", context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def distill_targets_cli(
    ctx: typer.Context,
    teacher: str = Arg(..., help="Teacher: a folder or an installed package"),
    corpus: Path = Arg(..., help="Text to learn on: JSONL, plain text, a DocBin, or a folder of them"),
    store: str = Arg(..., help="Folder or URL to record to; an interrupted recording goes on"),
    config_path: Path | None = Opt(None, "--config", help="A student's config; else as init distill-config's"),
    gpu_id: int = Opt(-1, "--gpu-id", "-g", help="GPU ID or -1 for CPU"),
    code_path: Path | None = Opt(None, "--code", "-c", help="Python file with registered functions of your own"),
    force: bool = Opt(False, "--force", "-f", help="Replace what was recorded in the folder"),
    engine: str = Opt("local", "--engine", "-e", help="local, or ray for a cluster, whose workers load the teacher"),
    address: str | None = Opt(None, "--address", "-a", help="The Ray cluster's; without, Ray starts on this machine"),
    workers: int = Opt(1, "--workers", "-w", min=1, help="How many teachers to load on the cluster"),
) -> None:
    """Record what a teacher says about texts, for `spacy distill --targets`.

    Any value of the config can be overridden on the command line: --paths.gold and --paths.dev have gold annotations
    and dev data recorded too.
    """
    with numbered_errors():
        from ..api import record_targets
        from ..user_code import import_user_code

        if code_path:
            import_user_code(code_path)
        manifest = record_targets(
            teacher,
            corpus,
            store=store,
            config=config_path,
            overrides=read_overrides(ctx.args),
            gpu_id=gpu_id,
            force=force,
            engine=engine,
            address=address,
            workers=workers,
            code=code_path,
        )
    per_word = manifest.bytes / max(manifest.words, 1)
    msg.good(f"Recorded {manifest.words} words, {manifest.bytes} bytes ({per_word:.0f} a word)", store)
