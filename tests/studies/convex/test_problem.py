"""Problems: derivatives agree with values, and minimisers with those of other solvers."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.optimize import check_grad
from sklearn.linear_model import LogisticRegression
from sklearn.linear_model import Ridge as TheirRidge
from small_problems import FORGET, PROBLEMS, features, logistic, ridge

from pipeline.core.errors import DataError, ShapeError, TrainingError
from pipeline.studies.convex.problems.losses import LogisticProblem, RidgeProblem

every_problem = pytest.mark.parametrize("problem", PROBLEMS.values(), ids=PROBLEMS.keys())


def somewhere(problem, seed=5):
    return np.random.default_rng(seed).standard_normal(problem.shape)


@every_problem
def test_the_gradient_is_that_of_the_value(problem):
    theta = somewhere(problem)
    error = check_grad(
        lambda x: problem.value(x.reshape(theta.shape)),
        lambda x: problem.gradient(x.reshape(theta.shape)).ravel(),
        theta.ravel(),
    )
    assert error < 1e-4


@every_problem
def test_the_hessian_is_that_of_the_gradient(problem):
    theta, direction, size = somewhere(problem), somewhere(problem, 6), 1e-6
    change = (problem.gradient(theta + size * direction) - problem.gradient(theta - size * direction)) / (
        2 * size
    )
    assert problem.hessian(theta) @ direction.ravel() == pytest.approx(change.ravel(), rel=1e-6)


@every_problem
def test_nothing_is_left_of_the_gradient_at_the_minimum(problem):
    assert np.linalg.norm(problem.gradient(problem.minimise())) < 1e-8
    assert problem.minimise(start=somewhere(problem)) == pytest.approx(problem.minimise(), abs=1e-9)


@every_problem
def test_what_is_left_out_adds_up_to_the_whole(problem):
    theta, rest = somewhere(problem), np.setdiff1d(np.arange(problem.n_points), FORGET)
    parts = [problem.restricted(ids).loss_gradient(theta) for ids in (FORGET, rest)]
    assert sum(parts) == pytest.approx(problem.loss_gradient(theta))


@pytest.mark.parametrize("n_classes", [2, 3])
def test_logistic_has_the_minimiser_of_scikit_learn(n_classes):
    problem = logistic(n_classes, penalty=0.5)
    theirs = LogisticRegression(
        C=1 / (2 * problem.penalty), fit_intercept=False, tol=1e-12, max_iter=10_000
    ).fit(problem.features, problem.labels)
    assert np.allclose(problem.minimise().T, theirs.coef_, rtol=0, atol=1e-5)


@pytest.mark.parametrize("n_features", [6, 60])
def test_ridge_has_the_minimiser_of_scikit_learn(n_features):
    problem = ridge(n_features=n_features)
    theirs = TheirRidge(alpha=problem.penalty, fit_intercept=False).fit(problem.features, problem.targets)
    assert np.allclose(problem.minimise().T, theirs.coef_, rtol=0, atol=1e-10)


def test_margins_of_two_classes_are_signed_log_odds():
    problem = logistic(2)
    outputs = problem.outputs(problem.minimise())
    assert problem.margins(outputs) == pytest.approx(np.where(problem.labels == 1, 1, -1) * outputs[:, 0])


def test_a_minimum_that_newton_cannot_reach_is_an_error_that_says_what_to_do(monkeypatch):
    monkeypatch.setattr("pipeline.studies.convex.problems.problem.MOST_ITERATIONS", 1)
    with pytest.raises(TrainingError, match="raise the penalty"):
        logistic(2).minimise()


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"features": features()[:, :0]}, ShapeError),
        ({"features": features().astype(np.float32)}, DataError),
        ({"features": features() * np.nan}, DataError),
        ({"penalty": 0.0}, DataError),
        ({"labels": np.zeros(3, int)}, ShapeError),
        ({"labels": np.full(40, 7)}, DataError),
    ],
)
def test_what_cannot_be_learnt_from_is_refused(changes, error):
    with pytest.raises(error):
        replace(logistic(2), **changes)


@pytest.mark.parametrize(
    ("targets", "error"), [(np.zeros((3, 1)), ShapeError), (np.full((40, 1), np.inf), DataError)]
)
def test_targets_that_do_not_fit_are_refused(targets, error):
    with pytest.raises(error):
        RidgeProblem(features=features(), penalty=1.0, targets=targets)


def test_a_theta_of_another_problem_is_refused():
    with pytest.raises(ShapeError, match="the weights of this problem have shape"):
        logistic(3).outputs(np.zeros((6, 2)))


def test_missing_classes_are_allowed():
    assert LogisticProblem(
        features=features(), penalty=1.0, labels=np.zeros(40, int), n_classes=3
    ).minimise().shape == (6, 3)
