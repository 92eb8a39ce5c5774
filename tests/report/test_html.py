"""What a report says label by label and sentence by sentence, and the page that shows it."""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from html import escape
from pathlib import Path

import pytest
import spacy
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from spacy.cli.package import package
from spacy.language import Language
from spacy.tokens import Doc, DocBin, Span
from spacy.training import Example

from helpers.generator import make_docs
from helpers.pages import Elements
from spacy_tinydistill.errors import DistillationError
from spacy_tinydistill.evaluation_log import CURVE_NAME, add_point, cut_back, read_curve
from spacy_tinydistill.report.card import TITLE, cell, write_card, write_meta
from spacy_tinydistill.report.compare import Recorded, compare_recorded, compare_sides
from spacy_tinydistill.report.disagreement import MOST_TOKENS, SENTENCES
from spacy_tinydistill.report.html import _draw_words, to_html
from spacy_tinydistill.report.plots import WIDTH, plot_lines
from spacy_tinydistill.report.report import HTML_NAME, JSON_NAME, Report, find_tried
from spacy_tinydistill.report.scores import Side, score_sides
from spacy_tinydistill.report.table import score_rows

HOSTILE = """<script>alert("1")</script>' onclick='alert(2)' " onload="alert(3)" {0} {text} %s | `x` &lt; ]]> --><b>"""

# Pipes that write to each layer of a Doc.
PIPES = ["tagger", "morphologizer", "parser", "ner", "spancat", "textcat", "textcat_multilabel"]


@pytest.fixture(scope="module")
def judge(tmp_path_factory: pytest.TempPathFactory) -> Language:
    """A pipeline on disk with each kind of pipe and the generator's labels; it has learned nothing."""
    nlp = spacy.blank("en")
    for name in PIPES:
        nlp.add_pipe(name)
    docs = make_docs(nlp.vocab, 40, seed=0)
    topics = {label for doc in docs for label in list(doc.cats)[:4]}
    traits = {label for doc in docs for label in list(doc.cats)[4:]}
    nlp.config["initialize"]["components"] = {
        "textcat": {"labels": sorted(topics)},
        "textcat_multilabel": {"labels": sorted(traits)},
    }
    examples = [Example(nlp.make_doc(doc.text), doc) for doc in docs]
    for example in examples:
        example.reference.cats = {label: example.reference.cats[label] for label in topics}
    nlp.initialize(lambda: examples)
    path = tmp_path_factory.mktemp("judge") / "model-best"
    nlp.to_disk(path)
    return spacy.load(path)


def spoil(docs: list[Doc]) -> None:
    """Take away, add and change some of each kind of annotation."""
    for number, doc in enumerate(docs):
        for token in list(doc)[number % 3 :: 4]:
            token.tag_ = "NN"
            token.set_morph("Number=Sing")
        for token in list(doc)[1::5]:
            if token.dep_ != "ROOT":
                token.dep_ = "nsubj"
        ents = list(doc.ents)[number % 2 :]
        doc.set_ents([Span(doc, ent.start, ent.end, "ORG") if ent.label_ == "PERSON" else ent for ent in ents])
        spans = list(doc.spans["sc"])
        doc.spans["sc"] = [*spans[1:], Span(doc, 0, 2, "COUNTED")]
        names = list(doc.cats)
        if number % 3 == 0:
            doc.cats = {**dict(zip(names[:4], [0.1, 0.7, 0.15, 0.05], strict=True)), **dict.fromkeys(names[4:], 0.6)}


@pytest.fixture(scope="module")
def sides(judge: Language) -> tuple[Side, Side]:
    """What a teacher says, and a student who differs."""
    teacher, student = (make_docs(judge.vocab, 12, seed=5) for _ in range(2))
    spoil(student)
    return Side(judge, teacher), Side(judge, student)


@pytest.fixture(scope="module")
def compared(sides: tuple[Side, Side]) -> dict:
    return compare_sides(*sides, None)


