"""The same pipeline, with the same annotations, in less time: for the spaCy wheels that decode slowly.

From spaCy 3.8.8 on, its wheels for Python 3.11 and older ask for the GIL in every small step of a transition-based pipe
(`upstream/spacy-cython-gil/` has the cause and the patch), so that `ner` takes most of a small pipeline's time.
`accelerate` goes around that from outside. It needs nothing but spaCy, and this file goes once those wheels are mended.
"""

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from copy import copy
from dataclasses import dataclass, field
from functools import partial, reduce
from itertools import chain, islice, pairwise
from time import perf_counter, process_time
from typing import Any, TypeVar

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from spacy.attrs import ENT_ID, ENT_IOB, ENT_KB_ID, ENT_TYPE, IDS, IS_SPACE, ORTH, SENT_START
from spacy.language import Language
from spacy.ml.tb_framework import TransitionModel
from spacy.pipeline import DependencyParser, EntityRecognizer
from spacy.tokens import Doc
from spacy.util import minibatch
from spacy.vocab import Vocab
from thinc.api import Model, NumpyOps

# Words that are annotated together: enough for NumPy, and few enough for a CPU's cache.
WORDS_AT_ONCE = 2000
CHARACTERS_A_WORD = 5
# Words that go through the layers of an encoder together, so that what is between two layers stays in the cache.
WORDS_A_BLOCK = 384

# A way must be faster by a tenth to be taken, since timings of milliseconds are that uncertain.
CLEARLY_FASTER = 0.9
TRIALS = 5
TRIED_WORDS = (2, 4, 8, 16, 64, 256)
TRIED_LAYER = (2, 4, 16, 64, 256, 1024)
TRIED_DOC = 16
TRIED_ROWS = (16, 256)

_Text = TypeVar("_Text", str, Doc, str | Doc)

# Token.ent_iob: inside, outside, and at the beginning of an entity.
INSIDE, OUTSIDE, BEGIN = 1, 2, 3


