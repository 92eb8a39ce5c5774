"""Writes English with gold annotations of every kind that spaCy has a trainable pipe for; seeded."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, field

from spacy.tokens import Doc, Span
from spacy.vocab import Vocab

# The topic decides which nouns and verbs a text is made of, so that text categorizers have something to learn.
TOPICS = {
    "cooking": (["soup", "recipe", "kitchen", "meal", "sauce", "oven"], ["cook", "taste", "serve", "bake"]),
    "sports": (["match", "goal", "trainer", "stadium", "medal", "player"], ["kick", "coach", "defend", "pass"]),
    "music": (["song", "guitar", "concert", "singer", "melody", "drum"], ["play", "record", "compose", "tune"]),
    "trade": (["market", "price", "contract", "factory", "share", "invoice"], ["order", "export", "sign", "pay"]),
}
TRAITS = ["question", "person", "date"]
IRREGULAR_PAST = {"pay": "paid"}
PERSONS = ["Anna", "Victor", "Maria", "Oscar", "Julia", "Peter"]
SURNAMES = ["Weber", "Jones", "Rossi", "Novak"]
PLACES = ["Paris", "Berlin", "Madrid", "Oslo", "Vienna"]
COMPANIES = ["Acme", "Initech", "Globex", "Umbra"]
DAYS = ["Monday", "Tuesday", "Friday", "Sunday"]
ADJECTIVES = ["old", "new", "famous", "small", "red", "expensive"]
ADVERBS = ["quickly", "slowly", "often", "again"]
NUMBERS = ["two", "three", "seven"]
PRONOUNS = {"she": "Gender=Fem", "he": "Gender=Masc"}


@dataclass
class Sentence:
    """Columns that grow word by word; heads count from the sentence's start."""

    words: list[str] = field(default_factory=list)
    tags: list[str] = field(default_factory=list)
    pos: list[str] = field(default_factory=list)
    morphs: list[str] = field(default_factory=list)
    lemmas: list[str] = field(default_factory=list)
    heads: list[int] = field(default_factory=list)
    deps: list[str] = field(default_factory=list)
    entities: list[tuple[int, int, str]] = field(default_factory=list)
    phrases: list[tuple[int, int, str]] = field(default_factory=list)
    times: list[tuple[int, int, str]] = field(default_factory=list)

    def add(self, word: str, tag: str, pos: str, dep: str, *, morph: str = "", lemma: str = "") -> int:
        self.words.append(word)
        self.tags.append(tag)
        self.pos.append(pos)
        self.morphs.append(morph)
        self.lemmas.append(lemma or word)
        self.heads.append(-1)
        self.deps.append(dep)
        return len(self.words) - 1


def make_docs(vocab: Vocab, count: int, *, seed: int) -> list[Doc]:
    """Texts of two to four sentences, with gold annotations."""
    numbers = random.Random(seed)
    return [_make_doc(vocab, numbers) for _ in range(count)]


def make_texts(count: int, *, seed: int) -> list[str]:
    return [doc.text for doc in make_docs(Vocab(), count, seed=seed)]


def topic_of(doc: Doc) -> dict[str, float]:
    """The part of a Doc's categories of which only one is true."""
    return {label: doc.cats[label] for label in TOPICS}


def _make_doc(vocab: Vocab, numbers: random.Random) -> Doc:
    topic = numbers.choice(list(TOPICS))
    sentences = [_make_sentence(numbers, topic) for _ in range(numbers.randint(2, 4))]
    starts = [sum(len(earlier.words) for earlier in sentences[:i]) for i in range(len(sentences))]
    words = _joined(sentences, "words")
    doc = Doc(
        vocab,
        words=words,
        # No space before a full stop, as the tokenizer wants it.
        spaces=[not _is_end(following) for following in words[1:]] + [False],
        tags=_joined(sentences, "tags"),
        pos=_joined(sentences, "pos"),
        morphs=_joined(sentences, "morphs"),
        lemmas=_joined(sentences, "lemmas"),
        heads=[head + start for sentence, start in zip(sentences, starts, strict=True) for head in sentence.heads],
        deps=_joined(sentences, "deps"),
    )
    doc.set_ents(_spans(doc, sentences, starts, "entities"), default="outside")
    doc.spans["sc"] = _spans(doc, sentences, starts, "phrases")
    doc.spans["sl"] = _spans(doc, sentences, starts, "times")
    labels = {ent.label_ for ent in doc.ents}
    traits = {"question": "?" in words, "person": "PERSON" in labels, "date": "DATE" in labels}
    doc.cats = {label: float(label == topic) for label in TOPICS} | {name: float(traits[name]) for name in TRAITS}
    return doc


def _joined(sentences: Sequence[Sentence], column: str) -> list[str]:
    return [value for sentence in sentences for value in getattr(sentence, column)]


def _spans(doc: Doc, sentences: Sequence[Sentence], starts: Sequence[int], column: str) -> list[Span]:
    return [
        Span(doc, start + offset, end + offset, label=label)
        for sentence, offset in zip(sentences, starts, strict=True)
        for start, end, label in getattr(sentence, column)
    ]


def _is_end(word: str) -> bool:
    return word in (".", "?")


