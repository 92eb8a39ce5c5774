"""How many parameters a pipeline has."""

import pytest
from spacy.language import Language
from thinc.api import Linear, chain

from spacy_tinydistill.report.size import count_parameters


class Pipe:
    """A component of a pipeline, as far as its size matters."""

    def __init__(self, model: object) -> None:
        self.model = model


class Pipeline:
    def __init__(self, *models: object) -> None:
        self.components = tuple((str(number), Pipe(model)) for number, model in enumerate(models))


def test_parameters_are_counted_once() -> None:
    """Also those of a layer that two pipes share, and those that a pipe has twice."""
    shared = Linear(4, 3).initialize()
    alone = Linear(2, 4).initialize()
    assert count_parameters(Pipeline()) == 0
    assert count_parameters(Pipeline(None, "no model")) == 0
    # A weight for each pair of input and output, and a bias for each output.
    assert count_parameters(Pipeline(shared)) == 4 * 3 + 4
    assert count_parameters(Pipeline(chain(shared, shared), shared)) == 4 * 3 + 4
    assert count_parameters(Pipeline(shared, chain(shared, alone))) == (4 * 3 + 4) + (2 * 4 + 2)
    # Of a layer without a size there are none yet.
    assert count_parameters(Pipeline(Linear())) == 0


def test_a_smaller_pipeline_has_fewer_parameters(teacher: Language, student: Language) -> None:
    assert 0 < count_parameters(student) < count_parameters(teacher)


def test_parameters_of_torch_modules_are_counted() -> None:
    torch = pytest.importorskip("torch")
    from thinc.api import PyTorchWrapper

    model = chain(PyTorchWrapper(torch.nn.Linear(3, 5)), Linear(2, 5).initialize())
    assert count_parameters(Pipeline(model, model, None)) == (3 * 5 + 5) + (2 * 5 + 2)
