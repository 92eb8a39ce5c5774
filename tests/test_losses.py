"""Gradients against finite differences: of the losses, through each kind of output layer, and of whole lessons."""

import math

import numpy
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.gradients import LOSSES, softmax
from spacy_tinydistill.errors import DistillationError
from spacy_tinydistill.losses import (
    attention_error,
    centre_attention,
    map_layers,
    mean_squared_error,
    unexplained_variance,
)

seeds = st.integers(0, 2**32 - 1)
temperatures = st.floats(0.5, 8.0)


@pytest.mark.parametrize("kind", LOSSES)
@given(seed=seeds, rows=st.integers(1, 4), labels=st.integers(1, 6), temperature=temperatures)
@settings(max_examples=40, deadline=None)
def test_gradient_of_the_logits(kind, seed, rows, labels, temperature):
    loss_function, activation = LOSSES[kind]
    numbers = numpy.random.default_rng(seed)
    logits = numbers.uniform(-3, 3, size=(rows, labels))
    teacher = activation(numbers.uniform(-3, 3, size=(rows, labels)))
    gradient, _ = loss_function(activation(logits), teacher, temperature=temperature)
    step = 1e-5
    for index in numpy.ndindex(rows, labels):
        losses = []
        for sign in (1, -1):
            moved = logits.copy()
            moved[index] += sign * step
            losses.append(loss_function(activation(moved), teacher, temperature=temperature)[1])
        assert gradient[index] == pytest.approx((losses[0] - losses[1]) / (2 * step), rel=1e-4, abs=1e-6)


@pytest.mark.parametrize("kind", LOSSES)
@given(seed=seeds, rows=st.integers(1, 4), labels=st.integers(2, 6), temperature=temperatures)
@settings(max_examples=40, deadline=None)
def test_zero_only_at_equality(kind, seed, rows, labels, temperature):
    loss_function, activation = LOSSES[kind]
    numbers = numpy.random.default_rng(seed)
    logits = numbers.uniform(-3, 3, size=(rows, labels))
    teacher = activation(logits)
    gradient, loss = loss_function(teacher, teacher, temperature=temperature)
    assert loss == pytest.approx(0.0, abs=1e-9)
    numpy.testing.assert_allclose(gradient, 0.0, atol=1e-9)
    logits[:, 0] += 1.0
    assert loss_function(activation(logits), teacher, temperature=temperature)[1] > 1e-6


@pytest.mark.parametrize("kind", LOSSES)
@pytest.mark.parametrize("temperature", [0.5, 1.0, 4.0])
def test_finite_at_the_ends(kind, temperature):
    # What float32 and a confident pipe make of it: exactly 0 and exactly 1, on either side.
    certain = numpy.array([[1.0, 0.0], [0.0, 1.0]], dtype="float32")
    gradient, loss = LOSSES[kind][0](certain, certain[::-1].copy(), temperature=temperature)
    assert numpy.isfinite(gradient).all()
    assert numpy.isfinite(loss)
    assert loss > 0
    assert gradient[0, 0] > 0 > gradient[1, 0]


def plain_mean_squared_error(student, teacher):
    loss = 0.0
    for ours, theirs in zip(student, teacher, strict=True):
        squares = [(float(a) - float(b)) ** 2 for a, b in zip(ours, theirs, strict=True)]
        loss += sum(squares) / len(squares)
    return loss


def plain_attention_error(student, teacher, lengths):
    """Eq. 7 for each piece that attends, over those that the teacher's attends to: the mean of its heads."""
    loss = 0.0
    for ours, theirs, length in zip(student, teacher, lengths, strict=True):
        for a, b in zip(ours, theirs, strict=True):
            for i in range(length):
                squares = [(float(a[i, j]) - float(b[i, j])) ** 2 for j in range(length) if b[i, j] > -math.inf]
                loss += sum(squares) / len(squares) / len(ours)
    return loss


def check_numerically(gradient, values, loss_of):
    step = 1e-5
    for index in numpy.ndindex(*values.shape):
        losses = []
        for sign in (1, -1):
            moved = values.copy()
            moved[index] += sign * step
            losses.append(loss_of(moved))
        assert gradient[index] == pytest.approx((losses[0] - losses[1]) / (2 * step), rel=1e-4, abs=1e-6)


@given(seed=seeds, rows=st.integers(1, 4), width=st.integers(1, 6))
@settings(max_examples=40, deadline=None)
def test_vectors(seed, rows, width):
    numbers = numpy.random.default_rng(seed)
    student, teacher = numbers.normal(size=(2, rows, width))
    gradient, loss = mean_squared_error(student, teacher)
    assert loss == pytest.approx(plain_mean_squared_error(student, teacher))
    check_numerically(gradient, student, lambda moved: mean_squared_error(moved, teacher)[1])
    narrow = mean_squared_error(student.astype("float32"), teacher.astype("float32"))
    assert narrow[0].dtype == numpy.float32
    assert narrow[1] == pytest.approx(loss, rel=1e-4)


