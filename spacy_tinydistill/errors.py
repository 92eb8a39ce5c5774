"""Every message a user can cause, numbered: what was found, what was expected, what to do.

The hundreds say which part of the road speaks: 0 the config, 1 the text to learn on, 2 teacher and student
together, 3 the distillation loop, 4 reports and benchmarks, 5 writing the student.
"""

MESSAGES = {
    "TD401": (
        "There is no {role} pipeline '{name}': neither an installed package of that name nor a folder. "
        "Check the path, or install the package with pip."
    ),
    "TD402": (
        "The {role} pipeline '{name}' could not be loaded: {reason}. Expected what nlp.to_disk or spacy "
        "package writes, with all it depends on installed; functions that it needs registered can come from "
        "a file given with --code."
    ),
    "TD403": (
        "There is no data file '{path}'. Give a .spacy file (with gold annotations), a .jsonl or a .txt file."
    ),
    "TD404": (
        "'{path}' could not be read: {reason}. Expected a .spacy file (DocBin), a .jsonl file with a "
        '"text" on every line, or a .txt file in UTF-8 with a text on every line.'
    ),
    "TD405": "There is no text in '{path}'. Give at least one document that is not empty.",
    "TD406": "Line {line} of '{path}' is not a JSON object with a string \"text\": {reason}. Mend the line.",
    "TD407": (
        "Teacher and student have no score in common, so there is nothing to compare. The teacher's pipes "
        "are {teacher}, the student's {student}. Give two pipelines with pipes for the same annotations."
    ),
    "TD408": "The folder '{path}' cannot be written to: {reason}. Name another with --output.",
    "TD409": "There is a report in '{path}' already. Name another folder, or replace it with --force.",
    "TD410": "GPU {gpu_id} cannot be used: {reason}. Leave --gpu-id out to measure on the CPU.",
    "TD411": (
        "The process measuring '{pipeline}' stopped with exit code {exit_code} (-9: killed, perhaps for want "
        "of memory) before it was done. Its last words:\n{log}"
    ),
    "TD412": "The code file '{path}' could not be imported: {reason}. Give a Python file with --code.",
    "TD413": (
        "Document {number} of '{path}' has {length} characters, more than the {role}'s nlp.max_length of "
        "{max_length}. Split it into shorter ones."
    ),
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
