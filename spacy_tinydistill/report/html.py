"""A report as one HTML page, made from its JSON, without a network; without scripts, but for a student to try in it."""

import shlex
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from itertools import zip_longest
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from markupsafe import Markup, escape
from spacy.displacy import DependencyRenderer, EntityRenderer, SpanRenderer

from ..web.page import Trial
from .plots import plot_lines, plot_points
from .raw_text import NOT_COMPARED, agreement_text, missing_text, tokens_text
from .table import (
    NOISE,
    ROLES,
    alignment_warnings,
    is_noisy,
    megabytes,
    percent,
    resource_rows,
    score_header,
    score_rows,
)
from .verdict import GREEN, YELLOW, compare_factor, lights, main_scores, score_name, title_of, verdict

TEMPLATE = "report.html.jinja"

# Of the labels of one pipe so many are shown, and so many more when asked for; there are treebanks with hundreds.
FIRST_LABELS = 12
MORE_LABELS = 100

# Longer words would run into each other.
MOST_CHARACTERS = 18

# How wide a letter of an arc's label is, in pixels.
LABEL_CHARACTER = 8.5

# So many examples are shown; the others when asked for.
FIRST_DRAWINGS = 5

# Behind entities and spans; words on them are dark.
AGREES, DIFFERS = "#dfe3e8", "#ffb59e"

# Of displaCy's dependencies, in the page's own colours, which may be dark.
WORDS_OPTIONS = {"compact": True, "offset_x": 60, "color": "inherit", "bg": "none", "font": "inherit"}


def to_html(report: Mapping[str, Any], trial: Trial | None = None) -> str:
    """Make the page.

    Args:
        report: The content of `report.json`. It is not trusted: texts, labels and names come from others.
        trial: The student to try in the page; None for a page without scripts.
    """
    return _template().render(
        report=report,
        trial=trial,
        scores=score_rows(dict(report)),
        score_header=score_header(dict(report)),
        alignment=alignment_warnings(dict(report)),
        title=title_of(report["student"]),
        verdict=verdict(report),
        lights=lights(report),
        green=GREEN,
        yellow=YELLOW,
        tiles=list(_tiles(report)),
        main_scores=set(main_scores(report).values()),
        gold_command=_gold_command(report),
        raw_text=_say_raw_text(report["raw_text"]),
        resources=resource_rows(dict(report)),
        noise=NOISE if is_noisy(dict(report)) else "",
        benchmark=_benchmark_command(report),
        curves=list(_curves(report["learning_curve"])),
        sizes=_plot_sizes(report),
        labels={pipe: _split_labels(labels) for pipe, labels in report["labels"].items()},
        drawings=[_draw(number, item) for number, item in enumerate(_choose(report["disagreements"]), start=1)],
        first_drawings=FIRST_DRAWINGS,
    )


