"""What the ingredients of the two papers earn, left out in turn: of TinyBERT's student and the mixed-vocabulary one.

    python benchmarks/small_transformers.py run --task trec --kind tinybert --without nothing --seeds 3
    python benchmarks/small_transformers.py table

Each row of RESULTS is one student. What it scores is kept as it comes and never computed twice: a run that was stopped
goes on with the students that are missing. What a teacher says of the texts is recorded once for all of them, and
students that have a stage in common share it. Scored is the last student of each, not the best, so that nothing is
chosen on the data that it is scored on.

The students are those of configs/tinybert-*.cfg and configs/mixed-vocab-*.cfg. TinyBERT's has its general stage on raw
text, with a teacher that knows of no task, then learns layers and then predictions of the task's teacher, on the task's
sentences and variants of them. The other learns layers and then predictions, on the same. The control learns on gold
alone, for as many updates as the stages have together. Teachers and corpora come from the steps of project.yml, in
whose folder this runs.
"""

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from itertools import islice, product
from pathlib import Path
from statistics import mean, stdev
from typing import Annotated, Any

import spacy
import srsly
import typer
from commands import call, is_recorded, keep_row, read_rows, score, score_once
from spacy.tokens import DocBin
from spacy.util import load_config
from thinc.api import Config

from spacy_tinydistill.augment import neighbour_augmenter
from spacy_tinydistill.corpus import make_examples, read_texts
from spacy_tinydistill.files import bytes_on_disk

RESULTS = Path("benchmarks/small_transformers.jsonl")
WORK = Path("training/small-transformers")
BARE = Path("training/tinybert/bare")

# Reviews of goods, editorials, tweets. There are no film reviews in it, of which SST-2 is made.
GENERAL_TEXT = Path("corpus/sst2/raw.jsonl")
GENERAL_TEXTS = 8_000

# Of each of a task's sentences, beside itself.
VARIANTS = {"trec": 5, "sst2": 1}
# What is scored, in the task's folder.
TEST = {"trec": "test.spacy", "sst2": "dev.spacy"}

# The stages of each kind of student.
STAGES = {"tinybert": ("general", "layers", "predictions"), "mixed-vocab": ("layers", "predictions")}

# What may be left out of each kind, and the settings that do so wherever layers are taught.
INGREDIENTS: dict[str, dict[str, dict[str, float]]] = {
    "tinybert": {
        "attention": {"attention_weight": 0.0},
        "hidden states": {"hidden_weight": 0.0},
        "general stage": {},
        "augmentation": {},
    },
    "mixed-vocab": {
        "mixed vocabulary": {},
        "shared projections": {"down_weight": 0.0},
        "hidden states": {"hidden_weight": 0.0, "down_weight": 0.0},
        "augmentation": {},
    },
}
NOTHING, TEACHER = "nothing", "teacher"


@dataclass(frozen=True)
class Student:
    """One row of the results."""

    task: str
    kind: str
    without: str  # An ingredient, nothing, or the teacher: then it learns on gold alone
    updates: int  # In each stage
    seed: int


app = typer.Typer(help=__doc__, add_completion=False, rich_markup_mode=None)


@app.command()
def run(
    task: Annotated[list[str] | None, typer.Option(help="Of: " + ", ".join(TEST))] = None,
    kind: Annotated[list[str] | None, typer.Option(help="Of: " + ", ".join(STAGES))] = None,
    without: Annotated[list[str] | None, typer.Option(help="Nothing, teacher or an ingredient; else each")] = None,
    seeds: Annotated[int, typer.Option(help="How many of each")] = 1,
    updates: Annotated[int, typer.Option(help="In each stage")] = 500,
) -> None:
    """Train the students that are missing, the first seed's first, and keep what they score."""
    known = {as_student(row) for row in read_rows(RESULTS)}
    for seed, one, which in product(range(seeds), task or TEST, kind or STAGES):
        for left_out in without or [NOTHING, TEACHER, *INGREDIENTS[which]]:
            student = Student(one, which, left_out, updates, seed)
            if student not in known:
                print(student, flush=True)
                keep_row(RESULTS, train(student))


