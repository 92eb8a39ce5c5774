"""Which texts a student learns from and which it is scored on: as they are read, recorded, and read back."""

import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain, count, cycle, tee
from math import floor
from typing import Any, TypeVar

from spacy.language import Language
from spacy.training import Example
from spacy.training.loop import create_evaluation_callback
from spacy.util import minibatch, registry
from thinc.api import Config

from .acceleration import decode_in_batches
from .components.annotations import Annotations, leave_to_gold, read_annotated
from .components.base import Lesson, Plan
from .config_files import interpolate
from .corpus import Reader, is_annotated, make_examples, replace_surrogates
from .errors import DistillationError
from .judge import choose_texts
from .loop import Corpus, Evaluate, Taught
from .schemas import DistillationConfig, resolving
from .student.pipeline import encodes_only
from .targets.records import Record, Role, Targets
from .targets.store import Store
from .teacher.recorder import ask

T = TypeVar("T")

# What a student learns on.
LEARNED = (Role.TEXT, Role.GOLD)

# The column of the text in a table.
COLUMN = "text"

# How many texts to draw from what is to be learned on.
SAMPLE = 1000


@dataclass(frozen=True)
class Texts:
    """Texts without gold annotations: how many there are, and some of them."""

    sample: list[Example]
    count: int  # Of a stream, or where they were recorded, those of the sample
    words: int  # Of these texts


