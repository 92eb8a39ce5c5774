"""What students of different shapes keep of their teacher, at which speed and in how many bytes.

    python benchmarks/sizes.py run TEACHER TEXTS GOLD DEV
    python benchmarks/sizes.py speed TEACHER DEV
    python benchmarks/sizes.py plot sizes.svg

Each row of RESULTS is one student, kept as it comes and never computed twice: a run that was stopped goes on with the
students that are missing. All learn for the same number of updates from one recording of what the teacher says of TEXTS
and of the gold data, those of the first run: for others, move RESULTS and WORK away. A shape is chosen by its
agreement: how much of what the teacher says the student says, too, on texts that no student saw: the last of TEXTS, or
the first of those that --apart names. Its scores on DEV are kept to be printed. Scored is the last student of each, not
the best, so that nothing is chosen on the data that it is scored on.
"""

from itertools import islice, product
from pathlib import Path
from typing import Annotated, Any

import matplotlib
import spacy
import srsly
import typer
from commands import call, is_recorded, keep_row, read_rows, score, score_once
from spacy.tokens import DocBin
from spacy.util import load_config

from spacy_tinydistill.corpus import read_texts
from spacy_tinydistill.report.size import bytes_on_disk, count_parameters
from spacy_tinydistill.report.speed import measure_speed
from spacy_tinydistill.student.config import Size, student_config

matplotlib.use("agg")

from matplotlib import pyplot

RESULTS = Path("benchmarks/sizes.jsonl")
SPEEDS = Path("benchmarks/sizes_speed.json")
WORK = Path("training/sizes")

# So many texts are kept apart.
KEPT_APART = 2_000
# Words a pass of the speed measurement may have.
SPEED_WORDS = 20_000

# Word vectors of each kind: how many words of text they are averaged over.
CONTEXTS = {"alone": 0, "in context": 300_000}
NO_VECTORS = "none"


_SPACES = {"SPACY": 50, "IS_SPACE": 50}
_ROWS = {"NORM": 5000, "PREFIX": 1000, "SUFFIX": 2500, "SHAPE": 2500}
_TWICE_THE_ROWS = {"NORM": 10000, "PREFIX": 2000, "SUFFIX": 5000, "SHAPE": 5000}
_FEW_ROWS = {"NORM": 1800, "PREFIX": 400, "SUFFIX": 900, "SHAPE": 900}
_MORE_ROWS = {"NORM": 2000, "PREFIX": 500, "SUFFIX": 1000, "SHAPE": 1000, **_SPACES}
_FEWER_ROWS = {"NORM": 1000, "PREFIX": 250, "SUFFIX": 600, "SHAPE": 500}

# Of each shape the size and the kind of word vectors. They do not follow the presets, which are chosen from them.
SHAPES: dict[str, tuple[Size, str]] = {
    "96 x 4, 3 pieces, six attributes, alone": (Size(96, 4, 3, _ROWS | _SPACES, 64), "alone"),
    "96 x 4, 3 pieces, six attributes": (Size(96, 4, 3, _ROWS | _SPACES, 64), "in context"),
    "96 x 4, 3 pieces": (Size(96, 4, 3, _ROWS, 64), "in context"),
    "96 x 4, six attributes": (Size(96, 4, 2, _ROWS | _SPACES, 64), "in context"),
    "96 x 4": (Size(96, 4, 2, _ROWS, 64), "in context"),
    "96 x 4, no vectors": (Size(96, 4, 2, _ROWS, 64), NO_VECTORS),
    "96 x 3": (Size(96, 3, 2, _ROWS, 64), "in context"),
    "128 x 3": (Size(128, 3, 2, _ROWS, 64), "in context"),
    "128 x 4, 3 pieces": (Size(128, 4, 3, _TWICE_THE_ROWS, 64), "in context"),
    "48 x 3, 3 pieces, six attributes": (Size(48, 3, 3, _MORE_ROWS, 32), NO_VECTORS),
    "48 x 3": (Size(48, 3, 2, _FEW_ROWS, 32), NO_VECTORS),
    "64 x 3": (Size(64, 3, 2, _FEWER_ROWS, 32), NO_VECTORS),
}

app = typer.Typer(help=__doc__, add_completion=False, rich_markup_mode=None)


