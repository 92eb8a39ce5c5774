"""Mixed vocabulary: while a student learns, it reads some words in its teacher's pieces."""

from collections.abc import Callable

import numpy
from spacy.language import Language
from thinc.api import Model

from ..errors import DistillationError
from ..pipes.encoder import Floats, to_numpy
from ..vectors import principal_components
from .encoder import mix_pieces, start_pieces, transformers_of
from .pieces import CONTINUED, UNKNOWN, Pieces, find_pieces


def mixed_vocabulary_callback(teacher: str, probability: float = 0.5) -> Callable[[Language], None]:
    """Make the callback `spacy-tinydistill.MixedVocabulary.v1`, for `[initialize.after_init]`.

    This is the mixed-vocabulary training of Zhao et al. (arXiv 1909.11687; "dual training" in section 3.1 of its first
    version): a word's pieces come from the teacher's vocabulary or from the student's own, and both are embedded into
    one space, so that a rare piece of the one is learned among well-known pieces of the other. In the paper it is the
    teacher that reads the mixture, as it is trained on, and hands its embeddings down. Here a teacher is asked once,
    about the text as it is, and never trained: the student reads the mixture. What the paper's teacher brings along,
    embeddings of its own vocabulary, the student is given to begin with, made as narrow as it is, and from them those
    of the student's own pieces, by `inherit`.

    Only what learns reads the mixture: evaluations do not, nor does the student that is saved, which has none of it.

    Args:
        teacher: A pipeline with a transformer of spacy-transformers whose tokenizer is a WordPiece.
        probability: p, with which a word is read in the teacher's pieces, drawn for each word each time that it is
            read. From 0 to below 1; with 0 the student reads its own alone, which begin as they would.

    Raises:
        DistillationError: TD226, there is no such probability; TD227, the teacher has no pieces to mix in.
    """
    if not 0 <= probability < 1:
        raise DistillationError("TD226", probability=probability)

    def fill(nlp: Language) -> None:
        from ..pipes.pipeline import load_teacher

        pieces, vectors = piece_vectors(load_teacher(teacher))
        for name, node in transformers_of(nlp.components):
            own = own_vectors(node)
            fitted = fit_to_table(vectors, own)
            # A pipe from an earlier student, which has learned, is not initialized, and so disabled meanwhile.
            if name in nlp.pipe_names:
                start_pieces(node, inherit(node.attrs["pieces"], own, pieces, fitted))
            if probability:
                mix_pieces(node, pieces, fitted, probability)

    return fill


def piece_vectors(teacher: Language) -> tuple[Pieces, Floats]:
    """Read a teacher's pieces and their embeddings, shape (pieces, width of an embedding).

    Raises:
        DistillationError: TD227, it has none that are a WordPiece of Hugging Face's `tokenizers`.
    """
    found = find_pieces(teacher)
    if found is None:
        raise DistillationError("TD227", pipes=", ".join(teacher.pipe_names) or "no pipes")
    pipe, pieces = found
    table = pipe.model.transformer.get_input_embeddings().weight
    # A model may have more rows than there are pieces, so that their number is a round one.
    return pieces, to_numpy(table.detach().float().cpu())[: len(pieces)]


def fit_to_table(vectors: Floats, table: Floats) -> Floats:
    """Bring vectors to the width and the spread of a table that they are to stand beside.

    Args:
        vectors: Shape (rows, width). Of a wider one the principal components are taken; a narrower one has zeros added.
        table: Shape (other rows, other width).

    Returns:
        Around 0, float32, shape (rows, other width).
    """
    width = table.shape[1]
    narrow = principal_components(vectors, width)
    return numpy.pad(narrow, ((0, 0), (0, width - narrow.shape[1]))) * table.std()


def own_vectors(node: Model) -> Floats:
    """Read the embeddings of a `TinyTransformer.v1`'s own pieces, shape (pieces, width)."""
    return to_numpy(node.shims[0]._model.pieces.weight.detach().cpu())


def inherit(own: Pieces, table: Floats, teacher: Pieces, vectors: Floats) -> Floats:
    """Begin a student's embeddings where its teacher's are: a piece's with the mean of the pieces that spell it.

    This is the fast vocabulary transfer of Gee et al. (arXiv 2402.09977).

    Args:
        own: The student's pieces.
        table: Their embeddings, shape (pieces or more, width).
        teacher: The teacher's pieces.
        vectors: Their embeddings, shape (teacher's pieces, width).

    Returns:
        New embeddings, in the shape of `table`; of pieces that the teacher cannot spell, what they were.
    """
    known = teacher.tokenizer.get_vocab()
    found = table.copy()
    for piece, number in own.tokenizer.get_vocab().items():
        # What stands within a word the teacher spells as it would a word, unless it has the very piece.
        ids = [known[piece]] if piece in known else list(teacher.cut([piece.removeprefix(CONTINUED)])[0])
        if piece == UNKNOWN or teacher.id_of(UNKNOWN) not in ids:
            found[number] = vectors[ids].mean(axis=0)
    return found
