"""The [distillation] block of a config: every default and every check in one place."""

from collections.abc import Callable, Iterable
from configparser import Error as ConfigParserError
from difflib import get_close_matches
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, ValidationError
from spacy.training import Example
from spacy.training.batchers import configure_minibatch_by_words
from spacy.util import registry
from thinc.api import Adam, Config, ConfigValidationError, Optimizer

from .components.base import TeachingRule
from .errors import DistillationError

# Settings that a config spells as the name and the arguments of a registered function.
MADE_BY_FUNCTIONS = ("teaching", "batcher", "optimizer")


class DistillationConfig(BaseModel):
    """The settings of a run.

    spaCy v4's `[distillation]` (`corpus`, `batcher`, `dropout`, `max_epochs`, `max_steps`, `optimizer`,
    `student_to_teacher`) with the same meanings, and what is ours. What both training and distilling need, such as
    `eval_frequency`, `logger`, `seed` and `frozen_components`, is in `[training]`, as in v4.
    """

    model_config = ConfigDict(extra="forbid", arbitrary_types_allowed=True)

    corpus: str = Field(
        "corpora.distill",
        title="Where in the config the corpus to learn on is",
        description="The dotted name of a block in `[corpora]`. Its texts need no annotations: the teacher speaks "
        "about them.",
    )
    gold_corpus: str | None = Field(
        None,
        title="Where in the config the corpus with gold annotations is",
        description="Its Docs are learned twice in each update: from their annotations, by spaCy's own losses, and "
        "from the teacher; but a teacher's hard labels are not learned where there are gold ones of the same thing. "
        "Null for none.",
    )
    gold_weight: float = Field(
        1.0,
        ge=0.0,
        title="Weight of the gold annotations' loss; the teacher's is 1",
        description="Raise it where gold texts are few among the others. 0 leaves their annotations out and learns "
        "their texts from the teacher alone.",
    )
    gold_share: float = Field(
        0.0,
        ge=0.0,
        lt=1.0,
        title="Share of the words learned on that have gold annotations",
        description="With 0, an epoch has each text once, gold or not. With more, an epoch has each text without gold "
        "once, and gold ones among them, each as often as it takes. For gold texts that are few beside the others and "
        "are what the student is for.",
    )
    hold_out: float = Field(
        0.05,
        gt=0.0,
        lt=1.0,
        title="Share of the corpus to score on where there is no dev corpus",
        description="These texts, however often they occur, are not learned on; the student's score is its agreement "
        "with the teacher there.",
    )
    dropout: float = Field(0.1, ge=0.0, lt=1.0, title="Dropout rate", description="Of the student's layers.")
    max_epochs: int = Field(
        0,
        ge=-1,
        title="Most passes over the corpus; 0 for no limit, -1 to stream it",
        description="A streamed corpus is neither read to its end before the first update, nor shuffled, nor recorded: "
        "the teacher is asked again in each epoch. It needs a dev corpus.",
    )
    max_steps: int = Field(
        4000,
        ge=0,
        title="Most updates; 0 for no limit",
        description="In the configs that `init distill-config` writes, the learning rate falls to 0 by then.",
    )
    teachers: list[str] = Field(
        default_factory=list,
        title="Packages or folders of the teachers",
        description="Where the command says `-` in the place of one. Of several the soft labels are averaged. The "
        "first should be the one that counts most: the student takes its tokenizer and rules over and is compared "
        "with it.",
    )
    teacher_weights: list[PositiveFloat] = Field(
        default_factory=list,
        title="How much each of several teachers counts",
        description="One number for each, of any sum. Empty where all count the same.",
    )
    student_to_teacher: dict[str, str] = Field(
        default_factory=dict,
        title="Teacher's pipe for each student pipe",
        description="A pipe that is not named here learns from the teacher's pipe of its own name.",
    )
    teaching: dict[str, TeachingRule] = Field(
        default_factory=dict,
        title="How each student pipe is taught",
        description="One block for each pipe whose rule is not to be chosen by itself, or is to have other settings.",
    )
    batcher: Callable[[Iterable[Example]], Iterable[list[Example]]] = Field(
        default_factory=lambda: configure_minibatch_by_words(size=1500, tolerance=0.2, discard_oversize=False),
        title="Batcher",
        description="Makes each update's batch. Without this block, as `init distill-config` writes it.",
    )
    optimizer: Optimizer = Field(
        default_factory=lambda: Adam(0.001),
        title="Optimizer",
        description="Without this block, Adam with a learning rate of 0.001 that stays as it is.",
    )


