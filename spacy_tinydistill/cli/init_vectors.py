"""`python -m spacy init distill-vectors`."""

from pathlib import Path

from spacy.cli._util import Arg, Opt, import_code, init_cli
from wasabi import msg

from ._util import numbered_errors


@init_cli.command("distill-vectors")
def init_distill_vectors_cli(
    teacher: str = Arg(..., help="Teacher pipeline: an installed package or a folder"),
    texts: Path = Arg(..., help="Texts to take words from: JSONL, CSV, plain text, a DocBin, or a folder of these"),
    output_path: Path = Arg(..., help="Folder to write the vectors to (for init distill-config --vectors)"),
    width: int = Opt(64, "--width", "-w", min=1, help="Dimensions of the vectors"),
    limit: int = Opt(20_000, "--limit", "-n", min=1, help="Maximum number of words"),
    min_count: int = Opt(2, "--min-count", "-m", min=1, help="Minimum number of times that a word occurs in the texts"),
    prune: int = Opt(
        -1,
        "--prune",
        "-p",
        help="Maximum number of rows. Rarer words share the row of the most similar word. -1 for one row per word",
    ),
    contexts: int = Opt(
        0,
        "--contexts",
        "-x",
        min=0,
        help="Words of the texts to average contexts over. 0 to embed each word without context",
    ),
    column: str = Opt("text", "--column", help="Column of the text, in JSONL and CSV"),
    gpu_id: int = Opt(-1, "--gpu-id", "-g", help="GPU ID or -1 for CPU"),
    code_path: Path | None = Opt(None, "--code", "-c", help="Python file that registers functions of your own"),
    force: bool = Opt(False, "--force", "-f", help="Overwrite existing vectors"),
) -> None:
    """Make static word vectors for a student from its teacher's encoder."""
    import_code(code_path)
    with numbered_errors():
        from ..corpus import read_texts
        from ..errors import DistillationError
        from ..files import told_if_not_written
        from ..pipes.device import use_device
        from ..pipes.pipeline import load_teacher
        from ..vectors import distill_vectors

        if output_path.exists() and not force:
            raise DistillationError("TD502", path=output_path)
        # Before the minutes that the teacher takes.
        if output_path.is_file():
            raise DistillationError("TD506", path=output_path)
        try:
            output_path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise DistillationError("TD507", path=output_path, reason=error) from None
        use_device(gpu_id)
        found = read_texts(texts, column=column)
        nlp = distill_vectors(
            load_teacher(teacher),
            found,
            width=width,
            limit=limit,
            min_count=min_count,
            prune=prune,
            contexts=contexts,
        )
        with told_if_not_written(output_path):
            nlp.to_disk(output_path)
    rows, width = nlp.vocab.vectors.shape
    msg.good(f"Wrote {rows} vectors, {width} wide", output_path)
