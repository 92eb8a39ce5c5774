"""Draw docs/picture.svg, the README's picture: quality kept against speed and size.

    python scripts/picture.py

The figures are those of docs/benchmarks.md, a line each in benchmarks/headline.jsonl.
"""

import json
from html import escape
from math import log2, sqrt
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
FIGURES = ROOT / "benchmarks" / "headline.jsonl"
PICTURE = ROOT / "docs" / "picture.svg"

WIDTH, HEIGHT = 920, 470
LEFT, RIGHT, TOP, BOTTOM = 76, 250, 66, 64
SPEEDS = [1, 2, 4, 8, 16, 32, 64]
QUALITIES = [90, 92, 94, 96, 98, 100]

# Colours that keep their contrast on a white and on a black page.
STYLE = """
    text { font: 13px system-ui, sans-serif; fill: #24292f }
    .title { font-size: 17px; font-weight: 600 }
    .small { font-size: 12px; fill: #57606a }
    .grid { stroke: #d0d7de; stroke-width: 1 }
    .student { fill: #0969da; fill-opacity: .75 }
    .teacher { fill: none; stroke: #57606a; stroke-width: 1.5; stroke-dasharray: 4 3 }
    @media (prefers-color-scheme: dark) {
      text { fill: #e6edf3 } .small { fill: #9198a1 } .grid { stroke: #3d444d }
      .student { fill: #4493f8 } .teacher { stroke: #9198a1 }
    }
"""


def main() -> None:
    """Write the picture."""
    PICTURE.write_text(draw(read_figures()), encoding="utf8")


def read_figures() -> list[dict[str, Any]]:
    """Read the students that are drawn, a dict each."""
    return [json.loads(line) for line in FIGURES.read_text(encoding="utf8").splitlines()]


def draw(students: list[dict[str, Any]]) -> str:
    """Draw the students around their teacher, as SVG."""
    told = "; ".join(
        f"{s['name']}: {s['kept']:.1f} % of the teacher's {s['measure']} at {s['faster']:g} times its speed, "
        f"{s['megabytes']:g} MB"
        for s in students
    )
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        'aria-labelledby="title description">',
        '<title id="title">Quality kept against speed and size</title>',
        f'<desc id="description">{escape(told)}</desc>',
        f"<style>{STYLE}</style>",
        f'<text class="title" x="{LEFT}" y="26">What a student keeps of its teacher</text>',
        f'<text class="small" x="{LEFT}" y="46">The area of a circle is the size on disk; the teachers have 92 to '
        "94 MB. One CPU thread.</text>",
        *_draw_axes(),
        *(part for student in students for part in _draw_student(student)),
        f'<circle class="teacher" cx="{_x(1):.1f}" cy="{_y(100):.1f}" r="{_radius(92):.1f}"/>',
        f'<text x="{_x(1) + _radius(92) + 6:.1f}" y="{_y(100) + 22:.1f}">the teacher</text>',
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _draw_axes() -> list[str]:
    parts = []
    for speed in SPEEDS:
        parts.append(f'<line class="grid" x1="{_x(speed):.1f}" x2="{_x(speed):.1f}" y1="{_y(100):.1f}" y2="{_y(90)}"/>')
        parts.append(f'<text x="{_x(speed):.1f}" y="{_y(90) + 20}" text-anchor="middle">{speed}&#215;</text>')
    for quality in QUALITIES:
        y = f"{_y(quality):.1f}"
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y}" y2="{y}"/>')
        parts.append(f'<text x="{LEFT - 10}" y="{_y(quality) + 4:.1f}" text-anchor="end">{quality} %</text>')
    middle = (LEFT + WIDTH - RIGHT) / 2
    parts.append(f'<text class="small" x="{middle}" y="{HEIGHT - 18}" text-anchor="middle">words per second, times '
                 "the teacher's</text>")  # fmt: skip
    parts.append(f'<text class="small" transform="translate(18 {(_y(90) + _y(100)) / 2}) rotate(-90)" '
                 "text-anchor='middle'>share of the teacher's score</text>")  # fmt: skip
    return parts


def _draw_student(student: dict[str, Any]) -> list[str]:
    x, y, radius = _x(student["faster"]), _y(student["kept"]), _radius(student["megabytes"])
    # On the left where another circle's label is on the right.
    is_left = student["task"] == "UD English EWT"
    place = f'x="{x - radius - 6:.1f}" text-anchor="end"' if is_left else f'x="{x + radius + 6:.1f}"'
    return [
        f'<circle class="student" cx="{x:.1f}" cy="{y:.1f}" r="{radius:.1f}"/>',
        f'<text {place} y="{y + 4:.1f}">{escape(student["name"])}, {student["megabytes"]:g} MB</text>',
    ]


def _x(speed: float) -> float:
    return LEFT + 24 + (WIDTH - LEFT - RIGHT - 24) * log2(speed) / log2(SPEEDS[-1])


def _y(quality: float) -> float:
    share = (quality - QUALITIES[0]) / (QUALITIES[-1] - QUALITIES[0])
    return HEIGHT - BOTTOM - (HEIGHT - BOTTOM - TOP - 24) * share


def _radius(megabytes: float) -> float:
    return 3.2 * sqrt(megabytes)


if __name__ == "__main__":
    main()
