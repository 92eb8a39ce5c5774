"""Have a teacher at a known place: one that is ready, linked there, or else one trained there from a config."""

import shutil
from pathlib import Path

import typer
from spacy.cli._util import parse_config_overrides, setup_gpu
from spacy.cli.train import train
from spacy.util import get_package_path, is_package
from wasabi import msg


def main(
    ctx: typer.Context,
    config: Path,
    output: Path,
    ready: str = typer.Argument("", help="A pipeline's folder or package; empty to train one"),
    gpu_id: int = -1,
) -> None:
    """Put the READY teacher at OUTPUT/model-best, or train one from CONFIG with any --section.key value given."""
    best = output / "model-best"
    if best.is_symlink():
        best.unlink()
    if ready:
        shutil.rmtree(best, ignore_errors=True)
        output.mkdir(parents=True, exist_ok=True)
        best.symlink_to(find_pipeline(ready), target_is_directory=True)
        msg.good(f"The teacher is {ready}")
    else:
        setup_gpu(gpu_id)
        train(config, output, use_gpu=gpu_id, overrides=parse_config_overrides(ctx.args))


def find_pipeline(name: str) -> Path:
    """Return the folder of a pipeline on disk or in an installed package."""
    root = get_package_path(name) if is_package(name) else Path(name).resolve()
    for config in sorted(root.glob("config.cfg")) or sorted(root.glob("*/config.cfg")):
        return config.parent
    msg.fail(
        f"There is no pipeline at {root}.", "Expected a folder with a config.cfg, or the name of a package.", exits=1
    )
    raise typer.Exit(1)


app = typer.Typer(add_completion=False)
app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})(main)

if __name__ == "__main__":
    app()
