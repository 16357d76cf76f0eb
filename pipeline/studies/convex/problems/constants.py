"""The constants that guarantees rest on, computed for the data at hand.

Each is a bound that holds, not an estimate.
"""

from dataclasses import dataclass
from math import sqrt

import numpy as np

from pipeline.studies.convex.problems.problem import ConvexFeatures, ConvexProblem

# Of the largest singular value: below this, a direction is rounding.
SINGULAR_ROUNDING = 1e-10


@dataclass(frozen=True, kw_only=True)
class Constants:
    """Of an objective Σ ℓ(xᵢᵀθ) + λ‖θ‖², for all θ, or for those with ‖θ‖ ≤ radius where that is said.

    All hold for every subset of the points too, as what is descended after a request is the loss of those
    that stay. strong_convexity: 2λ, as what the loss of all points curves may leave with those that are
    forgotten. smoothness: largest curvature of ℓ times ‖X‖², plus 2λ. lipschitz: largest gradient of one
    point's loss, without penalty, where ‖θ‖ ≤ radius. hessian_lipschitz: third-derivative bound of ℓ times
    max‖xᵢ‖·‖X‖².
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
        """What one gradient step of length 2/(m + M) leaves of the distance to the minimiser at most.

        (M − m)/(M + m).
        """
        return (self.smoothness - self.strong_convexity) / (self.smoothness + self.strong_convexity)


def constants_of(problem: ConvexProblem) -> Constants:
    """Return the constants of a problem, on the ball that holds the minimiser of every subset of its points.

    That ball: λ‖θ̂‖² is at most the objective at zero, which only shrinks with fewer points, so ‖θ̂‖ ≤
    √(L(0)/λ).
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

    The smallest is 0 where points are fewer than features.
    """
    gram = features.T @ features if len(features) >= features.shape[1] else features @ features.T
    values = np.sqrt(np.maximum(np.linalg.eigvalsh(gram), 0.0))
    return float(values[-1]), float(values[0]) if len(features) >= features.shape[1] else 0.0


def unit_norm(features: ConvexFeatures) -> ConvexFeatures:
    """Return features divided by the largest norm of a point, so that none is above 1, as guarantees assume."""
    return features / np.linalg.norm(features, axis=1).max()


def with_spectrum(features: ConvexFeatures, power: float) -> ConvexFeatures:
    """Return features whose singular values are those of features to a power, with the same largest.

    Above 1 they are worse conditioned.

    Directions that no point has, up to rounding, stay so.
    """
    left, values, right = np.linalg.svd(features, full_matrices=False)
    shares = np.where(values > SINGULAR_ROUNDING * values[0], values / values[0], 0.0)
    return left * (values[0] * shares**power) @ right
