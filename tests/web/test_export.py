"""A student in JavaScript says what it says in Python: in Node, in a browser, with WebAssembly and without."""

import gzip
import json
import os
import random
import re
import shutil
import subprocess
import threading
from collections.abc import Callable
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy
import pytest
import spacy
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from spacy.language import Language
from spacy.tokens import Doc
from spacy.training.initialize import load_vectors_into_model

import spacy_tinydistill.cli.export_web  # noqa: F401
from helpers.cnn_teacher import PIPES, train_teacher
from helpers.commands import assert_refused, invoke
from helpers.generator import make_docs, make_texts
from helpers.paths import ROOT
from helpers.reports import make_report
from helpers.students import initialized_student, randomize
from spacy_tinydistill.errors import DistillationError
from spacy_tinydistill.report.scores import Side
from spacy_tinydistill.rounding import PRECISIONS, round_weights
from spacy_tinydistill.student.config import student_config
from spacy_tinydistill.web.characters import END, FLAGS, Alphabet, flag_ranges, lower_case
from spacy_tinydistill.web.export import describe_student, export_web
from spacy_tinydistill.web.page import read_runtime
from spacy_tinydistill.web.regex import Translation, UntranslatableError
from spacy_tinydistill.web.selftest import answer
from spacy_tinydistill.web.selftest import make_texts as make_all_sorts

WEB = ROOT / "web"


def needs(program: str, package: str) -> pytest.MarkDecorator:
    """Skip a test where a program is missing, but not in CI."""
    missing = shutil.which(program) is None
    if missing and os.environ.get("CI") == "true":
        raise RuntimeError(f"CI needs {program}: apt-get install {package}")
    return pytest.mark.skipif(missing, reason=f"needs {program}: apt-get install {package}")


needs_node = needs("node", "nodejs")
needs_chromium = needs("chromium", "chromium")


def needs_packages() -> pytest.MarkDecorator:
    """Skip a test where what `web/` is built with is missing, but not in CI."""
    missing = shutil.which("npm") is None or not (WEB / "node_modules").exists()
    if missing and os.environ.get("CI") == "true":
        raise RuntimeError("CI needs web/node_modules: npm ci --prefix web")
    return pytest.mark.skipif(missing, reason="needs web/node_modules: npm ci --prefix web")


@pytest.fixture(scope="module")
def teacher() -> Language:
    return train_teacher(PIPES, count=40, epochs=2)


@pytest.fixture(scope="module")
def student(teacher: Language) -> Language:
    """All pipes as `init distill-config` writes them, with weights so large that all sorts of things are said."""
    student = initialized_student(teacher, PIPES)
    numbers = numpy.random.default_rng(0)
    for _, pipe in student.pipeline:
        randomize(pipe.model, numbers, scale=0.3)
    return student


@pytest.fixture(scope="module")
def texts(student: Language) -> list[str]:
    return [*make_texts(60, seed=5), *make_all_sorts(student)]


def compare(nlp: Language, texts: list[str], folder: Path, *flags: str, precision: Any = "float32") -> dict[str, Any]:
    """Compare what a pipeline says of texts in Node with what it says here; its weights are rounded by it."""
    (folder / "student.tdw").write_bytes(describe_student(nlp, precision))
    (folder / "answers.json").write_text(json.dumps(answer(nlp, texts)), encoding="utf8")
    command = ["node", str(WEB / "compare.mjs"), str(folder / "student.tdw"), str(folder / "answers.json"), *flags]
    result = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert result.returncode == 0, result.stderr[-2000:]
    return json.loads(result.stdout)


def copied(nlp: Language) -> Language:
    return spacy.blank(nlp.lang).from_config(nlp.config).from_bytes(nlp.to_bytes())


# The same answers


@needs_node
@pytest.mark.parametrize("precision", PRECISIONS)
def test_every_pipe_of_a_student_says_the_same(
    student: Language, texts: list[str], tmp_path: Path, precision: str
) -> None:
    nlp = copied(student)
    found = compare(nlp, texts, tmp_path, precision=precision)
    assert found["differences"] == []
    assert found["wasm"]
    assert found["tokens"] > 4000
    # It is no answer that all tokens are alike.
    docs = [nlp(text) for text in texts[:60]]
    tokens = [token for doc in docs for token in doc]
    assert all(len({getattr(token, name) for token in tokens}) > 3 for name in ("tag", "pos", "morph", "lemma", "dep"))
    assert len({ent.label for doc in docs for ent in doc.ents}) > 2
    assert any(token.head.i < token.i for token in tokens)
    assert any(token.head.i > token.i for token in tokens)
    assert len({max(doc.cats, key=doc.cats.__getitem__) for doc in docs}) > 1
    assert any(doc.spans["sc"] for doc in docs)
    assert any(doc.spans["sl"] for doc in docs)


