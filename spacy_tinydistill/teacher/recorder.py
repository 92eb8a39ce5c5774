"""Run a teacher over Docs, once, and record what its pipes say."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import spacy
from spacy.language import Language
from spacy.tokens import Doc
from spacy.util import minibatch

from ..components.base import Reads, TeachingRule, pipes_of
from ..corpus import copy_tokens
from ..errors import DistillationError
from .targets import Arrays

# What a teacher says about one Doc: for each student pipe the arrays of its teaching rule.
Targets = dict[str, Arrays]

# Docs are sorted by length within so many words, so that a transformer's batches hold little padding.
WINDOW_WORDS = 20_000


def load_teacher(name: str | Path) -> Language:
    """Load a pipeline to learn from.

    Args:
        name: An installed package or a folder.

    Raises:
        DistillationError: TD201, there is none of that name; TD202, it needs a package that is not installed.
    """
    try:
        return spacy.load(name)
    except OSError as error:
        raise DistillationError("TD201", name=name, reason=error) from error
    except (ImportError, ValueError) as error:
        raise DistillationError("TD202", name=name, reason=error) from error


def record_targets(
    teacher: Language, docs: Iterable[Doc], rules: dict[str, tuple[str, TeachingRule]]
) -> Iterator[Targets]:
    """Ask a teacher once about each Doc.

    Args:
        teacher: The pipeline.
        docs: The student's Docs, none without tokens. They are copied, not changed.
        rules: For each student pipe the teacher's pipe, by name, and the rule by which it teaches.

    Yields:
        What the teacher says about each Doc, in the order of the Docs.
    """
    pipes = _needed_pipes(teacher, rules)
    for window in _windows(docs):
        by_length = sorted(range(len(window)), key=lambda i: len(window[i]))
        said: dict[int, Targets] = {}
        for indices in minibatch(by_length, teacher.batch_size):
            copies = [copy_tokens(teacher, window[i]) for i in indices]
            said.update(zip(indices, _ask(pipes, copies, rules), strict=True))
        yield from (said[i] for i in range(len(window)))


def _windows(docs: Iterable[Doc]) -> Iterator[list[Doc]]:
    """Gather Docs, in their order, until there are `WINDOW_WORDS`."""
    window: list[Doc] = []
    words = 0
    for doc in docs:
        window.append(doc)
        words += len(doc)
        if words >= WINDOW_WORDS:
            yield window
            window, words = [], 0
    if window:
        yield window


def _needed_pipes(teacher: Language, rules: dict[str, tuple[str, TeachingRule]]) -> list[tuple[str, Any, bool]]:
    """List the pipes to visit, each with whether it must write its annotations."""
    position = {name: i for i, (name, _) in enumerate(teacher.pipeline)}
    last_taught = max(position[name] for name, _ in rules.values())
    last_read = -1
    for name, rule in rules.values():
        if rule.reads is Reads.OWN_ANNOTATIONS:
            last_read = max(last_read, position[name])
        elif rule.reads is Reads.EARLIER_ANNOTATIONS:
            last_read = max(last_read, position[name] - 1)
    taught = {name for name, _ in rules.values()}
    needed = []
    for name, pipe in pipes_of(teacher)[: last_taught + 1]:
        # Vectors come from pipes that others listen to; a pipe that we know nothing of might do anything.
        only_annotates = type(pipe).__module__.startswith("spacy.") and not hasattr(pipe, "listeners")
        must_write = position[name] <= last_read or not only_annotates
        if must_write or name in taught:
            needed.append((name, pipe, must_write))
    return needed


def _ask(
    pipes: list[tuple[str, Any, bool]], docs: list[Doc], rules: dict[str, tuple[str, TeachingRule]]
) -> list[Targets]:
    targets: list[Targets] = [{} for _ in docs]

    def record(pipe: Any, name: str, *, after_writing: bool) -> None:
        for student, (source, rule) in rules.items():
            if source == name and (rule.reads is Reads.OWN_ANNOTATIONS) == after_writing:
                for doc_targets, arrays in zip(targets, rule.record(pipe, docs), strict=True):
                    doc_targets[student] = arrays

    for name, pipe, must_write in pipes:
        record(pipe, name, after_writing=False)
        if must_write:
            docs = list(pipe.pipe(docs)) if hasattr(pipe, "pipe") else [pipe(doc) for doc in docs]
        record(pipe, name, after_writing=True)
    return targets
