"""Margins follow their definition, stay stable, and never turn a broken logit into a plausible number."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy.special import logsumexp

from pipeline.core.errors import DataError, ShapeError
from pipeline.evaluation.margins import margins

LOGITS = arrays.arrays(
    np.float64,
    st.tuples(st.integers(1, 3), st.integers(0, 4), st.integers(2, 5)),
    elements=st.floats(-1e4, 1e4),
)


@given(logits=LOGITS, seed=st.integers(0, 9))
def test_margins_are_the_correct_logit_minus_the_logsumexp_of_the_others(logits, seed):
    n_models, n_points, n_classes = logits.shape
    labels = np.random.default_rng(seed).integers(0, n_classes, n_points)
    expected = [
        [logits[m, x, y] - logsumexp(np.delete(logits[m, x], y)) for x, y in enumerate(labels)]
        for m in range(n_models)
    ]
    assert margins(logits, labels) == pytest.approx(
        np.reshape(expected, (n_models, n_points)), rel=1e-12, abs=1e-11
    )


def test_leading_axes_are_kept():
    logits = np.random.default_rng(0).normal(size=(2, 3, 4, 5))
    labels = np.array([0, 4, 2, 1])
    assert margins(logits, labels).shape == (2, 3, 4)
    assert np.array_equal(margins(logits, labels)[1, 2], margins(logits[1, 2], labels))


@pytest.mark.parametrize(
    ("dtype", "expected"), [(np.float16, np.float32), (np.float32, np.float32), (np.float64, np.float64)]
)
def test_precision_is_single_at_least(dtype, expected):
    assert margins(np.zeros((2, 3), dtype), np.zeros(2, np.int64)).dtype == expected


def test_half_precision_is_raised_before_anything_overflows():
    logits = np.array([[60000, -60000]], np.float16)
    assert margins(logits, np.array([0])) == pytest.approx([120000], rel=1e-3)


def test_confident_models_keep_their_margin():
    """Through a probability, 1 - p would be 0 and the margin infinite."""
    assert margins(np.array([[200.0, 0.0, 0.0]]), np.array([0])) == pytest.approx([200 - np.log(2)])


@pytest.mark.parametrize("broken", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("place", [0, 1])
def test_a_broken_logit_makes_the_margin_nan_and_spares_the_others(broken, place):
    logits = np.zeros((2, 3))
    logits[1, place] = broken
    assert margins(logits, np.array([0, 0])) == pytest.approx([-np.log(2), np.nan], nan_ok=True)


def test_finite_logits_too_far_apart_for_their_precision_are_not_finite():
    assert np.isinf(margins(np.array([[3e38, -3e38]], np.float32), np.array([0])))


@pytest.mark.parametrize(
    ("shape", "labels"), [((4, 2), [0, 1, 0]), ((3,), [0, 1, 0]), ((3, 2), [[0], [1], [0]])]
)
def test_shapes_that_do_not_fit_are_refused(shape, labels):
    with pytest.raises(ShapeError, match="one label for each point"):
        margins(np.zeros(shape), np.array(labels))


def test_one_class_has_no_margin():
    with pytest.raises(ShapeError, match="at least 2"):
        margins(np.zeros((3, 1)), np.zeros(3, np.int64))


@pytest.mark.parametrize("label", [-1, 3])
def test_labels_that_are_no_class_are_refused(label):
    with pytest.raises(DataError, match="need labels 0 to 2"):
        margins(np.zeros((2, 3)), np.array([0, label]))