@app.command()
def run(
    teacher: Annotated[Path, typer.Argument(help="A pipeline")],
    texts: Annotated[Path, typer.Argument(help="Text without annotations")],
    gold: Annotated[Path, typer.Argument(help="A DocBin to learn from as well")],
    dev: Annotated[Path, typer.Argument(help="A DocBin to score on")],
    shape: Annotated[list[str] | None, typer.Option(help="Of SHAPES; else each")] = None,
    seeds: Annotated[int, typer.Option(help="How many of each")] = 1,
    updates: Annotated[int, typer.Option(help="Of each student")] = 1_500,
    apart: Annotated[Path | None, typer.Option(help="Text to keep apart, in place of the last of TEXTS")] = None,
    texts_per_doc: Annotated[int, typer.Option(help="How many of TEXTS make a document like those of GOLD")] = 1,
    gold_share: Annotated[float, typer.Option(help="Of all words learned on")] = 0.0,
) -> None:
    """Train the students that are missing, the first seed's first, and keep what they score."""
    material = {"gold_share": gold_share, "texts_per_doc": texts_per_doc}
    known = {
        (row["shape"], row["updates"], row["seed"]) for row in read_rows(RESULTS) if row.items() >= material.items()
    }
    settings = {
        "paths.distill": str(WORK / "texts.jsonl"),
        "paths.gold": str(gold),
        "paths.dev": str(dev),
        "corpora.distill.texts_per_doc": texts_per_doc,
        "distillation.gold_share": gold_share,
        "distillation.max_steps": updates,
        "training.eval_frequency": updates,
    }
    for seed, name in product(range(seeds), shape or SHAPES):
        if (name, updates, seed) in known:
            continue
        config = write_config(teacher, name, settings | {"system.seed": seed})
        record(teacher, texts, apart, config)
        output = folder_of(name, updates, seed)
        call("distill", teacher, config, "--targets", WORK / "store", "--output", output, "--force")
        student = output / "model-last"
        row = {"shape": name, "updates": updates, "seed": seed, **material, "bytes": bytes_on_disk(student)}
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
    updates: Annotated[int, typer.Option(help="Of the students")] = 1_500,
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
    updates: Annotated[int, typer.Option(help="Of the students")] = 1_500,
) -> None:
    """Draw the students' agreement against their words per second and their bytes."""
    measured: Any = srsly.read_json(SPEEDS)
    found = (row for row in read_rows(RESULTS) if row["updates"] == updates)
    rows = [row for row in found if row["shape"] in measured["measured"]]
    figure, both = pyplot.subplots(1, 2, figsize=(13, 5), sharey=True, layout="constrained")
    for axes, label, values in zip(
        both,
        ("words/s, one thread", "bytes"),
        (
            [measured["measured"][row["shape"]]["words_per_second"]["1"] for row in rows],
            [row["bytes"] for row in rows],
        ),
        strict=True,
    ):
        for row, value in zip(rows, values, strict=True):
            axes.plot(value, row["agreement"][measure], marker="o")
            axes.annotate(row["shape"], (value, row["agreement"][measure]), fontsize=7)
        axes.set(xlabel=label, xscale="log")
    both[0].set_ylabel(f"{measure}, agreement with the teacher")
    figure.savefig(output)
    pyplot.close(figure)


def record(teacher: Path, texts: Path, apart: Path | None, config: Path) -> None:
    """Ask the teacher once for all students, unless that was done."""
    if not (WORK / "apart.spacy").exists():
        found = list(read_texts(texts))
        kept = list(islice(read_texts(apart), KEPT_APART)) if apart else found[-KEPT_APART:]
        learned = found if apart else found[:-KEPT_APART]
        srsly.write_jsonl(WORK / "texts.jsonl", [{"text": text} for text in learned])
        DocBin(docs=spacy.load(teacher).pipe(kept)).to_disk(WORK / "apart.spacy")
    for kind, words in CONTEXTS.items():
        if not vectors_of(kind).exists():
            limits = ("--limit", 20_000, "--contexts", words)
            call("init", "distill-vectors", teacher, WORK / "texts.jsonl", vectors_of(kind), *limits)
    if not is_recorded(WORK / "store"):
        call("distill-targets", teacher, WORK / "texts.jsonl", WORK / "store", "--config", config)


def write_config(teacher: Path, name: str, settings: dict[str, Any]) -> Path:
    """Write a student's config."""
    size, kind = SHAPES[name]
    vectors = None if kind == NO_VECTORS else str(vectors_of(kind))
    path = WORK / f"{slug(name)}.cfg"
    WORK.mkdir(parents=True, exist_ok=True)
    student_config(spacy.load(teacher), size=size, vectors=vectors).to_disk(path)
    load_config(path, overrides=settings, interpolate=False).to_disk(path)
    return path


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