@needs_node
def test_javascript_alone_says_the_same(student: Language, texts: list[str], tmp_path: Path) -> None:
    found = compare(copied(student), texts[::4], tmp_path, "--plain")
    assert found["differences"] == []
    assert not found["wasm"]


@needs_node
def test_encoders_of_their_own_and_states_without_an_upper_layer_say_the_same(
    teacher: Language, texts: list[str], tmp_path: Path
) -> None:
    names = ["ner", "parser"]
    nlp = initialized_student(teacher, names, shared=False, model={"use_upper": False, "maxout_pieces": 3})
    for i, (_, pipe) in enumerate(nlp.pipeline):
        randomize(pipe.model, numpy.random.default_rng(i), scale=0.3)
    assert compare(nlp, texts, tmp_path)["differences"] == []


@pytest.mark.slow
@needs_node
@pytest.mark.parametrize(("width", "density"), [(3, 0.0), (8, 0.01)])
def test_a_beam_finds_the_same(teacher: Language, texts: list[str], tmp_path: Path, width: int, density: float) -> None:
    """A teacher that searches with a beam has a student that does."""
    beams = spacy.blank("en")
    beams.add_pipe("sentencizer")
    for name in ("parser", "ner"):
        beams.add_pipe(f"beam_{name}", name=name, config={"beam_width": width, "beam_density": density})
        for label in teacher.get_pipe(name).labels:
            beams.get_pipe(name).add_label(label)
    beams.initialize()
    nlp = initialized_student(beams, ["parser", "ner"])
    assert [nlp.get_pipe_meta(name).factory for name in ("parser", "ner")] == ["beam_parser", "beam_ner"]
    for i, (_, pipe) in enumerate(nlp.pipeline):
        randomize(pipe.model, numpy.random.default_rng(i), scale=0.3)
    found = compare(nlp, texts, tmp_path)
    assert found["differences"] == []
    # Another width finds something else in some of them.
    for name in ("parser", "ner"):
        nlp.get_pipe(name).cfg["beam_width"] = 1
    narrow = answer(nlp, texts)
    assert narrow != json.loads((tmp_path / "answers.json").read_text(encoding="utf8"))


@needs_node
@pytest.mark.parametrize("settings", [{}, {"min_length": 2, "max_length": 4, "threshold": 0.4, "spans_key": "found"}])
def test_spans_are_found_and_categorized_the_same(texts: list[str], tmp_path: Path, settings: dict[str, Any]) -> None:
    nlp = spacy.blank("en")
    nlp.add_pipe("span_finder", config=settings)
    key = settings.get("spans_key", "sc")
    preset = {"@misc": "spacy.preset_spans_suggester.v1", "spans_key": key}
    nlp.add_pipe("spancat", config={"suggester": preset, "spans_key": "categorized"}).add_label("A")
    nlp.initialize()
    nlp = initialized_student(nlp, ["span_finder", "spancat"])
    for i, (_, pipe) in enumerate(nlp.pipeline):
        randomize(pipe.model, numpy.random.default_rng(i), scale=0.3)
    assert compare(nlp, texts, tmp_path)["differences"] == []
    docs = [nlp(text) for text in texts]
    assert len({len(span) for doc in docs for span in doc.spans[key]}) > 2
    assert any(doc.spans["categorized"] for doc in docs)


@needs_node
def test_a_teacher_that_is_a_cnn_says_the_same(teacher: Language, texts: list[str], tmp_path: Path) -> None:
    assert compare(copied(teacher), texts, tmp_path)["differences"] == []


