"""What a teacher said, kept on disk: Arrow shards and a manifest.

    STORE/
      manifest.json          what there is, with a checksum of every other file and of itself
      teacher.msgpack        the teacher without its weights, and what each rule needs of it
      raw_text.json          what the whole teacher says about some raw texts, to compare a student with
      shard-000000.arrow     Docs and targets, one row a Doc, `SHARD_WORDS` words or a little more
      shard-000001.arrow     ...
      pending/               what a cluster is working on; gone when the store is complete

A store is a folder, or, by its URL, anything that fsspec knows.

A shard is an Arrow IPC file with one record batch, readable by anything that reads Arrow. A Doc's tokens are in
`words`, `spaces` and `norms`; each array of a pipe's targets is a list column `PIPE/ARRAY`, flattened, with its shape
beside it in `PIPE/ARRAY.shape`.
"""

import hashlib
import json
import math
import random
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy
import srsly
from pydantic import TypeAdapter, ValidationError

from ..errors import DistillationError, needed
from ..judge import Statement
from ..pipes.profile import TeacherProfile
from .folder import Folder
from .records import LessonPlan, Record, Role, Targets

with needed("distill"):
    import pyarrow as pa
    from filelock import FileLock, Timeout

# Counts up when the files change their meaning. In format 1 the manifest had no checksum of itself.
FORMAT_VERSION = 2
READ_VERSIONS = (1, FORMAT_VERSION)

MANIFEST = "manifest.json"
HEADER = "teacher.msgpack"
RAW_TEXT = "raw_text.json"
LOCK = ".lock"
PENDING = "pending"

# Stands in the manifest for its own checksum while that is calculated.
NO_CHECKSUM = "0" * 64

# A shard is cut when it has so many words: large enough that files are few, small enough that what an interruption
# costs, and a recorder's memory, is little.
SHARD_WORDS = 50_000

# So many numbers an ordinary list column has room for, of all Docs of a shard together. Attention may need a large one.
LIST_VALUES = 2**31 - 1

# The columns of a shard, beside those of the targets.
COLUMNS = {
    "role": pa.uint8(),
    "index": pa.int64(),
    "words": pa.list_(pa.string()),
    "spaces": pa.list_(pa.uint8()),
    "norms.at": pa.list_(pa.int32()),
    "norms": pa.list_(pa.string()),
    "annotated": pa.large_binary(),
}

# A column that is there where a tokenizer writes more than tokens.
PRESET = "preset"

# Of a column that holds the shapes of another's arrays.
SHAPE = pa.list_(pa.int32())

# Docs are shuffled among so many shards.
WINDOW_SHARDS = 4


@dataclass(frozen=True)
class Header:
    """What a store says of its teacher."""

    fingerprint: str  # From `profile.fingerprint`
    profile: TeacherProfile
    lessons: dict[str, LessonPlan]  # By student pipe

    def to_bytes(self) -> bytes:
        """Write the header as MessagePack."""
        lessons = {name: asdict(lesson) for name, lesson in self.lessons.items()}
        fields = {"fingerprint": self.fingerprint, "profile": self.profile.to_bytes(), "lessons": lessons}
        return srsly.msgpack_dumps(fields)

    @classmethod
    def from_bytes(cls, data: bytes) -> "Header":
        """Undo `to_bytes`."""
        fields = srsly.msgpack_loads(data)
        return _HEADER.validate_python({**fields, "profile": TeacherProfile.from_bytes(fields["profile"])})


@dataclass(frozen=True)
class Shard:
    """One shard, as the manifest lists it."""

    file: str
    docs: dict[str, int]  # How many of each role, by the role's name in lower case
    words: int
    bytes: int
    text: str  # SHA-256 of the Docs' tokens, which do not depend on the teacher
    sha256: str  # Of the file
    said: dict[str, int] | None = None  # Of how many Docs there are targets, by student pipe; None in older stores


