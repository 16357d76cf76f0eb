"""Draws of ridge problems.

Coordinates keep every inner product, gradients vanish at minimisers, and draws do not depend on their number.
"""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.studies.convex.linear.linear_objectives import descent, descent_and_ascent, matching
from pipeline.studies.convex.linear.ridge_ensemble import draw_ridge, in_span


def draw(**changes):
    wanted = {
        "n_draws": 3,
        "n_points": 8,
        "spectrum": np.ones(20),
        "n_forget": 2,
        "noise_variance": 1.0,
        "penalty": 2.0,
        "purpose": "test",
    }
    return draw_ridge(**wanted | changes)


@settings(max_examples=20, deadline=None)
@given(n_points=st.integers(2, 9), n_features=st.integers(1, 15), seed=st.integers(0, 1000))
def test_coordinates_in_the_span_keep_inner_products(n_points, n_features, seed):
    features = np.random.default_rng(seed).normal(size=(n_points, n_features))
    inside = in_span(features)
    assert inside.shape[1] == min(n_points, n_features)
    assert inside @ inside.T == pytest.approx(features @ features.T)


def test_the_minimiser_is_that_of_all_features():
    problems = draw()
    rng_features = problems.features[0]
    dual = np.linalg.solve(rng_features @ rng_features.T + 2.0 * np.eye(8), problems.targets[0])
    assert problems.outputs(problems.minimiser())[0] == pytest.approx(rng_features @ rng_features.T @ dual)


@pytest.mark.parametrize("objective", [descent, lambda problems: descent_and_ascent(problems, 0.3)])
def test_a_gradient_is_that_of_finite_differences(objective):
    problems = draw(n_draws=1)
    wanted, theta = objective(problems), np.linspace(-1, 1, 8)

    def loss(theta):
        errors = problems.features[0] @ theta - wanted.targets[0]
        return float((wanted.weights[0] * errors**2).sum() + wanted.penalty * theta @ theta)

    hessian, moments = wanted.quadratic(problems)
    numeric = [(loss(theta + step) - loss(theta - step)) / 2e-6 for step in 1e-6 * np.eye(8)]
    assert hessian[0] @ theta - moments[0] == pytest.approx(numeric, rel=1e-5, abs=1e-5)


def test_what_matches_the_oracle_is_at_rest_where_retraining_ends():
    problems = draw()
    goal = problems.minimiser(problems.retained)
    hessian, moments = matching(problems, problems.outputs(goal)).quadratic(problems)
    assert np.einsum("dij,dj->di", hessian, goal) == pytest.approx(moments)


def test_a_draw_depends_neither_on_how_many_there_are_nor_on_the_penalty():
    few, many = draw(n_draws=2), draw(n_draws=5, penalty=100.0)
    assert np.array_equal(few.features, many.features[:2])
    assert np.array_equal(few.targets, many.targets[:2])
    assert np.array_equal(few.forget, many.forget[:2])


def test_as_many_points_are_forgotten_as_were_asked_for():
    assert (draw(n_forget=3).forget.sum(axis=1) == 3).all()
