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
    one space. So rare pieces of one vocabulary are learned together with well-known pieces of the other. In the paper
    the teacher reads the mixture while it is trained further, and passes its embeddings on. Here a teacher is
    recorded once and never trained, so the student reads the mixture. It starts with the teacher's embeddings,
    reduced to its width, and the embeddings of its own pieces are made from them by `inherit`.

    Only training reads the mixture: evaluations and the saved student do not.

    Args:
        teacher: A pipeline with a transformer of spacy-transformers whose tokenizer is a WordPiece.
        probability: p, the probability that a word is read in the teacher's pieces, drawn each time that it is read.
            At least 0 and less than 1. With 0 the student reads only its own pieces, which start the same.

    Raises:
        DistillationError: TD226, the probability is out of range; TD227, the teacher has no pieces to mix in.
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
        DistillationError: TD227, it has no WordPiece tokenizer of Hugging Face's `tokenizers`.
    """
    found = find_pieces(teacher)
    if found is None:
        raise DistillationError("TD227", pipes=", ".join(teacher.pipe_names) or "no pipes")
    pipe, pieces = found
    table = pipe.model.transformer.get_input_embeddings().weight
    # A model may have more rows than there are pieces, so that their number is a round one.
    return pieces, to_numpy(table.detach().float().cpu())[: len(pieces)]


def fit_to_table(vectors: Floats, table: Floats) -> Floats:
    """Give vectors the width and spread of a table.

    Args:
        vectors: Shape (rows, width). Wider ones are reduced to their principal components, narrower ones padded with
            zeros.
        table: Shape (other rows, other width).

    Returns:
        Centred vectors, float32, shape (rows, other width).
    """
    width = table.shape[1]
    narrow = principal_components(vectors, width)
    return numpy.pad(narrow, ((0, 0), (0, width - narrow.shape[1]))) * table.std()


def own_vectors(node: Model) -> Floats:
    """Read the embeddings of a `TinyTransformer.v1`'s own pieces, shape (pieces, width)."""
    return to_numpy(node.shims[0]._model.pieces.weight.detach().cpu())


def inherit(own: Pieces, table: Floats, teacher: Pieces, vectors: Floats) -> Floats:
    """Start a student's embeddings from its teacher's: each piece with the mean of the teacher's pieces that spell
    it.

    This is the fast vocabulary transfer of Gee et al. (arXiv 2402.09977).

    Args:
        own: The student's pieces.
        table: Their embeddings, shape (pieces or more, width).
        teacher: The teacher's pieces.
        vectors: Their embeddings, shape (teacher's pieces, width).

    Returns:
        New embeddings, in the shape of `table`. Pieces that the teacher cannot spell keep their embeddings.
    """
    known = teacher.tokenizer.get_vocab()
    found = table.copy()
    for piece, number in own.tokenizer.get_vocab().items():
        # What stands within a word the teacher spells as it would a word, unless it has the very piece.
        ids = [known[piece]] if piece in known else list(teacher.cut([piece.removeprefix(CONTINUED)])[0])
        if piece == UNKNOWN or teacher.id_of(UNKNOWN) not in ids:
            found[number] = vectors[ids].mean(axis=0)
    return found
