"""What the workflows' scripts make of data, and that project.yml names what there is."""

import re
import shutil
import subprocess
import sys

import pytest
import spacy
import srsly
from hypothesis import given, settings
from hypothesis import strategies as st
from spacy.cli.project.run import project_run
from spacy.cli.train import train
from spacy.tokens import DocBin
from spacy.util import import_file, load_config, load_model_from_config

from helpers.paths import ROOT

SST2 = ROOT.parent / "shared" / "data" / "sst2"

PROJECT = srsly.read_yaml(ROOT / "project.yml")


def script(name):
    return import_file(name, ROOT / "scripts" / f"{name}.py")


def read_docs(path):
    return list(DocBin().from_disk(path).get_docs(spacy.blank("en").vocab))


# SST-2


def test_sst2(tmp_path):
    train = "it 's a film i wo n't forget , ever\t1\nno\t0\nit 's ... long , -lrb- very -rrb- long\t0\nno\t0"
    (tmp_path / "train.tsv").write_text(train, encoding="utf8")
    (tmp_path / "dev.tsv").write_text("très bon\t1\n", encoding="utf8")
    output = tmp_path / "corpus" / "sst2"
    script("sst2").main(tmp_path, output)
    docs = read_docs(output / "train.spacy")
    assert [doc.cats for doc in docs] == [{"NEGATIVE": 1.0 - is_good, "POSITIVE": is_good} for is_good in (1, 0, 0, 0)]
    assert [doc.text for doc in docs] == [line.split("\t")[0] for line in train.split("\n")]
    assert [token.text for token in docs[0]] == ["it", "'s", "a", "film", "i", "wo", "n't", "forget", ",", "ever"]
    # Each once, and none of dev.
    assert list(srsly.read_jsonl(output / "distill.jsonl")) == [{"text": docs[i].text} for i in (0, 1, 2)]
    (doc,) = read_docs(output / "dev.spacy")
    assert (doc.text, doc.cats["POSITIVE"]) == ("très bon", 1.0)


# With characters at which `str.splitlines` would end a line.
sentences = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\n\r"), min_size=1).filter(str.strip)


@given(rows=st.lists(st.tuples(sentences, st.sampled_from([0, 1])), min_size=1))
@settings(deadline=None, max_examples=50)
def test_sst2_of_any_sentences(rows, tmp_path_factory):
    sst2 = script("sst2")
    path = tmp_path_factory.mktemp("sst2") / "train.tsv"
    path.write_text("".join(f"{text}\t{number}\n" for text, number in rows), encoding="utf8")
    assert list(sst2.read(path)) == [(text.strip(), sst2.LABELS[number]) for text, number in rows]


@pytest.mark.skipif(not SST2.is_dir(), reason=f"needs {SST2}")
def test_the_sentences_of_sst2_are_tokenized_as_they_are_written():
    texts = [text for text, _ in script("sst2").read(SST2 / "dev.tsv")]
    assert len(texts) == 872
    nlp = spacy.blank("en")
    same = sum([token.text for token in nlp.make_doc(text)] == text.split() for text in texts)
    # But for two backquotes and the like.
    assert same > 0.95 * len(texts)


# Raw text


def test_snippets(tmp_path):
    files = {"goods": ["Good &amp; cheap .", "Bad ."], "news": ["Rain .", "Bad ."], "films": ["Dull ."]}
    for name, texts in files.items():
        lines = ["id\tsentiment\ttext", *(f"{i}\t0.5\t{text}" for i, text in enumerate(texts))]
        (tmp_path / f"{name}.txt").write_text("\n".join(lines), encoding="utf8")
    command = [sys.executable, ROOT / "scripts" / "snippets.py", tmp_path / "raw" / "raw.jsonl"]
    command += [tmp_path / "goods.txt", tmp_path / "news.txt"]
    subprocess.run(command, check=True, capture_output=True)
    rows = list(srsly.read_jsonl(tmp_path / "raw" / "raw.jsonl"))
    assert [row["text"] for row in rows] == ["Good & cheap .", "Bad .", "Rain ."]


def test_text_is_gathered_and_nothing_of_an_earlier_time_stays(tmp_path):
    (tmp_path / "more").mkdir()
    for name in ("a.txt", "more/a.txt", "b.txt"):
        (tmp_path / name).write_text(name)

    def gather(*names):
        command = [sys.executable, ROOT / "scripts" / "gather.py", "text", *names]
        subprocess.run(command, check=True, cwd=tmp_path)
        return {file.read_text() for file in (tmp_path / "text").rglob("*.txt")}

    assert gather("a.txt", "more/a.txt") == {"a.txt", "more/a.txt"}
    assert gather("b.txt", "more") == {"b.txt", "more/a.txt"}


# Teachers


@pytest.mark.slow
def test_a_teacher_that_is_ready(tmp_path):
    """Also one that an earlier run of the same workflow has trained, or linked."""
    for name in ("first", "second"):
        spacy.blank("en", meta={"name": name}).to_disk(tmp_path / name)
    shutil.copytree(tmp_path / "first", tmp_path / "teacher" / "model-best")

    def take(ready):
        command = [sys.executable, ROOT / "scripts" / "teacher.py", "none.cfg", "teacher", ready]
        subprocess.run(command, check=True, cwd=tmp_path, capture_output=True)
        return spacy.load(tmp_path / "teacher" / "model-best").meta["name"]

    assert take("teacher/model-best") == "first"
    assert take("second") == "second"
    assert take("teacher/model-best") == "second"
    assert take("first") == "first"


