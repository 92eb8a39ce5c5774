"""Students for tests: their configs, short runs, and how far they agree with their teachers."""

from pathlib import Path
from typing import Any

import numpy
from spacy.language import Language
from spacy.tokens import Doc
from spacy.training import Example
from spacy.util import copy_config
from thinc.api import Config, Model

from helpers.generator import make_texts
from spacy_tinydistill import distill
from spacy_tinydistill.pipes.profile import profile_teacher
from spacy_tinydistill.schemas import read_distillation_config
from spacy_tinydistill.student.config import student_config
from spacy_tinydistill.student.pipeline import initialize_student, make_student, plan_lessons
from spacy_tinydistill.teacher.recorder import annotate

# By which of spaCy's scores a student's pipe is compared to its teacher's.
SCORES = {
    "tagger": "tag_acc",
    "morphologizer": "morph_acc",
    "trainable_lemmatizer": "lemma_acc",
    "senter": "sents_f",
    "parser": "dep_las",
    "ner": "ents_f",
    "textcat": "cats_micro_f",
    "textcat_multilabel": "cats_micro_f",
    "spancat": "spans_sc_f",
    "spancat_singlelabel": "spans_sl_f",
}


def distil_quickly(
    teacher: Any,
    texts: Any,
    output: Path,
    config: Config,
    *,
    steps: int,
    resume: bool = False,
    learn_rate: bool = True,
    gpu_id: int = -1,
    targets: Any = None,
    **overrides: Any,
) -> Language:
    """Distil with few, large steps.

    Args:
        teacher: The pipeline to learn from.
        texts: What to learn on.
        output: The folder to write to.
        config: From `make_config`; not changed.
        steps: How many updates to make; step 0 is one more.
        resume: Go on with an interrupted run.
        learn_rate: False leaves it as the config has it.
        gpu_id: The GPU to run on.
        targets: What was recorded, in place of the texts.
        overrides: Settings of `[distillation]`, or others with their section.
    """
    settings = {
        "distillation.max_steps": steps,
        "distillation.batcher.size": 200,
        # Once at the start and once at the end.
        "training.eval_frequency": 10_000,
        # Says nothing, so that pytest's report stays readable.
        "training.logger": {"@loggers": "spacy.ConsoleLogger.v3", "progress_bar": None, "console_output": False},
    }
    if learn_rate:
        settings["distillation.optimizer.learn_rate.initial_rate"] = 0.02
        settings["distillation.optimizer.learn_rate.warmup_steps"] = 5
    settings.update({key if "." in key else f"distillation.{key}": value for key, value in overrides.items()})
    return distill(
        teacher, texts, output=output, config=config, overrides=settings, targets=targets, resume=resume, gpu_id=gpu_id
    )


def agreement(student: Language, teacher: Language, name: str, texts: list[str]) -> float:
    """How far a student's pipe says what the teacher's says, from 0 to 1, each without help from other pipes."""
    with _alone(teacher, name), _alone(student, name):
        docs = annotate(teacher, (teacher.make_doc(text) for text in texts), hard=True)
        references = [Doc(student.vocab).from_bytes(data) for data in docs]
        return student.evaluate([Example(student.make_doc(doc.text), doc) for doc in references])[SCORES[name]]


def _alone(nlp: Language, name: str) -> Any:
    return nlp.select_pipes(
        enable=[other for other, pipe in nlp.pipeline if other == name or hasattr(pipe, "listeners")]
    )


def make_config(
    teacher: Language,
    pipes: list[str],
    *,
    shared: bool = True,
    encoder: dict[str, Any] | None = None,
    model: dict[str, Any] | None = None,
) -> Config:
    """A nano student's config.

    Args:
        teacher: The pipeline to mirror.
        pipes: Names of its pipes.
        shared: Whether the student's pipes listen to one tok2vec; else each has its own.
        encoder: Another model for that of its own.
        model: What to change in each pipe's model block. Another architecture replaces the block.
    """
    config = student_config(teacher, size="nano", pipeline=pipes)
    for name in pipes:
        block = config["components"][name].get("model")
        if block is not None and model is not None:
            listener = block["tok2vec"]
            if "@architectures" in model:
                block.clear()
            block.update(model)
            if model.get("@architectures") != "spacy.TextCatBOW.v3":
                block["tok2vec"] = listener
    if not shared:
        nano = config["components"].pop("tok2vec")["model"]
        config["nlp"]["pipeline"].remove("tok2vec")
        for name in config["nlp"]["pipeline"]:
            if "tok2vec" in config["components"][name].get("model", {}):
                config["components"][name]["model"]["tok2vec"] = copy_config(encoder or nano)
    return config


def initialized_student(teacher: Language, pipes: list[str], **changes: Any) -> Language:
    """A student with the teacher's labels and random weights; the changes are those of `make_config`."""
    config = make_config(teacher, pipes, **changes)
    profile = profile_teacher(teacher)
    student = make_student(config, profile)
    plan = plan_lessons(student, teacher, read_distillation_config(config.interpolate()))
    examples = [Example(student.make_doc(text), student.make_doc(text)) for text in make_texts(5, seed=3)]
    initialize_student(student, profile, plan, examples)
    return student


def randomize(model: Model, numbers: numpy.random.Generator, scale: float = 0.05) -> None:
    """Move every weight: output layers begin with zeros, through which no gradient flows back."""
    for node in model.walk():
        for name in node.param_names:
            if node.has_param(name):
                value = node.get_param(name)
                node.set_param(name, value + node.ops.asarray_f(numbers.normal(scale=scale, size=value.shape)))


# Of these pipes the targets are that the fixture `recorded` holds.
RECORDED_PIPES = ["tagger", "parser", "ner", "textcat", "spancat"]
