"""Certificates: the noise is just enough, and the bounds lie above the measured values."""

from math import exp, log, sqrt

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm
from small_problems import logistic, request

from pipeline.core.errors import ConfigError
from pipeline.studies.convex.guarantees import certificates as certified
from pipeline.studies.convex.guarantees.certificates import Promise
from pipeline.studies.convex.problems.constants import constants_of
from pipeline.studies.convex.removals import REMOVALS

promises = st.builds(Promise, epsilon=st.floats(0.05, 8), delta=st.floats(1e-8, 0.3))
forgets = st.lists(st.integers(0, 39), min_size=1, max_size=12, unique=True).map(np.array)


def gaussian_delta(distance: float, epsilon: float) -> float:
    """Return the least δ of two normals so many standard deviations apart. Source: Balle and Wang 2018."""
    return float(
        norm.cdf(distance / 2 - epsilon / distance)
        - exp(epsilon) * norm.cdf(-distance / 2 - epsilon / distance)
    )


@given(promise=promises)
def test_noise_of_descents_is_enough_whatever_is_promised(promise):
    noise = certified.descent_noise(0.5, 3, 1.0, promise)
    apart = 2 * certified.descent_distance(0.5, 3, 1.0)
    assert gaussian_delta(apart / noise, promise.epsilon) <= promise.delta


@given(promise=st.builds(Promise, epsilon=st.floats(0.05, 1.0), delta=st.floats(1e-8, 0.3)))
def test_noise_of_objectives_is_enough_up_to_an_epsilon_of_one(promise):
    noise = certified.objective_noise(1.0, promise)
    assert gaussian_delta(1 / noise, promise.epsilon) <= promise.delta
    assert certified.residual_budget(noise, promise) == pytest.approx(1.0)


@pytest.mark.parametrize("n_classes", [2, 3])
@given(forget=forgets)
@settings(max_examples=20, deadline=None)
def test_residuals_stay_below_their_bounds_and_these_below_the_worst_case(n_classes, forget):
    asked = request(logistic(n_classes), forget=forget)
    unlearned = REMOVALS.build({"name": "newton"}).remove(asked).last
    residual = certified.newton_residual(asked.retained, unlearned)
    bound = certified.residual_bound(asked.retained, unlearned - asked.start)
    assert (
        residual <= bound <= certified.worst_residual(asked.problem, constants_of(asked.problem), len(forget))
    )


def test_the_residual_counts_noise_in_the_objective():
    asked = request(logistic(2))
    noise = -asked.retained.gradient(asked.start)
    assert certified.newton_residual(asked.retained, asked.start, noise) == pytest.approx(0.0)


@pytest.mark.parametrize("n_classes", [2, 3])
@given(forget=forgets)
@settings(max_examples=20, deadline=None)
def test_the_minimiser_moves_no_further_than_its_bound(n_classes, forget):
    asked = request(logistic(n_classes), forget=forget)
    assert np.linalg.norm(asked.oracle - asked.start) <= certified.minimiser_shift(
        constants_of(asked.problem), len(forget)
    )


def test_the_distance_of_descents_is_where_requests_no_longer_add_to_it():
    left, shift = 0.5**3, 2.0
    settled = certified.descent_distance(0.5, 3, shift)
    assert left * (settled + shift) == pytest.approx(settled)


@pytest.mark.parametrize(("start", "n_steps"), [(1e-6, 1), (8.0, 5)])
def test_training_ends_where_unlearning_would(start, n_steps):
    # 1/(2³ − 1) of the shift is left: 2/7, which 8 · ½^5 = ¼ is within.
    assert certified.training_steps(0.5, 3, 2.0, start) == n_steps


def test_the_promise_bounds_the_rate_of_hits():
    found = Promise(epsilon=log(2), delta=0.1).highest_tpr(np.array([0.0, 0.25, 0.9]))
    assert found == pytest.approx([0.1, 0.6, 1.0])


@pytest.mark.parametrize(("epsilon", "delta"), [(0.0, 0.1), (1.0, 0.0), (1.0, 1.0)])
def test_a_promise_of_nothing_is_refused(epsilon, delta):
    with pytest.raises(ConfigError, match="expected epsilon"):
        Promise(epsilon=epsilon, delta=delta)


def test_noise_follows_the_formula_of_the_paper():
    assert certified.objective_noise(0.3, Promise(epsilon=0.5, delta=1e-4)) == pytest.approx(
        sqrt(2 * log(1.5e4)) * 0.3 / 0.5
    )


def test_the_formula_of_the_paper_is_not_enough_beyond_an_epsilon_of_one_and_refused():
    assert gaussian_delta(8 / sqrt(2 * log(1.5 / 0.3)), epsilon=8.0) > 0.3
    with pytest.raises(ConfigError, match="only up to 1"):
        certified.objective_noise(1.0, Promise(epsilon=8.0, delta=0.3))