def _make_sentence(numbers: random.Random, topic: str) -> Sentence:
    nouns, verbs = TOPICS[topic]
    sentence = Sentence()
    is_question = numbers.random() < 0.3
    auxiliary = None
    if is_question:
        auxiliary = sentence.add("did", "VBD", "AUX", "aux", morph="Tense=Past|VerbForm=Fin", lemma="do")
    subject = _add_subject(sentence, numbers, nouns)
    verb = _add_verb(sentence, numbers.choice(verbs), "VB" if is_question else numbers.choice(["VBD", "VBZ"]))
    sentence.heads[subject] = verb
    if auxiliary is not None:
        sentence.heads[auxiliary] = verb
    sentence.heads[_add_noun_phrase(sentence, numbers, nouns, "dobj")] = verb
    if numbers.random() < 0.3:
        sentence.heads[sentence.add(numbers.choice(ADVERBS), "RB", "ADV", "advmod")] = verb
    if numbers.random() < 0.4:
        _add_place(sentence, numbers, verb)
    if numbers.random() < 0.4:
        _add_time(sentence, numbers, verb)
    sentence.heads[sentence.add("?" if is_question else ".", ".", "PUNCT", "punct", morph="PunctType=Peri")] = verb
    sentence.words[0] = sentence.words[0][0].upper() + sentence.words[0][1:]
    return sentence


def _add_subject(sentence: Sentence, numbers: random.Random, nouns: Sequence[str]) -> int:
    kind = numbers.choice(["person", "company", "pronoun", "noun"])
    start = len(sentence.words)
    if kind == "noun":
        return _add_noun_phrase(sentence, numbers, nouns, "nsubj")
    if kind == "pronoun":
        word = numbers.choice(list(PRONOUNS))
        return sentence.add(word, "PRP", "PRON", "nsubj", morph=f"Case=Nom|{PRONOUNS[word]}|Number=Sing")
    if kind == "company":
        subject = _add_name(sentence, numbers.choice(COMPANIES), "nsubj")
        sentence.entities.append((start, start + 1, "ORG"))
        return subject
    subject = _add_name(sentence, numbers.choice(PERSONS), "nsubj")
    if numbers.random() < 0.5:
        sentence.heads[subject], sentence.deps[subject] = subject + 1, "compound"
        subject = _add_name(sentence, numbers.choice(SURNAMES), "nsubj")
    sentence.entities.append((start, subject + 1, "PERSON"))
    return subject


def _add_name(sentence: Sentence, word: str, dep: str) -> int:
    return sentence.add(word, "NNP", "PROPN", dep, morph="Number=Sing")


def _add_verb(sentence: Sentence, lemma: str, tag: str) -> int:
    if tag == "VBD":
        past = IRREGULAR_PAST.get(lemma, lemma + ("d" if lemma.endswith("e") else "ed"))
        verb = sentence.add(past, tag, "VERB", "ROOT", morph="Tense=Past|VerbForm=Fin", lemma=lemma)
    elif tag == "VBZ":
        present = lemma + ("es" if lemma.endswith("ss") else "s")
        morph = "Number=Sing|Person=3|Tense=Pres|VerbForm=Fin"
        verb = sentence.add(present, tag, "VERB", "ROOT", morph=morph, lemma=lemma)
    else:
        verb = sentence.add(lemma, tag, "VERB", "ROOT", morph="VerbForm=Inf")
    sentence.heads[verb] = verb
    return verb


def _add_noun_phrase(sentence: Sentence, numbers: random.Random, nouns: Sequence[str], dep: str) -> int:
    start = len(sentence.words)
    is_plural = numbers.random() < 0.4
    if is_plural:
        modifiers = [sentence.add(numbers.choice(NUMBERS), "CD", "NUM", "nummod", morph="NumType=Card")]
    else:
        word = numbers.choice(["the", "every"])
        modifiers = [sentence.add(word, "DT", "DET", "det", morph="Definite=Def" if word == "the" else "")]
    if numbers.random() < 0.5:
        modifiers.append(sentence.add(numbers.choice(ADJECTIVES), "JJ", "ADJ", "amod", morph="Degree=Pos"))
        sentence.phrases.append((modifiers[-1], modifiers[-1] + 2, "QUALIFIED"))
    lemma = numbers.choice(nouns)
    if is_plural:
        plural = lemma[:-1] + "ies" if lemma.endswith("y") else lemma + ("es" if lemma.endswith("ch") else "s")
        noun = sentence.add(plural, "NNS", "NOUN", dep, morph="Number=Plur", lemma=lemma)
    else:
        noun = sentence.add(lemma, "NN", "NOUN", dep, morph="Number=Sing")
    for modifier in modifiers:
        sentence.heads[modifier] = noun
    # Overlaps with the phrase above: spancat, unlike ner, allows it.
    sentence.phrases.append((start, noun + 1, "COUNTED" if is_plural else "NAMED"))
    return noun


def _add_place(sentence: Sentence, numbers: random.Random, verb: int) -> None:
    preposition = sentence.add("in", "IN", "ADP", "prep")
    place = _add_name(sentence, numbers.choice(PLACES), "pobj")
    sentence.heads[preposition], sentence.heads[place] = verb, preposition
    sentence.entities.append((place, place + 1, "GPE"))
    sentence.times.append((preposition, place + 1, "WHERE"))


def _add_time(sentence: Sentence, numbers: random.Random, verb: int) -> None:
    preposition = sentence.add("on", "IN", "ADP", "prep")
    day = _add_name(sentence, numbers.choice(DAYS), "pobj")
    sentence.heads[preposition], sentence.heads[day] = verb, preposition
    sentence.entities.append((day, day + 1, "DATE"))
    sentence.times.append((preposition, day + 1, "WHEN"))
