"""For `spacy train --code`: layers multiply matrices with NumPy's BLAS, as they do while `spacy distill` learns.

So that ways to learn are compared within hours: the same sums, but for their rounding, in a good half of the time.
"""

from thinc.api import NumpyOps, set_current_ops

set_current_ops(NumpyOps(use_blis=False))
