"""Show where spaCy's wheels ask for the GIL inside `with nogil`, and what that costs.

    python show_fault.py wheels 3.8.6 3.8.7 3.8.18 --python 3.11 --python 3.12
    OMP_NUM_THREADS=1 python show_fault.py cost

`wheels` downloads wheels with pip and counts call sites of `PyGILState_Ensure` in the libraries of the parser and ner;
it needs objdump. `cost` measures decoding with the spaCy that is installed: run it in one environment for each version.
"""

import argparse
import re
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from time import process_time
from typing import Any

LIBRARIES = {
    "ner": "spacy/pipeline/_parser_internals/ner.",
    "arc_eager": "spacy/pipeline/_parser_internals/arc_eager.",
    "parser_model": "spacy/ml/parser_model.",
    "transition_parser": "spacy/pipeline/transition_parser.",
}
CASES = {"ner": (18, 39), "parser": (45,)}
DOCS, WORDS, RUNS = 100, 20, 7


def main() -> None:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    wheels = commands.add_parser("wheels")
    wheels.add_argument("versions", nargs="+")
    wheels.add_argument("--python", action="append", help="of which version of Python; 3.11 if not said")
    commands.add_parser("cost")
    arguments = parser.parse_args()
    if arguments.command == "cost":
        print_costs()
    else:
        print(f"{'spaCy':8} {'Python':7} {'Cython':8} " + " ".join(f"{name:>17}" for name in LIBRARIES))
        for version in arguments.versions:
            for python in arguments.python or ["3.11"]:
                print_call_sites(version, python)


def print_call_sites(version: str, python: str) -> None:
    """Print which Cython a wheel was built with, and how often its libraries call `PyGILState_Ensure`."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "pip", "download", f"spacy=={version}", "--no-deps", "--quiet"]
        command += ["--only-binary", ":all:", "--python-version", python, "--dest", folder]
        for platform in ("manylinux_2_28_x86_64", "manylinux2014_x86_64"):
            command += ["--platform", platform]
        subprocess.run(command, check=True)
        (wheel,) = Path(folder).glob("*.whl")
        counts, cythons = [], set()
        with zipfile.ZipFile(wheel) as files:
            for start in LIBRARIES.values():
                (name,) = (name for name in files.namelist() if name.startswith(start) and name.endswith(".so"))
                library = Path(files.extract(name, folder))
                cythons |= set(re.findall(rb"_cython_(\d+(?:_\d+)+)", library.read_bytes()))
                counts.append(count_calls(library))
    cython = ", ".join(name.decode().replace("_", ".") for name in sorted(cythons))
    print(f"{version:8} {python:7} {cython:8} " + " ".join(f"{count:17}" for count in counts), flush=True)


def count_calls(library: Path) -> int:
    """How many instructions of a library call `PyGILState_Ensure`."""
    command = ["objdump", "--disassemble", "--no-show-raw-insn", str(library)]
    code = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return len(re.findall(r"\bcall.*PyGILState_Ensure", code))


def print_costs() -> None:
    """Print µs of CPU time a word for decoding, without the layers that are computed before it."""
    import spacy

    print(f"spaCy {spacy.__version__}, Python {sys.version.split()[0]}")
    for kind, sizes in CASES.items():
        for n_labels in sizes:
            pipe, docs = make_untrained(kind, n_labels)
            pipe.greedy_parse(docs)
            whole = min(seconds(pipe.greedy_parse, docs) for _ in range(RUNS))
            before = min(seconds(pipe.model.predict, docs) for _ in range(RUNS))
            print(f"{kind}, {n_labels} labels: {1e6 * (whole - before) / (DOCS * WORDS):.1f} µs a word", flush=True)


def make_untrained(kind: str, n_labels: int) -> tuple:
    """An untrained pipe, and Docs to annotate, whose words' vectors are computed already."""
    import spacy
    from spacy.tokens import Doc
    from thinc.api import Model, fix_random_seed

    fix_random_seed(0)
    nlp = spacy.blank("en")
    encoder = {"@architectures": "spacy.HashEmbedCNN.v2", "pretrained_vectors": None, "width": 32, "depth": 1}
    encoder |= {"embed_size": 500, "window_size": 1, "maxout_pieces": 2, "subword_features": False}
    model = {"@architectures": "spacy.TransitionBasedParser.v2", "state_type": kind, "extra_state_tokens": False}
    model |= {"hidden_width": 64, "maxout_pieces": 2, "use_upper": False, "tok2vec": encoder}
    pipe = nlp.add_pipe(kind, config={"model": model})
    for i in range(n_labels):
        pipe.add_label(f"label{i}")
    nlp.initialize()
    words = [f"word{i % 97}" for i in range(DOCS * WORDS)]
    docs = [Doc(nlp.vocab, words=words[i : i + WORDS]) for i in range(0, len(words), WORDS)]
    vectors = pipe.model.layers[0].predict(docs)
    pipe.model._layers[0] = Model("stored", lambda model, docs, is_train: (vectors, lambda d_vectors: []))
    return pipe, docs


def seconds(function: Callable[[list], Any], docs: list) -> float:
    """CPU time of a call."""
    start = process_time()
    function(docs)
    return process_time() - start


if __name__ == "__main__":
    main()
