"""`python -m spacy distill-targets`."""

from pathlib import Path

import typer
from spacy.cli._util import Arg, Opt, app
from wasabi import msg

from ._util import numbered_errors, read_overrides

# Where the teacher is asked: here, or on a Ray cluster.
ENGINES = ("local", "ray")


@app.command("distill-targets", context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def distill_targets_cli(
    ctx: typer.Context,
    teacher: str = Arg(..., help="Teacher pipeline: an installed package or a folder"),
    corpus: Path = Arg(..., help="Texts to learn on: JSONL, CSV, plain text, a DocBin, or a folder of these"),
    store: str = Arg(..., help="Folder or URL to record to. An interrupted recording is continued"),
    config_path: Path | None = Opt(
        None, "--config", help="The student's config. By default the one of init distill-config"
    ),
    gpu_id: int = Opt(-1, "--gpu-id", "-g", help="GPU ID or -1 for CPU"),
    code_path: Path | None = Opt(None, "--code", "-c", help="Python file that registers functions of your own"),
    force: bool = Opt(False, "--force", "-f", help="Replace an earlier recording in the folder"),
    engine: str = Opt("local", "--engine", "-e", help="local, or ray to record on a Ray cluster"),
    address: str | None = Opt(
        None, "--address", "-a", help="Address of the Ray cluster. By default Ray starts on this machine"
    ),
    workers: int = Opt(1, "--workers", "-w", min=1, help="Number of teachers to load on the cluster"),
) -> None:
    """Record a teacher's predictions (targets) for texts, to learn from with `spacy distill --targets`.

    Override any value of the config on the command line. --paths.gold and --paths.dev record gold annotations and dev
    data too.
    """
    with numbered_errors():
        from ..api import record_targets
        from ..errors import DistillationError
        from ..teacher.ray import RayCluster
        from ..user_code import import_user_code

        if engine not in ENGINES:
            raise DistillationError("TD620", engine=engine, known=", ".join(ENGINES))
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
            cluster=RayCluster(address, workers, code_path) if engine == "ray" else None,
        )
    per_word = manifest.bytes / max(manifest.words, 1)
    msg.good(f"Recorded {manifest.words} words, {manifest.bytes} bytes ({per_word:.0f} per word)", store)
