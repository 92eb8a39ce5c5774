"""Several teachers at once: what they say is averaged.

    pip install "spacy-tinydistill[distill]"
    python several_teachers.py FOLDER

Each teacher here has seen other texts, and is mistaken now and then; their average is less sure where they disagree.
docs/teachers.md says more.
"""

import random
import sys
from pathlib import Path

import spacy
from spacy.language import Language
from spacy.training import Example
from thinc.api import fix_random_seed

import spacy_tinydistill

PEOPLE, PLACES, VERBS = ["Ann", "Bob", "Zoe", "Eve"], ["Rome", "Oslo", "Lima", "Bern"], ["sings", "weeps"]
TEXTS = [f"{person} {verb} in {place}" for person in PEOPLE for verb in VERBS for place in PLACES]


def train_teacher(seed: int, folder: Path) -> None:
    """Train an entity recognizer on half of the texts."""
    fix_random_seed(seed)
    nlp = spacy.blank("en")
    nlp.add_pipe("ner")
    examples = []
    for text in random.Random(seed).sample(TEXTS, len(TEXTS) // 2):
        person, _, _, place = text.split()
        entities = [(0, len(person), "PERSON"), (len(text) - len(place), len(text), "PLACE")]
        examples.append(Example.from_dict(nlp.make_doc(text), {"entities": entities}))
    optimizer = nlp.initialize(lambda: examples)
    for _ in range(10):
        nlp.update(examples, sgd=optimizer)
    nlp.meta["name"] = f"teacher_{seed}"
    nlp.to_disk(folder)


def main(folder: Path) -> Language:
    """Distil a student."""
    paths = [folder / "teacher_1", folder / "teacher_2"]
    for seed, path in enumerate(paths, start=1):
        train_teacher(seed, path)
    return spacy_tinydistill.distill(
        paths,
        TEXTS * 2,
        output=folder / "student",
        overrides={
            "distillation.teacher_weights": [2, 1],  # The first counts twice as much.
            "distillation.max_steps": 40,
            "distillation.batcher.size": 100,
            "distillation.optimizer.learn_rate.initial_rate": 0.02,
            "distillation.optimizer.learn_rate.warmup_steps": 5,
        },
    )


if __name__ == "__main__":
    student = main(Path(sys.argv[1]))
    for text in TEXTS:
        print(text, [(ent.text, ent.label_) for ent in student(text).ents])