@cache
def _template() -> Template:
    environment = Environment(
        loader=PackageLoader("spacy_tinydistill.report", ""),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(percent=percent, megabytes=megabytes, breakable=_breakable)
    return environment.get_template(TEMPLATE)


def _tiles(report: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """The figures at the top: what each says, and its value."""
    overall = report["overall"]
    if overall["retention"] is not None:
        yield "of the teacher's score kept (retention)", f"{percent(overall['retention'])} %"
    if overall["agreement"] is not None:
        yield "agreement with the teacher", f"{percent(overall['agreement'])} %"
    for score in dict.fromkeys(main_scores(report).values()):
        own, teachers = (report[role]["scores"].get(score) for role in ("student", "teacher"))
        if own is not None:
            than = "" if teachers is None else f", teacher {percent(teachers)}"
            yield f"{score_name(score)}{than}", percent(own)
    factors = {"on one thread": (report["speed_up"].get("1"), "faster", "slower")}
    factors["on disk"] = (report["compression"], "smaller", "larger")
    for where, (factor, more, less) in factors.items():
        if factor:
            value, _, word = compare_factor(factor, more, less).partition(" x ")
            yield f"{word or 'as the teacher'} {where}", f"{value} x" if word else value


def _choose(items: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Order examples such that the first few are of every kind, each kind together."""
    kinds: dict[tuple[str, ...], list[int]] = {}
    for place, item in enumerate(items):
        kinds.setdefault((item["style"], *item["pipes"]), []).append(place)
    in_turn = [place for places in zip_longest(*kinds.values()) for place in places if place is not None]
    first = sorted(in_turn[:FIRST_DRAWINGS])
    return [items[place] for place in (*first, *sorted(set(in_turn) - set(first)))]


def _gold_command(report: Mapping[str, Any]) -> str:
    """By which command a report that was made without gold annotations gets scores."""
    paths = {"TEACHER": report["teacher"]["path"], "STUDENT": report["student"]["path"]}
    named = [shlex.quote(path) if path else name for name, path in paths.items()]
    return f"python -m spacy benchmark distillation {' '.join(named)} gold.spacy --output DIR"


def _say_raw_text(found: Mapping[str, Any] | None) -> dict[str, Any]:
    """What is said of raw text, what is warned of, and the kinds of annotation that differ, of which there are most."""
    if found is None:
        return {"says": NOT_COMPARED, "warnings": [], "differing": []}
    return {
        "says": agreement_text(found),
        "warnings": [text for text in (missing_text(found), tokens_text(found)) if text],
        "differing": [kind for kind in found["kinds"].values() if kind["agreed"] < kind["places"]],
    }


def _benchmark_command(report: Mapping[str, Any]) -> str:
    """By which command a report that lacks speeds is completed."""
    paths = {
        "TEACHER": report["teacher"]["path"],
        "STUDENT": report["student"]["path"],
        "DATA": report["data"]["path"],
    }
    named = [shlex.quote(path) if path else name for name, path in paths.items()]
    return f"python -m spacy benchmark distillation {' '.join(named)} --output DIR"


def _curves(points: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """The score, and the losses, over the updates."""
    if not points:
        return
    first, last = points[0], points[-1]
    best = max(points, key=lambda point: (point["score"], -point["step"]))
    yield {
        "title": "Score on the dev data",
        "names": ["weighted score"],
        "plot": plot_lines(
            {"score": [(point["step"], point["score"]) for point in points]},
            x_title="updates",
            y_title="score",
            text=f"The weighted score over {last['step']} updates: {first['score']:.3f} at first, "
            f"{best['score']:.3f} at best, after {best['step']}.",
            percent=True,
        ),
    }
    losses = _losses_by_update(points)
    if losses:
        names = ", ".join(losses)
        yield {
            "title": "Loss of an update, as a share of the first",
            "names": list(losses),
            "plot": plot_lines(
                losses,
                x_title="updates",
                y_title="loss",
                text=f"The losses of {names} over {last['step']} updates, each as a share of its first.",
            ),
        }


def _losses_by_update(points: list[dict[str, Any]]) -> dict[str, list[tuple[float, float]]]:
    """The mean loss of an update before each evaluation, by pipe; the file has sums since the one before."""
    losses: dict[str, list[tuple[float, float]]] = {}
    previous = -1
    for point in points:
        for name, loss in point["losses"].items():
            losses.setdefault(name, []).append((point["step"], loss / (point["step"] - previous)))
        previous = point["step"]
    return {
        name: [(step, loss / series[0][1]) for step, loss in series]
        for name, series in losses.items()
        if len(series) > 1 and series[0][1] > 0
    }


def _plot_sizes(report: Mapping[str, Any]) -> dict[str, Any] | None:
    """How much each student retains for its size; None without others to compare this one to."""
    own = {"folder": "this one", **{key: report["student"][key] for key in ("name", "bytes")}, **report["overall"]}
    what = "retention" if own["retention"] is not None else "agreement"
    # The size is not known of one whose weights are elsewhere.
    students = [one for one in (own, *report["tried"]) if one[what] is not None and one["bytes"] is not None]
    if len(students) < 2 or students[0] is not own:
        return None
    return {
        "what": what,
        "students": students,
        "plot": plot_points(
            [(student["bytes"] / 1e6, student[what]) for student in students],
            x_title="megabytes on disk",
            y_title=what,
            text=f"{what.capitalize()} against size of {len(students)} students; the table below has the numbers.",
            percent=True,
        ),
    }


def _split_labels(labels: dict[str, dict[str, float]]) -> dict[str, Any]:
    """The most frequent labels, those that come after them, and how many are left out."""
    rows = list(labels.items())
    most = FIRST_LABELS + MORE_LABELS
    return {"first": rows[:FIRST_LABELS], "more": rows[FIRST_LABELS:most], "left_out": max(0, len(rows) - most)}


def _breakable(text: str) -> Markup:
    """A label that may go on in the next line between its features."""
    return escape(text).replace("|", Markup("|<wbr>"))


def _draw(number: int, disagreement: dict[str, Any]) -> dict[str, Any]:
    """Draw what teacher and student say about one sentence; a table of categories is the template's."""
    draw = _DRAWINGS.get(disagreement["style"])
    others = {"teacher": disagreement["student"], "student": disagreement["teacher"]}
    drawn = {role: draw(disagreement[role], others[role], f"{role}-{number}") for role in ROLES} if draw else {}
    return {**disagreement, "drawn": drawn}


# displaCy escapes the text alone; labels, tags and lemmas are for its callers to escape.


def _draw_words(said: dict[str, Any], other: dict[str, Any], name: str) -> Markup:
    # Of other words nothing can be told by their place.
    same_words = [word["text"] for word in said["words"]] == [word["text"] for word in other["words"]]
    pairs = zip(said["words"], other["words"] if same_words else said["words"], strict=True)
    words = [
        {
            "text": _shorten(word["text"]),
            "tag": _mark(_shorten(word["tag"]), word["tag"] != theirs["tag"], "tspan"),
            "lemma": None
            if word["lemma"] is None
            else _mark(_shorten(word["lemma"]), word["lemma"] != theirs["lemma"], "tspan"),
        }
        for word, theirs in pairs
    ]
    arcs = [
        {**arc, "label": _mark(arc["label"], same_words and arc not in other["arcs"], "tspan")} for arc in said["arcs"]
    ]
    # By the words alone, so that the student's stand below the teacher's.
    longest = max((min(len(word["text"]), MOST_CHARACTERS) for word in said["words"]), default=0)
    distance = max(124, 16 + 9 * longest)
    levels = max(DependencyRenderer().get_levels(arcs).values(), default=1)
    # Other arcs are as long as two words, and more.
    widest = (
        max((len(arc["label"]) for arc in said["arcs"] if arc["end"] - arc["start"] == 1), default=0) * LABEL_CHARACTER
    )
    renderer = DependencyRenderer(
        {
            **WORDS_OPTIONS,
            "distance": distance,
            # displaCy makes low arcs shorter by this for each level above them, down to nothing: they have labels.
            "arrow_spacing": min(12, distance / levels, max(2, (distance - widest) / levels)),
            "word_spacing": 40 if any(word["lemma"] for word in words) else 30,
        }
    )
    renderer.direction = _direction(said)
    # Labels find their arcs by the drawing's name, which no other one in the page may have.
    svg = renderer.render_svg(name, words, arcs)
    # Above compact arcs displaCy leaves room for high ones.
    empty = max(0.0, renderer.offset_y - renderer.highest_level * renderer.distance / 6 - 20)
    return Markup('<div class="drawn"><div style="margin-top: -{:.0f}px">{}</div></div>').format(empty, Markup(svg))


def _draw_ents(said: dict[str, Any], other: dict[str, Any], name: str) -> Markup:
    renderer = EntityRenderer()
    renderer.direction = _direction(said)
    ents = []
    for ent in said["ents"]:
        label = _mark(ent["label"], ent not in other["ents"], "strong")
        ents.append({"start": ent["start"], "end": ent["end"], "label": label})
        renderer.colors[label.upper()] = DIFFERS if ent not in other["ents"] else AGREES
    return Markup(renderer.render_ents(said["text"], ents, None))


def _draw_spans(said: dict[str, Any], other: dict[str, Any], name: str) -> Markup:
    renderer = SpanRenderer()
    renderer.direction = _direction(said)
    same_tokens = said["tokens"] == other["tokens"]
    spans = []
    for span in said["spans"]:
        differs = same_tokens and span not in other["spans"]
        label = _mark(span["label"], differs, "strong")
        spans.append({"start_token": span["start_token"], "end_token": span["end_token"], "label": label})
        renderer.colors[label.upper()] = DIFFERS if differs else AGREES
    return Markup(renderer.render_spans(said["tokens"], spans, None))


def _mark(text: str, differs: bool, element: str) -> str:
    """Escape a text, and mark it where the other of the two says something else."""
    return f'<{element} class="differs">{escape(text)}</{element}>' if differs and text else _escape(text)


def _direction(said: dict[str, Any]) -> str:
    return "rtl" if said["settings"]["direction"] == "rtl" else "ltr"


def _shorten(text: str) -> str:
    return text if len(text) <= MOST_CHARACTERS else text[: MOST_CHARACTERS - 1] + "…"


def _escape(text: str) -> str:
    return str(escape(text))


_DRAWINGS = {"dep": _draw_words, "ent": _draw_ents, "span": _draw_spans}
