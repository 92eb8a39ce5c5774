"""The report: what is compared, what is measured, what is refused. Nothing depends on the machine's speed."""

import json
from importlib.metadata import entry_points

import pytest
import spacy
from hypothesis import given
from hypothesis import strategies as st
from spacy.cli._util import app
from spacy.language import Language
from spacy.pipeline.dep_parser import parser_score
from spacy.tokens import Doc, DocBin
from spacy.training import Example
from thinc.api import Linear, chain, fix_random_seed
from typer.testing import CliRunner

import spacy_tinydistill.cli.benchmark
from spacy_tinydistill.errors import DistillationError
from spacy_tinydistill.evaluation_log import CURVE_NAME
from spacy_tinydistill.files import bytes_on_disk
from spacy_tinydistill.report import speed
from spacy_tinydistill.report.compare import _read_data, compare
from spacy_tinydistill.report.scores import Side, _said, annotate, score_sides, share_scores
from spacy_tinydistill.report.size import count_parameters
from spacy_tinydistill.report.speed import _sample, _shares, _Team
from spacy_tinydistill.report.table import print_report

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


def score_pipelines(teacher, student, texts, gold=None):
    return score_sides(*(Side(nlp, annotate(nlp, texts, gold, "")) for nlp in (teacher, student)), gold)


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


def test_a_teacher_that_finds_nothing():
    """Of its scores by label there are none, where the student's are a dict."""
    teacher, student = spacy.blank("en"), spacy.blank("en")
    teacher.add_pipe("entity_ruler").add_patterns([{"label": "FRUIT", "pattern": "pears"}])
    student.add_pipe("entity_ruler").add_patterns([{"label": "FRUIT", "pattern": "apples"}])
    gold = student.make_doc("I ate apples")
    gold.set_ents([], default="outside")
    scored = score_pipelines(teacher, student, ["I ate apples"], DocBin(docs=[gold]))
    assert scored["teacher"]["ents_per_type"] is None
    assert scored["student"]["ents_per_type"]
    assert "ents_per_type" not in scored["retention"]


def test_strings_of_the_teacher_that_the_student_never_saw():
    scored = score_pipelines(ruled({"MORPH": "Number=Plur"}), ruled({"MORPH": "Case=Gen"}), ["apples"])
    assert scored["agreement"]["morph_acc"] == 0.0
    assert scored["agreement"]["tag_acc"] is None  # neither says anything
    with_tags = score_pipelines(ruled({"TAG": "TEACHERS"}), ruled({"TAG": "STUDENTS"}), ["apples"])
    assert with_tags["agreement"]["tag_acc"] == 0.0


def test_no_score_in_common(teacher, student):
    assert share_scores(score_pipelines(teacher, student, ["apples"]))
    assert not share_scores(score_pipelines(teacher, spacy.blank("en"), ["apples"]))


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


@given(st.lists(st.text(max_size=30)), st.integers(1, 5))
def test_shares_hold_every_text_once(texts, n):
    shares = _shares(texts, n)
    assert len(shares) == n
    assert sorted(text for share in shares for text in share) == sorted(texts)
    sizes = [sum(map(len, share)) for share in shares]
    assert max(sizes) - min(sizes) <= max(map(len, texts), default=0)


def test_memory_of_a_worker_is_its_own(folder):
    with _Team(str(folder / "blank")) as team:
        before = team.peak_memory()
    ballast = b"x" * 10**9
    with _Team(str(folder / "blank")) as team:
        team.warm_up(["A text.", "", "😀"])
        assert team.peak_memory() < before + len(ballast) // 2


def test_a_worker_that_stops_leaves_its_last_words(folder, tmp_path):
    code = tmp_path / "code.py"
    code.write_text("print('on stdout')\nraise RuntimeError('no such luck')\n")
    with pytest.raises(DistillationError, match=r"(?s)TD411.*no such luck"):
        _Team(str(folder / "student"), code=code)


# --- the whole


