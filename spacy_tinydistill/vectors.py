"""Static word vectors distilled from a teacher's encoder.

Each frequent word is run through the teacher's encoder by itself, its pieces are averaged, and the vectors are
reduced by principal components. Bommasani et al. (2020), "Interpreting
Pretrained Contextualized Representations via Reductions to Static Embeddings",
https://aclanthology.org/2020.acl-main.431/, compare ways to do this; https://github.com/MinishLab/model2vec does
it for sentence encoders. A word by itself is their "decontextualized" way: one short forward pass per word. Their
"aggregated" way averages over a word's contexts; here the word by itself counts as one more context, so rare words
have vectors too.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, islice
from typing import Any

import numpy as np
import spacy
from numpy.typing import NDArray
from spacy.language import Language
from spacy.strings import get_string_id
from spacy.tokens import Doc
from spacy.util import minibatch
from spacy.vectors import Vectors
from tqdm.auto import tqdm

from .errors import DistillationError
from .pipes.encoder import Floats, copy_from_gpu, token_layers
from .pipes.order import check_tokens_stay, pipes_before
from .pipes.precision import fastest_precision

# The factories whose pipes turn a Doc into token vectors that other pipes read.
ENCODERS = ("transformer", "curated_transformer", "tok2vec")

# Words in one go: few, so that one of many pieces makes no others as long.
BATCH_SIZE = 128
# Texts on which it is tried whether a pipe before the encoder changes tokens.
TRIED = 20
# Texts in one go.
CONTEXT_BATCH_SIZE = 64

# How GPT-2's and SentencePiece's tokenizers mark a piece that starts a word. WordPiece's mark the others, with ##.
WORD_START = ("Ġ", "▁")


def distill_vectors(
    teacher: Language,
    texts: Iterable[str],
    *,
    width: int = 64,
    limit: int = 20_000,
    min_count: int = 2,
    prune: int = -1,
    contexts: int = 0,
) -> Language:
    """Make a blank pipeline with a vector for each frequent word, distilled from a teacher.

    Save it with `to_disk` and name the folder in `[initialize] vectors`. The student's layers that read static
    vectors then have them (`spacy.MultiHashEmbed.v2` with `include_static_vectors = true`).

    Args:
        teacher: A pipeline with a transformer of spacy-transformers or spacy-curated-transformers, or a tok2vec.
        texts: The texts to take words from. A transformer's own vocabulary is added if they have too few.
        width: The number of dimensions, at most that of the teacher's encoder. The table takes 4 * width bytes per
            row.
        limit: Maximum number of words. The most frequent are kept.
        min_count: Words that occur less often get no vector. So a student meets words without a vector while it
            learns, and knows what to do with them later.
        prune: Maximum number of rows. Other words share the row of the most similar word, as with spaCy's `init
            vectors --prune`. -1 for one row per word. A word takes about 15 bytes per spelling beside its row.
        contexts: The number of words at the beginning of the texts to average contexts over. 0 to embed each word by
            itself.

    Returns:
        A blank pipeline of the teacher's language. Its vectors are float32 of shape (rows, width). All spellings of a
        word share a row. Each dimension has mean 0, and the standard deviation of the whole table is 1.

    Raises:
        DistillationError: TD520 (the teacher has no encoder), TD521 (no words), TD522 (width out of range),
            TD523 (the encoder gave no token vectors), TD241 (a pipe before it changes tokens).
    """
    encoder = encoder_name(teacher)
    texts = iter(texts)
    tried = list(islice(texts, TRIED))
    check_tokens_stay(teacher, [encoder], map(teacher.tokenizer, tried))
    texts = chain(tried, texts)
    first = list(_first_words(teacher, texts, contexts))
    spellings = frequent_words(teacher, encoder, chain(first, texts), limit, min_count)
    words = list(spellings)
    if not words:
        raise DistillationError("TD521", min_count=min_count)
    hidden = embed_words(teacher, encoder, words[:1]).shape[1]
    if not 1 <= width <= hidden:
        raise DistillationError("TD522", width=width, hidden=hidden)
    with fastest_precision(teacher):
        vectors = embed_words(teacher, encoder, words)
        if first:
            vectors = add_contexts(vectors, *embed_contexts(teacher, encoder, words, first))
    n_rows = min(prune, len(words)) if prune >= 1 else len(words)
    vectors = principal_components(vectors, width, fit_on=n_rows)
    nlp = spacy.blank(teacher.meta["lang"])
    nlp.vocab.vectors = Vectors(data=vectors[:n_rows], name=f"{nlp.lang}_{encoder}_{width}")
    rows = chain(range(n_rows), most_similar(vectors[n_rows:], vectors[:n_rows]))
    for row, word in zip(rows, words, strict=True):
        for spelling in spellings[word]:
            # Vectors go by a hash. The string itself would only make the student bigger, so it stays out.
            nlp.vocab.vectors.add(get_string_id(spelling), row=row)
    return nlp


def encoder_name(teacher: Language) -> str:
    """Return the name of the pipe that encodes tokens: a transformer rather than a tok2vec."""
    for factory in ENCODERS:
        for name in teacher.pipe_names:
            if teacher.get_pipe_meta(name).factory == factory:
                return name
    raise DistillationError("TD520", pipes=", ".join(teacher.pipe_names) or "no pipes", factories=", ".join(ENCODERS))


def frequent_words(
    teacher: Language, encoder: str, texts: Iterable[str], limit: int, min_count: int
) -> dict[str, list[str]]:
    """List normalized words: first those of the texts, by frequency, then those of the encoder's vocabulary.

    Returns:
        For each word its spellings: as it is, capitalized, and as in the texts. Each spelling belongs to one word.
    """
    tokenizer: Any = teacher.tokenizer
    counts: Counter[str] = Counter()
    seen: dict[str, dict[str, None]] = defaultdict(dict)
    for doc in tokenizer.pipe(texts):
        for token in doc:
            if not token.is_space:
                counts[token.norm_] += 1
                seen[token.norm_][token.text] = None
    in_texts = (word for word, count in counts.most_common() if count >= min_count)
    words = islice(dict.fromkeys(chain(in_texts, piece_words(teacher.get_pipe(encoder)))), limit)
    owners: dict[str, str] = {}
    spellings: dict[str, list[str]] = {}
    for word in words:
        forms = dict.fromkeys([word, word.capitalize(), *seen[word]])
        spellings[word] = [form for form in forms if owners.setdefault(form, word) == word]
    return spellings


def piece_words(encoder: object) -> list[str]:
    """List the whole words among a Hugging Face tokenizer's pieces, in its order: roughly by frequency."""
    tokenizer = getattr(getattr(encoder, "model", None), "tokenizer", None)
    return [] if tokenizer is None else vocabulary_words(tokenizer)


def vocabulary_words(tokenizer: Any) -> list[str]:
    """List the whole words in a Hugging Face tokenizer's vocabulary, in lower case and in its order."""
    ranks = tokenizer.get_vocab()
    pieces = sorted(ranks, key=ranks.__getitem__)
    for marker in WORD_START:
        if any(piece.startswith(marker) for piece in pieces):
            pieces = [piece.removeprefix(marker) for piece in pieces if piece.startswith(marker)]
    return [piece.lower() for piece in pieces if piece.isalpha()]


def embed_words(teacher: Language, encoder: str, words: Sequence[str]) -> Floats:
    """Run each word through the encoder by itself.

    Returns:
        One vector per word, float32, scaled to length 1: (words, hidden).
    """
    # Words of like length together: little padding.
    order = sorted(range(len(words)), key=lambda i: len(words[i]))
    docs = (Doc(teacher.vocab, words=[words[i]]) for i in order)
    pipe: Any = teacher.get_pipe(encoder)
    encoded = pipe.pipe(_run_before(teacher, encoder, docs), batch_size=BATCH_SIZE)
    progress = tqdm(encoded, desc="Words", total=len(words), disable=None)
    rows = [vectors[0] for _, vectors in _last_layers(progress, pipe)]
    return _to_length_1(np.stack(rows)[np.argsort(order)])


def embed_contexts(
    teacher: Language, encoder: str, words: Sequence[str], texts: Sequence[str]
) -> tuple[Floats, NDArray[np.int64]]:
    """Run texts (at least one) through the encoder.

    Returns:
        The sum of each word's vectors, scaled to length 1 first: float32, (words, hidden). And the number of times
        that each word occurred: (words,).
    """
    rows = {word: row for row, word in enumerate(words)}
    counts = np.zeros(len(words), dtype="int64")
    sums: Any = None
    pipe: Any = teacher.get_pipe(encoder)
    docs = map(teacher.tokenizer, sorted(texts, key=len))
    encoded = pipe.pipe(_run_before(teacher, encoder, docs), batch_size=CONTEXT_BATCH_SIZE)
    for doc, vectors in _last_layers(tqdm(encoded, desc="Texts", total=len(texts), disable=None), pipe):
        hidden = _to_length_1(vectors)
        owners = np.asarray([rows.get(token.norm_, -1) for token in doc])
        sums = np.zeros((len(words), hidden.shape[1]), dtype="f") if sums is None else sums
        np.add.at(sums, owners[owners >= 0], hidden[owners >= 0])
        np.add.at(counts, owners[owners >= 0], 1)
    return sums, counts


def add_contexts(alone: Floats, sums: Floats, counts: NDArray[np.int64]) -> Floats:
    """Average each word's vectors: the one of the word by itself, and those in its contexts.

    The mean over all words differs between the two ways, so it is subtracted first. Otherwise a vector would depend
    on how often its word occurred.

    Args:
        alone: The vectors of words by themselves, (words, hidden).
        sums: The sums of those in context, (words, hidden).
        counts: How often each word occurred, (words,).

    Returns:
        The averages, (words, hidden).
    """
    met = counts[:, None].astype("f")
    in_context = sums / np.maximum(met, 1)
    in_context -= in_context[counts > 0].mean(axis=0) if counts.any() else 0.0
    return ((alone - alone.mean(axis=0)) + met * in_context) / (1 + met)


def _last_layers(docs: Iterable[Doc], encoder: Any) -> Iterator[tuple[Doc, Floats]]:
    """Read the vectors that an encoder left on Docs; they leave a GPU as many at once as went through it."""
    for batch in minibatch(docs, CONTEXT_BATCH_SIZE):
        found = [(doc, token_layers(doc, encoder)) for doc in batch]
        copy_from_gpu((layers, [-1]) for _, layers in found)
        yield from ((doc, layers[-1]) for doc, layers in found)


def _first_words(teacher: Language, texts: Iterator[str], n_words: int) -> Iterator[str]:
    """Take texts away from the beginning until they have so many words; none without a word is among them."""
    while n_words > 0 and (text := next(texts, None)) is not None:
        if length := len(teacher.tokenizer(text)):
            n_words -= length
            yield text


def _run_before(teacher: Language, encoder: str, docs: Iterator[Doc]) -> Iterator[Doc]:
    """Run the pipes whose annotations the encoder may read."""
    for _, pipe in pipes_before(teacher, encoder):
        docs = pipe.pipe(docs) if hasattr(pipe, "pipe") else map(pipe, docs)
    return docs


def _to_length_1(vectors: Floats) -> Floats:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), np.finfo("f").tiny)


def principal_components(vectors: Floats, width: int, *, fit_on: int | None = None) -> Floats:
    """Project vectors, (words, hidden), on the principal components of the first `fit_on` of them, or of all.

    Returns:
        The components in order of their variance, scaled together to a standard deviation of 1 over those: (words,
        width).
    """
    centred = vectors - vectors[:fit_on].mean(axis=0)
    _, directions = np.linalg.eigh(centred[:fit_on].T @ centred[:fit_on])  # by ascending variance
    components = centred @ directions[:, ::-1][:, :width]
    return np.ascontiguousarray(components / max(components[:fit_on].std(), np.finfo("f").tiny), dtype="f")


def most_similar(vectors: Floats, rows: Floats) -> Iterator[int]:
    """Find the row, (rows, width), with the largest cosine for each vector, (words, width)."""
    directions = _to_length_1(rows)
    for start in range(0, len(vectors), BATCH_SIZE):
        yield from (vectors[start : start + BATCH_SIZE] @ directions.T).argmax(axis=1).tolist()
