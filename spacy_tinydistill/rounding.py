"""How weights are rounded: one meaning of `precision` for students on disk and for the web."""

from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy
from numpy.typing import NDArray

Precision = Literal["float32", "float16", "int8"]
PRECISIONS: tuple[Precision, ...] = get_args(Precision)

Floats = NDArray[numpy.float32]

# The largest step that an int8 row is counted in: -127 to 127, so that a row and its negative round alike.
LARGEST_INT8 = 127


@dataclass(frozen=True)
class Rounded:
    """Weights as they are stored."""

    values: NDArray[Any]  # float32, float16 or int8, in the shape of the weights
    # With int8: what each row's values are multiplied by, shape (rows,). A row runs along the last dimension.
    scales: Floats | None = None

    def restore(self) -> Floats:
        """Compute the weights that the stored values stand for."""
        if self.scales is None:
            return self.values.astype("float32")
        rows = self.values.reshape(len(self.scales), -1).astype("float32")
        return (rows * self.scales[:, None]).reshape(self.values.shape)


def round_weights(weights: NDArray[Any], precision: Precision) -> Rounded:
    """Round weights to a precision.

    Args:
        weights: Of any shape.
        precision: "float32" and "float16" round each weight to that type. "int8" stores a row, along the last
            dimension, as whole numbers from -127 to 127 and one float32 scale, its largest absolute value / 127.
            Weights of fewer than two dimensions, such as biases, stay float32 with "int8": they are few.

    Returns:
        What to store. `restore` gives the weights back as float32.

    Raises:
        OverflowError: A weight is too large for float16, or no finite number.
    """
    weights = numpy.asarray(weights, dtype="float32")
    if not numpy.isfinite(weights).all():
        raise OverflowError("a weight is not a finite number")
    if precision == "float16":
        with numpy.errstate(over="ignore"):
            halves = weights.astype("float16")
        if not numpy.isfinite(halves).all():
            raise OverflowError(f"the weight {numpy.abs(weights).max():g} is too large for float16, at most 65504")
        return Rounded(halves)
    if precision == "int8" and weights.ndim >= 2:
        rows = weights.reshape(-1, weights.shape[-1])
        scales = (numpy.abs(rows).max(axis=1, initial=0) / LARGEST_INT8).astype("float32")
        # A row of zeros has the scale 0 and is divided by 1.
        values = numpy.rint(rows / numpy.where(scales > 0, scales, 1)[:, None])
        return Rounded(values.astype("int8").reshape(weights.shape), scales)
    return Rounded(weights)
