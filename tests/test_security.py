"""Nothing is let in: what somebody else made cannot run code, write elsewhere, or reach a page but as text."""

import ast
import io
import json
import pickle
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from html import unescape
from pathlib import Path

import pytest
import spacy

import spacy_tinydistill
from helpers.pages import Elements
from helpers.paths import ROOT
from helpers.tiny_teacher import LANGUAGE, MODELS, TEXTS, make_teacher
from spacy_tinydistill import distill
from spacy_tinydistill.errors import DistillationError
from spacy_tinydistill.report.report import Report
from spacy_tinydistill.student.config import student_config
from spacy_tinydistill.student.pipeline import save_student
from spacy_tinydistill.targets.folder import Folder
from spacy_tinydistill.targets.store import PENDING

PACKAGE = Path(spacy_tinydistill.__file__).parent

# Code in the sources

# What runs code that is in a file, or writes such files.
MODULES = {"pickle", "cloudpickle", "dill", "joblib", "marshal", "shelve", "yaml", "ruamel", "runpy", "code", "imp"}
CALLS = {"eval", "exec", "compile", "__import__"}
DANGEROUS = {
    "import_file",
    "import_module",
    "read_pickle",
    "pickle_loads",
    "pickle_dumps",
    "yaml_loads",
    "read_yaml",
    "system",
    "popen",
}

# Files that a person named on the command line with --code.
IMPORTS_CODE = {
    # The modules of its own public names.
    "__init__.py": {"import_module"},
    "user_code.py": {"import_file"},
    "report/worker.py": {"import_file"},
    # A language's example sentences, out of spaCy itself.
    "web/selftest.py": {"import_module"},
}


def find_dangers(source: str, allowed: set[str] = frozenset()) -> Iterator[str]:
    """What in a source could run code out of a file."""
    for node in ast.walk(ast.parse(source)):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name.partition(".")[0] for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [(node.module or "").partition(".")[0]]
            yield from (alias.name for alias in node.names if alias.name in DANGEROUS - allowed)
        yield from (name for name in names if name in MODULES)
        if not isinstance(node, ast.Call):
            continue
        keywords = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
        called = ast.unparse(node.func)
        name = called.rpartition(".")[2]
        if called in CALLS or name in DANGEROUS - allowed:
            yield called
        if called == "torch.load" and keywords.get("weights_only") != "True":
            yield called
        for keyword, harmless in (("shell", "False"), ("allow_pickle", "False"), ("trust_remote_code", "False")):
            if keywords.get(keyword, harmless) != harmless:
                yield f"{called}({keyword})"


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "from pickle import loads",
        "import yaml.loader",
        "eval(text)",
        "exec(compile(text, '', 'exec'))",
        "srsly.read_pickle(path)",
        "from srsly import pickle_loads",
        "importlib.import_module(name)",
        "spacy.util.import_file('a', path)",
        "torch.load(path)",
        "torch.load(path, weights_only=False)",
        "numpy.load(path, allow_pickle=True)",
        "subprocess.run(command, shell=True)",
        "os.system(command)",
        "AutoModel.from_pretrained(name, trust_remote_code=settings.trust)",
    ],
)
def test_dangers_are_found(source: str) -> None:
    """Else that none is found would show nothing."""
    assert list(find_dangers(source))


@pytest.mark.parametrize(
    "source", ["re.compile(text)", "torch.load(path, weights_only=True)", "numpy.load(path)", "subprocess.run(command)"]
)
def test_what_is_no_danger(source: str) -> None:
    assert not list(find_dangers(source))


def test_nothing_in_the_package_runs_code_out_of_a_file() -> None:
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        name = path.relative_to(PACKAGE).as_posix()
        found[name] = list(find_dangers(path.read_text(encoding="utf8"), IMPORTS_CODE.get(name, set())))
    assert len(found) > 40
    assert not {name: dangers for name, dangers in found.items() if dangers}


def test_templates_escape_everything() -> None:
    templates = list(PACKAGE.rglob("*.jinja"))
    assert templates
    for path in templates:
        assert not re.search(r"\|\s*safe\b|autoescape", path.read_text(encoding="utf8"))


class Evil:
    """Says that it has been unpickled."""

    def __reduce__(self) -> tuple:
        return (print, ("unpickled",))


def test_the_weights_of_a_teacher_are_no_pickle(capsys: pytest.CaptureFixture) -> None:
    """spacy-transformers and Thinc leave it to PyTorch, which is safe from 2.6 on; see setup.cfg."""
    torch = pytest.importorskip("torch")
    with pytest.raises(pickle.UnpicklingError):
        torch.load(io.BytesIO(pickle.dumps(Evil())))
    assert "unpickled" not in capsys.readouterr().out


# Hugging Face


@pytest.mark.parametrize("place", ["transformer_config", "tokenizer_config"])
def test_no_model_brings_code_of_its_own(place: str, tmp_path: Path) -> None:
    teacher = make_teacher("tagger")
    config = student_config(teacher, size="nano")
    architecture = {"@architectures": "spacy-transformers.TransformerModel.v3", "name": "somebody/model"}
    config["components"]["tok2vec"] = {
        "factory": "transformer",
        "model": {**architecture, place: {"trust_remote_code": True}},
    }
    with pytest.raises(DistillationError) as caught:
        distill(teacher, TEXTS, output=tmp_path, config=config)
    assert caught.value.code == "TD017"
    assert f"components.tok2vec.model.{place}.trust_remote_code" in str(caught.value)


