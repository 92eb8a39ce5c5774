"""How fast this library is, side by side with what else there is, in one run.

    python benchmarks/throughput.py --teacher PATH --texts PATH --output DIR [--v4-python PATH]

Four parts, each of which can be left out:

a   recording what a teacher says, and plain `nlp.pipe` of the same teacher on the same Docs
b   an epoch from the store, and an epoch of `spacy train` of the same student on the same Docs
c   ours and spaCy v4's `Language.distill`: the first epoch, where the teacher is asked, and those after it
d   seconds and peak memory of recording and of training, as a user's commands take them, at growing numbers of words

Sides take turns, on one thread each. Writes `throughput.json` and, from that alone, `throughput.svg`.
"""
# ruff: noqa: E402

import os

# Before any library starts its threads.
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "RAYON_NUM_THREADS"):
    os.environ[_name] = "1"

import json
import random
import shlex
import shutil
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import partial
from itertools import count, pairwise
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Annotated, Any

import ours
import srsly
import typer
from plot import draw
from spacy.language import Language
from spacy.tokens import DocBin
from wasabi import msg, table

from spacy_tinydistill.corpus import make_examples, read_texts
from spacy_tinydistill.pipes.pipeline import load_teacher, pipes_of
from spacy_tinydistill.prepare import Run
from spacy_tinydistill.report.machine import describe_machine, installed_versions
from spacy_tinydistill.schemas import read_config
from spacy_tinydistill.targets.records import Record
from spacy_tinydistill.teacher.recorder import annotate

# What the two sides of part c both have, and what is quick to run in part d.
SYNTAX = ("tagger", "morphologizer", "parser", "ner")
FAST = ("tagger", "parser")

# Words to warm up on, and words of dev data in part d.
FEW_WORDS = 1_000


def main(
    teacher: Annotated[str, typer.Option(help="The teacher: a folder or a package")],
    texts: Annotated[Path, typer.Option(help="What to read in parts a to c, in any form that the library reads")],
    output: Annotated[Path, typer.Option(help="The folder to write to")],
    long_texts: Annotated[Path | None, typer.Option(help="What to read in part d; by default the same")] = None,
    v4_python: Annotated[str | None, typer.Option(help="An interpreter that has spaCy 4, for part c")] = None,
    parts: Annotated[str, typer.Option(help="Which parts to run")] = "a,b,c,d",
    words: Annotated[int, typer.Option(help="Words in parts a to c")] = 20_000,
    repeats: Annotated[int, typer.Option(help="How often each side of a to c, and each size of d, takes its turn")] = 3,
    epochs: Annotated[int, typer.Option(help="Epochs in part c")] = 2,
    sizes: Annotated[str, typer.Option(help="Words in part d")] = "10000,100000,1000000,3000000",
) -> None:
    """Measure, print and write down how fast this library is."""
    chosen = [part.strip() for part in parts.split(",")]
    nlp = load_teacher(teacher)
    _one_thread()
    output.mkdir(parents=True, exist_ok=True)
    report: dict[str, Any] = {
        "command": shlex.join(["python", *sys.argv]),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "load_average": os.getloadavg(),
        "machine": describe_machine(),
        "versions": installed_versions(),
        "threads": 1,
        "teacher": teacher,
        "texts": str(texts),
        "repeats": repeats,
        "comparisons": [],
    }
    with TemporaryDirectory(dir=output) as folder:
        room = Path(folder)
        if set(chosen) & {"a", "b", "c"}:
            sample = room / "texts.jsonl"
            write_texts(nlp, texts, sample, words)
            config = ours.write_config(nlp, room / "one.cfg", pipes=nlp.pipe_names, epochs=1)
            run = Run(nlp, sample, config, {}, -1).prepare()
            records = ours.list_texts(run)
            report["documents"], report["words"] = len(records), sum(map(len, records))
        if "a" in chosen:
            report["comparisons"].append(compare_recording(run, records, room, repeats))
        if "b" in chosen:
            report["comparisons"].append(compare_training(run, records, room, repeats))
        if "c" in chosen and v4_python is None:
            report["left_out"] = "Part c: there was no --v4-python."
            msg.warn(report["left_out"])
        elif "c" in chosen and v4_python is not None:
            found, report["versions_v4"] = compare_with_v4(
                nlp, teacher, sample, records, room, v4_python, repeats, epochs
            )
            report["comparisons"] += found
        if "d" in chosen:
            numbers = [int(size) for size in sizes.split(",")]
            report["growth"] = measure_growth(nlp, long_texts or texts, room, numbers, repeats)
    srsly.write_json(output / "throughput.json", report)
    draw(output / "throughput.json", output / "throughput.svg")
    msg.good("Wrote throughput.json and throughput.svg", output)


