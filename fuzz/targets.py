"""What is fuzzed: all that reads a file of somebody else's making. Bytes in; nothing but a numbered error out."""

import hashlib
import json
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import spacy

from spacy_tinydistill.corpus import SUFFIXES, read_texts
from spacy_tinydistill.errors import DistillationError
from spacy_tinydistill.evaluation_log import read_curve
from spacy_tinydistill.pipes.profile import write_files
from spacy_tinydistill.schemas import read_config, read_distillation_config
from spacy_tinydistill.targets.folder import Folder
from spacy_tinydistill.targets.records import Role
from spacy_tinydistill.targets.store import (
    HEADER,
    MANIFEST,
    Manifest,
    Store,
    check_teacher,
    manifest_bytes,
    read_manifest,
    read_shard,
    shard_name,
)

VOCAB = spacy.blank("xx").vocab

FOLDER = TemporaryDirectory()
ROOT = Path(FOLDER.name)


def shard(data: bytes) -> None:
    """One of a store's Arrow files, whose checksum its maker has put right."""
    (ROOT / shard_name(0)).write_bytes(data)
    for record in read_shard(Folder(ROOT), shard_name(0)):
        with suppress(DistillationError):
            record.make_annotated_doc(VOCAB)
        record.make_doc(VOCAB)


def manifest(data: bytes) -> None:
    """A store's manifest."""
    (ROOT / MANIFEST).write_bytes(data)
    found = read_manifest(ROOT)
    assert all("/" not in shard.file for shard in found.shards)
    assert isinstance(found.words + found.bytes + found.count(*Role), int)
    check_teacher(ROOT, found, "f" * 64)


def header(data: bytes) -> None:
    """What a store says of its teacher, with the files of rule-based pipes."""
    folder = ROOT / "store"
    folder.mkdir(exist_ok=True)
    (folder / HEADER).write_bytes(data)
    made = Manifest(teacher={}, fingerprint="", pipes={}, header=hashlib.sha256(data).hexdigest(), complete=True)
    (folder / MANIFEST).write_bytes(manifest_bytes(made))
    store = Store(folder)
    with TemporaryDirectory(dir=ROOT) as rules:
        before = {path for path in ROOT.rglob("*") if not path.is_relative_to(rules)}
        try:
            for pipe in store.header.profile.pipes.values():
                write_files(pipe.files, Path(rules))
        finally:
            assert {path for path in ROOT.rglob("*") if not path.is_relative_to(rules)} == before


def texts(data: bytes) -> None:
    """A file of texts. Its first byte says of which kind, and whether bad lines are to be left out."""
    kind, content = (data[0], data[1:]) if data else (0, b"")
    path = ROOT / f"texts{SUFFIXES[kind // 2 % len(SUFFIXES)]}"
    path.write_bytes(content)
    for text in read_texts(path, skip_bad_lines=bool(kind % 2)):
        text.encode()


def config(data: bytes) -> None:
    """A student's config, as far as its [distillation]."""
    path = ROOT / "student.cfg"
    path.write_bytes(data)
    read_distillation_config(read_config(path, {}))


def curve(data: bytes) -> None:
    """The scores of a run, which a report shows; bad lines are passed over."""
    path = ROOT / "scores.jsonl"
    path.write_bytes(data)
    for point in read_curve(path):
        json.dumps(point, allow_nan=False)


TARGETS: dict[str, Callable[[bytes], None]] = {
    target.__name__: target for target in (shard, manifest, header, texts, config, curve)
}


def try_out(name: str, data: bytes) -> None:
    """Let a target read bytes; whatever it raises but a numbered error is a finding."""
    with suppress(DistillationError):
        TARGETS[name](data)
