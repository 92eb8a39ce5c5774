"""How well gold annotations fit a student: its tokens, its language, and what its pipes learn or are scored by."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from spacy.language import Language
from spacy.pipeline import (
    DependencyParser,
    EditTreeLemmatizer,
    EntityRecognizer,
    Morphologizer,
    SentenceRecognizer,
    SpanCategorizer,
    SpanFinder,
    Tagger,
    TextCategorizer,
)
from spacy.tokens import Doc
from spacy.training import Example

from .gold_tokens import count_gold_tokens, warn_of_alignment

# Where fewer gold words than this are among the words of the texts, they are of another language or another world.
FEWEST_KNOWN = 0.2

# So many words tell a language.
WORDS_TO_TELL = 200

# What the annotations of each kind of pipe are called, and how it is seen that a Doc has some. A kind stands before
# those that it is made from.
NEEDS: dict[type, tuple[str, Callable[[Doc, Any], bool]]] = {
    Morphologizer: ("morphological features or parts of speech", lambda doc, pipe: _has(doc, "MORPH", "POS")),
    SentenceRecognizer: ("sentence starts", lambda doc, pipe: _has(doc, "SENT_START")),
    EditTreeLemmatizer: ("lemmas", lambda doc, pipe: _has(doc, "LEMMA")),
    Tagger: ("tags", lambda doc, pipe: _has(doc, "TAG")),
    DependencyParser: ("heads and dependency labels", lambda doc, pipe: _has(doc, "DEP")),
    EntityRecognizer: ("entities", lambda doc, pipe: bool(doc.ents)),
    TextCategorizer: ("categories", lambda doc, pipe: bool(doc.cats)),
    SpanCategorizer: ("spans", lambda doc, pipe: bool(doc.spans.get(pipe.cfg["spans_key"]))),
    SpanFinder: ("spans", lambda doc, pipe: bool(doc.spans.get(pipe.cfg["spans_key"]))),
}


def find_misfits(
    corpus: str, examples: Sequence[Example], student: Language, pipes: Iterable[str], texts: Iterable[Example]
) -> list[str]:
    """Say in which ways gold annotations do not fit.

    Args:
        corpus: "gold" or "dev".
        examples: The Docs, as the student's tokenizer makes them, each with its gold annotations.
        student: The pipeline.
        pipes: Its pipes that are to learn from these annotations, or to be scored by them.
        texts: Some of the texts to learn on, which tell the language.

    Returns:
        A sentence for each; none where all is right, or where there are no annotations.
    """
    if not examples:
        return []
    found = []
    share, _ = count_gold_tokens(examples)
    if warning := warn_of_alignment("the student's tokenizer", share):
        found.append(f"The {corpus} corpus: {warning}")
    if warning := _warn_of_language(examples, texts):
        found.append(f"The {corpus} corpus: {warning}")
    for name in pipes:
        pipe: Any = student.get_pipe(name)
        kind = next((kind for kind in NEEDS if isinstance(pipe, kind)), None)
        if kind is None:
            continue
        what, has = NEEDS[kind]
        if not any(has(example.reference, pipe) for example in examples):
            use = "learns from the teacher alone" if corpus == "gold" else "has no score"
            found.append(
                f"The {corpus} corpus: none of its {len(examples):,} texts has {what}, so {name} {use}. Give "
                f"annotations of the kind that {name} makes, or leave the pipe out"
            )
    return found


def _has(doc: Doc, *attributes: str) -> bool:
    return any(map(doc.has_annotation, attributes))


def _warn_of_language(examples: Sequence[Example], texts: Iterable[Example]) -> str | None:
    known = {token.lower for example in texts for token in example.predicted if token.is_alpha}
    words = [token.lower for example in examples for token in example.predicted if token.is_alpha]
    if len(known) < WORDS_TO_TELL or len(words) < WORDS_TO_TELL:
        return None
    share = sum(word in known for word in words) / len(words)
    if share >= FEWEST_KNOWN:
        return None
    return (
        f"only {share:.1%} of its words are among those of the texts to learn on. Is it of another language? Give "
        "annotations of texts of the same kind"
    )
