"""Plots as SVG, for a page without scripts. Colours and fonts are the page's."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup

# Of the drawing, which scales with the page.
WIDTH, HEIGHT = 480, 300
# Right of the plot there is room for half of an axis' last tick.
LEFT, RIGHT, TOP, BOTTOM = 56, 32, 14, 44

# So many ticks an axis has, about.
TICKS = 5

# The page has so many colours for lines.
COLOURS = 6


@dataclass(frozen=True)
class Axis:
    """Values along one side of a plot."""

    title: str
    low: float
    high: float
    start: float  # Where the low end is drawn
    end: float
    percent: bool = False

    def at(self, value: float) -> float:
        """Where a value is drawn."""
        return self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start)

    @property
    def ticks(self) -> list[float]:
        """Round values within the axis."""
        step = _round_step(self.high - self.low)
        first, last = math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9)
        return [i * step for i in range(first, last + 1)]

    def show(self, value: float) -> str:
        """Write a tick's value."""
        if self.percent:
            return f"{100 * value:.4g} %"
        return f"{value:,.0f}" if self.high - self.low >= TICKS else f"{value:.4g}"


def plot_lines(
    lines: Mapping[str, Sequence[tuple[float, float]]], *, x_title: str, y_title: str, text: str, percent: bool = False
) -> Markup:
    """Plot a line for each series.

    Args:
        lines: Points, sorted by x, of each line by name. At least one point.
        x_title: Of the axis.
        y_title: Likewise.
        text: What the plot shows, for who cannot see it.
        percent: Whether y is a share, shown in per cent.
    """
    x, y = _axes([point for points in lines.values() for point in points], x_title, y_title, percent)
    drawn = []
    for number, points in enumerate(lines.values()):
        style = f"line-{number % COLOURS}"
        if len(points) > 1:
            path = " ".join(f"{x.at(at):.1f},{y.at(value):.1f}" for at, value in points)
            drawn.append(Markup('<polyline class="line {}" points="{}"/>').format(style, path))
        for at, value in points:
            dot = Markup('<circle class="dot {}" cx="{:.1f}" cy="{:.1f}" r="3"/>')
            drawn.append(dot.format(style, x.at(at), y.at(value)))
    return _svg(x, y, drawn, text)


def plot_points(
    points: Sequence[tuple[float, float]], *, x_title: str, y_title: str, text: str, percent: bool = False
) -> Markup:
    """Plot points, numbered from 1; the first stands out.

    Args:
        points: Pairs of x and y, at least one.
        x_title: Of the axis.
        y_title: Likewise.
        text: What the plot shows, for who cannot see it.
        percent: Whether y is a share, shown in per cent.
    """
    x, y = _axes(points, x_title, y_title, percent)
    drawn = []
    # The first is drawn last, on top.
    for number, (at, value) in reversed(list(enumerate(points, start=1))):
        shape = Markup(
            '<circle class="point {0}" cx="{1:.1f}" cy="{2:.1f}" r="9"/>'
            '<text class="number {0}" x="{1:.1f}" y="{3:.1f}">{4}</text>'
        )
        style = "this" if number == 1 else "other"
        drawn.append(shape.format(style, x.at(at), y.at(value), y.at(value) + 4, number))
    return _svg(x, y, drawn, text)


def _axes(points: Iterable[tuple[float, float]], x_title: str, y_title: str, percent: bool) -> tuple[Axis, Axis]:
    xs, ys = zip(*points, strict=True)
    x = Axis(x_title, *_limits(xs), LEFT, WIDTH - RIGHT)
    return x, Axis(y_title, *_limits(ys), HEIGHT - BOTTOM, TOP, percent)


def _limits(values: Sequence[float]) -> tuple[float, float]:
    """Round limits around values, with some room."""
    low, high = min(values), max(values)
    # Values that hardly differ are not to look as if they did.
    spread = max(high - low, abs(high) * 0.05) or 1.0
    step = _round_step(spread)
    # Nothing that is measured here is below 0.
    floor = 0.0 if low >= 0 else -math.inf
    return max(floor, math.floor((low - 0.05 * spread) / step) * step), math.ceil((high + 0.05 * spread) / step) * step


def _round_step(spread: float) -> float:
    """1, 2 or 5 times a power of ten, about `TICKS` of which make the spread."""
    raw = spread / TICKS
    power = 10.0 ** math.floor(math.log10(raw))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= raw * 0.999)


def _svg(x: Axis, y: Axis, drawn: list[Markup], text: str) -> Markup:
    grid = [
        Markup(
            '<line class="grid" x1="{0}" x2="{1}" y1="{2:.1f}" y2="{2:.1f}"/>'
            '<text class="tick" x="{3}" y="{4:.1f}" text-anchor="end">{5}</text>'
        ).format(LEFT, WIDTH - RIGHT, y.at(tick), LEFT - 6, y.at(tick) + 4, y.show(tick))
        for tick in y.ticks
    ] + [
        Markup('<text class="tick" x="{:.1f}" y="{}" text-anchor="middle">{}</text>').format(
            x.at(tick), HEIGHT - BOTTOM + 16, x.show(tick)
        )
        for tick in x.ticks
    ]
    titles = Markup(
        '<text class="title" x="{0}" y="{1}" text-anchor="middle">{2}</text>'
        '<text class="title" transform="translate(12 {3}) rotate(-90)" text-anchor="middle">{4}</text>'
    ).format((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 6, x.title, (TOP + HEIGHT - BOTTOM) / 2, y.title)
    return Markup('<svg class="plot" viewBox="0 0 {} {}" role="img" aria-label="{}">{}{}{}</svg>').format(
        WIDTH, HEIGHT, text, Markup("").join(grid), titles, Markup("").join(drawn)
    )
