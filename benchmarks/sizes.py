"""What students of different shapes keep of their teacher, at which speed and in how many bytes.

    python benchmarks/sizes.py run TEACHER TEXTS GOLD DEV APART
    python benchmarks/sizes.py speed TEACHER DEV
    python benchmarks/sizes.py plot sizes.svg

Each row of RESULTS is one student, kept as it comes and never computed twice: a run that was stopped goes on with the
students that are missing. All learn for the same number of updates from one recording of what the teacher says of TEXTS
and of the gold data, those of the first run: for others, move RESULTS and WORK away. They learn as the workflow
`distill-syntax` does. A shape is chosen by its agreement: how much of what the teacher says the student says, too, on
the first of the texts of APART, which no student saw. Its scores on DEV are kept to be printed. Scored is the last
student of each, not the best, so that nothing is chosen on the data that it is scored on.
"""

from itertools import islice, product
from pathlib import Path
from typing import Annotated, Any

import matplotlib
import spacy
import srsly
import typer
from commands import call, gather, is_recorded, keep_row, read_rows, score, score_once
from spacy.tokens import DocBin
from spacy.util import load_config

from spacy_tinydistill.components.base import Size
from spacy_tinydistill.corpus import read_texts
from spacy_tinydistill.files import bytes_on_disk
from spacy_tinydistill.report.size import count_parameters
from spacy_tinydistill.report.speed import measure_speed
from spacy_tinydistill.student.config import SIZES, student_config

matplotlib.use("agg")

from matplotlib import pyplot
from matplotlib.axes import Axes

# Text stays text: a fraction of the bytes.
matplotlib.rcParams["svg.fonttype"] = "none"

RESULTS = Path("benchmarks/sizes.jsonl")
SPEEDS = Path("benchmarks/sizes_speed.json")
WORK = Path("training/sizes")

# What each student learns in, if nothing else is said.
UPDATES = 1_000
# So many texts are kept apart.
KEPT_APART = 2_000
# Words a pass of the speed measurement may have.
SPEED_WORDS = 20_000

# As in project.yml: raw texts are single sentences, documents have ten; half of what is learned on is the treebank.
LEARNED = {"corpora.distill.texts_per_doc": 10, "distillation.gold_share": 0.5}

# Word vectors of each kind: how they are distilled.
VECTORS: dict[str, tuple[str | int, ...]] = {
    "many": ("--limit", 20_000, "--contexts", 300_000),
    # For a student of 1.5 MB.
    "few": ("--limit", 2_500, "--width", 24, "--contexts", 300_000),
}
NO_VECTORS = "none"

_ROWS = {"NORM": 5000, "PREFIX": 1000, "SUFFIX": 2500, "SHAPE": 2500}
_TWICE_THE_ROWS = {"NORM": 10000, "PREFIX": 2000, "SUFFIX": 5000, "SHAPE": 5000}
_FEW_ROWS = {"NORM": 1800, "PREFIX": 400, "SUFFIX": 900, "SHAPE": 900}
_FEWER_ROWS = {"NORM": 1000, "PREFIX": 250, "SUFFIX": 600, "SHAPE": 500}
# Of a student that has vectors of frequent words: for the rare ones.
_RARE_ROWS = {"NORM": 600, "PREFIX": 400, "SUFFIX": 900, "SHAPE": 500}

# Of each shape the size and the kind of word vectors. They do not follow the presets, which are chosen from them.
SHAPES: dict[str, tuple[Size, str]] = {
    "96 x 4, 3 pieces": (Size(96, 4, 3, _ROWS, 64), "many"),
    "96 x 4": (Size(96, 4, 2, _ROWS, 64), "many"),
    "96 x 4, no vectors": (Size(96, 4, 2, _ROWS, 64), NO_VECTORS),
    "96 x 3": (Size(96, 3, 2, _ROWS, 64), "many"),
    "128 x 3": (Size(128, 3, 2, _ROWS, 64), "many"),
    "128 x 4, 3 pieces": (Size(128, 4, 3, _TWICE_THE_ROWS, 64), "many"),
    "48 x 3": (Size(48, 3, 2, _FEW_ROWS, 32), NO_VECTORS),
    "48 x 3, few vectors": (Size(48, 3, 2, _RARE_ROWS, 32), "few"),
    "48 x 4, few vectors": (Size(48, 4, 2, _RARE_ROWS, 32), "few"),
    "64 x 3": (Size(64, 3, 2, _FEWER_ROWS, 32), NO_VECTORS),
}

