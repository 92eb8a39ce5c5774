"""`spacy debug distillation`: what it says of a run is what the run then comes to."""

import re
from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy
import pytest
import spacy
import spacy.cli
from hypothesis import given
from hypothesis import strategies as st
from spacy.cli._util import app
from spacy.language import Language
from spacy.tokens import Doc, Span
from typer.testing import CliRunner

from helpers.tiny_teacher import ENCODER, LABELS, LANGUAGE, TEXTS, make_teacher, write_gold, write_texts
from spacy_tinydistill import api, dataset, forecast
from spacy_tinydistill.cli import debug as debug_command
from spacy_tinydistill.files import bytes_on_disk
from spacy_tinydistill.prepare import Run
from spacy_tinydistill.student.config import student_config
from spacy_tinydistill.targets.store import read_manifest
from spacy_tinydistill.teacher.coverage import Coverage, measure_coverage, unpredicted_labels


@pytest.fixture(autouse=True)
def little_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is said of time is not tested: only that all the rest is right with hardly any of it."""
    monkeypatch.setattr(forecast, "ASKING_SECONDS", 0.1)
    monkeypatch.setattr(forecast, "LEARNING_SECONDS", 0.1)


@pytest.fixture(scope="module")
def teacher() -> Language:
    return make_teacher()


@pytest.fixture(scope="module")
def teacher_path(teacher: Language, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("teacher")
    teacher.to_disk(path)
    return path


@pytest.fixture
def config_path(teacher: Language, tmp_path: Path) -> Path:
    config = student_config(teacher, size="nano")
    config["paths"]["distill"] = str(write_texts(tmp_path / "texts.txt"))
    config["distillation"]["max_steps"] = 10
    config["distillation"]["batcher"]["size"] = 40
    config["training"]["eval_frequency"] = 4
    config.to_disk(tmp_path / "student.cfg")
    return tmp_path / "student.cfg"


def debug(*args: object) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["debug", "distillation", *map(str, args)])
    assert result.exception is None or isinstance(result.exception, SystemExit), repr(result.exception)
    return result.exit_code, " ".join(result.output.split())


def foretell(teacher_path: Path, config: Path, **overrides: Any) -> forecast.Forecast:
    return forecast.forecast(Run(teacher_path, None, config, overrides, -1).prepare())


def test_what_is_printed(teacher_path: Path, config_path: Path) -> None:
    code, said = debug(teacher_path, config_path)
    assert code == 0, said
    for fact in ("Teacher: xx_tiny_teacher", "tagger learns from tagger (TokenLabels)", "36 texts of 144 words"):
        assert fact in said
    assert "textcat: all 2 labels are predicted" in said
    assert "a sample of 144 words" in said
    assert "11 updates of" in said
    assert "4 evaluations of" in said


@pytest.mark.parametrize("with_gold", [False, True])
def test_the_run_is_as_it_was_foretold(
    with_gold: bool, teacher_path: Path, config_path: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    paths = {}
    if with_gold:
        paths["paths.gold"] = str(write_gold(tmp_path / "gold.spacy", TEXTS[:7]))
        paths["paths.dev"] = str(write_gold(tmp_path / "dev.spacy", TEXTS[:5]))
    found = foretell(teacher_path, config_path, **paths)
    capsys.readouterr()
    output = tmp_path / "output"
    api.distill(teacher_path, output=output, config=config_path, overrides=paths)
    lines = capsys.readouterr().out.splitlines()
    rows = [line.split() for line in lines if re.match(r"\s+\d+\s+\d+\s+[\d.]", line)]
    assert found.updates == int(rows[-1][1]) + 1 == 11
    assert found.evaluations == len(rows)
    manifest = read_manifest(output / "targets")
    assert found.recorded_words == pytest.approx(manifest.words, abs=4)
    assert found.student_bytes == pytest.approx(bytes_on_disk(output / "model-best"), rel=0.01)
    assert found.checkpoint_bytes == pytest.approx((output / "checkpoint.msgpack").stat().st_size, rel=0.01)
    assert found.targets_bytes == pytest.approx(bytes_on_disk(output / "targets"), rel=0.3)
    assert found.output_bytes == pytest.approx(bytes_on_disk(output), rel=0.05)


def test_epochs_are_counted_too(teacher_path: Path, config_path: Path) -> None:
    """Of 34 texts in batches of ten, the last one smaller; not of the sample's size."""
    ends = {"distillation.max_steps": 0, "distillation.max_epochs": 3}
    found = foretell(teacher_path, config_path, **ends, **{"distillation.optimizer.learn_rate.total_steps": 9})
    assert found.updates == 3 * 4


