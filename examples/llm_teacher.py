"""An LLM as a teacher, and a person who corrects it.

    pip install "spacy-tinydistill[llm]"
    python llm_teacher.py FOLDER

The LLM is asked once about each text, and a tiny pipeline learns what it answered; where a person has corrected it,
that counts instead. docs/teachers.md says more.
"""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Iterable  # noqa: UP035, spacy-llm knows a model by typing's own name

import spacy
from spacy.language import Language
from spacy.tokens import DocBin, Span
from spacy_llm.registry import registry

import spacy_tinydistill
from spacy_tinydistill.student.config import student_config

PEOPLE, PLACES, MOODS = ["Ann", "Bob", "Rio"], ["Rome", "Oslo", "Lima"], {"sings": "GLAD", "weeps": "SAD"}
TEXTS = [f"{person} {verb} in {place}" for person in PEOPLE for verb in MOODS for place in PLACES]

Prompts = Iterable[Iterable[Any]]


@registry.llm_models("example.LocalModel.v1")
def local_model() -> Callable[[Prompts], Prompts]:
    """Stands in the place of a real model, so that the example needs no key and no download.

    A model takes prompts, some for each Doc, and answers each. This one believes that Rio is always the city, and has
    nothing to say of Bob: an empty answer is not learned as "no entities".
    """

    def answer(prompt: str) -> str:
        person, verb, _, place = next(text for text in TEXTS if text in prompt).split()
        if "GLAD" in prompt:
            return MOODS[verb]
        if person == "Bob":
            return ""
        return f"PLACE: {person}, {place}" if person == "Rio" else f"PERSON: {person}\nPLACE: {place}"

    def model(prompts: Prompts) -> Prompts:
        return [[answer(prompt) for prompt in of_doc] for of_doc in prompts]

    return model


def make_teacher() -> Language:
    """Make a pipeline of two LLM components: one names entities, the other chooses a category."""
    nlp = spacy.blank("en")
    model = {"@llm_models": "example.LocalModel.v1"}  # Or spacy.GPT-4.v3, spacy.Claude-2.v2, ...
    entities = {"@llm_tasks": "spacy.NER.v2", "labels": ["PERSON", "PLACE"]}
    moods = {"@llm_tasks": "spacy.TextCat.v3", "labels": ["GLAD", "SAD"], "exclusive_classes": True}
    nlp.add_pipe("llm", name="llm_entities", config={"task": entities, "model": model})
    nlp.add_pipe("llm", name="llm_moods", config={"task": moods, "model": model})
    return nlp


def write_corrections(path: Path) -> None:
    """Write what a person says of some texts: that Rio is somebody's name. Of their moods the person says nothing."""
    nlp = spacy.blank("en")
    docs = []
    for text in TEXTS:
        if text.startswith("Rio"):
            doc = nlp(text)
            # Only this token was looked at: of the others the LLM's word counts.
            doc.set_ents([Span(doc, 0, 1, label="PERSON")], default="missing")
            docs.append(doc)
    DocBin(docs=docs).to_disk(path)


def main(folder: Path) -> Language:
    """Distil a student."""
    folder.mkdir(parents=True, exist_ok=True)
    write_corrections(folder / "corrections.spacy")
    teacher = make_teacher()
    # It has a ner and a textcat, each with the LLM component that it learns from.
    config = student_config(teacher, size="nano")
    return spacy_tinydistill.distill(
        teacher,
        TEXTS * 2,
        output=folder / "student",
        config=config,
        overrides={
            "paths.gold": str(folder / "corrections.spacy"),
            "distillation.max_steps": 40,
            "distillation.batcher.size": 100,
            "distillation.optimizer.learn_rate.initial_rate": 0.02,
            "distillation.optimizer.learn_rate.warmup_steps": 5,
        },
    )


if __name__ == "__main__":
    student = main(Path(sys.argv[1]))
    for text in TEXTS:
        doc = student(text)
        print(text, [(ent.text, ent.label_) for ent in doc.ents], max(doc.cats, key=lambda label: doc.cats[label]))
