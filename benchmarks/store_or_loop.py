"""Students that learn from recorded targets and students whose teacher is asked again in every epoch, over some seeds.

python benchmarks/store_or_loop.py TEACHER CONFIG TEXTS.jsonl DEV.spacy --steps 300
"""

import json
import random
from pathlib import Path
from statistics import mean, stdev
from tempfile import TemporaryDirectory
from timeit import default_timer as timer
from typing import Annotated

import spacy
import typer

from spacy_tinydistill import distill, record_targets
from spacy_tinydistill.corpus import read_texts


def main(
    teacher: str,
    config: Path,
    texts: Path,
    dev: Path,
    steps: Annotated[int, typer.Option()] = 300,
    seeds: Annotated[int, typer.Option()] = 3,
    limit: Annotated[int, typer.Option(help="Take so many of the texts")] = 5000,
) -> None:
    """Train SEEDS students in each way, with the same updates, and print their weighted scores on DEV."""
    nlp = spacy.load(teacher)
    # A stream is learned in its own order.
    chosen = list(read_texts(texts))
    random.Random(0).shuffle(chosen)
    chosen = chosen[:limit]
    base = {"paths.dev": str(dev), "distillation.max_steps": steps, "training.eval_frequency": steps}
    scores: dict[str, list[float]] = {"store": [], "loop": []}
    with TemporaryDirectory() as folder:
        start = timer()
        record_targets(nlp, chosen, store=Path(folder) / "store", config=config, overrides=base)
        print(f"recorded in {timer() - start:.0f} s")
        for seed in range(seeds):
            overrides = {**base, "system.seed": seed}
            for way in scores:
                start = timer()
                output = Path(folder) / f"{way}-{seed}"
                if way == "store":
                    distill("-", output=output, config=config, overrides=overrides, targets=Path(folder) / "store")
                else:
                    stream = {**overrides, "distillation.max_epochs": -1}
                    distill(nlp, chosen, output=output, config=config, overrides=stream)
                score = json.loads((output / "model-last" / "meta.json").read_text())["performance"]
                scores[way].append(score["cats_score"] if "cats_score" in score else mean(_plain(score)))
                print(f"seed {seed}, {way}: {scores[way][-1]:.4f} in {timer() - start:.0f} s", flush=True)
    for way, values in scores.items():
        print(
            f"{way}: mean {mean(values):.4f}, spread {stdev(values):.4f}, all {[round(value, 4) for value in values]}"
        )


def _plain(scores: dict) -> list[float]:
    return [value for key, value in scores.items() if key.endswith(("_acc", "_uas", "_las"))]


if __name__ == "__main__":
    typer.run(main)
