"""Teachers and texts that the tests share."""
# ruff: noqa: E402

import os

# Before any library starts its threads: small matrices are slower on several, and the results less repeatable.
for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(name, "1")
# No test may reach for the network.
os.environ.setdefault("HF_HUB_OFFLINE", "1")

import random
from pathlib import Path
from typing import Any

import numpy
import pytest
import spacy
from generator import TOPICS, TRAITS, make_docs, make_texts, topic_of
from spacy.language import Language
from spacy.tokens import Doc
from spacy.training import Example
from spacy.util import copy_config
from thinc.api import Adam, Config, Model, fix_random_seed

from spacy_tinydistill import distill
from spacy_tinydistill.pipes.profile import profile_teacher
from spacy_tinydistill.schemas import read_distillation_config
from spacy_tinydistill.student.config import student_config
from spacy_tinydistill.student.pipeline import initialize_student, make_student, plan_lessons
from spacy_tinydistill.teacher.recorder import annotate

# Every trainable pipe that spaCy ships, in an order in which each finds what it reads.
PIPES = [
    "tagger",
    "morphologizer",
    "trainable_lemmatizer",
    "senter",
    "parser",
    "ner",
    "textcat",
    "textcat_multilabel",
    "spancat",
    "spancat_singlelabel",
]

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

TEACHER_WIDTH = 64
SUGGESTER = {"@misc": "spacy.ngram_suggester.v1", "sizes": [1, 2, 3]}
SETTINGS = {
    "trainable_lemmatizer": {"min_tree_freq": 1},
    "spancat": {"spans_key": "sc", "suggester": SUGGESTER},
    "spancat_singlelabel": {"spans_key": "sl", "suggester": SUGGESTER},
}
LABELS = {"textcat": list(TOPICS), "textcat_multilabel": TRAITS}


@pytest.fixture(scope="session")
def teacher() -> Language:
    """A CNN pipeline with all pipes, which is good at the generator's language. Tests must not change it."""
    return train_teacher(PIPES)


@pytest.fixture
def in_float32(monkeypatch) -> None:
    """Teachers are asked in float32, also on a CPU that is faster in bfloat16."""
    monkeypatch.setattr("spacy_tinydistill.pipes.precision.CPU_CAPABILITIES", ())


@pytest.fixture(scope="session")
def texts() -> list[str]:
    """What students learn on."""
    return make_texts(150, seed=1)


@pytest.fixture(scope="session")
def held_out_texts() -> list[str]:
    """What students are scored on."""
    return make_texts(30, seed=2)


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


def train_teacher(pipes: list[str], *, count: int = 80, epochs: int = 4) -> Language:
    fix_random_seed(0)
    nlp = spacy.blank("en")
    nlp.add_pipe("tok2vec", config={"model": cnn(TEACHER_WIDTH)})
    for name in pipes:
        nlp.add_pipe(name, config={**SETTINGS.get(name, {}), "model": _model_settings(name)})
    gold = [Example(nlp.make_doc(doc.text), doc) for doc in make_docs(nlp.vocab, count, seed=0)]
    topics = [_only_topics(example) for example in gold]
    for name in pipes:
        if name in LABELS:
            nlp.config["initialize"]["components"][name] = {"labels": LABELS[name]}
    # The exclusive text categorizer refuses Examples where more than one category is true.
    nlp.initialize(lambda: topics)
    optimizer = Adam(0.005, L2=0.0, grad_clip=1.0)
    numbers = random.Random(0)
    order = list(range(len(gold)))
    for _ in range(epochs):
        numbers.shuffle(order)
        for start in range(0, len(order), 6):
            batch = order[start : start + 6]
            nlp.update([gold[i] for i in batch], sgd=optimizer, drop=0.1, exclude=["textcat"])
            if "textcat" in pipes:
                nlp.get_pipe("textcat").update([topics[i] for i in batch], sgd=optimizer, drop=0.1)
    return nlp


def cnn(width: int, *, depth: int = 2, rows: int = 1000, subwords: bool = True) -> dict[str, Any]:
    return {
        "@architectures": "spacy.HashEmbedCNN.v2",
        "width": width,
        "depth": depth,
        "embed_size": rows,
        "window_size": 1,
        "maxout_pieces": 2,
        "subword_features": subwords,
        "pretrained_vectors": None,
    }


def _model_settings(name: str) -> dict:
    # A text categorizer's loss is a mean, the other pipes' are sums: in a shared encoder it would hardly be heard.
    listener = {"@architectures": "spacy.Tok2VecListener.v1", "width": TEACHER_WIDTH, "upstream": "*"}
    return {"tok2vec": cnn(TEACHER_WIDTH) if name in LABELS else listener, **_ARCHITECTURES.get(name, {})}


TEXT_CATEGORIZER = {
    "@architectures": "spacy.TextCatReduce.v1",
    "use_reduce_first": False,
    "use_reduce_last": False,
    "use_reduce_max": True,
    "use_reduce_mean": True,
}
_ARCHITECTURES = {
    "textcat": {**TEXT_CATEGORIZER, "exclusive_classes": True},
    "textcat_multilabel": {**TEXT_CATEGORIZER, "exclusive_classes": False},
}


def _only_topics(example: Example) -> Example:
    reference = example.reference.copy()
    reference.cats = topic_of(reference)
    return Example(example.predicted.copy(), reference)


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
                node.set_param(name, value + numbers.normal(scale=scale, size=value.shape).astype("float32"))