@app.command()
def table() -> None:
    """Print the students' accuracy, its spread over seeds, and the share of the teacher's that it is."""
    found: dict[Student, list[dict[str, Any]]] = {}
    for row in read_rows(RESULTS):
        found.setdefault(replace(as_student(row), seed=0), []).append(row)
    for student, rows in found.items():
        accuracies = [100 * row["scores"]["cats_micro_f"] for row in rows]
        teacher = 100 * rows[0]["teacher"]["cats_micro_f"]
        line = f"{student.task}, {student.kind}, {student.updates} updates, without {student.without}: "
        line += f"{mean(accuracies):.1f}"
        line += f" ± {stdev(accuracies):.1f}" if len(accuracies) > 1 else ""
        line += f" of {len(accuracies)}, {mean(accuracies) / teacher:.1%} of the teacher's {teacher:.1f}; "
        times = rows[0]["teacher_bytes"] / rows[0]["bytes"]
        print(line + f"{rows[0]['bytes']:,} bytes, 1/{times:.1f} of the teacher's")


def as_student(row: dict[str, Any]) -> Student:
    """Say whose row it is."""
    return Student(row["task"], row["kind"], row["without"], row["updates"], row["seed"])


def train(student: Student) -> dict[str, Any]:
    """Take one student through its stages and score it, and its teacher."""
    path = learn_gold(student) if student.without == TEACHER else learn(student, "predictions")
    test, teacher = Path("corpus") / student.task / TEST[student.task], teacher_of(student, "predictions")
    return {
        **asdict(student),
        "scores": score(path, test, path.parent / "scores.json"),
        "teacher": score_once(teacher, test, WORK / student.task / "teacher.json"),
        "bytes": bytes_on_disk(path),
        "teacher_bytes": bytes_on_disk(teacher),
    }


def learn(student: Student, stage: str) -> Path:
    """Take a student through a stage and those before it, unless another student has been there; return the last."""
    if stage == "general":
        student = without_task(student)
    output = folder_of(student, stage)
    if not (output / "model-last").exists():
        stages = [name for name in STAGES[student.kind] if student.without != f"{name} stage"]
        place = stages.index(stage)
        source = learn(student, stages[place - 1]) if place else None
        store = record(student, stage)
        config = write_config(student, stage, source)
        call("distill", "-", config, "--targets", store, "--output", output, "--force")
    return output / "model-last"


def learn_gold(student: Student) -> Path:
    """Train the control: the same student with new weights, on gold annotations alone."""
    stages = STAGES[student.kind]
    output = folder_of(student, "gold")
    first, last = write_config(student, stages[0], None), write_config(student, stages[-1], Path("not read"))
    config = output.with_suffix(".cfg")
    subprocess.run([sys.executable, "scripts/gold_only.py", last, config, "--first", first], check=True)
    updates = student.updates * len(stages)
    call("train", config, "--output", output, "--training.max_steps", updates, "--training.eval_frequency", updates)
    return output / "model-last"


def without_task(student: Student) -> Student:
    """Name the student of the general stage, which is the same for all tasks and for what later stages leave out."""
    taught = INGREDIENTS[student.kind].get(student.without)
    return replace(student, task="general", without=student.without if taught else NOTHING)


