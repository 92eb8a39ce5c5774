"""What the probabilities of text and span categorizers are worth, and which threshold suits."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy
from spacy.language import Language
from spacy.pipeline import MultiLabel_TextCategorizer, SpanCategorizer, TextCategorizer
from spacy.tokens import Doc

THRESHOLDS = tuple(round(0.1 * i, 1) for i in range(1, 10))

# As in the paper.
BINS = 15


@dataclass(frozen=True)
class Reference:
    """What is taken for right about a text."""

    doc: Doc  # Its spans; a group of spans does not keep its Doc alive
    cats: Mapping[str, float]  # From 0.5 up, a label is right


def calibration_error(confidences: Sequence[float], correct: Sequence[bool], bins: int = BINS) -> float | None:
    """Compute the expected calibration error (Guo et al. 2017, https://arxiv.org/abs/1706.04599, equation 3).

    Predictions are sorted into bins of equal width by their confidence; the error is the mean difference between a
    bin's accuracy and its mean confidence, weighted by the number of predictions in it.

    Args:
        confidences: (predictions,) From 0 to 1.
        correct: (predictions,) Whether each is right.
        bins: How many there are.

    Returns:
        From 0 to 1; None without predictions.
    """
    if not len(confidences):
        return None
    values, hits = numpy.asarray(confidences, dtype=float), numpy.asarray(correct, dtype=float)
    # Equation 1's bins are open below: (0, 1/15], (1/15, 2/15], ...
    places = numpy.clip(numpy.ceil(values * bins).astype(int) - 1, 0, bins - 1)
    gaps = numpy.bincount(places, hits - values, minlength=bins)
    return float(numpy.abs(gaps).sum() / len(values))


def calibrate(nlp: Language, docs: Sequence[Doc], references: Sequence[Reference]) -> dict[str, float]:
    """Compute the calibration error of each text categorizer.

    Args:
        nlp: The pipeline whose pipes are looked at.
        docs: What the pipeline, or its teacher, annotated.
        references: Gold annotations of the same texts.

    Returns:
        By pipe. Of exclusive categories the confidence is that of the best one; else that of each category.
    """
    errors = {}
    for name, pipe in _categorizers(nlp):
        pairs = list(_judged_cats(pipe, docs, references))
        error = calibration_error([confidence for confidence, _ in pairs], [is_right for _, is_right in pairs])
        if error is not None:
            errors[name] = error
    return errors


def try_thresholds(
    nlp: Language, docs: Sequence[Doc], references: Sequence[Reference]
) -> dict[str, list[dict[str, float]]]:
    """Compute precision, recall and F of a student's `textcat_multilabel` and `spancat` by threshold.

    Args:
        nlp: The student.
        docs: What it annotated. Spans below its own threshold are not in them, so lower thresholds are left out.
        references: Gold annotations of the same texts, or what the teacher decided.

    Returns:
        By pipe, for each threshold: `threshold`, `precision`, `recall`, `f`, and whether it is `current`.
    """
    tables = {}
    for name in nlp.pipe_names:
        pipe = nlp.get_pipe(name)
        if isinstance(pipe, MultiLabel_TextCategorizer):
            scored, total = _scored_cats(pipe, docs, references)
            tables[name] = _table(scored, total, float(pipe.cfg["threshold"]), THRESHOLDS)
        # Of spancat_singlelabel the best label is taken, whatever its probability.
        elif isinstance(pipe, SpanCategorizer) and not pipe.add_negative_label:
            current = float(pipe.cfg["threshold"] or 0)
            scored, total = _scored_spans(pipe, docs, references)
            tables[name] = _table(scored, total, current, [value for value in THRESHOLDS if value >= current])
    return {name: table for name, table in tables.items() if table}


# Pairs of a probability and whether it is right.
_Scored = list[tuple[float, bool]]


def _table(scored: _Scored, total: int, current: float, thresholds: Sequence[float]) -> list[dict[str, float]]:
    if not total:
        return []
    rows = []
    for threshold in sorted({*thresholds, current}):
        # As spaCy decides: from the threshold on.
        given = [is_right for probability, is_right in scored if probability >= threshold]
        right = sum(given)
        precision = right / len(given) if given else 0.0
        recall = right / total
        f = 2 * precision * recall / (precision + recall) if right else 0.0
        rows.append(
            {"threshold": threshold, "precision": precision, "recall": recall, "f": f, "current": threshold == current}
        )
    return rows


def _categorizers(nlp: Language) -> Iterator[tuple[str, TextCategorizer]]:
    for name in nlp.pipe_names:
        pipe = nlp.get_pipe(name)
        if isinstance(pipe, TextCategorizer):
            yield name, pipe


def _judged_cats(
    pipe: TextCategorizer, docs: Sequence[Doc], references: Sequence[Reference]
) -> Iterator[tuple[float, bool]]:
    exclusive = not isinstance(pipe, MultiLabel_TextCategorizer)
    for doc, reference in zip(docs, references, strict=True):
        labels = [label for label in pipe.labels if label in doc.cats and label in reference.cats]
        if exclusive and labels:
            best = max(labels, key=lambda label: doc.cats[label])
            yield doc.cats[best], reference.cats[best] >= 0.5
        elif not exclusive:
            for label in labels:
                yield doc.cats[label], reference.cats[label] >= 0.5


def _scored_cats(pipe: TextCategorizer, docs: Sequence[Doc], references: Sequence[Reference]) -> tuple[_Scored, int]:
    pairs = [
        (doc.cats[label], reference.cats[label] >= 0.5)
        for doc, reference in zip(docs, references, strict=True)
        for label in pipe.labels
        if label in doc.cats and label in reference.cats
    ]
    return pairs, sum(is_right for _, is_right in pairs)


def _scored_spans(pipe: SpanCategorizer, docs: Sequence[Doc], references: Sequence[Reference]) -> tuple[_Scored, int]:
    scored: _Scored = []
    total = 0
    for doc, reference in zip(docs, references, strict=True):
        if pipe.key not in reference.doc.spans or pipe.key not in doc.spans:
            continue
        right = {(span.start_char, span.end_char, span.label_) for span in reference.doc.spans[pipe.key]}
        total += len(right)
        group = doc.spans[pipe.key]
        scores = group.attrs.get("scores")
        # A span_ruler's, or a student's that somebody else annotated.
        if scores is None or len(scores) != len(group):
            return [], 0
        # Where each span has one label, spaCy's scores have two dimensions.
        for span, score in zip(group, numpy.ravel(scores), strict=True):
            scored.append((float(score), (span.start_char, span.end_char, span.label_) in right))
    return scored, total
