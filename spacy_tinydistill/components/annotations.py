"""Any component that writes to the Doc: its annotations are the lesson, as gold ones would be."""

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy
from spacy.language import Language
from spacy.pipeline import (
    DependencyParser,
    EditTreeLemmatizer,
    EntityRecognizer,
    Morphologizer,
    MultiLabel_TextCategorizer,
    SentenceRecognizer,
    SpanFinder,
    Tagger,
    TextCategorizer,
)
from spacy.pipeline.spancat import SpanCategorizer
from spacy.tokens import Doc, Span
from spacy.training import Example

from ..pipes.pipeline import is_encoder, pipes_of
from ..pipes.third_party import excludes, has_answered, is_text_classifier, list_labels
from ..targets.records import Arrays, annotated_bytes, read_annotated_bytes
from .base import Lesson, Reads, TeachingRule

# What spaCy's pipes learn of tokens. The first kind that a pipe is of counts.
TOKEN_ATTRIBUTES: tuple[tuple[type, tuple[str, ...]], ...] = (
    (Morphologizer, ("POS", "MORPH")),
    (SentenceRecognizer, ("SENT_START",)),
    (Tagger, ("TAG",)),
    (EditTreeLemmatizer, ("LEMMA",)),
    (DependencyParser, ("DEP",)),
    (EntityRecognizer, ("ENT_IOB",)),
)


class Annotations(TeachingRule):
    """Hard labels: what the teacher wrote to the Doc, learned by the student pipe's own `update`."""

    reads: ClassVar[Reads] = Reads.OWN_ANNOTATIONS

    def accepts(self, student: Any, teacher: Any) -> bool:
        """Whatever writes can teach whatever learns."""
        return hasattr(student, "update")

    def record(self, teacher: Any, docs: Sequence[Doc]) -> list[Arrays]:
        """Record `doc`, uint8: the annotated Doc as `targets.annotated_bytes` writes it; nothing without an answer."""
        return [{"doc": _to_array(doc)} if has_answered(teacher, doc) else {} for doc in docs]

    def describe(self, teacher: Any) -> dict[str, Any]:
        """Nothing is needed beside the annotated Docs."""
        return {}

    def start(self, student: Any, name: str, teacher: dict[str, Any]) -> "AnnotationsLesson":
        """Bind the rule; the student learns whichever of its labels occur."""
        return AnnotationsLesson(student)


class AnnotationsLesson(Lesson):
    """`Annotations` at work."""

    def __init__(self, student: Any) -> None:
        self.student = student

    def update(self, docs: Sequence[Doc], targets: Sequence[Arrays], *, dropout: float) -> float:
        """Learn the batch's annotations."""
        examples = [
            Example(doc, read_annotated(arrays, self.student)) for doc, arrays in zip(docs, targets, strict=True)
        ]
        losses: dict[str, float] = {}
        # What is returned is None with a beam.
        self.student.update(examples, drop=dropout, losses=losses)
        return float(losses[self.student.name])


def read_annotated(arrays: Arrays, student: Any) -> Doc:
    """Read an annotated Doc back, in the form in which the student's pipe expects its gold.

    Args:
        arrays: What `Annotations.record` returned for the Doc.
        student: The pipe that will learn from it.
    """
    doc = read_annotated_bytes(arrays["doc"].tobytes(), student.vocab)
    if isinstance(student, EntityRecognizer) and not doc.has_annotation("ENT_IOB"):
        # A component that found no entity says nothing; here that means there is none, not that none is known.
        doc.set_ents([], default="outside")
    if isinstance(student, TextCategorizer) and doc.cats:
        # Other components may have written categories of their own.
        cats = {label: value for label, value in doc.cats.items() if label in student.labels or not student.labels}
        doc.cats = harden(cats, exclusive=_is_exclusive(student)) if cats else {}
    return doc


def speaks_of(doc: Doc, pipe: Any) -> bool:
    """Whether a Doc has any annotation of the kind that a pipe learns: of an encoder none, of an unknown pipe true.

    spaCy's own losses know missing values of tokens and of categories that do not exclude each other. In all else they
    take what is missing for a "no".

    Args:
        doc: The Doc, annotated.
        pipe: A student's pipe.
    """
    if is_encoder(pipe):
        return False
    if isinstance(pipe, TextCategorizer):
        return any(label in doc.cats for label in pipe.labels)
    if isinstance(pipe, SpanCategorizer | SpanFinder):
        return pipe.cfg["spans_key"] in doc.spans
    if isinstance(pipe, EntityRecognizer) and pipe.incorrect_spans_key in doc.spans:
        return True
    attributes = _token_attributes(pipe)
    return not attributes or any(doc.has_annotation(attribute) for attribute in attributes)


def own_categories(example: Example, pipe: Any) -> Example:
    """Leave to a text classifier, which checks all categories of a text, those that it has; others get the Example."""
    cats = example.reference.cats
    if not isinstance(pipe, TextCategorizer) or all(label in pipe.labels for label in cats):
        return example
    return _with_categories(example, {label: value for label, value in cats.items() if label in pipe.labels})


def without_categories(example: Example) -> Example:
    """Leave out the gold categories."""
    return _with_categories(example, {}) if example.reference.cats else example


def _with_categories(example: Example, cats: dict[str, float]) -> Example:
    reference = example.reference.copy()
    reference.cats = cats
    return Example(example.predicted, reference)


