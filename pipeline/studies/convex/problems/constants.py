"""Constants of a convex problem on which guarantees depend, such as its smoothness.

They are computed from the data. Each is a bound that always holds, not an estimate.
"""

from dataclasses import dataclass
from math import sqrt

import numpy as np

from pipeline.studies.convex.problems.problem import ConvexFeatures, ConvexProblem

# A singular value below this share of the largest one is a rounding error and counts as 0.
SINGULAR_ROUNDING = 1e-10


@dataclass(frozen=True, kw_only=True)
class Constants:
    """Constants of an objective Σ ℓ(xᵢᵀθ) + λ‖θ‖², for all θ, or for ‖θ‖ ≤ radius where stated.

    They also hold for every subset of the points, because after a request only the loss of the retained
    points is descended. strong_convexity is 2λ, because the losses of a subset may have no curvature in some
    direction, where only the penalty counts. smoothness is the largest curvature of ℓ times ‖X‖², plus 2λ.
    lipschitz is the largest gradient of one point's loss, without penalty, where ‖θ‖ ≤ radius.
    hessian_lipschitz is the bound on the third derivative of ℓ times max‖xᵢ‖·‖X‖².
    """

    strong_convexity: float
    smoothness: float
    lipschitz: float
    hessian_lipschitz: float
    radius: float

    @property
    def condition(self) -> float:
        """Smoothness over strong convexity."""
        return self.smoothness / self.strong_convexity

    @property
    def contraction(self) -> float:
        """The largest share of the distance to the minimiser that one gradient step leaves.

        It is (M − m)/(M + m) for a step of length 2/(m + M), with M the smoothness and m the strong
        convexity.
        """
        return (self.smoothness - self.strong_convexity) / (self.smoothness + self.strong_convexity)


def constants_of(problem: ConvexProblem) -> Constants:
    """Return the constants of a problem, on a ball that holds the minimiser of every subset of its points.

    The radius of the ball is √(L(0)/λ), with L(0) the objective at zero. For each minimiser θ̂, λ‖θ̂‖² is at
    most L(0), and with fewer points L(0) is no larger.
    """
    largest, _ = extreme_singular_values(problem.features)
    radius = sqrt(problem.value(np.zeros(problem.shape)) / problem.penalty)
    return Constants(
        strong_convexity=2 * problem.penalty,
        smoothness=2 * problem.penalty + problem.curvature * largest**2,
        lipschitz=problem.largest_slope(radius),
        hessian_lipschitz=problem.third * float(np.linalg.norm(problem.features, axis=1).max()) * largest**2,
        radius=radius,
    )


def extreme_singular_values(features: ConvexFeatures) -> tuple[float, float]:
    """Return the largest and the smallest of the n_features singular values.

    The smallest is 0 if there are fewer points than features.
    """
    gram = features.T @ features if len(features) >= features.shape[1] else features @ features.T
    values = np.sqrt(np.maximum(np.linalg.eigvalsh(gram), 0.0))
    return float(values[-1]), float(values[0]) if len(features) >= features.shape[1] else 0.0


def unit_norm(features: ConvexFeatures) -> ConvexFeatures:
    """Return features divided by the largest norm of a point.

    No norm is then above 1, as guarantees assume.
    """
    return features / np.linalg.norm(features, axis=1).max()


def with_spectrum(features: ConvexFeatures, power: float) -> ConvexFeatures:
    """Return features with their singular values raised to a power, and the same largest value.

    A power above 1 makes them worse conditioned. Singular values that are 0 up to rounding are set to 0.
    """
    left, values, right = np.linalg.svd(features, full_matrices=False)
    shares = np.where(values > SINGULAR_ROUNDING * values[0], values / values[0], 0.0)
    return left * (values[0] * shares**power) @ right