RULER_PATTERNS = [
    {"label": "TEAM", "pattern": "Anna Weber"},
    {"label": "TEAM", "pattern": [{"LOWER": "acme"}], "id": "acme"},
    {"label": "TIME", "pattern": [{"LOWER": {"IN": ["monday", "friday"]}}]},
    {"label": "TIME", "pattern": [{"TEXT": {"REGEX": r"^\w+day$"}, "LENGTH": {">=": 7}}]},
    {"label": "RUN", "pattern": [{"IS_ALPHA": True, "OP": "+"}, {"IS_PUNCT": True}]},
    {"label": "GAP", "pattern": [{"SHAPE": "Xxxxx"}, {"OP": "?"}, {"SHAPE": "Xxxxx", "OP": "!"}, {"LOWER": "the"}]},
    {"label": "MANY", "pattern": [{"LOWER": "the"}, {"IS_ALPHA": True, "OP": "{1,3}"}, {"LOWER": {"NOT_IN": ["a"]}}]},
    {"label": "ANY", "pattern": [{"LOWER": "in", "OP": "?"}, {"IS_SPACE": False, "OP": "*"}, {"ORTH": "?"}]},
]


def add_rules(nlp: Language) -> None:
    """Rules before and behind the trained pipes."""
    nlp.add_pipe("sentencizer", first=True)
    early = nlp.add_pipe("entity_ruler", name="early", after="sentencizer")
    early.add_patterns([{"label": "NEW_LABEL", "pattern": "Maria"}, {"label": "PERSON", "pattern": "Oscar"}])
    attributes = nlp.add_pipe("attribute_ruler", before="ner")
    attributes.add([[{"TAG": "NN"}], [{"LOWER": "the"}, {}]], {"POS": "X", "LEMMA": "thing"})
    attributes.add([[{"POS": "X"}, {"OP": "?"}, {"IS_PUNCT": True}]], {"MORPH": "Case=Nom|Abbr=Yes", "TAG": "Z"}, -1)
    late = nlp.add_pipe("entity_ruler", name="late", config={"overwrite_ents": True, "phrase_matcher_attr": "LOWER"})
    late.add_patterns(RULER_PATTERNS[:4])
    spans = nlp.add_pipe("span_ruler", config={"spans_key": "ruler"})
    spans.add_patterns(RULER_PATTERNS)
    nlp.add_pipe("span_ruler", name="longest", config={
        "spans_key": "longest", "overwrite": False, "spans_filter": {"@misc": "spacy.first_longest_spans_filter.v1"},
        "annotate_ents": True, "ents_filter": {"@misc": "spacy.prioritize_existing_ents_filter.v1"},
    }).add_patterns(RULER_PATTERNS)  # fmt: skip


@needs_node
def test_rules_say_the_same(teacher: Language, texts: list[str], tmp_path: Path) -> None:
    nlp = initialized_student(teacher, ["tagger", "ner", "spancat"])
    for i, (_, pipe) in enumerate(nlp.pipeline):
        randomize(pipe.model, numpy.random.default_rng(i), scale=0.3)
    add_rules(nlp)
    found = compare(nlp, texts, tmp_path)
    assert found["differences"] == []
    docs = [nlp(text) for text in texts]
    assert {"NEW_LABEL", "TEAM", "TIME", "RUN"} <= {ent.label_ for doc in docs for ent in doc.ents}
    assert len({span.label_ for doc in docs for span in doc.spans["ruler"]}) > 5


@pytest.mark.slow
@needs_node
def test_static_vectors_say_the_same(teacher: Language, texts: list[str], tmp_path: Path) -> None:
    vectors = spacy.blank("en")
    numbers = numpy.random.default_rng(0)
    words = sorted({token.text for text in texts[:60] for token in vectors.make_doc(text)})
    for word in words[::2]:
        vectors.vocab.set_vector(word, numbers.normal(size=20).astype("float32"))
    vectors.to_disk(tmp_path / "vectors")
    config = student_config(teacher, size="nano", pipeline=["tagger"], vectors=str(tmp_path / "vectors"))
    nlp = spacy.util.load_model_from_config(config, auto_fill=True)
    load_vectors_into_model(nlp, tmp_path / "vectors")
    examples = [spacy.training.Example(nlp.make_doc(doc.text), doc) for doc in make_docs(nlp.vocab, 5, seed=0)]
    nlp.initialize(lambda: examples)
    for _, pipe in nlp.pipeline:
        randomize(pipe.model, numbers, scale=0.3)
    for precision in PRECISIONS:
        assert compare(copied(nlp), texts, tmp_path, precision=precision)["differences"] == []


