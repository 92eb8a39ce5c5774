"""What a student learns from and is scored on: made of a run and of what its teacher said."""

import random
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import partial
from itertools import chain, count, cycle, tee
from pathlib import Path
from typing import Any, TypeVar

from spacy.language import Language
from spacy.training import Example
from spacy.training.loop import create_evaluation_callback
from spacy.util import minibatch

from .components.annotations import Annotations, leave_to_gold, read_annotated
from .components.base import Lesson
from .errors import DistillationError
from .loop import Corpus, Evaluate, Taught
from .run import LEARNED, Run, join_stores
from .student.pipeline import (
    check_categories,
    check_frozen_encoders,
    check_gold_labels,
    initialize_student,
    needed_strings,
    start_lessons,
)
from .targets.records import Record, Role, Targets
from .targets.store import Store
from .teacher.recorder import ask

T = TypeVar("T")

# How many texts spaCy is shown to find out the shapes of a student's layers.
INITIALIZE_SAMPLE = 10


def start_student(run: Run, store: Store | None = None) -> tuple[dict[str, Lesson], list[str]]:
    """Give the student its first weights.

    Args:
        run: What was prepared.
        store: What the teacher said, to find the labels in where `run.labels_known` is false.

    Returns:
        The student's lessons and the strings that it will need.

    Raises:
        DistillationError: TD203, it lacks one of the teacher's labels; TD210, spaCy refuses its config; TD115 or TD228,
            it cannot learn what gold says; TD229, it is to learn from an encoder that is not run.
    """
    examples = list(_annotated_examples(store, run)) if store else run.corpora.sample[:INITIALIZE_SAMPLE]
    gold = run.corpora.gold if run.settings.gold_weight else []
    check_categories(run.student, run.plan, gold)
    initialize_student(run.student, run.profile, run.plan, examples)
    check_frozen_encoders(run.student, run.plan)
    check_gold_labels(run.student, run.plan, gold)
    strings = needed_strings(run.config, run.profile, run.plan, examples)
    return start_lessons(run.student, run.lessons, run.plan), strings


def open_targets(path: Path, run: Run) -> Store:
    """Open what a run's teachers said: the folder itself, or, of several teachers, a folder in it for each."""
    return join_stores([Store(folder) for folder in list_folders(path, run)], run.settings)


def list_folders(path: Path, run: Run) -> list[Path]:
    """Name the folder for what each of a run's teachers says."""
    return [path] if len(run.headers) == 1 else [path / str(i + 1) for i in range(len(run.headers))]


def check_roles(store: Store, run: Run) -> None:
    """See that something was recorded to learn and, without dev data, to score on.

    Raises:
        DistillationError: TD109, all texts are the same, and so held out or learned together.
    """
    needed = [LEARNED] if run.corpora.dev else [LEARNED, (Role.HELD_OUT,)]
    if not run.streams and not all(store.manifest.count(*roles) for roles in needed):
        raise DistillationError("TD109", found=1, expected=2)


def count_silence(store: Store, run: Run) -> dict[str, int]:
    """Count the texts of which the teacher did not say anything, by the student's pipe; none where it always did.

    Raises:
        DistillationError: TD632, it said nothing of any text.
    """
    asked = 0 if run.streams else store.manifest.count(*LEARNED, Role.HELD_OUT)
    silence = {}
    for name, (source, _) in run.plan.items():
        said = store.manifest.count_said(name)
        if asked and said == 0:
            raise DistillationError("TD632", pipe=name, teacher=source)
        if asked and said is not None and said < asked:
            silence[name] = asked - said
    return silence


def make_corpus(store: Store, run: Run) -> Corpus:
    """Make what a student learns from: the texts, what the teacher said of them, and gold annotations.

    Raises:
        DistillationError: TD614, the gold annotations are of other Docs than those that were recorded.
    """
    return partial(_ask_again, run) if run.streams else partial(_read_targets, store, run, _match_gold(store, run))