def test_where_patience_decides_nobody_knows_how_long_it_takes(teacher_path: Path, config_path: Path) -> None:
    args = ["--distillation.max_steps", 0, "--training.patience", 5]
    code, said = debug(teacher_path, config_path, *args, "--distillation.optimizer.learn_rate.total_steps", 9)
    assert code == 0, said
    assert "how many depends on patience" in said
    assert "Total time" not in said


def test_of_a_stream_only_the_dev_data_is_recorded(teacher_path: Path, config_path: Path, tmp_path: Path) -> None:
    dev = str(write_gold(tmp_path / "dev.spacy", TEXTS[:5]))
    found = foretell(teacher_path, config_path, **{"distillation.max_epochs": -1, "paths.dev": dev})
    assert found.recorded_words == 20
    assert found.updates == 11


def test_labels_that_are_known_only_when_the_teacher_has_spoken(config_path: Path, tmp_path: Path) -> None:
    """A pipe that does not list its labels teaches hard ones."""
    (tmp_path / "code.py").write_text(
        "from spacy.language import Language\n"
        "@Language.component('tests_tag_all')\n"
        "def tag_all(doc):\n"
        "    for token in doc:\n"
        "        token.tag_ = 'LONG' if len(token) > 4 else 'SHORT'\n"
        "    return doc\n"
    )
    spacy.util.import_file("python_code", tmp_path / "code.py")
    nlp = spacy.blank(LANGUAGE)
    nlp.add_pipe("tests_tag_all", name="tagger")
    nlp.to_disk(tmp_path / "teacher")
    config = student_config(make_teacher("tagger", updates=0), size="nano")
    config["distillation"]["max_steps"] = 10
    config.to_disk(tmp_path / "student.cfg")
    texts = write_texts(tmp_path / "texts.txt")
    code, said = debug(tmp_path / "teacher", tmp_path / "student.cfg", "--paths.distill", texts)
    assert code == 0, said
    assert "The labels will be collected from the teacher's annotations" in said


def test_everything_that_is_wrong_is_said(teacher_path: Path, config_path: Path) -> None:
    args = ["--paths.distill", "no_texts.jsonl", "--paths.dev", "no_dev.spacy"]
    args += ["--distillation.student_to_teacher.tagger", "no_tagger", "--training.eval_frequency", "0"]
    args += ["--gpu-id", "99"]
    code, said = debug(teacher_path, config_path, *args)
    assert code == 1
    for fact in ("[TD211]", "[TD205]", "'no_tagger'", "[TD012]", "eval_frequency"):
        assert fact in said
    code, said = debug(teacher_path, config_path, *args[:4])
    assert code == 1
    assert said.count("[TD102]") == 2
    assert "✔ Teacher" in said
    assert "✔ Pipes" in said
    code, said = debug("no_teacher", config_path, "--distillation.dropuot", 0.1)
    assert code == 1
    assert "[TD201]" in said
    assert "[TD002]" in said


def test_each_pipe_that_lacks_labels_is_said(teacher_path: Path, config_path: Path) -> None:
    config = spacy.util.load_config(config_path, interpolate=False)
    config["initialize"]["components"] = {"tagger": {"labels": ["NOUN"]}, "textcat": {"labels": ["SAD", "OTHER"]}}
    config.to_disk(config_path)
    code, said = debug(teacher_path, config_path)
    assert code == 1
    assert said.count("[TD203]") == 2
    assert "✔ Labels of ner" in said