def record(student: Student, stage: str) -> Path:
    """Ask a stage's teacher once about all that any student of this stage may learn, layers and predictions."""
    texts = write_texts(student, stage)
    # Without attention, the other kind's layers are another recording.
    is_layers = (student.kind, stage) == ("mixed-vocab", "layers")
    store = texts.with_name(f"{texts.stem}-{'other-layers' if is_layers else 'store'}")
    if not is_recorded(store):
        asks_all = replace(student, kind=student.kind if is_layers else "tinybert", without=NOTHING)
        config = make_config(asks_all, stage if is_layers or stage == "general" else "predictions", None)
        if stage != "general" and not is_layers:
            config["distillation"]["teaching"] = read_config("tinybert", "layers")["distillation"]["teaching"]
        # Part of the texts is held out, on which students that have layers alone are scored.
        config["corpora"]["dev"]["path"] = None
        config["paths"]["distill"] = str(texts)
        path = store.with_suffix(".cfg")
        config.to_disk(path)
        call("distill-targets", teacher_of(student, stage), texts, store, "--config", path)
    return store


def write_config(student: Student, stage: str, source: Path | None) -> Path:
    """Write the config of a stage, with what the student leaves out and with its updates and seed."""
    config = make_config(student, stage, source)
    if student.without == "mixed vocabulary":
        config["initialize"].pop("after_init", None)
    if teaching := config["distillation"].get("teaching"):
        teaching["tok2vec"] |= INGREDIENTS[student.kind].get(student.without, {})
    config["distillation"]["max_steps"] = config["training"]["eval_frequency"] = student.updates
    config["training"]["seed"] = student.seed
    path = folder_of(student, stage).with_suffix(".cfg")
    path.parent.mkdir(parents=True, exist_ok=True)
    config.to_disk(path)
    return path


def make_config(student: Student, stage: str, source: Path | None) -> Config:
    """Make the config of a stage from that in configs/.

    Args:
        student: Who learns.
        stage: What.
        source: The student of the stage before; without one the student is made as in the first of all stages.
    """
    config = read_config(student.kind, stage)
    corpus = Path("corpus") / student.task
    paths: dict[str, Path] = {"gold": corpus / "train.spacy", "dev": corpus / TEST.get(student.task, "")}
    if source is None:
        made = read_config(student.kind, STAGES[student.kind][0])
        config["components"] |= made["components"]
        config["initialize"] = made["initialize"]
        paths["teacher"] = teacher_of(student, stage)
        paths["pieces"] = write_texts(student, stage)
    else:
        paths["student"] = source
    config["paths"] |= {name: str(path) for name, path in paths.items()}
    return config


def read_config(kind: str, stage: str) -> Config:
    """Read the config of a stage as users have it."""
    return load_config(f"configs/{kind}-{stage}.cfg", interpolate=False)


def write_texts(student: Student, stage: str) -> Path:
    """Write what a stage's teacher is asked about: raw text, or a task's sentences and, unless left out, variants."""
    if stage == "general":
        path = WORK / "general" / "texts.jsonl"
        texts: Iterator[str] = islice(read_texts(GENERAL_TEXT), GENERAL_TEXTS)
    else:
        variants = 0 if student.without == "augmentation" else VARIANTS[student.task]
        path = WORK / student.task / f"variants-{variants}.jsonl"
        texts = vary(student, variants)
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        srsly.write_jsonl(path, [{"text": text} for text in texts])
    return path


def vary(student: Student, variants: int) -> Iterator[str]:
    """Yield a task's sentences and variants of them, with neighbours of words in the teacher's embeddings."""
    nlp = spacy.blank("en")
    augment = neighbour_augmenter(str(teacher_of(student, "predictions")), variants=variants)
    for doc in DocBin().from_disk(Path("corpus") / student.task / "train.spacy").get_docs(nlp.vocab):
        for example in make_examples(nlp, doc.text, 0):
            yield from (variant.predicted.text for variant in augment(nlp, example))


def teacher_of(student: Student, stage: str) -> Path:
    """Name who teaches a stage."""
    return BARE if stage == "general" else Path("training") / student.task / "teacher" / "model-best"


def folder_of(student: Student, stage: str) -> Path:
    """Name what a student of a stage is written to."""
    name = f"{student.kind}-{stage}-without-{student.without}-{student.updates}-{student.seed}"
    return WORK / student.task / name.replace(" ", "-")


if __name__ == "__main__":
    app()
