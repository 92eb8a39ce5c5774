"""Show which kernels the `blis` that is installed takes on a CPU, and what each of them is worth on this machine.

    python show_fault.py choice                      # here
    python show_fault.py choice EPYC-Rome EPYC-Milan # on other CPUs, which QEMU plays: needs qemu-x86_64 (qemu-user)
    OMP_NUM_THREADS=1 python show_fault.py cost      # needs a C compiler

`cost` puts a function of its own before the library's `bli_cpuid_query_id`, so that the same wheel runs with the
kernels of another CPU. It is for x86-64 and Linux.
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

# Of `arch_t` in the blis.h of `blis` 1.2 and 1.3.
KERNELS = {"generic": 20, "haswell": 3, "zen2": 6, "skx": 0}
SHAPES = [(10, 96, 288), (640, 96, 288), (2000, 96, 288), (2000, 288, 288)]  # Rows, inputs, outputs
FORCED = '#include <stdlib.h>\nint bli_cpuid_query_id(void) { return atoi(getenv("FORCED_KERNEL")); }\n'

MULTIPLY = """
import numpy as np
from blis.py import gemm
gemm(np.ones((4, 4), dtype="f"), np.ones((4, 4), dtype="f"))
"""

TIME = """
import time
import numpy as np
from blis.py import gemm
rows, n_in, n_out = SHAPE
numbers = np.random.default_rng(0)
X, W = (numbers.normal(size=(n, n_in)).astype("f") for n in (rows, n_out))
for multiply in (lambda: gemm(X, W, trans2=True), lambda: X @ W.T):
    seconds = []
    for _ in range(9):
        start = time.process_time()
        for _ in range(20):
            multiply()
        seconds.append((time.process_time() - start) / 20)
    print(2 * rows * n_in * n_out / min(seconds) / 1e9)
"""


def main() -> None:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    choice = commands.add_parser("choice")
    choice.add_argument("cpus", nargs="*", help="as `qemu-x86_64 -cpu help` names them")
    commands.add_parser("cost")
    arguments = parser.parse_args()
    if arguments.command == "cost":
        print_costs()
    for cpu in (arguments.cpus or [""]) if arguments.command == "choice" else ():
        before = ["qemu-x86_64", "-cpu", cpu] if cpu else []
        print(f"{cpu or 'here':12} {chosen_kernels(before, {})}", flush=True)


def chosen_kernels(before: list[str], environment: dict[str, str]) -> str:
    """What BLIS logs of its choice."""
    command = [*before, os.path.realpath(sys.executable) if before else sys.executable, "-c", MULTIPLY]
    # A real path has lost its virtual environment.
    environment = {
        **os.environ,
        "BLIS_ARCH_DEBUG": "1",
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
    } | environment
    said = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    (kernels,) = re.findall(r"selecting sub-configuration '(\w+)'", said.stdout + said.stderr)
    return kernels


def print_costs() -> None:
    """Print GFLOP/s of each kind of kernels and of NumPy, for some shapes of students' layers."""
    with tempfile.TemporaryDirectory() as folder:
        source, library = Path(folder, "forced.c"), Path(folder, "forced.so")
        source.write_text(FORCED, encoding="utf8")
        subprocess.run(["cc", "-shared", "-fPIC", "-o", str(library), str(source)], check=True)
        print("rows x inputs x outputs: GFLOP/s with BLIS, with NumPy")
        for name, number in KERNELS.items():
            forced = {"LD_PRELOAD": str(library), "FORCED_KERNEL": str(number)}
            assert chosen_kernels([], forced) == name
            for shape in SHAPES:
                command = [sys.executable, "-c", TIME.replace("SHAPE", repr(shape))]
                said = subprocess.run(command, env=os.environ | forced, capture_output=True, text=True, check=True)
                blis, numpys = map(float, said.stdout.split())
                print(f"{name:8} {' x '.join(map(str, shape)):17} {blis:4.0f} {numpys:4.0f}", flush=True)


if __name__ == "__main__":
    main()