@dataclass(frozen=True)
class Dataset:
    """The role of each text: learned from, with gold annotations or without, held out, or scored on.

    Gold annotations and dev data are read once, so that a bad line is found before the teacher is asked. Without dev
    data a share of the texts is held out, or, where there are none, of the gold annotations.
    """

    student: Language  # Whose tokenizer and vocabulary the Docs are of
    settings: DistillationConfig
    read_texts: Reader
    read_dev: Reader  # Also for another vocabulary: an evaluation writes to the Docs that it is given
    texts: Texts
    gold: list[Example]
    dev: list[Example]
    is_stream: bool = False  # The texts are not kept: the teacher is asked about them in every epoch

    @property
    def sample(self) -> list[Example]:
        """Some of what is learned on."""
        return self.texts.sample + self.gold[:SAMPLE]

    @property
    def learned_gold(self) -> list[Example]:
        """The gold annotations that are learned from, and not from the teacher alone."""
        return self.gold if self.settings.gold_weight else []

    @property
    def held_out_of(self) -> Role | None:
        """Of which texts a share is held out; None where there is dev data."""
        return None if self.dev else Role.TEXT if self.texts.count else Role.GOLD

    @property
    def learned_roles(self) -> tuple[Role, ...]:
        """What is learned on of a recording: with dev data also what was held out, without any, when it was made."""
        return (*LEARNED, Role.HELD_OUT) if self.dev else LEARNED

    # Before the teacher is asked

    def list_records(self) -> Iterator[Record]:
        """List all that the teacher is asked about once: the dev data, and, unless it is a stream, what to learn on."""
        for i, example in enumerate(self.dev):
            yield Record.from_doc(example.predicted, Role.DEV, i)
        if self.is_stream:
            return
        # Of equal texts all are held out or none, and nothing is learned from gold annotations of them either: a
        # student is not scored on what it has learned.
        is_apart: dict[int, bool] = {}
        for role, examples in ((Role.TEXT, self.read_texts(self.student)), (Role.GOLD, self.gold)):
            docs = (example.predicted for example in examples if len(example.predicted))
            for i, doc in enumerate(docs):
                if role is self.held_out_of:
                    is_held_out = is_apart.setdefault(hash(doc.text), _is_held_out(i, self.settings.hold_out))
                    yield Record.from_doc(doc, Role.HELD_OUT if is_held_out else role, i)
                elif not is_apart.get(hash(doc.text)):
                    yield Record.from_doc(doc, role, i)

    def count_records(self) -> int:
        """Count what `list_records` lists; texts that are there several times may make it a little less."""
        return len(self.dev) + (0 if self.is_stream else self.texts.count + len(self.gold))

    def count_words(self) -> dict[Role, int]:
        """Count the words in each role; of a stream, those of its beginning."""
        counts = {Role.TEXT: self.texts.words, Role.GOLD: _count_words(self.gold), Role.HELD_OUT: 0}
        if self.held_out_of is not None:
            counts[Role.HELD_OUT] = round(counts[self.held_out_of] * self.settings.hold_out)
            counts[self.held_out_of] -= counts[Role.HELD_OUT]
        return {**counts, Role.DEV: _count_words(self.dev)}

    def count_epoch_words(self) -> int:
        """Count the words of an epoch, in which gold is read again where it is to have a share."""
        words = self.count_words()
        if self.settings.gold_share and words[Role.TEXT] and words[Role.GOLD]:
            return round(words[Role.TEXT] / (1 - self.settings.gold_share))
        return sum(words[role] for role in LEARNED)

    def draw(self, words: int, judged: int) -> "Dataset":
        """Draw a small dataset, for a rehearsal, with texts and gold annotations in proportion.

        Args:
            words: How many to learn on and hold out.
            judged: How many of them, or of the dev data, to score on.

        Returns:
            A dataset whose settings hold out as much, and set learning no end.
        """
        share = self.texts.words / (self.texts.words + _count_words(self.gold))
        texts = _draw_words(self.texts.sample, words * share)
        gold = _draw_words(self.gold, words * (1 - share))

        def read_texts(nlp: Language) -> Iterator[Example]:
            return chain.from_iterable(make_examples(nlp, example.reference.text, 0) for example in texts)

        hold_out = max(self.settings.hold_out, min(0.5, judged / words))
        return replace(
            self,
            settings=self.settings.model_copy(update={"hold_out": hold_out, "max_steps": 0, "max_epochs": 0}),
            read_texts=read_texts,
            read_dev=lambda nlp: _first_words(self.read_dev(nlp), judged),
            texts=Texts(texts, len(texts), _count_words(texts)),
            gold=gold,
            dev=list(_first_words(self.dev, judged)),
            is_stream=False,
        )

    # Once its targets are there

    def check_recorded(self, store: Store) -> None:
        """See that there is something to learn on and, without dev data, to score on.

        Raises:
            DistillationError: TD109, all texts are the same, and so held out or learned together.
        """
        needed = [LEARNED] if self.dev else [LEARNED, (Role.HELD_OUT,)]
        if not self.is_stream and not all(store.manifest.count(*roles) for roles in needed):
            raise DistillationError("TD109", found=1, expected=2)

    def count_unannotated(self, store: Store, plan: Plan) -> dict[str, int]:
        """Count the texts for which the teacher's pipe gave no answer, by student pipe; none where it always did.

        Raises:
            DistillationError: TD632, it gave none for any text.
        """
        asked = 0 if self.is_stream else store.manifest.count(*LEARNED, Role.HELD_OUT)
        counts = {}
        for name, (source, _) in plan.items():
            answered = store.manifest.count_said(name)
            if asked and answered == 0:
                raise DistillationError("TD632", pipe=name, teacher=source)
            if asked and answered is not None and answered < asked:
                counts[name] = asked - answered
        return counts

    def count_learned(self, store: Store) -> int | None:
        """Count the texts that are learned on; None for a stream."""
        return None if self.is_stream else store.manifest.count(*self.learned_roles)

    def make_corpus(self, store: Store, plan: Plan, teacher: Language | None) -> Corpus:
        """Make what a student learns from: the texts, their targets, and gold annotations.

        Args:
            store: The targets.
            plan: Which pipe learns from which.
            teacher: Who is asked about a stream.

        Raises:
            DistillationError: TD614, the gold annotations are of other Docs than those that were recorded.
        """
        if self.is_stream:
            return partial(self._ask_again, plan, teacher)
        return partial(self._read_targets, store, plan, self._match_gold(store))

    def read_annotated(self, store: Store, plan: Plan, teacher: Language | None) -> Iterator[Example]:
        """Read what is learned from with the hard labels on the Docs, to find the labels in, and gold annotations.

        Args:
            store: The targets.
            plan: Which pipe learns from which; the Docs are as the last teacher's pipe for hard labels left them, and
                once more as each one that is disabled did, which no other pipe saw.
            teacher: Who is asked about a stream's beginning.
        """
        order = list(store.header.profile.pipes)
        hard = sorted(_hard_pipes(plan), key=lambda name: order.index(plan[name][0]))
        disabled = [name for name in hard if name in self.student.disabled]
        shown = [*[name for name in hard if name not in disabled][-1:], *disabled]
        records = _ask(plan, teacher, self.sample) if self.is_stream else store.read(*LEARNED)
        for item in records:
            for name in shown:
                if name in item.targets:
                    annotated = read_annotated(item.targets[name], self.student.get_pipe(name))
                    yield Example(item.make_doc(self.student.vocab), annotated)
        # Somebody who corrects may know labels that the teacher does not.
        yield from self.gold

    def read_scored(self, store: Store, student: Language) -> Iterator[Example]:
        """Read what a student is scored on: gold annotations, or the teacher's of the texts that were held out."""
        if self.dev:
            yield from self.read_dev(student)
            return
        for item in _read_answered(store):
            yield Example(item.make_doc(student.vocab), item.make_annotated_doc(student.vocab))

    def read_teacher_scored(self, store: Store, student: Language) -> list[Example]:
        """Read what the teacher is scored on: its annotations and what they are compared to.

        None where the dev data was not recorded. The Docs are of the student's vocabulary.
        """
        if not self.dev:
            docs = (item.make_annotated_doc(student.vocab) for item in _read_answered(store))
            return [Example(doc, doc.copy()) for doc in docs]
        annotated = [item.make_annotated_doc(student.vocab) for item in store.read(Role.DEV)]
        references = [example.reference for example in self.read_dev(student)]
        is_same = [doc.text for doc in annotated] == [doc.text for doc in references]
        return [Example(*pair) for pair in zip(annotated, references, strict=True)] if is_same else []

    def make_evaluate(self, store: Store, lessons: dict[str, Lesson], weights: dict[str, float]) -> Evaluate:
        """Make what scores the student: spaCy's scorers, or, of an encoder alone, its lessons, a token's mean."""
        if not encodes_only(self.student):
            # Learning goes on as before, and what is saved is the plain pipeline.
            decode_in_batches(self.student)
            return create_evaluation_callback(self.student, partial(self.read_scored, store), weights)

        def evaluate() -> tuple[float, dict[str, Any]]:
            total, words = 0.0, 0
            for batch in minibatch(store.read(Role.HELD_OUT), self.student.batch_size):
                docs = [item.make_doc(self.student.vocab) for item in batch]
                words += sum(map(len, docs))
                for name, lesson in lessons.items():
                    total += lesson.score(docs, [item.targets[name] for item in batch])
            return total / words, {}

        return evaluate

    def _match_gold(self, store: Store) -> dict[int, Example]:
        """See that the gold annotations are of recorded Docs; return those to learn on, by their index."""
        gold = dict(enumerate(self.gold))
        found = {item.index: item for item in store.read(Role.GOLD)} if gold else {}
        words = {i: [token.text for token in example.predicted] for i, example in gold.items()}
        # Those that are missing were held out, or there was no gold when the teacher was asked.
        held_out = {tuple(item.words) for item in store.read(Role.HELD_OUT)} if len(found) < len(gold) else set()
        is_missing = any(i not in found and tuple(words[i]) not in held_out for i in gold)
        if is_missing or any(words.get(i) != item.words for i, item in found.items()):
            raise DistillationError("TD614", path=store.path, found=len(found), expected=len(gold))
        return {i: gold[i] for i in found}

    def _read_targets(
        self, store: Store, plan: Plan, gold: dict[int, Example], shuffle: random.Random | None
    ) -> Iterator[Taught]:
        share = self.settings.gold_share if gold and store.manifest.count(Role.TEXT) else 0.0
        if share:
            # Numbers of its own, as readers that take turns would draw from each other's.
            of_gold = shuffle and random.Random(shuffle.getrandbits(64))
            records = _mix(
                store.read(*(role for role in self.learned_roles if role is not Role.GOLD), shuffle=shuffle),
                chain.from_iterable(store.read(Role.GOLD, shuffle=of_gold) for _ in count()),
                share,
                len,
            )
        else:
            records = store.read(*self.learned_roles, shuffle=shuffle)
        corrections = _Corrections(self, plan, gold.values())
        for item in records:
            if item.role is Role.GOLD and gold:
                example = gold[item.index]
                yield Taught(example, corrections.outrank(item, example), has_gold=True)
            else:
                doc = item.make_doc(self.student.vocab)
                yield Taught(Example(doc, doc), corrections.outrank(item), has_gold=False)

    def _ask_again(self, plan: Plan, teacher: Language | None, shuffle: random.Random | None) -> Iterator[Taught]:
        """Ask the teacher about a stream, which nobody could keep."""
        texts = ((example, False) for example in self.read_texts(self.student))
        gold = ((example, True) for example in self.gold)
        share = self.settings.gold_share if self.gold and self.texts.count else 0.0
        mixed = _mix(texts, cycle(gold), share, lambda pair: len(pair[0].predicted)) if share else chain(texts, gold)
        asked, kept = tee(pair for pair in mixed if len(pair[0].predicted))
        records = _ask(plan, teacher, (example for example, _ in asked))
        corrections = _Corrections(self, plan, self.gold)
        for (example, has_gold), item in zip(kept, records, strict=True):
            yield Taught(example, corrections.outrank(item, example if has_gold else None), has_gold)


