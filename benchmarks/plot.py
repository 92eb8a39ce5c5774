"""Draw `throughput.json`: the ratios with their spread, and how time and memory grow."""

import json
from pathlib import Path

import matplotlib

matplotlib.use("agg")

from matplotlib import pyplot
from matplotlib.axes import Axes


def draw(source: Path, path: Path) -> None:
    """Draw a report.

    Args:
        source: What `throughput.py` wrote.
        path: The file to write; its suffix says in which format.
    """
    report = json.loads(source.read_text(encoding="utf8"))
    growth = {what: report["growth"][what]["runs"] for what in ("recording", "training") if "growth" in report}
    figure, (left, middle, right) = pyplot.subplots(1, 3, figsize=(15, 4.2), layout="constrained")
    _draw_ratios(left, report["comparisons"])
    for what, runs in growth.items():
        words = [run["words"] for run in runs]
        middle.plot(words, [run["seconds"] for run in runs], marker="o", label=what)
        right.plot(words, [run["peak_memory"] / 1e6 for run in runs], marker="o", label=what)
    for axes, label in ((middle, "seconds"), (right, "peak memory, MB")):
        axes.set(xscale="log", xlabel="words", ylabel=label)
        if growth:
            axes.legend()
    middle.set_yscale("log")
    right.set_ylim(bottom=0)
    figure.savefig(path)
    pyplot.close(figure)


def _draw_ratios(axes: Axes, comparisons: list[dict]) -> None:
    titles = []
    for row, comparison in enumerate(comparisons):
        ratio = comparison["ratio"]
        axes.plot([ratio["min"], ratio["max"]], [row, row], color="tab:blue")
        axes.plot(ratio["median"], row, marker="o", color="tab:blue")
        titles.append(f"{comparison['title']}\nover {list(comparison['words_per_second'])[1]}")
    axes.axvline(1.0, color="grey", linestyle="dotted")
    axes.set_yticks(range(len(titles)), titles)
    axes.invert_yaxis()
    axes.set_xlabel("words/s, ours over theirs (median, smallest to largest)")
