"""Recorded targets: read back as written, resumed as if undisturbed, refused when not what was asked for."""

import itertools
import json
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy
import pytest
import srsly
from hypothesis import given, settings
from hypothesis import strategies as st
from spacy.tokens import DocBin
from spacy.vocab import Vocab

import spacy_tinydistill.cli.distill_targets  # noqa: F401
from helpers.commands import spacy_cli
from helpers.comparison import assert_same_stores, files_of
from helpers.generator import make_docs, make_texts
from helpers.interruption import Killed
from helpers.paths import TESTS
from helpers.students import distil_quickly, make_config
from helpers.tiny_teacher import make_teacher, write_texts
from spacy_tinydistill import distill, record_targets
from spacy_tinydistill import prepare as prepare_module
from spacy_tinydistill.errors import DistillationError
from spacy_tinydistill.pipes.profile import PipeProfile, TeacherProfile, fingerprint, write_files
from spacy_tinydistill.prepare import RecordedRun, Run
from spacy_tinydistill.targets import folder as folder_module
from spacy_tinydistill.targets import store as store_module
from spacy_tinydistill.targets.folder import Folder
from spacy_tinydistill.targets.records import LessonPlan, Record, Role
from spacy_tinydistill.targets.store import (
    FORMAT_VERSION,
    HEADER,
    LOCK,
    MANIFEST,
    PENDING,
    Header,
    Store,
    StoreWriter,
    cut_shards,
    read_manifest,
    shard_name,
)

PIPES = ["tagger", "parser", "ner", "textcat", "spancat"]

HEADER_OF_NOBODY = Header(
    fingerprint="f" * 64,
    profile=TeacherProfile(
        meta={"lang": "en", "name": "nobody", "version": "1.0"},
        bytes_on_disk=None,
        tokenizer_config={"@tokenizers": "spacy.Tokenizer.v1"},
        tokenizer=b"\x00\xff",
        pipes={"tagger": PipeProfile(["a.B"], ["X"], ["X"], {"pipe/cfg": b"\x80"})},
    ),
    lessons={
        "tagger": LessonPlan(
            "a.B", "tagger", "TokenLabels", {"top_k": 3}, {"labels": ["X"], "W": numpy.ones((2, 3), dtype="float32")}
        )
    },
)


# What is written is what is read

words = st.lists(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12), min_size=1, max_size=6)


@st.composite
def records(draw: st.DrawFn) -> Record:
    tokens = draw(words)
    role = draw(st.sampled_from(Role))
    targets = {}
    for pipe in draw(st.lists(st.sampled_from(["tagger", "odd/pipe.shape", "ner é"]), unique=True)):
        shape = draw(st.sampled_from([(len(tokens), 3), (0, 2), (4,), ()]))
        values = numpy.random.default_rng(draw(st.integers(0, 99))).integers(0, 200, size=shape)
        # One array of each name has one dtype all through a store.
        targets[pipe] = {"a": numpy.asarray(values, dtype="float16"), "b": numpy.asarray(values, dtype="uint16")}
    return Record(
        role=role,
        index=draw(st.integers(0, 2**40)),
        words=tokens,
        spaces=draw(st.lists(st.booleans(), min_size=len(tokens), max_size=len(tokens))),
        norms=draw(st.dictionaries(st.integers(0, len(tokens) - 1), st.text(max_size=5).filter(_has_utf8))),
        targets=targets,
        annotated=draw(st.none() | st.binary(max_size=20)),
    )


def _has_utf8(text: str) -> bool:
    return not any("\ud800" <= character <= "\udfff" for character in text)


