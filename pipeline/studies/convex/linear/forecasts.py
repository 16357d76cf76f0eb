"""Forecasts of the oracle's outputs for DMM: exact leave-out algebra, datamodels, and influence functions.

All are linear algebra on the dual solution α = (XXᵀ + λI)⁻¹ y, whose outputs are XXᵀ α.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from pipeline.core import seeds
from pipeline.studies.convex.linear.ridge_ensemble import PerDrawPoint, RidgeEnsemble

# Penalty of the datamodels as a multiple of the mean eigenvalue of their kernel. It equals the default with
# which the estimator `ridge` predicts the effects of removing sets.
EFFECT_PENALTY = 0.05


@dataclass(frozen=True, kw_only=True, eq=False)
class Dual:
    """The dual solution of each draw.

    kernel is XXᵀ and inverse (XXᵀ + λI)⁻¹, both (n_draws, n_points, n_points). alpha is (n_draws, n_points).
    """

    kernel: Float[np.ndarray, "n_draws n_points n_points"]
    inverse: Float[np.ndarray, "n_draws n_points n_points"]
    alpha: PerDrawPoint

    @classmethod
    def of(cls, problems: RidgeEnsemble) -> "Dual":
        """Return the dual solution of problems."""
        kernel = problems.features @ problems.features.transpose(0, 2, 1)
        inverse = np.linalg.inv(kernel + problems.penalty * np.eye(problems.n_points))
        return cls(kernel=kernel, inverse=inverse, alpha=np.einsum("dpq,dq->dp", inverse, problems.targets))

    @property
    def leverages(self) -> PerDrawPoint:
        """The diagonal of the hat matrix: how far each point's output follows its own target."""
        return np.einsum("dpq,dqp->dp", self.kernel, self.inverse)

    def without(
        self, removed: Int[np.ndarray, "n_draws n_sets n_removed"]
    ) -> Float[np.ndarray, "n_draws n_sets n_points"]:
        """Return the outputs on all points of models trained without each of some sets of points.

        The outputs are exact: a model without a set is the dual solution whose entries of the set are 0.
        """
        draws = np.arange(len(removed))[:, None, None]
        blocks = self.inverse[draws[..., None], removed[..., :, None], removed[..., None, :]]
        pressed = np.linalg.solve(blocks, self.alpha[draws, removed][..., None])[..., 0]
        alpha = self.alpha[:, None] - np.einsum("dsrp,dsr->dsp", self.inverse[draws, removed], pressed)
        return alpha @ self.kernel


def exact(problems: RidgeEnsemble) -> PerDrawPoint:
    """Return the oracle's outputs on all points, by leave-out algebra: no model is trained."""
    return Dual.of(problems).without(_forgotten(problems)[:, None])[:, 0]


def influence(problems: RidgeEnsemble) -> PerDrawPoint:
    """Return the outputs on all points that influence functions predict for the oracle.

    They use the Hessian of all points, so the predicted change is far too small where leverage is high.
    """
    dual = Dual.of(problems)
    residuals = np.where(problems.forget, problems.penalty * dual.alpha, 0.0)
    hat = dual.kernel @ dual.inverse
    return np.einsum("dpq,dq->dp", dual.kernel, dual.alpha) - np.einsum("dpq,dq->dp", hat, residuals)


def datamodels(problems: RidgeEnsemble, *, n_models: int, n_dropped: int, purpose: str) -> PerDrawPoint:
    """Return the outputs on all points that ridge datamodels predict for the oracle.

    The datamodels are fitted to the outputs of n_models models, each trained without n_dropped random points.
    The regression is that of the estimator `ridge` at its default penalty for effects, here for all draws at
    once.
    """
    dual = Dual.of(problems)
    masks = draw_masks(problems.n_draws, n_models, problems.n_points, n_dropped, purpose)
    dropped = np.nonzero(~masks)[2].reshape(problems.n_draws, n_models, n_dropped)
    effects = removal_effects(masks, dual.without(dropped), problems.forget)
    return np.einsum("dpq,dq->dp", dual.kernel, dual.alpha) + effects


def removal_effects(
    masks: Bool[np.ndarray, "n_draws n_models n_points"],
    outputs: Float[np.ndarray, "n_draws n_models n_outputs"],
    forget: Bool[np.ndarray, "n_draws n_points"],
) -> Float[np.ndarray, "n_draws n_outputs"]:
    """Return the effect of removing `forget` on each output, by ridge regression of outputs on masks."""
    rows = masks - masks.mean(axis=1, keepdims=True)
    gram = rows.transpose(0, 2, 1) @ rows
    penalty = EFFECT_PENALTY * np.trace(gram, axis1=1, axis2=2) / masks.shape[1]
    moments = rows.transpose(0, 2, 1) @ (outputs - outputs.mean(axis=1, keepdims=True))
    weights = np.linalg.solve(gram + penalty[:, None, None] * np.eye(gram.shape[1]), moments)
    return -np.einsum("dp,dpo->do", forget.astype(float), weights)


def draw_masks(
    n_draws: int, n_models: int, n_points: int, n_dropped: int, purpose: str
) -> Bool[np.ndarray, "n_draws n_models n_points"]:
    """Return masks that each drop n_dropped random points."""
    rng = seeds.generator("convex", "masks", purpose)
    order = np.argpartition(rng.random((n_draws, n_models, n_points)), n_dropped - 1, axis=2)[
        :, :, :n_dropped
    ]
    masks = np.ones((n_draws, n_models, n_points), bool)
    np.put_along_axis(masks, order, False, axis=2)
    return masks


def plateau(
    problems: RidgeEnsemble,
    outputs: PerDrawPoint,
    start: Float[np.ndarray, "n_draws n_span"],
    goal: Float[np.ndarray, "n_draws n_span"],
) -> Float[np.ndarray, " n_draws"]:
    """Return R of each draw at the end of matching `outputs` on all points.

    Matching ends at the weights that fit the outputs best. Their difference from goal is the pseudoinverse of
    the features times the error of the outputs.
    """
    error = outputs - problems.outputs(goal)
    followed = np.einsum("dsp,dp->ds", np.linalg.pinv(problems.features), error)
    return (followed**2).sum(axis=1) / ((start - goal) ** 2).sum(axis=1)


def _forgotten(problems: RidgeEnsemble) -> Int[np.ndarray, "n_draws n_forget"]:
    return np.nonzero(problems.forget)[1].reshape(problems.n_draws, problems.n_forget)
