"""Convex problems with one minimum: the losses of points, summed, plus λ‖θ‖².

Losses are summed and not averaged, as in Georgiev et al. 2025, so the penalty stays the same when points
leave. Ridge has no ½.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
from jaxtyping import Float
from scipy.linalg import cho_factor, cho_solve

from pipeline.core.arrays import Indices, PerPoint
from pipeline.core.errors import DataError, ShapeError, TrainingError

ConvexFeatures: TypeAlias = Float[np.ndarray, "n_points n_features"]
Theta: TypeAlias = Float[np.ndarray, "n_features n_columns"]
ConvexOutputs: TypeAlias = Float[np.ndarray, "n_points n_columns"]
Curvatures: TypeAlias = Float[np.ndarray, "n_points n_columns n_columns"]
Hessian: TypeAlias = Float[np.ndarray, "n_parameters n_parameters"]

ALL = slice(None)
# A minimum is found when the norm of the gradient is at most this share of (1 + the norm at θ = 0). A smaller
# share would be less than the rounding error of a sum over 40,000 points.
GRADIENT_TOLERANCE = 1e-10
MOST_ITERATIONS = 60


@dataclass(frozen=True, kw_only=True, eq=False)
class ConvexProblem(ABC):
    """A problem with features (n_points, n_features) in float64 and a penalty λ > 0.

    Its unknown is theta (n_features, n_columns). `curvature` and `third` bound the norms of the second and
    the third derivative of one point's loss with respect to its outputs. Raises ShapeError or DataError for
    features or a penalty that cannot be used.
    """

    features: ConvexFeatures
    penalty: float

    def __post_init__(self) -> None:
        if self.features.ndim != 2 or 0 in self.features.shape:
            raise ShapeError(
                f"features have shape {self.features.shape}; expected (n_points, n_features) with at least "
                "one of each"
            )
        if self.features.dtype != np.float64:
            raise DataError(
                f"features are {self.features.dtype}; minimisers are compared to 1e-10, so convert them with "
                "astype(float)"
            )
        if not np.isfinite(self.features).all():
            raise DataError("features hold NaN or infinity; clean them first")
        if not 0 < self.penalty < np.inf:
            raise DataError(
                f"the penalty is {self.penalty}; expected a number above 0, because without it there may "
                "be no unique minimum"
            )

    @property
    @abstractmethod
    def n_columns(self) -> int:
        """The number of outputs of one point."""

    @property
    @abstractmethod
    def curvature(self) -> float:
        """The largest eigenvalue, anywhere, of the second derivative of one point's loss in its outputs."""

    @property
    @abstractmethod
    def third(self) -> float:
        """The largest change of a point's second derivative, in spectral norm for each unit of outputs."""

    @abstractmethod
    def restricted(self, ids: Indices) -> "ConvexProblem":
        """Return the same problem on the points in ids only."""

    @abstractmethod
    def losses(self, outputs: ConvexOutputs) -> PerPoint:
        """Return the loss of each point, without penalty."""

    @abstractmethod
    def slopes(self, outputs: ConvexOutputs, ids: Indices | slice = ALL) -> ConvexOutputs:
        """Return the derivative of each loss in its outputs, for outputs of the points in ids."""

    @abstractmethod
    def curvatures(self, outputs: ConvexOutputs) -> Curvatures:
        """Return the second derivative of each loss in its outputs."""

    @abstractmethod
    def largest_slope(self, radius: float) -> float:
        """Return a bound on ‖slope‖·‖features‖ of one point, for every theta of norm radius or less."""

    @property
    def n_points(self) -> int:
        """The number of points."""
        return len(self.features)

    @property
    def n_features(self) -> int:
        """The number of features of one point."""
        return self.features.shape[1]

    @property
    def shape(self) -> tuple[int, int]:
        """The shape of theta."""
        return self.n_features, self.n_columns

    def outputs(self, theta: Theta) -> ConvexOutputs:
        """Return features @ theta; raises ShapeError on a theta of another shape."""
        if theta.shape != self.shape:
            raise ShapeError(
                f"theta has shape {theta.shape}; the weights of this problem have shape {self.shape}"
            )
        return self.features @ theta

    def value(self, theta: Theta) -> float:
        """Return the objective: losses and penalty."""
        return float(self.losses(self.outputs(theta)).sum() + self.penalty * np.square(theta).sum())

    def loss_gradient(self, theta: Theta) -> Theta:
        """Return the gradient of the losses alone."""
        return self.features.T @ self.slopes(self.outputs(theta))

    def gradient(self, theta: Theta) -> Theta:
        """Return the gradient of the objective."""
        return self.loss_gradient(theta) + 2 * self.penalty * theta

    def loss_hessian(self, theta: Theta) -> Hessian:
        """Return the second derivative of the losses, without penalty, in the flattened theta."""
        curvatures, n = self.curvatures(self.outputs(theta)), self.n_columns
        found = np.empty((self.shape[0], n, self.shape[0], n))
        for row in range(n):
            for column in range(row, n):
                block = self.features.T @ (self.features * curvatures[:, row, column, None])
                found[:, row, :, column] = found[:, column, :, row] = block
        return found.reshape(self.n_features * n, -1)

    def hessian(self, theta: Theta) -> Hessian:
        """Return the second derivative of the objective in the flattened theta."""
        return self.loss_hessian(theta) + 2 * self.penalty * np.eye(theta.size)

    def minimise(self, start: Theta | None = None) -> Theta:
        """Return the minimiser, by damped Newton steps from start or zero.

        The steps end when the norm of the gradient is at most 1e-10 of (1 + the norm at zero). Raises
        TrainingError if no minimum is found.
        """
        return self.minimise_counted(start)[0]

    def minimise_counted(self, start: Theta | None = None) -> tuple[Theta, int]:
        """Return the minimiser and the number of Newton steps; see minimise."""
        theta = np.zeros(self.shape) if start is None else start.copy()
        scale = 1 + float(np.linalg.norm(self.loss_gradient(np.zeros(self.shape))))
        for n_steps in range(MOST_ITERATIONS):
            gradient = self.gradient(theta)
            if np.linalg.norm(gradient) <= GRADIENT_TOLERANCE * scale:
                return theta, n_steps
            theta = self._damped(theta, solve(self.hessian(theta), gradient), gradient)
        raise TrainingError(
            f"no minimum within {MOST_ITERATIONS} Newton steps (gradient "
            f"{np.linalg.norm(self.gradient(theta)):.2g}, wanted {GRADIENT_TOLERANCE * scale:.2g}); "
            f"scale the features, which reach {np.abs(self.features).max():.3g}, or raise the penalty of "
            f"{self.penalty:g}"
        )

    def _damped(self, theta: Theta, step: Theta, gradient: Theta) -> Theta:
        """Return theta after the longest of the steps 1, ½, ¼ … that lowers the objective enough.

        The decrease must be a tenth of the decrease that the slope predicts.
        """
        value, promised, share = self.value(theta), float((gradient * step).sum()), 1.0
        # Near the minimum, rounding hides the decrease; the slack then accepts the whole step.
        slack = 1e-12 * abs(value)
        while self.value(theta - share * step) > value - 0.1 * share * promised + slack and share > 1e-6:
            share /= 2
        return theta - share * step


def solve(hessian: Hessian, gradient: Theta) -> Theta:
    """Return hessian⁻¹ gradient in the shape of the gradient, for a positive definite hessian."""
    return cho_solve(cho_factor(hessian), gradient.ravel()).reshape(gradient.shape)


def narrowed(problem: Any, ids: Indices, **per_point: np.ndarray) -> Any:
    """Return problem with the features and the given arrays of the points in ids only."""
    return replace(
        problem, features=problem.features[ids], **{name: values[ids] for name, values in per_point.items()}
    )
