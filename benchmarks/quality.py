"""What a student learns in each of four ways, over tasks, seeds and texts.

    python benchmarks/quality.py run --task ewt --raw-words 400000
    python benchmarks/quality.py table

Each row of RESULTS is one student. What it scores is kept as it comes and never computed twice: a run that was stopped
goes on with the students that are missing. The ways:

gold   plain `spacy train` on the gold annotations
hard   plain `spacy train` on what the teacher annotated, as if that were gold: what everybody does by hand today
soft   the teacher's soft labels and nothing else, as spaCy v4's `spacy distill` has it
ours   what the workflows of project.yml do: soft labels, gold, and word vectors from the teacher

All have the same student (but that ours reads word vectors), batches, optimizer, number of updates and seed. Scored is
the last student of each, not the best, so that nothing is chosen on the data that it is scored on. What a teacher said
of the texts is recorded once for all of them. Teachers and corpora come from the steps of project.yml, in whose folder
this runs.
"""

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import chain, product
from pathlib import Path
from statistics import mean, stdev
from typing import Annotated, Any

import spacy
import srsly
import typer
from commands import call, is_recorded, keep_row, read_rows, score, score_once
from spacy.tokens import DocBin
from spacy.util import load_config

from spacy_tinydistill.corpus import read_texts, text_corpus

RESULTS = Path("benchmarks/quality.jsonl")
WORK = Path("training/quality")
WAYS = ("gold", "soft", "ours", "hard")


@dataclass(frozen=True)
class Task:
    """Who teaches what, and what is scored."""

    folder: str  # Of the corpora in corpus/, and of the teacher in training/
    train: str
    test: str
    scores: tuple[str, ...]
    updates: int
    raw_words: int  # So many words of raw text are learned on in half of the runs
    settings: dict[str, Any]  # Of the student's config, by dotted name
    raw_text: Path = Path("corpus/snippets.jsonl")
    texts_per_doc: int = 1  # How many of its texts make a document like those of the task
    variants: str | None = None  # The task's own texts with more that were made of them, for ours
    vectors: tuple[str | int, ...] = ()  # How ours has them distilled


TASKS = {
    "ewt": Task(
        "ewt",
        "en_ewt-ud-train.spacy",
        "en_ewt-ud-dev.spacy",
        ("tag_acc", "pos_acc", "morph_acc", "dep_uas", "dep_las"),
        updates=5000,
        raw_words=2_766_000,
        settings={},
        raw_text=Path("../shared/data/raw_text/en_mixed.jsonl.gz"),
        # Its texts are single sentences; the treebank's documents have ten.
        texts_per_doc=10,
        vectors=("--contexts", 300_000),
    ),
    "wnut17": Task(
        "wnut17",
        "train.spacy",
        "dev.spacy",
        ("ents_f",),
        updates=1500,
        raw_words=400_000,
        settings={},
        vectors=("--contexts", 300_000),
    ),
    "trec": Task(
        "trec",
        "train.spacy",
        "test.spacy",
        ("cats_macro_f", "cats_micro_f"),
        updates=1200,
        raw_words=400_000,
        settings={
            "components.tok2vec.model.embed.rows": [2000, 500, 1000, 500],
            "components.tok2vec.model.encode.depth": 2,
            "distillation.batcher.size": 800,
            "distillation.dropout": 0.2,
            "distillation.gold_weight": 4.0,
        },
        variants="distill.jsonl",
        vectors=("--limit", 14_000),
    ),
    "sst2": Task(
        "sst2",
        "train.spacy",
        "dev.spacy",
        ("cats_micro_f", "cats_macro_f"),
        updates=1500,
        raw_words=200_000,
        settings={"distillation.dropout": 0.2},
        # Without film reviews, among which is most of what is scored on.
        raw_text=Path("corpus/sst2/raw.jsonl"),
    ),
}


@dataclass(frozen=True)
class Student:
    """One row of the results."""

    task: str
    way: str
    raw_words: int
    seed: int


@dataclass(frozen=True)
class Material:
    """What the students of a task have in common."""

    teacher: Path
    train: Path
    test: Path
    texts: Path  # What the teacher spoke about besides the gold data, or the text of these again
    store: Path
    annotated: Path  # The teacher's hard labels
    vectors: Path


app = typer.Typer(help=__doc__, add_completion=False, rich_markup_mode=None)


@app.command()
def run(
    task: Annotated[list[str] | None, typer.Option(help="Of: " + ", ".join(TASKS))] = None,
    way: Annotated[list[str] | None, typer.Option(help="Of: " + ", ".join(WAYS))] = None,
    seeds: Annotated[int, typer.Option(help="How many; of hard labels it is one")] = 3,
    raw_words: Annotated[
        int | None, typer.Option(help="Of raw text in half of the runs; else as many as tasks say")
    ] = None,
) -> None:
    """Train the students that are missing, the first seed's first, and keep what they score."""
    known = {as_student(row) for row in read_rows(RESULTS)}
    for seed, name, is_raw, how in product(range(seeds), task or TASKS, (False, True), way or WAYS):
        words = is_raw * (TASKS[name].raw_words if raw_words is None else raw_words)
        student = Student(name, how, words, seed)
        # Raw text has no gold annotations.
        if student in known or (how == "gold" and words) or (how == "hard" and seed):
            continue
        print(student, flush=True)
        material = prepare(student)
        scores = train(student, material)
        teacher = score_once(material.teacher, material.test, WORK / f"{name}-teacher.json")
        keep_row(RESULTS, {**asdict(student), "updates": TASKS[name].updates, "scores": scores, "teacher": teacher})