# Of 50 numbers all the lists that are a store's own have room.
@given(
    items=st.lists(records(), min_size=1, max_size=6),
    shard_words=st.integers(1, 20),
    list_values=st.sampled_from([50, store_module.LIST_VALUES]),
)
@settings(max_examples=60, deadline=None)
def test_records_come_back_as_they_were(items, shard_words, list_values, tmp_path_factory):
    path = tmp_path_factory.mktemp("store")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(store_module, "SHARD_WORDS", shard_words)
        patch.setattr(store_module, "LIST_VALUES", list_values)
        with StoreWriter(path, HEADER_OF_NOBODY) as writer:
            for number, shard in enumerate(cut_shards(items)):
                writer.write(number, shard)
            writer.finish()
    store = Store(path)
    found = list(store.read(*Role))
    assert len(found) == len(items)
    for one, other in zip(found, items, strict=True):
        assert_same(one, other)
    assert store.manifest.words == sum(map(len, items))
    assert store.manifest.count(*Role) == len(items)
    for role in Role:
        assert [item.index for item in store.read(role)] == [item.index for item in items if item.role is role]
    shuffled = list(store.read(*Role, shuffle=random.Random(1)))
    again = list(store.read(*Role, shuffle=random.Random(1)))
    assert [item.words for item in shuffled] == [item.words for item in again]
    assert sorted(item.words for item in shuffled) == sorted(item.words for item in items)


def assert_same(one: Record, other: Record) -> None:
    assert replace(one, targets={}) == replace(other, targets={})
    assert one.targets.keys() == other.targets.keys()
    for pipe, arrays in other.targets.items():
        assert one.targets[pipe].keys() == arrays.keys()
        for name, array in arrays.items():
            assert one.targets[pipe][name].dtype == array.dtype
            numpy.testing.assert_array_equal(one.targets[pipe][name], array)


def test_the_header_comes_back_as_it_was():
    found = Header.from_bytes(HEADER_OF_NOBODY.to_bytes())
    assert found.profile == HEADER_OF_NOBODY.profile
    assert found.lessons["tagger"].description["W"].tolist() == [[1.0] * 3] * 2
    assert found.to_bytes() == HEADER_OF_NOBODY.to_bytes()


