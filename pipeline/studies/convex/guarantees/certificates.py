"""Bounds on the distance of an unlearned from the retrained model, and the Gaussian noise that hides it.

Unlearning is (ε, δ)-certified if, for every event, its probability after unlearning is at most e^ε times its
probability after retraining, plus δ. The same must hold with unlearning and retraining swapped.
"""

from dataclasses import dataclass
from math import ceil, log, sqrt

import numpy as np

from pipeline.core.errors import ConfigError
from pipeline.studies.convex.problems.constants import Constants
from pipeline.studies.convex.problems.problem import ConvexProblem, Theta


@dataclass(frozen=True, kw_only=True)
class Promise:
    """ε > 0 and 0 < δ < 1: no attack that guesses between two models has TPR > e^ε·FPR + δ."""

    epsilon: float
    delta: float

    def __post_init__(self) -> None:
        if not self.epsilon > 0 or not 0 < self.delta < 1:
            raise ConfigError(
                f"epsilon is {self.epsilon} and delta {self.delta}; expected epsilon > 0 and 0 < delta < 1"
            )

    def highest_tpr(self, fpr: np.ndarray) -> np.ndarray:
        """Return the largest true positive rate that the promise allows at each false positive rate."""
        return np.minimum(1.0, np.exp(self.epsilon) * fpr + self.delta)


def objective_noise(residual: float, promise: Promise) -> float:
    """Return σ of the noise b ~ N(0, σ²I) that hides gradient residuals with a norm up to `residual`.

    The noise adds bᵀθ to the objective. σ is √(2 ln(1.5/δ))·residual/ε.

    At a retrained model the objective without noise has the gradient −b, at an unlearned model −b + u. The
    two models differ by the residual u, which shifts b. The published proof treats u as independent of b. It
    uses a bound for the Gaussian that holds only up to ε = 1: at ε = 8 and δ = 0.3, two normals at this
    distance need a δ of 0.6. Raises ConfigError for ε above 1. Source: Guo et al. 2020, theorem 3.
    """
    return _quantile(promise) * residual / promise.epsilon


def residual_budget(sigma: float, promise: Promise) -> float:
    """Return the gradient residual that noise σ in the objective hides: the inverse of objective_noise.

    A model with a larger residual must be retrained.
    """
    return sigma * promise.epsilon / _quantile(promise)


def worst_residual(problem: ConvexProblem, constants: Constants, n_forget: int) -> float:
    """Return a bound on the gradient residual of one Newton step, from constants alone.

    It holds for any n_forget points of the problem. The step v has ‖v‖ ≤ n_forget·L/m, see minimiser_shift.
    By Taylor's remainder the residual is at most ½·(Lipschitz constant of the Hessian)·‖v‖², so it grows with
    the square of the number of points that are removed at once. Source: own derivation after Guo et al. 2020,
    theorem 1, whose penalty grows with the number of points.
    """
    shift = minimiser_shift(constants, n_forget)
    return constants.hessian_lipschitz * shift**2 / 2


def residual_bound(retained: ConvexProblem, step: Theta) -> float:
    """Return a bound on the gradient residual that the given Newton step leaves.

    It is ½γ‖X‖·‖(‖xᵢᵀv‖²)ᵢ‖, with γ = `third` and X the features of the retained points. Taylor's remainder
    of point i is ½γ‖xᵢᵀv‖², so if ‖xᵢ‖ ≤ 1 the bound is at most half of γ‖X‖‖v‖‖Xv‖. It assumes nothing but
    γ. Source: own derivation after Guo et al. 2020, corollary 1.
    """
    moved = np.square(retained.outputs(step)).sum(axis=1)
    return float(retained.third * np.linalg.norm(retained.features, 2) * np.linalg.norm(moved) / 2)


def minimiser_shift(constants: Constants, n_forget: int) -> float:
    """Return the largest distance that the minimiser moves when n_forget points leave: n_forget·L/m.

    L is the Lipschitz constant of one point's loss, m the strong convexity. At the old minimiser the new
    objective has the gradient −Σ_F ∇ℓᵢ, and the distance to the new minimiser is at most its norm over m.
    With a penalty that does not grow with the number of points, this is half of the 2L/(mn) of Neel et al.
    2021.
    """
    return n_forget * constants.lipschitz / constants.strong_convexity


def descent_distance(contraction: float, n_steps: int, shift: float) -> float:
    """Return the largest distance of the secret iterate from its minimiser, after any number of requests.

    The secret iterate is the weights before noise is added. The distance is r = γ^I·shift/(1 − γ^I), for I
    steps after each request that each contract by γ. Before a request the distance is at most r. After the
    request the distance from the new minimiser is at most r + shift, and after I steps γ^I(r + shift), which
    is r again.
    """
    left = contraction**n_steps
    return left * shift / (1 - left)


def descent_noise(contraction: float, n_steps: int, shift: float, promise: Promise) -> float:
    """Return σ of the Gaussian noise on the weights that descent-to-delete publishes.

    The unlearned and the retrained iterate are each within descent_distance of one minimiser, so they are at
    most Δ = 2γ^I·shift/(1 − γ^I) apart. Noise σ then gives zero-concentrated differential privacy with ρ =
    Δ²/2σ², and so ε = ρ + 2√(ρ ln 1/δ) for any δ. The result is this formula solved for σ. It assumes that
    the iterate before noise stays secret, that steps have the length 2/(m + M), and that training takes as
    many steps as training_steps returns. Source: Neel, Roth and Sharifi-Malvajerdi 2021, perturbed gradient
    descent; Bun and Steinke 2016.
    """
    rho = (sqrt(log(1 / promise.delta) + promise.epsilon) - sqrt(log(1 / promise.delta))) ** 2
    return 2 * descent_distance(contraction, n_steps, shift) / sqrt(2 * rho)


def training_steps(contraction: float, n_steps: int, shift: float, start_distance: float) -> int:
    """Return the training steps after which the iterate is within descent_distance of the minimiser.

    start_distance is the distance of the start from the minimiser.
    """
    wanted = descent_distance(contraction, n_steps, shift)
    return max(1, ceil(log(start_distance / wanted) / log(1 / contraction))) if start_distance > wanted else 1


def newton_residual(retained: ConvexProblem, theta: Theta, noise: Theta | None = None) -> float:
    """Return the real gradient residual of an unlearned model, ‖∇L(θ) + b‖, instead of a bound.

    b is the noise in its objective. The residual costs one gradient on all retained points.
    """
    return float(np.linalg.norm(retained.gradient(theta) + (0 if noise is None else noise)))


def _quantile(promise: Promise) -> float:
    if promise.epsilon > 1:
        raise ConfigError(
            f"epsilon is {promise.epsilon:g}; noise in the objective is known to suffice only up to 1, so "
            "promise 1 or less"
        )
    return sqrt(2 * log(1.5 / promise.delta))
