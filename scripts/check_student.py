"""Load an installed student where there is nothing but spaCy, and let it classify questions."""

import sys
from importlib.util import find_spec

import spacy

QUESTIONS = {
    "Where is the highest mountain in Africa ?": "LOC",
    "Who wrote the first detective story ?": "HUM",
    "How many legs does a spider have ?": "NUM",
    "What does NATO stand for ?": "ABBR",
}


def main(name: str) -> None:
    """Check that a package loads without this library and PyTorch, and answers as it should."""
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


if __name__ == "__main__":
    main(sys.argv[1])
