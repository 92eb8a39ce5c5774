"""Word pieces: how a transformer student splits tokens, and where its vocabulary comes from."""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

import numpy
from spacy.language import Language
from thinc.api import Model, deserialize_attr, serialize_attr

from ..config_files import without_stand_ins
from ..corpus import read_texts
from ..errors import DistillationError
from ..pipes.pipeline import models_of, nodes_of, pipes_of

PADDING, UNKNOWN, START, END, MASK = "[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"
SPECIAL = (PADDING, UNKNOWN, START, END, MASK)

# WordPiece marks a piece that does not start a word.
CONTINUED = "##"

# Tokens whose pieces are remembered; text has few frequent ones.
CACHE_SIZE = 50_000


class Pieces:
    """A WordPiece tokenizer, kept as the JSON of Hugging Face's `tokenizers`."""

    def __init__(self, json: str = "") -> None:
        """Use a tokenizer. An empty one is filled when the model is initialized or loaded."""
        self.json = json
        self._tokenizer: Any = None
        self._cache: dict[str, Sequence[int]] = {}

    def __bool__(self) -> bool:
        """Whether there is a vocabulary."""
        return bool(self.json)

    def __len__(self) -> int:
        """The number of pieces."""
        return self.tokenizer.get_vocab_size()

    @property
    def tokenizer(self) -> Any:
        """The `tokenizers.Tokenizer`."""
        if self._tokenizer is None:
            from tokenizers import Tokenizer

            self._tokenizer = Tokenizer.from_str(self.json)
        return self._tokenizer

    @property
    def fingerprint(self) -> str:
        """Hash the pieces in the order of their numbers: a SHA-256, hexadecimal."""
        numbers = self.tokenizer.get_vocab()
        return hashlib.sha256("\n".join(sorted(numbers, key=numbers.__getitem__)).encode()).hexdigest()

    def id_of(self, piece: str) -> int:
        """The number of one of the `SPECIAL` pieces."""
        return self.tokenizer.token_to_id(piece)

    def cut(self, words: Iterable[str]) -> list[Sequence[int]]:
        """Split words into pieces, at least one per word. White space and unknown text are `UNKNOWN`."""
        cache = self._cache
        found = []
        for word in words:
            ids = cache.get(word)
            if ids is None:
                if len(cache) >= CACHE_SIZE:
                    cache.clear()
                # Not `encode_batch`, which starts threads.
                ids = self.tokenizer.encode(word, add_special_tokens=False).ids or [self.id_of(UNKNOWN)]
                cache[word] = ids
            found.append(ids)
        return found

    def __reduce__(self) -> tuple[type, tuple[str]]:
        """Copy what cannot be made again."""
        return type(self), (self.json,)


class MixedPieces:
    """A student's own pieces and, numbered after them, its teacher's. Each word is read in one or the other, at
    random."""

    def __init__(self, own: Pieces, teacher: Pieces, *, first: int, probability: float) -> None:
        """Mix two vocabularies.

        Args:
            own: The student's.
            teacher: The teacher's.
            first: The number that the teacher's piece 0 has here.
            probability: The probability that a word is read in the teacher's pieces.
        """
        self.own = own
        self.teacher = teacher
        self.first = first
        self.probability = probability

    def id_of(self, piece: str) -> int:
        """The number of one of the student's own `SPECIAL` pieces."""
        return self.own.id_of(piece)

    def cut(self, words: Iterable[str]) -> list[Sequence[int]]:
        """Split words into pieces, at least one per word, and all of a word from one vocabulary."""
        words = list(words)
        # NumPy's own random numbers, which a checkpoint holds: a resumed run draws as it would have.
        is_teachers = numpy.random.random(len(words)) < self.probability
        pairs = zip(self.own.cut(words), self.teacher.cut(words), is_teachers, strict=True)
        return [[self.first + piece for piece in theirs] if drawn else ours for ours, theirs, drawn in pairs]


@serialize_attr.register(Pieces)
def _serialize(_: Any, pieces: Pieces, name: str, model: Model) -> bytes:
    return pieces.json.encode()


@deserialize_attr.register(Pieces)
def _deserialize(_: Any, data: bytes, name: str, model: Model) -> Pieces:
    return Pieces(data.decode())


def train_pieces_callback(path: str | None, column: str = "text") -> Callable[[Language], None]:
    """Make the callback `spacy-tinydistill.TrainPieces.v1`, for `[initialize.before_init]`.

    Args:
        path: Text like that which the student will read, as for `corpus.text_corpus`.
        column: The column of the text, in JSONL and CSV.
    """

    def fill(nlp: Language) -> None:
        trained: dict[int, Pieces] = {}
        for node in _nodes_without_pieces(nlp):
            size = node.attrs["vocab_size"]
            if path is not None and size not in trained:
                trained[size] = train_pieces(partial(read_texts, Path(without_stand_ins(path)), column=column), size)
            _set_pieces(node, trained.get(size, Pieces()))

    return fill