@dataclass(frozen=True)
class Manifest:
    """What is in a store."""

    teacher: dict[str, Any]  # Its language, name and version
    fingerprint: str
    pipes: dict[str, dict[str, Any]]  # For people: by student pipe the teacher's, the rule and its settings, the labels
    header: str  # SHA-256 of `teacher.msgpack`
    shards: list[Shard] = field(default_factory=list)
    complete: bool = False
    format_version: int = FORMAT_VERSION
    raw_text: str | None = None  # SHA-256 of `raw_text.json`; None where there is none, as in older stores

    @property
    def words(self) -> int:
        """How many words there are."""
        return sum(shard.words for shard in self.shards)

    @property
    def bytes(self) -> int:
        """How much room the shards take."""
        return sum(shard.bytes for shard in self.shards)

    def count(self, *roles: Role) -> int:
        """Count the Docs that are there for something."""
        return sum(shard.docs.get(role.name.lower(), 0) for shard in self.shards for role in roles)

    def count_said(self, pipe: str) -> int | None:
        """Count the Docs of which there is something for a student's pipe to learn; None where that is not known."""
        said = [shard.said for shard in self.shards]
        return None if None in said else sum((counts or {}).get(pipe, 0) for counts in said)


# What a file of somebody else's making is checked by.
_HEADER, _MANIFEST = TypeAdapter(Header), TypeAdapter(Manifest)


class StoreWriter:
    """Writes a store, or goes on with one that was interrupted. One writer at a time: use it as a context."""

    def __init__(self, path: str | Path, header: Header) -> None:
        """Prepare to write.

        Args:
            path: The folder, or its URL; made where there is none. Only on this machine are other writers kept out.
            header: What to record. A store that was begun must have the same.
        """
        self.path = path
        self.folder = Folder(path)
        self._lock = FileLock(self.folder.local / LOCK) if self.folder.local else None
        self._header = header.to_bytes()
        self.manifest = Manifest(
            teacher={key: header.profile.meta.get(key) for key in ("lang", "name", "version")},
            fingerprint=header.fingerprint,
            pipes={name: _summary(lesson) for name, lesson in header.lessons.items()},
            header=_sha256(self._header),
        )

    def __enter__(self) -> "StoreWriter":
        """Take the store.

        Raises:
            DistillationError: TD507, the folder cannot be made; TD602, TD603 or TD609, what is there is another store;
                TD606, somebody else is writing to it.
        """
        try:
            if self.folder.local and self._lock:
                self.folder.local.mkdir(parents=True, exist_ok=True)
                self._lock.acquire(timeout=0)
        except Timeout:
            raise DistillationError("TD606", path=self.path) from None
        except OSError as error:
            raise DistillationError("TD507", path=self.path, reason=error) from None
        try:
            self._begin()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """Let go of the store."""
        if self._lock:
            self._lock.release()

    def cut_missing(
        self, records: Iterable[Record], on_doc: Callable[[], object]
    ) -> Iterator[tuple[int, list[Record]]]:
        """Cut Docs into shards, and hand out those that are not there yet, each with its number.

        Args:
            records: All Docs, in their order.
            on_doc: Called for each Doc of a shard that is there.

        Raises:
            DistillationError: TD608, a shard is there, of other texts.
        """
        for number, shard in enumerate(cut_shards(records)):
            if number >= len(self.manifest.shards):
                yield number, shard
                continue
            if self.manifest.shards[number].text != hash_tokens(shard):
                raise DistillationError("TD608", path=self.path, shard=shard_name(number))
            for _ in shard:
                on_doc()

    def write(self, number: int, records: Sequence[Record]) -> None:
        """Write the next shard: it appears whole or not at all."""
        data = to_arrow(records)
        self.folder.write(shard_name(number), data)
        self.add(describe_shard(number, records, data))

    def add(self, shard: Shard) -> None:
        """Enter the next shard, which was written, into the manifest."""
        self.manifest = replace(self.manifest, shards=[*self.manifest.shards, shard])
        self._write_manifest()

    def write_raw_text(self, statement: Statement) -> None:
        """Write what the whole teacher says about raw texts."""
        data = statement.to_bytes()
        self.folder.write(RAW_TEXT, data)
        self.manifest = replace(self.manifest, raw_text=_sha256(data))
        self._write_manifest()

    def finish(self) -> Manifest:
        """Say that the store is whole."""
        self.folder.remove(PENDING)
        self.manifest = replace(self.manifest, complete=True)
        self._write_manifest()
        return self.manifest

    def _begin(self) -> None:
        if not self.folder.is_file(MANIFEST):
            self.folder.write(HEADER, self._header)
            self._write_manifest()
            return
        found = read_manifest(self.path)
        check_teacher(self.path, found, self.manifest.fingerprint)
        if found.header != self.manifest.header:
            raise DistillationError("TD609", path=self.path, found=found.pipes, expected=self.manifest.pipes)
        self.manifest = replace(found, format_version=FORMAT_VERSION)

    def _write_manifest(self) -> None:
        self.folder.write(MANIFEST, manifest_bytes(self.manifest))


