"""What a config may contain, above all its [distillation] block: settings, defaults and checks."""

from collections.abc import Callable, Iterable, Iterator
from configparser import Error as ConfigParserError
from contextlib import contextmanager
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from catalogue import RegistryError
from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, ValidationError
from spacy.schemas import ConfigSchemaTraining
from spacy.training import Example
from spacy.training.batchers import configure_minibatch_by_words
from spacy.util import registry
from thinc.api import Adam, Config, ConfigValidationError, Optimizer, set_gpu_allocator

from .components.base import TeachingRule
from .config_files import config_to_text, interpolate, literal, names_nothing, parse_config, read_config_file
from .errors import DistillationError

# Settings that are written as a registered function and its arguments.
MADE_BY_FUNCTIONS = ("teaching", "batcher", "optimizer")


class DistillationConfig(BaseModel):
    """The settings of a run: the `[distillation]` block.

    It has all settings of spaCy v4's block (`corpus`, `batcher`, `dropout`, `max_epochs`, `max_steps`, `optimizer`,
    `student_to_teacher`), with the same meanings, and some more. Settings that training and distilling share, such as
    `eval_frequency`, `logger`, `seed` and `frozen_components`, are in `[training]`, as in v4.
    """

    model_config = ConfigDict(extra="forbid", arbitrary_types_allowed=True)

    corpus: str = Field(
        "corpora.distill",
        title="Block of the corpus to learn from",
        description="The dotted name of a block in `[corpora]`. Its texts need no annotations: the teacher annotates "
        "them.",
    )
    gold_corpus: str | None = Field(
        None,
        title="Block of the corpus with gold annotations",
        description="Its Docs are learned from twice in each update: from the gold annotations, with spaCy's own "
        "losses, and from the teacher. If the teacher gives hard labels, gold annotations replace them. Null for none.",
    )
    gold_weight: float = Field(
        1.0,
        ge=0.0,
        title="Weight of the loss on gold annotations. The teacher's loss has weight 1",
        description="Raise it if few texts have gold annotations. 0 ignores the annotations and learns these texts "
        "from the teacher only.",
    )
    gold_share: float = Field(
        0.0,
        ge=0.0,
        lt=1.0,
        title="Share of the words in an epoch that have gold annotations",
        description="0 uses each text once per epoch, gold or not. Above 0, gold texts are repeated until they make up "
        "this share. Use it if the gold texts are few, and are the kind of text that the student is for.",
    )
    gold_pipes: list[str] | None = Field(
        None,
        title="Student pipes that learn from gold annotations. Null for all",
        description="The others learn from the teacher alone. Name them where two pipes learn annotations of one kind, "
        "such as two `ner`: the annotations do not say which of the two they are for. Categories are for the "
        "classifiers that have them.",
    )
    hold_out: float = Field(
        0.05,
        gt=0.0,
        lt=1.0,
        title="Share of the corpus that is held out to score on if there is no dev corpus",
        description="The student does not learn from these texts or their duplicates. Its score is its agreement with "
        "the teacher on them.",
    )
    dropout: float = Field(0.1, ge=0.0, lt=1.0, title="Dropout rate", description="Used in the student's layers.")
    max_epochs: int = Field(
        0,
        ge=-1,
        title="Maximum number of epochs. 0 for no limit, -1 to stream the corpus",
        description="A streamed corpus is not read in advance, not shuffled and not recorded: the teacher runs again "
        "in each epoch. It needs a dev corpus.",
    )
    max_steps: int = Field(
        4000,
        ge=0,
        title="Maximum number of updates. 0 for no limit",
        description="In a config from `init distill-config`, the learning rate falls to 0 over this many updates.",
    )
    teachers: list[str] = Field(
        default_factory=list,
        title="Packages or folders of the teachers",
        description="Used if the command names `-` as the teacher. The soft labels of several teachers are averaged. "
        "Name the most important one first: the student gets its tokenizer and rule-based pipes and is compared with "
        "it.",
    )
    teacher_weights: list[PositiveFloat] = Field(
        default_factory=list,
        title="Weights of several teachers",
        description="One number per teacher; they need not sum to 1. Empty to weigh all alike.",
    )
    student_to_teacher: dict[str, str] = Field(
        default_factory=dict,
        title="The teacher's pipe that a student pipe learns from, if their names differ",
        description="A pipe that is not listed learns from the teacher's pipe of the same name.",
    )
    leave_out: list[str] | None = Field(
        None,
        title="The teacher's pipes that the student shall not have",
        description="A pipe that is not in the student and not named here is warned of, and counts as 0 in the "
        "retention. Null if the config was written by hand: its pipes are then those that were wanted.",
    )
    teaching: dict[str, TeachingRule] = Field(
        default_factory=dict,
        title="Teaching rules of student pipes",
        description="One block per pipe that needs another rule than the default one, or other settings.",
    )
    batcher: Callable[[Iterable[Example]], Iterable[list[Example]]] = Field(
        default_factory=lambda: configure_minibatch_by_words(size=1500, tolerance=0.2, discard_oversize=False),
        title="Batcher",
        description="Makes the batch of each update. The default is the one that `init distill-config` writes.",
    )
    optimizer: Optimizer = Field(
        default_factory=lambda: Adam(0.001),
        title="Optimizer",
        description="The default is Adam with a constant learning rate of 0.001.",
    )

    def learns_from_gold(self, pipe: str) -> bool:
        """Whether gold annotations are for this pipe of the student."""
        return self.gold_pipes is None or pipe in self.gold_pipes


