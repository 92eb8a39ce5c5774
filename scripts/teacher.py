"""Have a teacher at a known place: one that is ready, linked there, or else one trained there from a config."""

import shutil
from pathlib import Path

import typer
from spacy.cli._util import parse_config_overrides, setup_gpu
from spacy.cli.train import train
from wasabi import msg

from spacy_tinydistill.errors import DistillationError
from spacy_tinydistill.pipes.pipeline import find_pipeline


def main(
    ctx: typer.Context,
    config: Path,
    output: Path,
    ready: str = typer.Argument("", help="A pipeline's folder or package; empty to train one"),
    gpu_id: int = -1,
) -> None:
    """Put the READY teacher at OUTPUT/model-best, or train one from CONFIG with any --section.key value given."""
    best = output / "model-best"
    if ready:
        try:
            folder = find_pipeline(ready).resolve()
        except DistillationError as error:
            msg.fail(str(error), exits=1)
        # It may be the one that is there, trained by an earlier run.
        if folder != best.resolve():
            _remove(best)
            output.mkdir(parents=True, exist_ok=True)
            best.symlink_to(folder, target_is_directory=True)
        msg.good(f"The teacher is {ready}")
    else:
        if best.is_symlink():
            best.unlink()
        setup_gpu(gpu_id)
        train(config, output, use_gpu=gpu_id, overrides=parse_config_overrides(ctx.args))


def _remove(best: Path) -> None:
    if best.is_symlink():
        best.unlink()
    else:
        shutil.rmtree(best, ignore_errors=True)


app = typer.Typer(add_completion=False)
app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})(main)

if __name__ == "__main__":
    app()
