"""The speed of two pipelines on the same texts and machine, and the time and memory of loading them.

Each pipeline is measured in its own processes, whose number of threads is set before anything is imported, and which
can import only what the pipeline's package requires. The processes stay alive, so the pipelines can take turns.
"""

import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial
from itertools import cycle
from math import ceil
from pathlib import Path
from statistics import median
from typing import Any, Self

from tqdm.auto import tqdm

from ..errors import DistillationError
from .environment import list_unneeded
from .machine import available_memory, usable_cores

RUNS = 5
LOADS = 3
PROBE_WORDS = 1_000
SECONDS_A_PASS = 4.0
SECONDS_OF_SINGLES = 4.0
LAST_WORDS = 8
THREAD_SETTINGS = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "BLIS_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "RAYON_NUM_THREADS",
)


def measure_speed(
    pipelines: dict[str, str],
    texts: Sequence[str],
    words: Sequence[int],
    *,
    max_words: int,
    gpu_id: int = -1,
    code: Path | None = None,
) -> tuple[dict[str, dict[str, Any]], dict[str, int]]:
    """Time pipelines in turn, from text to annotated Docs, with the tokenizer.

    A pass is one run over the same sample of the texts, by the wall clock, after warm-up passes over it; the
    pipelines take turns. `"1"` is one process with one thread, and `"accelerated"` the same after
    `spacy_tinydistill.accelerate`. `"all"` is the faster of two ways to use every
    core, tried out for each pipeline: one process with as many threads as cores (`"threads"`, how a
    transformer is usually run), or one process with one thread per core, each given its share of the Docs
    (`"processes"`, as in `nlp.pipe(n_process=cores)`, less the start of the processes and the way of the Docs
    back to the parent). Processes are tried only where the memory is there for all of them. `"gpu"`, where
    there is a `gpu_id`, is one process on the GPU; the others are on the CPU all the same.

    Args:
        pipelines: Path or package of each pipeline, by its role in the report.
        texts: The texts to sample from; at least one.
        words: The number of words in each text. The same count is used for all pipelines.
        max_words: Maximum number of words in a pass. Slow pipelines get fewer: a pass of the slowest takes about four
            seconds on one thread.
        gpu_id: The GPU to measure too, or -1 for none.
        code: Python file that registers functions that the pipelines need.

    Returns:
        For each role `words_per_second` (median of five passes), `words_per_second_runs` (all five),
        `all_cores` (which way was the faster), `load_seconds` (imports and loading in a fresh process, median
        of three), `load_seconds_runs`, `peak_memory` (bytes, of the one-thread process after its passes; None where
        the system does not tell), `latency` (seconds of `nlp(text)`, one text of the sample at a time on one thread:
        `p50`, `p99`, and of how many `texts`) and `environment`: "required" where nothing but what the pipeline's
        package requires could be imported, "everything" where it does not load so, on a GPU or with `code`. And about
        the passes: `documents`, `words`, `runs`, `cores`.

    Raises:
        DistillationError: TD411, a process stopped.
    """
    cores = usable_cores()
    n_conditions = 4 if gpu_id >= 0 else 3
    with ExitStack() as stack:
        # A step a load, a probe, a trial and a pass of each pipeline, so that the bar moves from the start.
        n_steps = len(pipelines) * (LOADS + n_conditions + 3 + RUNS * n_conditions)
        bar = stack.enter_context(tqdm(total=n_steps, desc="Measuring speed", disable=None))
        hidden = {role: _hidden(pipeline, gpu_id, code, bar) for role, pipeline in pipelines.items()}
        launchers: dict[str, Callable[..., _Team]] = {
            role: partial(_Team, pipeline, code=code, hidden=hidden[role]) for role, pipeline in pipelines.items()
        }
        load_runs = {role: _load_seconds(launch, LOADS - 1, bar) for role, launch in launchers.items()}
        single = {role: _started(launch, stack, bar) for role, launch in launchers.items()}
        for role, team in single.items():
            load_runs[role].append(team.load_seconds)
        sample = _affordable_sample(list(single.values()), texts, words, max_words, bar)
        timed = [texts[i] for i in sample]
        for team in single.values():
            team.warm_up(timed)
            bar.update()
        ways, together = _fastest_on_all_cores(launchers, single, timed, cores, stack, bar)
        accelerated = {role: _started(launch, stack, bar, accelerate=True) for role, launch in launchers.items()}
        for team in accelerated.values():
            team.warm_up(timed)
        conditions = {"1": single, "accelerated": accelerated, "all": together}
        if gpu_id >= 0:
            conditions["gpu"] = _on_gpu(launchers, timed, gpu_id, stack, bar)
        seconds = _alternate(conditions, bar)
        latency = {role: _latency(team, bar) for role, team in single.items()}
        peak_memory = {role: team.peak_memory() for role, team in single.items()}

    n_words = sum(words[i] for i in sample)
    measured = {}
    for role in pipelines:
        rates = {name: [n_words / s for s in runs[role]] for name, runs in seconds.items()}
        measured[role] = {
            "words_per_second": {name: median(runs) for name, runs in rates.items()},
            "words_per_second_runs": rates,
            "all_cores": ways[role],
            "load_seconds": median(load_runs[role]),
            "load_seconds_runs": load_runs[role],
            "peak_memory": peak_memory[role],
            "latency": latency[role],
            "environment": "required" if hidden[role] else "everything",
        }
    return measured, {"documents": len(sample), "words": n_words, "runs": RUNS, "cores": cores}


