"""The recorder on a Ray cluster: several teachers write the same store that one teacher would write.

The driver cuts the Docs into shards and writes their tokens to the folder `pending` of the store. Workers, each with
its own teacher, record one shard at a time to the same folder. Only the driver moves recorded shards to their place.
So the corpus is never in the driver's memory, and a worker that was given up cannot do harm.
"""

import json
import socket
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from types import ModuleType
from uuid import uuid4

import numpy
from spacy.language import Language
from thinc.api import set_gpu_allocator

from ..components.base import Plan
from ..errors import DistillationError
from ..pipes.device import use_device
from ..pipes.pipeline import load_teacher
from ..pipes.profile import fingerprint
from ..targets.folder import Folder
from ..targets.records import Record
from ..targets.store import PENDING, Shard, StoreWriter, describe_shard, read_shard, shard_name, to_arrow
from ..user_code import import_user_code
from .recorder import record

# How many workers a shard may cost: one or two go with their machines, but a text can also be what kills them.
MAX_TRIES = 3

CONNECT_SECONDS = 10


@dataclass(frozen=True)
class RayCluster:
    """The Ray cluster that a teacher is asked on, as many machines as there are.

    Args:
        address: As `ray.init` takes it; without, Ray starts on this machine.
        workers: How many teachers to load; fewer where the cluster has no room for them.
        code: A Python file with registered functions of yours, for the workers to import.
    """

    address: str | None = None
    workers: int = 1
    code: str | Path | None = None


@dataclass(frozen=True)
class Worker:
    """The settings of each worker on a cluster: one teacher, on one CPU or one GPU."""

    teacher: str  # A package or a folder, on each machine
    code: Path | None  # A Python file with registered functions, likewise
    gpu: bool
    gpu_allocator: str | None  # As `[training]` names it

    @property
    def slot(self) -> str:
        """What a worker takes of the cluster, as Ray calls it."""
        return "GPU" if self.gpu else "CPU"


@contextmanager
def connect(address: str | None) -> Iterator[None]:
    """Connect to a Ray cluster. An existing connection is used, and stays open.

    Args:
        address: The cluster's address, as for `ray.init`. Without it Ray starts on this machine.

    Raises:
        DistillationError: TD619, Ray is not installed; TD621, there is no cluster at the address.
    """
    ray = _import_ray()
    if ray.is_initialized():
        yield
        return
    host, _, port = (address or "").rpartition(":")
    try:
        # Ray itself would try for minutes.
        if port.isdigit() and "://" not in host:
            socket.create_connection((host.strip("[]"), int(port)), timeout=CONNECT_SECONDS).close()
        ray.init(address=address, log_to_driver=False)
    except (OSError, ValueError, RuntimeError, ray.exceptions.RayError) as error:
        raise DistillationError("TD621", address=address, reason=error) from error
    try:
        yield
    finally:
        ray.shutdown()


def record_on_cluster(
    worker: Worker,
    count: int,
    records: Iterable[Record],
    plan: Plan,
    writer: StoreWriter,
    *,
    on_doc: Callable[[], object] = lambda: None,
) -> None:
    """Record a store like `recorder.record_store`, on the cluster of `connect`.

    Args:
        worker: The settings of each worker.
        count: The number of workers; fewer if the cluster has no room for them.
        records: As for `record_store`, and so the others.
        plan: Likewise.
        writer: Likewise; its folder must be the same one on each machine.
        on_doc: Likewise.

    Raises:
        DistillationError: TD623, the cluster has no room for a worker; TD624, it failed; or what a worker says, such
            as TD201, it finds no teacher, TD625, it finds another one, and TD626, a shard cost too many workers.
    """
    ray = _import_ray()
    resources = ray.cluster_resources()
    if resources.get(worker.slot, 0) < 1:
        raise DistillationError("TD623", slot=worker.slot, found=resources)
    writer.folder.remove(PENDING)  # Of an earlier recording
    numbers = []
    for number, shard in writer.cut_missing(records, on_doc):
        writer.folder.write(_tokens_name(number), to_arrow(shard))
        numbers.append(number)
    try:
        for entry in _record_shards(numbers, worker, count, plan, writer) if numbers else ():
            writer.add(entry)
            for _ in range(sum(entry.docs.values())):
                on_doc()
    except ray.exceptions.RayTaskError as error:
        # Else it is as it would be here, with what Ray says of where it was raised.
        raise error.cause if isinstance(error.cause, DistillationError) else error from None
    except ray.exceptions.RayError as error:
        raise DistillationError("TD624", reason=error) from error
    writer.finish()


