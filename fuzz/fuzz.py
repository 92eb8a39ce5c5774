"""Fuzz one of the targets with atheris.

python fuzz/fuzz.py TARGET WORK_FOLDER --seconds 600

WORK_FOLDER gets the inputs that reach new code; those kept in fuzz/corpus.zip are read, too.
"""

import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import atheris
from archive import extract_inputs
from spacy.util import logger

with atheris.instrument_imports(include=["spacy_tinydistill"]):
    import targets

# The kept inputs, as files, while this process runs.
KEPT = TemporaryDirectory()

# A file of this size is not read for so many seconds, nor does it take so much memory.
MOST_BYTES = 8192
MOST_SECONDS = 10
MOST_MEGABYTES = 1500


def main(name: str, work: str, seconds: str) -> None:
    """Fuzz until the time is over, or a finding ends it with exit code 77 or more."""
    # It says of each file how many lines were left out.
    logger.setLevel("ERROR")
    Path(work).mkdir(parents=True, exist_ok=True)
    options = [f"-max_total_time={seconds}", f"-max_len={MOST_BYTES}", f"-timeout={MOST_SECONDS}"]
    options += [f"-rss_limit_mb={MOST_MEGABYTES}", f"-artifact_prefix={work}/", "-print_final_stats=1"]
    extract_inputs(name, Path(KEPT.name))
    atheris.Setup([sys.argv[0], *options, work, KEPT.name], lambda data: targets.try_out(name, data))
    atheris.Fuzz()


if __name__ == "__main__":
    if len(sys.argv) != 5 or sys.argv[1] not in targets.TARGETS or sys.argv[3] != "--seconds":
        sys.exit(f"{__doc__}\nThe targets are {', '.join(targets.TARGETS)}.")
    main(sys.argv[1], sys.argv[2], sys.argv[4])