def teacher_pieces_callback(teacher: str) -> Callable[[Language], None]:
    """Make the callback `spacy-tinydistill.TeacherPieces.v1`, for `[initialize.before_init]`.

    Args:
        teacher: A pipeline with a transformer of spacy-transformers whose tokenizer is a WordPiece.
    """

    def fill(nlp: Language) -> None:
        from ..pipes.pipeline import load_teacher

        pieces = copy_pieces(load_teacher(teacher))
        for node in _nodes_without_pieces(nlp):
            _set_pieces(node, pieces)

    return fill


def train_pieces(texts: Callable[[], Iterable[str]], size: int) -> Pieces:
    """Train WordPiece pieces on a text. Upper and lower case are distinct.

    Args:
        texts: Starts to read the texts each time it is called. They are read twice.
        size: Maximum number of pieces.

    Returns:
        The vocabulary, the same for the same texts. At most a quarter of it are characters, the most frequent ones,
        and as many their `CONTINUED` forms.
    """
    from tokenizers import Tokenizer
    from tokenizers.models import WordPiece
    from tokenizers.normalizers import BertNormalizer
    from tokenizers.pre_tokenizers import BertPreTokenizer
    from tokenizers.trainers import WordPieceTrainer

    normalizer = BertNormalizer(lowercase=False, strip_accents=False)
    counts = Counter(chain.from_iterable(normalizer.normalize_str(text) for text in texts()))
    frequent = sorted((char for char in counts if not char.isspace()), key=lambda char: (-counts[char], char))
    characters = sorted(frequent[: size // 4])
    # Named here, since the trainer would number these pieces in an order that is another in each process.
    first = [*SPECIAL, *(CONTINUED + char for char in characters)]

    def make(model: Any) -> Any:
        tokenizer = Tokenizer(model)
        tokenizer.normalizer, tokenizer.pre_tokenizer = normalizer, BertPreTokenizer()
        return tokenizer

    trained = make(WordPiece(unk_token=UNKNOWN))
    trainer = WordPieceTrainer(
        vocab_size=size,
        special_tokens=first,
        initial_alphabet=characters,
        limit_alphabet=len(characters),
        show_progress=False,
        continuing_subword_prefix=CONTINUED,
    )
    trained.train_from_iterator(texts(), trainer)
    return Pieces(make(WordPiece(trained.get_vocab(), unk_token=UNKNOWN)).to_str())


def copy_pieces(teacher: Language) -> Pieces:
    """Copy the pieces of a teacher's tokenizer.

    Raises:
        DistillationError: TD215, the teacher has no WordPiece tokenizer of Hugging Face's `tokenizers`.
    """
    found = find_pieces(teacher)
    if found is None:
        raise DistillationError("TD215", pipes=", ".join(teacher.pipe_names) or "no pipes")
    return found[1]


def find_pieces(teacher: Language) -> tuple[Any, Pieces] | None:
    """Find the pipe with a fast WordPiece tokenizer and copy its pieces, else return None."""
    found = ((pipe, pieces_of(pipe)) for _, pipe in pipes_of(teacher))
    return next(((pipe, pieces) for pipe, pieces in found if pieces), None)


def pieces_of(pipe: Any) -> Pieces:
    """Copy the pieces of one of a teacher's pipes; empty if it has no fast WordPiece tokenizer."""
    from tokenizers import Tokenizer

    backend: Any = getattr(getattr(getattr(pipe, "model", None), "tokenizer", None), "backend_tokenizer", None)
    if type(getattr(backend, "model", None)).__name__ == "WordPiece":
        copied = Tokenizer.from_str(backend.to_str())
        # Set when a text was last read, and nothing to a student, which has windows of its own.
        copied.no_padding()
        copied.no_truncation()
        pieces = Pieces(copied.to_str())
        if all(pieces.id_of(piece) is not None for piece in (UNKNOWN, START, END)):
            return pieces
    return Pieces()


def _nodes_without_pieces(nlp: Language) -> Iterator[Model]:
    """Find the models in a pipeline that cut tokens into pieces and have none yet."""
    for node in nodes_of(model for _, model in models_of(pipes_of(nlp))):
        pieces = node.attrs.get("pieces")
        if isinstance(pieces, Pieces) and not pieces:
            yield node


def _set_pieces(node: Model, pieces: Pieces) -> None:
    if not pieces:
        raise DistillationError("TD217")
    if len(pieces) > node.attrs["vocab_size"]:
        raise DistillationError("TD218", found=len(pieces), expected=node.attrs["vocab_size"])
    node.attrs["pieces"] = pieces
