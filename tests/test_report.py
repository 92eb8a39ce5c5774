"""The report: what is compared, what is measured, what is refused. Nothing depends on the machine's speed."""

import json

import pytest
import spacy
from hypothesis import given
from hypothesis import strategies as st
from spacy.language import Language
from spacy.tokens import Doc, DocBin
from spacy.training import Example
from thinc.api import Linear, chain, fix_random_seed

from spacy_tinydistill.errors import DistillationError
from spacy_tinydistill.report.scores import score_pipelines
from spacy_tinydistill.report.size import bytes_on_disk, count_parameters
from spacy_tinydistill.report.speed import _sample

SENTENCES = [
    ("I like green apples .", ["PRON", "VERB", "ADJ", "NOUN", "PUNCT"], [1, 1, 3, 1, 1], "FOOD"),
    ("You eat red cherries .", ["PRON", "VERB", "ADJ", "NOUN", "PUNCT"], [1, 1, 3, 1, 1], "FOOD"),
    ("They drive fast cars .", ["PRON", "VERB", "ADJ", "NOUN", "PUNCT"], [1, 1, 3, 1, 1], "CARS"),
    ("We park old vans 😀 !", ["PRON", "VERB", "ADJ", "NOUN", "SYM", "PUNCT"], [1, 1, 3, 1, 1, 1], "CARS"),
]


def gold_docs(vocab):
    for text, tags, heads, label in SENTENCES:
        deps = ["ROOT" if head == i else "dep" for i, head in enumerate(heads)]
        doc = Doc(vocab, words=text.split(), tags=tags, heads=heads, deps=deps)
        doc.cats = {name: float(name == label) for name in ("FOOD", "CARS")}
        yield doc


def trained(pipes: list[str], width: int, steps: int = 12) -> Language:
    """A small CNN pipeline trained until it knows most of the few sentences."""
    fix_random_seed(0)
    nlp = spacy.blank("en")
    for pipe in pipes:
        tok2vec = {
            "@architectures": "spacy.HashEmbedCNN.v2",
            "pretrained_vectors": None,
            "width": width,
            "depth": 1,
            "embed_size": 100,
            "window_size": 1,
            "maxout_pieces": 2,
            "subword_features": True,
        }
        if pipe == "tagger":
            model = {"@architectures": "spacy.Tagger.v2", "tok2vec": tok2vec}
        elif pipe == "parser":
            model = {
                "@architectures": "spacy.TransitionBasedParser.v2",
                "tok2vec": tok2vec,
                "state_type": "parser",
                "extra_state_tokens": False,
                "hidden_width": 8,
                "maxout_pieces": 2,
                "use_upper": True,
            }
        else:
            model = {
                "@architectures": "spacy.TextCatReduce.v1",
                "tok2vec": tok2vec,
                "exclusive_classes": pipe == "textcat",
                "use_reduce_mean": True,
                "use_reduce_first": False,
                "use_reduce_last": False,
                "use_reduce_max": False,
            }
        # spaCy forgets transitions that are rarer than 30, which in four sentences is all of them.
        nlp.add_pipe(pipe, config={"model": model, **({"min_action_freq": 1} if pipe == "parser" else {})})
    examples = [Example(nlp.make_doc(doc.text), doc) for doc in gold_docs(nlp.vocab)]
    optimizer = nlp.initialize(lambda: examples)
    for _ in range(steps):
        nlp.update(examples, sgd=optimizer)
    return nlp


@pytest.fixture(scope="module")
def teacher():
    return trained(["tagger", "textcat"], width=32)


@pytest.fixture(scope="module")
def student():
    return trained(["tagger", "textcat"], width=8, steps=1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory, teacher, student):
    """Teacher, student, a pipeline with another task, gold data and the same as text."""
    folder = tmp_path_factory.mktemp("report")
    teacher.to_disk(folder / "teacher")
    student.to_disk(folder / "student")
    spacy.blank("en").to_disk(folder / "blank")
    DocBin(docs=gold_docs(teacher.vocab)).to_disk(folder / "gold.spacy")
    lines = [json.dumps({"text": text}) + "\n" for text, *_ in SENTENCES]
    (folder / "texts.jsonl").write_text("".join(lines), encoding="utf8")
    return folder


# --- scores


def test_scores_are_those_of_spacy_evaluate(teacher, student):
    gold = DocBin(docs=gold_docs(teacher.vocab))
    scored = score_pipelines(teacher, student, [text for text, *_ in SENTENCES], gold)
    for nlp, scores in ((teacher, scored["teacher"]), (student, scored["student"])):
        expected = nlp.evaluate([Example(nlp.make_doc(doc.text), doc) for doc in gold.get_docs(nlp.vocab)])
        del expected["speed"]
        assert scores == expected
    assert scored["retention"]["tag_acc"] == scored["student"]["tag_acc"] / scored["teacher"]["tag_acc"]
    assert set(scored["pipes"]) == {"tokenizer", "tagger", "textcat"}
    assert "cats_f_per_type" in scored["teacher"]
    assert "cats_f_per_type" not in scored["retention"]