def _hidden(pipeline: str, gpu_id: int, code: Path | None, bar: tqdm) -> dict[str, list[str]] | None:
    """What is hidden from a pipeline's processes; None where nothing can be."""
    bar.update()
    # What a user's own file imports is not known; CuPy is an extra of spaCy's.
    if gpu_id >= 0 or code is not None:
        return None
    hidden = list_unneeded(pipeline)
    try:
        with _Team(pipeline, hidden=hidden):
            return hidden
    except DistillationError:
        # Such as a language whose tokenizer is in a library that no package requires.
        return None


def _started(launch: Callable[..., "_Team"], stack: ExitStack, bar: tqdm, **settings: Any) -> "_Team":
    team = stack.enter_context(launch(**settings))
    bar.update()
    return team


def _load_seconds(launch: Callable[..., "_Team"], runs: int, bar: tqdm) -> list[float]:
    seconds = []
    for _ in range(runs):
        with launch() as team:
            seconds.append(team.load_seconds)
        bar.update()
    return seconds


def _latency(team: "_Team", bar: tqdm) -> dict[str, float]:
    seconds = sorted(team.annotate_singly())
    bar.update()
    # The nearest rank: of few texts the 99th percentile is the longest.
    p50, p99 = (seconds[max(0, ceil(share * len(seconds)) - 1)] for share in (0.5, 0.99))
    return {"p50": p50, "p99": p99, "texts": len(seconds)}


def _affordable_sample(
    teams: list["_Team"], texts: Sequence[str], words: Sequence[int], max_words: int, bar: tqdm
) -> list[int]:
    """The texts to time: as many as the slowest pipeline annotates in `SECONDS_A_PASS`."""
    probe = _sample(words, PROBE_WORDS)
    slowest = 0.0
    for team in teams:
        team.warm_up([texts[i] for i in probe])
        slowest = max(slowest, team.annotate())
        bar.update()
    affordable = SECONDS_A_PASS / slowest * sum(words[i] for i in probe)
    return _sample(words, min(max_words, int(affordable)))


def _sample(words: Sequence[int], max_words: int) -> list[int]:
    """Indices, in the data's order, of random texts with `max_words` words in all or less; one at least."""
    order = list(range(len(words)))
    random.Random(0).shuffle(order)
    chosen, n_words = [], 0
    for i in order:
        if n_words + words[i] <= max_words:
            chosen.append(i)
            n_words += words[i]
    return sorted(chosen) or [min(order, key=lambda i: words[i])]


def _fastest_on_all_cores(
    launchers: dict[str, Callable[..., "_Team"]],
    single: dict[str, "_Team"],
    texts: Sequence[str],
    cores: int,
    stack: ExitStack,
    bar: tqdm,
) -> tuple[dict[str, str], dict[str, "_Team"]]:
    """Try threads and processes, pipeline by pipeline; return the faster way's name and its team for each."""
    ways, teams = {}, {}
    for role, launch in launchers.items():
        tried = {"threads": stack.enter_context(launch(threads=cores))}
        needed, available = single[role].peak_memory(), available_memory()
        if needed is None or available is None or cores * needed < available:
            tried["processes"] = stack.enter_context(launch(processes=cores))
        for team in tried.values():
            team.warm_up(texts)
        trials = {way: team.annotate() for way, team in tried.items()}
        ways[role] = min(trials, key=lambda way: trials[way])
        teams[role] = tried[ways[role]]
        bar.update()
    return ways, teams


def _on_gpu(
    launchers: dict[str, Callable[..., "_Team"]], texts: Sequence[str], gpu_id: int, stack: ExitStack, bar: tqdm
) -> dict[str, "_Team"]:
    teams = {role: _started(launch, stack, bar, gpu_id=gpu_id) for role, launch in launchers.items()}
    for team in teams.values():
        team.warm_up(texts)
    return teams


