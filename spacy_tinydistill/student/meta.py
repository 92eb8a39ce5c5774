"""What a student's meta.json says of its origin."""

from pathlib import Path
from typing import Any

from spacy.language import Language

# What a teacher declares about itself that its student must pass on.
INHERITED = ("author", "email", "url", "license", "sources")


def add_origin(student: Language, teacher: Language, teacher_scores: dict[str, float]) -> None:
    """Write into the student's meta which teacher it comes from, under "distillation", and the teacher's licence.

    Args:
        student: Changed in place; what its own meta already declares is kept. Its own scores are in "performance".
        teacher: The teacher.
        teacher_scores: The teacher's scores on the data on which the student is scored.
    """
    meta = teacher.meta
    for key in INHERITED:
        if meta.get(key) and not student.meta.get(key):
            student.meta[key] = meta[key]
    student.meta["distillation"] = {
        "teacher": {
            "lang": meta["lang"],
            "name": meta["name"],
            "version": meta["version"],
            "pipeline": list(teacher.pipe_names),
            "bytes": _bytes_on_disk(teacher.path) if getattr(teacher, "_path", None) else None,
            **{key: meta.get(key) for key in INHERITED},
            "performance": teacher_scores,
        }
    }


def _bytes_on_disk(path: Path) -> int:
    return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())


def plain_scores(scores: dict[str, Any]) -> dict[str, float]:
    """Keep of a scorer's result what is one number."""
    return {key: float(value) for key, value in scores.items() if isinstance(value, int | float)}
