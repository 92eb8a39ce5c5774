"""What a run does to a pipeline's layers on the CPU, and undoes."""

from thinc.api import Linear, NumpyOps
from threadpoolctl import threadpool_info

from helpers.tiny_teacher import make_teacher
from spacy_tinydistill.pipes.device import fast_matrices


def layers_of(nlp):
    return [node for name in nlp.pipe_names for node in nlp.get_pipe(name).model.walk()]


def blas_threads():
    return {found["num_threads"] for found in threadpool_info() if found["user_api"] == "blas"}


def test_matrices_are_multiplied_by_numpy_on_one_thread_for_a_while():
    nlp = make_teacher()
    own = Linear(2, 2)
    models = [*layers_of(nlp), own]
    before = [node.ops for node in models]
    threads = blas_threads()
    assert all(any(ops.use_blis for ops in found) for found in (before[:-1], before[-1:]))
    with fast_matrices(nlp, own):
        assert not any(node.ops.use_blis for node in models)
        assert blas_threads() == {1}
    assert [node.ops for node in models] == before
    assert blas_threads() == threads


def test_it_is_undone_where_something_goes_wrong():
    nlp = make_teacher()
    before = [node.ops for node in layers_of(nlp)]
    try:
        with fast_matrices(nlp):
            raise RuntimeError
    except RuntimeError:
        assert [node.ops for node in layers_of(nlp)] == before


def test_other_operations_than_the_default_are_somebodys_choice():
    class OwnOps(NumpyOps):
        pass

    nlp = make_teacher()
    own = OwnOps()
    chosen = layers_of(nlp)[0]
    chosen.ops = own
    with fast_matrices(nlp):
        assert chosen.ops is own
        assert not layers_of(nlp)[-1].ops.use_blis
