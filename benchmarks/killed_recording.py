"""Kill a recording at random moments, resume it each time, and compare the store with an undisturbed one.

python benchmarks/killed_recording.py TEACHER CORPUS --kills 20
"""

import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer

from spacy_tinydistill.targets.records import Role
from spacy_tinydistill.targets.store import LOCK, Store


def main(teacher: str, corpus: Path, kills: Annotated[int, typer.Option()] = 20, seed: int = 0) -> None:
    """Record CORPUS once undisturbed and once killed and resumed; exit with 1 where the stores differ.

    Each kill falls at a random moment between the first question to the teacher and twice the time in which an
    undisturbed recording finishes a shard.
    """
    numbers = random.Random(seed)
    with TemporaryDirectory() as folder:
        undisturbed, store = Path(folder) / "undisturbed", Path(folder) / "store"
        process = start(teacher, corpus, undisturbed)
        asked = time.monotonic()
        if process.wait():
            raise typer.Exit(1)
        n_shards = len(Store(undisturbed).manifest.shards)
        seconds = (time.monotonic() - asked) / n_shards
        print(f"undisturbed: {n_shards} shards, {seconds:.1f} s each")
        done = 0
        while done < kills:
            process = start(teacher, corpus, store)
            time.sleep(numbers.uniform(0, 2 * seconds))
            process.send_signal(signal.SIGKILL)
            if process.wait() != -signal.SIGKILL:
                # It was done before; what is there is compared, and another one begun.
                compare(store, undisturbed)
                for file in store.iterdir():
                    file.unlink()
                continue
            done += 1
            whole = len(list(store.glob("shard-*.arrow")))
            print(f"kill {done}: {whole} shards were whole", flush=True)
        start(teacher, corpus, store).wait()
        compare(store, undisturbed)


def start(teacher: str, corpus: Path, store: Path) -> subprocess.Popen:
    """Start recording; return when the teacher is asked."""
    command = [sys.executable, "-u", "-m", "spacy", "distill-targets", teacher, str(corpus), str(store)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert process.stdout is not None
    for line in process.stdout:
        if "Asking the teacher" in line:
            break
    return process


def compare(one: Path, other: Path) -> None:
    """See that two stores hold the same records, and the same bytes."""
    pairs = zip(Store(one).read(*Role), Store(other).read(*Role), strict=True)
    same_records = all(
        (a.role, a.index, a.words, a.spaces, a.norms, a.annotated)
        == (b.role, b.index, b.words, b.spaces, b.norms, b.annotated)
        for a, b in pairs
    )
    names = {file.name for store in (one, other) for file in store.iterdir()} - {LOCK}
    same_bytes = all((one / name).read_bytes() == (other / name).read_bytes() for name in names)
    print(f"the same records: {same_records}; the same bytes in all {len(names)} files: {same_bytes}")
    if not (same_records and same_bytes):
        raise typer.Exit(1)


if __name__ == "__main__":
    typer.run(main)