app = typer.Typer(help=__doc__, add_completion=False, rich_markup_mode=None)


@app.command()
def run(
    teacher: Annotated[Path, typer.Argument(help="A pipeline")],
    texts: Annotated[Path, typer.Argument(help="Text without annotations")],
    gold: Annotated[Path, typer.Argument(help="A DocBin to learn from as well")],
    dev: Annotated[Path, typer.Argument(help="A DocBin to score on")],
    apart: Annotated[Path, typer.Argument(help="Other text without annotations, to measure agreement on")],
    shape: Annotated[list[str] | None, typer.Option(help="Of SHAPES; else each")] = None,
    seeds: Annotated[int, typer.Option(help="How many of each")] = 1,
    updates: Annotated[int, typer.Option(help="Of each student")] = UPDATES,
) -> None:
    """Train the students that are missing, the first seed's first, and keep what they score."""
    known = {(row["shape"], row["updates"], row["seed"]) for row in read_rows(RESULTS)}
    settings = {
        **LEARNED,
        "paths.distill": str(texts),
        "paths.gold": str(gold),
        "paths.dev": str(dev),
        "distillation.max_steps": updates,
        "training.eval_frequency": updates,
    }
    for seed, name in product(range(seeds), shape or SHAPES):
        if (name, updates, seed) in known:
            continue
        config = write_config(teacher, name, settings | {"system.seed": seed})
        prepare(teacher, texts, gold, apart, config)
        output = folder_of(name, updates, seed)
        call("distill", teacher, config, "--targets", WORK / "store", "--output", output, "--force")
        student = output / "model-last"
        row = {"shape": name, "updates": updates, "seed": seed, "bytes": bytes_on_disk(student)}
        row["parameters"] = count_parameters(spacy.load(student))
        row["agreement"] = score(student, WORK / "apart.spacy", output / "agreement.json")
        row["scores"] = score(student, dev, output / "scores.json")
        row["teacher"] = score_once(teacher, dev, WORK / "teacher.json")
        keep_row(RESULTS, row)


@app.command()
def table() -> None:
    """Print the agreement of each student, and what it retains of its teacher's scores."""
    for row in read_rows(RESULTS):
        print(f"\n{row['shape']}, {row['updates']} updates, seed {row['seed']}: {row['bytes']:,} bytes")
        for measure, agreement in row["agreement"].items():
            if measure in row["teacher"] and not measure.startswith("token_") and measure != "speed":
                scored, possible = row["scores"][measure], row["teacher"][measure]
                print(f"  {measure}: agreement {agreement:.2%}, score {scored:.2%} of {possible:.2%}")


@app.command()
def speed(
    teacher: Annotated[Path, typer.Argument(help="A pipeline")],
    dev: Annotated[Path, typer.Argument(help="A DocBin, for its texts")],
    updates: Annotated[int, typer.Option(help="Of the students")] = UPDATES,
) -> None:
    """Time the teacher and the first student of each shape in turn."""
    docs = list(DocBin().from_disk(dev).get_docs(spacy.blank("en").vocab))
    pipelines = {"teacher": str(teacher)}
    pipelines |= {name: str(folder_of(name, updates, 0) / "model-last") for name in SHAPES}
    pipelines = {name: path for name, path in pipelines.items() if Path(path).exists()}
    measured, passes = measure_speed(
        pipelines, [doc.text for doc in docs], [len(doc) for doc in docs], max_words=SPEED_WORDS
    )
    srsly.write_json(SPEEDS, {"passes": passes, "measured": measured})
    for name, found in measured.items():
        rates = found["words_per_second_runs"]["1"]
        print(f"{name}: {found['words_per_second']['1']:,.0f} words/s ({min(rates):,.0f} to {max(rates):,.0f})")


