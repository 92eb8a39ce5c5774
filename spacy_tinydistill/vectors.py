"""Static word vectors distilled from a teacher: what its encoder knows about each word, as one row of a table.

The frequent words are run through the teacher's encoder, each alone, a word's pieces are averaged, and principal
components bring the vectors down to a width that a tiny student can carry. Bommasani et al. (2020), "Interpreting
Pretrained Contextualized Representations via Reductions to Static Embeddings",
https://aclanthology.org/2020.acl-main.431/, compare ways to do this; https://github.com/MinishLab/model2vec does
it for sentence encoders. A word alone is their "decontextualized" way: one short forward pass a word, and a
fine-tuned encoder then says how the word counts in its task. Their "aggregated" way has the mean over a word's
contexts; here the word alone counts as one context more, so that rare words and those never met have vectors, too.
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
from spacy.vectors import Vectors
from tqdm import tqdm

from .errors import DistillationError
from .pipes.encoder import Floats, token_layers
from .pipes.precision import fastest_precision

# The factories whose pipes turn a Doc into token vectors that other pipes read.
ENCODERS = ("transformer", "curated_transformer", "tok2vec")

# Words in one go: few, so that one of many pieces makes no others as long.
BATCH_SIZE = 128
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
    """Make a blank pipeline whose vocabulary has a vector, distilled from the teacher, for each frequent word.

    Save it with `to_disk`, name the folder as `[initialize] vectors`, and every layer of the student that reads
    static vectors (`spacy.MultiHashEmbed.v2` with `include_static_vectors = true`) has them.

    Args:
        teacher: A pipeline with a transformer of spacy-transformers or spacy-curated-transformers, or a tok2vec.
        texts: What the words are counted in. A transformer's own vocabulary follows where they have too few.
        width: How many dimensions to keep; at most as many as the teacher's encoder has. The table takes
            4 * width bytes a row.
        limit: The most words to keep, by frequency.
        min_count: A word that the texts have less often is none of theirs. A student that learns on these texts meets
            words without a vector there, as it will elsewhere; where each had one, it would not know what to make of
            the others.
        prune: Of these, so many have a row of their own, and the others share the row of the most similar among them,
            as by spaCy's `init vectors --prune`; with -1 each has its own. A word takes about 15 bytes for each
            spelling beside its row.
        contexts: Read so many words of the texts, from their beginning, for the contexts to average over; with 0 each
            word is read alone.

    Returns:
        A blank pipeline of the teacher's language. Its vectors are float32 of shape (rows, width); one row serves
        a word in every spelling. Each dimension has mean 0; over all rows and dimensions their standard deviation
        is 1.

    Raises:
        DistillationError: TD520 (the teacher has no encoder), TD521 (no words), TD522 (width out of range),
            TD523 (the encoder gave no token vectors).
    """
    encoder = encoder_name(teacher)
    texts = iter(texts)
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
    """List words, normalised: those met often enough in the texts by frequency, then those of the encoder's vocabulary.

    Returns:
        For each word how it is spelled: as it is, capitalised, and as in the texts. No spelling is of two words.
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
    """Run each word through the encoder as a Doc of its own.

    Returns:
        One vector a word, float32, scaled to length 1: (words, hidden).
    """
    # Words of like length together: little padding.
    order = sorted(range(len(words)), key=lambda i: len(words[i]))
    docs = (Doc(teacher.vocab, words=[words[i]]) for i in order)
    pipe: Any = teacher.get_pipe(encoder)
    encoded = pipe.pipe(docs, batch_size=BATCH_SIZE)
    rows = [token_layers(doc, pipe)[-1][0] for doc in tqdm(encoded, desc="Words", total=len(words), disable=None)]
    return _to_length_1(np.stack(rows)[np.argsort(order)])


def embed_contexts(
    teacher: Language, encoder: str, words: Sequence[str], texts: Sequence[str]
) -> tuple[Floats, NDArray[np.int64]]:
    """Run texts, at least one, through the encoder.

    Returns:
        The sum of each word's vectors, each of length 1 beforehand: float32, (words, hidden); and how often the word
        was met: (words,).
    """
    rows = {word: row for row, word in enumerate(words)}
    counts = np.zeros(len(words), dtype="int64")
    sums: Any = None
    pipe: Any = teacher.get_pipe(encoder)
    encoded = pipe.pipe(map(teacher.tokenizer, sorted(texts, key=len)), batch_size=CONTEXT_BATCH_SIZE)
    for doc in tqdm(encoded, desc="Texts", total=len(texts), disable=None):
        hidden = _to_length_1(token_layers(doc, pipe)[-1])
        owners = np.asarray([rows.get(token.norm_, -1) for token in doc])
        sums = np.zeros((len(words), hidden.shape[1]), dtype="f") if sums is None else sums
        np.add.at(sums, owners[owners >= 0], hidden[owners >= 0])
        np.add.at(counts, owners[owners >= 0], 1)
    return sums, counts


def add_contexts(alone: Floats, sums: Floats, counts: NDArray[np.int64]) -> Floats:
    """Average each word's vectors: the one that it has alone, and those in its contexts.

    What all words have in common differs between the two ways to read them. So each way's mean over words is taken away
    first, and a vector does not tell how often its word was met.

    Args:
        alone: The vectors of words alone, (words, hidden).
        sums: The sums of those in context, (words, hidden).
        counts: How often each word was met, (words,).

    Returns:
        The averages, (words, hidden).
    """
    met = counts[:, None].astype("f")
    in_context = sums / np.maximum(met, 1)
    in_context -= in_context[counts > 0].mean(axis=0) if counts.any() else 0.0
    return ((alone - alone.mean(axis=0)) + met * in_context) / (1 + met)


def _first_words(teacher: Language, texts: Iterator[str], n_words: int) -> Iterator[str]:
    """Take texts away from the beginning until they have so many words; none without a word is among them."""
    while n_words > 0 and (text := next(texts, None)) is not None:
        if length := len(teacher.tokenizer(text)):
            n_words -= length
            yield text


def _to_length_1(vectors: Floats) -> Floats:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), np.finfo("f").tiny)


def principal_components(vectors: Floats, width: int, *, fit_on: int | None = None) -> Floats:
    """Project vectors, (words, hidden), on the directions in which the first `fit_on` of them, or all, differ most.

    Returns:
        The components in order of their variance, scaled together to a standard deviation of 1 over those: (words,
        width).
    """
    centred = vectors - vectors[:fit_on].mean(axis=0)
    _, directions = np.linalg.eigh(centred[:fit_on].T @ centred[:fit_on])  # by ascending variance
    components = centred @ directions[:, ::-1][:, :width]
    return np.ascontiguousarray(components / max(components[:fit_on].std(), np.finfo("f").tiny), dtype="f")


def most_similar(vectors: Floats, rows: Floats) -> Iterator[int]:
    """Find for each vector, (words, width), the row, of (rows, width), at the smallest angle to it."""
    directions = _to_length_1(rows)
    for start in range(0, len(vectors), BATCH_SIZE):
        yield from (vectors[start : start + BATCH_SIZE] @ directions.T).argmax(axis=1).tolist()
