"""Which of a pipeline's pipes must have run before another one says what it says in the whole pipeline."""

from collections.abc import Iterable, Iterator
from typing import Any

from spacy.attrs import IDS, NORM
from spacy.language import Language
from spacy.pipeline import (
    AttributeRuler,
    DependencyParser,
    EntityRuler,
    Lemmatizer,
    Sentencizer,
    SpanRuler,
    TrainablePipe,
)
from spacy.tokens import Doc

from ..errors import DistillationError
from .pipeline import is_encoder, models_of, nodes_of, pipes_of
from .third_party import is_llm

# Rules of spaCy's that write annotations and nothing that a tokenizer writes.
ANNOTATING_RULES = (Sentencizer, EntityRuler, SpanRuler, Lemmatizer, AttributeRuler)

# Attributes that pipes write; all others are the tokenizer's, or the vocabulary's.
WRITTEN_ATTRIBUTES = frozenset(
    IDS[name]
    for name in (
        "POS",
        "TAG",
        "DEP",
        "HEAD",
        "LEMMA",
        "MORPH",
        "SENT_START",
        "ENT_IOB",
        "ENT_TYPE",
        "ENT_ID",
        "ENT_KB_ID",
    )
)

# Libraries whose layers read of a Doc nothing but tokens, but for those that `reads_annotations` looks at.
KNOWN_LAYERS = ("thinc.", "spacy.", "spacy_transformers.", "spacy_curated_transformers.", "spacy_tinydistill.")


def only_annotates(pipe: Any) -> bool:
    """Whether a pipe is known to write nothing but annotations that `reads_annotations` knows the readers of.

    Of a pipe that is not spaCy's nothing is known. Encoders write vectors, and a `token_splitter` tokens.
    """
    if not type(pipe).__module__.startswith("spacy.") or is_encoder(pipe):
        return False
    if isinstance(pipe, DependencyParser):
        return not pipe.cfg.get("learn_tokens")  # Else it merges tokens
    if isinstance(pipe, AttributeRuler):
        return all(NORM not in attributes for attributes in pipe.attrs)
    return isinstance(pipe, (TrainablePipe, *ANNOTATING_RULES))


def reads_annotations(pipe: Any) -> bool:
    """Whether a pipe's model may read what other pipes wrote: a tag, a sentence's beginning, anything of a user's own.

    spaCy's models do where an embedding has such attributes, and a transformer where its spans are sentences.
    """
    for node in nodes_of(model for _, model in models_of([("", pipe)])):
        if not str(getattr(node._func, "__module__", "")).startswith(KNOWN_LAYERS):
            return True
        if node.name == "extract_features":
            columns = {IDS.get(column, column) for column in node.attrs["columns"]}
            if columns & WRITTEN_ATTRIBUTES:
                return True
        get_spans = node.attrs.get("get_spans")
        if get_spans is not None and not _reads_tokens_only(get_spans):
            return True
    return False


def _reads_tokens_only(get_spans: Any) -> bool:
    is_known = getattr(get_spans, "__module__", "").startswith("spacy_transformers.")
    return is_known and "sent" not in getattr(get_spans, "__name__", "sent")


def pipes_before(nlp: Language, name: str) -> list[tuple[str, Any]]:
    """List the pipes that must run before one says what it says in the whole pipeline.

    Returns:
        All that stand before it; none where these only annotate, and it does not read annotations.
    """
    before = _enabled_before(nlp, name)
    do_more = any(not only_annotates(pipe) and not is_encoder(pipe) for _, pipe in before)
    return before if do_more or reads_annotations(nlp.get_pipe(name)) else []


def check_tokens_stay(nlp: Language, names: Iterable[str], docs: Iterable[Doc]) -> None:
    """See that the tokens are the tokenizer's when some pipes of a teacher are asked.

    Args:
        nlp: The teacher.
        names: The pipes.
        docs: A few Docs of its vocabulary, as its tokenizer makes them; changed.

    Raises:
        DistillationError: TD241, a pipe before them merges or splits tokens: it says so itself, or it did here.
    """
    last = max(names, key=nlp.component_names.index)
    before = _enabled_before(nlp, last)
    for name, _ in before:
        if nlp.get_pipe_meta(name).retokenizes:
            raise DistillationError("TD241", pipe=name, taught=last)
    # A retokenizing function may read what any pipe before it wrote. An LLM changes no tokens, and each answer costs.
    unknown = [name for name, pipe in before if not only_annotates(pipe) and not is_encoder(pipe) and not is_llm(pipe)]
    if not unknown or any(is_llm(pipe) for _, pipe in before):
        return
    for doc in docs:
        changed = _find_change(doc, before)
        if changed:
            raise DistillationError("TD241", pipe=changed, taught=last)


def _enabled_before(nlp: Language, name: str) -> list[tuple[str, Any]]:
    """List the pipes that run before one, which may be disabled itself."""
    before = nlp.component_names[: nlp.component_names.index(name)]
    return [(other, pipe) for other, pipe in pipes_of(nlp) if other in before]


def _find_change(doc: Doc, pipes: Iterable[tuple[str, Any]]) -> str | None:
    """Run some pipes and name the one that changes the tokens."""
    tokens = _tokens_of(doc)
    for name, pipe in pipes:
        try:
            for result in _run(pipe, doc):
                doc = result
        except Exception:  # Of a user's own making. It is told when the teacher is asked, as TD631.
            return None
        if _tokens_of(doc) != tokens:
            return name
    return None


def _run(pipe: Any, doc: Doc) -> Iterator[Doc]:
    yield from pipe.pipe([doc]) if hasattr(pipe, "pipe") else [pipe(doc)]


def _tokens_of(doc: Doc) -> list[tuple[int, str]]:
    return [(token.idx, token.text) for token in doc]