def compare_recording(run: Run, records: list[Record], room: Path, repeats: int) -> dict[str, Any]:
    """Part a. Texts are tokenized beforehand on both sides, which make their own Docs of the tokens."""
    teacher = run.teacher
    assert teacher is not None
    numbers = count()

    def record(some: list[Record]) -> float:
        start = perf_counter()
        ours.record_all(run, some, room / f"recording-{next(numbers)}")
        return perf_counter() - start

    def pipe(some: list[Record]) -> float:
        start = perf_counter()
        deque(teacher.pipe(item.make_doc(teacher.vocab) for item in some), maxlen=0)
        return perf_counter() - start

    few = _first_words(records)
    record(few), pipe(few)
    sides = {"recording": lambda: record(records), "nlp.pipe": lambda: pipe(records)}
    return _compare("a", "Recording", sides, sum(map(len, records)), repeats)


def compare_training(run: Run, records: list[Record], room: Path, repeats: int) -> dict[str, Any]:
    """Part b. Ours reads Docs and targets from disk; spaCy has Docs that the teacher annotated, in memory."""
    assert run.teacher is not None
    store = ours.record_all(run, records, room / "training")
    annotated = list(annotate(run.teacher, (item.make_doc(run.teacher.vocab) for item in records), hard=True))
    sides = {
        "from the store": lambda: ours.train_from_store(run, store)[0],
        "spacy train": lambda: ours.train_with_spacy(run, annotated)[0],
    }
    return _compare("b", "Training", sides, sum(map(len, records)), repeats)


def compare_with_v4(
    nlp: Language,
    teacher: str,
    texts: Path,
    records: list[Record],
    room: Path,
    python: str,
    repeats: int,
    epochs: int,
) -> tuple[list[dict[str, Any]], dict[str, str]]:
    """Part c. Each turn is a process of its own, which loads what it needs before its time begins.

    Once with a CNN teacher, random and of the given teacher's labels, and once, where the given teacher has one, with
    its transformer against a random one of the same shape and the same word pieces.

    Returns:
        The comparisons, and the versions of what spaCy v4 ran with.
    """
    pipes = [name for name in nlp.pipe_names if name in SYNTAX]
    config = ours.write_config(nlp, room / "student.cfg", pipes=pipes, epochs=epochs)
    big = ours.write_config(nlp, room / "cnn.cfg", pipes=pipes, epochs=epochs, size="mini")
    cases = {"CNN": str(ours.make_random_teacher(nlp, room / "cnn", config=big))}
    if "transformer" in nlp.pipe_names:
        cases["transformer"] = teacher
    tokens = room / "tokens.jsonl"
    srsly.write_jsonl(tokens, ({"words": item.words, "spaces": item.spaces} for item in records))
    versions: dict[str, str] = {}
    comparisons = []
    numbers = count()
    for case, path in cases.items():
        job = v4_job(path, config, tokens, room, [*pipes, "transformer" if case == "transformer" else "tok2vec"])
        answers: dict[str, list[dict[str, Any]]] = {"ours": [], "spaCy v4": []}
        for turn in range(repeats):
            our_job = {"do": "epochs", "teacher": path, "config": str(config), "texts": str(texts)}
            our_job["store"] = str(room / f"epochs-{next(numbers)}")
            turns: dict[str, Callable[[], dict[str, Any]]] = {
                "ours": partial(_run, sys.executable, "ours.py", our_job, room),
                "spaCy v4": partial(_run, python, "spacy_v4.py", job, room),
            }
            for side in _in_turn(turns, turn):
                answers[side].append(turns[side]())
        versions = answers["spaCy v4"][0]["versions"]
        n_words = answers["ours"][0]["words"]
        first = {side: [a.get("recording", 0.0) + a["epochs"][0] for a in runs] for side, runs in answers.items()}
        comparisons.append(_summarize("c", f"First epoch, {case} teacher", first, n_words))
        later = {side: [sum(a["epochs"][1:]) for a in runs] for side, runs in answers.items()}
        if epochs > 1:
            comparisons.append(_summarize("c", f"Later epochs, {case} teacher", later, n_words * (epochs - 1)))
    return comparisons, versions


