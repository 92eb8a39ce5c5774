"""Every message a user can cause, numbered: what was found, what was expected, what to do.

The hundreds say which part of the road speaks: 0 the config, 1 the text to learn on, 2 teacher and student
together, 3 the distillation loop, 4 reports and benchmarks, 5 writing the student.
"""

MESSAGES = {}


class DistillationError(ValueError):
    """A numbered error with a message for the person at the keyboard.

    Args:
        code: A key of `MESSAGES`.
        values: What the message's placeholders are filled with.
    """

    def __init__(self, code: str, **values: object) -> None:
        self.code = code
        super().__init__(f"[{code}] {MESSAGES[code].format(**values)}")
