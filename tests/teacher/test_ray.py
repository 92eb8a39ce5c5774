"""Recording on a Ray cluster: the store that one machine would write, whatever happens on the way."""

import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from threading import Thread

# Before Ray is imported. No test may reach for the network.
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")

import pytest
import ray
from ray.cluster_utils import Cluster
from spacy.util import import_file

from helpers.commands import spacy_cli
from helpers.comparison import assert_same_stores
from helpers.generator import make_texts
from helpers.interruption import Killed
from helpers.tiny_teacher import make_teacher, write_texts
from spacy_tinydistill import record_targets
from spacy_tinydistill.errors import DistillationError
from spacy_tinydistill.targets import store as store_module
from spacy_tinydistill.targets.records import Role
from spacy_tinydistill.targets.store import PENDING, Store, StoreWriter, read_manifest
from spacy_tinydistill.teacher import ray as ray_module
from spacy_tinydistill.teacher.ray import RayCluster, Worker, _Recorder

NODE = {"num_cpus": 1, "object_store_memory": 100 * 1024**2}

# A dead node is noticed sooner.
HEALTH = {"health_check_initial_delay_ms": 1000, "health_check_period_ms": 1000, "health_check_failure_threshold": 5}

TEXTS = make_texts(60, seed=1)

# A pipe that comes to a halt on one node, while the others wait for that, and that no worker survives on some texts.
CODE = """
import os
import time
from pathlib import Path

import ray
from spacy.language import Language

@Language.component("odd_pipe")
def odd_pipe(doc):
    if not ray.get_runtime_context().get_actor_id():
        return doc  # In the driver, which looks at a few texts itself.
    halted = Path({halted!r})
    if doc.text.startswith("Deadly"):
        os._exit(1)
    if ray.get_runtime_context().get_node_id() == {node!r}:
        halted.touch()
        time.sleep(600)
    while {node!r} and not halted.exists():
        time.sleep(0.05)
    return doc
"""


@pytest.fixture
def teacher(tiny_teacher_path: Path) -> Path:
    return tiny_teacher_path


@pytest.fixture(autouse=True)
def small_shards(monkeypatch) -> None:
    monkeypatch.setattr(store_module, "SHARD_WORDS", 50)


def make_odd_teacher(folder: Path, node: str = "") -> tuple[Path, Path]:
    """A teacher with the pipe of `CODE`, and the code."""
    code = folder / "code.py"
    code.write_text(CODE.format(halted=str(folder / "halted"), node=node))
    import_file("python_code", code)
    nlp = make_teacher()
    nlp.add_pipe("odd_pipe", first=True)
    nlp.to_disk(folder / "odd")
    return folder / "odd", code


def code_of(*args: object, address: str | None = None, code: Path | None = None, **kwargs: object) -> str:
    with pytest.raises(DistillationError) as caught:
        record_targets(*args, cluster=RayCluster(address, code=code), **kwargs)
    return caught.value.code


# Without a cluster: these come first, as a connection that there is would be used