class Store:
    """Reads a store. Nothing is kept in memory: shards are mapped and read as they are needed."""

    def __init__(self, path: str | Path) -> None:
        """Open a store and see that every byte is as it was written.

        Args:
            path: The folder, or its URL.

        Raises:
            DistillationError: TD601, it is no store or a damaged one; TD602, of a newer version; TD604, a damaged
                file; TD605, it is not complete.
        """
        self.path = path
        self.folder = Folder(path)
        self.manifest = read_manifest(path)
        if not self.manifest.complete:
            raise DistillationError("TD605", path=path, shards=len(self.manifest.shards))
        self._check_file(HEADER, self.manifest.header)
        if self.manifest.raw_text is not None:
            self._check_file(RAW_TEXT, self.manifest.raw_text)
        for shard in self.manifest.shards:
            self._check_file(shard.file, shard.sha256)
        try:
            self.header = Header.from_bytes(self.folder.read(HEADER))
        except Exception as error:  # MessagePack of somebody else's making can break in any way
            raise DistillationError("TD601", path=path, reason=f"{HEADER} cannot be read ({error!r}).") from error

    def read(self, *roles: Role, shuffle: random.Random | None = None) -> Iterator[Record]:
        """Read the Docs that are there for something.

        Args:
            roles: What they are there for.
            shuffle: Numbers to shuffle with: the shards, and the Docs among `WINDOW_SHARDS` of them. In the order in
                which they were recorded, without.

        Yields:
            The records. Their arrays are views of the mapped file.
        """
        names = {role.name.lower() for role in roles}
        shards = [shard for shard in self.manifest.shards if names & shard.docs.keys()]
        if shuffle is not None:
            shuffle.shuffle(shards)
        width = 1 if shuffle is None else WINDOW_SHARDS
        for start in range(0, len(shards), width):
            window = [_ShardReader(self.folder, shard.file) for shard in shards[start : start + width]]
            rows = [(reader, row) for reader in window for row in reader.rows_of(roles)]
            if shuffle is not None:
                shuffle.shuffle(rows)
            for reader, row in rows:
                yield reader.read(row)

    def read_raw_text(self) -> Statement | None:
        """Read what the whole teacher says about raw texts; None where it was not recorded.

        Raises:
            DistillationError: TD601, it is of another making.
        """
        if self.manifest.raw_text is None:
            return None
        try:
            return Statement.from_bytes(self.folder.read(RAW_TEXT))
        except ValueError as error:
            raise DistillationError("TD601", path=self.path, reason=f"{RAW_TEXT} cannot be read: {error}.") from error

    def _check_file(self, name: str, expected: str) -> None:
        path = f"{self.path}/{name}"
        if not self.folder.is_file(name):
            raise DistillationError("TD604", path=path, reason="it is not there, or a link.")
        found = self.folder.hash(name)
        if found != expected:
            raise DistillationError("TD604", path=path, reason=f"its SHA-256 is {found}, expected {expected}.")


