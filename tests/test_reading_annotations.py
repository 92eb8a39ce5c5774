"""Teachers in which a pipe reads what an earlier one wrote: raw text to both, the same entities from both."""

from pathlib import Path
from typing import Any

import pytest
import spacy
from spacy.language import Language
from spacy.training import Example
from thinc.api import fix_random_seed

from helpers.one_pipe import PARSER
from helpers.tiny_teacher import ENCODER, LANGUAGE, MODELS, TEXTS, annotate_gold
from spacy_tinydistill.api import distill
from spacy_tinydistill.student.config import student_config


def encoder_of(attribute: str) -> dict[str, Any]:
    """One that sees nothing of a token but an attribute that a pipe writes."""
    return {
        "@architectures": "spacy.Tok2Vec.v2",
        "embed": {
            "@architectures": "spacy.MultiHashEmbed.v2",
            "width": 24,
            "attrs": [attribute],
            "rows": [50],
            "include_static_vectors": False,
        },
        "encode": {
            "@architectures": "spacy.MaxoutWindowEncoder.v2",
            "width": 24,
            "depth": 1,
            "window_size": 1,
            "maxout_pieces": 2,
        },
    }


def train(nlp: Language, examples: list[Example], annotates: list[str]) -> Language:
    fix_random_seed(0)
    optimizer = nlp.initialize(lambda: examples)
    optimizer.learn_rate = 0.02
    for _ in range(40):
        nlp.update(examples, sgd=optimizer, annotates=annotates)
    return nlp


def teach_with_tags() -> Language:
    """The encoder comes after the tagger, and the entity recognizer sees tags alone."""
    nlp = spacy.blank(LANGUAGE)
    nlp.add_pipe("tagger", config={"model": MODELS["tagger"]})
    nlp.add_pipe("tok2vec", config={"model": encoder_of("TAG")})
    listener = {"@architectures": "spacy.Tok2VecListener.v1", "width": 24, "upstream": "tok2vec"}
    nlp.add_pipe("ner", config={"model": {**MODELS["ner"], "tok2vec": listener}})
    return train(nlp, [annotate_gold(nlp, text) for text in TEXTS], ["tagger"])


def teach_with_sentences() -> Language:
    """The entity recognizer comes after the parser and sees where sentences start, and what starts one is an entity."""
    nlp = spacy.blank(LANGUAGE)
    nlp.add_pipe("parser", config={"model": {**PARSER, "tok2vec": ENCODER}, "min_action_freq": 1})
    nlp.add_pipe("ner", config={"model": {**MODELS["ner"], "tok2vec": encoder_of("SENT_START")}})
    examples = []
    for text in two_sentences():
        words = text.split()
        heads = [1, 1, 1, 2] * 2
        entities = ["U-FIRST" if i % 4 == 0 else "O" for i in range(len(words))]
        gold = {
            "heads": [head + 4 * (i // 4) for i, head in enumerate(heads)],
            "deps": ["nsubj", "ROOT", "prep", "pobj"] * 2,
            "entities": entities,
        }
        examples.append(Example.from_dict(nlp.make_doc(text), gold))
    return train(nlp, examples, ["parser"])


def two_sentences() -> list[str]:
    return [f"{first} {second}" for first, second in zip(TEXTS, reversed(TEXTS), strict=True)]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("teach", "texts", "pipes"),
    [
        (teach_with_tags, TEXTS, ["tok2vec", "tagger", "ner"]),
        (teach_with_sentences, two_sentences(), ["tok2vec", "parser", "ner"]),
    ],
)
def test_a_student_says_what_the_whole_teacher_says(
    teach: Any, texts: list[str], pipes: list[str], tmp_path: Path
) -> None:
    teacher = teach()
    first = teacher.pipe_names[0]
    said = [entities(teacher, text) for text in texts]
    assert any(said)
    # It reads them indeed: without, it says something else.
    with teacher.select_pipes(disable=first):
        assert [entities(teacher, text) for text in texts] != said
    overrides = {"distillation.max_steps": 80, "training.eval_frequency": 40}
    student = distill(
        teacher,
        texts,
        config=student_config(teacher, size="nano"),
        output=tmp_path / "run",
        overrides=overrides,
        strict=True,
    )
    assert student.pipe_names == pipes
    same = sum(entities(student, text) == theirs for text, theirs in zip(texts, said, strict=True))
    assert same / len(texts) > 0.9


def entities(nlp: Language, text: str) -> list[tuple[int, int, str]]:
    return [(ent.start, ent.end, ent.label_) for ent in nlp(text).ents]