@dataclass(frozen=True)
class Acceleration:
    """What `accelerate` did.

    Attributes:
        changed: For each pipe that works in another way now, what is different, and what it costs.
        left_alone: For each pipe of which something is as it was, why.
    """

    changed: dict[str, str] = field(default_factory=dict)
    left_alone: dict[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        """A line for each pipe."""
        lines = [f"{name}: {how}" for name, how in self.changed.items()]
        lines += [f"{name}: left alone, {why}" for name, why in self.left_alone.items()]
        return "\n".join(lines)


def accelerate(nlp: Language) -> Acceleration:
    """Make a pipeline faster where that is possible without changing what it says.

    Both ways are timed on made-up input, for some milliseconds, and the faster one is taken:

    - A greedy `ner` decodes all Docs of a batch at once in NumPy (`BatchEntityRecognizer`). The entities are those that
      spaCy's own state machine finds. Docs with entities set before, and Docs in which two actions score so nearly
      alike that rounding decides, are left to spaCy.
    - The layers that embed words take each different word of a batch once (`_embed_different_words`), and those that
      look at neighbouring words take some hundred words at a time (`_encode_blocks`).
    - Short texts are gathered into batches by their words, of as many texts as a batch has otherwise or more: but only
      in pipelines of nothing but spaCy's own pipes, and where `nlp.pipe` is not told a `batch_size`.
    - Layers on the CPU multiply matrices with NumPy's BLAS in place of Thinc's BLIS. Sums may differ in the last bit,
      as they do from one machine to another, so a score such as those in `doc.cats` is equal but for rounding.

    The pipeline is changed in place. What `to_disk`, `to_bytes` and `pickle` save is the plain pipeline.

    Args:
        nlp: Any pipeline, on the CPU: a student, its teacher, or another.

    Returns:
        What was done and what was left alone, for each pipe.
    """
    found = decode_in_batches(nlp)
    fast_products: dict[tuple[int, int], bool] = {}
    for name, pipe in nlp._components:
        model = getattr(pipe, "model", None)
        changed, layers = _take_faster_products(model, fast_products)
        for notes, ways in zip((found.changed, found.left_alone), _take_faster_layers(model, nlp.vocab), strict=True):
            for what in ways:
                _note(notes, name, what)
        if changed:
            _note(found.changed, name, f"NumPy's matrix product in {changed} of {layers} layers")
        elif layers:
            _note(found.left_alone, name, "BLIS multiplies its matrices as fast as NumPy")
        elif name not in {**found.changed, **found.left_alone}:
            _note(found.left_alone, name, "nothing in it is known to be slow")
    # Others may batch in a way of their own, as transformers do, or read ahead for money, as LLMs do.
    is_spacys = [type(pipe).__module__.startswith("spacy.") for _, pipe in nlp._components if not _is_batched(pipe)]
    if found.changed and all(is_spacys):
        nlp.pipe = _PipeByWords(nlp)  # type: ignore[method-assign]
        found.changed["nlp.pipe"] = f"gathers texts of {WORDS_AT_ONCE:,} words, where no batch_size is given"
    return found


def decode_in_batches(nlp: Language) -> Acceleration:
    """Do the first of the things that `accelerate` does, after which all scores are the same to the last bit."""
    found = Acceleration()
    for index, (name, pipe) in enumerate(nlp._components):
        if isinstance(pipe, EntityRecognizer):
            batched, what = _choose_decoding(pipe)
            _note(found.changed if batched else found.left_alone, name, what)
            if batched:
                nlp._components[index] = (name, batched)
        elif isinstance(pipe, DependencyParser):
            _note(found.left_alone, name, "spaCy decodes parsers")
    return found


def _note(notes: dict[str, str], name: str, what: str) -> None:
    notes[name] = f"{notes[name]}; {what}" if name in notes else what


def _is_batched(pipe: Any) -> bool:
    return isinstance(pipe, BatchEntityRecognizer)


class _PipeByWords:
    """`nlp.pipe`, but texts are gathered by their words where nobody says how many there are to be in a batch."""

    def __init__(self, nlp: Language) -> None:
        self._nlp = nlp

    def __call__(
        self, texts: Iterable[Any], *, batch_size: int | None = None, n_process: int = 1, **kwargs: Any
    ) -> Iterator[Any]:
        pipe = partial(type(self._nlp).pipe, self._nlp)
        # With as_tuples or in another process, spaCy calls this once more, or the plain pipe.
        if batch_size is not None or n_process != 1 or kwargs.get("as_tuples") or kwargs.get("component_cfg"):
            return pipe(texts, batch_size=batch_size, n_process=n_process, **kwargs)
        return chain.from_iterable(pipe(part, batch_size=len(part), **kwargs) for part in _by_words(texts))

    def __reduce__(self) -> Any:
        """Come out of a pickle as the plain method."""
        return getattr, (self._nlp, "pipe")


# Entities, all Docs of a batch at once


class BatchEntityRecognizer(EntityRecognizer):
    """spaCy's greedy entity recognizer, which decodes batches in NumPy and sets the same entities.

    Why no step is needed for each word: the features of a state are the next word and, where an entity is open, words
    of that entity (`StateC.set_context_tokens`). So what the model says of a word outside all entities does not hang on
    what came before, and the best of B-, U- and O is found for all words at once. Only entities that were begun are
    walked through, a word at a time in all Docs together, and there only I- and L- of the label begun are allowed.

    Attributes:
        least_words: Batches with fewer words are left to spaCy, which is faster on them.
    """

    least_words = 1
    _actions: "_Actions | None" = None
    _actions_of: Any = None

    def __call__(self, doc: Doc) -> Doc:
        """Annotate one Doc."""
        if len(doc) < self.least_words:
            return super().__call__(doc)
        try:
            self.annotate([doc])
            return doc
        except Exception as error:
            # Where this raises nothing, the Doc is dropped, as spaCy does it.
            return self.get_error_handler()(self.name, self, [doc], error)

    def pipe(self, docs: Iterable[Doc], *, batch_size: int = 256) -> Iterator[Doc]:
        """Annotate a stream of Docs, in its order."""
        for batch in minibatch(docs, size=batch_size):
            found = list(batch)
            try:
                for part in _by_words(found):
                    self.annotate(part)
            except Exception as error:
                self.get_error_handler()(self.name, self, found, error)
            else:
                yield from found

    def annotate(self, docs: list[Doc]) -> None:
        """Set the entities of a batch of Docs."""
        rest = docs
        # Docs of another vocabulary may not know the labels, of which spaCy has something to say.
        same = all(doc.vocab is self.vocab for doc in docs)
        if same and sum(map(len, docs)) >= self.least_words and (actions := self._known_actions()):
            rest = _set_entities(docs, self.model, actions)
        if rest:
            self.set_annotations(rest, self.predict(rest))

    def __reduce__(self) -> Any:
        """Come out of a pickle as the plain pipe, which needs nothing but spaCy there."""
        return _recast(self, EntityRecognizer).__reduce__()

    def _known_actions(self) -> "_Actions | None":
        # Labels can be added at any time, also by a Doc in which one is set.
        moves, unseen = self.moves, self.model.attrs["unseen_classes"]
        if (moves.n_moves, unseen, moves.labels, self.cfg["beam_width"]) != self._actions_of:
            self._actions = _read_actions(self)
            labels = {action: dict(found) for action, found in moves.labels.items()}
            self._actions_of = (moves.n_moves, set(unseen), labels, self.cfg["beam_width"])
        return self._actions


def _recast(pipe: EntityRecognizer, kind: type[EntityRecognizer]) -> EntityRecognizer:
    """The same pipe as another class; both share model, labels and settings."""
    # Given a model, the pipe would make a new output layer, of which an optimizer knows nothing.
    unused: Model = Model(
        "unused", lambda model, docs, is_train: (docs, lambda d: d), attrs={"resize_output": _no_resize}
    )
    recast = kind(pipe.vocab, unused, pipe.name, pipe.moves, scorer=pipe.scorer)
    recast.model = pipe.model
    recast.cfg = pipe.cfg
    recast._multitasks = pipe._multitasks
    recast._rehearsal_model = pipe._rehearsal_model
    return recast


def _no_resize(model: Model, n_actions: int) -> Model:
    return model


def _by_words(stream: Iterable[_Text]) -> Iterator[list[_Text]]:
    """Cut a stream of Docs or texts into parts of about `WORDS_AT_ONCE` words."""
    part: list[_Text] = []
    words = 0
    for item in stream:
        part.append(item)
        words += 1 + (len(item) // CHARACTERS_A_WORD if isinstance(item, str) else len(item))
        if words >= WORDS_AT_ONCE:
            yield part
            part, words = [], 0
    if part:
        yield part


@dataclass(frozen=True)
class _Actions:
    """The actions of a `ner`, by their numbers.

    Attributes:
        outside: Those that are allowed where no entity is open: each B- and U-, and O. In spaCy's order, as of several
            that score the same it takes the first. What follows is about these.
        begins: Which of them are B-.
        units: Which of them are U-.
        labels: The hash of the label of each; 0 for O.
        goes_on_or_ends: I- and L- of the label of each B-, two columns.
        unseen: Whether there are actions that the model has not learned.
    """

    outside: np.ndarray
    begins: np.ndarray
    units: np.ndarray
    labels: np.ndarray
    goes_on_or_ends: np.ndarray
    unseen: bool


def _read_actions(pipe: EntityRecognizer) -> _Actions | None:
    """Read the actions of a pipe; None if it works in another way than what is done here."""
    unseen = pipe.model.attrs["unseen_classes"]
    names = [pipe.moves.get_class_name(i) for i in range(pipe.moves.n_moves)]
    numbers = {name: i for i, name in enumerate(names)}
    # "U-" is for words that must not be in any entity, and for nothing else.
    outside = [i for i, name in enumerate(names) if name[0] in "BUO" and name != "U-" and i not in unseen]
    pairs = []
    for i in outside:
        label = names[i][2:]
        pair = (numbers.get(f"I-{label}", -1), numbers.get(f"L-{label}", -1)) if names[i][0] == "B" else (0, 1)
        # I- is taken where L- scores the same, so it must come first.
        if not 0 <= pair[0] < pair[1] or (names[i][0] == "B" and unseen & set(pair)):
            return None
        pairs.append(pair)
    if pipe.cfg["beam_width"] != 1 or numbers.get("O") not in outside or {name[0] for name in names} - set("BILUO"):
        return None
    return _Actions(
        np.array(outside),
        np.array([names[i][0] == "B" for i in outside]),
        np.array([names[i][0] == "U" for i in outside]),
        np.array([pipe.vocab.strings[names[i][2:]] if names[i] != "O" else 0 for i in outside], dtype="uint64"),
        np.array(pairs),
        bool(unseen),
    )


def _set_entities(docs: list[Doc], model: Model, actions: _Actions) -> list[Doc]:
    """Set the entities of all Docs but those that are returned: these are for spaCy."""
    lengths = np.array([len(doc) for doc in docs])
    words = np.concatenate([doc.to_array(_READ) for doc in docs])
    doc_of = np.repeat(np.arange(len(docs)), lengths)
    is_set = (words[:, 0] == BEGIN) | (words[:, 0] == INSIDE) | words[:, 1:4].any(axis=1)
    if is_set.any():
        for_spacy = set(doc_of[is_set].tolist())
        plain = [doc for i, doc in enumerate(docs) if i not in for_spacy]
        return [docs[i] for i in sorted(for_spacy)] + (_set_entities(plain, model, actions) if plain else [])
    if not len(words):
        return []

    ends = np.cumsum(lengths)
    # Whether an entity may go on in the next word: not beyond the Doc, nor into a new sentence.
    can_go_on = np.append(words[1:, 4] != 1, False)
    can_go_on[ends[lengths > 0] - 1] = False
    scores = _StateScores(docs, model, actions)
    choice, unsure = _choose_outside(scores, actions, can_go_on, words[:, 5] != 0)
    stops = _walk_entities(scores, actions, choice, unsure, can_go_on, ends - lengths, ends)
    found = _entity_columns(actions, choice, stops)

    for_spacy = set(doc_of[unsure].tolist())
    for i, (doc, end) in enumerate(zip(docs, ends.tolist(), strict=True)):
        if i not in for_spacy:
            doc.from_array(_WRITTEN, found[end - len(doc) : end])
    return [docs[i] for i in sorted(for_spacy)]


_READ = [ENT_IOB, ENT_TYPE, ENT_KB_ID, ENT_ID, SENT_START, IS_SPACE]
_WRITTEN = [ENT_IOB, ENT_TYPE]


class _StateScores:
    """Scores states as `predict_states` in spaCy's `parser_model.pyx` does, many at once.

    Features are summed in spaCy's order, so that without an upper layer the scores are the same to the last bit. With
    one, they come from a matrix product of another shape, which may round differently.

    Args:
        docs: Docs without entities.
        model: A `TransitionModel` for `ner`.
        actions: What is scored.
    """

    def __init__(self, docs: list[Doc], model: Model, actions: _Actions) -> None:
        tok2vec, lower, upper = model.layers
        # Of each word as each feature: (1 + words, features, hidden, pieces). Row 0 stands for "no word".
        self._cached = lower.predict(tok2vec.predict(docs))
        self._bias = lower.get_param("b")
        self._upper = upper if model.attrs["has_upper"] else None
        if self._upper:
            self._weights: Any = self._upper.get_param("W")
            self._upper_bias: Any = self._upper.get_param("b")
        self._actions = actions
        self.n_features = self._cached.shape[1]

    def outside(self) -> tuple[np.ndarray, "_Unsure"]:
        """Score the actions of `_Actions.outside` for each word, and say when to be unsure."""
        actions = self._actions.outside
        hidden = slice(None) if self._upper else actions
        padding = [self._cached[0, feature][hidden] for feature in range(1, self.n_features)]
        found = self._activate([self._cached[1:, 0][:, hidden], *padding], hidden)
        if self._upper is None:
            return found, self._is_not_a_number
        weights = self._weights[actions]
        scores: Any = self._upper.ops.gemm(found, weights, trans2=True)
        return scores + self._upper_bias[actions], partial(self._may_be_rounded, found, weights)

    def inside(self, rows: Sequence[np.ndarray], pairs: np.ndarray) -> tuple[np.ndarray, "_Unsure"]:
        """Score two actions each of some states, given the words that are their features; -1 is "no word"."""
        if self._upper is None:
            found = self._activate([self._cached[row[:, None] + 1, i, pairs] for i, row in enumerate(rows)], pairs)
            return found, self._is_not_a_number
        found = self._activate([self._cached[row + 1, i] for i, row in enumerate(rows)], slice(None))
        weights = self._weights[pairs]
        scores = np.einsum("sh,sah->sa", found, weights)
        return scores + self._upper_bias[pairs], partial(self._may_be_rounded, found, weights)

    def _activate(self, features: list[np.ndarray], hidden: Any) -> Any:
        total = reduce(np.add, features) + self._bias[hidden]
        # np.max is slow where there are only two or three entries.
        return reduce(np.maximum, (total[..., piece] for piece in range(total.shape[-1])))

    def _is_not_a_number(self, lead: np.ndarray) -> np.ndarray:
        # An action that was not learned scores as low as the lowest of the batch: so this must not be the best.
        return ~(lead > 0) if self._actions.unseen else np.isnan(lead)

    def _may_be_rounded(self, hidden: np.ndarray, weights: np.ndarray, lead: np.ndarray) -> np.ndarray:
        # A sum of n products is rounded by this at most, for each unit of the sum of their sizes; twice as there are
        # two ways, twice as there are two scores. Higham, Accuracy and Stability of Numerical Algorithms, 2002, 3.1.
        rounded = 4 * (hidden.shape[1] + 2) * 2.0**-24
        size, bias = np.abs(hidden), np.abs(self._upper_bias).max()
        unsure = ~(lead > rounded * (size.sum(axis=1) * np.abs(self._weights).max() + bias))
        if (some := np.flatnonzero(unsure)).size:  # With the sizes themselves in place of a quick bound
            weights = weights[some] if weights.ndim > 2 else weights
            largest = (np.abs(weights) @ size[some, :, None]).max(axis=(1, 2))
            unsure[some] = ~(lead[some] > rounded * (largest + bias))
        return unsure


# Given how far the two best scores of states are apart: for which of them spaCy may find another to be the best.
_Unsure = Callable[[np.ndarray], np.ndarray]


def _choose_outside(
    scores: _StateScores, actions: _Actions, can_go_on: np.ndarray, is_space: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Choose an action for each word as if no entity were open, and say where rounding may have chosen."""
    found, is_unsure = scores.outside()
    found[np.ix_(~can_go_on, actions.begins)] = -np.inf
    if is_space.any():
        found[np.ix_(is_space, actions.begins | actions.units)] = -np.inf
    choice = found.argmax(axis=1)
    every = np.arange(len(choice))
    best = found[every, choice]
    found[every, choice] = -np.inf
    return choice, is_unsure(best - found.max(axis=1))


def _walk_entities(
    scores: _StateScores,
    actions: _Actions,
    choice: np.ndarray,
    unsure: np.ndarray,
    can_go_on: np.ndarray,
    doc_starts: np.ndarray,
    doc_ends: np.ndarray,
) -> np.ndarray:
    """Where the entity of several words that begins at each word ends, or 0; marks more words in `unsure`.

    Each step takes the next word of the open entity in every Doc that still has one to come.
    """
    n_words = len(choice)
    stops = np.zeros(n_words, dtype=int)
    # The first word, from each word on, that begins an entity if none is open there.
    next_begin = np.full(n_words + 1, n_words)
    next_begin[:-1][actions.begins[choice]] = np.flatnonzero(actions.begins[choice])
    next_begin = np.minimum.accumulate(next_begin[::-1])[::-1]

    starts, ends = next_begin[doc_starts], doc_ends
    words = starts + 1
    while (alive := starts < ends).any():
        starts, words, ends = starts[alive], words[alive], ends[alive]
        if scores.n_features == 3:
            rows = [words, starts, words - 1]
        else:  # The first five words of the entity
            rows = [words, *(np.where(starts + i < words, starts + i, -1) for i in range(5))]
        found, is_unsure = scores.inside(rows, actions.goes_on_or_ends[choice[starts]])
        lead = found[:, 0] - found[:, 1]
        goes_on = can_go_on[words]
        unsure[words[goes_on & is_unsure(np.abs(lead))]] = True
        closed = ~(goes_on & (lead >= 0))
        words = words + 1
        stops[starts[closed]] = words[closed]
        starts = np.where(closed, next_begin[words], starts)
        words = np.where(closed, starts + 1, words)
    return stops


def _entity_columns(actions: _Actions, choice: np.ndarray, stops: np.ndarray) -> Any:
    """`ENT_IOB` and `ENT_TYPE` of each word."""
    n_words = len(choice)
    starts = np.flatnonzero(stops)
    depth = np.zeros(n_words + 1, dtype=int)
    depth[starts] += 1
    np.add.at(depth, stops[starts], -1)
    inside = np.cumsum(depth[:-1]) > 0
    unit = actions.units[choice] & ~inside
    found = np.zeros((n_words, 2), dtype="uint64")
    found[:, 0] = np.where(inside, INSIDE, np.where(unit, BEGIN, OUTSIDE))
    found[starts, 0] = BEGIN
    # The word that the entity of each word begins with: the last start so far.
    first = np.maximum.accumulate(np.where(stops > 0, np.arange(n_words), 0))
    found[:, 1] = np.where(inside, actions.labels[choice[first]], np.where(unit, actions.labels[choice], 0))
    return found


# Layers, for predictions


class _OtherWay:
    """The forward pass of a layer in another way, for predictions on enough words.

    Copies of the layer, which have weights of their own, work in the plain way.
    """

    def __init__(self, model: Model, way: Callable[[Any], list[Any]], least_words: int) -> None:
        self._model = model
        self._way = way
        self._plain = model._func
        self._least_words = least_words

    def __call__(self, model: Model, X: Any, is_train: bool) -> tuple[Any, Callable]:
        is_ours = model is self._model and isinstance(X, list | tuple) and not is_train
        if not is_ours or sum(map(len, X)) < self._least_words:
            return self._plain(model, X, is_train)
        return self._way(X), lambda d_output: self._plain(model, X, is_train)[1](d_output)

    def __reduce__(self) -> Any:
        """Come out of a pickle as the plain function."""
        return copy, (self._plain,)


# The modules of layers' functions, since names are anybody's
_thincs = "thinc.layers.{}".format
_WINDOW_LAYER = [*map(_thincs, ("residual", "expand_window", "maxout", "layernorm", "dropout"))]
# Those that say the same of a word wherever it stands
_WORD_BY_WORD = {
    *map(_thincs, ("array_getitem", "chain", "concatenate", "dropout", "hashembed", "layernorm", "list2ragged")),
    *map(_thincs, ("maxout", "ragged2list", "with_array")),
    *("spacy.ml.featureextractor", "spacy.ml.staticvectors"),
}


def _kind(node: Model) -> str:
    return getattr(node._func, "__module__", "")


def _is_ready(model: Model) -> bool:
    """Whether a model is on the CPU and has its weights."""
    return all(isinstance(node.ops, NumpyOps) and all(map(node.has_param, node.param_names)) for node in model.walk())


# Each different word once


def _attributes(model: Model) -> list[int]:
    """The attributes that spaCy's `MultiHashEmbed` looks at, but for that of vectors; none if the model is not one."""
    kinds = {_kind(node) for node in model.walk()}
    is_embedding = "spacy.ml.featureextractor" in kinds <= _WORD_BY_WORD
    if not is_embedding or not model.layers or _kind(model.layers[-1]) != _thincs("ragged2list"):
        return []
    return _ids(name for node in model.walk() for name in node.attrs.get("columns", []))


def _ids(names: Iterable[int | str]) -> list[int]:
    return [IDS[name.upper()] if isinstance(name, str) else name for name in names]


@dataclass(frozen=True)
class _Words:
    """What layers ask of a Doc in order to embed its words: some attributes, (words, columns)."""

    attributes: np.ndarray
    columns: list[Any]
    vocab: Vocab

    def __len__(self) -> int:
        return len(self.attributes)

    def to_array(self, names: Any) -> np.ndarray:
        """The attributes of each word, as `Doc.to_array` has them."""
        if isinstance(names, int | str):
            return self.to_array([names])[:, 0]
        return self.attributes[:, [self.columns.index(i) for i in _ids(names)]]


def _embed_different_words(
    embed: Callable[[list[_Words]], list[Any]], looked_at: list[int], docs: list[Doc | _Words]
) -> list[Any]:
    """Embed each different word of all Docs once, and give every token the vector of its word.

    Args:
        embed: Embeds Docs, given what it asks of them.
        looked_at: The attributes that it looks at: words that have the same are the same.
        docs: Docs, at least one of them with a word.

    Returns:
        For each Doc an array, (words, width).
    """
    vocab = docs[0].vocab
    columns: list[Any] = [*looked_at, getattr(vocab.vectors, "attr", ORTH)]
    attributes = np.concatenate([doc.to_array(columns) for doc in docs])
    _, first, word = np.unique(attributes @ _MIX[: len(columns)], return_index=True, return_inverse=True)
    if not (attributes[first][word] == attributes).all():  # Two words have the same number by chance.
        first = word = np.arange(len(attributes))
    return _cut(embed([_Words(attributes[first], columns, vocab)])[0][word], docs)


# Odd numbers, so that none is lost when products are cut to 64 bits
_MIX = np.random.default_rng(0).integers(2**63, size=64, dtype="uint64") * np.uint64(2) + np.uint64(1)


def _cut(rows: Any, docs: Sequence[Any]) -> list[Any]:
    """Cut the rows of all words into those of each Doc."""
    ends = np.cumsum([len(doc) for doc in docs]).tolist()
    return [rows[start:end] for start, end in pairwise([0, *ends])]


# Some hundred words at a time


@dataclass(frozen=True)
class _WindowLayer:
    """A layer of spaCy's `MaxoutWindowEncoder`, which looks at `window` words on each side."""

    window: int
    maxout: Model
    norm: Model

    def __call__(self, windows: np.ndarray) -> Any:
        """What is added to each word, given it and its neighbours, one after another in a row."""
        rows = self.maxout.predict(windows)
        # What `LayerNorm` says, to the last bit, with fewer copies
        width = np.float32(rows.shape[1])
        rows -= np.add.reduce(rows, axis=1, keepdims=True) / width
        variance = np.add.reduce(rows * rows, axis=1, keepdims=True) / width + 1e-08
        rows *= variance ** (-1.0 / 2.0)
        rows *= self.norm.get_param("G")
        rows += self.norm.get_param("b")
        return rows


def _window_layers(model: Model) -> list[_WindowLayer]:
    """The layers of spaCy's `MaxoutWindowEncoder`; none if the model is not one."""
    if _kind(model) != _thincs("with_array"):
        return []
    inner = model.layers[0]
    found = []
    for residual in inner.layers if _kind(inner) == _thincs("chain") else [inner]:
        nodes = [node for node in residual.walk(order="dfs_pre") if _kind(node) != _thincs("chain")]
        if [_kind(node) for node in nodes] != _WINDOW_LAYER:
            return []
        found.append(_WindowLayer(nodes[1].attrs["window_size"], nodes[2], nodes[3]))
    window = found[0].window
    # With fewer empty rows between them, Docs would see something of each other.
    is_same = {layer.window for layer in found} == {window} and model.attrs["pad"] >= len(found) * window > 0
    return found if is_same else []


def _encode_blocks(layers: list[_WindowLayer], pad: int, vectors: list[Any]) -> list[Any]:
    """Send all Docs through the layers of a `MaxoutWindowEncoder`, some hundred words at a time.

    Args:
        layers: One after another.
        pad: How many empty rows are between two Docs, so that they see nothing of each other.
        vectors: For each Doc an array, (words, width).

    Returns:
        As `vectors`.
    """
    lengths = np.array([len(rows) for rows in vectors if len(rows)])
    words, ends, width = np.concatenate(vectors), np.cumsum(lengths), vectors[0].shape[1]
    rows = np.arange(len(words)) + pad * np.repeat(np.arange(len(lengths)), lengths)
    found = np.empty_like(words)
    # Only whole Docs: a block ends with the Doc after which another has the multiple of its size.
    is_last = np.diff(ends // WORDS_A_BLOCK, append=-1) != 0
    for start, end in pairwise([0, *ends[is_last].tolist()]):
        block = rows[start:end] - rows[start]
        padded = np.zeros((int(block[-1]) + 1 + 2 * pad, width), dtype=words.dtype)
        padded[block + pad] = words[start:end]
        # Row i of `windows` has row i of `centres` and its neighbours.
        window = layers[0].window
        windows = sliding_window_view(padded.reshape(-1), (2 * window + 1) * width)[::width]
        centres = padded[window : len(padded) - window]
        for layer in layers[:-1]:
            centres += layer(np.ascontiguousarray(windows))
        # Of the last layer no more is asked than the words.
        block += pad - window
        found[start:end] = centres[block] + layers[-1](windows[block])
    return _cut(found, vectors)


# What is faster on this machine


def _choose_decoding(pipe: EntityRecognizer) -> tuple[EntityRecognizer | None, str]:
    """The pipe that decodes in batches, if this is exact and faster, and what there is to say of it."""
    if obstacle := _obstacle(pipe):
        return None, obstacle
    batched = _recast(pipe, BatchEntityRecognizer)
    assert isinstance(batched, BatchEntityRecognizer)
    if batched._known_actions() is None:
        return None, "its actions are not those of spaCy's greedy ner"
    spacys, ours = _time_decoding(pipe, batched)
    if (least_words := _faster_from(TRIED_WORDS, spacys, ours)) is None:
        return None, f"spaCy decodes as fast ({spacys[-1]:.1f} µs a word, in batches {ours[-1]:.1f})"
    batched.least_words = least_words
    return batched, (
        f"{batched.least_words} words or more are decoded together, which takes {ours[-1]:.1f} µs a word in place of "
        f"{spacys[-1]:.1f}"
    )


def _faster_from(sizes: Sequence[int], spacys: Sequence[float], ours: Sequence[float]) -> int | None:
    """The size from which on our way is the faster one, there and at all greater ones, if there is one."""
    wins = [a < b * CLEARLY_FASTER for a, b in zip(ours, spacys, strict=True)]
    first = max((i + 1 for i, won in enumerate(wins) if not won), default=0)
    return sizes[first] if first < len(wins) else None


def _obstacle(pipe: EntityRecognizer) -> str | None:
    """What is in the way of decoding a pipe here, if anything."""
    if _is_batched(pipe):
        return "it decodes in batches already"
    if type(pipe) is not EntityRecognizer:
        return f"{type(pipe).__name__} may decode in a way of its own"
    if pipe.cfg["beam_width"] != 1:
        return "spaCy decodes beams"
    if pipe.model.name != "parser_model" or len(pipe.model.layers) != 3:
        return "its model is not one of spaCy's"
    _, lower, _ = pipe.model.layers
    if lower.name != "precomputable_affine" or lower.maybe_get_dim("nF") not in (3, 6):
        return "its model is not one of spaCy's"
    if not lower.has_param("W"):
        return "it has not been trained"
    if not all(isinstance(layer.ops, NumpyOps) for layer in pipe.model.layers):
        return "it is on a GPU"
    return None


def _time_decoding(pipe: EntityRecognizer, batched: BatchEntityRecognizer) -> tuple[list[float], list[float]]:
    """µs a word of spaCy's way and of ours, for each of `TRIED_WORDS`, on random vectors in place of the encoder's.

    So no other pipe is asked, which might be slow, or cost money.
    """
    _, lower, upper = pipe.model.layers
    vectors = np.random.default_rng(0).normal(size=(max(TRIED_WORDS), lower.get_dim("nI"))).astype("float32")
    stub: Model = Model("random_vectors", lambda model, docs, is_train: (vectors[: sum(map(len, docs))], lambda d: []))
    upper = upper if pipe.model.attrs["has_upper"] else None
    model = TransitionModel(stub, lower, upper, _no_resize, unseen_classes=pipe.model.attrs["unseen_classes"])
    spacys, ours = _recast(pipe, EntityRecognizer), _recast(batched, BatchEntityRecognizer)
    spacys.model = ours.model = model

    # The pipe's own is saved with it, and must stay as it is.
    spacys.vocab = ours.vocab = vocab = Vocab(strings=pipe.labels)

    def make_docs(n_words: int) -> list[Doc]:
        size = min(n_words, TRIED_DOC)
        return [Doc(vocab, words=["word"] * size) for _ in range(0, n_words, size)]

    def decode_by_spacy(docs: list[Doc]) -> None:
        spacys.set_annotations(docs, spacys.predict(docs))

    times = [_fastest([decode_by_spacy, ours.annotate], partial(make_docs, n)) for n in TRIED_WORDS]
    by_spacy, by_us = zip(
        *([1e6 * s / n for s in found] for found, n in zip(times, TRIED_WORDS, strict=True)), strict=True
    )
    return list(by_spacy), list(by_us)


def _take_faster_products(model: Any, known: dict[tuple[int, int], bool]) -> tuple[int, int]:
    """Give layers NumPy's matrix product where it is the faster one for their weights.

    Args:
        model: A pipe's model; anything else has no layers.
        known: What was found of matrices of a shape, which is added to.

    Returns:
        How many layers were changed, and how many could have been.
    """
    if not isinstance(model, Model):
        return 0, 0
    numpys = NumpyOps(use_blis=False)
    changed = total = 0
    for node in model.walk():
        # Other operations, such as a GPU's or Apple's, have a product of their own.
        ops: Any = node.ops
        if type(ops) is not NumpyOps or not ops.use_blis or not node.has_param("W"):
            continue
        weights = node.get_param("W")
        if weights.ndim < 2:
            continue
        total += 1
        shape = (weights.size // weights.shape[-1], weights.shape[-1])
        if shape not in known:
            known[shape] = _is_numpy_faster(*shape)
        if known[shape]:
            node.ops = numpys
            changed += 1
    return changed, total


def _take_faster_layers(model: Any, vocab: Vocab) -> tuple[list[str], list[str]]:
    """Give layers another way where it is the faster one.

    Args:
        model: A pipe's model; anything else has no layers.
        vocab: With strings, and with the vectors that the model looks up.

    Returns:
        What layers do now, and what they could have done that is no faster.
    """
    taken, left = [], []
    for node in list(model.walk()) if isinstance(model, Model) else []:
        found = _encoding_in_blocks(node) or _embedding_once(node, vocab)
        if not found or not _is_ready(node):
            continue
        what, way, make_input = found
        times = [_fastest([node.predict, way], partial(make_input, n)) for n in TRIED_LAYER]
        least_words = _faster_from(TRIED_LAYER, *zip(*times, strict=True))
        if least_words is None:
            left.append(f"it is no faster if {what}")
        else:
            node._func = _OtherWay(node, way, least_words)
            taken.append(f"{what}, from {least_words} words on")
    return taken, left


# What a layer does in another way, this way, and what makes input of so many words to time it with
_LayerChoice = tuple[str, Callable[[Any], list[Any]], Callable[[int], list[Any]]]


def _encoding_in_blocks(node: Model) -> _LayerChoice | None:
    layers = _window_layers(node)
    if not layers:
        return None

    def make_vectors(n_words: int) -> list[np.ndarray]:
        size = (n_words, layers[0].norm.get_dim("nI"))
        return _split(np.random.default_rng(0).normal(size=size).astype("float32"))

    return "words are encoded in blocks", partial(_encode_blocks, layers, node.attrs["pad"]), make_vectors


def _embedding_once(node: Model, vocab: Vocab) -> _LayerChoice | None:
    looked_at, embed = _attributes(node), node._func
    if not looked_at:
        return None
    # Vectors of parts of words are made from the string.
    strings = np.array([vocab.strings[text] for text in islice(vocab.strings, max(TRIED_LAYER))], dtype="uint64")

    def make_words(n_words: int) -> list[_Words]:
        columns = [*looked_at, getattr(vocab.vectors, "attr", ORTH)]
        # Each of them twice: a thousand words of a text are repeated more often.
        words = np.random.default_rng(0).choice(strings, size=(n_words // 2, len(columns))).repeat(2, axis=0)
        return [_Words(part, columns, vocab) for part in _split(words)]

    way = partial(_embed_different_words, lambda docs: embed(node, docs, False)[0], looked_at)
    return "words that repeat are embedded once", way, make_words


def _split(rows: np.ndarray) -> list[np.ndarray]:
    return np.split(rows, range(TRIED_DOC, len(rows), TRIED_DOC))


def _is_numpy_faster(n_out: int, n_in: int) -> bool:
    """Whether NumPy multiplies many rows with such weights in less time than BLIS, and a few in no more."""
    numbers = np.random.default_rng(0)
    weights = numbers.normal(size=(n_out, n_in)).astype("float32")
    products = [partial(ops.gemm, y=weights, trans2=True) for ops in (NumpyOps(), NumpyOps(use_blis=False))]
    few, many = (
        _fastest(products, partial(numbers.normal(size=(rows, n_in)).astype, "float32")) for rows in TRIED_ROWS
    )
    return few[1] <= few[0] and many[1] < many[0] * CLEARLY_FASTER


def _fastest(ways: Sequence[Callable[[Any], Any]], make_input: Callable[[], Any]) -> list[float]:
    """Seconds that each way takes at least, in turn on new input."""
    seconds = [float("inf")] * len(ways)
    for _ in range(TRIALS):
        for i, way in enumerate(ways):
            found = make_input()
            start = _clock()
            way(found)
            seconds[i] = min(seconds[i], _clock() - start)
    return seconds


# The time of all threads together: a library that takes more cores to be faster is none for a busy machine. Windows
# counts it in steps of 16 ms.
_clock = perf_counter if sys.platform == "win32" else process_time
