"""Which sentences are shown."""

import spacy
from spacy.tokens import Doc, Span

from spacy_tinydistill.report.compare import compare_sides
from spacy_tinydistill.report.disagreement import MOST_TOKENS, SENTENCES
from spacy_tinydistill.report.scores import Side


def test_disagreements_are_ranked_and_bounded(sides: tuple[Side, Side], compared: dict) -> None:
    found = compared["disagreements"]
    assert {item["style"] for item in found} == {"dep", "ent", "span", "cats"}
    assert len(found) <= SENTENCES
    for style in ("dep", "ent", "span"):
        counts = [len(item["differences"]) for item in found if item["style"] == style]
        assert counts == sorted(counts, reverse=True)
        assert counts[-1] > 0
    for item in found:
        teacher = sides[0].docs[item["document"]]
        if item["style"] == "dep":
            words = [word["text"] for word in item["teacher"]["words"]]
            assert words == [word["text"] for word in item["student"]["words"]]
            assert " ".join(words) in " ".join(token.text for token in teacher)
            # All of the sentence but its root hangs on another word.
            assert len(item["teacher"]["arcs"]) == len(words) - 1
        elif item["style"] == "cats":
            assert {label: teacher.cats[label] for label in item["teacher"]["cats"]} == item["teacher"]["cats"]
        else:
            assert item["teacher"]["text"] == item["student"]["text"]
            assert item["teacher"]["text"] in teacher.text


def test_a_long_text_without_sentences_is_shown_in_pieces() -> None:
    nlp = spacy.blank("en")
    nlp.add_pipe("ner").add_label("X")
    docs = [Doc(nlp.vocab, words=[f"w{i}" for i in range(1000)]) for _ in range(2)]
    docs[0].set_ents([Span(docs[0], 700, 702, "X"), Span(docs[0], MOST_TOKENS - 1, MOST_TOKENS + 1, "X")])
    docs[1].set_ents([], default="outside")
    found = compare_sides(Side(nlp, docs[:1]), Side(nlp, docs[1:]), None)["disagreements"]
    assert [item["teacher"]["text"].split()[0] for item in found] == ["w0", "w700"]
    assert all(len(item["teacher"]["text"].split()) == MOST_TOKENS for item in found)
    # Of what goes on in the next piece, the part in this one.
    ent = found[0]["teacher"]["ents"][0]
    assert found[0]["teacher"]["text"][ent["start"] : ent["end"]] == f"w{MOST_TOKENS - 1}"