def v4_job(teacher: str, config: Path, tokens: Path, room: Path, pipes: list[str]) -> dict[str, Any]:
    """Describe teacher and student to `spacy_v4.py`: architectures, labels, and the transformer's shape."""
    nlp = load_teacher(teacher)
    student = read_config(config, {}).interpolate()
    labels = {}
    for name, pipe in pipes_of(nlp):
        if name in pipes and getattr(pipe, "label_data", None):
            labels[name] = str(room / f"labels-{name}.json")
            srsly.write_json(labels[name], pipe.label_data)
    return {
        "texts": str(tokens),
        "teacher": {name: block for name, block in nlp.config["components"].items() if name in pipes},
        "student": student["components"],
        "labels": labels,
        "transformer": _transformer_shape(nlp, room) if "transformer" in pipes else None,
        "distillation": {
            key: student["distillation"][key] for key in ("batcher", "optimizer", "dropout", "max_epochs")
        },
    }


def measure_growth(nlp: Language, texts: Path, room: Path, sizes: list[int], repeats: int) -> dict[str, Any]:
    """Part d. The teacher is a random CNN, as fast as can be; what is measured is not what it costs."""
    pipes = [name for name in nlp.pipe_names if name in FAST] or nlp.pipe_names
    config = ours.write_config(nlp, room / "nano.cfg", pipes=pipes, epochs=1, size="nano")
    teacher = ours.make_random_teacher(nlp, room / "nano", config=config)
    dev = room / "dev.spacy"
    write_texts(nlp, texts, room / "dev.jsonl", FEW_WORDS)
    DocBin(docs=load_teacher(teacher).pipe(list(read_texts(room / "dev.jsonl")))).to_disk(dev)
    words = {size: write_texts(nlp, texts, room / f"{size}.jsonl", size) for size in sizes}
    answers: dict[str, dict[int, list[dict[str, Any]]]] = {
        what: {size: [] for size in sizes} for what in ("recording", "training")
    }
    for turn in range(repeats):
        for size in _in_turn(words, turn):
            shared = {"config": str(config), "store": str(room / f"{size}"), "dev": str(dev)}
            recording = {"do": "record", "teacher": str(teacher), "texts": str(room / f"{size}.jsonl"), **shared}
            training = {"do": "distill", "output": str(room / f"{size}-student"), **shared}
            for what, job in (("recording", recording), ("training", training)):
                answers[what][size].append(_run(sys.executable, "ours.py", job, room))
            shutil.rmtree(room / f"{size}")
            shutil.rmtree(room / f"{size}-student")
    growth: dict[str, Any] = {}
    for what, by_size in answers.items():
        runs = [{"words": words[size], **_over_repeats(found)} for size, found in by_size.items()]
        growth[what] = {"runs": runs, **_trend(runs)}
    _print_growth(growth)
    return {"teacher": f"random CNN, size nano: {', '.join(pipes)}", "texts": str(texts), **growth}


def write_texts(nlp: Language, source: Path, path: Path, words: int) -> int:
    """Write texts with so many words in all, or a few more, and count them; where they are too few, they come again.

    They are drawn from the whole source: its beginning may be of another kind than the rest, and cost more or less.
    """
    texts = list(read_texts(source))
    random.Random(0).shuffle(texts)
    total = 0
    with path.open("w", encoding="utf8") as file:
        while total < words:
            for text in texts:
                total += sum(len(example.predicted) for example in make_examples(nlp, text, 0))
                file.write(json.dumps({"text": text}) + "\n")
                if total >= words:
                    break
    return total


def _compare(part: str, title: str, sides: dict[str, Callable[[], float]], words: int, repeats: int) -> dict[str, Any]:
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for turn in range(repeats):
        for name in _in_turn(sides, turn):
            seconds[name].append(sides[name]())
    return _summarize(part, title, seconds, words)


def _in_turn(sides: dict[str, Any], turn: int) -> Iterator[str]:
    """The names of the sides, another one first each time: what goes first may find the machine another."""
    return iter(sides) if turn % 2 == 0 else reversed(sides)