def read_dev(store: Store, run: Run, student: Language) -> Iterator[Example]:
    """Read what the student is scored on: gold annotations, or the teacher's of the texts that were held out."""
    if run.corpora.dev:
        yield from run.corpora.readers["dev"](student)
        return
    for item in _read_answered(store):
        yield Example(item.make_doc(student.vocab), item.make_annotated_doc(student.vocab))


def make_evaluate(store: Store, run: Run, lessons: dict[str, Lesson]) -> Evaluate:
    """Make what scores the student: spaCy's scorers, or, of an encoder alone, its lessons, a token's mean."""
    if not run.encodes_only:
        return create_evaluation_callback(run.student, partial(read_dev, store, run), run.training["score_weights"])

    def evaluate() -> tuple[float, dict[str, Any]]:
        total, words = 0.0, 0
        for batch in minibatch(store.read(Role.HELD_OUT), run.student.batch_size):
            docs = [item.make_doc(run.student.vocab) for item in batch]
            words += sum(map(len, docs))
            for name, lesson in lessons.items():
                total += lesson.score(docs, [item.targets[name] for item in batch])
        return total / words, {}

    return evaluate


def judge_teacher(store: Store, run: Run, student: Language) -> list[Example]:
    """Make what the teacher is scored on: its annotations and what they are compared to.

    None where the dev data was not recorded. The Docs are of the student's vocabulary.
    """
    if not run.corpora.dev:
        docs = (item.make_annotated_doc(student.vocab) for item in _read_answered(store))
        return [Example(doc, doc.copy()) for doc in docs]
    said = [item.make_annotated_doc(student.vocab) for item in store.read(Role.DEV)]
    references = [example.reference for example in run.corpora.readers["dev"](student)]
    is_same = [doc.text for doc in said] == [doc.text for doc in references]
    return [Example(*pair) for pair in zip(said, references, strict=True)] if is_same else []


def _read_answered(store: Store) -> Iterator[Record]:
    """Read the held-out texts of which the teacher said anything."""
    return (item for item in store.read(Role.HELD_OUT) if item.annotated is not None)


def describe_texts(store: Store, run: Run) -> dict[str, Any]:
    """Say what a student learned on: files without their folders, as far as the texts came from files."""
    paths = run.config.interpolate().get("paths", {})
    # Recorded texts come from the store, whatever the config says.
    files = [paths.get("distill") if run.teacher else None, paths.get("gold")]
    roles = (*LEARNED, Role.HELD_OUT) if run.corpora.dev else LEARNED
    return {
        "names": [Path(file).name for file in files if file],
        "documents": None if run.streams else store.manifest.count(*roles),
    }


def _annotated_examples(store: Store, run: Run) -> Iterator[Example]:
    """The corpus with what the last of the hard-label teachers left on the Docs, and gold, to find the labels in."""
    hard = [name for name, (_, rule) in run.plan.items() if isinstance(rule, Annotations)]
    order = list(run.profile.pipes)
    last = max(hard, key=lambda name: order.index(run.plan[name][0]))
    records = _ask_about(run, run.corpora.sample) if run.streams else store.read(*LEARNED)
    for item in records:
        doc = item.make_doc(run.student.vocab)
        if last in item.targets:
            yield Example(doc, read_annotated(item.targets[last], run.student.get_pipe(last)))
    # Somebody who corrects may know labels that the teacher does not.
    yield from run.corpora.gold


def _match_gold(store: Store, run: Run) -> dict[int, Example]:
    """See that the gold annotations are of Docs that were recorded; return those to learn on, by their index."""
    gold = dict(enumerate(run.corpora.gold))
    found = {item.index: item for item in store.read(Role.GOLD)} if gold else {}
    words = {i: [token.text for token in example.predicted] for i, example in gold.items()}
    # Those that are missing were held out, or there was no gold when the teacher was asked.
    held_out = {tuple(item.words) for item in store.read(Role.HELD_OUT)} if len(found) < len(gold) else set()
    is_missing = any(i not in found and tuple(words[i]) not in held_out for i in gold)
    if is_missing or any(words.get(i) != item.words for i, item in found.items()):
        raise DistillationError("TD614", path=store.path, found=len(found), expected=len(gold))
    return {i: gold[i] for i in found}


