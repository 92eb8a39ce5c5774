"""What a report says label by label and sentence by sentence, and the page that shows it."""

import json
import os
import re
import shutil
import subprocess
from html import escape
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from helpers.pages import Elements
from helpers.reports import HOSTILE, JUDGED_PIPES, spoil_names
from spacy_tinydistill.evaluation_log import CURVE_NAME, read_curve
from spacy_tinydistill.report.html import _draw_words, to_html
from spacy_tinydistill.report.report import Report


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
