"""Words as the tokenizer makes them: a UD treebank, converted, and how well contractions are read."""

import subprocess
import sys
from pathlib import Path

import pytest
import spacy
from hypothesis import given, settings
from hypothesis import strategies as st
from spacy.tokens import DocBin
from spacy.util import import_file

ROOT = Path(__file__).parents[1]
TREEBANK = ROOT.parent / "shared" / "data" / "ud_english_ewt" / "en_ewt-ud-dev.conllu"
UD = import_file("ud", ROOT / "scripts" / "ud.py")
CONTRACTIONS = ROOT / "benchmarks" / "contractions.py"


def line(number, form, head, *, lemma="_", pos="X", tag="_", feats="_", dep="dep", misc="_"):
    return "\t".join([str(number), form, lemma, pos, tag, feats, str(head), dep, "_", misc])


def whole(numbers, form, misc="_"):
    return "\t".join([numbers, form, *"_______", misc])


DIDNT = [
    "# text = He didn't, though.",
    line(1, "He", 4, lemma="he", pos="PRON", tag="PRP", dep="nsubj"),
    whole("2-3", "didn't", "SpaceAfter=No"),
    line(2, "did", 4, lemma="do", pos="AUX", tag="VBD", feats="Mood=Ind|Tense=Past", dep="aux"),
    line(3, "n't", 4, lemma="not", pos="PART", tag="RB", dep="advmod"),
    line("3.1", "go", "_"),
    line(4, ",", 0, pos="PUNCT", tag=",", dep="root"),
    line(5, "though", 4, lemma="though", pos="ADV", tag="RB", misc="SpaceAfter=No"),
    line(6, ".", 4, pos="PUNCT", tag=".", dep="punct"),
]

ZUM = [
    line(1, "Er", 2, pos="PRON"),
    line(2, "geht", 0, lemma="gehen", pos="VERB", dep="root"),
    whole("3-4", "zum", "Other=Yes"),
    line(3, "zu", 5, lemma="zu", pos="ADP", tag="APPR", dep="case"),
    line(4, "dem", 5, lemma="der", pos="DET", tag="ART", dep="det"),
    line(5, "Arzt", 2, lemma="Arzt", pos="NOUN", tag="NN", dep="obl"),
]


@pytest.fixture
def convert(tmp_path, capsys):
    """Convert sentences; return the Docs, and what is printed."""

    def convert(*sentences, lang="en", n=10):
        source, output = tmp_path / "a.conllu", tmp_path / "b" / "a.spacy"
        source.write_text("\n\n".join("\n".join(lines) for lines in sentences) + "\n\n", encoding="utf8")
        UD.main(source, output, lang, n)
        return list(DocBin().from_disk(output).get_docs(spacy.blank(lang).vocab)), capsys.readouterr().out

    return convert


def test_parts_that_spell_a_contraction_stay_words(convert):
    (doc,), said = convert(DIDNT)
    assert doc.text == "He didn't, though. "
    assert [token.text for token in doc] == ["He", "did", "n't", ",", "though", "."]
    assert [token.tag_ for token in doc] == ["PRP", "VBD", "RB", ",", "RB", "."]
    assert [token.pos_ for token in doc] == ["PRON", "AUX", "PART", "PUNCT", "ADV", "PUNCT"]
    assert [token.lemma_ for token in doc][:3] == ["he", "do", "not"]
    assert str(doc[1].morph) == "Mood=Ind|Tense=Past"
    assert [token.head.i for token in doc] == [3, 3, 3, 3, 3, 3]
    assert doc[3].dep_ == "ROOT"
    assert "2 of contractions" in said
    # As spaCy's tokenizer makes them.
    assert [token.text for token in spacy.blank("en")(doc.text)] == [token.text for token in doc]


def test_parts_that_do_not_spell_it_are_merged(convert):
    (doc,), said = convert(ZUM, lang="de")
    assert [token.text for token in doc] == ["Er", "geht", "zum", "Arzt"]
    zum = doc[2]
    assert (zum.tag_, zum.pos_, zum.lemma_, zum.dep_) == ("APPR_ART", "ADP", "zum", "case")
    assert [token.head.i for token in doc] == [1, 1, 3, 1]
    # A treebank without tags of its own has the universal ones.
    assert doc[0].tag_ == "PRON"
    assert "0 of contractions" in said


def test_sentences_are_gathered_to_documents(convert):
    docs, said = convert(DIDNT, ZUM, DIDNT, n=2)
    assert [len(list(doc.sents)) for doc in docs] == [2, 1]
    assert docs[0][6].is_sent_start
    assert [token.head.i for token in docs[0]][6:] == [7, 7, 9, 7]
    assert "2 Docs, 3 sentences" in said


