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
from tiny_teacher import LABELS, LANGUAGE, TEXTS, make_teacher, write_gold, write_texts
from typer.testing import CliRunner

from spacy_tinydistill import api, forecast, preflight, run
from spacy_tinydistill.cli import debug as debug_command
from spacy_tinydistill.files import bytes_on_disk
from spacy_tinydistill.run import list_records
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
    ready = preflight.check(teacher_path, config, overrides=overrides)
    assert isinstance(ready, preflight.Ready), ready
    return forecast.forecast(ready)


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
    assert "patience decides how many" in said
    assert "Time in all" not in said


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
    assert "The labels will be found in what the teacher writes" in said


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
    assert ("hardly trained for such text" in said) is is_warned


@given(lengths=st.lists(st.integers(1, 9), max_size=60), size=st.integers(1, 20))
def test_a_sample_is_of_all_texts_and_all_are_counted(lengths: list[int], size: int) -> None:
    examples: Any = [SimpleNamespace(number=i, predicted="x" * length) for i, length in enumerate(lengths)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run, "SAMPLE", size)
        sample, n_texts, n_words = run._draw(examples)
    numbers = [example.number for example in sample]
    assert (n_texts, n_words) == (len(lengths), sum(lengths))
    assert len(set(numbers)) == len(numbers) == min(size, len(lengths))
    assert numbers == list(range(len(lengths))) or len(lengths) > size


def test_no_part_of_the_texts_is_left_out_of_a_sample() -> None:
    examples: Any = [SimpleNamespace(number=i, predicted="x") for i in range(10 * run.SAMPLE)]
    drawn = Counter(example.number // run.SAMPLE for example in run._draw(examples)[0])
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
    ready = preflight.check(teacher_path, config_path, overrides={**overrides, "distillation.hold_out": 0.25})
    assert isinstance(ready, preflight.Ready), ready
    counted = forecast._count_words(ready.run)
    recorded: Counter = Counter()
    for item in list_records(ready.run):
        recorded[item.role] += len(item)
    assert counted == {role: recorded[role] for role in counted}