def _alternate(conditions: dict[str, dict[str, "_Team"]], bar: tqdm) -> dict[str, dict[str, list[float]]]:
    """Seconds of every timed pass, by condition and role, the roles taking turns."""
    seconds: dict[str, dict[str, list[float]]] = {
        name: {role: [] for role in teams} for name, teams in conditions.items()
    }
    for _ in range(RUNS):
        for name, teams in conditions.items():
            for role, team in teams.items():
                seconds[name][role].append(team.annotate())
                bar.update()
    return seconds


class _Team:
    """Processes that hold one pipeline each and annotate texts together.

    Args:
        pipeline: Path or package.
        processes: How many processes share the texts.
        threads: How many threads each of them may use.
        gpu_id: The GPU to run on, or -1 for the CPU; a process on the CPU sees no GPU.
        code: Python file to import before loading.
        accelerate: Whether `accelerate` is called after loading.
        hidden: What of the installed libraries is hidden; from `list_unneeded`.
    """

    def __init__(
        self,
        pipeline: str,
        *,
        processes: int = 1,
        threads: int = 1,
        gpu_id: int = -1,
        code: Path | None = None,
        accelerate: bool = False,
        hidden: dict[str, list[str]] | None = None,
    ) -> None:
        self.pipeline = pipeline
        environment = {**os.environ, **dict.fromkeys(THREAD_SETTINGS, str(threads))}
        environment["PYTHONPATH"] = os.pathsep.join(path or os.getcwd() for path in sys.path)
        if gpu_id < 0:
            environment["CUDA_VISIBLE_DEVICES"] = ""
        with ExitStack() as stack:
            self._logs = [stack.enter_context(tempfile.TemporaryFile()) for _ in range(processes)]
            self._processes = []
            stack.callback(self._kill)
            for log in self._logs:
                # -P: this folder's modules must not shadow any that a pipeline imports.
                command = [sys.executable, "-P", str(Path(__file__).with_name("worker.py"))]
                pipe = subprocess.PIPE
                process = subprocess.Popen(command, env=environment, stdin=pipe, stdout=pipe, stderr=log, text=True)
                self._processes.append(process)
            request = {
                "pipeline": pipeline,
                "threads": threads,
                "gpu_id": gpu_id,
                "code": code and str(code),
                "accelerate": accelerate,
                "hidden": hidden,
            }
            self.load_seconds: float = max(answer["load_seconds"] for answer in self._ask(request))
            self._stack = stack.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._stack.close()

    def warm_up(self, texts: Sequence[str]) -> None:
        """Take over the texts and annotate them a first time."""
        self._ask(*({"do": "hold", "texts": share} for share in _shares(texts, len(self._processes))))
        self.annotate()

    def annotate(self) -> float:
        """Annotate the texts and return the wall-clock seconds until the last process is done."""
        start = time.perf_counter()
        self._ask({"do": "annotate"})
        return time.perf_counter() - start

    def annotate_singly(self) -> list[float]:
        """Annotate the texts one at a time; return the seconds of each, of as many as there is time for."""
        return self._ask({"do": "single", "seconds": SECONDS_OF_SINGLES})[0]["seconds"]

    def peak_memory(self) -> int | None:
        """Bytes of the largest process at its peak."""
        peaks = [answer["peak_memory"] for answer in self._ask({"do": "memory"})]
        return max(peaks) if None not in peaks else None

    def _ask(self, *requests: dict[str, Any]) -> list[dict[str, Any]]:
        """Send every process its request (one for all, or one each), then wait for all the answers."""
        answers = []
        try:
            for process, request in zip(self._processes, cycle(requests), strict=False):
                assert process.stdin is not None
                process.stdin.write(json.dumps(request) + "\n")
                process.stdin.flush()
            for process in self._processes:
                assert process.stdout is not None
                answers.append(json.loads(process.stdout.readline()))
        except (OSError, json.JSONDecodeError):  # On Windows a broken pipe is another OSError
            raise DistillationError(
                "TD411", pipeline=self.pipeline, exit_code=process.wait(), log=self._last_words(process)
            ) from None
        return answers

    def _last_words(self, process: subprocess.Popen[str]) -> str:
        """The end of what a process wrote to stderr."""
        log = self._logs[self._processes.index(process)]
        log.seek(0)
        return "\n".join(log.read().decode("utf8", errors="replace").splitlines()[-LAST_WORDS:])

    def _kill(self) -> None:
        for process in self._processes:
            process.kill()
            process.communicate()


def _shares(texts: Sequence[str], n: int) -> list[list[str]]:
    """Deal texts out so that every share has about as many characters; each keeps the order of the texts."""
    shares: list[list[int]] = [[] for _ in range(n)]
    sizes = [0] * n
    for i in sorted(range(len(texts)), key=lambda i: -len(texts[i])):
        smallest = sizes.index(min(sizes))
        shares[smallest].append(i)
        sizes[smallest] += len(texts[i])
    return [[texts[i] for i in sorted(share)] for share in shares]
