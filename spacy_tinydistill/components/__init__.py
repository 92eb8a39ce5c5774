"""One teaching rule per kind of pipe."""
