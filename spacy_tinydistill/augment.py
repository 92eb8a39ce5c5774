"""Augmenters: variants of a text, in which words are replaced by others that fit.

This is algorithm 1 of TinyBERT (Jiao et al., arXiv 1909.10351, section 3.2): a word in one piece is replaced by what a
masked language model proposes, others by their neighbours among word embeddings. The teacher labels what comes out.
"""

import random
from collections.abc import Callable, Iterator, Sequence
from functools import cache, lru_cache
from typing import Any

import numpy as np
from spacy.language import Language
from spacy.tokens import Doc, Token
from spacy.training import Example

from .errors import DistillationError
from .pipes.encoder import Floats, to_numpy
from .pipes.pipeline import pipes_of
from .vectors import vocabulary_words

Augmenter = Callable[[Language, Example], Iterator[Example]]

# Texts and words whose candidates are remembered: a corpus is read more than once.
CACHE_SIZE = 100_000

# So many copies of a text go through a masked language model together, which scores its whole vocabulary in each place.
MASKED_AT_ONCE = 8


def neighbour_augmenter(
    teacher: str, probability: float = 0.4, variants: int = 20, candidates: int = 15, seed: int = 0
) -> Augmenter:
    """Make the augmenter `spacy-tinydistill.NeighbourAugmenter.v1`: by those with the nearest embeddings.

    Variants have no annotations, and are the same each time for the same text. A word of several pieces has the mean
    of their embeddings. Stop words, numbers and punctuation are not replaced.

    Args:
        teacher: A pipeline with a transformer of spacy-transformers, whose word embeddings are used.
        probability: p_t, the probability that a word is replaced.
        variants: N_a, the number of variants per text, beside the text itself.
        candidates: K, the number of words to draw from.
        seed: The seed of the random numbers.
    """
    load = cache(lambda: _neighbours_in(teacher, candidates))

    def propose(doc: Doc) -> list[list[str]]:
        return [load()(token.text) if _is_replaced(token) else [] for token in doc]

    return _augmenter(propose, probability, variants, seed)


def masked_word_augmenter(
    model: str, probability: float = 0.4, variants: int = 20, candidates: int = 15, seed: int = 0
) -> Augmenter:
    """Make the augmenter `spacy-tinydistill.MaskedWordAugmenter.v1`: by those that a masked language model proposes.

    Words of several pieces are replaced by their neighbours among the model's word embeddings. Otherwise it is like
    `neighbour_augmenter`.

    Args:
        model: A masked language model: a folder, or a name on the Hugging Face Hub.
        probability: p_t, the probability that a word is replaced.
        variants: N_a, the number of variants per text, beside the text itself.
        candidates: K, the number of words to draw from.
        seed: The seed of the random numbers.
    """
    load = cache(lambda: _MaskedWords(model, candidates))

    @lru_cache(CACHE_SIZE)
    def propose_for(words: tuple[str, ...], is_replaced: tuple[bool, ...]) -> list[list[str]]:
        return load()(words, [i for i, replaced in enumerate(is_replaced) if replaced])

    def propose(doc: Doc) -> list[list[str]]:
        return propose_for(tuple(token.text for token in doc), tuple(map(_is_replaced, doc)))

    return _augmenter(propose, probability, variants, seed)


def _augmenter(propose: Callable[[Doc], list[list[str]]], probability: float, variants: int, seed: int) -> Augmenter:
    def augment(nlp: Language, example: Example) -> Iterator[Example]:
        yield example
        doc = example.predicted
        proposed = propose(doc)
        # Of the text, so that it is the same whenever the corpus is read, in whichever order.
        numbers = random.Random(f"{seed} {doc.text}")
        spaces = [bool(token.whitespace_) for token in doc]
        for _ in range(variants):
            words = [
                _spell(numbers.choice(found), token) if found and numbers.random() <= probability else token.text
                for token, found in zip(doc, proposed, strict=True)
            ]
            yield Example(*(Doc(nlp.vocab, words=words, spaces=spaces) for _ in range(2)))

    return augment


def _is_replaced(token: Token) -> bool:
    return token.is_alpha and not token.is_stop


def _spell(word: str, like: Token) -> str:
    return word.capitalize() if like.is_title else word