class _ShardReader:
    """One shard, mapped into memory."""

    def __init__(self, folder: Folder, name: str) -> None:
        try:
            with pa.ipc.open_file(folder.map(name)) as file:
                batch = file.get_batch(0)
            batch.validate(full=True)
            _check_columns(batch)
            self.roles = batch["role"].to_numpy()
            self.indices = batch["index"].to_numpy()
            self.annotated = batch["annotated"]
            self.preset = batch[PRESET] if PRESET in batch.schema.names else None
            self.words = _Rows(batch["words"], batch["words"].values.to_pylist())
            self.spaces = _Rows(batch["spaces"])
            self.norms_at = _Rows(batch["norms.at"])
            self.norms = _Rows(batch["norms"], batch["norms"].values.to_pylist())
            names = [name for name in batch.schema.names if "/" in name and not name.endswith(".shape")]
            self.arrays = {name: (_Rows(batch[name]), _Rows(batch[f"{name}.shape"])) for name in names}
            self._check_rows()
        # What Arrow, and NumPy with it, says of a file of somebody else's making.
        except (
            ValueError,
            TypeError,
            KeyError,
            IndexError,
            AttributeError,
            OverflowError,
            OSError,
            pa.ArrowException,
        ) as error:
            path = f"{folder.location}/{name}"
            raise DistillationError("TD601", path=path, reason=f"it is no shard of targets ({error!r}).") from error

    def _check_rows(self) -> None:
        """See that each row makes a record.

        Raises:
            ValueError: One does not.
        """
        if not set(numpy.unique(self.roles)) <= set(Role):
            raise ValueError("a role that does not exist")
        if not numpy.array_equal(self.words.lengths, self.spaces.lengths):
            raise ValueError("as many spaces as words")
        if not numpy.array_equal(self.norms.lengths, self.norms_at.lengths):
            raise ValueError("norms of other tokens")
        for row, n_words in enumerate(self.words.lengths):
            if "" in self.words[row]:
                raise ValueError("a word of no characters")
            at = self.norms_at[row]
            if len(at) and not (at.min() >= 0 and at.max() < n_words):
                raise ValueError("a norm of no token")
        for name, (values, shapes) in self.arrays.items():
            for row in numpy.flatnonzero(values.is_valid).tolist():
                shape = shapes[row]
                if (shape < 0).any() or math.prod(shape.tolist()) != values.lengths[row]:
                    raise ValueError(f"an array of {name} that has not its shape")

    def rows_of(self, roles: Iterable[Role]) -> list[int]:
        """Find the rows that are there for something."""
        return numpy.flatnonzero(numpy.isin(self.roles, [int(role) for role in roles])).tolist()

    def read(self, row: int) -> Record:
        targets: Targets = {}
        for name, (values, shapes) in self.arrays.items():
            if values.is_valid[row]:
                pipe, _, array = name.rpartition("/")
                targets.setdefault(pipe, {})[array] = values[row].reshape(shapes[row])
        return Record(
            role=Role(self.roles[row]),
            index=int(self.indices[row]),
            words=self.words[row],
            spaces=self.spaces[row].astype(bool).tolist(),
            norms=dict(zip(self.norms_at[row].tolist(), self.norms[row], strict=True)),
            preset=None if self.preset is None else self.preset[row].as_py(),
            targets=targets,
            annotated=self.annotated[row].as_py(),
        )