def make_report(judge: Language, sides: tuple[Side, Side], folder: Path) -> Report:
    described = {"name": "en_teacher", "version": "1.0", "path": "teacher", "pipeline": PIPES, "parameters": 5}
    recorded = Recorded({**described, "bytes": 10**9}, sides[0], DocBin(docs=sides[0].docs), "dev.spacy")
    # The model card goes into the pipeline's own folder.
    before = (judge.path / "meta.json").read_bytes()
    try:
        return compare_recorded(recorded, sides[1], folder)
    finally:
        (judge.path / "meta.json").write_bytes(before)


@pytest.fixture(scope="module")
def report(judge: Language, sides: tuple[Side, Side], tmp_path_factory: pytest.TempPathFactory) -> Report:
    folder = tmp_path_factory.mktemp("runs") / "one"
    folder.mkdir()
    for step in (0, 100, 200):
        scores = {"tag_acc": step / 200, "cats_auc_per_type": {"A": 1.0}}
        losses = {"tagger": 9.0 * (step + 1), "ner": 300.0 - step}
        info = {"step": step, "epoch": 0, "words": step * 9, "seconds": 1, "losses": losses, "score": step / 250}
        add_point(folder / CURVE_NAME, {**info, "other_scores": scores})
    return make_report(judge, sides, folder)


# Labels


def test_labels_agree_as_spacy_scores_them(sides: tuple[Side, Side], compared: dict) -> None:
    scores = score_sides(*sides, DocBin(docs=sides[0].docs))["student"]
    for pipe, name in (
        ("ner", "ents"),
        ("spancat", "spans_sc"),
        ("textcat", "cats_f"),
        ("textcat_multilabel", "cats_f"),
    ):
        found = {label: counts["agreement"] for label, counts in compared["labels"][pipe].items()}
        if name != "cats_f":
            expected = {label: score["f"] for label, score in scores[f"{name}_per_type"].items()}
            assert found == pytest.approx(expected)
        assert min(found.values()) < 1
    las = {label: score["f"] for label, score in scores["dep_las_per_type"].items()}
    found = {label: counts["agreement"] for label, counts in compared["labels"]["parser"].items()}
    # spaCy leaves punctuation and roots' own word of case out.
    assert {label.lower(): found[label] for label in found if label != "punct"} == pytest.approx(las)


def test_labels_are_counted(sides: tuple[Side, Side], compared: dict) -> None:
    for role, side in zip(("teacher", "student"), sides, strict=True):
        tags = [token.tag_ for doc in side.docs for token in doc]
        assert {label: counts[role] for label, counts in compared["labels"]["tagger"].items() if counts[role]} == {
            tag: tags.count(tag) for tag in tags
        }
    counted = [counts["teacher"] for counts in compared["labels"]["tagger"].values()]
    assert counted == sorted(counted, reverse=True)
    pairs = zip(*([token.tag_ for doc in side.docs for token in doc] for side in sides), strict=True)
    differing = [pair for pair in pairs if pair[0] != pair[1]]
    assert sum(pair["count"] for pair in compared["confusion"]["tagger"]) == len(differing)
    first = compared["confusion"]["tagger"][0]
    assert differing.count((first["teacher"], first["student"])) == first["count"]


def test_what_one_of_them_leaves_out_is_confused_with_nothing(compared: dict) -> None:
    pairs = {(pair["teacher"], pair["student"]) for pair in compared["confusion"]["ner"]}
    assert ("PERSON", "ORG") in pairs
    assert any(student is None for _, student in pairs)
    assert any(
        teacher is None for teacher, _ in {(p["teacher"], p["student"]) for p in compared["confusion"]["spancat"]}
    )
    # Labels that do not exclude each other are not taken for each other.
    assert all(None in (pair["teacher"], pair["student"]) for pair in compared["confusion"]["textcat_multilabel"])
    assert all(None not in (pair["teacher"], pair["student"]) for pair in compared["confusion"]["textcat"])