def _read_targets(store: Store, run: Run, gold: dict[int, Example], shuffle: random.Random | None) -> Iterator[Taught]:
    roles = (*LEARNED, Role.HELD_OUT) if run.corpora.dev else LEARNED
    share = run.settings.gold_share if gold and store.manifest.count(Role.TEXT) else 0.0
    if share:
        # Numbers of its own, as readers that take turns would draw from each other's.
        of_gold = shuffle and random.Random(shuffle.getrandbits(64))
        records = mix(
            store.read(*(role for role in roles if role is not Role.GOLD), shuffle=shuffle),
            chain.from_iterable(store.read(Role.GOLD, shuffle=of_gold) for _ in count()),
            share,
            len,
        )
    else:
        records = store.read(*roles, shuffle=shuffle)
    corrections = _Corrections(run, gold.values())
    for item in records:
        if item.role is Role.GOLD and gold:
            example = gold[item.index]
            yield Taught(example, corrections.outrank(item, example), has_gold=True)
        else:
            doc = item.make_doc(run.student.vocab)
            yield Taught(Example(doc, doc), corrections.outrank(item), has_gold=False)


def mix(others: Iterable[T], gold: Iterator[T], share: float, words: Callable[[T], int]) -> Iterator[T]:
    """Put gold among the others, so that it always has its share of the words, or a text more."""
    total = of_gold = 0
    for item in others:
        yield item
        total += words(item)
        while of_gold < share * total:
            item = next(gold)
            yield item
            total += words(item)
            of_gold += words(item)


class _Corrections:
    """Gold annotations, which outrank a teacher's hard labels; soft labels and gold mix by their weights.

    Those of other Docs are found by their text: whoever corrects texts will have them also among those to learn on.
    """

    def __init__(self, run: Run, gold: Iterable[Example]) -> None:
        self.student = run.student
        self.hard = [name for name, (_, rule) in run.plan.items() if isinstance(rule, Annotations)]
        # Where there is nothing to outrank, no text is looked up.
        looked_up = gold if self.hard and run.settings.gold_weight else ()
        self.by_words = {tuple(token.text for token in example.predicted): example for example in looked_up}

    def outrank(self, item: Record, own: Example | None = None) -> Targets:
        """Take out of what the teacher said of a Doc what gold annotations say, its own or those of the same text."""
        gold = (own or self.by_words.get(tuple(item.words))) if self.by_words else None
        if gold is None:
            return item.targets
        left = dict(item.targets)
        for name in self.hard:
            if name in left:
                arrays = leave_to_gold(left.pop(name), gold, self.student.get_pipe(name))
                if arrays:
                    left[name] = arrays
        return left


def _ask_about(run: Run, examples: Iterable[Example]) -> Iterator[Record]:
    assert run.teacher is not None
    asked, kept = tee(Record.from_doc(example.predicted) for example in examples)
    for item, targets in zip(kept, ask(run.teacher, asked, run.plan), strict=True):
        yield replace(item, targets=targets)


def _ask_again(run: Run, shuffle: random.Random | None) -> Iterator[Taught]:
    """Ask the teacher about a stream, which nobody could keep."""
    readers = run.corpora.readers
    texts = ((example, False) for example in readers["distill"](run.student))
    gold = ((example, True) for example in run.corpora.gold)
    share = run.settings.gold_share if run.corpora.gold and run.corpora.n_texts else 0.0
    mixed = mix(texts, cycle(gold), share, lambda pair: len(pair[0].predicted)) if share else chain(texts, gold)
    asked, kept = tee(pair for pair in mixed if len(pair[0].predicted))
    records = _ask_about(run, (example for example, _ in asked))
    corrections = _Corrections(run, run.corpora.gold)
    for (example, has_gold), item in zip(kept, records, strict=True):
        yield Taught(example, corrections.outrank(item, example if has_gold else None), has_gold)
