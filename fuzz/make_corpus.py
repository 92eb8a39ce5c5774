"""Write the fuzzer's inputs, fuzz/corpus.zip.

python fuzz/make_corpus.py [FOUND]

The seeds are made here: small files of each kind, good and bad. The others, which are named by their hash, were found
by the fuzzer to reach new code. They stay; those in FOUND are added, which has a folder for each target, as build/fuzz
has after `make fuzz`.
"""

import gzip
import json
import sys
from dataclasses import asdict
from pathlib import Path

import numpy
import pyarrow as pa
import spacy
from archive import read_inputs, write_inputs
from spacy.tokens import Doc, DocBin, Span

from spacy_tinydistill.corpus import SUFFIXES
from spacy_tinydistill.pipes.profile import PipeProfile, TeacherProfile
from spacy_tinydistill.targets.records import LessonPlan, Record, Role, annotated_bytes
from spacy_tinydistill.targets.store import Header, Manifest, describe_shard, shard_name, to_arrow


def main(found: Path | None) -> None:
    """Write all seeds, beside the inputs that were found."""
    inputs = read_inputs()
    for target, seeds in {
        "shard": shards(),
        "manifest": manifests(),
        "header": headers(),
        "texts": texts(),
        "config": configs(),
        "curve": curves(),
    }.items():
        files = inputs.setdefault(target, {})
        files |= seeds
        if found:
            files |= {path.name: path.read_bytes() for path in (found / target).iterdir()}
    write_inputs(inputs)


def records() -> list[Record]:
    """Docs of each role, with arrays of some shapes."""
    doc = Doc(spacy.blank("xx").vocab, words=["Ann", "sings"], spaces=[True, False], tags=["N", "V"])
    doc.ents = [Span(doc, 0, 1, "PERSON")]
    labels = {
        "probabilities": numpy.array([[0.5, 0.25], [0.125, 0.75]], dtype="float16"),
        "labels": numpy.array([[0, 1], [1, 2]], dtype="uint16"),
    }
    said = {"tagger": labels, "textcat": {"probabilities": numpy.array([0.25, 0.75], dtype="float16")}}
    none = {"spancat": {"spans": numpy.zeros((0, 2), dtype="int32")}}
    return [
        Record(Role.TEXT, 0, ["Ann", "sings"], [True, False], {}, said),
        Record(Role.GOLD, 0, ["n't"], [False], {0: "not"}, none),
        Record(Role.HELD_OUT, 1, ["Ann", "sings"], [True, False], {}, said, annotated_bytes(doc)),
        Record(Role.DEV, 0, ["Ann", "sings"], [True, False], {}, {}, annotated_bytes(doc)),
    ]