@pytest.mark.slow
@needs_node
@pytest.mark.parametrize("lang", ["de", "fr", "es", "xx"])
def test_other_languages_split_texts_in_the_same_way(lang: str, tmp_path: Path) -> None:
    nlp = spacy.blank(lang)
    nlp.add_pipe("sentencizer")
    rules = sorted(nlp.tokenizer.rules)
    examples = [] if lang == "xx" else import_module(f"spacy.lang.{lang}.examples").sentences
    numbers = random.Random(lang)
    mixed = [" ".join(numbers.choices(rules, k=9)) for _ in range(40)]
    glued = ["".join(numbers.choices(rules + examples, k=5)) for _ in range(40)]
    found = compare(nlp, [*examples, *mixed, *glued, *make_all_sorts(nlp)], tmp_path)
    assert found["differences"] == []


@needs_node
def test_infixes_that_may_be_empty_are_found_as_python_finds_them(tmp_path: Path) -> None:
    nlp = spacy.blank("xx")
    nlp.tokenizer.infix_finditer = re.compile(r"(?<=[a-c])(?=[A-C])|-?|b??|c{2}").finditer
    numbers = random.Random(0)
    texts = ["".join(numbers.choices("abcABC-", k=12)) for _ in range(300)]
    found = compare(nlp, texts, tmp_path)
    assert found["differences"] == []
    assert found["tokens"] > 1500


# The command


@needs_node
def test_the_command_writes_a_student_that_says_the_same_as_the_one_beside_it(
    student: Language, tmp_path: Path
) -> None:
    student.to_disk(tmp_path / "student")
    result = invoke("export-web", tmp_path / "student", tmp_path / "web", "--precision", "int8")
    assert result.exit_code == 0, result.output
    assert {path.name for path in (tmp_path / "web").iterdir()} == {
        "student.tdw", "student", "selftest.json", "index.html",
    }  # fmt: skip
    rounded = spacy.load(tmp_path / "web" / "student")
    answers = json.loads((tmp_path / "web" / "selftest.json").read_text(encoding="utf8"))
    assert len(answers) == 200
    assert answers[::20] == answer(rounded, [answer["text"] for answer in answers[::20]])
    command = ["node", str(WEB / "compare.mjs"), str(tmp_path / "web/student.tdw"), str(tmp_path / "web/selftest.json")]
    found = json.loads(subprocess.run(command, capture_output=True, check=True, timeout=300).stdout)
    assert found["differences"] == []
    assert found["texts"] == 200
    # Rounded once more, it stays as it is.
    again = export_web(tmp_path / "web" / "student", tmp_path / "again", precision="int8")
    assert json.loads((again.parent / "selftest.json").read_text(encoding="utf8")) == answers


@needs_chromium
def test_the_page_does_the_self_test_without_a_network(student: Language, tmp_path: Path) -> None:
    student.to_disk(tmp_path / "student")
    export_web(tmp_path / "student", tmp_path / "web")
    page = open_in_chromium((tmp_path / "web/index.html").as_uri() + "#test", tmp_path / "profile")
    assert re.search(r'<span id="result"[^>]*>200 texts, \d+ tokens, 0 differences<', page), page[-3000:]
    assert re.search(r'<p id="time"[^>]*>\w+\. \d+ tokens in [\d.]+ ms', page)
    # Nothing is asked of anybody, and nothing could be: the policy allows no connection.
    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]+)"', page)
    assert policy
    assert policy[1].startswith("default-src 'none';")
    assert not re.search(r"""(src|href)=["']""", page)