@given(seed=seeds, rows=st.integers(3, 6), width=st.integers(2, 6), scale=st.floats(0.01, 100))
@settings(max_examples=40, deadline=None)
def test_variance(seed, rows, width, scale):
    numbers = numpy.random.default_rng(seed)
    student, explained = numbers.normal(size=(2, rows, width))
    d_student, d_explained, loss = unexplained_variance(student, explained)
    mean = student.mean(axis=0)
    variance = sum(plain_mean_squared_error([row], [mean]) for row in student) / rows
    assert loss == pytest.approx(plain_mean_squared_error(student, explained) / variance)
    check_numerically(d_student, student, lambda moved: unexplained_variance(moved, explained)[2])
    check_numerically(d_explained, explained, lambda moved: unexplained_variance(student, moved)[2])
    # Smaller on both sides, or moved: nothing is won.
    assert unexplained_variance(student * scale + 1, explained * scale + 1)[2] == pytest.approx(loss)
    assert abs((d_student * student + d_explained * explained).sum()) < 1e-6 * max(loss, 1)
    narrow = unexplained_variance(student.astype("float32"), explained.astype("float32"))
    assert narrow[0].dtype == narrow[1].dtype == numpy.float32
    assert narrow[2] == pytest.approx(loss, rel=1e-2)


@pytest.mark.parametrize("rows", [1, 3])
def test_no_variance(rows):
    student = numpy.full((rows, 4), 0.1, dtype="float32")
    d_student, d_explained, loss = unexplained_variance(student, student + 1)
    assert loss == 0.0
    assert not d_student.any()
    assert not d_explained.any()


@given(
    seed=seeds,
    heads=st.integers(1, 3),
    lengths=st.lists(st.integers(0, 4), min_size=1, max_size=3),
    is_causal=st.booleans(),
)
@settings(max_examples=60, deadline=None)
def test_attention(seed, heads, lengths, is_causal):
    numbers = numpy.random.default_rng(seed)
    # One column of padding more than there has to be.
    n_pieces = max(lengths) + 1
    student, teacher = numbers.normal(size=(2, len(lengths), heads, n_pieces, n_pieces))
    if is_causal:
        teacher[..., ~numpy.tri(n_pieces, dtype=bool)] = -numpy.inf
    for one, length in enumerate(lengths):
        teacher[one, :, length:] = teacher[one, :, :, length:] = -numpy.inf
    (gradient,), loss = attention_error([student], [teacher])
    assert loss == pytest.approx(plain_attention_error(student, teacher, lengths))
    check_numerically(gradient, student, lambda moved: attention_error([moved], [teacher])[1])
    # What is left out does not matter; and two groups are as one, in half the precision.
    for one, length in enumerate(lengths):
        student[one, :, length:] = student[one, :, :, length:] = numpy.nan
    groups = [[array[:1].astype("float32"), array[1:].astype("float32")] for array in (student, teacher)]
    found, again = attention_error(*groups)
    assert {group.dtype for group in found} == {numpy.dtype("float32")}
    numpy.testing.assert_allclose(numpy.concatenate(found), gradient, rtol=1e-4, atol=1e-6)
    assert again == pytest.approx(loss, rel=1e-4)


@given(seed=seeds, pieces=st.integers(1, 5), scale=st.floats(0.1, 20))
@settings(max_examples=40, deadline=None)
def test_centred_attention(seed, pieces, scale):
    """Each row's mean over what is attended to is 0, and its softmax is what it was."""
    numbers = numpy.random.default_rng(seed)
    scores = scale * numbers.normal(size=(2, pieces, pieces))
    is_pair = (numbers.random(size=scores.shape) < 0.5) | numpy.eye(pieces, dtype=bool)
    scores[~is_pair] = -numpy.inf
    centred = centre_attention(scores, is_pair)
    numpy.testing.assert_allclose(centred.mean(axis=2, where=is_pair), 0, atol=1e-9)
    before, after = (softmax(rows.reshape(-1, pieces)) for rows in (scores, centred))
    numpy.testing.assert_allclose(after, before, atol=1e-9)


@pytest.mark.parametrize(
    ("mapping", "n_student", "n_teacher", "expected"),
    [
        # The paper's own: 4 layers from BERT-base's 12.
        ("uniform", 4, 12, [3, 6, 9, 12]),
        ("last", 4, 12, [9, 10, 11, 12]),
        ("uniform", 4, 6, [1, 3, 4, 6]),
        ("uniform", 2, 2, [1, 2]),
        ("last", 3, 3, [1, 2, 3]),
        ([12, 1, 1], 3, 12, [12, 1, 1]),
    ],
)
def test_layer_maps(mapping, n_student, n_teacher, expected):
    assert map_layers(mapping, n_student, n_teacher) == expected


@pytest.mark.parametrize(
    ("mapping", "n_student", "n_teacher"),
    [("first", 2, 4), ("uniform", 5, 4), ("last", 5, 4), ([1], 2, 4), ([0, 1], 2, 4), ([1, 5], 2, 4)],
)
def test_layer_maps_that_do_not_fit(mapping, n_student, n_teacher):
    with pytest.raises(DistillationError) as caught:
        map_layers(mapping, n_student, n_teacher)
    assert caught.value.code == "TD213"