# Sentences


def test_a_pipeline_does_not_disagree_with_itself(sides: tuple[Side, Side]) -> None:
    compared = compare_sides(sides[0], sides[0], None)
    assert compared["disagreements"] == []
    assert compared["confusion"] == {}
    assert {counts["agreement"] for labels in compared["labels"].values() for counts in labels.values()} == {1.0}
    assert compared["overall"] == {"retention": None, "agreement": pytest.approx(1.0)}


def test_a_teacher_who_was_not_asked(sides: tuple[Side, Side]) -> None:
    compared = compare_sides(replace(sides[0], docs=[]), sides[1], DocBin(docs=sides[0].docs))
    assert compared["labels"] == compared["confusion"] == {}
    assert compared["disagreements"] == []
    assert compared["overall"] == {"retention": None, "agreement": None}
    assert 0 < compared["student"]["tag_acc"] < 1
    # The student's own scores are still shown, but for those by type.
    rows = score_rows(compared | {role: {"scores": compared[role]} for role in ("teacher", "student")})
    assert {"tag_acc", "ents_f", "dep_las"} <= {row[1] for row in rows}
    assert "ents_per_type" not in {row[1] for row in rows}


def test_disagreements_are_ranked_and_bounded(sides: tuple[Side, Side], compared: dict) -> None:
    found = compared["disagreements"]
    assert {item["style"] for item in found} == {"dep", "ent", "span", "cats"}
    assert len(found) <= SENTENCES
    for style in ("dep", "ent", "span"):
        counts = [len(item["differences"]) for item in found if item["style"] == style]
        assert counts == sorted(counts, reverse=True)
        assert counts[-1] > 0
    for item in found:
        teacher = sides[0].docs[item["document"]]
        if item["style"] == "dep":
            words = [word["text"] for word in item["teacher"]["words"]]
            assert words == [word["text"] for word in item["student"]["words"]]
            assert " ".join(words) in " ".join(token.text for token in teacher)
            # All of the sentence but its root hangs on another word.
            assert len(item["teacher"]["arcs"]) == len(words) - 1
        elif item["style"] == "cats":
            assert {label: teacher.cats[label] for label in item["teacher"]["cats"]} == item["teacher"]["cats"]
        else:
            assert item["teacher"]["text"] == item["student"]["text"]
            assert item["teacher"]["text"] in teacher.text


@pytest.mark.parametrize("n_words", [2, 8])
def test_a_label_has_room_between_two_words(n_words):
    """However many arcs lie above its own."""
    label = "obl:unmarked"
    said = {
        "words": [{"text": "a", "tag": "NN", "lemma": None} for _ in range(n_words)],
        "arcs": [{"start": 0, "end": i, "label": label, "dir": "right"} for i in range(1, n_words)],
        "settings": {"lang": "en", "direction": "ltr"},
    }
    drawn = _draw_words(said, "teacher-1")
    starts, ends = zip(*re.findall(r'd="M([\d.]+),[\d.]+ [\d.]+,[\d.]+ ([\d.]+),', drawn), strict=True)
    assert len(starts) == n_words - 1
    assert min(float(end) - float(start) for start, end in zip(starts, ends, strict=True)) > 8 * len(label)


def test_a_long_text_without_sentences_is_shown_in_pieces() -> None:
    nlp = spacy.blank("en")
    nlp.add_pipe("ner").add_label("X")
    docs = [Doc(nlp.vocab, words=[f"w{i}" for i in range(1000)]) for _ in range(2)]
    docs[0].set_ents([Span(docs[0], 700, 702, "X"), Span(docs[0], MOST_TOKENS - 1, MOST_TOKENS + 1, "X")])
    docs[1].set_ents([], default="outside")
    found = compare_sides(Side(nlp, docs[:1]), Side(nlp, docs[1:]), None)["disagreements"]
    assert [item["teacher"]["text"].split()[0] for item in found] == ["w0", "w700"]
    assert all(len(item["teacher"]["text"].split()) == MOST_TOKENS for item in found)
    # Of what goes on in the next piece, the part in this one.
    ent = found[0]["teacher"]["ents"][0]
    assert found[0]["teacher"]["text"][ent["start"] : ent["end"]] == f"w{MOST_TOKENS - 1}"


