"""Write docs/config.md from the schema, the registered functions and the config that `init distill-config` writes."""

import re
from collections.abc import Callable, Iterator
from inspect import cleandoc, getdoc, signature
from pathlib import Path
from typing import Any

import spacy
from pydantic.fields import FieldInfo
from spacy.language import Language
from spacy.schemas import ConfigSchemaTraining
from thinc.api import Config

from spacy_tinydistill.augment import masked_word_augmenter, neighbour_augmenter
from spacy_tinydistill.components.base import teaching_rules
from spacy_tinydistill.corpus import gold_corpus, text_corpus
from spacy_tinydistill.schemas import DistillationConfig
from spacy_tinydistill.student.config import student_config
from spacy_tinydistill.teacher.corpus import teacher_corpus
from spacy_tinydistill.tiny_transformer.encoder import tiny_transformer
from spacy_tinydistill.tiny_transformer.mixed_vocabulary import mixed_vocabulary_callback
from spacy_tinydistill.tiny_transformer.pieces import teacher_pieces_callback, train_pieces_callback
from spacy_tinydistill.tiny_transformer.weights import teacher_weights_callback

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "config.md"

TITLE = """\
<!-- Written by scripts/config_docs.py (`make docs`) from schema and docstrings; change those, not this page. -->

# The config, block by block

One config says all that a run does. `python -m spacy init distill-config TEACHER student.cfg` writes it whole, with the
values shown here. Any of them can be changed in the file, on the command line (`--distillation.max_steps 1000`), from
Python (`overrides={"distillation.max_steps": 1000}`), or for many runs at once in spaCy's environment variable
`SPACY_CONFIG_OVERRIDES`. What is said here of `[distillation]` is read from the class that checks it, so it is what a
run accepts: any other key is an error (TD002).
"""

# What is to be said of a block beside its keys.
NOTES = {
    "paths": "Where the data is. `distill`: text to learn on. `gold`: gold annotations, where there are some. `dev`: "
    "gold annotations to score on; without it a part of `distill` is held out and the score is the agreement with the "
    "teacher. `vectors`: static vectors that the student reads, such as `init distill-vectors` writes. All may stay "
    "null but one of `distill` and `gold`; `train` and `init_tok2vec` are spaCy's and not used.",
    "system": "As in spaCy. On a CPU the same seed gives the same student.",
    "corpora.distill": "The text to learn on. What may stand in the block is described [below](#readers).",
    "corpora.gold": "Gold annotations to learn on as well.",
    "corpora.dev": "Gold annotations to score on.",
    "distillation": "A superset of spaCy v4's block of this name; [from-spacy-v4.md](from-spacy-v4.md) compares them.",
    "distillation.student_to_teacher": "Empty where the pipes have the same names. Else a line such as `tagger = "
    "\"pos_tagger\"`: the student's pipe, and the teacher's in quotes.",
    "distillation.batcher": "One of [spaCy's batchers](https://spacy.io/api/top-level#batchers). Words are tokens.",
    "distillation.optimizer": "One of [Thinc's optimizers](https://thinc.ai/docs/api-optimizers). With `use_averages` "
    "the student that is scored and saved has a running mean of the weights.",
    "distillation.optimizer.learn_rate": "One of [Thinc's schedules](https://thinc.ai/docs/api-schedules): up to "
    "`initial_rate` in `warmup_steps`, then down to 0 at `total_steps`. Who counts in epochs sets `total_steps` to "
    "about the number of updates (TD009).",
    "training": "What distilling has in common with training stays where spaCy has it; the rest is for plain `spacy "
    "train`.",
    "training.logger": "One of [spaCy's loggers](https://spacy.io/api/top-level#loggers).",
    "training.score_weights": "What the best student is best in: a weight for each of spaCy's scores, here of a "
    "student with a tagger. `init distill-config` fills them in.",
    "initialize": "As in spaCy.",
    "initialize.components": "A block `[initialize.components.PIPE]` may set a pipe's labels, which otherwise come "
    "from the teacher.",
}

TEACHING = """\
How a student's pipe is taught. Without a block the first rule that accepts the two pipes is taken, and `Annotations`
where no other does. A block names another one, or sets its arguments:

```ini
[distillation.teaching.tagger]
@teaching_rules = "spacy-tinydistill.TokenLabels.v1"
temperature = 2.0
```

The formulas are in [how-it-works.md](how-it-works.md); [own-component.md](own-component.md) writes a rule.
"""

STUDENT = """\
The student itself, in spaCy's own terms: change it as in any spaCy config. `init distill-config` mirrors the teacher's
pipes on one small encoder; of a teacher with a tagger, size `tiny`, this comes out:
"""

AUGMENTERS = """\
Of one text many, for where text is scarce: a block `[corpora.distill.augmenter]` makes variants, and the teacher labels
them. It is applied before texts are held out to score on, so give a dev corpus with it.
"""

TRANSFORMER = """\
A student on a small transformer: an architecture for `[components.tok2vec.model]`, and, in `[initialize]`, where its
pieces come from and what it starts with. [how-it-works.md](how-it-works.md) has the formulas, `configs/` what the
workflows `tinybert` and `mixed-vocab` take.
"""

# Bounds of a field, as pydantic calls them.
BOUNDS = {"ge": "from", "gt": "above", "le": "to", "lt": "below"}


def main() -> None:
    """Write the page."""
    PAGE.write_text(make_page(), encoding="utf8")


