"""How well two pipelines annotate: each against gold annotations, and the student against the teacher."""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from spacy.language import Language
from spacy.pipeline.functions import DocCleaner
from spacy.scorer import Scorer
from spacy.tokens import Doc
from spacy.training import Example
from spacy.vocab import Vocab
from tqdm.auto import tqdm

from ..components.annotations import decide
from ..gold_tokens import count_gold_tokens, share_counted

Scores = dict[str, Any]


@dataclass(frozen=True)
class Side:
    """One of the two, and what it made of the texts."""

    nlp: Language  # By its scorers and labels it is judged; not always the pipeline that annotated
    docs: list[Doc]  # Of its vocabulary


def score_sides(teacher: Side, student: Side, gold: Sequence[Doc] | None = None) -> dict[str, Any]:
    """Score what both pipelines made of the same texts with spaCy's own scorers.

    Agreement is the student's score with the teacher's annotations as the reference. Of a text classifier's
    probabilities the reference takes what the classifier decides: 1 for the best of exclusive labels, or for
    every label over the threshold, else 0.

    Args:
        teacher: The pipeline to agree with. Where it was not asked, without Docs.
        student: The pipeline to score.
        gold: The same texts with gold annotations, where there are some, of any vocabulary.

    Returns:
        `teacher` and `student`: the scores against gold by spaCy's names, nested ones per type included
        (empty without gold); `retention` and `agreement` by score, for the scores that both have (None:
        nothing to score, or the teacher's score is 0); `pipes`: the names of the scores of each of the
        student's pipes; `overall`: `retention` and `agreement` in one number each, by the weights that the
        student's config gives to its scores. With gold annotations also `aligned`, the share of gold tokens that are
        tokens of the teacher's and of the student's, and `counted`, the share of them that each of the student's
        scores counts (see `gold_tokens`), for scores of tokens; else they are empty.
    """
    against_teacher = _score(student.nlp, student.docs, _said(teacher, student.nlp))
    known = _flatten(_score(teacher.nlp, teacher.docs[:1], _said(teacher, teacher.nlp))) if teacher.docs else {}
    agreement = {
        name: value
        for name, value in _flatten(against_teacher).items()
        if name in known and _is_number_or_none(value) and not _is_by_label(name)
    }
    scores = {
        # Scorers call it 0 where there is nothing to score.
        role: _flatten(_score(side.nlp, side.docs, non_empty(side.nlp, gold))) if gold and side.docs else {}
        for role, side in (("teacher", teacher), ("student", student))
    }
    aligned: dict[str, float | None] = {}
    counted: dict[str, float | None] = {}
    for role, side in (("teacher", teacher), ("student", student)):
        if gold and side.docs:
            aligned[role], shares = count_gold_tokens(_pair(side.docs, non_empty(side.nlp, gold)))
            counted = {name: share_counted(name, shares) for name in scores[role]}
    pipes = {pipe: list(names) for pipe, names in against_teacher.items() if names}
    weights = _weights(student.nlp, [name for pipe, names in pipes.items() if pipe != "tokenizer" for name in names])
    retention = {
        name: ratio(scores["student"][name], value)
        for name, value in scores["teacher"].items()
        if name in scores["student"]
        and _is_number_or_none(value)
        and _is_number_or_none(scores["student"][name])
        # Scores by label are nested, and None where there is nothing to score.
        and not _is_by_label(name)
    }
    kept = {name: weight for name, weight in weights.items() if retention.get(name) is not None}
    return {
        **scores,
        "retention": retention,
        "agreement": agreement,
        "pipes": pipes,
        "aligned": aligned,
        "counted": counted,
        "overall": {
            "retention": ratio(_mean(scores["student"], kept), _mean(scores["teacher"], kept)),
            "agreement": _mean(agreement, weights),
        },
    }


def share_scores(scored: dict[str, Any]) -> bool:
    """Whether there is a score by which the two can be compared, other than that of their tokenizers."""
    return any(name not in scored["pipes"].get("tokenizer", ()) for name in scored["agreement"])