def test_ray_is_not_installed(teacher, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(DistillationError, match="spacy-tinydistill\\[ray\\]") as caught:
        record_targets(teacher, TEXTS, store=tmp_path / "store", cluster=RayCluster())
    assert caught.value.code == "TD619"


def test_a_teacher_in_memory(tmp_path):
    assert code_of(make_teacher(), TEXTS, store=tmp_path / "store") == "TD622"


def test_a_cluster_that_is_not_there(teacher, tmp_path):
    for address in ("nowhere", "127.0.0.1:1"):
        assert code_of(teacher, TEXTS, store=tmp_path / "store", address=address) == "TD621"


def test_a_worker_that_finds_something_else(teacher, tmp_path):
    def load(path: Path, code: Path | None = None) -> str:
        worker = Worker(str(path), code, gpu=False, gpu_allocator=None)
        with pytest.raises(DistillationError) as caught:
            _Recorder(worker, {}, str(tmp_path), expected="0" * 64).teacher  # noqa: B018
        return caught.value.code

    assert load(teacher) == "TD625"
    assert load(tmp_path / "missing") == "TD201"
    (tmp_path / "code.py").write_text("raise SystemError")
    assert load(teacher, tmp_path / "code.py") == "TD412"


# On a cluster


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """A head without a slot, and two nodes with one each."""
    cluster = Cluster(initialize_head=True, head_node_args={**NODE, "num_cpus": 0, "_system_config": HEALTH})
    for _ in range(2):
        cluster.add_node(**NODE)
    ray.init(address=cluster.address, logging_level="ERROR", log_to_driver=False)
    yield cluster
    ray.shutdown()
    cluster.shutdown()


@pytest.mark.slow
@pytest.mark.usefixtures("cluster")
def test_a_cluster_records_what_one_machine_does(teacher, tmp_path):
    texts = write_texts(tmp_path / "texts.txt", TEXTS)
    record_targets(teacher, texts, store=tmp_path / "local")
    url = f"file://{tmp_path}/store"
    spacy_cli("distill-targets", teacher, texts, url, "--engine", "ray", "--workers", "2")
    assert len(read_manifest(tmp_path / "local").shards) > 8
    assert_same_stores(tmp_path / "store", tmp_path / "local")
    assert len(list(Store(url).read(*Role))) == len(TEXTS)


@pytest.mark.slow
@pytest.mark.usefixtures("cluster")
def test_an_interrupted_recording_goes_on_elsewhere(teacher, tmp_path, monkeypatch):
    record_targets(teacher, TEXTS, store=tmp_path / "undisturbed")
    entered = []
    real = StoreWriter.add

    def add(self, shard):
        if len(entered) in (2, 5):
            entered.append("stopped")
            raise Killed
        entered.append(shard.file)
        real(self, shard)

    monkeypatch.setattr(StoreWriter, "add", add)
    store = tmp_path / "store"
    with pytest.raises(Killed):
        record_targets(teacher, TEXTS, store=store)
    with pytest.raises(Killed):
        record_targets(teacher, TEXTS, store=store, cluster=RayCluster(workers=2))
    assert (store / PENDING).exists()
    record_targets(teacher, TEXTS, store=store)
    assert [name for name in entered if name != "stopped"] == [shard.file for shard in read_manifest(store).shards]
    assert not (store / PENDING).exists()
    assert_same_stores(store, tmp_path / "undisturbed")


@pytest.mark.slow
def test_a_node_is_killed_halfway(cluster, tmp_path):
    node = cluster.add_node(**NODE)
    teacher, code = make_odd_teacher(tmp_path, node.node_id)

    def count_done() -> int:
        """Also those that wait for the one that the node is at."""
        store = tmp_path / "store"
        return len([*store.glob("shard-*.arrow"), *(store / PENDING).glob("[!s]*.arrow")])

    def kill() -> None:
        while not (tmp_path / "halted").exists() or count_done() < 3:
            time.sleep(0.05)
        cluster.remove_node(node, allow_graceful=False)

    thread = Thread(target=kill, daemon=True)
    thread.start()
    record_targets(teacher, TEXTS, store=tmp_path / "store", cluster=RayCluster(workers=3, code=code))
    thread.join()
    record_targets(teacher, TEXTS, store=tmp_path / "undisturbed")
    assert_same_stores(tmp_path / "store", tmp_path / "undisturbed")


@pytest.mark.slow
@pytest.mark.usefixtures("cluster")
def test_what_workers_say(teacher, tmp_path, monkeypatch):
    store = tmp_path / "store"
    assert code_of(teacher, TEXTS, store=store, gpu_id=0) == "TD623"
    odd, code = make_odd_teacher(tmp_path)
    assert code_of(odd, [*TEXTS[:5], "Deadly", *TEXTS[5:]], store=tmp_path / "deadly", code=code) == "TD626"

    def stop(*args: object) -> None:
        raise ray.exceptions.ActorDiedError

    monkeypatch.setattr(ray_module, "_record_shards", stop)
    assert code_of(teacher, TEXTS, store=tmp_path / "stopped") == "TD624"
