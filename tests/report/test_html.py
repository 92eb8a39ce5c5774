"""What a report says label by label and sentence by sentence, and the page that shows it."""

import json
import os
import re
import shutil
import subprocess
from html import escape, unescape
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from helpers.pages import Elements
from helpers.paths import ROOT
from helpers.reports import HOSTILE, JUDGED_PIPES, spoil_names
from spacy_tinydistill.evaluation_log import CURVE_NAME, read_curve
from spacy_tinydistill.report.html import _draw_words, to_html
from spacy_tinydistill.report.report import Report
from spacy_tinydistill.report.verdict import verdict


@pytest.mark.parametrize("n_words", [2, 8])
def test_a_label_has_room_between_two_words(n_words):
    """However many arcs lie above its own."""
    label = "obl:unmarked"
    said = {
        "words": [{"text": "a", "tag": "NN", "lemma": None} for _ in range(n_words)],
        "arcs": [{"start": 0, "end": i, "label": label, "dir": "right"} for i in range(1, n_words)],
        "settings": {"lang": "en", "direction": "ltr"},
    }
    drawn = _draw_words(said, said, "teacher-1")
    starts, ends = zip(*re.findall(r'd="M([\d.]+),[\d.]+ [\d.]+,[\d.]+ ([\d.]+),', drawn), strict=True)
    assert len(starts) == n_words - 1
    assert min(float(end) - float(start) for start, end in zip(starts, ends, strict=True)) > 8 * len(label)


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
    for pipe in JUDGED_PIPES:
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
    page = to_html(spoil_names(report, "long" * 60) if hostile else report)
    dom = open_in_browser(MEASURE.format(width=width, page=escape(page)), tmp_path)
    scroll, client, height = json.loads(dom.partition("<pre>")[2].partition("</pre>")[0])
    assert height > 1000
    assert client > width - 40
    assert scroll <= client


AXE = ROOT / "web" / "node_modules" / "axe-core" / "axe.min.js"

# The page's own policy forbids scripts, so it is measured without.
POLICY = re.compile(r"<meta http-equiv=\"Content-Security-Policy\"[^>]*>")
CHECK = """<script>{axe}</script><script>
axe.run(document, {{runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]}}).then((found) => {{
  const said = document.createElement("pre");
  said.id = "axe";
  said.textContent = JSON.stringify([found.passes.length, found.violations.map((one) => [one.id, one.nodes[0].html])]);
  document.body.append(said);
}});
</script></body>"""


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("gold", [True, False], ids=["gold", "no-gold"])
def test_the_page_can_be_used_by_everybody(report: Report, tmp_path: Path, scheme: str, gold: bool) -> None:
    """No violation of WCAG 2.2 A or AA that axe-core finds, with all that is folded in unfolded."""
    if not AXE.exists():
        assert "CI" not in os.environ, "CI needs web/node_modules: npm ci --prefix web"
        pytest.skip("needs web/node_modules: npm ci --prefix web")
    page = to_html(report if gold else without_gold(report)).replace("<details", "<details open")
    page = POLICY.sub("", page).replace("</body>", CHECK.format(axe=AXE.read_text(encoding="utf8")))
    dom = open_in_browser(page, tmp_path, f"--blink-settings=preferredColorScheme={int(scheme == 'light')}")
    passes, violations = json.loads(unescape(dom.partition('<pre id="axe">')[2].partition("</pre>")[0]))
    assert passes > 10
    assert violations == []


def without_gold(report: Report) -> dict:
    nothing = {"retention": {}, "overall": {"retention": None, "agreement": 0.9}, "counted": {}, "aligned": {}}
    sides = {role: {**report[role], "scores": {}} for role in ("teacher", "student")}
    data = {**report["data"], "gold": False, "path": None}
    return {**report, **nothing, **sides, "data": data, "calibration": {"teacher": {}, "student": {}}}


def open_in_browser(page: str, folder: Path, *flags: str) -> str:
    """Return what a page has become after its scripts have run."""
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        assert "CI" not in os.environ, "CI needs a browser"
        pytest.skip(f"none of these browsers is here: {', '.join(BROWSERS)}")
    (folder / "page.html").write_text(page, encoding="utf8")
    command = [browser, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={folder / 'profile'}", *flags]
    command += ["--virtual-time-budget=10000", "--dump-dom", (folder / "page.html").as_uri()]
    environment = {**os.environ, "HOME": str(folder)}
    return subprocess.run(command, capture_output=True, text=True, timeout=240, check=True, env=environment).stdout


def test_the_first_screen_has_the_verdict(report: Report) -> None:
    page = "".join(Elements(to_html(report)).text)
    first = page.index(verdict(report))
    assert first < page.index("green from 95 %") < page.index("Scores, in per cent")
    assert "What gold annotations would add" not in page
    bare = "".join(Elements(to_html(without_gold(report))).text)
    assert "What gold annotations would add" in bare
    assert "gold.spacy --output DIR" in bare
    # Nothing is told in columns in which there is nothing.
    assert "Retention" not in bare.replace("retention)", "")


def test_what_differs_is_marked(report: Report) -> None:
    page = to_html(report)
    styles = {item["style"] for item in report["disagreements"]}
    assert styles == {"dep", "ent", "span", "cats"}
    assert page.count('<tspan class="differs">') > 0
    assert page.count('<strong class="differs">') > 0
    assert page.count('class="decided differs"') > 0
    same = [{**item, "student": item["teacher"]} for item in report["disagreements"] if item["style"] != "cats"]
    page = to_html({**report, "disagreements": same})
    assert 'class="differs">' not in page.replace('<span class="differs">marked</span>', "")


def test_five_examples_and_more(report: Report) -> None:
    page = to_html(report)
    folded = page.partition(f"<summary>{len(report['disagreements']) - 5} more</summary>")
    assert folded[0].count("<article") == 5
    assert folded[2].count("<article") == len(report["disagreements"]) - 5


def test_probabilities_and_texts_of_another_kind_are_shown(report: Report) -> None:
    elsewhere = {"path": "tweets.spacy", "gold": True, "documents": 9, "overall": {"retention": 0.5, "agreement": 0.4}}
    elsewhere |= {"retention": {"tag_acc": 0.51}, "agreement": {"tag_acc": 0.41}}
    page = "".join(Elements(to_html({**report, "elsewhere": elsewhere})).text)
    assert "On texts of another kind" in page
    assert "51.00" in page
    assert report["calibration"]["student"].keys() == {"textcat", "textcat_multilabel"}
    assert "Calibration" in page
    assert "Thresholds of textcat_multilabel" in page


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
