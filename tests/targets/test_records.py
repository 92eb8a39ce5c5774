"""Soft labels survive their packing."""

import numpy
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spacy_tinydistill.targets.records import pack_soft_labels, unpack_soft_labels

# Of a half-precision number, relative.
HALF = 2.0**-10

seeds = st.integers(0, 2**32 - 1)


def random_probabilities(seed: int, rows: int, labels: int, sharpness: float = 3.0) -> numpy.ndarray:
    logits = numpy.random.default_rng(seed).normal(scale=sharpness, size=(rows, labels))
    exponentials = numpy.exp(logits - logits.max(axis=1, keepdims=True))
    return (exponentials / exponentials.sum(axis=1, keepdims=True)).astype("float32")


@given(seed=seeds, rows=st.integers(1, 8), labels=st.integers(1, 40), top_k=st.integers(0, 50))
@settings(max_examples=100, deadline=None)
def test_rows_sum_to_one_and_the_best_label_stays(seed, rows, labels, top_k):
    probabilities = random_probabilities(seed, rows, labels)
    packed = pack_soft_labels(probabilities, top_k)
    unpacked = unpack_soft_labels(packed, numpy.arange(labels), labels)
    assert packed["probabilities"].dtype == numpy.float16
    assert unpacked.shape == (rows, labels)
    assert (unpacked >= 0).all()
    numpy.testing.assert_allclose(unpacked.sum(axis=1), 1.0, atol=1e-5)
    # Two labels that half precision cannot tell apart may change places.
    best = numpy.take_along_axis(probabilities, unpacked.argmax(axis=1)[:, None], axis=1)[:, 0]
    assert (best >= probabilities.max(axis=1) * (1 - 2 * HALF)).all()


@given(seed=seeds, rows=st.integers(1, 8), labels=st.integers(1, 40), extra=st.integers(-1, 5))
@settings(max_examples=50, deadline=None)
def test_exact_where_all_labels_are_kept(seed, rows, labels, extra):
    probabilities = random_probabilities(seed, rows, labels)
    packed = pack_soft_labels(probabilities, 0 if extra < 0 else labels + extra)
    assert "labels" not in packed
    unpacked = unpack_soft_labels(packed, numpy.arange(labels), labels)
    numpy.testing.assert_allclose(unpacked, probabilities, rtol=2 * labels * HALF, atol=1e-6)


@given(seed=seeds, rows=st.integers(1, 8), labels=st.integers(2, 40), data=st.data())
@settings(max_examples=100, deadline=None)
def test_what_is_left_out_is_spread_evenly(seed, rows, labels, data):
    top_k = data.draw(st.integers(1, labels - 1))
    probabilities = random_probabilities(seed, rows, labels)
    packed = pack_soft_labels(probabilities, top_k)
    assert packed["labels"].shape == packed["probabilities"].shape == (rows, top_k)
    unpacked = unpack_soft_labels(packed, numpy.arange(labels), labels)
    for row, kept, original in zip(unpacked, packed["labels"], probabilities, strict=True):
        left_out = numpy.setdiff1d(numpy.arange(labels), kept)
        # The most probable ones are kept, nearly as they were; half precision's error is what the rest may gain.
        assert original[kept].min() >= original[left_out].max()
        numpy.testing.assert_allclose(row[kept], original[kept], rtol=4 * HALF, atol=1e-6)
        assert numpy.ptp(row[left_out]) <= 1e-7
        assert row[left_out].sum() == pytest.approx(original[left_out].sum(), abs=top_k * HALF)


@given(seed=seeds, rows=st.integers(1, 6), labels=st.integers(1, 20), more=st.integers(0, 5), data=st.data())
@settings(max_examples=100, deadline=None)
def test_columns_in_another_order_and_more_of_them(seed, rows, labels, more, data):
    columns = numpy.array(data.draw(st.permutations(range(labels + more)))[:labels])
    packed = pack_soft_labels(random_probabilities(seed, rows, labels), data.draw(st.integers(0, labels)))
    in_order = unpack_soft_labels(packed, numpy.arange(labels), labels)
    mapped = unpack_soft_labels(packed, columns, labels + more)
    numpy.testing.assert_allclose(mapped[:, columns], in_order, atol=1e-6)
    # Labels that the teacher does not have get nothing.
    unknown = numpy.setdiff1d(numpy.arange(labels + more), columns)
    assert not mapped[:, unknown].any()