def _neighbours_in(teacher: str, count: int) -> "_Neighbours":
    from .pipes.pipeline import load_teacher

    nlp = load_teacher(teacher)
    for _, pipe in pipes_of(nlp):
        transformer = getattr(getattr(pipe, "model", None), "transformer", None)
        if transformer is not None:
            return _Neighbours(pipe.model.tokenizer, transformer, count)
    raise DistillationError("TD112", teacher=teacher, pipes=", ".join(nlp.pipe_names) or "no pipes")


class _Neighbours:
    """The words of a transformer's vocabulary, by how near their embeddings are to a word's."""

    def __init__(self, tokenizer: Any, transformer: Any, count: int) -> None:
        self.tokenizer = tokenizer
        self.embeddings: Floats = to_numpy(transformer.get_input_embeddings().weight.detach().cpu())
        self.words = list(dict.fromkeys(vocabulary_words(tokenizer)))
        self.vectors = np.stack([self._embed(word) for word in self.words])
        self.find = lru_cache(CACHE_SIZE)(lambda word: self._find(word, count))

    def __call__(self, word: str) -> list[str]:
        return self.find(word.lower())

    def _embed(self, word: str) -> Floats:
        # With a space before it, which some tokenizers make part of a word.
        pieces = self.tokenizer(f" {word}", add_special_tokens=False)["input_ids"]
        mean = self.embeddings[pieces].mean(axis=0)
        return mean / max(np.linalg.norm(mean), 1e-12)

    def _find(self, word: str, count: int) -> list[str]:
        order = np.argsort(-(self.vectors @ self._embed(word)), kind="stable")[: count + 1]
        return [self.words[i] for i in order if self.words[i] != word][:count]


class _MaskedWords:
    """A masked language model, asked about one word of a text at a time."""

    def __init__(self, name: str, count: int) -> None:
        from transformers import AutoModelForMaskedLM, AutoTokenizer

        try:
            # Which those that make the space before a word part of it, such as RoBERTa's, need to read single words.
            self.tokenizer = AutoTokenizer.from_pretrained(name, add_prefix_space=True)
            self.model, info = AutoModelForMaskedLM.from_pretrained(name, output_loading_info=True)
        except (OSError, ValueError, ImportError) as error:
            raise DistillationError("TD116", model=name, reason=error) from None
        if info["missing_keys"] or self.tokenizer.mask_token_id is None:
            raise DistillationError("TD113", model=name)
        self.model.eval()
        self.count = count
        self.neighbours = _Neighbours(self.tokenizer, self.model, count)
        ids = [self.tokenizer(f" {word}", add_special_tokens=False)["input_ids"] for word in self.neighbours.words]
        self.whole = {found[0]: word for found, word in zip(ids, self.neighbours.words, strict=True) if len(found) == 1}

    def __call__(self, words: Sequence[str], places: Sequence[int]) -> list[list[str]]:
        """List candidates for the words at some places; none for the others."""
        import torch

        encoded = self.tokenizer(list(words), is_split_into_words=True, truncation=True)
        positions: dict[int, list[int]] = {}
        for position, word in enumerate(encoded.word_ids()):
            positions.setdefault(-1 if word is None else word, []).append(position)
        masked = [i for i in places if len(positions.get(i, ())) == 1]
        found: list[list[str]] = [[] for _ in words]
        for i in places:
            if i not in masked:
                found[i] = self.neighbours(words[i])
        if masked:
            ids = torch.tensor(encoded["input_ids"])
            columns = torch.tensor([positions[i][0] for i in masked])
            with torch.no_grad():
                scores = torch.cat([self._score(ids, part) for part in columns.split(MASKED_AT_ONCE)])
            allowed = torch.tensor(sorted(self.whole))
            best = allowed[scores[:, allowed].topk(min(self.count + 1, len(allowed))).indices]
            for i, row in zip(masked, best.tolist(), strict=True):
                proposed = [self.whole[piece] for piece in row]
                found[i] = [word for word in proposed if word != words[i].lower()][: self.count]
        return found

    def _score(self, ids: Any, columns: Any) -> Any:
        """Score all pieces in the places of some, each masked in a copy of its own: (places, pieces)."""
        copies = ids.repeat(len(columns), 1)
        rows = range(len(columns))
        copies[rows, columns] = self.tokenizer.mask_token_id
        return self.model(input_ids=copies).logits[rows, columns]
