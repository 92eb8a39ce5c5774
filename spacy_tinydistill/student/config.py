"""Write a complete student config that mirrors a teacher's pipes, in one of a few sizes."""

from collections.abc import Sequence
from typing import Any

import spacy
from spacy.language import Language
from spacy.pipeline import TrainablePipe
from spacy.tokens import Doc
from spacy.util import load_model_from_config
from thinc.api import Config

from ..components.base import Mirror, Size
from ..components.registry import find_mirror
from ..errors import DistillationError
from ..judge import read_doc
from ..pipes.pipeline import is_encoder, pipes_of
from ..pipes.profile import resolve_variables, why_not_carried_over
from ..pipes.third_party import find_counterpart, has_weights_elsewhere, is_llm, wraps_module
from ..web.selftest import choose_examples

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

# Settings that are functions, which a pipe holds without the names that they have in a config.
FUNCTIONS = ("scorer", "suggester")

# What can learn a kind of annotation that a model of a user's own writes.
LEARNERS = {
    "tag": "tagger",
    "pos": "morphologizer",
    "morph": "morphologizer",
    "lemma": "trainable_lemmatizer",
    "dep": "parser",
    "ents": "ner",
}

# Stands for what a pipe does not hold.
_NOTHING = object()

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
train = ${paths.gold}
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

# What `spacy train` reads, and distilling does not.
[corpora.train]
@readers = "spacy-tinydistill.GoldCorpus.v1"
path = ${paths.train}
gold_preproc = false
max_length = 0
limit = 0
augmenter = null

[distillation]
corpus = "corpora.distill"
gold_corpus = "corpora.gold"
gold_weight = 1.0
gold_share = 0.0
gold_pipes = null
hold_out = 0.05
dropout = 0.1
max_epochs = 0
max_steps = 4000
teachers = []
teacher_weights = []
student_to_teacher = {}
leave_out = []

[distillation.teaching]

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
train_corpus = "corpora.train"

[training.logger]
@loggers = "spacy.ConsoleLogger.v3"
progress_bar = "eval"

[initialize]
vectors = ${paths.vectors}
"""


def student_config(
    teacher: Language,
    *,
    size: str | Size = "tiny",
    pipeline: list[str] | None = None,
    leave_out: Sequence[str] = (),
    vectors: str | None = None,
) -> Config:
    """Write a config for a CNN student of the teacher's pipes.

    The student's pipes share one `tok2vec`. Their settings other than the model are the teacher's; labels are not
    written, they come from the teacher when the student is made. Rules and functions are carried over, and so is an
    entity linker whose model is its own: it is frozen.

    Args:
        teacher: The pipeline to mirror.
        size: A key of `SIZES`, or one of your own.
        pipeline: The teacher's pipes to mirror, by name; by default all that can be.
        leave_out: Those of the teacher's pipes that the student shall not have.
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
    for name in [*(pipeline or []), *leave_out]:
        if name not in teacher.component_names:
            raise DistillationError("TD504", pipe=name, pipes=", ".join(teacher.component_names))
    unwanted = [name for name in teacher.component_names if name in leave_out or (pipeline and name not in pipeline)]
    names = [name for name in teacher.component_names if name not in unwanted]
    components, initialize, sources = _mirror_pipes(teacher, shape, names, vectors is not None)
    run = Config().from_str(RUN, interpolate=False)
    nlp = resolve_variables(teacher)["nlp"]
    disabled = [name for name in components if _is_disabled(sources.get(name, name), teacher)]
    nlp.update(pipeline=list(components), disabled=disabled, batch_size=BATCH_SIZE)
    config = Config(spacy.blank(teacher.meta["lang"]).config).merge(run)
    config["corpora"] = run["corpora"]
    config["nlp"] = nlp
    config["components"] = components
    config["paths"]["vectors"] = vectors
    config["training"]["score_weights"] = _weights_of_nothing(components, disabled)
    config["distillation"]["student_to_teacher"] = sources
    config["distillation"]["leave_out"] = [name for name in unwanted if not is_encoder(teacher.get_pipe(name))]
    config["initialize"]["components"] = initialize
    # Neither taught nor initialized: it keeps the teacher's weights.
    config["training"]["frozen_components"] = [
        name for name, pipe in pipes_of(teacher) if name in components and _is_kept_with_weights(pipe)
    ]
    # spaCy itself fills in what is left, such as the scorers and their weights.
    return load_model_from_config(config, auto_fill=True).config