@pytest.mark.slow
def test_the_command(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(speed, "LOADS", 1)
    arguments = [
        "benchmark",
        "distillation",
        *(str(folder / name) for name in ("teacher", "student", "gold.spacy")),
    ]
    result = CliRunner().invoke(app, [*arguments, "--output", str(tmp_path / "new" / "out"), "--max-words", "50"])

    assert result.exit_code == 0, result.output
    assert "Agreement" in result.output
    assert "Words/s, all cores" in result.output
    report = json.loads((tmp_path / "new" / "out" / "report.json").read_text(encoding="utf8"))
    for role in ("teacher", "student"):
        side = report[role]
        assert side["path"] == str(folder / role)
        assert set(side["words_per_second"]) == set(side["words_per_second_runs"]) == {"1", "all"}
        assert all(len(runs) == 5 for runs in side["words_per_second_runs"].values())
        assert side["all_cores"] in ("threads", "processes")
        assert side["bytes"] == bytes_on_disk(folder / role)
        assert side["parameters"] > 0
        assert side["load_seconds"] > 0
        assert side["peak_memory"] > 10**7
        assert 0 <= side["scores"]["tag_acc"] <= 1
    assert report["speed_up"].keys() == {"1", "all"}
    assert report["compression"] == report["teacher"]["bytes"] / report["student"]["bytes"]
    assert report["data"]["documents"] == len(SENTENCES)
    assert report["data"]["gold"] is True
    assert report["timing"]["words"] == report["data"]["words"]
    assert report["disagreements"]
    page = (tmp_path / "new" / "out" / "report.html").read_text(encoding="utf8")
    assert "Words/s, all cores" in page
    assert result.output.strip().endswith("report.html")
    assert report["machine"]["cores"] >= 1
    assert report["versions"]["spacy"] == spacy.__version__


@pytest.mark.usefixtures("without_timing")
def test_text_alone_gives_agreement(folder, tmp_path, capsys):
    report = compare(folder / "teacher", folder / "student", folder / "texts.jsonl", output=tmp_path)
    assert report == json.loads((tmp_path / "report.json").read_text(encoding="utf8"))
    assert report["teacher"]["scores"] == report["retention"] == {}
    assert set(report["agreement"]) >= {"tag_acc", "cats_macro_f"}
    assert report["speed_up"] == {"1": 1.0, "all": 1.0}
    print_report(report)
    printed = capsys.readouterr().out
    assert "cats_macro_f" in printed
    assert "differ by more than 30%" in printed

    with pytest.raises(DistillationError, match="TD409"):
        compare(folder / "teacher", folder / "student", folder / "texts.jsonl", output=tmp_path)
    compare(folder / "teacher", folder / "student", folder / "texts.jsonl", output=tmp_path, force=True)


@pytest.mark.usefixtures("without_timing")
def test_a_student_in_the_output_of_its_run(folder, tmp_path):
    """Its learning curve is beside it, and its model card is renewed."""
    other = spacy.load(folder / "student")
    other.meta["distillation"] = {"teacher": {"name": "teacher"}, "texts": {"names": ["a.jsonl"], "documents": 7}}
    (tmp_path / "run").mkdir()
    other.to_disk(tmp_path / "run" / "model-best")
    numbers = {"step": 3, "epoch": 0, "words": 9, "seconds": 1, "score": 0.5}
    point = {**numbers, "losses": {"tagger": 2.0}, "scores": {"tag_acc": 0.5}}
    (tmp_path / "run" / CURVE_NAME).write_text(json.dumps(point) + "\n")
    data = folder / "gold.spacy"
    report = compare(folder / "teacher", tmp_path / "run" / "model-best", data, output=tmp_path / "reports" / "one")
    assert report["learning_curve"] == [point]
    assert report["overall"]["retention"] is not None
    assert "Learning curve" in (tmp_path / "reports" / "one" / "report.html").read_text(encoding="utf8")
    meta = json.loads((tmp_path / "reports" / "one" / "meta.json").read_text(encoding="utf8"))
    assert meta["distillation"] == other.meta["distillation"]
    assert "10 words/s on one thread" in meta["notes"]
    assert "a.jsonl, 7 texts" in meta["notes"]
    # Another student of the same teacher, beside the first.
    report = compare(folder / "teacher", folder / "student", data, output=tmp_path / "reports" / "two")
    assert [tried["folder"] for tried in report["tried"]] == ["one"]
    assert report["learning_curve"] == []
    # It is none of ours.
    assert not (tmp_path / "reports" / "two" / "meta.json").exists()


@pytest.mark.usefixtures("without_timing")
def test_a_folder_of_gold_annotations(tmp_path):
    docs = list(gold_docs(spacy.blank("en").vocab))
    for name, part in (("a", docs[:2]), ("b", docs[2:])):
        (tmp_path / "dev" / name).mkdir(parents=True)
        DocBin(docs=part).to_disk(tmp_path / "dev" / name / "gold.spacy")
    texts, gold = _read_data(tmp_path / "dev")
    found = list(gold.get_docs(spacy.blank("en").vocab))
    assert texts == [doc.text for doc in found] == [doc.text for doc in docs]
    assert [token.tag_ for doc in found for token in doc] == [token.tag_ for doc in docs for token in doc]
    (tmp_path / "dev" / "raw.txt").write_text("No annotations here.")
    texts, gold = _read_data(tmp_path / "dev")
    assert len(texts) == len(docs) + 1
    assert gold is None


def test_gold_without_annotations_and_unknown_spaces(folder, tmp_path):
    bare = DocBin(docs=[Doc(spacy.blank("en").vocab, words=["don't", "stop"]), Doc(spacy.blank("en").vocab)])
    bare.to_disk(tmp_path / "bare.spacy")
    report = compare(folder / "teacher", folder / "student", tmp_path / "bare.spacy")
    assert report["data"]["documents"] == 1
    assert report["teacher"]["scores"]["tag_acc"] is None
    assert report["retention"]["tag_acc"] is None
    assert report["agreement"]["tag_acc"] is not None


def test_the_command_is_registered_where_the_package_is_installed():
    commands = entry_points(group="spacy_cli")
    if "benchmark_distillation" not in commands.names:
        pytest.skip("spacy-tinydistill is not installed")
    command = commands["benchmark_distillation"].load()
    assert command is spacy_tinydistill.cli.benchmark.benchmark_distillation_cli


# --- bad input


def raises(message, folder, teacher="teacher", student="student", data="gold.spacy", **options):
    with pytest.raises(DistillationError, match=message):
        compare(folder / teacher, folder / student, folder / data, **options)


def test_bad_pipelines(folder, tmp_path):
    raises("TD401.*teacher.*missing", folder, teacher="missing")
    raises("TD401.*student", folder, student="gold.spacy")
    (tmp_path / "empty").mkdir()
    raises("TD402.*student", folder, student=tmp_path / "empty")
    with pytest.raises(DistillationError, match="TD401"):
        compare("", folder / "student", folder / "gold.spacy")
    with pytest.raises(DistillationError, match="TD401"):
        compare("__import__('os').getcwd()", folder / "student", folder / "gold.spacy")


def test_bad_data(folder, tmp_path):
    raises("TD102", folder, data="missing.spacy")
    raises("TD103", folder, data="teacher")
    (tmp_path / "broken.spacy").write_bytes(b"no DocBin")
    raises("TD108", folder, data=tmp_path / "broken.spacy")
    DocBin().to_disk(tmp_path / "empty.spacy")
    raises("TD107", folder, data=tmp_path / "empty.spacy")
    (tmp_path / "table.tsv").write_text("a,b")
    raises("TD104.*tsv", folder, data=tmp_path / "table.tsv")
    (tmp_path / "latin.txt").write_bytes(b"caf\xe9")
    raises("TD108", folder, data=tmp_path / "latin.txt")
    (tmp_path / "blank.txt").write_text("\n\n")
    raises("TD107", folder, data=tmp_path / "blank.txt")
    (tmp_path / "lines.jsonl").write_text('{"text": "one"}\n{"texts": "two"}\n')
    raises("TD106.*line 2", folder, data=tmp_path / "lines.jsonl")
    (tmp_path / "long.txt").write_text("a" * 1_000_001)
    raises("TD413", folder, data=tmp_path / "long.txt")


def test_bad_options(folder, tmp_path):
    raises("TD408", folder, output=folder / "gold.spacy")
    raises("TD412", folder, code=tmp_path / "missing.py")
    raises("TD211", folder, gpu_id=99)
    raises("TD407", folder, student="blank")


def test_the_command_shows_the_error_alone(folder, tmp_path):
    arguments = ["benchmark", "distillation", "no_such_pipeline", str(folder / "student")]
    result = CliRunner().invoke(app, [*arguments, str(folder / "gold.spacy"), "-o", str(tmp_path)])
    assert result.exit_code == 1
    assert "TD401" in result.output
    assert "Traceback" not in result.output


def test_whitespace_in_one_text_does_not_count_in_the_next():
    nlp = spacy.blank("en")
    parsed = {"heads": [0, 0, 0], "deps": ["ROOT", "obj", "advmod"]}
    docs = [Doc(nlp.vocab, words=words, **parsed) for words in (["Ann", "  ", "sings"], ["Bob", "sees", "Ann"])]
    examples = [Example(*pair) for pair in zip(docs, _said(nlp, DocBin(docs=docs)), strict=True)]
    assert parser_score(examples)["dep_uas"] == 1.0