def test_shuffling_moves_docs_across_shards(tmp_path, monkeypatch):
    monkeypatch.setattr(store_module, "SHARD_WORDS", 10)
    with StoreWriter(tmp_path, HEADER_OF_NOBODY) as writer:
        for number, shard in enumerate(cut_shards(Record(Role.TEXT, i, ["x"], [True], {}) for i in range(200))):
            writer.write(number, shard)
        writer.finish()
    order = [item.index for item in Store(tmp_path).read(Role.TEXT, shuffle=random.Random(0))]
    assert sorted(order) == list(range(200))
    # Neighbours came from different shards nearly always; of shards in their own order, one in ten would.
    assert numpy.mean([a // 10 != b // 10 for a, b in itertools.pairwise(order)]) > 0.6


# A teacher's words, recorded


@pytest.fixture(scope="module")
def recorded(teacher, texts, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("recorded") / "store"
    record_targets(teacher, texts, store=path, config=make_config(teacher, PIPES))
    return path


def test_from_a_store_and_from_the_teacher_the_same_student_comes(teacher, texts, recorded, tmp_path, monkeypatch):
    config = make_config(teacher, PIPES)
    distil_quickly(teacher, texts, tmp_path / "asked", config, steps=8)

    def fail(*args: object) -> None:
        raise AssertionError("the teacher was loaded")

    monkeypatch.setattr(prepare_module, "load_teacher", fail)
    student = distil_quickly("-", None, tmp_path / "read", config, steps=8, targets=recorded)
    # Also that which a run records for itself is a store.
    distil_quickly("-", None, tmp_path / "again", config, steps=8, targets=tmp_path / "asked" / "targets")
    expected = files_of(tmp_path / "asked" / "model-last")
    assert files_of(tmp_path / "read" / "model-last") == expected
    assert files_of(tmp_path / "again" / "model-last") == expected
    assert student.meta["distillation"]["teacher"]["performance"]


def test_a_teacher_that_is_named_is_compared_and_not_loaded(tmp_path, monkeypatch):
    make_teacher().to_disk(tmp_path / "teacher")
    texts = write_texts(tmp_path / "texts.txt")
    output = spacy_cli("distill-targets", tmp_path / "teacher", texts, tmp_path / "store")
    assert "Recorded" in output
    assert fingerprint(tmp_path / "teacher") == read_manifest(tmp_path / "store").fingerprint
    spacy_cli("init", "distill-config", tmp_path / "teacher", tmp_path / "student.cfg", "--size", "nano")
    steps = ["--distillation.max_steps", "2", "--targets", tmp_path / "store"]
    out = ["--output", tmp_path / "student"]
    monkeypatch.setattr(prepare_module, "load_teacher", None)
    output = spacy_cli("distill", tmp_path / "teacher", tmp_path / "student.cfg", *out, *steps)
    assert "Retention on held-out texts" in output
    other = make_teacher()
    other.get_pipe("tagger").model.get_ref("softmax").get_param("b")[0] += 1.0
    with pytest.raises(DistillationError) as caught:
        distill(other, output=tmp_path / "no", config=tmp_path / "student.cfg", targets=tmp_path / "store")
    assert caught.value.code == "TD603"


def test_gold_and_dev_data_are_recorded_too(teacher, texts, tmp_path):
    for name, seed in (("gold", 5), ("dev", 6)):
        DocBin(docs=make_docs(Vocab(), 20, seed=seed)).to_disk(tmp_path / f"{name}.spacy")
    paths = {"paths.gold": str(tmp_path / "gold.spacy"), "paths.dev": str(tmp_path / "dev.spacy")}
    config = make_config(teacher, ["tagger", "ner"])
    store = tmp_path / "store"
    manifest = record_targets(teacher, texts[:30], store=store, config=config, overrides=paths)
    assert [manifest.count(role) for role in Role] == [30, 20, 0, 20]
    asked = distil_quickly(teacher, texts[:30], tmp_path / "asked", config, steps=4, **paths)
    read = distil_quickly("-", None, tmp_path / "read", config, steps=4, targets=store, **paths)
    assert files_of(tmp_path / "read" / "model-last") == files_of(tmp_path / "asked" / "model-last")
    assert read.meta["distillation"] == asked.meta["distillation"]
    # Without the gold annotations, their texts are still texts.
    without = {"paths.dev": paths["paths.dev"]}
    distil_quickly("-", None, tmp_path / "without", config, steps=1, targets=store, **without)
    # Other dev data than was recorded: there is a student, and no retention.
    other = {"paths.dev": paths["paths.gold"]}
    student = distil_quickly("-", None, tmp_path / "other", config, steps=1, targets=store, **other)
    assert student.meta["distillation"]["teacher"]["performance"] == {}
    report = srsly.read_json(tmp_path / "other" / "report.json")
    assert report["overall"] == {"retention": None, "agreement": None}
    assert report["disagreements"] == []
    assert report["student"]["scores"]["tag_acc"] is not None
    # With that which was recorded, both are scored on gold, and compared.
    report = srsly.read_json(tmp_path / "read" / "report.json")
    assert report["overall"]["retention"] > 0
    assert report["teacher"]["scores"]["tag_acc"] > report["student"]["scores"]["tag_acc"]
    assert report["teacher"]["parameters"] is None
    assert report["data"]["path"] == paths["paths.dev"]
    assert set(report["labels"]) == {"tagger", "ner"}


@pytest.fixture
def few_gold(tmp_path) -> dict[str, str]:
    for name, seed in (("gold", 5), ("dev", 6)):
        DocBin(docs=make_docs(Vocab(), 8, seed=seed)).to_disk(tmp_path / f"{name}.spacy")
    return {"paths.gold": str(tmp_path / "gold.spacy"), "paths.dev": str(tmp_path / "dev.spacy")}


@pytest.mark.parametrize("share", [0.0, 0.3, 0.6])
def test_gold_has_its_share_of_the_words(teacher, texts, tmp_path, few_gold, share):
    config = make_config(teacher, ["tagger"])
    record_targets(teacher, texts[:60], store=tmp_path / "store", config=config, overrides=few_gold)
    overrides = few_gold | {"distillation.gold_share": share}
    run = RecordedRun(tmp_path / "store", "-", None, config, overrides, -1)
    read = run.dataset.make_corpus(run.store, run.plan, None)
    numbers = random.Random(0)
    epochs = [list(read(numbers)) for _ in range(2)]
    for epoch in epochs:
        others = [taught.example.text for taught in epoch if not taught.has_gold]
        assert sorted(others) == sorted(texts[:60])
        counts = Counter(taught.example.text for taught in epoch if taught.has_gold)
        assert len(counts) == 8
        if not share:
            assert set(counts.values()) == {1}
            continue
        # Each as often as the others, and all along.
        assert max(counts.values()) - min(counts.values()) <= 1
        for part in (epoch[: len(epoch) // 2], epoch):
            words = sum(len(taught) for taught in part)
            assert sum(len(taught) for taught in part if taught.has_gold) == pytest.approx(share * words, abs=20)
    first, second = ([taught.example.text for taught in epoch] for epoch in epochs)
    assert first != second
    again = random.Random(0)
    assert [taught.example.text for _ in range(2) for taught in read(again)] == first + second


def test_gold_has_its_share_of_a_stream(teacher, texts, tmp_path, few_gold):
    write_texts(tmp_path / "texts.txt", texts[:60])
    overrides = few_gold | {"distillation.gold_share": 0.5, "distillation.max_epochs": -1}
    run = Run(teacher, tmp_path / "texts.txt", make_config(teacher, ["tagger"]), overrides, -1)
    # What is streamed is not recorded.
    epoch = list(run.dataset.make_corpus(None, run.plan, run.teacher)(None))
    assert [taught.example.text for taught in epoch if not taught.has_gold] == texts[:60]
    words = sum(len(taught) for taught in epoch)
    assert sum(len(taught) for taught in epoch if taught.has_gold) == pytest.approx(words / 2, abs=20)


# Interrupted


@pytest.fixture
def small_shards(monkeypatch) -> None:
    monkeypatch.setattr(store_module, "SHARD_WORDS", 150)


@pytest.mark.usefixtures("small_shards")
@pytest.mark.parametrize("at", [0, 1, 3])
def test_an_interrupted_recording_goes_on(teacher, texts, tmp_path, monkeypatch, at):
    config = make_config(teacher, ["tagger", "parser"])
    record_targets(teacher, texts[:60], store=tmp_path / "undisturbed", config=config)
    assert len(read_manifest(tmp_path / "undisturbed").shards) > 4
    real = folder_module.write_whole

    def stop(path: Path, data: bytes) -> None:
        if path.name == shard_name(at):
            path.with_name(path.name + ".new").write_bytes(data[: len(data) // 2])
            raise Killed
        real(path, data)

    monkeypatch.setattr(folder_module, "write_whole", stop)
    with pytest.raises(Killed):
        record_targets(teacher, texts[:60], store=tmp_path / "store", config=config)
    monkeypatch.setattr(folder_module, "write_whole", real)
    with pytest.raises(DistillationError) as caught:
        Store(tmp_path / "store")
    assert caught.value.code == "TD605"
    assert len(read_manifest(tmp_path / "store").shards) == at
    asked = []
    real_record = store_module.StoreWriter.write
    monkeypatch.setattr(
        StoreWriter, "write", lambda self, number, items: (asked.append(number), real_record(self, number, items))
    )
    record_targets(teacher, texts[:60], store=tmp_path / "store", config=config)
    assert asked == list(range(at, len(read_manifest(tmp_path / "store").shards)))
    assert_same_stores(tmp_path / "store", tmp_path / "undisturbed")


KILLED = """
import sys
sys.path.insert(0, {tests!r})
from helpers.generator import make_texts
from helpers.tiny_teacher import make_teacher
from spacy_tinydistill import record_targets
from spacy_tinydistill.targets import store
store.SHARD_WORDS = 100
print("ready", flush=True)
record_targets({teacher!r}, make_texts(300, seed=1), store={store!r})
"""


@pytest.mark.slow
def test_a_killed_recording_goes_on(tmp_path):
    make_teacher().to_disk(tmp_path / "teacher")

    def start(store: str) -> subprocess.Popen:
        code = KILLED.format(tests=str(TESTS), teacher=str(tmp_path / "teacher"), store=str(tmp_path / store))
        return subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)

    assert start("undisturbed").wait() == 0
    kills = 0
    for seed in range(4):
        process = start("store")
        assert process.stdout.readline() == b"ready\n"
        shards = count_shards(tmp_path / "store")
        # When the first new shard is there, and some time after.
        while process.poll() is None and count_shards(tmp_path / "store") == shards:
            time.sleep(0.001)
        time.sleep(random.Random(seed).uniform(0.0, 0.05))
        process.send_signal(signal.SIGKILL)
        kills += process.wait() == -signal.SIGKILL
    assert kills > 1
    assert start("store").wait() == 0
    assert_same_stores(tmp_path / "store", tmp_path / "undisturbed")


def count_shards(path: Path) -> int:
    return len(list(path.glob("shard-*.arrow")))


SIGNALLED = """
import signal, sys
# What a shell starts in the background, perhaps these tests, has it ignored.
signal.signal(signal.SIGINT, signal.default_int_handler)
from spacy.cli._util import app
import spacy_tinydistill.cli.distill_targets
from spacy_tinydistill.targets import store
store.SHARD_WORDS = 100
sys.argv = ["spacy", "distill-targets", {teacher!r}, {texts!r}, {store!r}]
app()
"""


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_recording_that_is_asked_to_stop(tmp_path, number, code):
    """It leaves with the signal's exit code, gives its lock back, and goes on as if nobody had asked."""
    make_teacher().to_disk(tmp_path / "teacher")
    texts = write_texts(tmp_path / "texts.txt", make_texts(600, seed=1))
    store = tmp_path / "store"
    script = SIGNALLED.format(teacher=str(tmp_path / "teacher"), texts=str(texts), store=str(store))
    process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    while process.poll() is None and count_shards(store) < 3:
        time.sleep(0.001)
    process.send_signal(number)
    output = process.communicate()[0].decode()
    assert process.returncode == code, output
    assert "Traceback" not in output
    begun = read_manifest(store)
    assert not begun.complete
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert read_manifest(store).shards[: len(begun.shards)] == begun.shards
    assert Store(store).manifest.count(*Role) == 600


@pytest.mark.usefixtures("small_shards")
def test_a_store_behind_a_url(teacher, texts, tmp_path, monkeypatch):
    config = make_config(teacher, ["tagger"])
    record_targets(teacher, texts[:60], store=tmp_path / "store", config=config)
    url = "memory://bucket/store"
    real = StoreWriter.add

    def stop(self: StoreWriter, shard: store_module.Shard) -> None:
        if len(self.manifest.shards) == 2:
            raise Killed
        real(self, shard)

    monkeypatch.setattr(StoreWriter, "add", stop)
    with pytest.raises(Killed):
        record_targets(teacher, texts[:60], store=url, config=config)
    monkeypatch.setattr(StoreWriter, "add", real)
    manifest = record_targets(teacher, texts[:60], store=url, config=config)
    assert read_manifest(url) == manifest == read_manifest(tmp_path / "store")
    pairs = zip(Store(url).read(*Role), Store(tmp_path / "store").read(*Role), strict=True)
    for one, other in pairs:
        assert_same(one, other)
    distil_quickly("-", None, tmp_path / "read", config, steps=2, targets=url)
    folder = Folder(url)
    folder.write(f"{PENDING}/part", b"x")
    folder.move(f"{PENDING}/part", HEADER)
    assert (PENDING in folder.names(), folder.read(HEADER)) == (False, b"x")
    assert code_of(url) == "TD604"
    record_targets(teacher, texts[:10], store=url, config=config, force=True)
    assert Store(url).manifest.count(*Role) == 10
    folder.remove()
    folder.remove()
    assert folder.names() == []
    assert code_of(url) == "TD601"
    folder.write("thesis.txt", b"years of work")
    assert record_again(teacher, texts, url) == "TD618"
    assert record_again(teacher, texts, f"{url}/thesis.txt") == "TD506"
    assert record_again(teacher, texts, "no-such-thing://bucket/store") == "TD507"


@pytest.mark.usefixtures("small_shards")
def test_a_run_that_was_interrupted_while_the_teacher_was_asked(teacher, texts, tmp_path, monkeypatch):
    config = make_config(teacher, ["tagger"])
    distil_quickly(teacher, texts[:60], tmp_path / "undisturbed", config, steps=3)
    real = folder_module.write_whole

    def stop(path: Path, data: bytes) -> None:
        if path.name == shard_name(2):
            raise Killed
        real(path, data)

    monkeypatch.setattr(folder_module, "write_whole", stop)
    with pytest.raises(Killed):
        distil_quickly(teacher, texts[:60], tmp_path / "run", config, steps=3)
    monkeypatch.setattr(folder_module, "write_whole", real)
    distil_quickly(teacher, texts[:60], tmp_path / "run", config, steps=3, resume=True)
    assert files_of(tmp_path / "run" / "model-last") == files_of(tmp_path / "undisturbed" / "model-last")


# Refused


@pytest.fixture
def copy(recorded, tmp_path) -> Path:
    path = tmp_path / "copy"
    path.mkdir()
    for file in recorded.iterdir():
        (path / file.name).write_bytes(file.read_bytes())
    return path


def code_of(path: Path) -> str:
    with pytest.raises(DistillationError) as caught:
        Store(path)
    return caught.value.code


@given(seed=st.integers(0, 2**32))
@settings(max_examples=60, deadline=None)
def test_a_flipped_bit_is_found(recorded, tmp_path_factory, seed):
    numbers = random.Random(seed)
    path = tmp_path_factory.mktemp("flipped")
    for file in recorded.iterdir():
        (path / file.name).symlink_to(file)
    victim = numbers.choice([shard_name(0), HEADER])
    data = bytearray((recorded / victim).read_bytes())
    data[numbers.randrange(len(data))] ^= 1 << numbers.randrange(8)
    for name in (shard_name(0), HEADER, MANIFEST):
        (path / name).unlink()
        (path / name).write_bytes(data if name == victim else (recorded / name).read_bytes())
    with pytest.raises(DistillationError) as caught:
        Store(path)
    assert caught.value.code == "TD604"
    assert victim in str(caught.value)


def change_manifest(path: Path, **changes: object) -> None:
    fields = json.loads((path / MANIFEST).read_text())
    (path / MANIFEST).write_text(json.dumps({**fields, **changes}))


def test_no_store(tmp_path):
    assert code_of(tmp_path) == "TD601"
    assert code_of(tmp_path / "missing") == "TD601"


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", "nonsense", '{"format_version": 1}', "[" * 100_000, '{"format_version": 1, "shards": 3}']
)
def test_a_manifest_that_is_none(copy, text):
    (copy / MANIFEST).write_text(text)
    assert code_of(copy) == "TD601"


def test_a_newer_format(copy):
    change_manifest(copy, format_version=FORMAT_VERSION + 1, something_new=True)
    assert code_of(copy) == "TD602"


def test_a_manifest_that_leads_out_of_the_store(copy):
    (shard, *_) = json.loads((copy / MANIFEST).read_text())["shards"]
    (copy.parent / "outside.arrow").write_bytes((copy / shard_name(0)).read_bytes())
    for name in ("../outside.arrow", str(copy.parent / "outside.arrow"), "shard-000001.arrow"):
        change_manifest(copy, shards=[{**shard, "file": name}])
        assert code_of(copy) == "TD601"


def test_a_shard_that_is_a_link(copy):
    (copy / shard_name(0)).rename(copy.parent / "elsewhere")
    (copy / shard_name(0)).symlink_to(copy.parent / "elsewhere")
    assert code_of(copy) == "TD604"


def test_a_shard_that_is_missing(copy):
    (copy / shard_name(0)).unlink()
    assert code_of(copy) == "TD604"


def test_a_shard_that_is_no_shard(copy):
    data = b"not an Arrow file at all"
    (copy / shard_name(0)).write_bytes(data)
    (shard, *_) = json.loads((copy / MANIFEST).read_text())["shards"]
    change_manifest(copy, shards=[{**shard, "sha256": store_module._sha256(data)}])
    with pytest.raises(DistillationError) as caught:
        list(Store(copy).read(*Role))
    assert caught.value.code == "TD601"


def test_rules_that_lead_out_of_their_folder(tmp_path):
    for name in ("../outside", "/outside", "a/../../outside"):
        with pytest.raises(DistillationError):
            write_files({name: b""}, tmp_path / "folder")
    assert not (tmp_path / "outside").exists()


def test_two_recorders(tmp_path):
    with StoreWriter(tmp_path, HEADER_OF_NOBODY):
        with pytest.raises(DistillationError) as caught, StoreWriter(tmp_path, HEADER_OF_NOBODY):
            pass
        assert caught.value.code == "TD606"
    with StoreWriter(tmp_path, HEADER_OF_NOBODY):
        pass


def record_again(teacher, texts, path: Path, **changes) -> str:
    arguments = changes if "config" in changes else {"config": make_config(teacher, PIPES), **changes}
    with pytest.raises(DistillationError) as caught:
        record_targets(teacher, texts, store=path, **arguments)
    return caught.value.code


def test_a_recording_that_goes_on_with_something_else(teacher, texts, copy):
    assert record_again(teacher, [*texts[:-1], "Other words."], copy) == "TD608"
    assert record_again(teacher, texts, copy, config=make_config(teacher, ["tagger"])) == "TD609"
    assert record_again(make_teacher(), texts, copy, config=None) == "TD603"
    config = make_config(teacher, PIPES)
    config["distillation"]["teaching"] = {"tagger": {"@teaching_rules": "spacy-tinydistill.TokenLabels.v1", "top_k": 2}}
    assert record_again(teacher, texts, copy, config=config) == "TD609"
    record_targets(teacher, texts[:5], store=copy, config=config, force=True)
    assert read_manifest(copy).pipes["tagger"]["top_k"] == 2


def test_a_recording_that_broke_off_before_its_manifest_goes_on(teacher, texts, tmp_path):
    for name in (LOCK, HEADER, f"{HEADER}.new", f"{MANIFEST}.new"):
        (tmp_path / name).touch()
    record_targets(teacher, texts[:5], store=tmp_path, config=make_config(teacher, ["tagger"]))
    assert read_manifest(tmp_path).complete


def test_nothing_else_is_overwritten(teacher, texts, tmp_path):
    (tmp_path / "thesis.txt").write_text("years of work")
    assert record_again(teacher, texts, tmp_path) == "TD618"
    assert record_again(teacher, texts, tmp_path, force=True) == "TD618"
    assert record_again(teacher, texts, tmp_path / "thesis.txt") == "TD506"
    assert (tmp_path / "thesis.txt").read_text() == "years of work"


def learn(teacher, store: Path, output: Path, pipes: list[str] = PIPES, **settings) -> str:
    config = settings.pop("config", None) or make_config(teacher, pipes)
    with pytest.raises(DistillationError) as caught:
        distill("-", output=output, config=config, targets=store, overrides=settings)
    return caught.value.code


def test_a_student_that_the_store_does_not_fit(teacher, recorded, tmp_path):
    assert learn(teacher, recorded, tmp_path, ["tagger", "senter"]) == "TD610"
    config = make_config(teacher, ["tagger", "textcat"])
    config["distillation"]["teaching"] = {"tagger": {"@teaching_rules": "spacy-tinydistill.Annotations.v1"}}
    assert learn(teacher, recorded, tmp_path, config=config) == "TD611"
    config = make_config(teacher, ["tagger", "ner"])
    config["distillation"]["student_to_teacher"] = {"tagger": "morphologizer"}
    assert learn(teacher, recorded, tmp_path, config=config) == "TD611"
    config = make_config(teacher, ["textcat_multilabel"])
    config["nlp"]["pipeline"] = ["tok2vec", "textcat"]
    config["components"]["textcat"] = config["components"].pop("textcat_multilabel")
    assert learn(teacher, recorded, tmp_path, config=config) == "TD611"
    config = make_config(teacher, ["tagger"])
    labels = list(teacher.get_pipe("tagger").labels)[1:]
    config["initialize"]["components"]["tagger"] = {"labels": labels}
    assert learn(teacher, recorded, tmp_path, config=config) == "TD203"


def test_gold_annotations_that_were_not_recorded(teacher, recorded, tmp_path):
    docs = make_docs(Vocab(), 5, seed=5)
    for doc in docs:
        doc.cats = {}
    DocBin(docs=docs).to_disk(tmp_path / "gold.spacy")
    assert learn(teacher, recorded, tmp_path / "out", **{"paths.gold": str(tmp_path / "gold.spacy")}) == "TD614"


def test_recorded_targets_with_texts_or_without_a_config(teacher, recorded, texts, tmp_path):
    for arguments in ({"texts": texts, "config": make_config(teacher, PIPES)}, {}):
        with pytest.raises(DistillationError) as caught:
            distill("-", output=tmp_path, targets=recorded, **arguments)
        assert caught.value.code == "TD615"


def test_a_stream_is_not_recorded(teacher, texts, tmp_path):
    dev = tmp_path / "dev.spacy"
    DocBin(docs=make_docs(Vocab(), 5, seed=5)).to_disk(dev)
    overrides = {"distillation.max_epochs": -1, "paths.dev": str(dev)}
    assert record_again(teacher, texts, tmp_path / "store", overrides=overrides) == "TD616"


def test_nothing_to_score_on(teacher, texts, tmp_path):
    dev = tmp_path / "dev.spacy"
    DocBin(docs=make_docs(Vocab(), 5, seed=5)).to_disk(dev)
    config = make_config(teacher, ["tagger"])
    record_targets(teacher, texts[:9], store=tmp_path / "store", config=config, overrides={"paths.dev": str(dev)})
    assert learn(teacher, tmp_path / "store", tmp_path / "out", ["tagger"]) == "TD617"


def test_a_rule_that_is_not_installed(teacher, copy):
    store = Store(copy)
    lesson = replace(store.header.lessons["tagger"], rule="SecretLabels")
    data = replace(store.header, lessons={"tagger": lesson}).to_bytes()
    (copy / HEADER).write_bytes(data)
    change_manifest(copy, header=store_module._sha256(data))
    assert learn(teacher, copy, copy.parent / "out", ["tagger"]) == "TD612"


def test_a_header_that_is_none(copy):
    data = srsly.msgpack_dumps({"profile": 3})
    (copy / HEADER).write_bytes(data)
    change_manifest(copy, header=store_module._sha256(data))
    assert code_of(copy) == "TD601"