class _Corrections:
    """Gold annotations, which outrank a teacher's hard labels; soft labels and gold mix by their weights.

    Those of other Docs are found by their text: whoever corrects texts will have them also among those to learn on.
    """

    def __init__(self, dataset: Dataset, plan: Plan, gold: Iterable[Example]) -> None:
        self.student = dataset.student
        self.hard = [name for name in _hard_pipes(plan) if dataset.settings.learns_from_gold(name)]
        # Where there is nothing to outrank, no text is looked up.
        looked_up = gold if self.hard and dataset.settings.gold_weight else ()
        self.by_words = {tuple(token.text for token in example.predicted): example for example in looked_up}

    def outrank(self, item: Record, own: Example | None = None) -> Targets:
        """Take out of a Doc's targets what gold annotations say, its own or those of the same text."""
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


def _hard_pipes(plan: Plan) -> list[str]:
    """Name the student pipes that learn hard labels."""
    return [name for name, (_, rule) in plan.items() if isinstance(rule, Annotations)]


def make_readers(config: Config, settings: DistillationConfig, training: dict[str, Any]) -> dict[str, Reader]:
    """Make the readers for "distill", "gold" and "dev".

    Raises:
        DistillationError: TD006, there is no such block; TD004, it names a function that cannot be made.
    """
    names = {"corpus": settings.corpus, "gold_corpus": settings.gold_corpus, "dev_corpus": training["dev_corpus"]}
    corpora = interpolate(config)["corpora"]
    readers: list[Reader] = []
    for key, name in names.items():
        section, _, block = (name or "").partition(".")
        if name is not None and (section != "corpora" or block not in corpora):
            raise DistillationError("TD006", key=key, value=name)
        with resolving():
            readers.append(registry.resolve({block: corpora[block]})[block] if name else lambda nlp: ())
    return dict(zip(("distill", "gold", "dev"), readers, strict=True))


