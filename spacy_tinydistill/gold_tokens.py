"""Which gold tokens a score counts: those that the tokenizer makes, too, and that are annotated."""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray
from spacy.tokens import Doc
from spacy.training import Example

# Where more gold tokens than this are not the tokenizer's, a score says little of how well a pipeline annotates text.
FEWEST_ALIGNED = 0.95

# What a token needs to count in a score, by the score's first name. Spans are about any token; categories about none.
ATTRIBUTES = {
    "tag": "TAG",
    "pos": "POS",
    "morph": "MORPH",
    "lemma": "LEMMA",
    "dep": "DEP",
    "sents": "SENT_START",
    "ents": "ENT_IOB",
    "spans": None,
}


def count_gold_tokens(examples: Iterable[Example]) -> tuple[float | None, dict[str, float]]:
    """Find which gold tokens the scores of some Docs count.

    Args:
        examples: The Docs, as a tokenizer makes them, each with its gold annotations.

    Returns:
        The share of gold tokens that are tokens of the Doc as well, one to one; None without gold tokens. And, by the
        keys of `ATTRIBUTES`, the share of gold tokens that are so and annotated. White space is left out.
    """
    aligned = total = 0
    counted = dict.fromkeys(ATTRIBUTES, 0)
    for example in examples:
        reference = example.reference
        is_word = np.array([not token.is_space for token in reference], dtype=bool)
        found = _find_aligned(example) & is_word
        total += int(is_word.sum())
        aligned += int(found.sum())
        for name, attribute in ATTRIBUTES.items():
            counted[name] += int((found & _is_annotated(reference, attribute)).sum())
    if not total:
        return None, {}
    return aligned / total, {name: count / total for name, count in counted.items()}


def warn_of_alignment(whose: str, share: float | None) -> str | None:
    """Say that scores mean little, where too few gold tokens are tokens of a pipeline's."""
    if share is None or share >= FEWEST_ALIGNED:
        return None
    return (
        f"Only {share:.1%} of the gold tokens are tokens of {whose}. On the others no pipeline can be right: convert "
        "the data to words that the tokenizer makes"
    )


def share_counted(score: str, counted: dict[str, float]) -> float | None:
    """Find the share of gold tokens that a score counts, by the score's name; None for one that is not of tokens."""
    return counted.get(score.partition("_")[0])


def _find_aligned(example: Example) -> NDArray[np.bool_]:
    """Tell, for each gold token, whether one token of the Doc is the same."""
    there, back = example.alignment.y2x, example.alignment.x2y
    is_one = np.asarray(there.lengths) == 1
    found = np.zeros(len(is_one), dtype=bool)
    # Those that are aligned to one token stand in the flat list of all at the sum of the lengths before them.
    starts = np.cumsum(there.lengths) - there.lengths
    found[is_one] = np.asarray(back.lengths)[np.asarray(there.data)[starts[is_one]]] == 1
    return found


def _is_annotated(doc: Doc, attribute: str | None) -> NDArray[np.bool_]:
    if attribute is None:
        return np.ones(len(doc), dtype=bool)
    if attribute == "SENT_START":
        # Of the tokens within a sentence nothing is said.
        return np.full(len(doc), doc.has_annotation(attribute))
    return np.asarray(doc.to_array([attribute])) != 0
