"""A student's tokenizer, and what it knows of words, for the web."""

import re
from collections.abc import Callable
from functools import partial
from typing import Any

from spacy.attrs import NORM, ORTH, intify_attrs
from spacy.lang.lex_attrs import LEX_ATTRS
from spacy.language import Language
from spacy.strings import get_string_id
from spacy.symbols import IDS
from spacy.tokenizer import Tokenizer
from spacy.util import _get_attr_unless_lookup

from ..errors import DistillationError
from .characters import Alphabet, Classes
from .regex import Translation, UntranslatableError

# The tokenizer's functions, each a method of a compiled regular expression.
_METHODS = {
    "prefix_search": "search",
    "suffix_search": "search",
    "infix_finditer": "finditer",
    "token_match": "match",
    "url_match": "match",
}


def describe_vocab(nlp: Language, attributes: set[str]) -> dict[str, Any]:
    """Describe how a word's attributes are computed.

    Args:
        nlp: The student.
        attributes: The names of those that are asked for, such as "NORM".

    Returns:
        "norms", words whose norm is not their lower case; "hashed", such norms by the halves of the word's hash, where
        the student does not have its string; "symbols", strings whose hash is a number of spaCy's own.

    Raises:
        DistillationError: TD705, an attribute is computed by a function that is not spaCy's general one.
    """
    vocab: Any = nlp.vocab
    getters = vocab.lex_attr_getters
    for name in sorted(attributes - {"NORM"}):
        # What is no attribute of words is computed by no function.
        if getters.get(IDS[name]) is not LEX_ATTRS.get(IDS[name]):
            raise DistillationError("TD705", attribute=name, lang=nlp.lang, found=_name_of(getters[IDS[name]]))
    norms: dict[int, str] = {}
    getter: Any = getters[NORM]
    # Tables are laid around tables; an outer one is asked first.
    while isinstance(getter, partial) and getter.func is _get_attr_unless_lookup:
        getter, tables = getter.args
        for table in tables:
            for word, norm in table.items():
                norms.setdefault(get_string_id(word), norm)
    if getter is not LEX_ATTRS[NORM]:
        raise DistillationError("TD705", attribute="NORM", lang=nlp.lang, found=_name_of(getter))
    strings = vocab.strings
    return {
        "norms": {strings.as_string(key): norm for key, norm in norms.items() if key in strings},
        "hashed": {f"{key & 0xFFFFFFFF},{key >> 32}": norm for key, norm in norms.items() if key not in strings},
        "symbols": {name: number for name, number in IDS.items() if name and number},
    }


def describe_tokenizer(nlp: Language, alphabet: Alphabet) -> Callable[[Classes], dict[str, Any]]:
    """Describe a student's tokenizer.

    Args:
        nlp: The student.
        alphabet: Is told of the sets of characters in its regular expressions.

    Returns:
        A function that describes it when the alphabet is closed: "prefix", "suffix", "infix", "token" and "url",
        regular expressions or null; "rules", texts with the text and the norm, or null, of each of their tokens;
        "phrases", those of them that are looked for once more at the end, as the tokens that they are without rules.

    Raises:
        DistillationError: TD704, it is no tokenizer of spaCy's; TD706, a regular expression has no translation.
    """
    tokenizer: Any = nlp.tokenizer
    if type(tokenizer) is not Tokenizer:
        raise DistillationError("TD704", found=f"{type(tokenizer).__module__}.{type(tokenizer).__qualname__}")
    translations: dict[str, Translation | None] = {}
    for attribute, method in _METHODS.items():
        function = getattr(tokenizer, attribute)
        pattern = getattr(function, "__self__", None)
        if function is not None and not (isinstance(pattern, re.Pattern) and function.__name__ == method):
            raise DistillationError("TD704", found=f"a tokenizer whose {attribute} is {_name_of(function)}")
        translations[attribute] = _translate(attribute, pattern, alphabet) if pattern else None
    rules = {text: _tokens_of(nlp, specs) for text, specs in tokenizer.rules.items()}
    phrases = _phrases_of(tokenizer)

    def write(classes: Classes) -> dict[str, Any]:
        written = {name.partition("_")[0]: found and found.write(classes) for name, found in translations.items()}
        return {**written, "rules": rules, "phrases": phrases}

    return write


def _translate(attribute: str, pattern: "re.Pattern[str]", alphabet: Alphabet) -> Translation:
    try:
        return Translation(pattern, alphabet)
    except UntranslatableError as error:
        raise DistillationError("TD706", which=attribute, construct=error) from None


def _tokens_of(nlp: Language, specs: list[dict[Any, Any]]) -> list[list[str | None]]:
    strings = nlp.vocab.strings
    tokens: list[list[str | None]] = []
    for spec in specs:
        attrs = intify_attrs(spec, strings_map=strings, _do_deprecated=True)
        tokens.append([strings.as_string(attrs[ORTH]), strings.as_string(attrs[NORM]) if NORM in attrs else None])
    return tokens


def _phrases_of(tokenizer: Tokenizer) -> list[list[str]]:
    """The tokens of the rules that the tokenizer looks for among tokens: those that `add_special_case` chooses."""
    without_rules = Tokenizer(
        tokenizer.vocab,
        prefix_search=tokenizer.prefix_search,
        suffix_search=tokenizer.suffix_search,
        infix_finditer=tokenizer.infix_finditer,
        token_match=tokenizer.token_match,
        url_match=tokenizer.url_match,
    )
    return [
        [token.text for token in without_rules(text)]
        for text in tokenizer.rules
        if not tokenizer.faster_heuristics
        or tokenizer.find_prefix(text)
        or tokenizer.find_infix(text)
        or tokenizer.find_suffix(text)
        or " " in text
    ]


def _name_of(function: Any) -> str:
    function = function.func if isinstance(function, partial) else function
    return f"{getattr(function, '__module__', '')}.{getattr(function, '__qualname__', repr(function))}"
