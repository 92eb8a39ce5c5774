"""Find out from outside whether two pipelines say the same: raw text goes in, everything on the Docs is compared.

This module shares nothing with the road on which a student is made: no rebuilt tokenizer, no list of mirrored pipes, no
targets. It knows spaCy's `Doc` and nothing else, so that a fault of the road cannot hide in it.
"""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from math import isfinite
from typing import Any

from pydantic import TypeAdapter
from spacy.language import Language
from spacy.pipeline import MultiLabel_TextCategorizer, TextCategorizer
from spacy.tokens import Doc, Span

from .errors import DistillationError

# What a pipeline says about one text: for each kind of annotation, what it says at each place. A place is a string, so
# that all of it can be kept as JSON: characters such as "4:9", where the annotation has several at one place with the
# label behind them, or the label itself for a text's categories.
Annotated = dict[str, dict[str, Any]]

# What to call each kind of annotation. Span groups, categories and custom attributes have names of their own.
NAMES = {
    "tokens": "tokens",
    "sents": "sentences",
    "tag": "tags",
    "pos": "parts of speech",
    "morph": "morphology",
    "lemma": "lemmas",
    "dep": "dependency labels",
    "head": "heads",
    "ents": "entities",
    "ent_id": "entity ids",
    "kb_id": "entity links",
    "cats": "categories",
    "sentiment": "sentiment",
}

# Custom attributes in which libraries keep what they calculated with. No annotation: nobody reads them in a student.
NO_ANNOTATION = ("trf_data", "_trf_data")

# So many texts are shown where something differs.
EXAMPLES = 3

# So many words are compared: some seconds of a transformer on a CPU.
WORDS = 3_000

# So many texts are run pipe by pipe, to see which pipe writes what.
TEXTS_BY_PIPE = 20


@dataclass(frozen=True)
class Difference:
    """One place where two pipelines differ."""

    text: str  # The words at the place, or the beginning of the text
    teacher: Any  # None for nothing
    student: Any


@dataclass
class Agreement:
    """How often two pipelines say the same of one kind of annotation."""

    places: int = 0  # Where at least one of them says something
    agreed: int = 0
    by_teacher: int = 0  # Places where the teacher says something
    by_student: int = 0
    examples: list[Difference] = field(default_factory=list)

    @property
    def share(self) -> float:
        """From 0 to 1; 1 where neither says anything."""
        return self.agreed / self.places if self.places else 1.0

    @property
    def is_missing(self) -> bool:
        """Whether the teacher says something and the student never does."""
        return bool(self.by_teacher and not self.by_student)


@dataclass(frozen=True)
class Judgement:
    """What came of comparing two pipelines on raw text."""

    texts: int
    differing_texts: int  # In which they differ in anything
    kinds: dict[str, Agreement]  # By kind of annotation, in a fixed order

    @property
    def missing(self) -> list[str]:
        """The kinds that the teacher writes and the student never does."""
        return [kind for kind, agreement in self.kinds.items() if agreement.is_missing]

    @property
    def same_tokens(self) -> bool:
        """Whether both have the same tokens in every text."""
        tokens = self.kinds.get("tokens")
        return tokens is None or tokens.agreed == tokens.places


@dataclass(frozen=True)
class Statement:
    """What a whole pipeline says about raw texts, and which of its pipes say it."""

    texts: list[str]
    annotated: list[Annotated]  # Of each text
    writers: dict[str, list[str]]  # By kind of annotation the names of the pipes, from `writers`

    def to_bytes(self) -> bytes:
        """Write the statement as JSON."""
        return json.dumps(asdict(self), separators=(",", ":")).encode()

    @classmethod
    def from_bytes(cls, data: bytes) -> "Statement":
        """Undo `to_bytes`.

        Raises:
            ValueError: The data is of another making.
        """
        found = _STATEMENT.validate_json(data)
        if len(found.annotated) != len(found.texts):
            raise ValueError(f"{len(found.annotated)} annotations of {len(found.texts)} texts")
        return found


# What a statement of somebody else's making is checked by.
_STATEMENT = TypeAdapter(Statement)


