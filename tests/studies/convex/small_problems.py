"""Small convex problems that the tests share."""

import numpy as np

from pipeline.studies.convex.linear.linear_study import LinearStudy
from pipeline.studies.convex.problems.losses import LogisticProblem, RidgeProblem
from pipeline.studies.convex.problems.problem import ConvexProblem
from pipeline.studies.convex.removals.base import RemovalRequest

# A linear study with fewer points than features, as the paper's has.
SMALL = LinearStudy(
    n_draws=4,
    n_tuning_draws=2,
    n_points=12,
    n_features=30,
    n_forget=2,
    n_steps=40,
    n_subset_models=40,
    batch_size=3,
)
FORGET = np.array([3, 11, 17])


def features(n_points: int = 40, n_features: int = 6, seed: int = 0) -> np.ndarray:
    """Return normal features with a constant as the last."""
    drawn = np.random.default_rng(seed).standard_normal((n_points, n_features - 1))
    return np.concatenate([drawn, np.ones((n_points, 1))], axis=1)


def ridge(penalty: float = 0.5, n_points: int = 40, n_features: int = 6, seed: int = 0) -> RidgeProblem:
    """Return a ridge problem with two columns of targets."""
    targets = np.random.default_rng(seed + 1).standard_normal((n_points, 2))
    return RidgeProblem(features=features(n_points, n_features, seed), penalty=penalty, targets=targets)


def logistic(n_classes: int, penalty: float = 0.5, n_points: int = 40, seed: int = 0) -> LogisticProblem:
    """Return a logistic problem whose labels follow the features, with noise."""
    rng, given = np.random.default_rng(seed + 2), features(n_points, seed=seed)
    scores = given @ rng.standard_normal((given.shape[1], n_classes)) + rng.standard_normal(
        (n_points, n_classes)
    )
    return LogisticProblem(features=given, penalty=penalty, labels=scores.argmax(axis=1), n_classes=n_classes)


PROBLEMS = {"ridge": ridge(), "binary": logistic(2), "three classes": logistic(3)}


def request(problem: ConvexProblem, forget: np.ndarray = FORGET, **changes) -> RemovalRequest:
    """Return a request that holds all that any removal may need; its forecast is the oracle's outputs."""
    oracle = problem.restricted(np.setdiff1d(np.arange(problem.n_points), forget)).minimise()
    given = {"oracle": oracle, "forecast": problem.outputs(oracle)} | changes
    return RemovalRequest(problem=problem, start=problem.minimise(), forget=forget, **given)