def test_agreement_is_the_part_of_equal_decisions(teacher, student):
    texts = [text for text, *_ in SENTENCES] + ["A truck", "😀 😀", " ", "Apples and cars ?"]
    pairs = [(teacher(text), student(text)) for text in texts]
    tags = [(t.tag_, s.tag_) for a, b in pairs for t, s in zip(a, b, strict=True) if not t.is_space]
    cats = [max(a.cats, key=a.cats.get) == max(b.cats, key=b.cats.get) for a, b in pairs]

    scored = score_pipelines(teacher, student, texts)

    assert scored["teacher"] == scored["student"] == scored["retention"] == {}
    assert scored["agreement"]["tag_acc"] == pytest.approx(sum(t == s for t, s in tags) / len(tags))
    assert scored["agreement"]["cats_micro_f"] == pytest.approx(sum(cats) / len(cats))


@pytest.mark.parametrize("pipe", ["textcat", "textcat_multilabel"])
def test_a_pipeline_agrees_with_itself(pipe):
    nlp = trained(["tagger", "parser", pipe], width=8)
    texts = [text for text, *_ in SENTENCES] + ["Apples  \n\n and\tcars", " ", "\n"]
    agreement = score_pipelines(nlp, nlp, texts)["agreement"]
    for name in ("token_acc", "tag_acc", "dep_uas", "dep_las", "sents_f"):
        assert agreement[name] == 1.0
    assert agreement["cats_micro_f"] == pytest.approx(1.0)
    assert agreement["cats_macro_auc"] == pytest.approx(1.0)


@Language.component("whitespace_roots")
def whitespace_roots(doc):
    """A parse with a sentence that hangs on whitespace, as parsers do produce."""
    heads, deps = [1, 1, 3, 3], ["dep", "ROOT", "dep", "ROOT"]
    return Doc(doc.vocab, [t.text for t in doc], [bool(t.whitespace_) for t in doc], heads=heads, deps=deps)


def test_sentences_that_hang_on_whitespace():
    nlp = spacy.blank("en")
    nlp.add_pipe("parser").initialize(lambda: [Example(doc, doc) for doc in gold_docs(nlp.vocab)], nlp=nlp)
    nlp.add_pipe("whitespace_roots")
    assert [len(sent) for sent in nlp("Apples \n\nCars \n").sents] == [2, 2]
    agreement = score_pipelines(nlp, nlp, ["Apples \n\nCars \n"])["agreement"]
    assert agreement["sents_f"] == agreement["dep_las"] == 1.0


def ruled(attributes: dict[str, str]) -> Language:
    nlp = spacy.blank("en")
    nlp.add_pipe("attribute_ruler").add([[{}]], attributes)
    return nlp


def test_strings_of_the_teacher_that_the_student_never_saw():
    scored = score_pipelines(ruled({"MORPH": "Number=Plur"}), ruled({"MORPH": "Case=Gen"}), ["apples"])
    assert scored["agreement"]["morph_acc"] == 0.0
    assert scored["agreement"]["tag_acc"] is None  # neither says anything
    with_tags = score_pipelines(ruled({"TAG": "TEACHERS"}), ruled({"TAG": "STUDENTS"}), ["apples"])
    assert with_tags["agreement"]["tag_acc"] == 0.0


def test_no_score_in_common(teacher):
    with pytest.raises(DistillationError, match="TD407"):
        score_pipelines(teacher, spacy.blank("en"), ["apples"])


# --- size


def test_size(folder, teacher, student):
    files = [file for file in (folder / "teacher").rglob("*") if file.is_file()]
    assert bytes_on_disk(folder / "teacher") == sum(len(file.read_bytes()) for file in files)
    tagger = teacher.get_pipe("tagger").model
    alone = sum(layer.get_param(name).size for layer in tagger.walk() for name in layer.param_names)
    shared = spacy.blank("en")
    shared.add_pipe("tagger", source=teacher)
    assert count_parameters(shared) == alone
    assert count_parameters(student) < count_parameters(teacher)
    assert count_parameters(spacy.blank("en")) == 0


def test_parameters_of_torch_modules_are_counted():
    torch = pytest.importorskip("torch")
    from thinc.api import PyTorchWrapper

    class Pipe:
        model = chain(PyTorchWrapper(torch.nn.Linear(3, 5)), Linear(2, 5).initialize())

    class Pipeline:
        components = (("pipe", Pipe()), ("same", Pipe()), ("none", object()))

    assert count_parameters(Pipeline()) == (3 * 5 + 5) + (2 * 5 + 2)


# --- speed


@given(st.lists(st.integers(1, 50), min_size=1, max_size=40), st.integers(1, 500))
def test_sample(words, max_words):
    sample = _sample(words, max_words)
    assert sample == sorted(set(sample))
    assert sample
    assert sum(words[i] for i in sample) <= max(max_words, min(words))
    assert sample == _sample(words, max_words)
