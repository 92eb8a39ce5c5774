"""The control: a config with which plain `spacy train` trains the same student on gold annotations alone."""

from pathlib import Path
from typing import Annotated

import typer
from spacy.util import load_config


def main(
    config: Path,
    output: Path,
    first: Annotated[Path | None, typer.Option(help="Of stages, the config of the one that made the student")] = None,
) -> None:
    """Turn the CONFIG of a distillation into one for `spacy train`, with the same student, batches and updates.

    The student goes without the word vectors that were distilled from its teacher, and without what it learned in
    earlier stages: it has new weights. Its pieces it keeps, whoever's they are.

    Args:
        config: What `spacy distill` left in its output folder, so that it holds all that was overridden.
        output: The file to write.
        first: Likewise of the first of several stages, in which the student was made.
    """
    gold = load_config(config, interpolate=True)
    made = load_config(first or config, interpolate=True)
    distillation = gold.pop("distillation")
    gold["training"] |= {key: distillation[key] for key in ("optimizer", "batcher", "dropout", "max_steps")}
    gold["training"]["train_corpus"] = "corpora.gold"
    del gold["corpora"]["distill"]
    # spaCy's own default corpus, which nothing reads but which has to have a path.
    gold["paths"]["train"] = gold["paths"]["gold"]
    gold["corpora"].pop("train", None)
    gold["initialize"] |= {"vectors": None, "before_init": made["initialize"].get("before_init")}
    for name, component in gold["components"].items():
        if "source" in component:
            gold["components"][name] = made["components"][name]
        elif "embed" in component.get("model", {}):
            component["model"]["embed"]["include_static_vectors"] = False
    gold.to_disk(output)


if __name__ == "__main__":
    typer.run(main)
