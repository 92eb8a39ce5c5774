"""One pipeline in its own process: a line of JSON in on stdin, a line of JSON out on stdout.

`speed.py` runs this file by its path, never as a module of this package: nothing but the standard library may
be imported before the pipeline itself, or load time and memory would be charged with what the pipeline does
not need. The first line says what to load (`pipeline`, `threads`, `gpu_id`, `code`, `accelerate`) and what of the
installed libraries to hide (`hidden`, see `environment.list_unneeded`); the answer is `load_seconds`. Then:

    {"do": "hold", "texts": [str]}   keep these texts for the next passes
    {"do": "annotate"}               run the pipeline over them once
    {"do": "single", "seconds": s}   annotate them one by one, at most so long; answer `seconds` of each
    {"do": "memory"}                 answer `peak_memory`, in bytes
"""

import json
import os
import re
import sys
import time
from collections import deque
from importlib.metadata import MetadataPathFinder
from pathlib import Path
from typing import Any


def main() -> None:
    """Load the pipeline, then answer until stdin closes."""
    answers = os.fdopen(os.dup(1), "w", encoding="ascii", buffering=1)
    os.dup2(2, 1)  # whatever a pipeline prints must not get between the answers
    nlp, load_seconds = _load(**json.loads(sys.stdin.readline()))
    answers.write(json.dumps({"load_seconds": load_seconds}) + "\n")
    held: list[str] = []
    for line in sys.stdin:
        request = json.loads(line)
        answer: dict[str, Any] = {}
        if request["do"] == "hold":
            held = request["texts"]
        elif request["do"] == "annotate":
            # maxlen 0 consumes the stream and keeps no Doc, as a program that writes results out would.
            deque(nlp.pipe(held), maxlen=0)
        elif request["do"] == "single":
            answer["seconds"] = annotate_singly(nlp, held, request["seconds"])
        elif request["do"] == "memory":
            answer["peak_memory"] = peak_memory()
        answers.write(json.dumps(answer) + "\n")


def hide(modules: list[str], distributions: list[str]) -> None:
    """Make this process one in which some libraries are not installed: neither their modules nor their entry points."""
    hidden_modules, hidden_distributions = frozenset(modules), frozenset(distributions)

    class Hider:
        @staticmethod
        def find_spec(name: str, path: object = None, target: object = None) -> None:
            if name.partition(".")[0] in hidden_modules:
                raise ModuleNotFoundError(f"No module named {name!r} where this pipeline is used", name=name)

    sys.meta_path.insert(0, Hider())
    find = MetadataPathFinder.find_distributions

    def find_others(*args: Any, **kwargs: Any) -> Any:
        # By the names of their files: to read them all takes longer than to load a small pipeline.
        return (one for one in find(*args, **kwargs) if _file_name(one) not in hidden_distributions)

    MetadataPathFinder.find_distributions = find_others  # type: ignore[method-assign]


def _file_name(distribution: Any) -> str:
    name = getattr(distribution, "_normalized_name", None) or distribution.metadata["Name"]
    return re.sub(r"[-_.]+", "-", name).lower()


def annotate_singly(nlp: Any, texts: list[str], most_seconds: float) -> list[float]:
    """Annotate texts one at a time, as a server does; return the seconds of each."""
    seconds = []
    end = time.perf_counter() + most_seconds
    for text in texts:
        start = time.perf_counter()
        nlp(text)
        seconds.append(time.perf_counter() - start)
        if time.perf_counter() > end:
            break
    return seconds


def _load(
    pipeline: str, threads: int, gpu_id: int, code: str | None, accelerate: bool, hidden: dict[str, list[str]] | None
) -> tuple[Any, float]:
    if hidden:
        hide(**hidden)
    start = time.perf_counter()
    import spacy

    if gpu_id >= 0:
        spacy.require_gpu(gpu_id)
    if code is not None:
        spacy.util.import_file("python_code", code)
    nlp = spacy.load(pipeline)
    seconds = time.perf_counter() - start
    if "torch" in sys.modules:  # OMP_NUM_THREADS is set, but torch may have been built on other threads
        sys.modules["torch"].set_num_threads(threads)
    if accelerate:
        path = Path(__file__).parents[1] / "acceleration.py"
        spacy.util.import_file("acceleration", path).accelerate(nlp)
    return nlp, seconds


def peak_memory() -> int | None:
    """Bytes of the highest resident set so far; None where the system does not tell (Windows).

    Not `ru_maxrss` on Linux: a process inherits it from the one that started it, so that a small pipeline
    would be charged with its parent's memory.
    """
    status = Path("/proc/self/status")
    if status.exists():
        for line in status.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    try:
        import resource
    except ImportError:
        return None
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


if __name__ == "__main__":
    main()
