"""A student's rules for the web: patterns of tokens and of phrases."""

import re
from collections.abc import Callable, Iterable
from typing import Any

from spacy.attrs import IDS
from spacy.language import Language
from spacy.pipeline.entityruler import EntityRuler
from spacy.pipeline.span_ruler import (
    SpanRuler,
    prioritize_existing_ents_filter,
    prioritize_new_ents_filter,
)
from spacy.tokens import Doc
from spacy.util import filter_chain_spans

from ..errors import DistillationError
from .characters import Alphabet, Classes
from .regex import Translation, UntranslatableError

# Attributes of a token that the runtime's matcher knows: texts, and numbers.
_TEXTS = (
    "ORTH", "NORM", "LOWER", "PREFIX", "SUFFIX", "SHAPE", "TAG", "POS", "MORPH", "DEP", "LEMMA", "ENT_TYPE",
)  # fmt: skip
_NUMBERS = ("LENGTH", "IS_ALPHA", "IS_DIGIT", "IS_PUNCT", "IS_SPACE", "SENT_START")
_ALIASES = {"TEXT": "ORTH", "IS_SENT_START": "SENT_START"}
_COMPARISONS = ("==", "!=", ">=", "<=", ">", "<")

# What an attribute ruler may set.
_SETTABLE = ("TAG", "POS", "MORPH", "LEMMA", "DEP")

_FILTERS: dict[Any, str | None] = {
    None: None,
    filter_chain_spans: "first_longest",
    prioritize_new_ents_filter: "prioritize_new",
    prioritize_existing_ents_filter: "prioritize_existing",
}

# Not all of spaCy's lists of names have all of them.
_NAMES = {number: name for name, number in IDS.items()}

# A token's operator and its conditions: attribute, operator, value.
Node = tuple[str, list[list[Any]]]


class Patterns:
    """The token patterns of a pipe."""

    def __init__(self, nlp: Language, name: str, alphabet: Alphabet, attributes: set[str]) -> None:
        """Translate patterns.

        Args:
            nlp: The student.
            name: The pipe's.
            alphabet: Is told of the sets of characters in regular expressions.
            attributes: Is told of the attributes that are asked for.
        """
        self._nlp = nlp
        self._name = name
        self._alphabet = alphabet
        self.attributes = attributes

    def translate(self, pattern: list[dict[Any, Any]]) -> list[Node]:
        """Translate one pattern of spaCy's Matcher.

        Raises:
            DistillationError: TD710, it has something that the runtime does not know.
        """
        nodes: list[Node] = []
        for spec in pattern:
            conditions: list[list[Any]] = []
            operators = ["1"]
            for attribute, value in spec.items():
                upper = str(attribute).upper()
                if upper == "OP":
                    operators = self._operators(pattern, value)
                else:
                    conditions += self._conditions(pattern, _ALIASES.get(upper, upper), value)
            nodes += [(operator, conditions) for operator in operators]
        return nodes

    def _operators(self, pattern: Any, operator: str) -> list[str]:
        if operator in ("1", "?", "*", "!"):
            return [operator]
        if operator == "+":
            return ["1", "*"]
        numbers = re.fullmatch(r"\{(\d*)(,?)(\d*)\}", operator)
        if numbers is None:
            raise self._refusal(f"the operator {operator!r}", pattern)
        least = int(numbers[1] or 0)
        if numbers[2] and not numbers[3]:
            return ["1"] * least + ["*"]
        most = int(numbers[3]) if numbers[2] else least
        return ["1"] * least + ["?"] * (most - least)

    def _conditions(self, pattern: Any, attribute: str, value: Any) -> Iterable[list[Any]]:
        self.attributes.add(attribute)
        if attribute in _NUMBERS:
            compared = value if isinstance(value, dict) else {"=": value}
            for operator, number in compared.items():
                if operator not in ("=", *_COMPARISONS) or not isinstance(number, int) or number < 0:
                    raise self._refusal(f"{attribute}: {operator} {number!r}", pattern)
                yield [attribute, operator, int(number)]
        elif attribute not in _TEXTS:
            raise self._refusal(f"the attribute {attribute}", pattern)
        elif isinstance(value, dict):
            for operator, argument in value.items():
                yield self._predicate(pattern, attribute, operator.upper(), argument)
        else:
            yield [attribute, "=", self._text(value)]

    def _predicate(self, pattern: Any, attribute: str, operator: str, argument: Any) -> list[Any]:
        if operator in ("IN", "NOT_IN") and isinstance(argument, list):
            morphology = self._nlp.vocab.morphology
            values = [morphology.add(value) for value in argument] if attribute == "MORPH" else argument
            return [attribute, operator.lower(), [self._text(value) for value in values]]
        if operator == "REGEX" and isinstance(argument, str):
            try:
                return [attribute, "regex", Translation(re.compile(argument), self._alphabet)]
            except UntranslatableError as error:
                raise self._refusal(f"a regular expression with {error}", pattern) from None
        raise self._refusal(f"the operator {operator}", pattern)

    def _text(self, value: Any) -> str:
        return self._nlp.vocab.strings.as_string(value) if value else ""

    def _refusal(self, what: str, pattern: Any) -> DistillationError:
        return DistillationError("TD710", pipe=self._name, what=what, pattern=pattern)