def choose_texts(texts: Iterable[tuple[str, int]]) -> list[str]:
    """Choose the first texts of `WORDS` words, or a little more.

    Args:
        texts: Raw texts, each with its number of words.
    """
    chosen, words = [], 0
    for text, count in texts:
        chosen.append(text)
        words += count
        if words >= WORDS:
            break
    return chosen


def take_statement(role: str, nlp: Language, texts: Sequence[str]) -> Statement:
    """Ask a whole pipeline about raw texts.

    Args:
        role: "teacher" or "student", for the message.
        nlp: The pipeline, with whichever pipes are on.
        texts: Raw texts.

    Raises:
        DistillationError: TD414, a pipe fails, or leaves texts out.
    """
    try:
        annotated = list(annotate(nlp, texts))
        found = writers(nlp, texts)
    except Exception as error:  # Any component may run here, and fail in any way.
        raise DistillationError("TD414", role=role, reason=f"{type(error).__name__}: {error}") from error
    if len(annotated) != len(texts):
        raise DistillationError("TD414", role=role, reason=f"{len(annotated)} of {len(texts)} texts came back")
    return Statement(list(texts), annotated, found)


def annotate(nlp: Language, texts: Iterable[str]) -> Iterator[Annotated]:
    """Run a pipeline as it is over raw texts and read off everything that it wrote.

    Args:
        nlp: The pipeline, with whichever pipes are on.
        texts: Raw texts.
    """
    for doc in nlp.pipe(texts):
        yield read_doc(doc, nlp)


def judge(texts: Sequence[str], teacher: Iterable[Annotated], student: Iterable[Annotated]) -> Judgement:
    """Compare what two pipelines said about the same texts.

    Args:
        texts: The raw texts.
        teacher: What the teacher said about each, from `annotate`, now or when it was recorded.
        student: What the student said.

    Raises:
        ValueError: There are not as many of each.
    """
    kinds: dict[str, Agreement] = {}
    differing = 0
    for text, theirs, ours in zip(texts, teacher, student, strict=True):
        differing += theirs != ours
        for kind in {**theirs, **ours}:
            agreement = kinds.setdefault(kind, Agreement())
            _compare(agreement, text, theirs.get(kind, {}), ours.get(kind, {}), is_place=kind == "head")
    order = {kind: number for number, kind in enumerate(NAMES)}
    ordered = sorted(kinds, key=lambda kind: (order.get(kind, len(order)), kind))
    return Judgement(len(texts), differing, {kind: kinds[kind] for kind in ordered})


def writers(nlp: Language, texts: Iterable[str]) -> dict[str, list[str]]:
    """Find out which pipes write or change which kind of annotation, by running one after another.

    Args:
        nlp: The pipeline.
        texts: Raw texts; the first `TEXTS_BY_PIPE` of them are run.

    Returns:
        By kind, the names of the pipes, in their order. What the tokenizer wrote has no pipe.
    """
    found: dict[str, dict[str, None]] = {}
    for _, text in zip(range(TEXTS_BY_PIPE), texts, strict=False):
        doc = nlp.make_doc(text)
        before = read_doc(doc, nlp)
        for name, pipe in nlp.pipeline:
            doc = pipe(doc)
            after = read_doc(doc, nlp)
            for kind in {**before, **after}:
                if before.get(kind) != after.get(kind):
                    found.setdefault(kind, {})[name] = None
            before = after
    return {kind: list(names) for kind, names in found.items()}


def name_kind(kind: str) -> str:
    """Name a kind of annotation as it is shown to people."""
    return NAMES.get(kind, kind)