@app.command()
def plot(
    output: Annotated[Path, typer.Argument(help="The file to write; its suffix says in which format")],
    measure: Annotated[str, typer.Option(help="Which agreement")] = "dep_las",
    updates: Annotated[int, typer.Option(help="Of the students")] = UPDATES,
) -> None:
    """Draw the students' agreement against their words per second and their bytes."""
    measured: Any = srsly.read_json(SPEEDS)
    found = (row for row in read_rows(RESULTS) if row["updates"] == updates)
    rows = [row for row in found if row["shape"] in measured["measured"]]
    speeds = [measured["measured"][row["shape"]]["words_per_second"]["1"] for row in rows]
    sizes = [row["bytes"] for row in rows]
    agreements = [100 * row["agreement"][measure] for row in rows]
    labels = [label_of(row["shape"]) for row in rows]
    figure, (left, right) = pyplot.subplots(1, 2, figsize=(13, 6), sharey=True, layout="constrained")
    draw_frontier(left, sorted(zip(speeds, agreements, labels, strict=True), reverse=True))
    draw_frontier(right, sorted(zip(sizes, agreements, labels, strict=True)))
    left.set(xlabel="words/s, one thread", xscale="log", ylabel=f"{measure}, agreement with the teacher, %")
    right.set(xlabel="bytes", xscale="log")
    figure.savefig(output)
    pyplot.close(figure)


def draw_frontier(axes: Axes, points: list[tuple[float, float, str]]) -> None:
    """Draw points, the cheapest first, and the line of those than which none cheaper agrees as much."""
    frontier: list[tuple[float, float]] = []
    for cost, agreement, label in points:
        axes.plot(cost, agreement, "o", color="C0")
        axes.annotate(label, (cost, agreement), fontsize=7, xytext=(4, 3), textcoords="offset points")
        if not frontier or agreement > frontier[-1][1]:
            frontier.append((cost, agreement))
    axes.plot(*zip(*frontier, strict=True), color="C0", alpha=0.4, drawstyle="steps-post")


def prepare(teacher: Path, texts: Path, gold: Path, apart: Path, config: Path) -> None:
    """Ask the teacher once for all students, unless that was done."""
    gather(WORK / "read", [gold, texts])
    if not (WORK / "apart.spacy").exists():
        kept = islice(read_texts(apart), KEPT_APART)
        DocBin(docs=spacy.load(teacher).pipe(kept)).to_disk(WORK / "apart.spacy")
    for kind, options in VECTORS.items():
        if not vectors_of(kind).exists():
            call("init", "distill-vectors", teacher, WORK / "read", vectors_of(kind), *options)
    if not is_recorded(WORK / "store"):
        call("distill-targets", teacher, texts, WORK / "store", "--config", config)


def write_config(teacher: Path, name: str, settings: dict[str, Any]) -> Path:
    """Write a student's config."""
    size, kind = SHAPES[name]
    vectors = None if kind == NO_VECTORS else str(vectors_of(kind))
    path = WORK / f"{slug(name)}.cfg"
    WORK.mkdir(parents=True, exist_ok=True)
    student_config(spacy.load(teacher), size=size, vectors=vectors).to_disk(path)
    load_config(path, overrides=settings, interpolate=False).to_disk(path)
    return path


def label_of(shape: str) -> str:
    """Write a shape's name, and that of the preset which it is."""
    preset = next((name for name, size in SIZES.items() if size == SHAPES[shape][0]), None)
    return f"{shape} ({preset})" if preset else shape


def vectors_of(kind: str) -> Path:
    """Name the folder of the teacher's word vectors."""
    return WORK / f"vectors-{slug(kind)}"


def folder_of(name: str, updates: int, seed: int) -> Path:
    """Name what a student is written to."""
    return WORK / f"{slug(name)}-{updates}-{seed}"


def slug(name: str) -> str:
    """Write a shape's name as that of a file."""
    return name.replace(",", "").replace(" ", "-")


if __name__ == "__main__":
    app()
