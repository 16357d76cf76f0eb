"""The attack performs as well as theory predicts, and a guarantee counts as broken only if it is."""

import numpy as np
import pytest
from scipy.stats import norm

from pipeline.core.errors import DataError
from pipeline.studies.convex.guarantees.attack import (
    attack_verdict,
    gaussian_scores,
    lower_rate,
    roc,
    upper_rate,
)
from pipeline.studies.convex.guarantees.certificates import Promise

PROMISE = Promise(epsilon=1.0, delta=1e-3)


def test_two_normals_are_told_apart_as_well_as_theory_says():
    rates = np.array([0.01, 0.1, 0.5])
    found = roc(*gaussian_scores(1.0, 100_000, seed=0), rates)
    assert found == pytest.approx(norm.cdf(norm.ppf(rates) + 1.0), abs=0.01)


def test_the_curve_starts_at_no_false_positive_and_ends_at_all():
    found = roc(np.array([3.0, 1.0, 0.5]), np.array([2.0, 0.0, -1.0]), np.array([0.0, 1 / 3, 2 / 3, 1.0]))
    assert found.tolist() == pytest.approx([1 / 3, 1.0, 1.0, 1.0])


def test_equal_distributions_break_no_promise():
    assert not attack_verdict(*gaussian_scores(0.0, 1000, seed=1), PROMISE).is_broken


@pytest.mark.parametrize("seed", range(5))
def test_a_promise_just_kept_is_not_called_broken(seed):
    # Of two normals s apart, P(score > 1) − e·P′(score > 1) is .0010 at s = .45.
    assert not attack_verdict(*gaussian_scores(0.45, 20_000, seed=seed), PROMISE).is_broken


@pytest.mark.parametrize("sign", [1, -1])
def test_a_promise_is_broken_in_either_direction(sign):
    unlearned, retrained = gaussian_scores(2.0, 5000, seed=2)
    found = attack_verdict(*((unlearned, retrained) if sign == 1 else (-retrained, -unlearned)), PROMISE)
    wanted = norm.sf(1 / 2 - 1) - np.e * norm.sf(1 / 2 + 1) - PROMISE.delta
    assert found.excess == pytest.approx(wanted, abs=0.03)
    assert 0 < found.excess_low < found.excess
    assert found.is_broken


def test_rates_are_bounded_as_often_as_they_say():
    hits = np.random.default_rng(0).binomial(50, 0.1, 2000)
    assert np.mean([lower_rate(int(n), 50, 0.05) <= 0.1 for n in hits]) >= 0.95
    assert np.mean([upper_rate(int(n), 50, 0.05) >= 0.1 for n in hits]) >= 0.95
    assert (lower_rate(0, 50, 0.05), upper_rate(50, 50, 0.05)) == (0.0, 1.0)


@pytest.mark.parametrize("scores", [np.zeros(0), np.array([0.0, np.nan])])
def test_scores_that_are_no_numbers_are_refused(scores):
    with pytest.raises(DataError, match="scores"):
        attack_verdict(scores, np.zeros(3), PROMISE)
