"""The pages: their commands run, what is made from the sources is up to date, and what they name is there."""

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import pytest
import srsly
from conftest import train_teacher
from generator import make_docs
from markdown_it import MarkdownIt
from markdown_it.token import Token
from spacy.cli._util import app
from spacy.language import Language
from spacy.tokens import DocBin
from spacy.training import Example
from spacy.util import import_file, registry
from test_report import without_timing  # noqa: F401
from thinc.api import Config
from tiny_teacher import ENCODER, TEXTS, VERBS, annotate_gold, make_teacher, write_gold, write_texts
from typer.testing import CliRunner

from spacy_tinydistill.errors import MESSAGES
from spacy_tinydistill.schemas import DistillationConfig
from spacy_tinydistill.student.config import student_config

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "spacy_tinydistill"
PAGES = {str(path.relative_to(ROOT)): path for path in [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")]}

# Above a block that CI cannot run, with the reason.
NOT_RUN = re.compile(r"<!-- not run in CI: (.+) -->")

# Each such block, by its first line.
EXCEPTIONS = {
    "README.md": [
        "make distill   # MiniLM learns to classify questions (TREC), then teaches a tiny student; the wheel is in "
        "packages/",
        "source .venv/bin/activate",
        'pip install "spacy-tinydistill[transformers]" build',
    ],
    "CONTRIBUTING.md": [
        "make test     # A virtual environment in .venv, then style, types and all tests",
        ".venv/bin/python -m pytest tests/test_losses.py -k temperature",
    ],
    "docs/guide.md": [
        'pip install "spacy-tinydistill[transformers]" build',
        'pip install "spacy-tinydistill[ray]"',
        "pip install ./*/dist/*.whl",
    ],
    "docs/teachers.md": [
        'pip install "spacy-tinydistill[llm]"',
        'pip install "spacy-tinydistill[huggingface]"',
    ],
}

# Records of runs that took hours, or of what only a machine of one's own shows; other tests try their scripts.
RECORDS = ("docs/benchmarks.md", "docs/reliability.md")


@dataclass
class Block:
    """A block of commands on a page."""

    language: str
    text: str
    reason: str | None  # Why it is not run


def blocks_of(page: str) -> list[Block]:
    blocks = []
    before: Token | None = None
    for token in parse(page):
        if token.type == "fence" and token.info in ("bash", "console", "python"):
            said = NOT_RUN.fullmatch(before.content.strip()) if before and before.type == "html_block" else None
            blocks.append(Block(token.info, token.content, said and said[1]))
        before = token
    return blocks


def parse(page: str) -> list[Token]:
    return MarkdownIt("commonmark").enable("table").parse(PAGES[page].read_text(encoding="utf8"))


# The commands


def in_readme(folder: Path) -> None:
    make_teacher().to_disk(folder / "en_core_web_trf")
    write_json_lines(folder / "texts.jsonl")
    write_gold(folder / "dev.spacy")


def in_guide(folder: Path) -> None:
    # One with an encoder, to make word vectors of.
    teacher = train_teacher(["tagger"], count=20, epochs=1)
    teacher.to_disk(folder / "my_teacher")
    write_json_lines(folder / "texts.jsonl")
    DocBin(docs=make_docs(teacher.vocab, 10, seed=2)).to_disk(folder / "dev.spacy")


def in_own_component(folder: Path) -> None:
    (folder / "own_component.py").write_bytes((ROOT / "examples" / "own_component.py").read_bytes())
    import_file("python_code", folder / "own_component.py")
    teacher = make_teacher("tagger")
    model = {"@architectures": "example.TextNumber.v1", "tok2vec": ENCODER}
    pipe = teacher.add_pipe("sentiment", config={"model": model})
    examples = [annotate_sentiment(teacher, text) for text in TEXTS]
    pipe.initialize(lambda: examples)
    optimizer = teacher.create_optimizer()
    optimizer.learn_rate = 0.01
    for _ in range(20):
        pipe.update(examples, sgd=optimizer)
    teacher.to_disk(folder / "my_teacher")
    write_json_lines(folder / "texts.jsonl")


def annotate_sentiment(nlp: Language, text: str) -> Example:
    example = annotate_gold(nlp, text)
    example.reference.sentiment = float(VERBS[text.split()[1]] == "GLAD")
    return example


# What `spacy init fill-config --distillation` of spaCy 4.0.0.dev3 writes.
V4 = """
[paths]
raw_text = null

[distillation]
corpus = "corpora.distillation"
dropout = 0.1
max_epochs = 1
max_steps = 0
student_to_teacher = {}

[distillation.batcher]
@batchers = "spacy.batch_by_words.v1"
size = 3000
discard_oversize = false
tolerance = 0.2

[distillation.optimizer]
@optimizers = "Adam.v1"
beta1 = 0.9
beta2 = 0.999
L2_is_weight_decay = true
L2 = 0.01
grad_clip = 1.0
use_averages = true
eps = 1e-8
learn_rate = 1e-4

[corpora]

[corpora.distillation]
@readers = "spacy.PlainTextCorpus.v1"
path = ${paths.raw_text}
min_length = 0
max_length = 0
"""


def in_from_spacy_v4(folder: Path) -> None:
    teacher = make_teacher()
    teacher.to_disk(folder / "my_teacher")
    write_texts(folder / "texts.txt")
    v4 = Config().from_str(V4, interpolate=False)
    config = student_config(teacher, size="nano")
    config["training"].pop("max_steps")
    config["distillation"] = v4["distillation"]
    del config["corpora"]["distill"], config["corpora"]["gold"]
    config.merge(v4).to_disk(folder / "v4.cfg")


def in_sizes(folder: Path) -> None:
    make_teacher().to_disk(folder / "my_teacher")


def in_teachers(folder: Path) -> None:
    for i in (1, 2):
        make_teacher(updates=5 * i).to_disk(folder / f"teacher_{i}")
    write_json_lines(folder / "texts.jsonl")


def in_web(folder: Path) -> None:
    train_teacher(["tagger"], count=5, epochs=1).to_disk(folder / "my_student")


def write_json_lines(path: Path) -> None:
    srsly.write_jsonl(path, [{"text": text} for text in TEXTS])


# What a page says that the reader has.
SUPPLIED: dict[str, Callable[[Path], None]] = {
    "README.md": in_readme,
    "docs/guide.md": in_guide,
    "docs/own-component.md": in_own_component,
    "docs/from-spacy-v4.md": in_from_spacy_v4,
    "docs/sizes.md": in_sizes,
    "docs/teachers.md": in_teachers,
    "docs/web.md": in_web,
}


def run(page: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run a page's blocks in their order, in a folder that has what the page says."""
    SUPPLIED[page](folder)
    monkeypatch.chdir(folder)
    monkeypatch.syspath_prepend(folder)
    names: dict[str, object] = {}
    for block in blocks_of(page):
        if block.reason:
            continue
        if block.language == "python":
            exec(compile(block.text, page, "exec"), names)
            continue
        commands = [shlex.split(line, comments=True) for line in block.text.replace("\\\n", " ").splitlines()]
        if all(command[:3] == ["python", "-m", "spacy"] for command in commands):
            for command in commands:
                run_here(command[3:])
        else:
            subprocess.run(["bash", "-euo", "pipefail", "-c", block.text], check=True)


def run_here(arguments: list[str]) -> None:
    """Run a command of spaCy in this process: one of its own would import PyTorch first, which takes seconds."""
    registry.cli.get_all()
    result = CliRunner().invoke(app, arguments)
    if result.exit_code:
        raise AssertionError(f"{shlex.join(arguments)}\n{result.output}") from result.exception


@pytest.fixture(autouse=True)
def surroundings(monkeypatch: pytest.MonkeyPatch) -> None:
    # `spacy package` makes wheels with `build`, which would fetch setuptools, and else with what is installed.
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent), prepend=os.pathsep)


@pytest.fixture
def short_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Cut the runs that these pages show at their usual length, by spaCy's own way to set values from outside."""
    monkeypatch.setenv("SPACY_CONFIG_OVERRIDES", "--distillation.max_steps 8 --training.eval_frequency 4")


@pytest.mark.slow
@pytest.mark.usefixtures("without_timing", "short_runs")
def test_the_readme(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run("README.md", tmp_path, monkeypatch)
    assert [path.name for path in tmp_path.glob("*/dist/*.whl")] == ["xx_core_web_tiny-0.0.0-py3-none-any.whl"]


@pytest.mark.slow
@pytest.mark.usefixtures("without_timing", "short_runs")
def test_the_guide(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run("docs/guide.md", tmp_path, monkeypatch)
    assert [path.name for path in tmp_path.glob("*/dist/*.whl")] == ["en_my_student-1.0.0-py3-none-any.whl"]
    described = re.findall(r"^\| (`[^|]*`) \| ", PAGES["docs/guide.md"].read_text(encoding="utf8"), re.MULTILINE)
    named = {name for cell in described for name in re.findall(r"[\w.-]+", cell)}
    assert {path.name for path in (tmp_path / "student").iterdir()} <= named


@pytest.mark.slow
def test_a_component_of_ones_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run("docs/own-component.md", tmp_path, monkeypatch)
    assert srsly.read_json(tmp_path / "student/targets/manifest.json")["pipes"]["sentiment"]["rule"] == "Numbers"
    meta = srsly.read_json(tmp_path / "student/model-best/meta.json")
    # Half of the texts are sad, so that a student that says the same of all scores 0.5.
    assert meta["performance"]["sentiment_score"] > 0.8


@pytest.mark.slow
def test_a_config_of_spacy_v4(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run("docs/from-spacy-v4.md", tmp_path, monkeypatch)
    assert (tmp_path / "student" / "model-best").is_dir()


@pytest.mark.slow
def test_the_sizes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    run("docs/sizes.md", tmp_path, monkeypatch)
    sizes = [line.split() for line in capsys.readouterr().out.splitlines() if line.startswith(("mini", "tiny", "nano"))]
    assert [words[0] for words in sizes] == ["mini", "tiny", "nano"]
    figures = [[int(word.replace(",", "")) for word in words if word.replace(",", "").isdigit()] for words in sizes]
    assert figures == sorted(figures, reverse=True)


@pytest.mark.slow
def test_the_web(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run("docs/web.md", tmp_path, monkeypatch)
    described = re.findall(r"^\| `([\w.]+)/?` \| ", PAGES["docs/web.md"].read_text(encoding="utf8"), re.MULTILINE)
    assert {path.name for path in (tmp_path / "web_student").iterdir()} <= set(described)


@pytest.mark.slow
def test_several_teachers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run("docs/teachers.md", tmp_path, monkeypatch)
    shares = [
        [one["share"] for one in srsly.read_json(tmp_path / name / "model-best/meta.json")["distillation"]["teachers"]]
        for name in ("student", "from_stores")
    ]
    assert shares == [pytest.approx([2 / 3, 1 / 3]), [0.5, 0.5]]


def test_every_page_with_commands_is_run() -> None:
    runnable = {page for page in PAGES if page not in RECORDS for block in blocks_of(page) if not block.reason}
    assert runnable == set(SUPPLIED)


def test_the_blocks_that_are_not_run() -> None:
    left_out = {page: [block for block in blocks_of(page) if block.reason] for page in PAGES if page not in RECORDS}
    found = {page: [block.text.splitlines()[0] for block in blocks] for page, blocks in left_out.items() if blocks}
    assert found == EXCEPTIONS


def test_a_block_without_the_comment_is_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else that the pages run would show nothing."""
    page = tmp_path / "page.md"
    page.write_text("<!-- not run in CI: no -->\n```bash\nfalse\n```\n\n```bash\necho done > done\n```\n")
    monkeypatch.setitem(PAGES, "page.md", page)
    monkeypatch.setitem(SUPPLIED, "page.md", lambda folder: None)
    run("page.md", tmp_path, monkeypatch)
    assert (tmp_path / "done").read_text() == "done\n"
    page.write_text("```bash\nfalse\n```\n")
    with pytest.raises(subprocess.CalledProcessError):
        run("page.md", tmp_path, monkeypatch)
    page.write_text("```bash\npython -m spacy distill no_teacher no.cfg --output student\n```\n")
    with pytest.raises(AssertionError, match="TD005"):
        run("page.md", tmp_path, monkeypatch)


# The pages that are made from the sources


@pytest.mark.skipif(
    f"confection=={version('confection')}" not in (ROOT / "constraints.txt").read_text(encoding="utf8").splitlines(),
    reason="other versions of confection write a config's blocks in another order",
)
def test_the_config_page_is_what_the_sources_say() -> None:
    script = import_file("config_docs", ROOT / "scripts" / "config_docs.py")
    page = PAGES["docs/config.md"].read_text(encoding="utf8")
    assert page == script.make_page(), "run `make docs`"
    for key in DistillationConfig.model_fields:
        assert f"| `{key}` |" in page
    written = script.blocks_of(script.written_config())
    for name in written:
        if name.startswith(("corpora.", "distillation")):
            assert f"## `[{name}]`" in page


def test_every_error_is_on_its_page() -> None:
    script = import_file("troubleshooting_docs", ROOT / "scripts" / "troubleshooting_docs.py")
    page = PAGES["docs/troubleshooting.md"].read_text(encoding="utf8")
    assert page == script.make_page(page), "run `make docs`"
    assert re.findall(r"^### (TD\d+)$", page, re.MULTILINE) == sorted(MESSAGES)
    assert set(script.NOTES) <= set(MESSAGES)


# What the pages name


@pytest.mark.parametrize("page", sorted(PAGES))
def test_links_lead_somewhere(page: str) -> None:
    for link in links_of(page):
        if not link.startswith(("http://", "https://")):
            name, _, anchor = link.partition("#")
            target = (PAGES[page].parent / name).resolve() if name else PAGES[page]
            assert target.exists(), link
            if anchor:
                assert anchor in anchors_of(str(target.relative_to(ROOT))), link


def links_of(page: str) -> Iterator[str]:
    for token in parse(page):
        for child in token.children or []:
            if child.type == "link_open":
                yield str(child.attrs["href"])


def anchors_of(page: str) -> set[str]:
    """The anchors that GitHub gives the headings."""
    tokens = parse(page)
    headings = [tokens[i + 1].content for i, token in enumerate(tokens) if token.type == "heading_open"]
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", sorted(PAGES))
def test_errors_and_targets_that_are_named_exist(page: str) -> None:
    text = PAGES[page].read_text(encoding="utf8")
    assert set(re.findall(r"\bTD\d{3}\b", text)) <= set(MESSAGES)
    makefile = (ROOT / "Makefile").read_text(encoding="utf8")
    for target in re.findall(r"^make (\w+)|`make (\w+)", text, re.MULTILINE):
        assert re.search(rf"^{''.join(target)}:", makefile, re.MULTILINE), target


# The architecture


def test_every_module_has_a_row_and_every_row_a_module() -> None:
    named: set[Path] = set()
    for room in rooms_in_the_table():
        found = set(PACKAGE.glob(f"{room}**/*" if room.endswith("/") else room))
        assert found, room
        named |= found
    assert {path for path in PACKAGE.rglob("*.py") if path.name != "__init__.py"} <= named


def rooms_in_the_table() -> Iterator[str]:
    page = PAGES["docs/architecture.md"].read_text(encoding="utf8")
    for cell in re.findall(r"^\| (`[\w/*]+(?:\.py|/)`[^|]*) \|", page, re.MULTILINE):
        first, *others = re.findall(r"`([^`]+)`", cell)
        yield first
        # The first of a row names the folder of all.
        yield from (f"{first.rpartition('/')[0]}/{other}".removeprefix("/") for other in others)


def test_the_rooms_in_the_picture_exist() -> None:
    page = PAGES["docs/architecture.md"].read_text(encoding="utf8")
    (picture,) = re.findall(r"^```mermaid\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    rooms = re.findall(r'\["([^"]+)"\]|\[\("([^"]+)"\)\]', picture)
    assert len(rooms) > 5
    for room in map("".join, rooms):
        assert list(PACKAGE.glob(room)), room


def test_nothing_points_backwards_along_the_road() -> None:
    for rooms, ahead in (("teacher/*.py", "loop|student|report|api|run"), ("loop.py", "report|api|run")):
        for path in PACKAGE.glob(rooms):
            imports = re.findall(r"^\s*from \.+([\w.]*) import", path.read_text(encoding="utf8"), re.MULTILINE)
            assert not [name for name in imports if re.fullmatch(rf"({ahead})(\..*)?", name)], path
