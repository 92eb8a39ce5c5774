"""Find and load a pipeline, and walk over its pipes."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import spacy
from spacy.language import Language
from spacy.util import find_matching_language, get_package_path, is_package
from thinc.api import Model

from ..config_files import without_stand_ins
from ..errors import DistillationError


def load_teacher(name: str | Path) -> Language:
    """Load a pipeline to learn from.

    Args:
        name: An installed package or a folder.

    Raises:
        DistillationError: TD201, there is none of that name; TD202, it needs a package that is not installed.
    """
    try:
        return spacy.load(without_stand_ins(name) if isinstance(name, str) else name)
    except OSError as error:
        raise DistillationError("TD201", name=name, reason=hint_at_swap(name) or error) from error
    except (ImportError, ValueError) as error:
        raise DistillationError("TD202", name=name, reason=error) from error
    except Exception as error:  # Whatever a component or a tokenizer of somebody else's making raises
        raise DistillationError("TD202", name=name, reason=repr(error)) from error


def find_pipeline(name: str | Path) -> Path:
    """Find the folder of a pipeline on disk or in an installed package.

    Raises:
        DistillationError: TD201, there is none.
    """
    root = get_package_path(str(name)) if is_package(str(name)) else Path(name)
    for config in sorted(root.glob("config.cfg")) or sorted(root.glob("*/config.cfg")):
        return config.parent
    reason = hint_at_swap(name) or "there is no config.cfg in it."
    raise DistillationError("TD201", name=str(name), reason=reason)


def hint_at_swap(name: str | Path) -> str:
    """Say of a file, or a link to one, that it is no pipeline; empty for anything else."""
    if not Path(name).is_file():
        return ""
    other = "config" if Path(name).suffix == ".cfg" else "texts"
    return f"{Path(name).name} is a file, no pipeline; did you swap the teacher and the {other}?"


def language_code(lang: str) -> str:
    """Find spaCy's own code for a language: "en" for "eng"; a code that spaCy knows no other for stays as it is."""
    return find_matching_language(lang) or lang


def pipes_of(nlp: Language) -> list[tuple[str, Any]]:
    """A pipeline's pipes by name, in order; spaCy's own `Language.pipeline` types each as a bare callable."""
    return nlp.pipeline


def models_of(pipes: Iterable[tuple[str, Any]]) -> Iterator[tuple[str, Model]]:
    """Find the Thinc model of each pipe that has one.

    Args:
        pipes: With their names: `Language.pipeline`, or `Language.components`, in which there are disabled ones, too.
    """
    for name, pipe in pipes:
        if isinstance(model := getattr(pipe, "model", None), Model):
            yield name, model


def nodes_of(models: Iterable[Model]) -> Iterator[Model]:
    """Walk over the layers of some models, each once: pipes may share them."""
    seen: set[int] = set()
    for model in models:
        for node in model.walk():
            if node.id not in seen:
                seen.add(node.id)
                yield node


def is_encoder(pipe: Any) -> bool:
    """Whether a pipe hands its vectors to others, which listen to it."""
    return hasattr(pipe, "listeners")


def full_name(kind: type) -> str:
    """Name a class so that two of the same name differ, such as "spacy.pipeline.tagger.Tagger"."""
    return f"{kind.__module__}.{kind.__qualname__}"


def spacy_kind(pipe: Any) -> type | None:
    """Find the class of spaCy's that a pipe is of, or that its class is made from; None where it is of none.

    A factory's name says nothing of a pipe: `beam_ner`, and anybody's own factory, may make an `EntityRecognizer`.
    """
    return next((kind for kind in type(pipe).__mro__ if kind.__module__.startswith("spacy.pipeline.")), None)


def annotates_as_spacy(pipe: Any) -> bool:
    """Whether a pipe of a class made from one of spaCy's predicts and writes to the Doc as spaCy's class does.

    Where it does not, what its model says is not what it writes.
    """
    kind = spacy_kind(pipe)
    return all(getattr(type(pipe), name) is getattr(kind, name) for name in ("predict", "set_annotations"))