def make_page() -> str:
    """The whole page, as Markdown."""
    blocks = blocks_of(written_config())
    parts = [TITLE]
    for name, note in NOTES.items():
        parts += [f"## `[{name}]`\n", f"{note}\n", fence(blocks[name])]
        if name == "distillation":
            cells = [describe_field(key, field) for key, field in DistillationConfig.model_fields.items()]
            parts.append(table(["key", "default", "range", "meaning"], cells))
        elif name == "distillation.student_to_teacher":
            parts += ["## `[distillation.teaching.PIPE]`\n", TEACHING, *describe_rules()]
        elif name == "training":
            fields = ConfigSchemaTraining.model_fields
            cells = [[f"`{key}`", str(fields[key].title)] for key in training_keys()]
            parts += ["Distilling reads these of spaCy's keys:\n", table(["key", "meaning"], cells)]
    student = [text for name, text in blocks.items() if name == "nlp" or name.startswith("components.")]
    parts += ["## `[nlp]` and `[components]`\n", STUDENT, fence("\n".join(student))]
    parts += ["## A transformer as student\n", TRANSFORMER, *describe_transformer()]
    parts += ["## Readers\n", *describe_readers()]
    parts += ["## Augmenters\n", AUGMENTERS, *describe_augmenters()]
    return "\n".join(parts)


def describe_rules() -> Iterator[str]:
    """A section for each teaching rule of the package."""
    for name, rule in sorted(teaching_rules.get_all().items()):
        if name.startswith("spacy-tinydistill."):
            yield describe_function(name, rule, (getdoc(rule) or "").partition("\n\nArgs:\n")[0])


def describe_transformer() -> Iterator[str]:
    """A section for each function that makes a transformer of a student."""
    callbacks = train_pieces_callback, teacher_pieces_callback, teacher_weights_callback, mixed_vocabulary_callback
    for function in (tiny_transformer, *callbacks):
        found = re.match(r"Make the (?:architecture|callback) `(\S+)`, (.)(.*)", function.__doc__ or "")
        assert found, f"{function.__name__}: the docstring does not name what it makes"
        yield describe_function(found[1], function, found[2].upper() + found[3])


def describe_readers() -> Iterator[str]:
    """A section for each reader, which begins with what its docstring says after the name."""
    for function in (text_corpus, gold_corpus, teacher_corpus):
        found = re.match(r"Make the reader `(\S+)`: (.*)", function.__doc__ or "")
        assert found, f"{function.__name__}: the docstring does not name the reader"
        yield describe_function(found[1], function, f"Reads {found[2]}")


def describe_augmenters() -> Iterator[str]:
    """A section for each augmenter, likewise."""
    for function in (neighbour_augmenter, masked_word_augmenter):
        found = re.match(r"Make the augmenter `(\S+)`: (.*)", function.__doc__ or "")
        assert found, f"{function.__name__}: the docstring does not name the augmenter"
        yield describe_function(found[1], function, f"Replaces words {found[2]}")


def written_config() -> Config:
    """What `init distill-config` writes for a teacher with a tagger."""
    teacher: Language = spacy.blank("en")
    teacher.add_pipe("tagger")
    return student_config(teacher)


def blocks_of(config: Config) -> dict[str, str]:
    """Cut a config into its blocks as they are written, by name."""
    found = re.findall(r"^\[([^\]\n]+)\]\n(.*?)(?=^\[|\Z)", config.to_str(interpolate=False), re.MULTILINE | re.DOTALL)
    return {name: f"[{name}]\n{body.rstrip()}\n" for name, body in found}


def training_keys() -> list[str]:
    """The keys of [training] that the package reads."""
    sources = (ROOT / "spacy_tinydistill").rglob("*.py")
    used = {key for path in sources for key in re.findall(r'\btraining"?\]?\["(\w+)"\]', path.read_text("utf8"))}
    return [key for key in ConfigSchemaTraining.model_fields if key in used]


def describe_field(key: str, field: FieldInfo) -> list[str]:
    """A row of the schema's table: key, default, range and meaning."""
    bounds = [
        f"{word} {getattr(limit, name):g}"
        for limit in field.metadata
        for name, word in BOUNDS.items()
        if hasattr(limit, name)
    ]
    default = "" if field.default_factory else f"`{to_config(field.default)}`"
    return [f"`{key}`", default, ", ".join(bounds), f"{field.title}. {field.description}"]


def describe_function(name: str, function: Callable[..., Any], said: str) -> str:
    """A section of a registered function: what it is for, and its arguments."""
    said_of = dict(read_arguments(function))
    parameters = signature(function).parameters
    assert list(parameters) == list(said_of), f"{name}: the docstring's arguments are not the function's"
    cells = [
        [f"`{key}`", "" if p.default is p.empty else f"`{to_config(p.default)}`", said_of[key]]
        for key, p in parameters.items()
    ]
    return f"### `{name}`\n\n{said}\n" + ("\n" + table(["argument", "default", "meaning"], cells) if cells else "")


def read_arguments(function: Callable[..., Any]) -> Iterator[tuple[str, str]]:
    """Read names and descriptions in the "Args:" of a docstring in Google's style."""
    text = cleandoc(function.__doc__ or "").partition("\nArgs:\n")[2].partition("\n\n")[0]
    for name, said in re.findall(r"^    (\w+): (.*(?:\n     .*)*)", text, re.MULTILINE):
        yield name, " ".join(said.split())


def to_config(value: Any) -> str:
    """Spell a value as a config does."""
    return Config({"block": {"key": value}}).to_str().partition(" = ")[2].strip()


def table(head: list[str], cells: list[list[str]]) -> str:
    """A table in Markdown."""
    lines = [head, ["---"] * len(head), *cells]
    return "".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |\n" for line in lines)


def fence(text: str) -> str:
    """A block of config."""
    return f"```ini\n{text.strip()}\n```\n"


if __name__ == "__main__":
    main()