@pytest.fixture(scope="module")
def report(student: Language, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a report of the student."""
    folder = tmp_path_factory.mktemp("report")
    student.to_disk(folder / "student")
    judge = spacy.load(folder / "student")
    annotated = [list(judge.pipe(make_texts(10, seed=5))) for _ in range(2)]
    make_report(judge, (Side(judge, annotated[0]), Side(judge, annotated[1])), folder)
    return folder


@needs_chromium
def test_a_report_may_have_the_student_to_try_in_it(report: Path, tmp_path: Path) -> None:
    before = (report / "report.html").read_text(encoding="utf8")
    assert "<script" not in before
    assert "script-src" not in before
    result = invoke("export-web", report / "student", tmp_path / "web", "--report", report)
    assert result.exit_code == 0, result.output
    page = open_in_chromium((report / "report.html").as_uri(), tmp_path / "profile")
    assert re.search(r'<p id="time"[^>]*>\w+\. \d+ tokens in [\d.]+ ms', page), page[-3000:]
    assert 'id="scores"' in page
    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]+)"', page)
    assert policy
    assert policy[1].startswith("default-src 'none'; style-src 'unsafe-inline'; script-src 'wasm-unsafe-eval' 'sha256-")
    assert "script-src 'unsafe-inline'" not in policy[1]


def test_a_report_of_another_student_is_left_as_it_is(report: Path, tmp_path: Path) -> None:
    nlp = spacy.blank("en")
    nlp.meta["name"] = "other"
    nlp.add_pipe("sentencizer")
    nlp.to_disk(tmp_path / "student")
    before = (report / "report.html").read_bytes()
    result = invoke("export-web", tmp_path / "student", tmp_path / "web", "--report", report)
    assert_refused(result, "TD713", "en_other", "en_pipeline")
    assert (report / "report.html").read_bytes() == before
    for text in ("{", "[]", '{"student": {"name": "en_other"}}'):
        (tmp_path / "report.json").write_text(text, encoding="utf8")
        result = invoke("export-web", tmp_path / "student", tmp_path / "web", "--report", tmp_path, "--force")
        assert_refused(result, "TD713", "none that can be read")


def open_in_chromium(address: str, profile: Path) -> str:
    # Without these, Chromium looks for its maker's hosts when it starts.
    quiet = ["--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-quic"]
    command = ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", *quiet]
    command += [f"--user-data-dir={profile}", "--dump-dom", address]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=300).stdout


def test_nothing_is_overwritten_without_being_told(student: Language, tmp_path: Path) -> None:
    student.to_disk(tmp_path / "student")
    (tmp_path / "web").mkdir()
    result = invoke("export-web", tmp_path / "student", tmp_path / "web")
    assert_refused(result, "TD502", "web")
    assert not list((tmp_path / "web").iterdir())


# The JavaScript package


@needs_packages()
def test_the_runtime_is_what_its_sources_make() -> None:
    result = subprocess.run(["node", str(WEB / "build.mjs"), "--check"], check=False, timeout=300)
    assert result.returncode == 0, "spacy_tinydistill/web/runtime.js is old: npm run build --prefix web"


@needs_packages()
def test_the_packages_own_tests(student: Language, tmp_path: Path) -> None:
    nlp = copied(student)
    add_rules(nlp)
    (tmp_path / "student.tdw").write_bytes(describe_student(nlp, "int8"))
    for script in ("check", "test"):
        environment = {**os.environ, "STUDENT": str(tmp_path / "student.tdw")}
        command = ["npm", "run", script, "--prefix", str(WEB)]
        result = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=600)
        assert result.returncode == 0, result.stdout[-3000:]
    assert re.search(r"^# skipped 0$", result.stdout, re.MULTILINE)


@pytest.fixture(scope="module")
def installed(student: Language, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the package that `npm pack` makes is installed, with a student beside it."""
    folder = tmp_path_factory.mktemp("installed")
    pack = ["npm", "pack", "--silent", "--pack-destination", str(folder)]
    subprocess.run(pack, cwd=WEB, check=True, capture_output=True, timeout=300)
    (package,) = folder.glob("spacy-tinydistill-*.tgz")
    (folder / "node_modules").mkdir()
    shutil.unpack_archive(package, folder / "node_modules", filter="data")
    (folder / "node_modules" / "package").rename(folder / "node_modules" / "spacy-tinydistill")
    (folder / "student.tdw").write_bytes(describe_student(copied(student), "float16"))
    return folder


USER = """
import { type Doc, FormatError, type Language, load } from "spacy-tinydistill";
const nlp: Language = await load("student.tdw");
const doc: Doc = nlp("Ann sings in Rome.");
const tags: string[] = doc.tokens.map((token) => token.tag);
type Ent = [string, string, number, number];
const ents: Ent[] = doc.ents.map((ent) => [ent.text, ent.label, ent.startChar, ent.endCodePoint]);
const texts: string[] = [...nlp.pipe(["Ann sings.", "Bob weeps."])].map(({ text }) => text);
const error: Error = await load(new Uint8Array(30)).then(() => Error("none"), (error) => error);
const { cats, spans } = doc;
process.stdout.write(JSON.stringify({ tags, ents, cats, spans: spans.sc.length, texts, error: error.name }));
"""


@needs_packages()
def test_the_package_that_npm_makes_runs_and_has_types(installed: Path, student: Language) -> None:
    packed = json.loads((installed / "node_modules/spacy-tinydistill/package.json").read_text(encoding="utf8"))
    assert "dependencies" not in packed
    assert (installed / "node_modules/spacy-tinydistill/LICENSE").exists()
    (installed / "user.mts").write_text(USER, encoding="utf8")
    modules = WEB / "node_modules"
    tsc = [modules / "typescript/bin/tsc", "--strict", "--target", "es2022", "--module", "nodenext", "--types", "node"]
    command = ["node", *map(str, tsc), "--typeRoots", str(modules / "@types"), "user.mts"]
    found = subprocess.run(command, cwd=installed, capture_output=True, text=True, check=False, timeout=300)
    assert found.returncode == 0, found.stdout
    run = subprocess.run(["node", "user.mjs"], cwd=installed, capture_output=True, check=True, timeout=300)
    said = json.loads(run.stdout)
    nlp = copied(student)
    describe_student(nlp, "float16")
    doc = nlp("Ann sings in Rome.")
    assert said["tags"] == [token.tag_ for token in doc]
    assert said["ents"] == [[ent.text, ent.label_, ent.start_char, ent.end_char] for ent in doc.ents]
    assert said["cats"] == pytest.approx(doc.cats, abs=1e-5)
    assert said["spans"] == len(doc.spans["sc"])
    assert said["texts"] == ["Ann sings.", "Bob weeps."]
    assert said["error"] == "FormatError"


@needs_packages()
@needs_chromium
def test_the_worker_of_the_page_says_the_same(installed: Path, student: Language, tmp_path: Path) -> None:
    """`web/examples/worker.js`, bundled as its users do it, on a server of this machine."""
    shutil.copy(WEB / "examples" / "worker.js", installed / "source.js")
    esbuild = [WEB / "node_modules/.bin/esbuild", "source.js", "--bundle", "--format=esm", "--outfile=worker.js"]
    subprocess.run([*map(str, esbuild)], cwd=installed, check=True, capture_output=True, timeout=300)
    text = "Ann sings in Rome. 😀 She doesn't weep."
    page = """<script type="module">
      const worker = new Worker("worker.js", { type: "module" });
      const answer = (body) => fetch("answer", { method: "POST", body });
      worker.onerror = (event) => answer(event.message);
      worker.onmessage = ({ data }) => answer(JSON.stringify(data));
      worker.postMessage({ id: 7, text: TEXT });
    </script><img src="wait">"""
    (installed / "index.html").write_text(page.replace("TEXT", json.dumps(text)), encoding="utf8")
    (body,) = serve(installed, lambda address: open_in_chromium(address, tmp_path / "profile"))
    said = json.loads(body)
    nlp = copied(student)
    describe_student(nlp, "float16")
    expected = nlp(text).to_json()
    assert said["id"] == 7
    assert said["doc"].pop("cats") == pytest.approx(expected.pop("cats"), abs=1e-5)
    assert said["doc"] == expected


def serve(folder: Path, visit: Callable[[str], Any]) -> list[bytes]:
    """Serve a folder while somebody visits it, and return what was posted; "wait" is there when something was."""
    posted: list[bytes] = []
    is_posted = threading.Event()

    class Handler(SimpleHTTPRequestHandler):
        def do_POST(self) -> None:
            posted.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(204)
            self.end_headers()
            is_posted.set()

        def do_GET(self) -> None:
            if self.path == "/wait":
                is_posted.wait(timeout=120)
            super().do_GET()

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(folder))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        visit(f"http://127.0.0.1:{server.server_port}/index.html")
        server.shutdown()
    return posted


