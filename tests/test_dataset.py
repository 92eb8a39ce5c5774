"""What a student learns from and is scored on: texts, those held out, and gold with its share."""

import random
from collections import Counter
from types import SimpleNamespace
from typing import Any

import pandas
import pyarrow as pa
import pytest
import spacy
from hypothesis import given
from hypothesis import strategies as st
from spacy.tokens import DocBin
from spacy.vocab import Vocab

from helpers.generator import make_docs
from helpers.students import distil_quickly, make_config
from helpers.tiny_teacher import write_texts
from spacy_tinydistill import dataset, record_targets
from spacy_tinydistill.errors import DistillationError
from spacy_tinydistill.prepare import RecordedRun, Run
from spacy_tinydistill.targets.records import Role
from spacy_tinydistill.targets.store import (
    Store,
)


def test_a_streamed_corpus_without_dev_data(teacher, texts, tmp_path):
    with pytest.raises(DistillationError) as caught:
        distil_quickly(teacher, texts[:20], tmp_path, make_config(teacher, ["textcat"]), steps=1, max_epochs=-1)
    assert caught.value.code == "TD008"


def test_a_text_is_learned_or_held_out_however_often_it_occurs(teacher, texts, tmp_path):
    """Also where there is gold of it: the first text is held out."""
    DocBin(docs=[teacher(text) for text in texts[:2]]).to_disk(tmp_path / "gold.spacy")
    config = make_config(teacher, ["tagger"])
    config["paths"]["gold"] = str(tmp_path / "gold.spacy")
    distil_quickly(teacher, texts[:25] * 3, tmp_path / "student", config, steps=1)
    roles: dict[tuple[str, ...], set[Role]] = {}
    for item in Store(tmp_path / "student" / "targets").read(*Role):
        roles.setdefault(tuple(item.words), set()).add(item.role)
    counts = Counter(frozenset(found) for found in roles.values())
    assert counts == {
        frozenset({Role.HELD_OUT}): 2,
        frozenset({Role.TEXT}): 22,
        frozenset({Role.TEXT, Role.GOLD}): 1,
    }


def test_one_text_again_and_again(teacher, texts, tmp_path):
    with pytest.raises(DistillationError) as caught:
        distil_quickly(teacher, texts[:1] * 10, tmp_path, make_config(teacher, ["tagger"]), steps=1)
    assert caught.value.code == "TD109"


class Named:
    """What a `datasets.Dataset` has."""

    column_names = ("text",)

    def __init__(self, texts):
        self.texts = texts

    def __iter__(self):
        return ({"text": text} for text in self.texts)

    def __getitem__(self, name):
        return {"text": self.texts}[name]


@pytest.mark.parametrize(
    "make",
    [
        list,
        pandas.Series,
        lambda texts: pandas.DataFrame({"id": range(len(texts)), "text": texts}),
        lambda texts: pa.table({"id": range(len(texts)), "text": texts}),
        lambda texts: pa.chunked_array([texts]),
        Named,
    ],
)
def test_texts_of_a_table_in_memory(make, texts):
    found = dataset.make_text_reader(make(texts[:5]))(spacy.blank("en"))
    assert [example.text for example in found] == texts[:5]


def test_a_table_without_texts():
    with pytest.raises(DistillationError, match=r"TD134.*'text'.*review, stars.*table\['review'\]"):
        dataset.make_text_reader(pandas.DataFrame({"review": ["good"], "stars": [5]}))


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


@given(lengths=st.lists(st.integers(1, 9), max_size=60), size=st.integers(1, 20))
def test_a_sample_is_of_all_texts_and_all_are_counted(lengths: list[int], size: int) -> None:
    examples: Any = [SimpleNamespace(number=i, predicted="x" * length) for i, length in enumerate(lengths)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dataset, "SAMPLE", size)
        texts = dataset.draw_texts(examples)
    numbers = [example.number for example in texts.sample]
    assert (texts.count, texts.words) == (len(lengths), sum(lengths))
    assert len(set(numbers)) == len(numbers) == min(size, len(lengths))
    assert numbers == list(range(len(lengths))) or len(lengths) > size


def test_no_part_of_the_texts_is_left_out_of_a_sample() -> None:
    examples: Any = [SimpleNamespace(number=i, predicted="x") for i in range(10 * dataset.SAMPLE)]
    drawn = Counter(example.number // dataset.SAMPLE for example in dataset.draw_texts(examples).sample)
    # A hundred of each tenth; by chance, with a standard deviation of 9.5.
    assert all(50 < drawn[tenth] < 150 for tenth in range(10))