def test_other_tokens_and_white_space() -> None:
    """Places are characters, so that pipelines that tokenize differently can be compared."""
    nlp = spacy.blank("en")
    nlp.add_pipe("tagger")
    teacher = Doc(nlp.vocab, words=["do", "n't", "\n", "stop"], spaces=[False, True, False, False], tags=list("ABCD"))
    student = Doc(nlp.vocab, words=["don't", "\n", "stop"], spaces=[True, False, False], tags=list("ACD"))
    compared = compare_sides(Side(nlp, [teacher]), Side(nlp, [student]), None)
    assert {label: counts["agreement"] for label, counts in compared["labels"]["tagger"].items()} == {
        "A": 0.0,
        "B": 0.0,
        "D": 1.0,
    }
    shown = compared["disagreements"][0]
    assert [word["text"] for word in shown["teacher"]["words"]] == ["do", "n't", "stop"]
    assert [word["text"] for word in shown["student"]["words"]] == ["don't", "stop"]


# The page


def replace_strings(
    value: object, text: str, kept: frozenset[str] = frozenset({"style", "dir", "direction"})
) -> object:
    """A report in which everything that comes from users, keys included, says something else."""
    if isinstance(value, str):
        return text
    if isinstance(value, list):
        return [replace_strings(item, text) for item in value]
    if isinstance(value, dict):
        return {key: item if key in kept else replace_strings(item, text) for key, item in value.items()}
    return value


def spoil_names(report: dict, text: str) -> dict:
    spoiled = replace_strings(json.loads(json.dumps(report)), text)
    for group in ("labels", "confusion"):
        spoiled[group] = {f"{name}{text}": value for name, value in spoiled[group].items()}
    spoiled["labels"] = {
        pipe: {f"{label}{text}": counts for label, counts in labels.items()}
        for pipe, labels in spoiled["labels"].items()
    }
    spoiled["pipes"] = {
        f"{pipe}{text}": [f"{name}{text}" for name in report["pipes"][pipe]] for pipe in report["pipes"]
    }
    for group in (spoiled["teacher"], spoiled["student"]):
        group["scores"] = {f"{name}{text}": score for name, score in group["scores"].items()}
    for group in ("retention", "agreement"):
        spoiled[group] = {f"{name}{text}": score for name, score in spoiled[group].items()}
    for point in spoiled["learning_curve"]:
        point["losses"] = {f"{name}{text}": loss for name, loss in point["losses"].items()}
    for item in spoiled["disagreements"]:
        if item["style"] == "cats":
            for role in ("teacher", "student"):
                item[role]["cats"] = {f"{label}{text}": score for label, score in item[role]["cats"].items()}
    spoiled["tried"] = [{"folder": text, "name": text, "bytes": 10, "retention": 0.5, "agreement": 0.5}]
    return spoiled


def test_nothing_hostile_gets_through(report: Report) -> None:
    page = Elements(to_html(spoil_names(report, HOSTILE)))
    assert page.found
    assert not {tag for tag, _ in page.found} & {"script", "iframe", "object", "embed", "link", "img", "base", "b"}
    assert not [name for _, names in page.found for name in names if name.startswith("on")]
    assert page.links
    assert all(link.startswith("#") for link in page.links)
    assert "".join(page.text).count(HOSTILE) > 100


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(st.characters(exclude_characters="\r\n\0", exclude_categories=("Cs",)), min_size=1, max_size=30))
def test_the_page_is_built_the_same_way_whatever_the_names(report: Report, text: str) -> None:
    one_a_style = {item["style"]: item for item in report["disagreements"]}
    small = {**report, "disagreements": list(one_a_style.values())}
    # A word of white space alone is drawn without its spans.
    assert Elements(to_html(spoil_names(small, f"a{text}"))).found == Elements(to_html(spoil_names(small, "ab"))).found