def test_the_runtime_is_small() -> None:
    assert len(gzip.compress(read_runtime().encode(), 9)) <= 20_000


def test_both_packages_have_one_version() -> None:
    assert json.loads((WEB / "package.json").read_text(encoding="utf8"))["version"] == version("spacy-tinydistill")


# What is refused


def refuse(nlp: Language, code: str, *facts: str) -> None:
    with pytest.raises(DistillationError) as error:
        describe_student(nlp, "float32")
    assert error.value.code == code
    for fact in facts:
        assert fact in str(error.value)


def test_what_is_no_pipeline_is_refused(tmp_path: Path) -> None:
    result = invoke("export-web", tmp_path / "nowhere", tmp_path / "web")
    assert_refused(result, "TD701", "nowhere")
    assert not (tmp_path / "web").exists()


def test_an_unknown_pipe_is_refused_and_nothing_written(tmp_path: Path) -> None:
    nlp = spacy.blank("en")
    nlp.add_pipe("merge_entities")
    nlp.to_disk(tmp_path / "student")
    result = invoke("export-web", tmp_path / "student", tmp_path / "web")
    assert_refused(result, "TD702", "'merge_entities'", "trainable_lemmatizer")
    assert not (tmp_path / "web").exists()


def test_a_lemmatizer_by_rules_is_refused() -> None:
    nlp = spacy.blank("en")
    nlp.add_pipe("lemmatizer", config={"mode": "lookup"})
    refuse(nlp, "TD702", "'lemmatizer'")