def _check_columns(batch: Any) -> None:
    """See that a shard's columns are those that are written.

    Raises:
        ValueError, KeyError: They are not.
    """
    for name, kind in COLUMNS.items():
        column = batch[name]
        if column.type != kind:
            raise ValueError(f"{name} is {column.type}, expected {kind}")
        if name != "annotated" and (column.null_count or (pa.types.is_list(kind) and column.values.null_count)):
            raise ValueError(f"{name} has nulls")
    if PRESET in batch.schema.names and batch[PRESET].type != pa.large_binary():
        raise ValueError(f"{PRESET} is {batch[PRESET].type}, expected {pa.large_binary()}")
    for name in set(batch.schema.names) - COLUMNS.keys() - {PRESET}:
        kind = batch[name].type
        is_number = (pa.types.is_list(kind) or pa.types.is_large_list(kind)) and (
            pa.types.is_integer(kind.value_type) or pa.types.is_floating(kind.value_type)
        )
        if not is_number or batch[name].values.null_count or (name.endswith(".shape") and kind != SHAPE):
            raise ValueError(f"{name} is {kind}, expected a list of numbers")


class _Rows:
    """A list column, by row."""

    def __init__(self, column: Any, values: Any = None) -> None:
        self.offsets = column.offsets.to_pylist()
        self.lengths = numpy.diff(self.offsets)
        self.is_valid = column.is_valid().to_pylist()
        self.values = column.values.to_numpy() if values is None else values

    def __getitem__(self, row: int) -> Any:
        return self.values[self.offsets[row] : self.offsets[row + 1]]


def cut_shards(records: Iterable[Record]) -> Iterator[list[Record]]:
    """Gather records, in their order, until there are `SHARD_WORDS` words."""
    shard: list[Record] = []
    words = 0
    for item in records:
        shard.append(item)
        words += len(item)
        if words >= SHARD_WORDS:
            yield shard
            shard, words = [], 0
    if shard:
        yield shard


def shard_name(number: int) -> str:
    """Name a shard's file."""
    return f"shard-{number:06}.arrow"


def describe_shard(number: int, records: Sequence[Record], data: bytes) -> Shard:
    """Make a shard's entry in the manifest.

    Args:
        number: Its place in the store.
        records: What is in it.
        data: The file's content.
    """
    return Shard(
        file=shard_name(number),
        docs=dict(sorted(Counter(item.role.name.lower() for item in records).items())),
        words=sum(map(len, records)),
        bytes=len(data),
        text=hash_tokens(records),
        sha256=_sha256(data),
        said=dict(sorted(Counter(name for item in records for name in item.targets).items())),
    )


def to_arrow(records: Sequence[Record]) -> bytes:
    """Write records as an Arrow IPC file with one batch."""
    columns: dict[str, Any] = {
        "role": pa.array([int(item.role) for item in records], pa.uint8()),
        "index": pa.array([item.index for item in records], pa.int64()),
        "words": pa.array([item.words for item in records], pa.list_(pa.string())),
        "spaces": _list_array([numpy.array(item.spaces, dtype="uint8") for item in records]),
        "norms.at": _list_array([numpy.array(list(item.norms), dtype="int32") for item in records]),
        "norms": pa.array([list(item.norms.values()) for item in records], pa.list_(pa.string())),
        "annotated": pa.array([item.annotated for item in records], pa.large_binary()),
    }
    if any(item.preset is not None for item in records):
        columns[PRESET] = pa.array([item.preset for item in records], pa.large_binary())
    names = dict.fromkeys((pipe, name) for item in records for pipe, said in item.targets.items() for name in said)
    for pipe, name in names:
        arrays = [item.targets.get(pipe, {}).get(name) for item in records]
        shapes = [None if array is None else numpy.array(array.shape, dtype="int32") for array in arrays]
        columns[f"{pipe}/{name}"] = _list_array(arrays)
        columns[f"{pipe}/{name}.shape"] = _list_array(shapes)
    batch = pa.RecordBatch.from_pydict(columns)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, batch.schema) as writer:
        writer.write_batch(batch)
    return sink.getvalue().to_pybytes()


