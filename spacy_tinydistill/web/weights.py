"""The weights of a student, rounded in the student and in the file alike."""

from typing import Any

from spacy.language import Language
from thinc.api import Model

from ..errors import DistillationError
from ..pipes.pipeline import pipes_of
from ..rounding import Precision, Rounded, round_weights
from .format import ArrayWriter


class Weights:
    """A student's weights in a file's arrays."""

    def __init__(self, nlp: Language, precision: Precision, arrays: ArrayWriter) -> None:
        """Round a student's weights.

        Args:
            nlp: The student. Its weights become the rounded ones.
            precision: To which.
            arrays: Where those go that are asked for.

        Raises:
            DistillationError: TD709, they cannot be rounded so.
        """
        self._arrays = arrays
        self._precision = precision
        self._rounded: dict[tuple[int, str], Rounded] = {}
        self._added: dict[tuple[int, str], int] = {}
        for name, pipe in pipes_of(nlp):
            if isinstance(getattr(pipe, "model", None), Model):
                for node in pipe.model.walk():
                    self._round(name, node)

    def _round(self, pipe: str, node: Model) -> None:
        for name in node.param_names:
            if node.has_param(name) and (node.id, name) not in self._rounded:
                rounded = self.round(pipe, node.get_param(name))
                restored: Any = rounded.restore()
                array: Any = node.ops.asarray(restored)
                node.set_param(name, array)
                self._rounded[node.id, name] = rounded

    def round(self, pipe: str, weights: Any) -> Rounded:
        """Round weights that are no layer's, such as static vectors."""
        try:
            return round_weights(weights, self._precision)
        except OverflowError as error:
            raise DistillationError("TD709", pipe=pipe, precision=self._precision, reason=error) from None

    def add(self, rounded: Rounded) -> int:
        """Put rounded weights into the file and get their number."""
        return self._arrays.add_rounded(rounded)

    def add_array(self, array: Any) -> int:
        """Put what is not rounded into the file and get its number."""
        return self._arrays.add(array)

    def of(self, node: Model, *names: str) -> dict[str, int]:
        """Put a layer's weights into the file, once, and get the number of each by its name."""
        for name in names:
            if (node.id, name) not in self._added:
                self._added[node.id, name] = self._arrays.add_rounded(self._rounded[node.id, name])
        return {name: self._added[node.id, name] for name in names}
