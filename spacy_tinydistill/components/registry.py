"""The registered teaching rules, and which of them is taken for a pair of pipes."""

from collections.abc import Iterator
from inspect import signature
from typing import Any

from ..errors import DistillationError
from .annotations import Annotations
from .base import TeachingRule, teaching_rules


def choose_rule(student: Any, teacher: Any) -> TeachingRule:
    """Find the registered rule that accepts the pair; hard labels through the Doc where no other does.

    Args:
        student: The student's pipe.
        teacher: The teacher's pipe.
    """
    for rule in _default_rules():
        if not isinstance(rule, Annotations) and rule.accepts(student, teacher):
            return rule
    return Annotations()


def find_rule(name: str) -> TeachingRule:
    """Make the registered rule whose class has a name, with its default settings.

    Raises:
        DistillationError: TD612, there is none.
    """
    rules = {type(rule).__name__: rule for rule in _default_rules()}
    if name not in rules:
        raise DistillationError("TD612", rule=name, known=", ".join(rules))
    return rules[name]


def _default_rules() -> Iterator[TeachingRule]:
    for _, make in sorted(teaching_rules.get_all().items()):
        # What has no default, only a config can say.
        if all(parameter.default is not parameter.empty for parameter in signature(make).parameters.values()):
            yield make()
