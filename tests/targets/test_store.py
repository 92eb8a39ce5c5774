"""Recorded targets: read back as written, resumed as if undisturbed, refused when not what was asked for."""

import itertools
import json
import random
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy
import pytest
import srsly
from hypothesis import given, settings
from hypothesis import strategies as st
from spacy.tokens import DocBin
from spacy.vocab import Vocab

from helpers.comparison import assert_same_stores, count_shards
from helpers.disks import fill
from helpers.generator import make_docs, make_texts
from helpers.interruption import Killed
from helpers.students import RECORDED_PIPES, distil_quickly, make_config
from helpers.tiny_teacher import make_teacher, write_texts
from spacy_tinydistill import distill, record_targets
from spacy_tinydistill.errors import DistillationError
from spacy_tinydistill.judge import annotate
from spacy_tinydistill.pipes.profile import PipeProfile, TeacherProfile
from spacy_tinydistill.targets import folder as folder_module
from spacy_tinydistill.targets import store as store_module
from spacy_tinydistill.targets.folder import Folder
from spacy_tinydistill.targets.records import LessonPlan, Record, Role
from spacy_tinydistill.targets.store import (
    FORMAT_VERSION,
    HEADER,
    LOCK,
    MANIFEST,
    NO_CHECKSUM,
    PENDING,
    RAW_TEXT,
    Header,
    Store,
    StoreWriter,
    cut_shards,
    read_manifest,
    shard_name,
)

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


# Interrupted


