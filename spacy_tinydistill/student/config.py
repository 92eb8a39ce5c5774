"""Write a complete student config that mirrors a teacher's pipes, in one of a few sizes."""

from dataclasses import dataclass
from typing import Any

import spacy
from spacy.language import Language
from spacy.pipeline import TextCategorizer, TrainablePipe
from spacy.util import copy_config, load_model_from_config
from thinc.api import Config

from ..components.base import pipes_of
from ..errors import DistillationError
from ..teacher.wrapped import find_counterpart


@dataclass(frozen=True)
class Size:
    """How large a CNN student is."""

    width: int  # of a token's vector
    depth: int  # layers of the encoder, each of which sees one token further to both sides
    pieces: int  # of each of the encoder's maxout units
    rows: dict[str, int]  # of the hash table for each attribute of a token
    hidden_width: int  # of the parser's and the entity recognizer's state


# What they have was chosen by a sweep: docs/benchmarks.md.
SIZES = {
    "mini": Size(
        width=128,
        depth=4,
        pieces=3,
        rows={"NORM": 10000, "PREFIX": 2000, "SUFFIX": 5000, "SHAPE": 5000},
        hidden_width=64,
    ),
    "tiny": Size(
        width=96,
        depth=4,
        pieces=2,
        rows={"NORM": 5000, "PREFIX": 1000, "SUFFIX": 2500, "SHAPE": 2500},
        hidden_width=64,
    ),
    "nano": Size(
        width=48,
        depth=3,
        pieces=2,
        rows={"NORM": 1800, "PREFIX": 400, "SUFFIX": 900, "SHAPE": 900},
        hidden_width=32,
    ),
}

# Docs that `nlp.pipe` lets through at once. More help short texts little, and make arrays of long ones that outgrow the
# caches: docs/benchmarks.md.
BATCH_SIZE = 64

# The updates, and those between evaluations, of a first student, for which nobody wrote a config: minutes, not an hour.
FIRST_UPDATES = 600
FIRST_EVALUATIONS = 100

RUN = """
[paths]
distill = null
gold = null
dev = null
vectors = null

[system]
seed = 0
gpu_allocator = null

[corpora]

[corpora.distill]
@readers = "spacy-tinydistill.TextCorpus.v1"
path = ${paths.distill}
skip_bad_lines = false
max_length = 500
limit = 0
column = "text"
delimiter = null
quotechar = "\\""
quoting = "QUOTE_MINIMAL"
escapechar = null
doublequote = true
texts_per_doc = 1

[corpora.gold]
@readers = "spacy-tinydistill.GoldCorpus.v1"
path = ${paths.gold}
gold_preproc = false
max_length = 0
limit = 0
augmenter = null

[corpora.dev]
@readers = "spacy-tinydistill.GoldCorpus.v1"
path = ${paths.dev}
gold_preproc = false
max_length = 0
limit = 0
augmenter = null

[distillation]
corpus = "corpora.distill"
gold_corpus = "corpora.gold"
gold_weight = 1.0
gold_share = 0.0
hold_out = 0.05
dropout = 0.1
max_epochs = 0
max_steps = 4000
teachers = []
teacher_weights = []
student_to_teacher = {}

[distillation.batcher]
@batchers = "spacy.batch_by_words.v1"
size = 1500
tolerance = 0.2
discard_oversize = false

[distillation.optimizer]
@optimizers = "Adam.v1"
beta1 = 0.9
beta2 = 0.999
L2_is_weight_decay = true
L2 = 0.01
grad_clip = 1.0
use_averages = true
eps = 1e-8

[distillation.optimizer.learn_rate]
@schedules = "warmup_linear.v1"
warmup_steps = 100
total_steps = ${distillation.max_steps}
initial_rate = 0.002

[training]
seed = ${system.seed}
gpu_allocator = ${system.gpu_allocator}
max_steps = ${distillation.max_steps}
eval_frequency = 200
patience = 0
dev_corpus = "corpora.dev"
train_corpus = "corpora.gold"

[training.logger]
@loggers = "spacy.ConsoleLogger.v3"
progress_bar = "eval"

[initialize]
vectors = ${paths.vectors}
"""


def student_config(
    teacher: Language, *, size: str | Size = "tiny", pipeline: list[str] | None = None, vectors: str | None = None
) -> Config:
    """Write a config for a CNN student of the teacher's pipes.

    The student's pipes share one `tok2vec`. Their settings other than the model are the teacher's; labels are not
    written, they come from the teacher when the student is made. Rule-based pipes are carried over.

    Args:
        teacher: The pipeline to mirror.
        size: A key of `SIZES`, or one of your own.
        pipeline: The teacher's pipes to mirror, by name; by default all that can be.
        vectors: A folder or package with static vectors for the student to read, such as `vectors.distill_vectors`
            makes; by default it has none.

    Returns:
        The config, complete, with `[paths]` left null.

    Raises:
        DistillationError: TD503, no such size; TD504, no such pipe; TD505, nothing that can be mirrored.
    """
    shape = SIZES.get(size) if isinstance(size, str) else size
    if shape is None:
        raise DistillationError("TD503", size=size, known=", ".join(SIZES))
    for name in pipeline or []:
        if name not in teacher.pipe_names:
            raise DistillationError("TD504", pipe=name, pipes=", ".join(teacher.pipe_names))
    components, sources = _mirror_pipes(teacher, shape, pipeline or teacher.pipe_names, vectors is not None)
    run = Config().from_str(RUN, interpolate=False)
    nlp = copy_config(teacher.config["nlp"])
    nlp.update(pipeline=list(components), disabled=[], batch_size=BATCH_SIZE)
    config = Config(spacy.blank(teacher.meta["lang"]).config).merge(run)
    config["corpora"] = run["corpora"]
    config["nlp"] = nlp
    config["components"] = components
    config["paths"]["vectors"] = vectors
    config["distillation"]["student_to_teacher"] = sources
    for name, pipe in pipes_of(teacher):
        if name in components and isinstance(pipe, TextCategorizer) and pipe.cfg.get("positive_label"):
            config["initialize"]["components"][name] = {"positive_label": pipe.cfg["positive_label"]}
    # spaCy itself fills in what is left, such as the scorers and their weights, and a corpus that we do not use.
    config = load_model_from_config(config, auto_fill=True).config
    del config["corpora"]["train"]
    return config