def test_an_unknown_architecture_is_refused() -> None:
    nlp = spacy.blank("en")
    bow = {
        "@architectures": "spacy.TextCatBOW.v3",
        "exclusive_classes": True,
        "ngram_size": 1,
        "no_output_layer": False,
    }
    nlp.add_pipe("textcat", config={"model": bow}).add_label("A")
    refuse(nlp, "TD703", "'textcat'", "spacy.TextCatBOW.v3", "spacy.TextCatReduce.v1")


def test_another_tokenizer_is_refused() -> None:
    nlp = spacy.blank("en")
    nlp.tokenizer = lambda text: Doc(nlp.vocab, words=text.split())
    refuse(nlp, "TD704", "function")
    nlp = spacy.blank("en")
    nlp.tokenizer.prefix_search = lambda text: None
    refuse(nlp, "TD704", "prefix_search")


def test_an_attribute_computed_in_another_way_is_refused(student: Language) -> None:
    nlp = copied(student)
    nlp.vocab.lex_attr_getters[spacy.attrs.SUFFIX] = lambda text: text[-2:]
    refuse(nlp, "TD705", "SUFFIX", "'en'")


def test_a_regular_expression_without_a_translation_is_refused() -> None:
    nlp = spacy.blank("en")
    nlp.tokenizer.token_match = re.compile(r"(a)\1").match
    refuse(nlp, "TD706", "token_match", "GROUPREF")
    nlp = spacy.blank("en")
    nlp.tokenizer.infix_finditer = re.compile(r"(?:-?)*").finditer
    refuse(nlp, "TD706", "infix_finditer", "may be empty")


def test_a_beam_behind_entities_is_refused(student: Language) -> None:
    nlp = copied(student)
    nlp.get_pipe("ner").cfg["beam_width"] = 4
    nlp.add_pipe("entity_ruler", name="rules", before="ner")
    refuse(nlp, "TD707", "'ner'", "4", "'rules'")


def test_an_unknown_setting_is_refused(student: Language) -> None:
    nlp = copied(student)
    nlp.get_pipe("trainable_lemmatizer").backoff = "shape"
    refuse(nlp, "TD708", "backoff", "shape")


def test_weights_that_a_precision_cannot_hold_are_refused(student: Language) -> None:
    nlp = copied(student)
    layer = nlp.get_pipe("tagger").model.get_ref("output_layer")
    layer.set_param("b", layer.get_param("b") + 1e6)
    with pytest.raises(DistillationError) as error:
        describe_student(nlp, "float16")
    assert error.value.code == "TD709"
    assert "'tagger'" in str(error.value)


def test_a_pattern_without_a_translation_is_refused() -> None:
    nlp = spacy.blank("en")
    nlp.add_pipe("span_ruler").add_patterns([{"label": "A", "pattern": [{"LIKE_NUM": True}]}])
    refuse(nlp, "TD710", "'span_ruler'", "LIKE_NUM")


def test_an_unknown_precision_is_refused(tmp_path: Path) -> None:
    assert_refused(
        invoke("export-web", tmp_path, tmp_path / "web", "--precision", "int4"), "TD711", "'int4'", "float16"
    )


def test_floret_vectors_are_refused(teacher: Language) -> None:
    config = student_config(teacher, size="nano", pipeline=["tagger"], vectors="x")
    nlp = spacy.util.load_model_from_config(config, auto_fill=True)
    data = numpy.ones((10, 5), dtype="float32")
    nlp.vocab.vectors = spacy.vectors.Vectors(data=data, mode="floret", hash_count=2, minn=2, maxn=3)
    examples = [spacy.training.Example(nlp.make_doc(doc.text), doc) for doc in make_docs(nlp.vocab, 5, seed=0)]
    nlp.config["initialize"]["vectors"] = None
    nlp.initialize(lambda: examples)
    refuse(nlp, "TD712", "floret")


