"""The objectives of the algorithms of the linear study.

Each is the squared error of weighted points against targets, with or without the ridge term. GD and GDA use
the loss of the retain set; matching uses the squared distance to outputs of the oracle or to forecasts.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from pipeline.studies.convex.linear.ridge_ensemble import PerDrawPoint, RidgeEnsemble, Thetas


@dataclass(frozen=True, kw_only=True, eq=False)
class PanelObjective:
    """Σ w (θᵀx − t)² + penalty ‖θ‖² for each draw; weights and targets are (n_draws, n_points).

    The weight 0 leaves a point out; a negative weight ascends.
    """

    weights: PerDrawPoint
    targets: PerDrawPoint
    penalty: float

    @property
    def n_used(self) -> int:
        """The number of points that a full gradient reads, the same in each draw."""
        return int(np.count_nonzero(self.weights[0]))

    def quadratic(self, problems: RidgeEnsemble) -> tuple[Float[np.ndarray, "n_draws n_span n_span"], Thetas]:
        """Return H and b of each draw; the gradient is H θ − b."""
        hessian = 2 * (problems.gram(self.weights) + self.penalty * np.eye(problems.features.shape[2]))
        return hessian, 2 * np.einsum("dps,dp->ds", problems.features, self.weights * self.targets)


def descent(problems: RidgeEnsemble) -> PanelObjective:
    """Return the loss of the retain set, which GD descends."""
    return PanelObjective(weights=problems.retained, targets=problems.targets, penalty=problems.penalty)


def descent_and_ascent(problems: RidgeEnsemble, ascent: float) -> PanelObjective:
    """Return the objective of GDA.

    It is the loss of the retain set less `ascent` times the squared errors of the points to be forgotten.
    """
    return PanelObjective(
        weights=problems.retained - ascent * problems.forget,
        targets=problems.targets,
        penalty=problems.penalty,
    )


def matching(
    problems: RidgeEnsemble, outputs: PerDrawPoint, *, retained_only: bool = False
) -> PanelObjective:
    """Return the squared distance to outputs (n_draws, n_points) on all points.

    Matching the outputs of the oracle is OM, or OMRS on the retained points only (retained_only). Matching
    predicted outputs is DMM.
    """
    weights = problems.retained if retained_only else np.ones_like(outputs)
    return PanelObjective(weights=weights, targets=outputs, penalty=0.0)