def first_config(teacher: Language) -> Config:
    """Write the config of a student to look at within minutes: a tiny one, of which fewer updates are made.

    Args:
        teacher: As for `student_config`.
    """
    config = student_config(teacher)
    config["distillation"]["max_steps"] = FIRST_UPDATES
    config["training"]["eval_frequency"] = FIRST_EVALUATIONS
    return config


def unmirrored_pipes(teacher: Language, config: Config) -> list[str]:
    """List the teacher's pipes that predict something and have no counterpart in a student's config."""
    taught = {*config["components"], *config["distillation"]["student_to_teacher"].values()}
    return [name for name, pipe in pipes_of(teacher) if name not in taught and not hasattr(pipe, "listeners")]


def _mirror_pipes(
    teacher: Language, size: Size, names: list[str], has_vectors: bool
) -> tuple[dict[str, dict[str, Any]], dict[str, str]]:
    """Make a student's pipes, and name the teacher's pipe for each that has another name."""
    mirrored: dict[str, dict[str, Any]] = {}
    sources: dict[str, str] = {}
    for source, pipe in pipes_of(teacher):
        if source not in names:
            continue
        name, settings = source, copy_config(teacher.config["components"][source])
        counterpart = find_counterpart(pipe)
        if counterpart:
            factory, ours = counterpart
            name = source if factory in {*teacher.pipe_names, *mirrored} else factory
            defaults = Language.get_factory_meta(factory).default_config or {}
            settings = Config({"factory": factory, "model": copy_config(defaults["model"]), **ours})
            if name != source:
                sources[name] = source
        if settings["factory"] in _MODELS:
            settings["model"] = _MODELS[settings["factory"]](size, settings.pop("model"))
        elif not _can_be_carried_over(pipe):
            continue
        mirrored[name] = settings
    if not any(settings["factory"] in _MODELS for settings in mirrored.values()):
        if not mirrored:
            raise DistillationError("TD505", pipes=", ".join(teacher.pipe_names) or "none")
        return mirrored, sources
    return {"tok2vec": {"factory": "tok2vec", "model": _encoder(size, has_vectors)}, **mirrored}, sources


def _can_be_carried_over(pipe: Any) -> bool:
    """Whether a pipe is one of spaCy's own that works by rules alone."""
    is_spacy = type(pipe).__module__.startswith("spacy.")
    return is_spacy and not isinstance(pipe, TrainablePipe)


def _encoder(size: Size, has_vectors: bool) -> dict[str, Any]:
    return {
        "@architectures": "spacy.Tok2Vec.v2",
        "embed": {
            "@architectures": "spacy.MultiHashEmbed.v2",
            "width": size.width,
            "attrs": list(size.rows),
            "rows": list(size.rows.values()),
            "include_static_vectors": has_vectors,
        },
        "encode": {
            "@architectures": "spacy.MaxoutWindowEncoder.v2",
            "width": size.width,
            "depth": size.depth,
            "window_size": 1,
            "maxout_pieces": size.pieces,
        },
    }


def _listener(size: Size) -> dict[str, Any]:
    return {"@architectures": "spacy.Tok2VecListener.v1", "width": size.width, "upstream": "tok2vec"}


def _tagger(size: Size, teacher: dict[str, Any]) -> dict[str, Any]:
    return {"@architectures": "spacy.Tagger.v2", "nO": None, "normalize": False, "tok2vec": _listener(size)}


def _parser(size: Size, teacher: dict[str, Any]) -> dict[str, Any]:
    return {
        "@architectures": "spacy.TransitionBasedParser.v2",
        "state_type": teacher["state_type"],
        "extra_state_tokens": False,
        "hidden_width": size.hidden_width,
        "maxout_pieces": 2,
        "use_upper": True,
        "nO": None,
        "tok2vec": _listener(size),
    }


def _textcat(exclusive: bool) -> Any:
    def model(size: Size, teacher: dict[str, Any]) -> dict[str, Any]:
        return {
            "@architectures": "spacy.TextCatReduce.v1",
            "exclusive_classes": exclusive,
            "use_reduce_first": False,
            "use_reduce_last": False,
            "use_reduce_max": True,
            "use_reduce_mean": True,
            "nO": None,
            "tok2vec": _listener(size),
        }

    return model


def _spancat(size: Size, teacher: dict[str, Any]) -> dict[str, Any]:
    return {
        "@architectures": "spacy.SpanCategorizer.v1",
        "tok2vec": _listener(size),
        "reducer": {"@layers": "spacy.mean_max_reducer.v1", "hidden_size": size.width},
        "scorer": teacher["scorer"],
    }


# How a student's model is made, by spaCy factory, from the size and the teacher's own model block.
_MODELS = {
    "tagger": _tagger,
    "morphologizer": _tagger,
    "senter": _tagger,
    "trainable_lemmatizer": _tagger,
    "parser": _parser,
    "ner": _parser,
    "textcat": _textcat(exclusive=True),
    "textcat_multilabel": _textcat(exclusive=False),
    "spancat": _spancat,
    "spancat_singlelabel": _spancat,
}
