"""How much less time a pipeline takes once it is accelerated, and how fast a student is beside its teacher then.

    OMP_NUM_THREADS=1 python benchmarks/accelerate.py STUDENT TEXTS --teacher TEACHER

Each pair is the pipeline as it is, then accelerated, over the same texts; or the teacher, then the student, both
accelerated. CPU time of the process, so that what else the machine does counts little.
"""

from itertools import islice
from pathlib import Path
from statistics import median
from time import perf_counter, process_time
from typing import Annotated

import spacy
import typer
from spacy.language import Language

from spacy_tinydistill.acceleration import accelerate
from spacy_tinydistill.corpus import read_texts

PAIRS = 7


def main(
    student: str,
    texts: Annotated[Path, typer.Argument(help="JSONL, text or DocBin")],
    teacher: Annotated[str, typer.Option(help="Time this one, too")] = "",
    limit: Annotated[int, typer.Option(help="How many texts to annotate at once")] = 1000,
    single: Annotated[int, typer.Option(help="How many to annotate one at a time")] = 100,
    skip: Annotated[int, typer.Option(help="Leave out the first, which the student may have learned on")] = 0,
) -> None:
    """Print CPU time per text, as it is and accelerated, and the median of the pairs' ratios."""
    chosen = list(islice(read_texts(texts), skip, skip + limit))
    paths = [("student", student), *([("teacher", teacher)] if teacher else [])]
    pipelines = [compare(role, path, chosen, single) for role, path in paths]
    if teacher:
        pairs = [[in_batches(nlp, chosen) for nlp in reversed(pipelines)] for _ in range(PAIRS)]
        teachers, students = (median(times) for times in zip(*pairs, strict=True))
        print(
            f"student beside teacher, both accelerated: {teachers:,.0f} µs a text, {students:,.0f}; "
            f"{ratios_in_words(pairs)}"
        )


def compare(role: str, path: str, texts: list[str], single: int) -> Language:
    """Print one pipeline's figures; return it, accelerated."""
    plain, fast = spacy.load(path), spacy.load(path)
    start = perf_counter()
    found = accelerate(fast)
    words = sum(len(plain.make_doc(text)) for text in texts)
    print(f"{role} {path}, spaCy {spacy.__version__}: {len(texts):,} texts, {words:,} words")
    print(f"{found}\naccelerate() took {1000 * (perf_counter() - start):,.0f} ms")
    batches = {"in batches": (in_batches, texts), "one at a time": (one_by_one, texts[:single])}
    for title, (way, chosen) in batches.items():
        for nlp in (plain, fast):
            way(nlp, chosen)
        pairs = [[way(plain, chosen), way(fast, chosen)] for _ in range(PAIRS)]
        before, after = (median(times) for times in zip(*pairs, strict=True))
        print(f"  {title}: {before:,.0f} µs a text, accelerated {after:,.0f}; {ratios_in_words(pairs)}", flush=True)
    return fast


def ratios_in_words(pairs: list[list[float]]) -> str:
    """How many times as fast the second of each pair is: the median, the least and the greatest."""
    ratios = [before / after for before, after in pairs]
    return f"{median(ratios):.2f} times as fast ({min(ratios):.2f} to {max(ratios):.2f})"


def in_batches(nlp: Language, texts: list[str]) -> float:
    """µs a text with `nlp.pipe`."""
    start = process_time()
    for _ in nlp.pipe(texts):
        pass
    return 1e6 * (process_time() - start) / len(texts)


def one_by_one(nlp: Language, texts: list[str]) -> float:
    """µs a text with `nlp(text)`."""
    start = process_time()
    for text in texts:
        nlp(text)
    return 1e6 * (process_time() - start) / len(texts)


if __name__ == "__main__":
    typer.run(main)
