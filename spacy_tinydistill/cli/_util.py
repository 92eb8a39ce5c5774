"""What the commands share."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from wasabi import msg

from ..errors import DistillationError


@contextmanager
def numbered_errors() -> Iterator[None]:
    """Print a `DistillationError` without its traceback and leave with exit code 1; after Ctrl+C, with 130."""
    try:
        yield
    except DistillationError as error:
        msg.fail(str(error))
        sys.exit(1)
    except KeyboardInterrupt:
        # As a shell reports it; click would say 1.
        sys.exit(130)
