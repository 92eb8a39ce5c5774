"""The registered teaching rules: which of them teaches a pair of pipes, and which designs a student's pipe."""

from collections.abc import Iterator
from inspect import signature
from typing import Any

from ..errors import DistillationError
from .annotations import Annotations
from .base import Mirror, Size, TeachingRule, teaching_rules


def choose_rule(student: Any, teacher: Any) -> TeachingRule:
    """Find the registered rule that accepts the pair; hard labels through the Doc where no other does.

    A rule that somebody else registered is taken only where none of this library's accepts the pair.

    Args:
        student: The student's pipe.
        teacher: The teacher's pipe.
    """
    for rule in _default_rules():
        if not isinstance(rule, Annotations) and rule.accepts(student, teacher):
            return rule
    return Annotations()


def find_mirror(teacher: Any, size: Size) -> Mirror | None:
    """Design a student's pipe for a teacher's, by the first rule that can; None where none can.

    Args:
        teacher: The teacher's pipe.
        size: How large the student is.
    """
    designs = (rule.mirror(teacher, size) for rule in _default_rules())
    return next((design for design in designs if design), None)


def find_rule(name: str) -> TeachingRule:
    """Make the registered rule whose class has a name, with its default settings.

    Raises:
        DistillationError: TD612, there is none.
    """
    rules: dict[str, TeachingRule] = {}
    for rule in _default_rules():
        rules.setdefault(type(rule).__name__, rule)
    if name not in rules:
        raise DistillationError("TD612", rule=name, known=", ".join(rules))
    return rules[name]


def describe_rule(rule: TeachingRule) -> dict[str, Any]:
    """Write a rule that was made with its default settings as the block of a config that makes it."""
    names = {type(make()): name for name, make in teaching_rules.get_all().items() if _has_defaults(make)}
    parameters = signature(teaching_rules.get(names[type(rule)])).parameters
    return {"@teaching_rules": names[type(rule)], **{key: value.default for key, value in parameters.items()}}


def _default_rules() -> Iterator[TeachingRule]:
    """Make each registered rule with its default settings: this library's first, then other people's, by name."""
    for _, make in sorted(teaching_rules.get_all().items(), key=lambda item: (not _is_own(item[1]), item[0])):
        if _has_defaults(make):
            yield make()


def _has_defaults(make: Any) -> bool:
    """Whether a rule can be made without a config, which alone can say what has no default."""
    return all(parameter.default is not parameter.empty for parameter in signature(make).parameters.values())


def _is_own(make: Any) -> bool:
    return make.__module__.partition(".")[0] == __name__.partition(".")[0]
