"""Earlier methods on the draws of the linear study.

A Newton step equals retraining, the influence step equals DMM's influence forecast, and projected GD equals
GD.
"""

import numpy as np
import pytest

from pipeline.studies.convex.linear import forecasts
from pipeline.studies.convex.linear.earlier_methods import earlier_methods
from pipeline.studies.convex.linear.linear_objectives import descent
from pipeline.studies.convex.linear.quadratic_descent import Spectrum


@pytest.fixture(scope="module")
def found(problems):
    return earlier_methods(problems, 30, 50)


def test_a_newton_step_is_retraining(found):
    assert found["newton"]["share"] < 1e-20


def test_the_influence_step_ends_where_matching_the_influence_forecast_does(problems, found):
    ends = problems.minimiser(), problems.minimiser(problems.retained)
    plateau = forecasts.plateau(problems, forecasts.influence(problems), *ends)
    assert found["influence"]["share"] == pytest.approx(plateau.mean())


def test_the_projective_residual_goes_as_far_as_the_forgotten_span(problems, found):
    start, goal = problems.minimiser(), problems.minimiser(problems.retained)
    left = []
    for features, forget, way in zip(problems.features, problems.forget, goal - start, strict=True):
        basis = np.linalg.qr(features[forget].T)[0]
        left.append(1 - ((basis.T @ way) ** 2).sum() / (way**2).sum())
    assert found["projective_residual"]["share"] == pytest.approx(np.mean(left))


def test_projected_gd_is_gd_as_the_ball_holds_its_way(problems, found):
    shares = []
    for draw, (features, forget) in enumerate(zip(problems.features, problems.forget, strict=True)):
        hessian = 2 * (features[~forget].T @ features[~forget] + problems.penalty * np.eye(features.shape[1]))
        spectrum = Spectrum.of(
            problems, descent(problems), problems.minimiser(), problems.minimiser(problems.retained)
        )
        shares.append(spectrum.shares(1 / np.linalg.eigvalsh(hessian)[-1], [50])[0, draw])
    assert found["projected_gd"]["share"] == pytest.approx(np.mean(shares))


def test_descent_to_delete_needs_steps_before_its_noise_is_small(problems):
    few, many = (earlier_methods(problems, 30, n_steps)["descent_to_delete"]["share"] for n_steps in (2, 200))
    assert many < 0.01 < 1 < few


def test_noise_goes_into_every_feature_and_not_only_where_points_lie(problems):
    few, many = (
        earlier_methods(problems, n_features, 2)["descent_to_delete"]["share"] for n_features in (12, 1200)
    )
    assert 30 < many / few < 300