def test_the_page_shows_what_the_json_holds(report: Report) -> None:
    tried = [{"folder": "two", "name": "en_other", "bytes": 10**6, "retention": 0.8, "agreement": 0.7}]
    page = "".join(Elements(to_html({**report, "tried": tried})).text)
    for section in (
        "Learning curve",
        "Retention against size",
        "Agreement per label",
        "Confusion",
        "Where they disagree",
    ):
        assert section in page
    for pipe in PIPES:
        assert pipe in page
    first = report["disagreements"][0]["teacher"]["words"]
    assert all(word["text"] in page for word in first)
    # No speeds: the page says how to get them.
    assert "python -m spacy benchmark distillation teacher" in page
    bare = {**report, "learning_curve": [], "labels": {}, "confusion": {}, "disagreements": [], "tried": []}
    page = "".join(Elements(to_html(bare)).text)
    assert "Learning curve" not in page
    assert "Confusion" not in page
    assert "against size" not in page


def test_the_page_is_the_same_for_the_same_json(report: Report) -> None:
    assert to_html(report) == to_html(json.loads(json.dumps(report)))


def test_a_notebook_shows_the_page_in_a_frame(report: Report) -> None:
    frame = Elements(report._repr_html_())
    assert frame.found == [("iframe", ("title", "sandbox", "style", "srcdoc"))]
    assert frame.page == to_html(report)
    assert isinstance(report, dict)


def test_json_and_page_are_written(report: Report, tmp_path: Path) -> None:
    report.write(tmp_path)
    assert json.loads((tmp_path / JSON_NAME).read_text(encoding="utf8")) == report
    assert (tmp_path / HTML_NAME).read_text(encoding="utf8") == to_html(report)
    with pytest.raises(DistillationError, match="TD408"):
        report.write(tmp_path / JSON_NAME)


BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome-headless-shell")

# Frames of a page's own origin can be measured from outside, without a script in the page.
MEASURE = """<!DOCTYPE html><iframe width="{width}" height="900" srcdoc="{page}"></iframe><pre></pre><script>
addEventListener("load", () => {{
  const page = document.querySelector("iframe").contentDocument.documentElement;
  document.querySelector("pre").textContent = JSON.stringify([page.scrollWidth, page.clientWidth, page.scrollHeight]);
}});
</script>"""


@pytest.mark.slow
@pytest.mark.parametrize("width", [400, 1280])
@pytest.mark.parametrize("hostile", [False, True], ids=["plain", "hostile"])
def test_nothing_sticks_out_of_the_page(report: Report, tmp_path: Path, width: int, hostile: bool) -> None:
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        pytest.skip(f"none of these browsers is here: {', '.join(BROWSERS)}")
    page = to_html(spoil_names(report, "long" * 60) if hostile else report)
    (tmp_path / "frame.html").write_text(MEASURE.format(width=width, page=escape(page)), encoding="utf8")
    command = [browser, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'profile'}"]
    command += ["--virtual-time-budget=10000", "--dump-dom", (tmp_path / "frame.html").as_uri()]
    environment = {**os.environ, "HOME": str(tmp_path)}
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True, env=environment)
    scroll, client, height = json.loads(done.stdout.partition("<pre>")[2].partition("</pre>")[0])
    assert height > 1000
    assert client > width - 40
    assert scroll <= client


# Other students


TEACHER = {"name": "en_teacher", "version": "1.0", "pipeline": ["tagger"], "bytes": 2_000_000}


