"""Forecasts of the oracle's outputs by datamodels, which are fitted to subset models.

The estimator is `ridge`. The subset models are exact minimisers, up to a tolerance.
"""

import numpy as np
from jaxtyping import Float
from scipy.linalg import cho_factor, cho_solve

from pipeline.attribution.evidence import Block, Evidence
from pipeline.attribution.ridge import Ridge
from pipeline.core.arrays import Masks
from pipeline.core.errors import TrainingError
from pipeline.core.seeds import generator
from pipeline.studies.convex.problems.problem import ConvexOutputs, ConvexProblem, Hessian, Theta
from pipeline.studies.convex.removals.base import RemovalRequest

# A subset model is finished when the norm of its gradient is at most this share of (1 + the norm at θ = 0).
# The points that a subset lacks cause a gradient about 1,000 times larger, so the error is far below the
# precision of a datamodel.
SUBSET_TOLERANCE = 1e-5
MOST_SUBSET_ROUNDS = 500


def subset_masks(n_models: int, n_points: int, keep_fraction: float, seed: int) -> Masks:
    """Return which points each subset model keeps, each with the same independent probability."""
    return generator("subset_models", seed).random((n_models, n_points)) < keep_fraction


def subset_outputs(
    problem: ConvexProblem, start: Theta, hessian: Hessian, masks: Masks
) -> Float[np.ndarray, "n_models n_points n_columns"]:
    """Return the outputs on all points of the minimiser of each subset.

    The search starts at the minimiser of all points, with one Hessian for all subsets. Subsets keep most
    points, so this Hessian is near enough to theirs. It takes about ten rounds, each at the cost of a
    gradient; an exact Hessian for each subset would cost as much as thirty rounds. Raises TrainingError if
    the Hessian is not near enough.
    """
    # An inverse suffices, because the rounds make the result exact. Multiplying by it takes half as long as
    # solving with a factor.
    inverse = cho_solve(cho_factor(hessian), np.eye(len(hessian)))
    return np.stack(
        [
            problem.outputs(_minimiser(problem.restricted(np.flatnonzero(mask)), start, inverse))
            for mask in masks
        ]
    )


def datamodel_forecast(
    request: RemovalRequest, outputs: Float[np.ndarray, "n_models n_points n_columns"], masks: Masks
) -> ConvexOutputs:
    """Return the outputs at the start plus the predicted effect of removing the forget set.

    Ridge datamodels of these subset models predict the effect.
    """
    shape = (request.problem.n_points, request.problem.n_columns)
    evidence, estimator = Evidence(masks=masks), Ridge()
    block = Block(points=np.arange(shape[0]), outputs=outputs.reshape(len(outputs), -1), per_point=shape[1])
    factor = estimator.factor(evidence)
    datamodel = estimator.datamodel(factor, estimator.fit(factor, evidence, block), evidence, block)
    return request.problem.outputs(request.start) + datamodel.effect_of_removing(request.forget).mean.reshape(
        shape
    )


def _minimiser(problem: ConvexProblem, start: Theta, inverse: Hessian) -> Theta:
    theta, wanted = (
        start,
        SUBSET_TOLERANCE * (1 + float(np.linalg.norm(problem.loss_gradient(np.zeros(problem.shape))))),
    )
    for _ in range(MOST_SUBSET_ROUNDS):
        gradient = problem.gradient(theta)
        if np.linalg.norm(gradient) <= wanted:
            return theta
        theta = theta - (inverse @ gradient.ravel()).reshape(theta.shape)
    raise TrainingError(
        f"a subset of {problem.n_points} points has no minimiser close to that of all points after "
        f"{MOST_SUBSET_ROUNDS} rounds; raise keep_fraction or the penalty"
    )