def test_weights_are_fetched_as_safetensors() -> None:
    for path in [*ROOT.glob("configs/*.cfg"), *ROOT.glob("scripts/*.py"), ROOT / "project.yml", *PACKAGE.rglob("*.py")]:
        text = path.read_text(encoding="utf8")
        assert "use_safetensors" not in text
        assert "pytorch_model" not in text
    assert "model.safetensors" in (ROOT / "scripts" / "fetch_assets.py").read_text(encoding="utf8")


# Links


@pytest.mark.parametrize("link", ["model-last", "model-last.new", "model-last.old"])
def test_a_student_is_not_written_through_a_link(link: str, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "thesis.txt").write_text("years of work")
    (tmp_path / link).symlink_to(outside)
    save_student(spacy.blank(LANGUAGE), tmp_path / "model-last", [])
    assert [path.name for path in outside.iterdir()] == ["thesis.txt"]
    assert not (tmp_path / "model-last").is_symlink()
    spacy.load(tmp_path / "model-last")


def test_a_folder_of_a_store_that_is_a_link(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "thesis.txt").write_text("years of work")
    store = tmp_path / "store"
    store.mkdir()
    (store / PENDING).symlink_to(outside)
    Folder(store).remove(PENDING)
    assert [path.name for path in outside.iterdir()] == ["thesis.txt"]
    assert not list(store.iterdir())


# The report

HOSTILE = "<script>alert(1)</script>"
# What can be the name of a pipe, of a file, or of a folder.
NAME = "<img src=x onerror=alert(1)>"


def test_a_report_shows_hostile_texts_labels_and_names_as_text(tmp_path: Path) -> None:
    """By a whole run: the texts, labels, pipes, meta and folders are hostile."""
    nlp = spacy.blank(LANGUAGE)
    for kind in ("tagger", "ner", "textcat"):
        pipe = nlp.add_pipe(kind, name=f"{kind}{NAME}", config={"model": MODELS[kind]})
        for label in ("A", "B"):
            pipe.add_label(f"{HOSTILE}{label}")
    nlp.initialize()
    nlp.meta["name"], nlp.meta["author"], nlp.meta["license"] = NAME, HOSTILE, HOSTILE
    output = tmp_path / NAME
    overrides = {"distillation.max_steps": 2, "training.eval_frequency": 2, "distillation.hold_out": 0.5}
    texts = [f"{HOSTILE} {name} sings" for name in ("Ann", "Bob", "Zoé", "Max")]
    distill(nlp, texts, output=output, config=student_config(nlp, size="nano"), overrides=overrides)
    report = json.loads((output / "report.json").read_text(encoding="utf8"))
    assert HOSTILE in json.dumps(report["disagreements"]) + json.dumps(report["labels"])
    pages = [(output / "report.html").read_text(encoding="utf8")]
    pages.append(Elements(Report(report)._repr_html_()).page)
    for page in pages:
        elements = Elements(page)
        assert not {tag for tag, _ in elements.found} & {"script", "img"}
        assert not [name for _, names in elements.found for name in names if name.startswith("on")]
        assert HOSTILE in "".join(elements.text)
        assert NAME in "".join(elements.text)
        assert HOSTILE in unescape(page)


# The package


def requirements() -> Iterator[tuple[str, str]]:
    """Each requirement in setup.cfg, with the comment above it."""
    comment = ""
    for line in (ROOT / "setup.cfg").read_text(encoding="utf8").splitlines():
        if line.startswith("    #"):
            comment += line
            continue
        if re.fullmatch(r"    [\w.-]+(\[[\w,]+\])?([<>=!~]\S+)?", line):
            yield line.strip(), comment
        comment = ""


def test_each_dependency_has_bounds() -> None:
    """A lower and an upper one; or it is said why not."""
    found = {line: comment for line, comment in requirements() if not line.startswith("spacy-tinydistill[")}
    assert len(found) > 20
    for line, comment in found.items():
        assert ">=" in line, line
        assert "<" in line or "no upper bound" in comment, line
    build = re.search(r"requires = \[(.*)\]", (ROOT / "pyproject.toml").read_text(encoding="utf8"))
    assert build
    assert all(">=" in part and "<" in part for part in re.findall(r'"(.*?)"', build[1]))


@pytest.mark.slow
def test_the_wheel_is_built_without_a_network(tmp_path: Path) -> None:
    alone = ["unshare", "--map-root-user", "--net"]
    if shutil.which("unshare") is None or subprocess.run([*alone, "true"], capture_output=True).returncode:
        pytest.skip("no process can be cut off from the network here: unshare --net is not there or not allowed")
    for module in ("setuptools", "wheel"):
        pytest.importorskip(module)
    # setuptools leaves files beside what it builds.
    source = tmp_path / "source"
    shutil.copytree(PACKAGE, source / PACKAGE.name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("setup.cfg", "setup.py", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    command = [*alone, sys.executable, "-m", "pip", "wheel", source, "--no-deps", "--no-build-isolation"]
    done = subprocess.run([*command, "--wheel-dir", tmp_path], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    (wheel,) = tmp_path.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    sources = {path.relative_to(ROOT).as_posix() for path in PACKAGE.rglob("*") if path.suffix in (".py", ".jinja")}
    assert {"spacy_tinydistill/py.typed", *sources} <= set(names)