@app.command()
def table() -> None:
    """Print mean and spread of each way, and how much of the gap between gold alone and the teacher it closes."""
    rows = [(as_student(row), row) for row in read_rows(RESULTS)]
    for name, task in TASKS.items():
        for measure in task.scores:
            found: dict[tuple[str, int], list[float]] = {}
            for student, row in rows:
                if student.task == name:
                    found.setdefault((student.way, student.raw_words), []).append(100 * row["scores"][measure])
                    teacher = 100 * row["teacher"][measure]
            if not found:
                continue
            print(f"\n{name}, {measure}: teacher {teacher:.2f}")
            gold = mean(found["gold", 0]) if ("gold", 0) in found else None
            for (way, words), values in sorted(found.items()):
                line = f"  {way:5} {words:>8,} words of raw text: {mean(values):.2f}"
                line += f" ± {stdev(values):.2f}" if len(values) > 1 else ""
                line += f" of {len(values)}"
                line += f", gap closed {(mean(values) - gold) / (teacher - gold):.0%}" if gold is not None else ""
                print(line)


def as_student(row: dict[str, Any]) -> Student:
    """Say whose row it is."""
    return Student(row["task"], row["way"], row["raw_words"], row["seed"])


def prepare(student: Student) -> Material:
    """Make the student's material, as far as it is not there from other students."""
    task = TASKS[student.task]
    corpus, folder = Path("corpus") / task.folder, WORK / student.task
    gold = corpus / task.train
    raw = [folder / f"raw-{student.raw_words}.jsonl"] if student.raw_words else []
    variants = [corpus / task.variants] if task.variants and student.way == "ours" else []
    name = f"{'variants-' if variants else ''}{student.raw_words}"
    material = Material(
        teacher=Path("training") / task.folder / "teacher" / "model-best",
        train=gold,
        test=corpus / task.test,
        texts=folder / f"texts-{name}",
        store=folder / f"store-{name}",
        annotated=folder / f"annotated-{name}.spacy",
        vectors=folder / f"vectors-{student.raw_words}",
    )
    folder.mkdir(parents=True, exist_ok=True)
    for path in raw:
        if not path.exists():
            texts = first_words(task.raw_text, student.raw_words)
            srsly.write_jsonl(path, [{"text": text} for text in texts])
    gather(material.texts, [*variants, *raw] or [gold])
    if student.way == "ours" and not material.vectors.exists():
        read = folder / f"read-{student.raw_words}"
        gather(read, [gold, *raw])
        call("init", "distill-vectors", material.teacher, read, material.vectors, *task.vectors)
    if student.way in ("soft", "ours") and not is_recorded(material.store):
        config = write_config(student, material, folder / f"record-{name}.cfg")
        call("distill-targets", material.teacher, material.texts, material.store, "--config", config)
    if student.way == "hard" and not material.annotated.exists():
        annotate(student, material)
    return material


def train(student: Student, material: Material) -> dict[str, float]:
    """Train one student in its way and score it."""
    output = WORK / student.task / f"{student.way}-{student.raw_words}-{student.seed}"
    output.parent.mkdir(parents=True, exist_ok=True)
    config = write_config(student, material, output.with_suffix(".cfg"))
    if student.way in ("soft", "ours"):
        call("distill", "-", config, "--targets", material.store, "--output", output, "--force")
    else:
        gold_only = output.with_suffix(".gold.cfg")
        subprocess.run([sys.executable, "scripts/gold_only.py", config, gold_only], check=True)
        source = material.train if student.way == "gold" else material.annotated
        call("train", gold_only, "--output", output, "--corpora.gold.path", source)
    return score(output / "model-last", material.test, output / "scores.json")


def write_config(student: Student, material: Material, path: Path) -> Path:
    """Write what `init distill-config` writes, with this student's settings."""
    task = TASKS[student.task]
    vectors = ("--vectors", material.vectors) if student.way == "ours" else ()
    call("init", "distill-config", material.teacher, path, "--force", *vectors)
    settings = {
        "paths.distill": str(material.texts),
        "paths.gold": str(material.train),
        "paths.dev": str(material.test),
        "system.seed": student.seed,
        "distillation.max_steps": task.updates,
        "training.eval_frequency": task.updates,
        **task.settings,
    }
    if student.raw_words:
        settings["corpora.distill.texts_per_doc"] = task.texts_per_doc
    if student.way == "soft":
        settings["distillation.gold_weight"] = 0.0
    load_config(path, overrides=settings, interpolate=False).to_disk(path)
    return path


def annotate(student: Student, material: Material) -> None:
    """Write the teacher's annotations of the gold data's text and of raw text."""
    nlp = spacy.load(material.teacher)
    read_gold = text_corpus(str(material.train), max_length=0)
    read_raw = text_corpus(str(material.texts), texts_per_doc=TASKS[student.task].texts_per_doc)
    examples = chain(read_gold(nlp), read_raw(nlp) if student.raw_words else ())
    DocBin(docs=nlp.pipe(example.predicted for example in examples)).to_disk(material.annotated)


def gather(folder: Path, files: list[Path]) -> None:
    """Make a folder of links to some files, to be read in this order."""
    folder.mkdir(exist_ok=True)
    for number, file in enumerate(files):
        link = folder / f"{number}-{file.name}"
        if not link.exists():
            link.symlink_to(file.resolve())


def first_words(raw_text: Path, words: int) -> Iterator[str]:
    """Yield the first texts that have so many words together; there must be as many."""
    for text in read_texts(raw_text):
        if words <= 0:
            return
        words -= len(text.split())
        yield text
    if words > 0:
        raise typer.BadParameter(f"{raw_text} has {words:,} words less", param_hint="--raw-words")


if __name__ == "__main__":
    app()