def make_text_reader(texts: Iterable[str]) -> Reader:
    """Make a reader of texts that are in memory.

    Args:
        texts: Strings: a list, a column of pandas, Arrow or `datasets`, or a whole table of these with a column "text".

    Raises:
        DistillationError: TD114, one of them is no text; TD134, the table has no column "text".
    """
    checked = []
    for number, text in enumerate(_column_of(texts), start=1):
        if not isinstance(text, str):
            raise DistillationError("TD114", number=number, found=type(text).__name__)
        checked.append(replace_surrogates(text))
    return lambda nlp: chain.from_iterable(make_examples(nlp, text, max_length=500) for text in checked)


def _column_of(texts: Any) -> Iterable[Any]:
    names = getattr(texts, "column_names", getattr(texts, "columns", None))
    # Gone through like a list, a table of pandas would be the names of its columns.
    if names is not None:
        names = list(names)
        if COLUMN not in names:
            found = ", ".join(map(str, names)) or "none"
            raise DistillationError("TD134", column=COLUMN, found=found, first=names[0] if names else COLUMN)
        texts = texts[COLUMN]
    # Arrow's own texts are no strings.
    return texts.to_pylist() if hasattr(texts, "to_pylist") else texts


def choose_raw_texts(records: Iterable[Record]) -> list[str]:
    """Choose the raw texts on which teacher and student are compared: the first that the student is scored on.

    Args:
        records: All that there are, from `Dataset.list_records` or a store.
    """
    return choose_texts((item.text, len(item)) for item in records if item.role in (Role.HELD_OUT, Role.DEV))