def ratio(value: float | None, base: float | None) -> float | None:
    """Return `value / base`; None where either is None or the base is 0."""
    return value / base if value is not None and base else None


def annotate(nlp: Language, texts: list[str], gold: Sequence[Doc] | None, description: str) -> list[Doc]:
    """Have a pipeline annotate texts, by the tokens of the gold annotations where the texts are not known."""
    docs = _gold_tokenized(nlp, gold) if gold else map(nlp.make_doc, texts)
    # Vectors of every token would fill the memory, and no score reads them.
    clean = DocCleaner({"tensor": None, "_.trf_data": None})
    progress = tqdm(nlp.pipe(docs), total=len(texts), desc=description, unit="doc", disable=None)
    return [clean(doc) for doc in progress]


def _gold_tokenized(nlp: Language, gold: Iterable[Doc]) -> Iterator[Doc]:
    """Unannotated Docs, tokenized as by spaCy's Corpus: the pipeline's own way, if the text is known."""
    for reference in gold:
        if len(reference) and reference.has_unknown_spaces:
            yield Doc(nlp.vocab, words=[token.text for token in reference])
        elif len(reference):
            yield nlp.make_doc(reference.text)


def non_empty(nlp: Language, references: Iterable[Doc]) -> Iterator[Doc]:
    """Copy those Docs that have tokens to a pipeline's vocabulary."""
    return (_copy(doc, nlp.vocab) for doc in references if len(doc))


def _copy(doc: Doc, vocab: Vocab) -> Doc:
    """Copy all that is on a Doc. A DocBin would keep less, and a scorer may read anything."""
    if doc.vocab is vocab:
        return doc.copy()
    copy = Doc(vocab).from_bytes(doc.to_bytes(exclude=["user_data"]))
    copy.user_data = dict(doc.user_data)
    return copy


def _said(side: Side, judge: Language) -> Iterator[Doc]:
    """A pipeline's annotations as spaCy's scorers expect gold ones, in the vocabulary of the pipeline that judges.

    Nothing is said about whitespace: the scorers pass over it only in what is predicted, so that a pipeline
    would not agree with itself. It is still part of sentences.
    """
    for said in side.docs:
        doc = _copy(said, judge.vocab)
        doc.cats = decide(side.nlp, said.cats)
        is_parsed = doc.has_annotation("DEP")
        for token in doc:
            if token.is_space:
                token.tag = token.pos = token.lemma = 0
                # A missing one would count for the tokens of that number in all Docs that follow (spaCy 3.8's
                # `Scorer.score_deps`); punctuation is passed over, in the reference too.
                token.dep_ = "punct" if is_parsed else ""
                token.set_morph(None)  # type: ignore[attr-defined]  # missing in spaCy's stubs
        yield doc


def _weights(nlp: Language, names: list[str]) -> dict[str, float]:
    """How much each score counts; all the same in a pipeline whose config does not say."""
    weights = {name: weight for name, weight in nlp.config["training"]["score_weights"].items() if weight}
    return {name: weights[name] for name in names if name in weights} or dict.fromkeys(names, 1.0)


def _mean(scores: Scores, weights: dict[str, float]) -> float | None:
    """The weighted mean of the scores that are numbers; None without any."""
    found = {name: scores[name] for name in weights if isinstance(scores.get(name), float)}
    total = sum(weights[name] for name in found)
    return sum(score * weights[name] for name, score in found.items()) / total if total else None


def _score(nlp: Language, docs: list[Doc], references: Iterator[Doc]) -> dict[str, Scores]:
    """Scores by the name of the pipe."""
    return _plain(Scorer(nlp).score(list(_pair(docs, references)), per_component=True))


def _pair(docs: list[Doc], references: Iterator[Doc]) -> Iterator[Example]:
    return (Example(doc, reference) for doc, reference in zip(docs, references, strict=False))


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


def _is_by_label(name: str) -> bool:
    return name.endswith(("_per_type", "_per_feat"))


def _is_number_or_none(value: Any) -> bool:
    return value is None or isinstance(value, float)