def first_config(teacher: Language, leave_out: Sequence[str] = (), size: str = "tiny") -> Config:
    """Write the config of a student to look at within minutes: by default a tiny one, of which fewer updates are made.

    Args:
        teacher: As for `student_config`.
        leave_out: Likewise.
        size: Likewise.
    """
    config = student_config(teacher, size=size, leave_out=leave_out)
    config["distillation"]["max_steps"] = FIRST_UPDATES
    config["training"]["eval_frequency"] = FIRST_EVALUATIONS
    return config


def _is_disabled(source: str, teacher: Language) -> bool:
    """Whether a student's pipe is to be switched off; its encoder is not, as any pipe may be switched on later."""
    return source in teacher.disabled and not is_encoder(teacher.get_pipe(source))


def _weights_of_nothing(components: dict[str, dict[str, Any]], disabled: list[str]) -> dict[str, None]:
    """Name the scores that only pipes have which are switched off, so that they do not count in a student's score."""
    scores = {
        name: set(Language.get_factory_meta(block["factory"]).default_score_weights or {})
        for name, block in components.items()
    }
    counted = {key for name in components if name not in disabled for key in scores[name]}
    return dict.fromkeys(sorted({key for name in disabled for key in scores[name]} - counted))


def _is_kept_with_weights(pipe: Any) -> bool:
    return isinstance(pipe, TrainablePipe) and why_not_carried_over(pipe) is None


def _mirror_pipes(
    teacher: Language, size: Size, names: list[str], has_vectors: bool
) -> tuple[dict[str, dict[str, Any]], dict[str, dict[str, Any]], dict[str, str]]:
    """Design a student's pipes.

    Returns:
        The blocks of `[components]`, those of `[initialize.components]`, and the teacher's pipe for each pipe that has
        another name.
    """
    blocks = resolve_variables(teacher)["components"]
    components: dict[str, dict[str, Any]] = {}
    initialize: dict[str, dict[str, Any]] = {}
    sources: dict[str, str] = {}
    reads_encoder = False
    for source, pipe in teacher.components:
        if source not in names:
            continue
        if source in teacher.disabled and has_weights_elsewhere(pipe):
            continue  # To ask such a model costs
        # What is mirrored is the pipe of spaCy's that can learn what this one writes.
        ways: list[tuple[str | None, dict[str, Any]]] = [*_counterparts(teacher, source)] or [(None, blocks[source])]
        for factory, settings in ways:
            mirrored = Language().create_pipe(factory, config=settings) if factory else pipe
            name = source
            if factory and factory not in {*teacher.pipe_names, *components}:
                name = factory
            elif source in components:
                name = f"{source}_{factory}"
            mirror = find_mirror(mirrored, size)
            if mirror:
                reads_encoder = True
                missing = [key for key in mirror.needed if key not in settings]
                if missing:
                    used = settings.get("factory", factory)
                    raise DistillationError("TD510", pipe=source, settings=", ".join(missing), factory=used)
                components[name] = {**_settings_of(mirrored, mirror, settings), "model": mirror.model}
                if name != source:
                    sources[name] = source
                if mirror.initialize:
                    initialize[name] = mirror.initialize
            elif why_not_carried_over(pipe) is None:
                components[name] = {key: _held_setting(pipe, key, value) for key, value in settings.items()}
    if not components:
        raise DistillationError("TD505", pipes=", ".join(teacher.pipe_names) or "none")
    if reads_encoder:
        # The teacher may have another kind of pipe of that name.
        encoder = "tok2vec"
        while encoder in components:
            encoder = f"student_{encoder}"
        components = _listening_to(encoder, components)
        components = {encoder: {"factory": "tok2vec", "model": _encoder(size, has_vectors)}, **components}
    return components, initialize, sources