def _record_shards(numbers: list[int], worker: Worker, count: int, plan: Plan, writer: StoreWriter) -> Iterator[Shard]:
    """Have shards recorded, and put each in its place, in their order."""
    ray = _import_ray()
    # One block a shard: Ray does the blocks of a lost worker again, as often as it takes.
    shards = ray.data.from_items(numbers, override_num_blocks=len(numbers)).map_batches(
        _Recorder,
        fn_constructor_args=(worker, plan, writer.folder.location, writer.manifest.fingerprint),
        compute=ray.data.ActorPoolStrategy(size=count),
        batch_size=1,
        num_cpus=0 if worker.gpu else 1,
        num_gpus=1 if worker.gpu else 0,
    )
    shards.context.execution_options.preserve_order = True
    shards.context.raise_original_map_exception = True
    shards.context.enable_progress_bars = False
    shards.context.print_on_execution_start = False
    # Nothing in advance: what is recorded is entered at once.
    for batch in shards.iter_batches(batch_size=1, prefetch_batches=0, batch_format="numpy"):
        shard = Shard(**json.loads(batch["shard"][0]))
        writer.folder.move(f"{PENDING}/{batch['file'][0]}", shard.file)
        yield shard


class _Recorder:
    """A worker's teacher. Loaded with the first shard: Ray hands on what is raised then, and not what is before."""

    def __init__(self, worker: Worker, plan: Plan, store: str, expected: str) -> None:
        self.worker = worker
        self.plan = plan
        self.folder = Folder(store)
        self.expected = expected  # The teacher's fingerprint

    @cached_property
    def teacher(self) -> Language:
        worker = self.worker
        if worker.code is not None:
            import_user_code(worker.code)
        # Ray shows each worker no GPU but its own.
        use_device(0 if worker.gpu else -1)
        if worker.gpu and worker.gpu_allocator:
            set_gpu_allocator(worker.gpu_allocator)
        teacher = load_teacher(worker.teacher)
        found = fingerprint(worker.teacher)
        if found != self.expected:
            raise DistillationError("TD625", name=worker.teacher, found=found[:12], expected=self.expected[:12])
        return teacher

    def __call__(self, batch: dict[str, numpy.ndarray]) -> dict[str, list[str]]:
        """Record a shard.

        Args:
            batch: `item`, the shard's number; shape (1,).

        Returns:
            `shard`, its entry in the manifest, as JSON; and `file`, where it is among those pending.
        """
        number = int(batch["item"][0])
        self._count_try(number)
        said = record(self.teacher, read_shard(self.folder, _tokens_name(number)), self.plan)
        data = to_arrow(said)
        # A name that no other attempt at this shard has.
        file = f"{uuid4().hex}.arrow"
        self.folder.write(f"{PENDING}/{file}", data)
        return {"shard": [json.dumps(asdict(describe_shard(number, said, data)))], "file": [file]}

    def _count_try(self, number: int) -> None:
        """Leave a trace of having begun with a shard."""
        for i in range(MAX_TRIES):
            trace = f"{_tokens_name(number)}.try-{i}"
            if not self.folder.is_file(trace):
                self.folder.write(trace, b"")
                return
        raise DistillationError("TD626", shard=shard_name(number), tries=MAX_TRIES)


def _tokens_name(number: int) -> str:
    return f"{PENDING}/{shard_name(number)}"


def _import_ray() -> ModuleType:
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise DistillationError("TD619", reason=error) from error
    return ray