def read_config(config: str | Path | Config, overrides: dict[str, Any]) -> Config:
    """Read a config and put values into it, without interpolating it.

    Raises:
        DistillationError: TD005, it cannot be read, or a value is to be put where there is no block; TD010, a value's
            name has no block; TD013, a value is to be put in place of a path and is none; TD017, it would run a model's
            own code.
    """
    for key, value in overrides.items():
        if "." not in key:
            close = get_close_matches(key, DistillationConfig.model_fields, n=1)
            hint = f'Did you mean "distillation.{close[0]}"?' if close else ""
            raise DistillationError("TD010", option=repr(key), hint=hint)
        if key.startswith("paths.") and value is not None and not isinstance(value, str | Path):
            raise DistillationError("TD013", key=key, value=value)
    try:
        found = config if isinstance(config, Config) else read_config_file(config)
        found = parse_config(config_to_text(found), _paths_as_texts(found, overrides))
    except ConfigValidationError as error:
        raise DistillationError("TD005", reason=reason_of(error)) from None
    except (OSError, ValueError, ConfigParserError) as error:
        raise DistillationError("TD005", reason=error) from None
    except (LookupError, TypeError, AttributeError, RecursionError) as error:
        # What the parser falls over, it says nothing of.
        raise DistillationError("TD005", reason=repr(error)) from None
    _refuse_remote_code(found)
    return found


def _paths_as_texts(config: Config, overrides: dict[str, Any]) -> dict[str, Any]:
    """Write the paths among some overrides as a config has them: one may look like a variable."""
    paths = {key: str(value) for key, value in overrides.items() if key.startswith("paths.") and value is not None}
    return overrides | {key: literal(path) if names_nothing(config, path) else path for key, path in paths.items()}


def _refuse_remote_code(block: dict[str, Any], path: str = "") -> None:
    """See that no Hugging Face model of which a config names the arguments may bring its own code."""
    for key, value in block.items():
        if key == "trust_remote_code" and value:
            raise DistillationError("TD017", key=f"{path}{key}", value=value)
        if isinstance(value, dict):
            _refuse_remote_code(value, f"{path}{key}.")


def read_distillation_config(config: Config) -> DistillationConfig:
    """Resolve and check a config's `[distillation]` block.

    Args:
        config: The whole config.

    Raises:
        DistillationError: TD001, the block is missing; TD002, an unknown setting; TD003, a value of the wrong type or
            out of range; TD004, a registered function that does not exist or takes other arguments, or a function name
            that is not a string; TD005, a variable that the config does not define.
    """
    # First, because other blocks use its values and would cause a less helpful error.
    if not isinstance(config.get("distillation"), dict):
        raise DistillationError("TD001", sections=", ".join(f"[{name}]" for name in config) or "no blocks at all")
    try:
        interpolated = interpolate(config)
    except ConfigValidationError as error:
        raise DistillationError("TD005", reason=reason_of(error)) from None
    except (ConfigParserError, ValueError) as error:
        raise DistillationError("TD005", reason=error) from None
    except (LookupError, TypeError, AttributeError, RecursionError) as error:
        # The parser crashed on something that it does not check.
        raise DistillationError("TD005", reason=repr(error)) from None
    _check_function_names(interpolated)
    block = interpolated["distillation"]
    known = set(DistillationConfig.model_fields)
    for key in block:
        if key not in known:
            close = get_close_matches(key, known, n=1)
            hint = f'Did you mean "{close[0]}"?' if close else "Remove it."
            raise DistillationError("TD002", key=key, hint=hint, known=", ".join(sorted(known)))
    # Plain values first: functions use them as arguments, such as a learning rate that depends on max_steps.
    _validate({key: value for key, value in block.items() if key not in MADE_BY_FUNCTIONS})
    with resolving():
        resolved: dict[str, Any] = registry.resolve({"distillation": block})["distillation"]
    return _validate(resolved)


