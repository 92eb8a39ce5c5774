"""Kill `spacy distill` at random moments, resume it each time, and compare the student with that of an undisturbed run.

python benchmarks/killed_training.py TEACHER TEXTS --kills 20 --steps 2000
"""

import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import srsly
import typer

from spacy_tinydistill.loop import DIR_MODEL_BEST, DIR_MODEL_LAST, FILE_NAME

# What a run says when it begins to read, and when it begins to learn.
BEGINS = "Initializing student pipeline"
LEARNS = "Distilling student pipeline"


def main(
    teacher: str,
    texts: Path,
    kills: Annotated[int, typer.Option()] = 20,
    steps: int = 2000,
    eval_frequency: int = 50,
    seed: int = 0,
) -> None:
    """Distil from TEXTS once undisturbed and once killed and resumed; exit with 1 where the students differ.

    Each kill falls at a random moment between the reading of the config and as long after that as the first checkpoint
    takes and twice that part of an undisturbed run's learning that makes up one of so many kills. A run that is done
    before is compared, and another one begun.
    """
    numbers = random.Random(seed)
    settings = ["--distillation.max_steps", str(steps), "--training.eval_frequency", str(eval_frequency)]
    command = [sys.executable, "-u", "-m", "spacy", "distill", teacher, str(texts), *settings, "--output"]
    with TemporaryDirectory() as folder:
        undisturbed, run = Path(folder) / "undisturbed", Path(folder) / "run"
        process = start([*command, str(undisturbed)], BEGINS)
        begun = time.monotonic()
        wait_for(process, LEARNS)
        learns = time.monotonic()
        if process.wait():
            raise typer.Exit(1)
        before, learning = learns - begun, time.monotonic() - learns
        print(f"undisturbed: {before:.1f} s until it learned, then {learning:.1f} s", flush=True)
        done = 0
        while done < kills:
            process = start([*command, str(run), *how_to_go_on(run)], BEGINS)
            time.sleep(numbers.uniform(0, before + 2 * learning / kills))
            process.send_signal(signal.SIGKILL)
            output = process.communicate()[0]
            if process.returncode == 0:
                compare(run, undisturbed)
                run = run.with_name(f"run-{done}")
            elif process.returncode != -signal.SIGKILL:
                print(output)
                raise typer.Exit(1)
            else:
                done += 1
                print(f"kill {done}: {saved_step(run)}", flush=True)
        process = start([*command, str(run), *how_to_go_on(run)], BEGINS)
        process.communicate()
        compare(run, undisturbed)


def start(command: list[str], line: str) -> subprocess.Popen:
    """Start a command; return when it says a line."""
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    wait_for(process, line)
    return process


def wait_for(process: subprocess.Popen, line: str) -> None:
    """Wait until a process says something, or ends."""
    assert process.stdout is not None
    for said in process.stdout:
        if line in said:
            break


def how_to_go_on(run: Path) -> list[str]:
    """By which option a run goes on; in an empty folder there is nothing to go on from."""
    return ["--resume"] if run.exists() and any(run.iterdir()) else []


def saved_step(run: Path) -> str:
    """Say from where a run can go on."""
    if not (run / FILE_NAME).exists():
        return "no step was saved yet"
    return f"step {srsly.read_msgpack(run / FILE_NAME)['progress']['step']} was saved"


def compare(run: Path, undisturbed: Path) -> None:
    """See that two students are the same bytes; of the best, all but its card, which says when it was made."""
    differing, count = [], 0
    for name in (DIR_MODEL_LAST, DIR_MODEL_BEST):
        files = [{path.relative_to(folder / name): path for path in (folder / name).rglob("*") if path.is_file()}
                 for folder in (run, undisturbed)]  # fmt: skip
        for file in files[0].keys() | files[1].keys():
            if name == DIR_MODEL_BEST and file == Path("meta.json"):
                continue
            count += 1
            if not all(file in found for found in files) or len({found[file].read_bytes() for found in files}) > 1:
                differing.append(f"{name}/{file}")
    print(f"{count} files compared; these differ: {', '.join(differing) or 'none'}", flush=True)
    if differing:
        raise typer.Exit(1)


if __name__ == "__main__":
    typer.run(main)
