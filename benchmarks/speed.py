"""How fast a student is beside another pipeline with the same pipes, and beside spaCy's tokenizer, which is the limit.

python benchmarks/speed.py STUDENT en_core_web_sm TEXTS --pipes tagger,parser --output metrics/speed
"""

import shlex
import sys
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from itertools import product
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import spacy
import srsly
import typer
from wasabi import table

from spacy_tinydistill.corpus import read_texts
from spacy_tinydistill.report.machine import describe_machine, installed_versions
from spacy_tinydistill.report.speed import measure_speed

# What the pipes of a list read without its being named.
SHARED = ("tok2vec", "transformer")

# What docs/guide.md tells users, as --code.
NUMPY_BLAS = Path(__file__).with_name("numpy_blas.py")

# A long Doc has so many words or a few more.
LONG = 1000


def main(
    student: str,
    other: str,
    texts: Annotated[Path, typer.Argument(help="A text is a short Doc; texts joined up are a long one")],
    output: Annotated[Path, typer.Option(help="The folder to write to")],
    pipes: Annotated[str, typer.Option(help="Which pipes the two keep")] = "tagger,parser",
    words: Annotated[int, typer.Option(help="Words that a pass may have")] = 50_000,
) -> None:
    """Time STUDENT, OTHER and the tokenizer in turn, on one thread and on all cores, on short and on long Docs.

    Once as `spacy.load` has them, and once with NumPy's BLAS in place of BLIS, which Thinc multiplies matrices with.
    """
    wanted = pipes.split(",")
    short = list(read_texts(texts))
    report: dict[str, Any] = {
        "command": shlex.join(["python", *sys.argv]),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": describe_machine(),
        "versions": installed_versions(),
        "pipes": wanted,
        "texts": str(texts),
    }
    output.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory() as folder:
        pipelines = {
            "student": keep(student, wanted, Path(folder) / "student"),
            "other": keep(other, wanted, Path(folder) / "other"),
            "tokenizer": keep(student, [], Path(folder) / "tokenizer"),
        }
        tokenizer = spacy.load(pipelines["tokenizer"])
        lengths = {"short": short, "long": list(join(short, tokenizer))}
        for (length, docs), library in product(lengths.items(), ("BLIS", "NumPy's BLAS")):
            counts = [len(tokenizer.make_doc(text)) for text in docs]
            measured, passes = measure_speed(
                pipelines, docs, counts, max_words=words, code=None if library == "BLIS" else NUMPY_BLAS
            )
            found = {"passes": passes, "measured": measured, "ratio": compare(measured)}
            report.setdefault(length, {})[library] = found
            print_speed(f"{length} Docs, {library}", found)
    srsly.write_json(output / "speed.json", report)


def keep(pipeline: str, wanted: list[str], path: Path) -> str:
    """Save a pipeline with the wanted pipes and what they read, or without any; return where."""
    nlp = spacy.load(pipeline)
    missing = [name for name in wanted if name not in nlp.pipe_names]
    if missing:
        raise typer.BadParameter(f"{pipeline} has no {', '.join(missing)}; it has {', '.join(nlp.pipe_names)}.")
    kept = [*wanted, *SHARED] if wanted else []
    for name in nlp.component_names:
        if name not in kept:
            nlp.remove_pipe(name)
    nlp.to_disk(path)
    return str(path)


def join(texts: Iterable[str], tokenizer: spacy.Language) -> Iterator[str]:
    """Join texts to long ones; what is left over at the end is one, too."""
    parts: list[str] = []
    words = 0
    for text in texts:
        parts.append(text)
        words += len(tokenizer.make_doc(text))
        if words >= LONG:
            yield "\n".join(parts)
            parts, words = [], 0
    if parts:
        yield "\n".join(parts)


def compare(measured: dict[str, dict[str, Any]]) -> dict[str, list[float]]:
    """The student's words per second over the other's, pass by pass, on one thread and on all cores."""
    rates = {role: found["words_per_second_runs"] for role, found in measured.items()}
    return {
        cores: [a / b for a, b in zip(rates["student"][cores], rates["other"][cores], strict=True)]
        for cores in rates["student"]
    }


def print_speed(title: str, found: dict[str, Any]) -> None:
    """Print words per second of each side: the median, the smallest and the largest."""
    runs = [
        (role, cores, rates, ",.0f")
        for role, side in found["measured"].items()
        for cores, rates in side["words_per_second_runs"].items()
    ]
    runs += [("student / other", cores, ratios, ".2f") for cores, ratios in found["ratio"].items()]
    rows = [
        (name, cores, *(format(pick(values), form) for pick in (median, min, max)))
        for name, cores, values, form in runs
    ]
    header = (f"{title}, words/s", "cores", "median", "min", "max")
    print(table(rows, header=header, divider=True, aligns=("l", "r", "r", "r", "r")), flush=True)


if __name__ == "__main__":
    typer.run(main)