def write_tried(folder: Path, name: str, **changes: object) -> None:
    (folder / name).mkdir(parents=True)
    student = {"name": "en_student", "bytes": 1000}
    found = {"teacher": TEACHER, "student": student, "overall": {"retention": 0.9, "agreement": None}}
    (folder / name / JSON_NAME).write_text(json.dumps(found | changes), encoding="utf8")


def test_other_students_of_the_teacher(report: Report, tmp_path: Path) -> None:
    for name in ("b", "a", "own"):
        write_tried(tmp_path, name)
    write_tried(tmp_path, "of-another", teacher=TEACHER | {"name": "en_other"})
    # Of another task, where `spacy train` has given its teacher the same name.
    write_tried(tmp_path, "of-a-namesake", teacher=TEACHER | {"bytes": 1_999_999})
    write_tried(tmp_path, "strange", student={"name": 5, "bytes": "many"})
    found = find_tried(tmp_path / "own", TEACHER)
    assert found == [
        {"folder": name, "name": "en_student", "bytes": 1000, "retention": 0.9, "agreement": None}
        for name in ("a", "b")
    ]
    page = "".join(Elements(to_html({**report, "tried": found})).text)
    assert "2. a: en_student" in page
    unknown = {**report, "tried": found, "student": report["student"] | {"bytes": None}}
    assert "2. a: en_student" not in to_html(unknown)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["name", "bytes", "retention", "agreement"]), inner)
    ),
    max_leaves=6,
)


@settings(deadline=None, max_examples=50)
@given(st.dictionaries(st.sampled_from(["teacher", "student", "overall"]), json_values) | json_values)
def test_a_report_of_somebody_elses_making(tmp_path_factory: pytest.TempPathFactory, found: object) -> None:
    folder = tmp_path_factory.mktemp("tried")
    (folder / "other").mkdir()
    (folder / "other" / JSON_NAME).write_text(json.dumps(found), encoding="utf8")
    for student in find_tried(folder / "own", TEACHER):
        assert set(student) == {"folder", "name", "bytes", "retention", "agreement"}


# The learning curve


def point_at(step: int) -> dict:
    return {
        "step": step,
        "epoch": 0,
        "words": 9,
        "seconds": 1.5,
        "losses": {"ner": 2.0},
        "score": 0.5,
        "other_scores": {},
    }


def test_a_point_before_the_first_update_is_none_of_ours(tmp_path: Path) -> None:
    add_point(tmp_path / CURVE_NAME, point_at(-1))
    add_point(tmp_path / CURVE_NAME, point_at(0))
    assert [point["step"] for point in read_curve(tmp_path / CURVE_NAME)] == [0]


def test_a_curve_is_cut_back_to_where_a_run_goes_on(tmp_path: Path) -> None:
    path = tmp_path / CURVE_NAME
    for step in (0, 10, 20, 30):
        add_point(path, point_at(step))
    with path.open("a") as file:
        file.write('{"step": 40, "epo')
    cut_back(path, 20)
    add_point(path, point_at(30))
    assert [json.loads(line)["step"] for line in path.read_text().splitlines()] == [0, 10, 20, 30]
    cut_back(path, -1)
    assert path.read_text() == ""


numbers = st.integers() | st.floats() | st.just("1")
lines = st.fixed_dictionaries(
    {key: numbers for key in ("step", "epoch", "words", "seconds", "score")}
    | {key: st.dictionaries(st.sampled_from("ab"), numbers) for key in ("losses", "scores")}
)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(lines.map(json.dumps).map(str.encode) | st.binary(max_size=20), max_size=5))
def test_a_curve_of_somebody_elses_making(tmp_path: Path, report: Report, content: list[bytes]) -> None:
    (tmp_path / CURVE_NAME).write_bytes(b"\n".join(content))
    points = read_curve(tmp_path / CURVE_NAME)
    steps = [point["step"] for point in points]
    assert steps == sorted(set(steps))
    bare = {**report, "labels": {}, "confusion": {}, "disagreements": [], "learning_curve": points}
    assert ("Learning curve" in to_html(bare)) == bool(points)