def read_distillation_config(config: Config) -> DistillationConfig:
    """Resolve and check a config's `[distillation]` block.

    Args:
        config: The whole config.

    Raises:
        DistillationError: TD001, there is no such block; TD002, a key that does not exist; TD003, a value of the
            wrong kind or out of range; TD004, a registered function of this block that does not exist or takes other
            arguments, or one anywhere in the config that is named by something other than text; TD005, the config
            uses a variable that it does not define.
    """
    # The block is looked for first: others use its values, and without it the complaint would be about those.
    if not isinstance(config.get("distillation"), dict):
        raise DistillationError("TD001", sections=", ".join(f"[{name}]" for name in config) or "no blocks at all")
    try:
        interpolated = config.interpolate()
    except ConfigValidationError as error:
        raise DistillationError("TD005", reason=reason_of(error)) from None
    except (ConfigParserError, ValueError) as error:
        raise DistillationError("TD005", reason=error) from None
    except (LookupError, TypeError, AttributeError, RecursionError) as error:
        # What the parser falls over, it says nothing of.
        raise DistillationError("TD005", reason=repr(error)) from None
    _check_function_names(interpolated)
    block = interpolated["distillation"]
    known = set(DistillationConfig.model_fields)
    for key in block:
        if key not in known:
            close = get_close_matches(key, known, n=1)
            hint = f'Did you mean "{close[0]}"?' if close else "Remove it."
            raise DistillationError("TD002", key=key, hint=hint, known=", ".join(sorted(known)))
    # Plain values first, since they are also arguments of functions: a learning rate depends on max_steps.
    _validate({key: value for key, value in block.items() if key not in MADE_BY_FUNCTIONS})
    try:
        resolved: dict[str, Any] = registry.resolve({"distillation": block})["distillation"]
    except ConfigValidationError as error:
        raise DistillationError("TD004", reason=reason_of(error)) from None
    except (ValueError, TypeError) as error:
        raise DistillationError("TD004", reason=error) from None
    return _validate(resolved)


def _check_function_names(block: dict[str, Any], path: str = "") -> None:
    """See that what a config names functions by are names: the registry falls over anything else."""
    for key, value in block.items():
        if key.startswith("@") and not isinstance(value, str):
            raise DistillationError("TD004", reason=f"{path}{key} is {value!r}, which is no function's name.")
        if isinstance(value, dict):
            _check_function_names(value, f"{path}{key}.")


def shares_of(settings: DistillationConfig, count: int) -> list[float]:
    """Say how much each of some teachers counts, so that these numbers sum to 1.

    Raises:
        DistillationError: TD014, there are weights for another number of teachers.
    """
    weights = settings.teacher_weights if count > 1 else []
    if weights and len(weights) != count:
        raise DistillationError("TD014", found=len(weights), expected=count)
    total = sum(weights)
    return [weight / total for weight in weights] or [1 / count] * count


def reason_of(error: ConfigValidationError) -> str:
    """Say what is wrong with a config, and with which values, but not the whole config, which spaCy would show."""
    found = []
    for item in error.errors or ():
        value = error.config
        for part in item.get("loc", ()):
            value = value.get(part) if isinstance(value, dict) else None
        if isinstance(value, str | int | float):
            found.append(f"found {value!r}")
    return ", ".join([error.from_error(error, show_config=False).text.strip(), *found])


def _validate(values: dict[str, Any]) -> DistillationConfig:
    for key, value in values.items():
        # To pydantic it is the number 1. On the command line it is what an option without a value says.
        if isinstance(value, bool):
            raise DistillationError("TD003", key=key, value=value, reason="No setting is true or false.")
    try:
        return DistillationConfig.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        raise DistillationError("TD003", key=key, value=first["input"], reason=first["msg"]) from None


def check_end(config: Config, settings: DistillationConfig, training: dict[str, Any]) -> None:
    """See that a run stops some day, and does not stop learning before that.

    Args:
        config: The whole config.
        settings: The `[distillation]` block.
        training: The `[training]` block, resolved.

    Raises:
        DistillationError: TD007, it would not stop; TD009, its learning rate falls to 0 at once.
    """
    if not settings.max_steps and settings.max_epochs < 1 and not training["patience"]:
        raise DistillationError("TD007")
    # In the configs that we write it follows max_steps, and somebody might count in epochs instead.
    schedule = config.interpolate()["distillation"].get("optimizer", {}).get("learn_rate")
    if isinstance(schedule, dict) and schedule.get("total_steps") == 0:
        raise DistillationError("TD009")