def test_what_no_single_check_finds_is_said(teacher_path: Path, config_path: Path, tmp_path: Path) -> None:
    code, said = debug(teacher_path, config_path, "--paths.distill", write_texts(tmp_path / "one.txt", TEXTS[:1]))
    assert code == 1
    assert "[TD109]" in said


def test_what_cannot_be_described_is_one_line_of_the_list(config_path: Path, tmp_path: Path) -> None:
    """The teacher has one layer: the list is there, and says so of the rule alone."""
    nlp = make_teacher("tagger", updates=0)
    nlp.add_pipe("tok2vec", config={"model": ENCODER}, first=True)
    nlp.initialize()
    nlp.to_disk(tmp_path / "teacher")
    config = student_config(nlp, size="nano")
    rule = {"@teaching_rules": "spacy-tinydistill.HiddenStates.v1", "layers": [5]}
    config["distillation"]["teaching"] = {"tok2vec": rule}
    config.to_disk(config_path)
    code, said = debug(tmp_path / "teacher", config_path, "--paths.distill", "no_texts.txt")
    assert code == 1
    assert said.count("[TD212]") == said.count("[TD102]") == 1
    assert "✔ Teacher" in said
    assert "✔ Pipes" in said
    # What needs a step that failed cannot be looked at, and is neither right nor wrong.
    assert "Labels" not in said


def test_of_an_endless_stream_a_beginning_is_read(teacher_path: Path, config_path: Path, tmp_path: Path) -> None:
    """Also where something is wrong, and all is looked at."""
    (tmp_path / "code.py").write_text(
        "from itertools import count\n"
        "from spacy.training import Example\n"
        "from spacy.util import registry\n"
        "@registry.readers('tests_endless')\n"
        "def endless():\n"
        "    def read(nlp):\n"
        "        for number in count():\n"
        "            assert number < 5000, 'the stream was read to its end'\n"
        "            yield Example(nlp.make_doc('Ann sings'), nlp.make_doc('Ann sings'))\n"
        "    return read\n"
    )
    config = spacy.util.load_config(config_path, interpolate=False)
    config["corpora"]["distill"] = {"@readers": "tests_endless"}
    config["distillation"]["max_epochs"] = -1
    config["initialize"]["components"] = {"tagger": {"labels": ["NOUN"]}}
    config.to_disk(config_path)
    dev = write_gold(tmp_path / "dev.spacy", TEXTS[:5])
    code, said = debug(teacher_path, config_path, "--paths.dev", dev, "--code", tmp_path / "code.py")
    assert code == 1
    assert "[TD203]" in said
    assert "✔ Texts" in said


