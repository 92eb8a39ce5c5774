"""The control: a config with which plain `spacy train` trains the same student on gold annotations alone."""

from pathlib import Path

import typer
from spacy.util import load_config


def main(config: Path, output: Path) -> None:
    """Turn the CONFIG of a distillation into one for `spacy train`, with the same student, batches and updates.

    The student goes without the word vectors that were distilled from its teacher.

    Args:
        config: What `spacy distill` left in its output folder, so that it holds all that was overridden.
        output: The file to write.
    """
    gold = load_config(config, interpolate=True)
    distillation = gold.pop("distillation")
    gold["training"] |= {key: distillation[key] for key in ("optimizer", "batcher", "dropout", "max_steps")}
    gold["training"]["train_corpus"] = "corpora.gold"
    del gold["corpora"]["distill"]
    # spaCy's own default corpus, which nothing reads but which has to have a path.
    gold["paths"]["train"] = gold["paths"]["gold"]
    gold["corpora"].pop("train", None)
    gold["initialize"]["vectors"] = None
    gold["components"]["tok2vec"]["model"]["embed"]["include_static_vectors"] = False
    gold.to_disk(output)


if __name__ == "__main__":
    typer.run(main)
