"""How well two pipelines annotate: each against gold annotations, and the student against the teacher."""

import math
from collections.abc import Iterator
from typing import Any

from spacy.language import Language
from spacy.pipeline import MultiLabel_TextCategorizer, TextCategorizer
from spacy.pipeline.functions import DocCleaner
from spacy.scorer import Scorer
from spacy.tokens import Doc, DocBin
from spacy.training import Example
from tqdm import tqdm

from ..errors import DistillationError

Scores = dict[str, Any]


def score_pipelines(
    teacher: Language, student: Language, texts: list[str], gold: DocBin | None = None
) -> dict[str, Any]:
    """Annotate the data with both pipelines and score them with spaCy's own scorers.

    Agreement is the student's score with the teacher's annotations as the reference. Of a text classifier's
    probabilities the reference takes what the classifier decides: 1 for the best of exclusive labels, or for
    every label over the threshold, else 0.

    Args:
        teacher: The pipeline to agree with.
        student: The pipeline to score.
        texts: The data's texts.
        gold: The same data with gold annotations, where there are some.

    Returns:
        `teacher` and `student`: the scores against gold by spaCy's names, nested ones per type included
        (empty without gold); `retention` and `agreement` by score, for the scores that both have (None:
        nothing to score, or the teacher's score is 0); `pipes`: the names of the scores of each of the
        student's pipes.

    Raises:
        DistillationError: TD407, the pipelines have no score in common.
    """
    teacher_docs = _annotate(teacher, texts, gold, "Teacher")
    student_docs = _annotate(student, texts, gold, "Student")
    said = DocBin(docs=teacher_docs)
    said.cats = [_decide(teacher, cats) for cats in said.cats]

    against_teacher = _score(student, student_docs, _said(student, said))
    known = _flatten(_score(teacher, teacher_docs[:1], _said(teacher, said)))
    agreement = {name: value for name, value in _flatten(against_teacher).items() if name in known}
    if all(name in against_teacher.get("tokenizer", {}) for name in agreement):
        raise DistillationError("TD407", teacher=teacher.pipe_names, student=student.pipe_names)

    teacher_scores = _flatten(_score(teacher, teacher_docs, _non_empty(teacher, gold))) if gold else {}
    student_scores = _flatten(_score(student, student_docs, _non_empty(student, gold))) if gold else {}
    return {
        "teacher": teacher_scores,
        "student": student_scores,
        "retention": {
            name: ratio(student_scores[name], value)
            for name, value in teacher_scores.items()
            if name in student_scores and _is_number_or_none(value)
        },
        "agreement": {name: value for name, value in agreement.items() if _is_number_or_none(value)},
        "pipes": {pipe: list(scores) for pipe, scores in against_teacher.items() if scores},
    }


def ratio(value: float | None, base: float | None) -> float | None:
    """Return `value / base`; None where either is None or the base is 0."""
    return value / base if value is not None and base else None


def _annotate(nlp: Language, texts: list[str], gold: DocBin | None, description: str) -> list[Doc]:
    docs = _gold_tokenized(nlp, gold) if gold else map(nlp.make_doc, texts)
    # Vectors of every token would fill the memory, and no score reads them.
    clean = DocCleaner({"tensor": None, "_.trf_data": None})
    progress = tqdm(nlp.pipe(docs), total=len(texts), desc=description, unit="doc", disable=None)
    return [clean(doc) for doc in progress]


def _gold_tokenized(nlp: Language, gold: DocBin) -> Iterator[Doc]:
    """Unannotated Docs, tokenized as by spaCy's Corpus: the pipeline's own way, if the text is known."""
    for reference in _non_empty(nlp, gold):
        if reference.has_unknown_spaces:
            yield Doc(nlp.vocab, words=[token.text for token in reference])
        else:
            yield nlp.make_doc(reference.text)


def _non_empty(nlp: Language, references: DocBin) -> Iterator[Doc]:
    return (doc for doc in references.get_docs(nlp.vocab) if len(doc))


def _said(nlp: Language, said: DocBin) -> Iterator[Doc]:
    """A pipeline's annotations as spaCy's scorers expect gold ones, in the vocabulary of another pipeline.

    Nothing is said about whitespace: the scorers pass over it only in what is predicted, so that a pipeline
    would not agree with itself. It is still part of sentences.
    """
    for doc in said.get_docs(nlp.vocab):
        for token in doc:
            if token.is_space:
                token.tag = token.pos = token.lemma = token.dep = 0
                token.set_morph(None)  # type: ignore[attr-defined]  # missing in spaCy's stubs
        yield doc


def _decide(nlp: Language, cats: dict[str, float]) -> dict[str, float]:
    """0 or 1 for every label: spaCy's scorers take any reference over 0 for a yes."""
    decided = {label: float(score >= 0.5) for label, score in cats.items()}
    for _, pipe in nlp.pipeline:
        if isinstance(pipe, TextCategorizer):
            scores = {label: cats[label] for label in pipe.labels if label in cats}
            if isinstance(pipe, MultiLabel_TextCategorizer):
                threshold = pipe.cfg["threshold"]
                decided |= {label: float(score >= threshold) for label, score in scores.items()}
            elif scores:
                best = max(scores, key=lambda label: scores[label])
                decided |= {label: float(label == best) for label in scores}
    return decided


def _score(nlp: Language, docs: list[Doc], references: Iterator[Doc]) -> dict[str, Scores]:
    """Scores by the name of the pipe."""
    examples = [Example(doc, reference) for doc, reference in zip(docs, references, strict=False)]
    return _plain(Scorer(nlp).score(examples, per_component=True))


def _flatten(scores_by_pipe: dict[str, Scores]) -> Scores:
    return {name: value for scores in scores_by_pipe.values() for name, value in scores.items()}


def _plain(value: Any) -> Any:
    """Only what JSON has: NumPy's numbers become Python's, and what is not a number becomes None."""
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if value is None or isinstance(value, (bool, str)):
        return value
    try:
        number = float(value)
    except (TypeError, ValueError):
        return str(value)
    return number if math.isfinite(number) else None


def _is_number_or_none(value: Any) -> bool:
    return value is None or isinstance(value, float)
