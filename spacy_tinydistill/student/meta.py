"""What a student's meta.json says of its origin."""

from collections.abc import Sequence
from importlib.metadata import requires, version
from typing import Any

from spacy.language import Language
from spacy.util import get_minor_version_range, split_requirement

from ..pipes.pipeline import pipes_of
from ..pipes.profile import TeacherProfile
from ..tiny_transformer.encoder import transformers_of

# What a teacher declares about itself that its student must pass on.
INHERITED = ("author", "email", "url", "license", "sources")


def add_origin(
    student: Language,
    teachers: Sequence[TeacherProfile],
    shares: Sequence[float],
    scores: dict[str, float],
    texts: dict[str, Any],
    left_out: dict[str, str],
) -> None:
    """Write into the student's meta what it comes from, under "distillation", and the licence of each teacher.

    Also, for `spacy package`, what a student needs: any spaCy that this library runs on, not only one as new as that
    which made it, since older wheels may decode faster; and beside spaCy nothing, unless it is a transformer.

    Args:
        student: Changed in place; what its own meta already declares is kept. Its own scores are in "performance".
        teachers: The teachers; the first is "teacher", and all of several are "teachers".
        shares: How much each of them counted; they sum to 1.
        scores: The first one's scores on the data on which the student is scored; empty where not known.
        texts: What it learned on: the `names` of the files, and how many `documents`, None where not known.
        left_out: The teacher's pipes that it does not have although nobody asked for that, each with the reason.
    """
    versions = dict(map(split_requirement, requires("spacy-tinydistill") or []))
    student.meta["spacy_version"] = versions["spacy"]
    if any(transformers_of(pipes_of(student))):
        # spaCy would find that our architecture is in the config, and name the library without the extra.
        ours = f"spacy-tinydistill[tiny-transformer]{get_minor_version_range(version('spacy-tinydistill'))}"
        student.meta["requirements"] = list(dict.fromkeys([*student.meta.get("requirements", []), ours]))
    for key in INHERITED:
        declared = [teacher.meta[key] for teacher in teachers if teacher.meta.get(key)]
        if declared and not student.meta.get(key):
            student.meta[key] = _join(declared)
    origin: dict[str, Any] = {"teacher": {**_describe(teachers[0]), "performance": scores}, "texts": texts}
    if left_out:
        origin["left_out"] = left_out
    if len(teachers) > 1:
        pairs = zip(teachers, shares, strict=True)
        origin["teachers"] = [{**_describe(teacher), "share": share} for teacher, share in pairs]
    student.meta["distillation"] = origin


def add_scores(student: Language, info: dict[str, Any], names: Sequence[str], *, gold: bool) -> None:
    """Write into the student's meta what an evaluation found.

    spaCy's `update_meta` puts losses into "performance", and scores whatever they were measured against.

    Args:
        student: Changed in place: "performance" has the scores against gold annotations, or nothing; "distillation"
            has `agreement`, the scores against the teacher's own annotations, or nothing, and `losses`, each the sum
            since the evaluation before, by pipe.
        info: From the loop.
        names: The scores to keep.
        gold: Whether the scores are against gold annotations.
    """
    found = info["other_scores"]
    scores = {name: found[name] for name in names if found.get(name) is not None}
    student.meta["performance"] = scores if gold else {}
    origin = student.meta.setdefault("distillation", {})
    origin["agreement"] = {} if gold else scores
    origin["losses"] = dict(info["losses"])


def _describe(teacher: TeacherProfile) -> dict[str, Any]:
    meta = teacher.meta
    return {
        "lang": meta["lang"],
        "name": meta["name"],
        "version": meta["version"],
        "pipeline": list(teacher.pipes),
        "bytes": teacher.bytes_on_disk,
        **{key: meta.get(key) for key in INHERITED},
    }


def _join(declared: list[Any]) -> Any:
    """Put together what several teachers declare of one key: lists as a list, texts as a text, each once."""
    if all(isinstance(value, list) for value in declared):
        joined: list[Any] = []
        for value in declared:
            joined += [item for item in value if item not in joined]
        return joined
    return ", ".join(dict.fromkeys(map(str, declared)))


def plain_scores(scores: dict[str, Any]) -> dict[str, float]:
    """Keep of a scorer's result what is one number."""
    return {key: float(value) for key, value in scores.items() if isinstance(value, int | float)}
