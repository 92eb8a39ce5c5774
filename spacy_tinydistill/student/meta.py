"""What a student's meta.json says of its origin."""

from typing import Any

from spacy.language import Language

from ..teacher.profile import TeacherProfile

# What a teacher declares about itself that its student must pass on.
INHERITED = ("author", "email", "url", "license", "sources")


def add_origin(
    student: Language, teacher: TeacherProfile, teacher_scores: dict[str, float], texts: dict[str, Any]
) -> None:
    """Write into the student's meta what it comes from, under "distillation", and the teacher's licence.

    Args:
        student: Changed in place; what its own meta already declares is kept. Its own scores are in "performance".
        teacher: The teacher.
        teacher_scores: The teacher's scores on the data on which the student is scored; empty where not known.
        texts: What it learned on: the `names` of the files, and how many `documents`, None where not known.
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
            "pipeline": list(teacher.pipes),
            "bytes": teacher.bytes_on_disk,
            **{key: meta.get(key) for key in INHERITED},
            "performance": teacher_scores,
        },
        "texts": texts,
    }


def plain_scores(scores: dict[str, Any]) -> dict[str, float]:
    """Keep of a scorer's result what is one number."""
    return {key: float(value) for key, value in scores.items() if isinstance(value, int | float)}