def needed_labels(doc: Doc, pipe: Any) -> set[str]:
    """Find the labels of a Doc that a pipe must know to learn from it.

    Of taggers, entity recognizers and span categorizers: spaCy takes no notice of what other pipes do not know.

    Args:
        doc: The Doc, with gold annotations.
        pipe: A student's pipe.
    """
    if isinstance(pipe, EntityRecognizer):
        return {ent.label_ for ent in doc.ents}
    if isinstance(pipe, SpanCategorizer):
        return {span.label_ for span in doc.spans.get(pipe.key, ())}
    if _token_attributes(pipe) == ("TAG",):
        prefix = pipe.cfg["neg_prefix"]
        return {token.tag_ for token in doc if token.tag_ and not token.tag_.startswith(prefix)}
    return set()


def leave_to_gold(arrays: Arrays, gold: Example, student: Any) -> Arrays:
    """Take out of a teacher's annotations what gold ones say of the same thing: these outrank it.

    What gold says nothing of stays: other tokens, other categories. Where spaCy's pipes cannot be told that a part is
    missing (sentences, spans, categories that exclude each other), and of trees, which no two can make together, gold
    that says anything takes all.

    Args:
        arrays: What `Annotations.record` returned for the Doc.
        gold: The Doc as the student tokenizes it, and its gold annotations.
        student: The pipe that will learn from both. One that is not spaCy's learns all that both say.

    Returns:
        Arrays as `Annotations.record` makes them; empty where nothing is left.
    """
    attributes = _token_attributes(student)
    is_known = attributes or isinstance(student, TextCategorizer | SpanCategorizer | SpanFinder)
    if not is_known or not speaks_of(gold.reference, student):
        return arrays
    doc = read_annotated(arrays, student)
    if isinstance(student, EntityRecognizer):
        _leave_entities(doc, gold)
    elif isinstance(student, Tagger | EditTreeLemmatizer) and not isinstance(student, SentenceRecognizer):
        _leave_tokens(doc, gold, attributes)
    elif isinstance(student, MultiLabel_TextCategorizer):
        doc.cats = {label: value for label, value in doc.cats.items() if label not in gold.reference.cats}
    else:
        return {}
    return {"doc": _to_array(doc)} if speaks_of(doc, student) else {}


def _leave_entities(doc: Doc, gold: Example) -> None:
    """Make tokens missing of which gold knows whether they are of an entity, and all of an entity that has such."""
    left = {i for i, label in enumerate(gold.get_aligned_ner()) if label not in (None, "", "-")}
    kept = [ent for ent in doc.ents if left.isdisjoint(range(ent.start, ent.end))]
    left |= {token.i for ent in doc.ents if ent not in kept for token in ent}
    doc.set_ents(kept, missing=[Span(doc, i, i + 1) for i in sorted(left)], default="unmodified")


def _leave_tokens(doc: Doc, gold: Example, attributes: Sequence[str]) -> None:
    """Make tokens' attributes missing where gold has one of them."""
    columns = [gold.get_aligned(attribute, as_string=True) for attribute in attributes]
    for token, *values in zip(doc, *columns, strict=True):
        if any(values):
            for attribute in attributes:
                if attribute == "MORPH":
                    token.set_morph(None)
                else:
                    setattr(token, attribute.lower(), 0)


def _token_attributes(pipe: Any) -> tuple[str, ...]:
    return next((attributes for kind, attributes in TOKEN_ATTRIBUTES if isinstance(pipe, kind)), ())


def _to_array(doc: Doc) -> numpy.ndarray:
    return numpy.frombuffer(annotated_bytes(doc), dtype="uint8")


def decide(nlp: Language, cats: dict[str, float]) -> dict[str, float]:
    """Turn the label probabilities that a pipeline's text classifiers gave a text into decisions, 1.0 or 0.0.

    spaCy's scorers take any reference over 0 for a yes.

    Args:
        nlp: The pipeline. A category that is of none of its classifiers is true from 0.5 up.
        cats: Probability by label, those of all classifiers together.
    """
    decided = harden(cats, exclusive=False)
    for _, pipe in pipes_of(nlp):
        of_pipe = {label: cats[label] for label in list_labels(pipe) if label in cats}
        if isinstance(pipe, MultiLabel_TextCategorizer):
            decided |= {label: float(score >= pipe.cfg["threshold"]) for label, score in of_pipe.items()}
        elif of_pipe and (isinstance(pipe, TextCategorizer) or (is_text_classifier(pipe) and excludes(pipe))):
            decided |= harden(of_pipe, exclusive=True)
    return decided


def harden(cats: dict[str, float], *, exclusive: bool) -> dict[str, float]:
    """Turn a text's label probabilities into decisions, 1.0 or 0.0, as spaCy's own text categorizers learn them.

    Args:
        cats: Probability by label.
        exclusive: Whether only the most probable label is true, if any is above 0, or every one from 0.5 up.
    """
    if exclusive:
        best = max(cats, key=lambda label: cats[label])
        return {label: float(label == best and cats[label] > 0) for label in cats}
    return {label: float(score >= 0.5) for label, score in cats.items()}


def _is_exclusive(pipe: TextCategorizer) -> bool:
    return not isinstance(pipe, MultiLabel_TextCategorizer)