def _listening_to(encoder: str, block: Any) -> Any:
    """Have all listeners in a block listen to an encoder."""
    if not isinstance(block, dict):
        return block
    return {key: encoder if key == "upstream" else _listening_to(encoder, value) for key, value in block.items()}


def _counterparts(teacher: Language, name: str) -> list[tuple[str, dict[str, Any]]]:
    """List the factories of spaCy's that learn what somebody else's model writes, with settings; none for others."""
    pipe: Any = teacher.get_pipe(name)
    if counterpart := find_counterpart(pipe):
        return [counterpart]
    if not wraps_module(pipe):
        return []
    found: dict[str, dict[str, Any]] = {}
    are_exclusive = []
    try:
        written = [_what_is_written(teacher, name, text) for text in choose_examples(teacher.meta["lang"])]
    except Exception:  # Of a user's own making. It is told when the teacher is asked, as TD631.
        return []
    for doc, kinds in written:
        found |= {LEARNERS[kind]: {} for kind in kinds if kind in LEARNERS}
        for key in doc.spans:
            if f"spans[{key!r}]" in kinds:
                found["spancat"] = {"spans_key": key}
        are_exclusive += [abs(sum(doc.cats.values()) - 1) < 0.01] if "cats" in kinds else []
        if "sents" in kinds and "dep" not in kinds:
            found["senter"] = {}
    if are_exclusive:
        found["textcat" if all(are_exclusive) else "textcat_multilabel"] = {}
    return list(found.items())


def _what_is_written(teacher: Language, name: str, text: str) -> tuple[Doc, list[str]]:
    """Run a pipe on a text that went through those before it, and list the kinds of annotation that it changes."""
    doc = teacher.make_doc(text)
    for other, pipe in pipes_of(teacher):
        if other == name:
            break
        doc = doc if is_llm(pipe) else pipe(doc)  # Each answer of an LLM costs
    earlier = read_doc(doc, teacher)
    last: Any = teacher.get_pipe(name)
    doc = last(doc)
    later = read_doc(doc, teacher)
    return doc, [kind for kind in later if later[kind] != earlier.get(kind)]


def _settings_of(pipe: Any, mirror: Mirror, block: dict[str, Any]) -> dict[str, Any]:
    """List what a student's pipe is made with, beside its model.

    Args:
        pipe: The pipe that is mirrored. What it holds itself, which may have been changed since it was made, counts
            more than what the config says it was made with.
        mirror: Its mirror.
        block: The pipe's own block. Of another factory than spaCy's, only settings that the mirror's factory has, too.
    """
    settings: dict[str, Any] = {"factory": mirror.factory}
    defaults = Language.get_factory_meta(mirror.factory).default_config or {}
    for key, default in defaults.items():
        if key == "model":
            continue
        cfg = getattr(pipe, "cfg", {})
        if "${" in str(cfg.get(key)):
            # No config can say it. The student's pipe gets it with the rest of its teacher's `cfg`.
            settings[key] = default
        else:
            settings[key] = _held_setting(pipe, key, mirror.settings.get(key, block.get(key, default)))
    return settings


def _held_setting(pipe: Any, key: str, configured: Any) -> Any:
    """Find a setting of a pipe as it is now; what the config says where the pipe does not show it.

    Raises:
        DistillationError: TD240, no config can say it.
    """
    held = getattr(pipe, "cfg", {}).get(key, getattr(pipe, key, _NOTHING))
    is_plain = isinstance(held, str | int | float | None) and key not in (*FUNCTIONS, "factory")
    if is_plain and "${" in str(held):
        raise DistillationError("TD240", reason=f"the setting {key} of a {type(pipe).__name__} is {held!r}.")
    return held if is_plain else configured


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