def _check_function_names(block: dict[str, Any], path: str = "") -> None:
    """Check that function names are strings: the registry crashes on anything else."""
    for key, value in block.items():
        if key.startswith("@") and not isinstance(value, str):
            raise DistillationError("TD004", reason=f"{path}{key} is {value!r}, which is not a function name.")
        if isinstance(value, dict):
            _check_function_names(value, f"{path}{key}.")


def shares_of(settings: DistillationConfig, count: int) -> list[float]:
    """Compute the weights of several teachers, which sum to 1.

    Raises:
        DistillationError: TD014, there are more or fewer weights than teachers.
    """
    weights = settings.teacher_weights if count > 1 else []
    if weights and len(weights) != count:
        raise DistillationError("TD014", found=len(weights), expected=count)
    total = sum(weights)
    return [weight / total for weight in weights] or [1 / count] * count


@contextmanager
def resolving(*, of_student: bool = False) -> Iterator[None]:
    """Number what goes wrong where a config's functions are called or its components are made.

    Args:
        of_student: Whether it is a student that is made, of which more is wrong than a function.

    Raises:
        DistillationError: TD004, a function cannot be made, is not registered, or needs a package that is not
            installed; TD210, spaCy refuses a student's config, or one of its components raises something.
    """

    def number(reason: object) -> DistillationError:
        return DistillationError("TD210", reason=reason) if of_student else DistillationError("TD004", reason=reason)

    try:
        yield
    except DistillationError:
        raise
    except ConfigValidationError as error:
        raise number(reason_of(error)) from None
    except (ImportError, RegistryError) as error:
        raise DistillationError("TD004", reason=error) from error
    except Exception as error:  # Whatever a function of somebody else's making raises
        raise number(error if isinstance(error, ValueError | TypeError | OSError) else repr(error)) from error


def reason_of(error: ConfigValidationError) -> str:
    """Describe a config error and the wrong values, without the whole config that spaCy would print."""
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
        # Pydantic would take it for 1. It comes from a command line option without a value.
        if isinstance(value, bool):
            raise DistillationError("TD003", key=key, value=value, reason="no setting is true or false")
    try:
        return DistillationConfig.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        raise DistillationError("TD003", key=key, value=first["input"], reason=first["msg"]) from None


def resolve_training(config: Config, settings: DistillationConfig, gpu_id: int) -> dict[str, Any]:
    """Resolve and check a config's `[training]` block, and set the GPU's allocator.

    The weights of the scores are made to sum to 1, so that a score is a mean of scores.

    Raises:
        DistillationError: TD210, spaCy refuses it; TD007 or TD009, see `check_end`; TD012, it counts to 0.
    """
    with resolving(of_student=True):
        training = registry.resolve(interpolate(config)["training"], schema=ConfigSchemaTraining)
    for key in ("eval_frequency", "accumulate_gradient"):
        if training[key] < 1:
            raise DistillationError("TD012", key=key, value=training[key])
    check_end(config, settings, training)
    # spaCy rounds the weights that it fills in: a perfect student would have a score of 1.01 or 0.99.
    total = sum(weight for weight in training["score_weights"].values() if weight)
    if total > 0:
        training["score_weights"] = {
            name: weight and weight / total for name, weight in training["score_weights"].items()
        }
    if gpu_id >= 0 and training["gpu_allocator"]:
        set_gpu_allocator(training["gpu_allocator"])
    return training


def check_end(config: Config, settings: DistillationConfig, training: dict[str, Any]) -> None:
    """Check that a run ends, and that its learning rate is not 0 long before.

    Args:
        config: The whole config.
        settings: The `[distillation]` block.
        training: The `[training]` block, resolved.

    Raises:
        DistillationError: TD007, it would not end; TD009, its learning rate falls to 0 at once.
    """
    if not settings.max_steps and settings.max_epochs < 1 and not training["patience"]:
        raise DistillationError("TD007")
    # In our configs total_steps is max_steps, which is 0 for those who count in epochs.
    schedule = interpolate(config)["distillation"].get("optimizer", {}).get("learn_rate")
    if isinstance(schedule, dict) and schedule.get("total_steps") == 0:
        raise DistillationError("TD009")
