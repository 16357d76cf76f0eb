"""The two losses of the convex case: squared error, and the cross-entropy of two or more classes.

The linear setting of Georgiev et al. 2025 uses squared error.
"""

from dataclasses import dataclass
from math import sqrt

import numpy as np
from jaxtyping import Float, Int
from scipy.linalg import cho_factor, cho_solve
from scipy.special import expit, log_expit, logsumexp
from typing_extensions import override

from pipeline.core.arrays import Indices, PerPoint
from pipeline.core.errors import DataError, ShapeError
from pipeline.evaluation.margins import margins
from pipeline.studies.convex.problems.problem import (
    ALL,
    ConvexOutputs,
    ConvexProblem,
    Curvatures,
    Theta,
    narrowed,
)


@dataclass(frozen=True, kw_only=True, eq=False)
class RidgeProblem(ConvexProblem):
    """Squared error (output − target)², summed over points and columns, without the usual ½.

    targets have the shape (n_points, n_columns).
    """

    targets: Float[np.ndarray, "..."]

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.targets.ndim != 2 or len(self.targets) != self.n_points:
            raise ShapeError(
                f"targets have shape {self.targets.shape}; expected ({self.n_points}, n_columns), one row "
                "for each point"
            )
        if not np.isfinite(self.targets).all():
            raise DataError("targets hold NaN or infinity; clean them first")

    @property
    @override
    def n_columns(self) -> int:
        return self.targets.shape[1]

    @property
    @override
    def curvature(self) -> float:
        return 2.0

    @property
    @override
    def third(self) -> float:
        return 0.0

    @override
    def restricted(self, ids: Indices) -> "RidgeProblem":
        return narrowed(self, ids, targets=self.targets)

    @override
    def losses(self, outputs: ConvexOutputs) -> PerPoint:
        return np.square(outputs - self.targets).sum(axis=1)

    @override
    def slopes(self, outputs: ConvexOutputs, ids: Indices | slice = ALL) -> ConvexOutputs:
        return 2 * (outputs - self.targets[ids])

    @override
    def curvatures(self, outputs: ConvexOutputs) -> Curvatures:
        return np.broadcast_to(2 * np.eye(self.n_columns), (len(outputs), self.n_columns, self.n_columns))

    def largest_slope(self, radius: float) -> float:
        """Return max 2‖xᵢ‖(‖xᵢ‖ radius + ‖yᵢ‖).

        The bound depends on radius, because the slope of squared error is not bounded everywhere.
        """
        norms = np.linalg.norm(self.features, axis=1)
        return float((2 * norms * (norms * radius + np.linalg.norm(self.targets, axis=1))).max())

    def minimise_counted(self, start: Theta | None = None) -> tuple[Theta, int]:
        """Return the minimiser in closed form, and 1 as the number of steps.

        It is (XᵀX + λI)⁻¹Xᵀy, or Xᵀ(XXᵀ + λI)⁻¹y if there are fewer points than features.
        """
        X, y = self.features, self.targets
        if X.shape[0] < X.shape[1]:
            return X.T @ cho_solve(cho_factor(X @ X.T + self.penalty * np.eye(len(X))), y), 1
        return cho_solve(cho_factor(X.T @ X + self.penalty * np.eye(X.shape[1])), X.T @ y), 1


@dataclass(frozen=True, kw_only=True, eq=False)
class LogisticProblem(ConvexProblem):
    """Cross-entropy in nats.

    Two classes have one output, the log-odds of class 1. More classes have one output each, and the penalty
    is on the weights of all of them. labels (n_points,) are classes 0 to n_classes − 1; some classes may be
    missing. Raises DataError for other labels.
    """

    labels: Int[np.ndarray, "..."]
    n_classes: int

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.labels.shape != (self.n_points,):
            raise ShapeError(
                f"labels have shape {self.labels.shape}; expected ({self.n_points},), one for each point"
            )
        if self.n_classes < 2 or self.labels.min() < 0 or self.labels.max() >= self.n_classes:
            raise DataError(
                f"labels span {self.labels.min()} to {self.labels.max()}; expected 0 to {self.n_classes - 1} "
                "of at least 2 classes"
            )

    @property
    @override
    def n_columns(self) -> int:
        return 1 if self.n_classes == 2 else self.n_classes

    @property
    @override
    def curvature(self) -> float:
        # p(1 − p) ≤ ¼; no eigenvalue of diag(p) − ppᵀ is above ½.
        return 0.25 if self.n_classes == 2 else 0.5

    @property
    @override
    def third(self) -> float:
        # |p(1 − p)(1 − 2p)| ≤ 1/(6√3), where Guo et al. 2020 use the looser ¼. For more classes the third
        # derivative along (u, u, v) is the covariance of (u − E u)² with v under p. It is at most the
        # variance of u, ½‖u‖², times the widest deviation of v, √2‖v‖.
        return 1 / (6 * sqrt(3)) if self.n_classes == 2 else 1 / sqrt(2)

    @override
    def restricted(self, ids: Indices) -> "LogisticProblem":
        return narrowed(self, ids, labels=self.labels)

    @override
    def losses(self, outputs: ConvexOutputs) -> PerPoint:
        if self.n_classes == 2:
            return -log_expit(np.where(self.labels == 1, 1, -1) * outputs[:, 0])
        return logsumexp(outputs, axis=1) - outputs[np.arange(len(outputs)), self.labels]

    @override
    def slopes(self, outputs: ConvexOutputs, ids: Indices | slice = ALL) -> ConvexOutputs:
        labels = self.labels[ids]
        if self.n_classes == 2:
            return expit(outputs) - labels[:, None]
        slopes = _probabilities(outputs)
        slopes[np.arange(len(outputs)), labels] -= 1
        return slopes

    @override
    def curvatures(self, outputs: ConvexOutputs) -> Curvatures:
        if self.n_classes == 2:
            return (expit(outputs) * expit(-outputs))[:, :, None]
        p = _probabilities(outputs)
        return p[:, :, None] * (np.eye(self.n_classes) - p[:, None, :])

    def largest_slope(self, radius: float) -> float:
        """Return the largest ‖xᵢ‖ for two classes, and √2 times that for more, for any radius.

        The slope is the probabilities minus the true label, and each probability is off by less than 1.
        """
        return float(np.linalg.norm(self.features, axis=1).max()) * (1.0 if self.n_classes == 2 else sqrt(2))

    def margins(
        self, outputs: Float[np.ndarray, "... n_points n_columns"]
    ) -> Float[np.ndarray, "... n_points"]:
        """Return the margin of each point in nats from outputs (..., n_points, n_columns).

        The formula is that of pipeline.evaluation.margins.
        """
        logits = (
            np.concatenate([np.zeros_like(outputs), outputs], axis=-1) if self.n_classes == 2 else outputs
        )
        return margins(logits, self.labels)


def _probabilities(outputs: ConvexOutputs) -> ConvexOutputs:
    """Return the softmax of each row.

    scipy.special.softmax is not used, because its checks take longer than the arithmetic of a small batch.
    """
    shares = np.exp(outputs - outputs.max(axis=1, keepdims=True))
    return shares / shares.sum(axis=1, keepdims=True)
