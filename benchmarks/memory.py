"""Distil for some minutes and write down, each minute, how much memory the run has.

python benchmarks/memory.py TEACHER TEXTS --minutes 60 --warm-up 5
"""

import subprocess
import sys
import threading
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer


def main(
    teacher: str,
    texts: Path,
    minutes: Annotated[int, typer.Option()] = 60,
    warm_up: Annotated[int, typer.Option(help="After so many minutes growth counts")] = 5,
    every: Annotated[int, typer.Option(help="Seconds between two readings")] = 60,
    eval_frequency: int = 200,
) -> None:
    """Distil from TEXTS; print the resident memory of each minute and how much it grew after the warm-up.

    The first reading is made when the run begins to learn.
    """
    with TemporaryDirectory() as folder:
        settings = {
            "distillation.max_steps": 0,
            "distillation.max_epochs": 1_000_000,
            "distillation.optimizer.learn_rate.total_steps": 1_000_000,
            "training.eval_frequency": eval_frequency,
            "training.patience": 0,
        }
        options = [part for key, value in settings.items() for part in (f"--{key}", str(value))]
        command = [sys.executable, "-u", "-m", "spacy", "distill", teacher, str(texts), "--output", folder, "--force"]
        process = subprocess.Popen([*command, *options], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        steps = [0]
        wait_until_it_learns(process)
        # Else the process would stop where nobody reads what it says.
        threading.Thread(target=follow, args=(process, steps), daemon=True).start()
        readings = []
        for minute in range(minutes * 60 // every + 1):
            if process.poll() is not None:
                print("the run ended", file=sys.stderr)
                raise typer.Exit(1)
            readings.append(resident(process.pid))
            print(f"{minute * every / 60:5.1f} min, step {steps[0]}: {readings[-1] / 1e6:.1f} MB", flush=True)
            time.sleep(every)
        process.terminate()
        process.wait()
    warm = readings[warm_up * 60 // every :]
    print(f"after {warm_up} min: from {warm[0] / 1e6:.1f} to {warm[-1] / 1e6:.1f} MB, {warm[-1] / warm[0] - 1:+.2%}")
    print(f"highest: {max(warm) / 1e6:.1f} MB, {max(warm) / warm[0] - 1:+.2%}")


def wait_until_it_learns(process: subprocess.Popen) -> None:
    """Read what a run says, until it learns; where it ends before, end with its words."""
    assert process.stdout is not None
    said = []
    for line in process.stdout:
        said.append(line)
        if "Distilling student pipeline" in line:
            return
    print("".join(said), file=sys.stderr)
    raise typer.Exit(1)


def follow(process: subprocess.Popen, steps: list[int]) -> None:
    """Read the table of a run's evaluations; `steps[0]` is the last one's."""
    assert process.stdout is not None
    for line in process.stdout:
        row = line.split()
        if len(row) > 3 and row[0].isdigit() and row[1].isdigit():
            steps[0] = int(row[1])


def resident(pid: int) -> int:
    """How many bytes of memory a process has."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise typer.Exit(1)


if __name__ == "__main__":
    typer.run(main)
