"""What a student learns in each of four ways, over tasks, seeds and texts.

    python benchmarks/quality.py run --task ewt --raw-words 400000
    python benchmarks/quality.py table
    python benchmarks/quality.py speed
    python benchmarks/quality.py plot quality.svg

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
from itertools import product
from pathlib import Path
from statistics import mean, median, stdev
from typing import Annotated, Any

import matplotlib
import numpy
import srsly
import typer
from commands import call, gather, is_recorded, keep_row, read_rows, score, score_once
from spacy.pipeline import Tagger
from spacy.pipeline.transition_parser import Parser
from spacy.tokens import Doc, DocBin
from spacy.util import load_config
from spacy.vocab import Vocab

from spacy_tinydistill.components.annotations import harden
from spacy_tinydistill.components.step_model import StepLayers, StepModel
from spacy_tinydistill.corpus import Reader, read_texts, text_corpus
from spacy_tinydistill.files import bytes_on_disk
from spacy_tinydistill.pipes.pipeline import load_teacher
from spacy_tinydistill.report.speed import measure_speed
from spacy_tinydistill.student.config import SIZES
from spacy_tinydistill.targets.records import Arrays, Role, unpack_soft_labels
from spacy_tinydistill.targets.store import Store
from spacy_tinydistill.teacher.recorder import annotate

matplotlib.use("agg")

from matplotlib import pyplot

# Text stays text: a fraction of the bytes.
matplotlib.rcParams["svg.fonttype"] = "none"

RESULTS = Path("benchmarks/quality.jsonl")
NUMPY_BLAS = Path("benchmarks/numpy_blas.py")
SPEEDS = Path("benchmarks/quality_speed.json")
WORK = Path("training/quality")
# Whoever lacks it has other sentences in corpus/snippets.jsonl.
RAW_TEXT = Path("../shared/data/raw_text/en_mixed.jsonl.gz")
# In the order in which they are drawn, from below.
WAYS = ("gold", "hard", "soft", "ours")

# What ours might have or lack besides, as ways of their own: "ours, no gold". The last three are for EWT's pipes.
_TOKENS = {"@teaching_rules": "spacy-tinydistill.TokenLabels.v1", "temperature": 2.0}
OPTIONS: dict[str, dict[str, Any]] = {
    # Of another size; the smallest has no word vectors.
    "mini": {},
    "nano": {},
    "no vectors": {},
    "no gold": {"gold_weight": 0.0},
    "each text once": {"gold_share": 0.0},
    "hidden states": {
        "student_to_teacher": {"tok2vec": "transformer"},
        "teaching": {"tok2vec": {"@teaching_rules": "spacy-tinydistill.HiddenStates.v1"}},
    },
    "teacher's states": {
        "teaching": {"parser": {"@teaching_rules": "spacy-tinydistill.Transitions.v1", "teacher_share": 0.25}}
    },
    "temperature 2": {
        "teaching": {
            "tagger": _TOKENS,
            "morphologizer": _TOKENS,
            "parser": {"@teaching_rules": "spacy-tinydistill.Transitions.v1", "temperature": 2.0},
        }
    },
}


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
    raw_text: Path = RAW_TEXT
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
        settings={"distillation.gold_share": 0.5},
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
        raw_words=600_000,
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
    annotated: Path  # The teacher's hard labels of all that is learned on
    vectors: Path
    told: Path  # What the teacher says of the test data: whoever says the same agrees with it


app = typer.Typer(help=__doc__, add_completion=False, rich_markup_mode=None)


@app.command()
def run(
    task: Annotated[list[str] | None, typer.Option(help="Of: " + ", ".join(TASKS))] = None,
    way: Annotated[
        list[str] | None,
        typer.Option(help=f"Of: {', '.join(WAYS)}; or 'ours, OPTION', with one of: {', '.join(OPTIONS)}"),
    ] = None,
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
        keep_row(RESULTS, measure(student, material, train(student, material)))


@app.command()
def table() -> None:
    """Print mean and spread of each way, and how much of the gap between gold alone and the teacher it closes."""
    for name, task in TASKS.items():
        groups: dict[tuple[str, int], list[dict[str, Any]]] = {}
        for row in read_rows(RESULTS):
            if row["task"] == name:
                groups.setdefault((row["way"], row["raw_words"]), []).append(row)
        for key in task.scores if groups else ():
            print_measure(name, key, groups)


@app.command()
def speed(
    task: Annotated[list[str] | None, typer.Option(help="Of: " + ", ".join(TASKS))] = None,
    words: Annotated[int, typer.Option(help="Words that a pass may have")] = 20_000,
) -> None:
    """Time each task's teacher and its first students in turn, on one thread and on all cores."""
    speeds = {}
    for name in task or TASKS:
        material = material_of(Student(name, "gold", 0, 0))
        words_and_texts = [(len(doc), doc.text) for doc in DocBin().from_disk(material.test).get_docs(Vocab())]
        pipelines = {"teacher": material.teacher}
        pipelines |= {
            f"{way}, {raw}": folder_of(Student(name, way, raw, 0)) / "model-last" for way, raw in first_students(name)
        }
        counts, texts = zip(*words_and_texts, strict=True)
        found, passes = measure_speed(
            {role: str(path) for role, path in pipelines.items()}, texts, counts, max_words=words
        )
        speeds[name] = {"passes": passes, "measured": found}
        for role, of_role in found.items():
            rates = of_role["words_per_second_runs"]["1"]
            print(f"{name}, {role}: {median(rates):,.0f} words/s ({min(rates):,.0f} to {max(rates):,.0f})", flush=True)
    srsly.write_json(SPEEDS, speeds)


