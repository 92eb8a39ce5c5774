"""Take the paragraphs of Debian's manual pages in another language: real text where none is at hand.

python scripts/manual_pages.py fr corpus/fr.jsonl
"""

import gzip
import random
import re
import subprocess
import tempfile
from pathlib import Path

import srsly
import typer

# Fonts and spaces of groff; what else it writes with a backslash is left out with its paragraph.
FORMATS = re.compile(r"\\f(?:\[\w*\]|\(\w\w|\w)|\\[&c:%]")
CHARACTERS = {"\\-": "-", "\\(aq": "'", "\\e": "\\", "\\~": "\u00a0", "\\ ": "\u00a0", "\\(lq": "«", "\\(rq": "»"}
SHORTEST, LONGEST = 40, 600


def main(lang: str, output: Path, limit: int = 4000) -> None:
    """Fetch the package and write the texts, shuffled, one a line."""
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(["apt-get", "download", "--quiet", f"manpages-{lang}"], cwd=folder, check=True)
        (package,) = Path(folder).glob("*.deb")
        subprocess.run(["dpkg", "-x", package, folder], check=True)
        texts = {text for path in Path(folder).rglob("*.gz") for text in read_page(path)}
    shuffled = sorted(texts)
    random.Random(0).shuffle(shuffled)
    output.parent.mkdir(parents=True, exist_ok=True)
    srsly.write_jsonl(output, [{"text": text} for text in shuffled[:limit]])


def read_page(path: Path) -> list[str]:
    """Read the paragraphs of a page that are of the right length and without further commands."""
    paragraphs: list[list[str]] = [[]]
    for line in gzip.decompress(path.read_bytes()).decode("utf8", errors="replace").splitlines():
        if line.startswith((".", "'")) or not line.strip():
            paragraphs.append([])
        else:
            paragraphs[-1].append(line.strip())
    return [text for lines in paragraphs if (text := clean(" ".join(lines))) and SHORTEST <= len(text) <= LONGEST]


def clean(text: str) -> str:
    """Make plain text of groff's; nothing where that is not all."""
    text = FORMATS.sub("", text)
    for written, char in CHARACTERS.items():
        text = text.replace(written, char)
    return "" if "\\" in text or "\ufffd" in text else text


if __name__ == "__main__":
    typer.run(main)