def test_a_teacher_is_loaded_once(teacher_path: Path, config_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is wrong, and however often it is needed."""
    loaded: list[Path] = []
    load = spacy.load
    monkeypatch.setattr(spacy, "load", lambda name: loaded.append(name) or load(name))
    code, said = debug(teacher_path, config_path, "--paths.distill", "no_texts.txt")
    assert code == 1
    assert "[TD102]" in said
    assert len(loaded) == 1


def test_labels_never_predicted(tmp_path: Path) -> None:
    labels = {"tagger": [*LABELS["tagger"], "NEVER"], "ner": [*LABELS["ner"], "UNSEEN"]}
    make_teacher(labels=labels).to_disk(tmp_path / "teacher")
    config = student_config(spacy.load(tmp_path / "teacher"), size="nano")
    config["distillation"]["max_steps"] = 10
    config.to_disk(tmp_path / "student.cfg")
    texts = write_texts(tmp_path / "texts.txt")
    code, said = debug(tmp_path / "teacher", tmp_path / "student.cfg", "--paths.distill", texts)
    assert code == 0
    assert "tagger: 1 of 4 labels are not predicted: NEVER" in said
    assert "ner: 1 of 3 labels are not predicted: UNSEEN" in said


def test_labels_are_read_from_whatever_a_pipe_writes() -> None:
    nlp = spacy.blank("en")
    labels = {
        "tagger": ["NN", "VB"],
        "morphologizer": ["Number=Sing|POS=NOUN", "POS=VERB", "POS=ADP"],
        "parser": ["nsubj", "obj"],
        "ner": ["PERSON", "ORG"],
        "textcat": ["A", "B"],
        "spancat": ["X", "Y"],
    }
    for name, names in labels.items():
        pipe: Any = nlp.add_pipe(name)
        for label in names:
            pipe.add_label(label)
    nlp.add_pipe("trainable_lemmatizer")
    doc = Doc(
        nlp.vocab, words=["Ann", "sings"], tags=["NN", "VB"], pos=["NOUN", "VERB"], morphs=["Number=Sing", ""],
        heads=[1, 1], deps=["nsubj", "ROOT"],
    )  # fmt: skip
    doc.ents = [Span(doc, 0, 1, label="PERSON")]
    doc.cats = {"A": 0.0, "B": 1.0}
    doc.spans["sc"] = [Span(doc, 0, 2, label="Y")]
    assert unpredicted_labels(nlp, nlp.pipe_names, [doc]) == {
        "tagger": [],
        "morphologizer": ["POS=ADP"],
        "parser": ["obj"],
        "ner": ["ORG"],
        "textcat": ["A"],
        "spancat": ["X"],
    }


PIECES = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "ann", "sing", "##s", "in", "."]


@pytest.fixture(scope="module")
def vocabulary(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("pieces") / "vocab.txt"
    path.write_text("\n".join(PIECES), encoding="utf8")
    return path


@pytest.fixture(scope="module")
def transformer(vocabulary: Path) -> Language:
    pytest.importorskip("spacy_transformers")
    transformers = pytest.importorskip("transformers")
    folder = vocabulary.parent / "bert"
    transformers.BertTokenizerFast(str(vocabulary)).save_pretrained(folder)
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    transformers.BertModel(transformers.BertConfig(vocab_size=len(PIECES), **sizes)).save_pretrained(folder)
    nlp = spacy.blank("en")
    nlp.add_pipe("transformer", config={"model": {"name": str(folder)}})
    nlp.initialize()
    return nlp


@pytest.fixture(scope="module")
def curated_transformer(vocabulary: Path) -> Language:
    pytest.importorskip("spacy_curated_transformers")
    encoder = {"@architectures": "spacy-curated-transformers.BertWordpieceEncoder.v1"}
    sizes = {"hidden_width": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_width": 32}
    model = {"@architectures": "spacy-curated-transformers.BertTransformer.v1", "vocab_size": len(PIECES)}
    spans = {"@architectures": "spacy-curated-transformers.WithStridedSpans.v1"}
    nlp = spacy.blank("en")
    nlp.add_pipe(
        "curated_transformer", config={"model": {**model, **sizes, "piece_encoder": encoder, "with_spans": spans}}
    )
    loader = {"@model_loaders": "spacy-curated-transformers.WordpieceLoader.v1", "path": str(vocabulary)}
    nlp.config["initialize"]["components"]["curated_transformer"] = {"piecer_loader": loader}
    nlp.initialize()
    return nlp


@pytest.mark.parametrize("name", ["transformer", "curated_transformer"])
def test_unknown_pieces(name: str, request: pytest.FixtureRequest) -> None:
    nlp = request.getfixturevalue(name)
    nlp.get_pipe(name).model.attrs.update(lowercase=True)
    vocab = spacy.blank("en").vocab
    docs = [Doc(vocab, words=["ann", "sings", "in", "Oslo", "."]), Doc(vocab, words=["ann", "\n", "ann", "ümläut"])]
    found = measure_coverage(nlp, docs)
    assert found is not None
    assert (found.known_by, found.words, found.units, found.unknown) == ("pieces", 8, 9, 2)
    assert found.share_unknown == pytest.approx(2 / 9)


def test_words_without_a_vector() -> None:
    nlp = spacy.blank("en")
    # Of another vocabulary, whose words the teacher's does not hold.
    docs = [Doc(spacy.blank("en").vocab, words=["Ann", "sings", "\n", "well"])]
    assert measure_coverage(nlp, docs) is None
    nlp.vocab.set_vector("sings", numpy.array([1.0, 2.0], dtype="float32"))
    found = measure_coverage(nlp, docs)
    assert found is not None
    assert (found.known_by, found.units, found.unknown) == ("vectors", 3, 2)


@pytest.mark.parametrize(("words", "unknown", "is_warned"), [(800, 0, False), (800, 15, True), (300, 0, True)])
def test_text_that_the_teacher_does_not_know_is_warned_of(
    words: int, unknown: int, is_warned: bool, capsys: pytest.CaptureFixture
) -> None:
    debug_command._print_coverage(Coverage("pieces", words=words, units=1000, unknown=unknown))
    said = " ".join(capsys.readouterr().out.split())
    assert f"{unknown / 1000:.2%} of the texts' 1,000 word pieces" in said
    assert f"{1000 / words:.2f} pieces" in said
    assert ("probably not trained for such text" in said) is is_warned


@given(lengths=st.lists(st.integers(1, 9), max_size=60), size=st.integers(1, 20))
def test_a_sample_is_of_all_texts_and_all_are_counted(lengths: list[int], size: int) -> None:
    examples: Any = [SimpleNamespace(number=i, predicted="x" * length) for i, length in enumerate(lengths)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dataset, "SAMPLE", size)
        texts = dataset.draw_texts(examples)
    numbers = [example.number for example in texts.sample]
    assert (texts.count, texts.words) == (len(lengths), sum(lengths))
    assert len(set(numbers)) == len(numbers) == min(size, len(lengths))
    assert numbers == list(range(len(lengths))) or len(lengths) > size


def test_no_part_of_the_texts_is_left_out_of_a_sample() -> None:
    examples: Any = [SimpleNamespace(number=i, predicted="x") for i in range(10 * dataset.SAMPLE)]
    drawn = Counter(example.number // dataset.SAMPLE for example in dataset.draw_texts(examples).sample)
    # A hundred of each tenth; by chance, with a standard deviation of 9.5.
    assert all(50 < drawn[tenth] < 150 for tenth in range(10))


@given(updates=st.integers(1, 200), frequency=st.integers(1, 50))
def test_evaluations_are_counted_as_the_loop_makes_them(updates: int, frequency: int) -> None:
    made = sum(step % frequency == 0 or step == updates - 1 for step in range(updates))
    assert forecast._count_evaluations(updates, frequency) == made


@pytest.mark.parametrize("with_dev", [False, True])
@pytest.mark.parametrize("with_texts", [False, True])
def test_words_are_counted_as_they_are_recorded(
    with_texts: bool, with_dev: bool, teacher_path: Path, config_path: Path, tmp_path: Path
) -> None:
    overrides: dict[str, Any] = {"paths.gold": str(write_gold(tmp_path / "gold.spacy", TEXTS[:20]))}
    overrides["paths.distill"] = str(write_texts(tmp_path / "texts.txt", TEXTS[20:])) if with_texts else None
    if with_dev:
        overrides["paths.dev"] = str(write_gold(tmp_path / "dev.spacy", TEXTS[:5]))
    run = Run(teacher_path, None, config_path, {**overrides, "distillation.hold_out": 0.25}, -1).prepare()
    counted = run.dataset.count_words()
    recorded: Counter = Counter()
    for item in run.dataset.list_records():
        recorded[item.role] += len(item)
    assert counted == {role: recorded[role] for role in counted}
