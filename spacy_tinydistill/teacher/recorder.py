"""Run a teacher over Docs, once, and record the predictions of its pipes."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

from spacy.language import Language
from spacy.tokens import Doc
from spacy.training.batchers import minibatch_by_words
from spacy.util import minibatch
from thinc.api import NumpyOps, get_current_ops

from ..components.annotations import decide
from ..components.base import Plan, Reads
from ..errors import DistillationError
from ..judge import take_statement
from ..pipes.device import fast_matrices
from ..pipes.order import only_annotates, reads_annotations
from ..pipes.pipeline import is_encoder, pipes_of
from ..pipes.precision import fastest_precision
from ..pipes.third_party import answers_kept, has_answered
from ..targets.records import Record, Role, Targets, annotated_bytes
from ..targets.store import StoreWriter

# Docs are sorted by length within so many words, so that a transformer's batches hold little padding.
WINDOW_WORDS = 20_000

# A batch of so many words stays in a CPU's caches, and holds less padding than a larger one.
BATCH_WORDS = 1_000


def record_store(
    teacher: Language,
    records: Iterable[Record],
    plan: Plan,
    writer: StoreWriter,
    *,
    on_doc: Callable[[], object] = lambda: None,
) -> None:
    """Record a teacher's predictions, shard by shard. Shards that already exist are skipped.

    Args:
        teacher: The pipeline.
        records: The Docs.
        plan: For each student pipe the name of the teacher's pipe, and the teaching rule.
        writer: The store, locked by this process.
        on_doc: Called after each Doc.
    """
    # One shard is written while the teacher speaks about the next.
    with ThreadPoolExecutor(max_workers=1) as executor:
        written: Future | None = None
        for number, shard in writer.cut_missing(records, on_doc):
            said = record(teacher, shard, plan, on_doc=on_doc)
            if written:
                written.result()
            written = executor.submit(writer.write, number, said)
        if written:
            written.result()
    writer.finish()


def record_raw_text(teacher: Language, texts: Sequence[str], writer: StoreWriter) -> None:
    """Record what a whole teacher says about raw texts, all pipes on and nothing rebuilt, to compare students with.

    Args:
        teacher: The pipeline, as it was handed over.
        texts: The raw texts.
        writer: The store, locked by this process.

    Raises:
        DistillationError: TD414, a pipe fails.
    """
    writer.write_raw_text(take_statement("teacher", teacher, texts))


def record(
    teacher: Language, records: Sequence[Record], plan: Plan, *, on_doc: Callable[[], object] = lambda: None
) -> list[Record]:
    """Record what some Docs are for: targets to learn from, or annotations to score against.

    Args:
        teacher: The pipeline.
        records: The Docs; those to learn from have tokens. Some ten thousand words at once make good batches.
        plan: See `record_store`.
        on_doc: Likewise.

    Returns:
        The records, in the same order: with targets if they are to learn from, annotated if they are to score on.
    """
    recorded = list(records)
    learned = [i for i, item in enumerate(records) if item.role is not Role.DEV]
    for i, targets in zip(learned, ask(teacher, (records[i] for i in learned), plan), strict=True):
        recorded[i] = replace(records[i], targets=targets)
        on_doc()
    for role in (Role.HELD_OUT, Role.DEV):
        scored = [i for i, item in enumerate(records) if item.role is role]
        docs = (records[i].make_doc(teacher.vocab) for i in scored)
        # Held-out texts are scored against what the teacher said, as if it were gold.
        for i, data in zip(scored, annotate(teacher, docs, hard=role is Role.HELD_OUT), strict=True):
            recorded[i] = replace(recorded[i], annotated=data)
            if role is Role.DEV:
                on_doc()
    return recorded


def ask(teacher: Language, records: Iterable[Record], plan: Plan) -> Iterator[Targets]:
    """Run a teacher once on each Doc.

    Args:
        teacher: The pipeline.
        records: The Docs, none without tokens. Docs of similar length are batched.
        plan: See `record_store`.

    Yields:
        The teacher's targets for each Doc, in the order of the Docs.
    """
    pipes = _needed_pipes(teacher, plan)
    for window in _windows(records):
        said: dict[int, Targets] = {}
        with fastest_precision(teacher), fast_matrices(teacher), answers_kept(teacher), ExitStack() as stack:
            for name, rule in plan.values():
                stack.enter_context(rule.asking(teacher.get_pipe(name)))
            for indices in _batches([len(item) for item in window], teacher.batch_size):
                docs = [window[i].make_doc(teacher.vocab) for i in indices]
                said.update(zip(indices, _ask(pipes, docs, plan), strict=True))
        yield from (said[i] for i in range(len(window)))


def annotate(teacher: Language, docs: Iterable[Doc], *, hard: bool) -> Iterator[bytes | None]:
    """Let a teacher annotate Docs.

    Args:
        teacher: The teacher.
        docs: Docs of the teacher's vocabulary.
        hard: Whether text categories are turned into decisions, as in gold annotations.

    Yields:
        Each annotated Doc, as `targets.annotated_bytes` writes it; None if a pipe gave no answer for it.

    Raises:
        DistillationError: TD630, a pipe left Docs out.
    """
    asked = said = 0
    beginning = ""

    def ask_about() -> Iterator[Doc]:
        nonlocal asked, beginning
        for doc in docs:
            beginning = beginning or doc.text[:60]
            asked += 1
            yield doc

    with answers_kept(teacher):
        for doc in teacher.pipe(ask_about()):
            said += 1
            if hard:
                doc.cats = decide(teacher, doc.cats)
            has_all = all(has_answered(pipe, doc) for _, pipe in pipes_of(teacher))
            yield annotated_bytes(doc) if has_all else None
    if said != asked:
        raise DistillationError("TD630", pipe=", ".join(teacher.pipe_names), found=said, expected=asked, text=beginning)


def _windows(records: Iterable[Record]) -> Iterator[list[Record]]:
    """Gather Docs, in their order, until there are `WINDOW_WORDS`."""
    window: list[Record] = []
    words = 0
    for item in records:
        window.append(item)
        words += len(item)
        if words >= WINDOW_WORDS:
            yield window
            window, words = [], 0
    if window:
        yield window


def _batches(lengths: list[int], batch_size: int) -> Iterator[list[int]]:
    """Batch the indices of Docs of like length: on a GPU so many Docs at once, on a CPU so many words."""
    by_length = sorted(range(len(lengths)), key=lambda i: lengths[i])
    if isinstance(get_current_ops(), NumpyOps):
        yield from minibatch_by_words(by_length, BATCH_WORDS, get_length=lambda i: lengths[i])
    else:
        yield from minibatch(by_length, batch_size)


def _needed_pipes(teacher: Language, plan: Plan) -> list[tuple[str, Any, bool]]:
    """List the pipes to visit, each with whether it must write.

    All of them write, in the teacher's order, up to the last one that is taught, but those that only annotate, where it
    is known that nobody after them reads annotations. One that is disabled in the teacher says what it would write if
    it were not, and is read by nobody; it has the encoder that it needs.
    """
    taught = {name for name, _ in plan.values()}
    disabled = {*teacher.disabled}
    visited: list[tuple[str, Any]] = [
        (name, pipe)
        for name, pipe in teacher.components
        if name not in disabled or name in taught or (is_encoder(pipe) and disabled & taught)
    ]
    position = {name: i for i, (name, _) in enumerate(visited)}
    last_taught = max(position[name] for name, _ in plan.values())
    last_read = -1
    for name, rule in plan.values():
        if rule.reads is Reads.OWN_ANNOTATIONS:
            last_read = max(last_read, position[name])
        elif rule.reads is Reads.EARLIER_ANNOTATIONS:
            last_read = max(last_read, position[name] - 1)
    for name, pipe in visited[: last_taught + 1]:
        is_asked = name in taught or not only_annotates(pipe)
        # What does more than annotate may do so by what it reads; an encoder reads what its model does.
        does_more = not only_annotates(pipe) and not is_encoder(pipe)
        if is_asked and (does_more or reads_annotations(pipe)):
            last_read = max(last_read, position[name] - 1)
    needed = []
    for name, pipe in visited[: last_taught + 1]:
        must_write = position[name] <= last_read or not only_annotates(pipe)
        must_write = is_encoder(pipe) or (must_write and name not in disabled)
        if must_write or name in taught:
            needed.append((name, pipe, must_write))
    return needed


def _ask(pipes: list[tuple[str, Any, bool]], docs: list[Doc], plan: Plan) -> list[Targets]:
    targets: list[Targets] = [{} for _ in docs]

    def record(pipe: Any, name: str, docs: list[Doc], *, after_writing: bool) -> None:
        for student, (source, rule) in plan.items():
            if source == name and (rule.reads is Reads.OWN_ANNOTATIONS) == after_writing:
                for doc_targets, arrays in zip(targets, rule.record(pipe, docs), strict=True):
                    if arrays:
                        doc_targets[student] = arrays

    read_when_written = {source for source, rule in plan.values() if rule.reads is Reads.OWN_ANNOTATIONS}
    for name, pipe, must_write in pipes:
        record(pipe, name, docs, after_writing=False)
        written = docs
        if must_write:
            written = docs = _write(pipe, name, docs)
        elif name in read_when_written:
            written = _write(pipe, name, [doc.copy() for doc in docs])
        record(pipe, name, written, after_writing=True)
    return targets


def _write(pipe: Any, name: str, docs: list[Doc]) -> list[Doc]:
    """Let a pipe annotate Docs."""
    beginning = docs[0].text[:60]
    try:
        written = list(pipe.pipe(docs)) if hasattr(pipe, "pipe") else [pipe(doc) for doc in docs]
    except Exception as error:
        # spaCy's own fail by their own errors; what others reach out to may be gone.
        if type(pipe).__module__.startswith("spacy."):
            raise
        raise DistillationError("TD631", pipe=name, text=beginning, reason=repr(error)) from error
    if len(written) != len(docs):
        raise DistillationError("TD630", pipe=name, found=len(written), expected=len(docs), text=beginning)
    return written