# The controls


def test_the_control_of_a_student_that_was_made_in_an_earlier_stage(tmp_path):
    """It has the first stage's architecture and its own pieces, and weights that nobody's layers were in."""
    pytest.importorskip("torch", reason="needs the extra [tiny-transformer]")
    doc = spacy.blank("en")("What is a tiny transformer ?")
    doc.cats = {"ABBR": 0.0, "DESC": 1.0}
    DocBin(docs=[doc, doc], store_user_data=True).to_disk(tmp_path / "gold.spacy")
    srsly.write_jsonl(tmp_path / "texts.jsonl", [{"text": doc.text}])
    paths = {f"paths.{name}": str(tmp_path / "gold.spacy") for name in ("gold", "dev")}
    few = {"distillation.max_steps": 2, "training.eval_frequency": 1}
    for stage, overrides in (("layers", {"paths.pieces": str(tmp_path / "texts.jsonl")}), ("predictions", paths | few)):
        config = load_config(ROOT / "configs" / f"mixed-vocab-{stage}.cfg", overrides=overrides)
        config.to_disk(tmp_path / f"{stage}.cfg")
    output = tmp_path / "gold.cfg"
    script("gold_only").main(tmp_path / "predictions.cfg", output, first=tmp_path / "layers.cfg")
    assert "after_init" not in load_config(output)["initialize"]
    train(output, tmp_path / "gold")
    nlp = spacy.load(tmp_path / "gold" / "model-last")
    assert "distillation" not in nlp.config
    assert set(nlp("What is it ?").cats) == {"ABBR", "DESC"}


# The project


@pytest.mark.parametrize("workflow", PROJECT["workflows"])
def test_spacy_takes_the_project(tmp_path, capsys, workflow):
    """It has rules of its own, such as that no workflow has a command's name."""
    shutil.copy(ROOT / "project.yml", tmp_path)
    project_run(tmp_path, workflow, dry=True)
    said = re.findall(r"=+ (\S+) =+", capsys.readouterr().out)
    assert said == PROJECT["workflows"][workflow]


@pytest.mark.slow
def test_a_variable_is_any_path(tmp_path):
    """All but quotes and dollar signs, with which weasel itself cannot read a project (docs/faq.md)."""
    for part in ("project.yml", "scripts"):
        (tmp_path / part).symlink_to(ROOT / part)
    folder = tmp_path / "a b,[c]{d}%e#é"
    folder.mkdir()
    for name in ("wnut17train.conll", "emerging.dev.conll"):
        (folder / name).write_text("Ann\tB-person\nsings\tO\n\n", encoding="utf8")
    project_run(tmp_path, "corpus-wnut17", overrides={"vars.wnut_dir": folder.name})
    (doc,) = read_docs(tmp_path / "corpus" / "wnut17" / "train.spacy")
    assert [ent.text for ent in doc.ents] == ["Ann"]


def test_paths_in_commands_are_quoted():
    words = [word for command in PROJECT["commands"] for line in command.get("script", []) for word in line.split(" ")]
    paths = [word for word in words if re.search(r"vars\.(\w*(dir|text|model|teacher))}", word)]
    assert len(paths) > 15
    assert [path for path in paths if not re.fullmatch("'.*'", path)] == []


def test_the_workflows_hang_together():
    commands = {command["name"]: command for command in PROJECT["commands"]}
    assert len(commands) == len(PROJECT["commands"])
    fetched = {asset["dest"] for asset in PROJECT["assets"]}
    variables = PROJECT["vars"]

    def fill(text):
        return re.sub(r"\$\{vars\.(\w+)\}", lambda found: str(variables[found[1]]), text)

    for steps in PROJECT["workflows"].values():
        made = set(fetched)
        for name in steps:
            for path in map(fill, commands[name]["deps"]):
                is_made = any(path == other or path.startswith(f"{other}/") for other in made)
                assert is_made or (ROOT / path).exists(), f"{name}: {path}"
            made.update(map(fill, commands[name].get("outputs", [])))


def test_no_workflow_learns_on_what_it_is_scored_on():
    """VADER's film reviews are those of SST-2."""
    (corpus,) = [command for command in PROJECT["commands"] if command["name"] == "corpus-sst2"]
    assert PROJECT["vars"]["sst2_text"] in corpus["outputs"]
    assert not any("films" in line for line in corpus["script"])


@pytest.mark.parametrize("path", sorted((ROOT / "configs").glob("teacher-*.cfg")), ids=lambda path: path.stem)
def test_the_teachers_configs_name_what_there_is(path):
    pytest.importorskip("spacy_transformers", reason="needs the extra [transformers]")
    config = load_config(path, interpolate=True)
    nlp = load_model_from_config(config, auto_fill=True)
    assert nlp.pipe_names == config["nlp"]["pipeline"]
