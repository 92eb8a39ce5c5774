"""Agreement where people write otherwise: in lower case, in capitals, without punctuation."""

import re
from collections.abc import Callable, Sequence
from typing import Any

from spacy.language import Language

from ..pipes.pipeline import pipes_of
from ..pipes.third_party import is_llm
from .scores import Side, annotate, score_sides

# Words that are asked about in each way of writing, about: the teacher is slow.
WORDS = 3_000


def _without_punctuation(text: str) -> str:
    """Leave out what neither belongs to a word nor parts two, as a speech recognizer does."""
    return re.sub(r"(?<!\w)[^\w\s]+|[^\w\s]+(?!\w)", "", text)


WRITINGS: dict[str, Callable[[str], str]] = {
    "as written": str,
    "in lower case": str.lower,
    "in capitals": str.upper,
    "without punctuation": _without_punctuation,
}


def compare_writings(teacher: Language, student: Language, texts: Sequence[str]) -> dict[str, dict[str, Any]] | None:
    """Compare what two pipelines say of the same texts written otherwise.

    It needs no gold annotations: both are asked anew. A teacher that does not see case says the same in any case; its
    student may not.

    Args:
        teacher: The pipeline to agree with.
        student: The pipeline to judge.
        texts: The first of them are taken, up to `WORDS` words.

    Returns:
        By way of writing: `documents`, their number; `agreement` by score, and `overall` in one number (see
        `score_sides`). None where the teacher has an LLM, which may cost money.
    """
    if any(is_llm(pipe) for _, pipe in pipes_of(teacher)):
        return None
    chosen: list[str] = []
    words = 0
    for text in texts:
        if words >= WORDS:
            break
        chosen.append(text)
        words += len(text.split())
    written = {name: [write(text) for text in chosen] for name, write in WRITINGS.items()}
    return {name: _compare(teacher, student, texts, name) for name, texts in written.items()}


def _compare(teacher: Language, student: Language, texts: list[str], name: str) -> dict[str, Any]:
    texts = [text for text in texts if text.strip()]
    told, repeated = (
        Side(nlp, annotate(nlp, texts, None, f"{role} {name}"))
        for role, nlp in (("Teacher", teacher), ("Student", student))
    )
    found = score_sides(told, repeated)
    return {"documents": len(texts), "agreement": found["agreement"], "overall": found["overall"]["agreement"]}