@pytest.mark.usefixtures("small_shards")
@pytest.mark.parametrize("at", [pytest.param(0, marks=pytest.mark.slow), 1, pytest.param(3, marks=pytest.mark.slow)])
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
from spacy_tinydistill import record_targets
from spacy_tinydistill.targets import store
store.SHARD_WORDS = 100
record_targets({teacher!r}, {texts!r}, store={store!r})
"""


@pytest.mark.slow
def test_a_killed_recording_goes_on(tiny_teacher_path, tmp_path, monkeypatch):
    texts = write_texts(tmp_path / "texts.txt", make_texts(300, seed=1))
    store = tmp_path / "store"
    code = KILLED.format(teacher=str(tiny_teacher_path), texts=str(texts), store=str(store))
    kills = 0
    for seed in range(2):
        process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        shards = count_shards(store)
        # When the first new shard is there, and some time after.
        while process.poll() is None and count_shards(store) == shards:
            time.sleep(0.001)
        time.sleep(random.Random(seed).uniform(0.0, 0.05))
        process.send_signal(signal.SIGKILL)
        kills += process.wait() == -signal.SIGKILL
    assert kills
    monkeypatch.setattr(store_module, "SHARD_WORDS", 100)
    record_targets(tiny_teacher_path, texts, store=store)
    record_targets(tiny_teacher_path, texts, store=tmp_path / "undisturbed")
    assert_same_stores(store, tmp_path / "undisturbed")


@pytest.mark.slow
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
    victim = numbers.choice([shard_name(0), HEADER, RAW_TEXT, MANIFEST])
    data = bytearray((recorded / victim).read_bytes())
    data[numbers.randrange(len(data))] ^= 1 << numbers.randrange(8)
    for name in (shard_name(0), HEADER, RAW_TEXT, MANIFEST):
        (path / name).unlink()
        (path / name).write_bytes(data if name == victim else (recorded / name).read_bytes())
    with pytest.raises(DistillationError) as caught:
        Store(path)
    # A manifest may also be no JSON any more, or be of another format.
    assert caught.value.code in (("TD601", "TD602", "TD604") if victim == MANIFEST else ("TD604",))
    assert victim in str(caught.value) or caught.value.code == "TD602"


def change_manifest(path: Path, **changes: object) -> None:
    """Change a manifest as somebody does who knows the format."""
    fields = json.loads((path / MANIFEST).read_text()) | changes | {"checksum": NO_CHECKSUM}
    text = json.dumps(fields)
    (path / MANIFEST).write_text(text.replace(NO_CHECKSUM, store_module._sha256(text.encode())))


def test_a_changed_manifest_is_found(copy):
    text = (copy / MANIFEST).read_text()
    for old, new in (('"words": ', '"words": 1'), ('"complete": true', '"complete":  true')):
        assert old in text
        (copy / MANIFEST).write_text(text.replace(old, new))
        assert code_of(copy) == "TD604"
    # As format 1, in which there was no checksum, it is not taken either.
    (copy / MANIFEST).write_text(text.replace('"format_version": 2', '"format_version": 1'))
    assert code_of(copy) == "TD604"


def test_a_store_of_format_1_is_read_and_gone_on_with(teacher, texts, copy):
    fields = json.loads((copy / MANIFEST).read_text())
    for key in ("checksum", "raw_text"):
        del fields[key]
    (copy / MANIFEST).write_text(json.dumps(fields | {"format_version": 1}))
    assert Store(copy).read_raw_text() is None
    record_targets(teacher, texts, store=copy, config=make_config(teacher, RECORDED_PIPES))
    assert read_manifest(copy).format_version == FORMAT_VERSION
    assert Store(copy).read_raw_text()


def test_what_the_whole_teacher_says_is_recorded(teacher, recorded):
    statement = Store(recorded).read_raw_text()
    held_out = [item.text for item in Store(recorded).read(Role.HELD_OUT)]
    assert statement.texts == held_out[: len(statement.texts)]
    assert statement.annotated == json.loads(json.dumps(list(annotate(teacher, statement.texts))))
    assert statement.writers["tag"] == ["tagger"]


def test_a_statement_of_somebody_elses_making(copy):
    for data in (b"nonsense", b"[]", b'{"texts":["a"],"annotated":[],"writers":{}}'):
        (copy / RAW_TEXT).write_bytes(data)
        change_manifest(copy, raw_text=store_module._sha256(data))
        with pytest.raises(DistillationError) as caught:
            Store(copy).read_raw_text()
        assert caught.value.code == "TD601"


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


def test_two_recorders(tmp_path):
    with StoreWriter(tmp_path, HEADER_OF_NOBODY):
        with pytest.raises(DistillationError) as caught, StoreWriter(tmp_path, HEADER_OF_NOBODY):
            pass
        assert caught.value.code == "TD606"
    with StoreWriter(tmp_path, HEADER_OF_NOBODY):
        pass


def record_again(teacher, texts, path: Path, **changes) -> str:
    arguments = changes if "config" in changes else {"config": make_config(teacher, RECORDED_PIPES), **changes}
    with pytest.raises(DistillationError) as caught:
        record_targets(teacher, texts, store=path, **arguments)
    return caught.value.code


def test_a_recording_that_goes_on_with_something_else(teacher, texts, copy):
    assert record_again(teacher, [*texts[:-1], "Other words."], copy) == "TD608"
    assert record_again(teacher, texts, copy, config=make_config(teacher, ["tagger"])) == "TD609"
    assert record_again(make_teacher(), texts, copy, config=None) == "TD603"
    config = make_config(teacher, RECORDED_PIPES)
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


def test_a_stream_is_not_recorded(teacher, texts, tmp_path):
    dev = tmp_path / "dev.spacy"
    DocBin(docs=make_docs(Vocab(), 5, seed=5)).to_disk(dev)
    overrides = {"distillation.max_epochs": -1, "paths.dev": str(dev)}
    assert record_again(teacher, texts, tmp_path / "store", overrides=overrides) == "TD616"


def test_a_rule_that_is_not_installed(teacher, copy):
    store = Store(copy)
    lesson = replace(store.header.lessons["tagger"], rule="SecretLabels")
    data = replace(store.header, lessons={"tagger": lesson}).to_bytes()
    (copy / HEADER).write_bytes(data)
    change_manifest(copy, header=store_module._sha256(data))
    with pytest.raises(DistillationError) as caught:
        distill("-", output=copy.parent / "out", config=make_config(teacher, ["tagger"]), targets=copy)
    assert caught.value.code == "TD612"


def test_a_header_that_is_none(copy):
    data = srsly.msgpack_dumps({"profile": 3})
    (copy / HEADER).write_bytes(data)
    change_manifest(copy, header=store_module._sha256(data))
    assert code_of(copy) == "TD601"


def test_a_full_disk_while_the_teacher_is_asked(teacher, texts, tmp_path, small_disk, monkeypatch):
    monkeypatch.setattr(store_module, "SHARD_WORDS", 300)
    config = make_config(teacher, ["parser"])
    undisturbed = record_targets(teacher, texts[:60], store=tmp_path / "store", config=config)
    assert len(undisturbed.shards) > 4
    fill(
        small_disk, leave=(tmp_path / "store" / HEADER).stat().st_size + int(2.5 * undisturbed.shards[0].bytes) + 50_000
    )
    store = small_disk / "store"
    with pytest.raises(DistillationError) as caught:
        record_targets(teacher, texts[:60], store=store, config=config)
    assert caught.value.code == "TD509"
    assert "No space left on device" in str(caught.value)
    begun = read_manifest(store)
    assert 0 < len(begun.shards) < len(undisturbed.shards)
    assert begun.shards == undisturbed.shards[: len(begun.shards)]
    (small_disk / "filler").unlink()
    assert record_targets(teacher, texts[:60], store=store, config=config) == undisturbed
    Store(store)