def _summarize(part: str, title: str, seconds: dict[str, list[float]], words: int) -> dict[str, Any]:
    """Turn two sides' seconds into words per second and their ratio, turn by turn; print them."""
    rates = {name: [words / s for s in runs] for name, runs in seconds.items()}
    ours_name, other_name = rates
    ratios = [a / b for a, b in zip(rates[ours_name], rates[other_name], strict=True)]
    ratio = _spread(ratios)
    summary = {
        "part": part,
        "title": title,
        "words": words,
        "words_per_second": {name: _spread(runs) for name, runs in rates.items()},
        "ratio": ratio,
    }
    rows = [(name, *(f"{_spread(runs)[key]:,.0f}" for key in ("median", "min", "max"))) for name, runs in rates.items()]
    rows.append(("ratio", *(f"{ratio[key]:.2f}" for key in ("median", "min", "max"))))
    header = (f"{title}, words/s", "median", "min", "max")
    print(table(rows, header=header, divider=True, aligns=("l", "r", "r", "r")), flush=True)
    return summary


def _spread(values: list[float]) -> dict[str, Any]:
    return {"median": median(values), "min": min(values), "max": max(values), "runs": values}


def _over_repeats(answers: list[dict[str, Any]]) -> dict[str, Any]:
    """Seconds are the median of the repeats, memory the most of them."""
    return {
        **answers[0],
        "seconds": median(answer["seconds"] for answer in answers),
        "all_seconds": [answer["seconds"] for answer in answers],
        "peak_memory": max(answer["peak_memory"] for answer in answers),
    }


def _trend(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """How memory and time grow from the second size on: the first is mostly the price of starting."""
    if len(runs) < 2:
        return {}
    start = runs[1] if len(runs) > 2 else runs[0]
    trend: dict[str, Any] = {"memory_growth": runs[-1]["peak_memory"] - start["peak_memory"]}
    # Between two sizes the price of starting falls out.
    pairs = pairwise(runs)
    trend["seconds_per_million_words"] = [
        (b["seconds"] - a["seconds"]) / (b["words"] - a["words"]) * 1e6 for a, b in pairs
    ]
    if len(runs) > 2:
        trend["linearity"] = trend["seconds_per_million_words"][-1] / trend["seconds_per_million_words"][-2]
    return trend


def _print_growth(growth: dict[str, dict[str, Any]]) -> None:
    for what, found in growth.items():
        rows = [
            (f"{run['words']:,}", f"{run['seconds']:,.1f}", f"{run['peak_memory'] / 1e6:,.0f}") for run in found["runs"]
        ]
        print(table(rows, header=(f"{what}, words", "seconds", "peak MB"), divider=True, aligns=("r", "r", "r")))
        if "linearity" in found:
            grown = f"{found['memory_growth'] / 1e6:,.0f} MB more from the second size to the last"
            print(f"{grown}; seconds a word, between the last two sizes over the two before: {found['linearity']:.2f}")


def _run(python: str, script: str, job: dict[str, Any], room: Path) -> dict[str, Any]:
    """Do a job in a process of its own and return its answer."""
    path = room / "job.json"
    srsly.write_json(path, job)
    command = [python, str(Path(__file__).with_name(script)), str(path)]
    result = subprocess.run(command, capture_output=True, text=True)
    if result.returncode:
        msg.fail(f"{script} stopped with {result.returncode}", result.stderr[-3000:], exits=1)
    return json.loads(result.stdout.splitlines()[-1])


def _transformer_shape(nlp: Language, room: Path) -> dict[str, Any]:
    model: Any = nlp.get_pipe("transformer").model  # type: ignore[attr-defined]
    config = model.transformer.config
    pieces = sorted(model.tokenizer.get_vocab().items(), key=lambda item: item[1])
    vocab = room / "vocab.txt"
    vocab.write_text("".join(f"{piece}\n" for piece, _ in pieces), encoding="utf8")
    spans = nlp.config["components"]["transformer"]["model"]["get_spans"]
    return {
        "width": config.hidden_size,
        "intermediate_width": config.intermediate_size,
        "heads": config.num_attention_heads,
        "layers": config.num_hidden_layers,
        "vocab_size": len(pieces),
        "vocab": str(vocab),
        "lowercase": bool(getattr(model.tokenizer, "do_lower_case", False)),
        "window": spans["window"],
        "stride": spans["stride"],
    }


def _first_words(records: list[Record]) -> list[Record]:
    chosen, words = [], 0
    for item in records:
        chosen.append(item)
        words += len(item)
        if words >= FEW_WORDS:
            break
    return chosen


def _one_thread() -> None:
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)


if __name__ == "__main__":
    typer.run(main)