def read_gold(corpus: str, examples: Iterable[Example]) -> list[Example]:
    """Read Examples with gold annotations.

    Args:
        corpus: "gold" or "dev", for the message.
        examples: The Examples.

    Raises:
        DistillationError: TD111, none of them is annotated.
    """
    found = list(examples)
    if found and not any(is_annotated(example.reference) for example in found):
        raise DistillationError("TD111", corpus=corpus, count=len(found))
    return found


def draw_texts(examples: Iterable[Example]) -> Texts:
    """Draw `SAMPLE` Examples, each as likely as any other (Vitter's algorithm R), and count all and their words."""
    numbers = random.Random(0)
    sample: list[Example] = []
    n_texts = n_words = 0
    for n_texts, example in enumerate(examples, start=1):
        n_words += len(example.predicted)
        if n_texts <= SAMPLE:
            sample.append(example)
        elif (place := numbers.randrange(n_texts)) < SAMPLE:
            sample[place] = example
    return Texts(sample, n_texts, n_words)


def _is_held_out(i: int, share: float) -> bool:
    """Choose a share of the texts, the first of them and others all along, without knowing how many there are."""
    return floor(i * share) != floor((i - 1) * share)


def _count_words(examples: Iterable[Example]) -> int:
    return sum(len(example.predicted) for example in examples)


def _draw_words(examples: Sequence[Example], words: float) -> list[Example]:
    """Draw Examples of so many words, but at least two, so that one can be held out."""
    drawn: list[Example] = []
    for example in random.Random(0).sample(examples, len(examples)):
        if words <= 0 and len(drawn) >= 2:
            break
        drawn.append(example)
        words -= len(example.predicted)
    return drawn


def _first_words(examples: Iterable[Example], words: int) -> Iterator[Example]:
    for example in examples:
        if words <= 0:
            break
        yield example
        words -= len(example.predicted)


def _read_answered(store: Store) -> Iterator[Record]:
    """Read the held-out texts for which the teacher gave an answer."""
    return (item for item in store.read(Role.HELD_OUT) if item.annotated is not None)


def _ask(plan: Plan, teacher: Language | None, examples: Iterable[Example]) -> Iterator[Record]:
    assert teacher is not None
    asked, kept = tee(Record.from_doc(example.predicted) for example in examples)
    for item, targets in zip(kept, ask(teacher, asked, plan), strict=True):
        yield replace(item, targets=targets)


def _mix(others: Iterable[T], gold: Iterator[T], share: float, words: Callable[[T], int]) -> Iterator[T]:
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