@app.command()
def plot(output: Annotated[Path, typer.Argument(help="The file to write; its suffix says in which format")]) -> None:
    """Draw each student's score, by its way, below the line of its teacher."""
    panels = [(name, key) for name, task in TASKS.items() for key in task.scores]
    columns = 3
    figure, grid = pyplot.subplots(-(-len(panels) // columns), columns, figsize=(13, 11), layout="constrained")
    figure.suptitle("Scores, %: a dot is a student, the line its teacher")
    for axes in grid.flat[len(panels) :]:
        axes.set_axis_off()
    for axes, (name, key) in zip(grid.flat, panels, strict=False):
        rows = [row for row in read_rows(RESULTS) if row["task"] == name]
        ways = sorted({(row["way"], row["raw_words"]) for row in rows}, key=rank)
        for row in rows:
            axes.plot(100 * row["scores"][key], ways.index((row["way"], row["raw_words"])), "o", color="C0", alpha=0.6)
        for teacher in {100 * row["teacher"][key] for row in rows}:
            axes.axvline(teacher, color="C1", linewidth=1)
        axes.set_yticks(range(len(ways)), [f"{way}, raw text" if raw else way for way, raw in ways])
        axes.set_title(f"{name}, {key}")
    figure.savefig(output)
    pyplot.close(figure)


def rank(way: tuple[str, int]) -> tuple[int, int, str]:
    """Say where a way stands among all, by name and words of raw text: those without raw text come first."""
    name, words = way
    return words, WAYS.index(name.partition(", ")[0]), name


def print_measure(name: str, key: str, groups: dict[tuple[str, int], list[dict[str, Any]]]) -> None:
    """Print a line for each way."""
    teacher = 100 * next(iter(groups.values()))[0]["teacher"][key]
    print(f"\n{name}, {key}: teacher {teacher:.2f}")
    gold = mean(100 * row["scores"][key] for row in groups["gold", 0]) if ("gold", 0) in groups else None
    for (way, words), rows in sorted(groups.items(), key=lambda group: rank(group[0])):
        values = [100 * row["scores"][key] for row in rows]
        line = f"  {way}, {words:,} words of raw text: {mean(values):.2f}"
        line += f" ± {stdev(values):.2f}" if len(values) > 1 else ""
        line += f" of {len(values)}"
        line += f", gap closed {(mean(values) - gold) / (teacher - gold):.0%}" if gold is not None else ""
        line += f", retained {mean(values) / teacher:.1%}"
        line += f", agrees {mean(row['agreement'][key] for row in rows):.2%}"
        print(f"{line}, {rows[0]['bytes']:,} bytes")


def as_student(row: dict[str, Any]) -> Student:
    """Say whose row it is."""
    return Student(row["task"], row["way"], row["raw_words"], row["seed"])


def first_students(task: str) -> list[tuple[str, int]]:
    """List the ways that gold alone and ours, of each size, have been learned in with the first seed."""
    ways = ("gold", "ours", *(f"ours, {size}" for size in SIZES))
    return [
        (row["way"], row["raw_words"])
        for row in read_rows(RESULTS)
        if row["task"] == task and row["seed"] == 0 and row["way"] in ways
    ]


def material_of(student: Student) -> Material:
    """Name the files of a student's material."""
    task = TASKS[student.task]
    ours, _, option = student.way.partition(", ")
    corpus, folder = Path("corpus") / task.folder, WORK / student.task
    name = f"{'variants-' if task.variants and ours == 'ours' else ''}{student.raw_words}"
    return Material(
        teacher=Path("training") / task.folder / "teacher" / "model-best",
        train=corpus / task.train,
        test=corpus / task.test,
        texts=folder / f"texts-{name}",
        store=folder / f"store-{name}{'-layers' if option == 'hidden states' else ''}",
        annotated=folder / f"annotated-{name}.spacy",
        vectors=folder / f"vectors-{student.raw_words}",
        told=folder / "told.spacy",
    )


def prepare(student: Student) -> Material:
    """Make the student's material, as far as it is not there from other students."""
    task = TASKS[student.task]
    ours, _, _ = student.way.partition(", ")
    material = material_of(student)
    folder = WORK / student.task
    raw = [folder / f"raw-{student.raw_words}.jsonl"] if student.raw_words else []
    variants = [Path("corpus") / task.folder / task.variants] if task.variants and ours == "ours" else []
    folder.mkdir(parents=True, exist_ok=True)
    for path in raw:
        if not path.exists():
            texts = first_words(task.raw_text, student.raw_words, left_out=material.test)
            srsly.write_jsonl(path, [{"text": text} for text in texts])
    gather(material.texts, [*variants, *raw] or [material.train])
    if ours == "ours" and not material.vectors.exists():
        read = folder / f"read-{student.raw_words}"
        gather(read, [material.train, *raw])
        call("init", "distill-vectors", material.teacher, read, material.vectors, *task.vectors)
    if student.way != "gold" and not is_recorded(material.store):
        config = write_config(student, material, material.store.with_suffix(".cfg"))
        call("distill-targets", material.teacher, material.texts, material.store, "--config", config)
    if student.way == "hard" and not material.annotated.exists():
        write_decisions(material.teacher, material.store, material.annotated)
    if not material.told.exists():
        write_annotations(material.teacher, text_corpus(str(material.test), max_length=0), material.told)
    return material


def train(student: Student, material: Material) -> Path:
    """Train one student in its way and say where it is."""
    output = folder_of(student)
    config = write_config(student, material, output.with_suffix(".cfg"))
    if student.way not in ("gold", "hard"):
        # Named, so that a teacher that was trained anew is not mistaken for the one that was recorded.
        call("distill", material.teacher, config, "--targets", material.store, "--output", output, "--force")
    else:
        gold_only = output.with_suffix(".gold.cfg")
        subprocess.run([sys.executable, "scripts/gold_only.py", config, gold_only], check=True)
        source = material.train if student.way == "gold" else material.annotated
        call("train", gold_only, "--output", output, "--corpora.gold.path", source, "--code", NUMPY_BLAS)
    return output / "model-last"


def folder_of(student: Student) -> Path:
    """Name the folder of a student's run."""
    return WORK / student.task / f"{student.way}-{student.raw_words}-{student.seed}"


def measure(student: Student, material: Material, pipeline: Path) -> dict[str, Any]:
    """Make the row of a student."""
    return {
        **asdict(student),
        "updates": TASKS[student.task].updates,
        "bytes": bytes_on_disk(pipeline),
        "scores": score(pipeline, material.test, pipeline.parent / "scores.json"),
        "agreement": score(pipeline, material.told, pipeline.parent / "agreement.json"),
        "teacher": score_once(material.teacher, material.test, WORK / f"{student.task}-teacher.json"),
    }


def write_config(student: Student, material: Material, path: Path) -> Path:
    """Write what `init distill-config` writes, with this student's settings."""
    task = TASKS[student.task]
    ours, _, option = student.way.partition(", ")
    vectors = ("--vectors", material.vectors) if ours == "ours" and option not in ("no vectors", "nano") else ()
    size = ("--size", option) if option in SIZES else ()
    call("init", "distill-config", material.teacher, path, "--force", *size, *vectors)
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
        settings |= {"distillation.gold_weight": 0.0, "distillation.gold_share": 0.0}
    config = load_config(path, overrides=settings, interpolate=False)
    config.merge({"distillation": OPTIONS.get(option, {})}).to_disk(path)
    return path


def write_decisions(teacher: Path, store: Path, output: Path) -> None:
    """Write what a teacher decides of the Docs of a recording, as if that were gold; it is not asked again."""
    nlp = load_teacher(str(teacher))
    docs = []
    for record in Store(store).read(Role.TEXT, Role.GOLD):
        doc = record.make_doc(nlp.vocab)
        for name, arrays in record.targets.items():
            decide(nlp.get_pipe(name), doc, arrays)
        docs.append(doc)
    DocBin(docs=docs).to_disk(output)


def decide(pipe: Any, doc: Doc, arrays: Arrays) -> None:
    """Annotate a Doc as the pipe of which something was recorded would."""
    if isinstance(pipe, Parser):
        model = StepModel(StepLayers.of(pipe.model), arrays["vectors"].astype("float32"))
        states = pipe.moves.init_batch([doc])
        going = [state for state in states if not state.is_final()]
        while going:
            going = pipe.transition_states(going, model.predict(model.token_ids(going)))
        pipe.set_annotations([doc], states)
    elif isinstance(pipe, Tagger):
        n_labels = len(pipe.labels)
        pipe.set_annotations([doc], [unpack_soft_labels(arrays, numpy.arange(n_labels), n_labels).argmax(axis=1)])
    else:
        doc.cats = harden(dict(zip(pipe.labels, arrays["probabilities"].tolist(), strict=True)), exclusive=True)


def write_annotations(teacher: Path, read: Reader, output: Path) -> None:
    """Write a teacher's annotations, as if they were gold: of text categories its decisions."""
    nlp = load_teacher(str(teacher))
    docs = (example.predicted for example in read(nlp))
    annotated = (Doc(nlp.vocab).from_bytes(data) for data in annotate(nlp, docs, hard=True) if data)
    DocBin(docs=annotated).to_disk(output)


def first_words(raw_text: Path, words: int, left_out: Path) -> Iterator[str]:
    """Yield the first texts that have so many words together, without those and sentences of a DocBin; as many must be.

    What students are scored on is not for them to learn on, even without its gold annotations.
    """
    seen: set[str] = set()
    for doc in DocBin().from_disk(left_out).get_docs(Vocab()):
        sentences = doc.sents if doc.has_annotation("SENT_START") else ()
        seen |= {as_letters(text) for text in (doc.text, *(sentence.text for sentence in sentences))}
    for text in read_texts(raw_text):
        if words <= 0:
            return
        if as_letters(text) not in seen:
            words -= len(text.split())
            yield text
    if words > 0:
        raise typer.BadParameter(f"{raw_text} has {words:,} words less", param_hint="--raw-words")


def as_letters(text: str) -> str:
    """Write a text without what sets of it differ in: capitals, spaces and punctuation."""
    return "".join(filter(str.isalnum, text.lower()))


if __name__ == "__main__":
    app()
