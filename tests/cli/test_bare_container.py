"""A bare container: the locale C without UTF-8, no terminal, no home, a user that may write to one folder alone."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from spacy.util import load_config

from helpers.tiny_teacher import make_teacher, write_gold, write_texts
from spacy_tinydistill.cli import _util

NOBODY = "65534"
BARE = {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "OMP_NUM_THREADS": "1"}
# Root reads everything, and so does a user who may read what root may; writing is another right.
READS_ALL = [f"--{kind}={'-all,' * (kind != 'inh-caps')}+dac_read_search" for kind in ("inh-caps", "ambient-caps")]


def find_user() -> list[str] | None:
    """Find by which command somebody who is not root runs this Python; None where there is no way."""
    if os.geteuid() != 0:
        return []
    user = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
    for command in ([*user, *READS_ALL], user):
        try:
            subprocess.run([*command, sys.executable, "-c", "import spacy"], check=True, capture_output=True)
        except (OSError, subprocess.CalledProcessError):
            continue
        return command
    return None


@pytest.fixture(scope="module")
def room() -> Iterator[Path]:
    """A folder that all may read, with a folder "out" that all may write to; names outside of ASCII."""
    room = Path(tempfile.mkdtemp(prefix="tinydistill-")) / "Straße und Größe"
    (room / "öut").mkdir(parents=True)
    make_teacher().to_disk(room / "lëhrer")
    write_texts(room / "texte.txt")
    write_gold(room / "göld.spacy")
    for path in (room.parent, room):
        path.chmod(0o755)
    (room / "öut").chmod(0o777)
    yield room
    shutil.rmtree(room.parent)


def run(room: Path, *args: object) -> bytes:
    user = find_user()
    if user is None:
        pytest.skip("root has no setpriv here, or others may not read this Python")
    command = ["env", "-i", *(f"{key}={value}" for key, value in BARE.items()), *user, sys.executable, "-O"]
    done = subprocess.run([*command, *map(str, args)], cwd=room, stdin=subprocess.DEVNULL, capture_output=True)
    said = done.stdout + done.stderr
    assert done.returncode == 0, said.decode("utf-8", "replace")
    return done.stdout


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="needs setpriv and the locale C")
def test_from_a_teacher_to_a_wheel_and_back(room: Path) -> None:
    with pytest.raises(AssertionError, match="Permission denied"):
        run(room, "-c", f"open({str(room / 'new')!a}.encode('utf-8'), 'w')")
    teacher, out = room / "lëhrer", room / "öut"
    steps = ["--distillation.max_steps", 4, "--training.eval_frequency", 2]
    said = run(room, "-m", "spacy", "distill", teacher, room / "texte.txt", "--output", out / "schüler", *steps)
    assert said.isascii()
    assert b"Retention" in said
    assert b"sch\\xfcler" in said
    best = out / "schüler" / "model-best"
    compared = [teacher, best, room / "göld.spacy", "--output", out / "bericht", "--max-words", 40]
    assert run(room, "-m", "spacy", "benchmark", "distillation", *compared).isascii()
    # UTF-8, whatever the locale: names as they are, not their bytes.
    report = json.loads((out / "bericht" / "report.json").read_text(encoding="utf-8"))
    assert report["data"]["path"] == str(room / "göld.spacy")
    assert str(room / "göld.spacy") in (out / "bericht" / "report.html").read_text(encoding="utf-8")
    # In a config spaCy writes what is not ASCII as JSON escapes, which it reads back.
    assert load_config(best / "distill.cfg")["paths"]["distill"] == str(room / "texte.txt")
    meta = ["--meta-path", out / "bericht" / "meta.json"]
    # It is spaCy's own, and prints a path in the bytes in which it was given.
    run(room, "-m", "spacy", "package", best, out, "--name", "bare", "--build", "wheel", *meta)
    (wheel,) = out.rglob("*.whl")
    zipfile.ZipFile(wheel).extractall(room / "site")
    (package,) = (room / "site").glob("xx_bare")
    text = "Ann sings in Rome"
    load = "import sys; sys.path[0] = sys.argv[1]; import xx_bare; print([t.tag_ for t in xx_bare.load()(sys.argv[2])])"
    assert run(room, "-c", load, package.parent, text).count(b"'") == 2 * len(text.split())


def test_a_command_starts_again_in_utf8_mode_once(monkeypatch: pytest.MonkeyPatch) -> None:
    started = []
    monkeypatch.setattr(sys, "getfilesystemencoding", lambda: "ascii")
    monkeypatch.setattr(os, "execve", lambda *args: started.append(args))
    monkeypatch.setenv("PYTHONUTF8", "0")
    monkeypatch.delenv("PYTHONIOENCODING", raising=False)
    _util._insist_on_utf8()
    ((python, args, environment),) = started
    assert (python, args) == (sys.executable, sys.orig_argv)
    assert environment["PYTHONUTF8"] == "1"
    assert environment["PYTHONIOENCODING"] == "ascii:backslashreplace"
    # Where Python does not heed the environment, not for ever.
    monkeypatch.setenv("PYTHONUTF8", "1")
    _util._insist_on_utf8()
    assert len(started) == 1


def test_what_a_stream_cannot_print_is_escaped() -> None:
    code = "from spacy_tinydistill.cli._util import numbered_errors\nwith numbered_errors(): print('\\u2714 \\xfc')"
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True)
    assert done.stdout.strip() == b"\\u2714 \\xfc", done.stderr
