"""For `--code`: layers multiply matrices with NumPy's BLAS, as they do while `spacy distill` learns.

So plain `spacy train` takes a good half of its time: the same sums, but for their rounding.
"""

from thinc.api import NumpyOps, set_current_ops

set_current_ops(NumpyOps(use_blis=False))