# The model card


def test_the_card_says_what_was_measured(report: Report) -> None:
    texts = {"names": ["distill.jsonl"], "documents": 1234}
    card = write_card({"distillation": {"texts": texts}}, report)
    assert card.startswith(TITLE)
    assert "distill.jsonl, 1,234 texts" in card
    assert "not measured" in card
    timed = {
        "timing": {"runs": 5, "words": 10},
        "speed_up": {"1": 12.34},
        "student": {**report["student"], "words_per_second": {"1": 5678.9}, "load_seconds": 1.0, "peak_memory": 5},
    }
    card = write_card({}, {**report, **timed})
    assert "5,679 words/s on one thread, 12.3 times faster" in card
    assert "Learned on" not in card


def test_the_card_is_in_the_readme_of_the_package(judge: Language, report: Report, tmp_path: Path) -> None:
    write_meta(tmp_path, {**judge.meta, "notes": "Notes of my own.\n\n"}, report)
    write_meta(tmp_path, json.loads((tmp_path / "meta.json").read_text(encoding="utf8")), report)
    # Under another name than that which it was made with.
    package(judge.path, tmp_path, meta_path=tmp_path / "meta.json", name="named", version="0.1.0", create_sdist=False)
    readme = (tmp_path / "en_named-0.1.0" / "README.md").read_text(encoding="utf8")
    assert "`en_named`" in readme
    assert readme.count("Notes of my own.") == 1
    assert readme.count(TITLE) == 1
    assert readme.endswith(write_card(judge.meta, report))


def markdown_cells(text: str) -> Iterator[str]:
    markdown_it = pytest.importorskip("markdown_it")
    for token in markdown_it.MarkdownIt().enable("table").parse(text):
        if token.type == "inline":
            assert all(child.type == "text" for child in token.children), token.children
            yield "".join(child.content for child in token.children)


@settings(deadline=None)
@given(st.text(st.characters(exclude_categories=("Cs",)), min_size=1, max_size=60))
def test_a_cell_says_what_it_was_given_and_nothing_else(text: str) -> None:
    expected = " ".join(text.split())
    table = f"| one | two |\n| --- | --- |\n| {cell(text)} | end |"
    assert list(markdown_cells(table)) == ["one", "two", expected.replace("\0", "\ufffd"), "end"]


def test_a_hostile_name_does_not_break_the_card(report: Report) -> None:
    hostile = spoil_names(report, HOSTILE + "\n\n# big\n| a | b |\n<img src=x>")
    card = write_card({"distillation": {"texts": {"names": [HOSTILE], "documents": None}}}, hostile)
    markdown_it = pytest.importorskip("markdown_it")
    tokens = markdown_it.MarkdownIt().enable("table").parse(card)
    kinds = {child.type for token in tokens for child in token.children or ()} | {token.type for token in tokens}
    assert not kinds & {"html_block", "html_inline", "link_open", "image", "code_inline", "fence"}
    assert [token.markup for token in tokens if token.type == "heading_open"] == ["###", "###"]
    widths = {len(row.split("td_close")) for row in " ".join(token.type for token in tokens).split("tr_close")[:-1]}
    # Two tables: of two columns and of seven; their heads have no cells of that kind.
    assert widths == {1, 3, 8}


@pytest.mark.parametrize("last", [0.5, 4000, 123_456])
def test_no_number_of_an_axis_is_cut_off(last: float) -> None:
    drawn = plot_lines({"loss": [(0, 0), (last, 1)]}, x_title="updates", y_title="loss", text="")
    ticks = re.findall(r'<text class="tick" x="([\d.]+)" y="\d+" text-anchor="middle">([^<]+)<', drawn)
    assert len(ticks) > 2
    # Digits of 12 pixels are up to 8 wide, and stand around the tick.
    assert all(float(x) + 4 * len(said) <= WIDTH for x, said in ticks)