# Rounding


@given(arrays("float32", array_shapes(max_dims=4, max_side=6), elements=st.floats(-60000, 60000, width=32)))
def test_rounding_once_is_rounding_for_good(weights: Any) -> None:
    for precision in PRECISIONS:
        rounded = round_weights(weights, precision)
        restored = rounded.restore()
        assert restored.dtype == "float32"
        assert restored.shape == weights.shape
        assert numpy.array_equal(round_weights(restored, precision).restore(), restored)


@given(arrays("float32", array_shapes(min_dims=2, max_dims=3, max_side=6), elements=st.floats(-1000, 1000, width=32)))
def test_int8_is_off_by_half_a_step_of_its_row_at_most(weights: Any) -> None:
    steps = numpy.abs(weights).max(axis=-1, keepdims=True) / 127
    off = numpy.abs(round_weights(weights, "int8").restore() - weights)
    assert (off <= steps * 0.501 + 1e-30).all()


# Characters and regular expressions


def test_what_is_known_of_characters_is_known_of_all() -> None:
    for flag, ranges in zip(FLAGS.values(), flag_ranges(), strict=True):
        # The flags are asked for assigned characters alone: no other one has any.
        assert sum(end - start for start, end in ranges) == sum(flag(chr(point)) for point in range(END))
    lowered = {}
    for first, count, *rest in lower_case():
        if count == 0:
            lowered[first] = "".join(map(chr, rest))
        step, added = (rest[0], rest[1]) if count else (0, 0)
        lowered.update({first + i * step: chr(first + i * step + added) for i in range(count)})
    assert lowered == {point: chr(point).lower() for point in range(END) if chr(point).lower() != chr(point)}


PIECES = st.sampled_from(
    ["a", "B", "é", "İ", "\u017f", "\u212a", ".", "[a-c]", "[^a]", "[^\\W\\d]", "\\d", "\\w", "\\S", "^", "$", "\\b",
     "\\B", "(?=a)", "(?<!b)", "(?:ab|a)", "(b|c)", "(?i:k)", "😀", "[😀-😂]", "\\n"]
)  # fmt: skip
REPEATS = st.sampled_from(["", "", "", "*", "+", "?", "{2}", "{1,3}", "*?", "+?", "??"])
PATTERNS = st.lists(st.tuples(PIECES, REPEATS), min_size=1, max_size=6).map(lambda parts: "".join(map("".join, parts)))


@needs_node
def test_regular_expressions_match_the_same(tmp_path: Path) -> None:
    """Hypothesis makes the cases, and Node takes all at once: a process for each would take hours."""
    cases: list[tuple[str, Any, str, list[Any]]] = []

    @settings(max_examples=200, database=None, deadline=None, derandomize=True)
    @given(
        PATTERNS,
        st.sampled_from([0, re.IGNORECASE, re.DOTALL, re.MULTILINE]),
        st.text("aAbBcKk\u017fİé.1٣ \n-_😀😂", max_size=9),
    )
    def make(source: str, flags: int, text: str) -> None:
        try:
            pattern = re.compile(source, flags)
        except re.error:
            return
        alphabet = Alphabet()
        try:
            translation = Translation(pattern, alphabet)
        except UntranslatableError:
            return
        found = pattern.search(text)
        classes = alphabet.close()
        described = classes.describe()
        cases.append((translation.write(classes), described["runs"], text, [found and list(found.span())]))

    make()
    assert len(cases) > 100
    (tmp_path / "cases.json").write_text(json.dumps(cases), encoding="utf8")
    script = """
      const cases = JSON.parse(require("fs").readFileSync(process.argv[1], "utf8"));
      for (const [source, runs, text, [expected]] of cases) {
        const classes = [...text].map((char) => {
          let i = 0;
          for (let end = runs[0]; char.codePointAt(0) >= end; end += runs[i]) i += 2;
          return String.fromCharCode(runs[i + 1]);
        }).join("");
        const found = new RegExp(source).exec(classes);
        const span = found && [found.index, found.index + found[0].length];
        const isSame = JSON.stringify(span) === JSON.stringify(expected);
        if (!isSame) console.log(JSON.stringify([source, text, span, expected]));
      }
    """
    result = subprocess.run(
        ["node", "-e", script, str(tmp_path / "cases.json")], capture_output=True, text=True, check=True, timeout=300
    )
    assert result.stdout == ""