def test_a_line_with_other_columns_is_named(tmp_path):
    (tmp_path / "a.conllu").write_text("# a\n1\tone\t_\n")
    with pytest.raises(Exception, match="line 2 has 3 columns"):
        list(UD.read(tmp_path / "a.conllu"))


@pytest.mark.skipif(not TREEBANK.is_file(), reason=f"needs {TREEBANK}")
def test_a_whole_treebank(tmp_path):
    sentences = list(UD.read(TREEBANK))
    words = [word for sentence in sentences for word in sentence]
    assert len(sentences) == 2001
    assert not any("_" in word.tag for word in words)
    parts = sum(word.is_part for word in words)
    assert 0.025 < parts / len(words) < 0.035
    # The tokenizer makes nearly all of these words. Of what `spacy convert -T` makes, it does not make 3 %.
    nlp = spacy.blank("en")
    doc = UD.make_doc(nlp.vocab, sentences)
    found = {(token.idx, len(token)) for token in nlp.make_doc(doc.text)}
    assert sum((token.idx, len(token)) in found for token in doc) > 0.98 * len(doc)
    text = "".join(
        t.split(" = ", 1)[1] for t in TREEBANK.read_text(encoding="utf8").split("\n") if t[:9] == "# text = "
    )
    assert doc.text.replace(" ", "") == text.replace(" ", "")


forms = st.text(st.characters(categories=("L", "N", "P")), min_size=1, max_size=4)


@st.composite
def treebanks(draw):
    """A sentence: its rows, and the text that they are of."""
    rows, text, number = [], "", 1
    n_words = draw(st.integers(1, 6))
    contractions = [draw(st.lists(forms, min_size=1, max_size=3)) for _ in range(n_words)]
    total = sum(map(len, contractions))
    for parts in contractions:
        surface = "".join(parts) if draw(st.booleans()) else draw(forms)
        space = draw(st.booleans())
        misc = "_" if space else "SpaceAfter=No"
        if len(parts) > 1:
            rows.append(whole(f"{number}-{number + len(parts) - 1}", surface, misc))
        else:
            surface = parts[0]
        for part in parts:
            head = draw(st.integers(0, total).filter(lambda head, own=number: head != own))
            rows.append(line(number, part, head, misc=misc if len(parts) == 1 else "_"))
            number += 1
        text += surface + " " * space
    return rows, text


@given(treebank=treebanks())
@settings(deadline=None, max_examples=200)
def test_any_sentence_keeps_its_text_and_its_heads(treebank, tmp_path_factory):
    rows, text = treebank
    path = tmp_path_factory.getbasetemp() / "any.conllu"
    path.write_text("\n".join(rows) + "\n\n", encoding="utf8")
    (words,) = UD.read(path)
    assert "".join(word.form + " " * word.has_space for word in words) == text
    assert all(0 <= word.head < len(words) for word in words)
    assert all((word.dep == "ROOT") == (word.head == i) for i, word in enumerate(words))


@pytest.mark.slow
def test_contractions_are_scored_from_raw_text(tmp_path):
    """A tagger that knows all words but "n't", and one of which the tokenizer makes one token of each contraction."""
    source = tmp_path / "a.conllu"
    source.write_text("\n".join(DIDNT) + "\n\n", encoding="utf8")
    knows = spacy.blank("en")
    ruler = knows.add_pipe("attribute_ruler")
    words = {word.form: word for word in next(iter(UD.read(source)))}
    for form, word in words.items():
        said = {"TAG": "VB" if form == "n't" else word.tag, "POS": word.pos}
        ruler.add([[{"ORTH": form}]], said)
    knows.to_disk(tmp_path / "knows")
    merges = spacy.blank("en")
    merges.tokenizer.rules = {}
    merges.to_disk(tmp_path / "merges")
    command = [sys.executable, CONTRACTIONS, source, tmp_path / "knows", tmp_path / "merges"]
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    rows = {
        tuple(row.split()[:1] + row.split()[1:2]): row.split()[-4:] for row in done.stdout.split("\n") if "%" in row
    }
    assert rows[str(tmp_path / "knows"), "parts"] == ["2", "100.00%", "50.00%", "100.00%"]
    assert rows[str(tmp_path / "knows"), "other"] == ["4", "100.00%", "100.00%", "100.00%"]
    assert rows[str(tmp_path / "merges"), "parts"] == ["2", "0.00%", "0.00%", "0.00%"]
