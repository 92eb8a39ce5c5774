"""Texts of all sorts made of what a student knows, and what it says of them."""

import random
from importlib import import_module
from typing import Any

from spacy.language import Language

COUNT = 200
SEED = 26

# What tokenizers and tables of characters stumble over.
ODD = (
    *".,;:!?()[]{}<>\"'`´’‘“”„«»-–—_/\\|@#$%^&*+=~…°€£¥§",
    "\u00a0", "\u200b", "\u200d", "\u2009", "\u3000", "\ufeff", "\u00ad", "\u0301", "\n", "\t", "\r\n", "  ",
    "İstanbul", "ΟΔΥΣΣΕΥΣ", "Straße", "ǅ", "ﬁ", "Ⅷ", "ⓐ", "ʰ", "𝔘𝔫𝔦", "𐐀𐐨", "😀", "👩\u200d🚀", "🇫🇷", "①", "½",
    "٣", "๓", "中文", "日本語",
    "http://example.com/a?b=c#d", "www.x.co.uk", "a@b.org", "3.14", "1,000.50", "-5", "10%", "$9.99", "5km", "9am",
    "o'clock", "U.S.A.", "e.g.", "i.e.", "can't", "don’t", "it's", "CAN'T", "we'll", ":-)", "<3", "C++", "AT&T",
    "and/or", "x-y-z", "a.b", "A.B.",
)  # fmt: skip


def make_texts(nlp: Language, *, count: int = COUNT, seed: int = SEED) -> list[str]:
    """Make texts: half of them words that the student knows, the other half all sorts of characters between such.

    Args:
        nlp: The student.
        count: How many texts.
        seed: The same student and seed always give the same texts.
    """
    words = sorted(word for word in nlp.vocab.strings if word.isprintable() and len(word) < 30) or ["word"]
    exceptions = sorted(getattr(nlp.tokenizer, "rules", None) or {}) or words
    chosen = random.Random(seed)
    texts = []
    for i in range(count):
        pieces: list[str] = []
        for _ in range(chosen.randint(1, 25)):
            kind = chosen.random()
            if kind < (0.85 if i % 2 else 0.35):
                word = chosen.choice(words)
                pieces.append(chosen.choice([word, word, word, word.capitalize(), word.upper(), word.lower()]))
            elif kind < 0.9:
                pieces.append("".join(chosen.choice(ODD) for _ in range(chosen.randint(1, 3))))
            elif kind < 0.93:
                pieces.append("".join(_any_character(chosen) for _ in range(chosen.randint(1, 4))))
            else:
                pieces.append(chosen.choice(exceptions))
            if chosen.random() < 0.85:
                pieces.append(" ")
        texts.append("".join(pieces))
    return [*texts[:-2], "", " "]


def _any_character(chosen: random.Random) -> str:
    """Choose a character of any script; most of them are on the first plane. A surrogate is none."""
    point = chosen.randrange(0xD800) if chosen.random() < 0.9 else chosen.randrange(0xE000, 0x110000)
    return chr(point)


def choose_examples(lang: str) -> list[str]:
    """Choose texts to begin with: spaCy's own examples for the language, and a question where it is English."""
    try:
        examples = import_module(f"spacy.lang.{lang}.examples").sentences
    except ImportError:
        examples = ["Ann sings in Rome."]
    questions = ["How far is the moon from the earth?"] if lang == "en" else []
    return [*questions, *examples[:3]]


def answer(nlp: Language, texts: list[str]) -> list[dict[str, Any]]:
    """Have a student annotate texts, each alone.

    Returns:
        For each, what `Doc.to_json` gives.
    """
    # Strings of these texts are no part of the student.
    with nlp.memory_zone():
        return [nlp(text).to_json() for text in texts]
