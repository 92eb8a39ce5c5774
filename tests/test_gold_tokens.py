"""Which gold tokens a score counts, beside each score and in a warning where they are few."""

from itertools import pairwise

import pytest
import spacy
from hypothesis import given, settings
from hypothesis import strategies as st
from spacy.tokens import Doc, DocBin
from spacy.training import Example

from spacy_tinydistill.gold_tokens import ATTRIBUTES, count_gold_tokens, share_counted
from spacy_tinydistill.report import compare as compare_module
from spacy_tinydistill.report.card import write_card
from spacy_tinydistill.report.compare import compare
from spacy_tinydistill.report.html import to_html
from spacy_tinydistill.report.scores import Side, score_sides
from spacy_tinydistill.report.table import alignment_warnings, print_report, score_header, score_rows

NLP = spacy.blank("en")


def make_gold(words, spaces=None, **annotations):
    return Doc(NLP.vocab, words=words, spaces=spaces, **annotations)


def count(gold):
    return count_gold_tokens([Example(NLP.make_doc(gold.text), gold)])


def test_tokens_that_the_tokenizer_splits_or_joins_are_not_counted():
    gold = make_gold(["He", "didn't", "go", "."], tags=["A", "B", "C", "D"])
    assert [token.text for token in NLP.make_doc(gold.text)] == ["He", "did", "n't", "go", "."]
    aligned, counted = count(gold)
    assert aligned == counted["tag"] == 3 / 4
    aligned, counted = count(make_gold(["He", "it", "s"], [True, False, False], tags=["A", "B", "C"]))
    assert aligned == counted["tag"] == 1 / 3


def test_tokens_that_are_not_annotated_are_not_counted():
    aligned, counted = count(make_gold(["He", "goes"], tags=["A", ""], ents=["O", ""], heads=[1, 1], deps=["a", "b"]))
    assert aligned == counted["spans"] == counted["dep"] == counted["sents"] == 1.0
    assert counted["tag"] == counted["ents"] == 0.5
    assert counted["pos"] == counted["lemma"] == counted["morph"] == 0.0


def test_white_space_does_not_matter():
    aligned, _ = count(make_gold(["He", "\n", "didn't"], [False, False, False]))
    assert aligned == 1 / 2


def test_without_gold_there_is_no_share():
    assert count_gold_tokens([]) == (None, {})
    assert count(make_gold(["\n"])) == (None, {})


def test_scores_of_no_tokens_have_no_share():
    shares = dict.fromkeys(ATTRIBUTES, 0.5)
    for score in ("tag_acc", "morph_micro_f", "dep_las", "sents_f", "ents_per_type", "spans_sc_f", "lemma_acc"):
        assert share_counted(score, shares) == 0.5
    for score in ("cats_macro_f", "token_acc", "speed", "my_score"):
        assert share_counted(score, shares) is None


@given(words=st.lists(st.text("ab'", min_size=1, max_size=3), min_size=1, max_size=8), data=st.data())
@settings(deadline=None, max_examples=100)
def test_what_aligns_is_what_stands_at_the_same_place(words, data):
    spaces = [data.draw(st.booleans()) for _ in words]
    gold = make_gold(words, spaces)
    pieces = data.draw(st.lists(st.integers(1, len(gold.text)), max_size=6).map(sorted))
    # Another tokenization of the same text: cut at any places, and at spaces.
    cuts = sorted({0, *pieces, len(gold.text), *(i for i, c in enumerate(gold.text) if c == " ")})
    spans = [gold.text[a:b] for a, b in pairwise(cuts)]
    tokens = [span.strip(" ") for span in spans]
    after = [
        (i + 1 < len(spans) and spans[i + 1].startswith(" ")) or span.endswith(" ") for i, span in enumerate(spans)
    ]
    kept = [(token, space) for token, space in zip(tokens, after, strict=True) if token]
    predicted = Doc(NLP.vocab, words=[token for token, _ in kept], spaces=[space for _, space in kept])
    if predicted.text != gold.text:
        return
    there = {(token.idx, len(token)) for token in predicted}
    expected = sum((token.idx, len(token)) in there for token in gold) / len(gold)
    assert count_gold_tokens([Example(predicted, gold)])[0] == pytest.approx(expected)


# In tables


@pytest.fixture(scope="module")
def tagger():
    nlp = spacy.blank("en")
    tagger = nlp.add_pipe("tagger")
    for tag in ("A", "B"):
        tagger.add_label(tag)
    nlp.initialize()
    return nlp


def report_of(nlp, gold):
    docs = [nlp(doc.text) for doc in gold]
    return score_sides(Side(nlp, docs), Side(nlp, docs), gold)


def test_each_score_says_which_share_it_counts(tagger):
    report = report_of(tagger, [make_gold(["He", "didn't", "go", "."], tags=["A", "B", "", "A"])])
    assert report["aligned"] == {"teacher": 3 / 4, "student": 3 / 4}
    assert report["counted"]["tag_acc"] == 2 / 4
    assert report["counted"]["token_acc"] is None
    report |= {role: {"scores": report[role]} for role in ("teacher", "student")}
    assert score_header(report)[-1] == "Counted"
    rows = {row[1]: row[-1] for row in score_rows(report)}
    assert rows["tag_acc"] == "50.00"
    assert rows["token_acc"] == "-"
    teacher, student = alignment_warnings(report)
    assert "75.0%" in teacher
    assert "the teacher's" in teacher
    assert "the student's" in student


def test_nothing_is_said_without_gold(tagger):
    docs = [tagger("He goes")]
    report = score_sides(Side(tagger, docs), Side(tagger, docs))
    assert report["aligned"] == report["counted"] == {}
    report |= {role: {"scores": report[role]} for role in ("teacher", "student")}
    assert "Counted" not in score_header(report)
    assert alignment_warnings(report) == []
    # Nor of a report that an earlier version wrote.
    assert alignment_warnings({}) == []


@pytest.mark.parametrize(("word", "is_warned"), [("didn't", True), ("walks", False)])
def test_the_report_says_it_everywhere(word, is_warned, tagger, tmp_path, capsys, monkeypatch):
    no_speed = {"words_per_second": {}, "load_seconds": None, "peak_memory": None}
    monkeypatch.setattr(compare_module, "measure_speed", lambda names, *_, **__: (dict.fromkeys(names, no_speed), None))
    tagger.to_disk(tmp_path / "nlp")
    gold = make_gold(["He", word, "home"], [True, True, False], tags=["A", "B", "A"])
    DocBin(docs=[gold] * 3).to_disk(tmp_path / "gold.spacy")
    report = compare(tmp_path / "nlp", tmp_path / "nlp", tmp_path / "gold.spacy", max_words=10)
    capsys.readouterr()
    print_report(report)
    share = "66.67" if is_warned else "100.00"
    pages = (" ".join(capsys.readouterr().out.split()), to_html(report), write_card(tagger.meta, report))
    for page in pages:
        assert "Counted" in page
        assert share in page
        assert ("66.7% of the gold tokens" in page) == is_warned