def _list_array(rows: Sequence[numpy.ndarray | None]) -> Any:
    present = [row.ravel() for row in rows if row is not None]
    offsets = numpy.cumsum([0, *(0 if row is None else row.size for row in rows)])
    missing = pa.array([row is None for row in rows]) if len(present) < len(rows) else None
    is_large = offsets[-1] > LIST_VALUES
    kind, size = (pa.LargeListArray, "int64") if is_large else (pa.ListArray, "int32")
    return kind.from_arrays(pa.array(offsets.astype(size)), pa.array(numpy.concatenate(present)), mask=missing)


def hash_tokens(records: Sequence[Record]) -> str:
    """Hash the tokens of some Docs and what they are there for."""
    total = hashlib.sha256()
    for item in records:
        spaces = [int(space) for space in item.spaces]
        total.update(json.dumps([int(item.role), item.index, item.words, spaces, [*item.norms.items()]]).encode())
    return total.hexdigest()


def read_shard(folder: Folder, name: str) -> list[Record]:
    """Read all of a shard: undo `to_arrow`.

    Raises:
        DistillationError: TD601, it is no shard.
    """
    reader = _ShardReader(folder, name)
    return [reader.read(row) for row in range(len(reader.roles))]


def manifest_bytes(manifest: Manifest) -> bytes:
    """Write a manifest as JSON, with the SHA-256 of all its bytes, in which its own digits are 0."""
    data = json.dumps({**asdict(manifest), "checksum": NO_CHECKSUM}, indent=1).encode()
    head, _, tail = data.rpartition(NO_CHECKSUM.encode())
    return head + _sha256(data).encode() + tail


def read_manifest(path: str | Path) -> Manifest:
    """Read a store's manifest and see that it makes sense.

    Raises:
        DistillationError: TD601, it cannot be read or says what cannot be; TD602, it is of a newer version; TD604, its
            checksum is another.
    """
    folder = Folder(path)
    if not folder.is_file(MANIFEST):
        raise DistillationError("TD601", path=path, reason=f"it has no {MANIFEST}.")
    try:
        data = folder.read(MANIFEST)
        fields = json.loads(data)
        version = fields["format_version"]
        is_known = version in READ_VERSIONS
        found = checksum = ""
        if is_known and (version > 1 or "checksum" in fields):
            checksum = str(fields["checksum"])
            found = _sha256(data.replace(checksum.encode(), NO_CHECKSUM.encode())) if checksum else "none"
        manifest = _MANIFEST.validate_python(fields) if is_known else None
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise DistillationError("TD601", path=path, reason=f"{MANIFEST}: {place}: {first['msg']}.") from error
    except (ValueError, TypeError, KeyError, RecursionError, OSError) as error:
        raise DistillationError("TD601", path=path, reason=f"{MANIFEST} cannot be read ({error!r}).") from error
    if found != checksum:
        place = f"{path}/{MANIFEST}"
        raise DistillationError("TD604", path=place, reason=f"its SHA-256 is {found}, expected {checksum[:64]}.")
    if manifest is None:
        raise DistillationError("TD602", path=path, found=version, expected=FORMAT_VERSION)
    for number, shard in enumerate(manifest.shards):
        # Nothing but this name: a manifest of somebody else's making must not lead out of the store.
        if shard.file != shard_name(number):
            raise DistillationError("TD601", path=path, reason=f"{MANIFEST} names a file {shard.file!r}.")
    return manifest


def check_teacher(path: str | Path, manifest: Manifest, fingerprint: str) -> None:
    """See that a store is of a teacher.

    Raises:
        DistillationError: TD603, it is of another one.
    """
    if manifest.fingerprint != fingerprint:
        teacher = "_".join(str(manifest.teacher.get(key)) for key in ("lang", "name", "version"))
        raise DistillationError(
            "TD603", path=path, teacher=teacher, found=manifest.fingerprint[:12], expected=fingerprint[:12]
        )


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _summary(lesson: LessonPlan) -> dict[str, Any]:
    labels = lesson.description.get("labels", [])
    return {"teacher_pipe": lesson.teacher_pipe, "rule": lesson.rule, **lesson.settings, "labels": labels}
