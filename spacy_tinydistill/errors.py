"""Every message a user can cause, numbered: what was found, what was expected, what to do.

The hundreds say which part of the road speaks: 0 the config, 1 the text to learn on, 2 teacher and student
together, 3 the distillation loop, 4 reports and benchmarks, 5 writing the student.
"""

MESSAGES: dict[str, str] = {
    # Static vectors
    "TD520": "The teacher has no encoder to distil vectors from: it has {pipes}. Expected a pipe of one of these "
    "factories: {factories}.",
    "TD521": "There are no words to make vectors of: the texts are empty and the teacher has no vocabulary of pieces. "
    "Give text with words in it.",
    "TD522": "Vectors of width {width} cannot be made: the teacher's encoder is {hidden} wide. Give a width between 1 and "
    "{hidden}.",
    "TD523": "The teacher's encoder left no vector for each token of {text!r}. Expected doc._.trf_data of "
    "spacy-transformers or spacy-curated-transformers, or doc.tensor.",
}


class DistillationError(ValueError):
    """A numbered error with a message for the person at the keyboard.

    Args:
        code: A key of `MESSAGES`.
        values: What the message's placeholders are filled with.
    """

    def __init__(self, code: str, **values: object) -> None:
        self.code = code
        super().__init__(f"[{code}] {MESSAGES[code].format(**values)}")
