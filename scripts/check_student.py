"""Load an installed student where there is nothing but spaCy: let it classify questions, and train it further.

python scripts/check_student.py en_trec_tiny corpus/trec/train.spacy corpus/trec/dev.spacy
"""

import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

import spacy
from spacy.cli.evaluate import evaluate
from spacy.cli.train import train

QUESTIONS = {
    "Where is the highest mountain in Africa ?": "LOC",
    "Who wrote the first detective story ?": "HUM",
    "How many legs does a spider have ?": "NUM",
    "What does NATO stand for ?": "ABBR",
}


# How much lower the score may be after a few updates: chance.
CHANCE = 0.005


def main(name: str, gold: Path, dev: Path) -> None:
    """Check that a package loads without this library and PyTorch, answers as it should, and can be trained further."""
    for module in ("spacy_tinydistill", "torch", "transformers", "spacy_transformers"):
        assert find_spec(module) is None, f"{module} is installed; expected spaCy alone"
    nlp = spacy.load(name)
    right = 0
    for question, expected in QUESTIONS.items():
        cats = nlp(question).cats
        label = max(cats, key=lambda key: cats[key])
        right += label == expected
        print(f"{label:5} {cats[label]:.2f}  {question}")
    assert right >= len(QUESTIONS) - 1, f"{right} of {len(QUESTIONS)} questions are right"
    print(f"{name} {nlp.meta['version']} runs on spaCy {spacy.__version__} alone")
    train_further(nlp.path, gold, dev)


def train_further(student: Path, gold: Path, dev: Path) -> None:
    """Train a student for 20 updates with the config in its own folder."""
    with tempfile.TemporaryDirectory() as output:
        overrides = {"paths.student": str(student), "paths.train": str(gold), "paths.dev": str(dev)}
        overrides |= {"training.max_steps": 20, "training.eval_frequency": 20}
        train(student / "train.cfg", output, overrides=overrides)
        before, after = (evaluate(str(path), dev)["cats_score"] for path in (student, Path(output) / "model-best"))
    print(f"20 updates by spacy train: score {before:.4f}, then {after:.4f}")
    assert after > before - CHANCE


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))
