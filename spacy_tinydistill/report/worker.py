"""One pipeline in its own process: a line of JSON in on stdin, a line of JSON out on stdout.

`speed.py` runs this file by its path, never as a module of this package: nothing but the standard library may
be imported before the pipeline itself, or load time and memory would be charged with what the pipeline does
not need. The first line says what to load (`pipeline`, `threads`, `gpu_id`, `code`, `accelerate`); the answer is
`load_seconds`. Then:

    {"do": "hold", "texts": [str]}   keep these texts for the next passes
    {"do": "annotate"}               run the pipeline over them once
    {"do": "memory"}                 answer `peak_memory`, in bytes
"""

import json
import os
import sys
import time
from collections import deque
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
        elif request["do"] == "memory":
            answer["peak_memory"] = peak_memory()
        answers.write(json.dumps(answer) + "\n")


def _load(pipeline: str, threads: int, gpu_id: int, code: str | None, accelerate: bool) -> tuple[Any, float]:
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