def shards() -> dict[str, bytes]:
    """Shards that are right, and some that Arrow reads and that make no records."""
    good = to_arrow(records())
    with pa.ipc.open_file(good) as file:
        batch = file.get_batch(0)

    def spoiled(name: str, column: object) -> bytes:
        columns = dict(zip(batch.schema.names, batch.columns, strict=True)) | {name: column}
        return write(pa.RecordBatch.from_pydict(columns))

    return {
        "good": good,
        "one-doc": to_arrow(records()[:1]),
        "cut": good[: len(good) // 2],
        "empty": b"",
        "other-columns": write(pa.RecordBatch.from_pydict({"role": pa.array([1])})),
        "compressed": write(batch, compression="zstd"),
        "unknown-role": spoiled("role", pa.array([0, 1, 2, 200], pa.uint8())),
        "null-role": spoiled("role", pa.array([0, 1, 2, None], pa.uint8())),
        "null-words": spoiled("words", pa.array([["a", None], ["b"], ["c", "d"], None], pa.list_(pa.string()))),
        "empty-word": spoiled("words", pa.array([["a", ""], ["b"], ["c", "d"], ["e", "f"]], pa.list_(pa.string()))),
        "fewer-spaces": spoiled("spaces", pa.array([[1], [1], [1], [1]], pa.list_(pa.uint8()))),
        "norm-of-no-token": spoiled("norms.at", pa.array([[], [7], [], []], pa.list_(pa.int32()))),
        "other-shape": spoiled("tagger/labels.shape", pa.array([[9, 9], None, [2, 2], None], pa.list_(pa.int32()))),
        "negative-shape": spoiled("tagger/labels.shape", pa.array([[-1, 2], None, [2, 2], None], pa.list_(pa.int32()))),
        "no-doc": spoiled("annotated", pa.array([None, None, b"\x80", b"\x81\xa4text\x01"], pa.large_binary())),
    }


def write(batch: pa.RecordBatch, compression: str | None = None) -> bytes:
    """Write an Arrow file."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, batch.schema, options=pa.ipc.IpcWriteOptions(compression=compression)) as writer:
        writer.write_batch(batch)
    return sink.getvalue().to_pybytes()


def manifests() -> dict[str, bytes]:
    """Manifests that are right, of another version, and that lead elsewhere."""
    entry = describe_shard(0, records(), to_arrow(records()))
    good = asdict(Manifest({"lang": "xx"}, "f" * 64, {"tagger": {"labels": ["N"]}}, "0" * 64, [entry], complete=True))
    shard = good["shards"][0]
    spoiled = {
        "good": good,
        "begun": good | {"shards": [], "complete": False},
        "newer": good | {"format_version": 3},
        "outside": good | {"shards": [shard | {"file": "../outside.arrow"}]},
        "absolute": good | {"shards": [shard | {"file": "/etc/passwd"}]},
        "second-first": good | {"shards": [shard | {"file": shard_name(1)}]},
        "no-number": good | {"shards": [shard | {"words": "many", "docs": []}]},
        "fingerprint": good | {"fingerprint": 5},
        "list": [good],
    }
    files = {name: json.dumps(value).encode() for name, value in spoiled.items()}
    return files | {"deep": b"[" * 4000, "number": b'{"format_version": ' + b"9" * 4000 + b"}", "latin": b'{"\xe9": 1}'}


def headers() -> dict[str, bytes]:
    """What a store says of its teacher, and of one whose rules lead elsewhere."""

    def header(files: dict[str, bytes]) -> Header:
        pipes = {"ruler": PipeProfile(["a.B"], ["X"], None, files), "tagger": PipeProfile(["a.C"], ["N"], ["N"], {})}
        profile = TeacherProfile({"lang": "xx", "name": "n"}, 10, {"@tokenizers": "spacy.Tokenizer.v1"}, b"", pipes)
        description = {"labels": ["N"], "W": numpy.ones((2, 2), dtype="float32")}
        return Header(
            "f" * 64, profile, {"tagger": LessonPlan("a.C", "tagger", "TokenLabels", {"top_k": 2}, description)}
        )

    good = header({"pipe/patterns": b"[]"}).to_bytes()
    return {
        "good": good,
        "outside": header({"../outside": b"x"}).to_bytes(),
        "absolute": header({"/tmp/outside": b"x"}).to_bytes(),
        "folder-and-file": header({"pipe": b"", "pipe/patterns": b"x"}).to_bytes(),
        "no-name": header({"": b"x"}).to_bytes(),
        "nul": header({"\0": b"x"}).to_bytes(),
        "cut": good[:100],
        "empty": b"",
        "object-array": b"\x84\xc4\x02nd\xc3\xc4\x04type\xa2|O\xc4\x05shape\x91\x01\xc4\x04data\xc4\x08AAAAAAAA",
    }


def texts() -> dict[str, bytes]:
    """Texts in each kind of file, with good lines and bad ones; the first byte says which: see `targets.texts`."""
    lines = {
        "jsonl": b'{"text": "Ann sings"}\n\n{"text": "odd \\ud83d end"}\nno json\n{"txt": 1}\n["text"]\n',
        "csv": 'id,text\n1,"two\nlines"\n2\n3,naïve\n'.encode(),
        "txt": "Ann sings\n \t\n\u202eright to left\x00\u2028\r\nend".encode(),
        "spacy": DocBin(docs=[Doc(spacy.blank("xx").vocab, words=["Ann", "sings"])]).to_bytes(),
    }
    files = {}
    for number, suffix in enumerate(SUFFIXES):
        content = lines[suffix.split(".")[1]]
        data = gzip.compress(content, mtime=0) if suffix.endswith(".gz") else content
        broken = data[:20] + b"\xff" + data[21:]
        for skip in (0, 1):
            files[f"{suffix[1:]}-{skip}"] = bytes([2 * number + skip]) + data
            files[f"broken-{suffix[1:]}-{skip}"] = bytes([2 * number + skip]) + broken
    return files | {"empty": b"", "mark": b"\x00\xef\xbb\xbf" + lines["jsonl"]}


def configs() -> dict[str, bytes]:
    """Small configs, right and wrong."""
    good = "[paths]\nd = null\n\n[distillation]\nmax_steps = 10\ndropout = 0.1\n"
    optimizer = '\n[distillation.optimizer]\n@optimizers = "Adam.v1"\nlearn_rate = 0.1\n'
    return {
        "good": good.encode(),
        "optimizer": (good + optimizer).encode(),
        "variable": good.replace("0.1", "${paths.d}").encode(),
        "circle": b"[distillation]\na = ${distillation.b}\nb = ${distillation.a}\n",
        # Found by the fuzzer.
        "child-before-parent": b"[distillation.batcher]\nsize = 1\n\n[distillation]\nmax_steps = 1\n",
        "number-for-a-function": (good + "\n[distillation.optimizer]\n@optimizers =0.1").encode(),
        "half-a-variable": b'[distillation]\ndropout = "${di[paths]"\n',
        "no-variable": b"[distillation]\ndropout = ${paths.nothing}\n",
        "function": good.replace("0.1", '{"@readers": "no.Such.v1"}').encode(),
        "percent": b"[distillation]\ndropout = %(x)s\n",
        "deep": b"[distillation]\ndropout = " + b"[" * 3000,
        "twice": b"[distillation]\na = 1\n[distillation]\na = 2\n",
        "remote-code": b"[distillation]\ntrust_remote_code = true\n",
        "no-block": b"[nlp]\n",
        "prose": b"Dear student,\n",
        "binary": bytes(range(256)),
    }


def curves() -> dict[str, bytes]:
    """The lines of a run's scores."""
    point = {"step": 1, "epoch": 0, "words": 5, "seconds": 0.5, "score": 0.5, "losses": {"ner": 1.0}, "scores": {}}
    lines = [point, point | {"step": 10**30}, point | {"score": float("nan")}, point | {"losses": []}, [point], 5]
    return {
        "good": json.dumps(point).encode(),
        "mixed": b"\n".join(json.dumps(line).encode() for line in lines),
        "cut": json.dumps(point).encode()[:-3],
    }


if __name__ == "__main__":
    main(Path(sys.argv[1]) if sys.argv[1:] else None)