def write_patterns(described: Any, classes: Classes) -> Any:
    """Write the regular expressions in what was described, now that the alphabet is closed."""
    if isinstance(described, Translation):
        return described.write(classes)
    if isinstance(described, dict):
        return {key: write_patterns(value, classes) for key, value in described.items()}
    if isinstance(described, list | tuple):
        return [write_patterns(value, classes) for value in described]
    return described


def describe_attribute_ruler(pipe: Any, nlp: Language, name: str, patterns: Patterns) -> dict[str, Any]:
    """Describe an attribute ruler.

    Returns:
        Its "rules": "patterns", the "attrs" that these set, and the "index" of the token that gets them.

    Raises:
        DistillationError: TD708, it sets another attribute; TD710, a pattern has no translation.
    """
    strings = nlp.vocab.strings
    rules = []
    for rule, attrs in zip(pipe.patterns, pipe.attrs, strict=True):
        values = {}
        for attr, value in attrs.items():
            attribute = attr if isinstance(attr, str) else _NAMES[attr]
            if attribute not in _SETTABLE:
                known = ", ".join(_SETTABLE)
                raise DistillationError("TD708", pipe=name, setting="attribute", found=attribute, expected=known)
            values[attribute] = strings.as_string(value) if value else ""
        translated = [patterns.translate(pattern) for pattern in rule["patterns"]]
        rules.append({"patterns": translated, "attrs": values, "index": rule["index"]})
    return {"rules": rules}


def describe_ruler(pipe: Any, nlp: Language, name: str, patterns: Patterns) -> dict[str, Any]:
    """Describe an entity ruler or a span ruler.

    Returns:
        The "keys", a label and an ID each; "patterns" and "phrases", each with the number of a key; and the settings.

    Raises:
        DistillationError: TD708, an unknown setting; TD710, a pattern has no translation.
    """
    keys: dict[tuple[str, str], int] = {}
    described: list[tuple[int, list[Node]]] = []
    phrases: list[tuple[int, list[str]]] = []
    attribute = _phrase_attribute(pipe)
    if attribute not in _TEXTS:
        known = ", ".join(_TEXTS)
        raise DistillationError("TD708", pipe=name, setting="phrase_matcher_attr", found=attribute, expected=known)
    patterns.attributes.add(attribute)
    read = _reader(nlp, pipe)
    for entry in pipe.patterns:
        key = keys.setdefault((entry["label"], entry.get("id") or ""), len(keys))
        if isinstance(entry["pattern"], str):
            phrases.append((key, [_value(token, attribute) for token in read(entry["pattern"])]))
        else:
            described.append((key, patterns.translate(entry["pattern"])))
    return {
        "keys": list(keys),
        "patterns": described,
        "attribute": attribute,
        "phrases": phrases,
        **(_span_ruler_settings(pipe, name) if isinstance(pipe, SpanRuler) else {"overwrite": pipe.overwrite}),
    }


def _phrase_attribute(pipe: EntityRuler | SpanRuler) -> str:
    attribute = pipe.phrase_matcher_attr
    if attribute is None:
        return "ORTH"
    name = _NAMES[attribute] if isinstance(attribute, int) else attribute.upper()
    return _ALIASES.get(name, name)


def _reader(nlp: Language, pipe: Any) -> Callable[[str], Doc]:
    """How a ruler reads its phrases: with the pipes before it."""
    earlier = nlp.pipe_names[: [found for _, found in nlp.pipeline].index(pipe)]

    def read(text: str) -> Doc:
        with nlp.select_pipes(enable=earlier):
            return nlp(text)

    return read


def _value(token: Any, attribute: str) -> str:
    if attribute == "MORPH":
        return token.vocab.strings[token.morph.key]
    number = token.doc.to_array([IDS[attribute]])[token.i]
    return token.vocab.strings.as_string(int(number)) if number else ""


def _span_ruler_settings(pipe: SpanRuler, name: str) -> dict[str, Any]:
    for setting in ("spans_filter", "ents_filter"):
        function = getattr(pipe, setting)
        if function not in _FILTERS:
            known = ", ".join(filter(None, _FILTERS.values()))
            raise DistillationError("TD708", pipe=name, setting=setting, found=function, expected=known)
    return {
        "key": pipe.key,
        "spans_filter": _FILTERS[pipe.spans_filter],
        "annotate_ents": pipe.annotate_ents,
        "ents_filter": _FILTERS[pipe.ents_filter],
        "overwrite": pipe.overwrite,
    }