def read_doc(doc: Doc, nlp: Language) -> Annotated:
    """Read off a Doc everything that a pipeline wrote on it.

    Places are characters of the text, so that Docs with other tokens can be compared.

    Args:
        doc: The Doc.
        nlp: Its pipeline; its text classifiers decide which category counts as said.

    Returns:
        Kinds of which nothing was said are absent.
    """
    places = [f"{token.idx}:{token.idx + len(token)}" for token in doc]
    found: dict[str, dict[str, Any]] = {"tokens": dict.fromkeys(places, True)}
    if doc.has_annotation("SENT_START"):
        found["sents"] = {place: True for place, token in zip(places, doc, strict=True) if token.is_sent_start}
    for kind, value in (
        ("tag", lambda token: token.tag_),
        ("pos", lambda token: token.pos_),
        ("morph", lambda token: str(token.morph)),
        ("lemma", lambda token: token.lemma_),
        ("dep", lambda token: token.dep_),
    ):
        found[kind] = {place: value(token) for place, token in zip(places, doc, strict=True) if value(token)}
    if doc.has_annotation("HEAD"):
        found["head"] = {place: places[token.head.i] for place, token in zip(places, doc, strict=True)}
    found["ents"] = {_place(ent): ent.label_ for ent in doc.ents}
    found["ent_id"] = {_place(ent): ent.ent_id_ for ent in doc.ents if ent.ent_id_}
    found["kb_id"] = {_place(ent): ent.kb_id_ for ent in doc.ents if ent.kb_id_}
    for key, group in doc.spans.items():
        # The same span may be there several times.
        count = Counter((_place(span), span.label_, span.id_, span.kb_id_) for span in group)
        found[f"spans[{key!r}]"] = {
            f"{place} {label}": [span_id, kb_id, times] for (place, label, span_id, kb_id), times in count.items()
        }
    found["cats"] = _decide(doc.cats, nlp)
    if doc.sentiment:
        # A number that is learned is hardly ever the same to the last digit.
        found["sentiment"] = {"the text": round(doc.sentiment, 1)}
    for key, value in doc.user_data.items():
        if custom := _custom(key):
            name, place = custom
            found.setdefault(name, {})[place] = _plain(value)
    return {kind: values for kind, values in found.items() if values}


def _compare(agreement: Agreement, text: str, theirs: dict[str, Any], ours: dict[str, Any], *, is_place: bool) -> None:
    """Count where two pipelines agree about one text; what they say may itself be a place in it, such as a head."""
    agreement.by_teacher += len(theirs)
    agreement.by_student += len(ours)
    shown = False
    for place in {**theirs, **ours}:
        agreement.places += 1
        if place in theirs and place in ours and theirs[place] == ours[place]:
            agreement.agreed += 1
        elif not shown and len(agreement.examples) < EXAMPLES:
            # One of each text, as one mistake often brings others.
            said = (theirs.get(place), ours.get(place))
            teacher, student = (_words(text, value) if is_place and value else value for value in said)
            agreement.examples.append(Difference(_words(text, place), teacher, student))
            shown = True


def _words(text: str, place: str) -> str:
    start, _, end = place.partition(" ")[0].partition(":")
    return text[int(start) : int(end)] if start.isdigit() and end.isdigit() else text[:40]


def _place(span: Span) -> str:
    return f"{span.start_char}:{span.end_char}"


def _decide(cats: dict[str, float], nlp: Language) -> dict[str, bool]:
    """What a text's categories come to: the best of exclusive labels, and all others from their threshold up."""
    decided = {label: score >= 0.5 for label, score in cats.items()}
    for _, pipe in nlp.pipeline:
        if not isinstance(pipe, TextCategorizer):
            continue
        scores = {label: cats[label] for label in pipe.labels if label in cats}
        if isinstance(pipe, MultiLabel_TextCategorizer):
            decided |= {label: score >= pipe.cfg["threshold"] for label, score in scores.items()}
        elif scores:
            best = max(scores, key=lambda label: scores[label])
            decided |= {label: label == best for label in scores}
    return {label: bool(value) for label, value in decided.items()}


def _custom(key: Any) -> tuple[str, str] | None:
    """Name the custom attribute that a key of `doc.user_data` stands for, and its place; others by the key itself."""
    if isinstance(key, tuple) and len(key) == 4 and key[0] == "._.":
        _, name, start, end = key
        place = "the text" if start is None else f"{start}:{'' if end is None else end}"
        return None if name in NO_ANNOTATION else (f"_.{name}", place)
    return f"user_data[{key!r}]", "the text"


def _plain(value: Any) -> Any:
    """A value as JSON has it; what JSON does not have, as its text."""
    if isinstance(value, float) and not isfinite(value):
        return str(value)
    if isinstance(value, bool | int | float | str) or value is None:
        return value
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    return str(value)
