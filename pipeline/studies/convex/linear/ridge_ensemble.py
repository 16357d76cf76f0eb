"""Many draws of one ridge problem; each draw has coordinates in the span of its points.

No descent leaves this span, and it has no more dimensions than there are points. Losses are sums, as in the
paper: Σ (θᵀx − y)² + λ‖θ‖². Source: Georgiev et al. 2025, the linear setting.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from pipeline.core import seeds

Coordinates = Float[np.ndarray, "n_draws n_points n_span"]
PerDrawPoint = Float[np.ndarray, "n_draws n_points"]
Thetas = Float[np.ndarray, "n_draws n_span"]


@dataclass(frozen=True, kw_only=True, eq=False)
class RidgeEnsemble:
    """Draws of a ridge problem.

    features (n_draws, n_points, n_span) are coordinates in an orthonormal basis of the span of the points of
    each draw, so norms equal those in the original space. targets are (n_draws, n_points). forget (n_draws,
    n_points) is true for points to be forgotten.
    """

    features: Coordinates
    targets: PerDrawPoint
    forget: Bool[np.ndarray, "n_draws n_points"]
    penalty: float

    @property
    def n_draws(self) -> int:
        """The number of problems."""
        return len(self.features)

    @property
    def n_points(self) -> int:
        """The number of points of each problem."""
        return self.features.shape[1]

    @property
    def n_forget(self) -> int:
        """The number of points to be forgotten in each problem."""
        return int(self.forget[0].sum())

    @property
    def retained(self) -> PerDrawPoint:
        """1 for points that stay, 0 for points to be forgotten."""
        return (~self.forget).astype(float)

    def gram(self, weights: PerDrawPoint | None = None) -> Float[np.ndarray, "n_draws n_span n_span"]:
        """Return XᵀWX of each draw; if weights is None, every weight is 1."""
        weighted = self.features if weights is None else self.features * weights[:, :, None]
        return weighted.transpose(0, 2, 1) @ self.features

    def minimiser(self, weights: PerDrawPoint | None = None) -> Thetas:
        """Return argmin Σ w (θᵀx − y)² + λ‖θ‖² of each draw.

        This is the result of training, or with the weights `retained` of retraining.
        """
        hessian = self.gram(weights) + self.penalty * np.eye(self.features.shape[2])
        moments = np.einsum(
            "dps,dp->ds", self.features, self.targets if weights is None else self.targets * weights
        )
        return np.linalg.solve(hessian, moments[:, :, None])[:, :, 0]

    def outputs(self, thetas: Thetas) -> PerDrawPoint:
        """Return θᵀx of all points."""
        return np.einsum("dps,ds->dp", self.features, thetas)


def draw_ridge(
    *,
    n_draws: int,
    n_points: int,
    spectrum: Float[np.ndarray, " n_features"],
    n_forget: int,
    noise_variance: float,
    penalty: float,
    purpose: str,
) -> RidgeEnsemble:
    """Return draws of x ~ N(0, diag(spectrum)), θ ~ N(0, I) and y ~ N(θᵀx, noise_variance).

    n_forget random points of each draw are to be forgotten. Draw i depends only on purpose and i, not on the
    number of draws or the penalty, so penalties are compared on the same data.
    """
    drawn = [
        _draw_one(seeds.generator("convex", purpose, number), n_points, spectrum, n_forget, noise_variance)
        for number in range(n_draws)
    ]
    features, targets, forget = (np.stack(arrays) for arrays in zip(*drawn, strict=True))
    return RidgeEnsemble(features=features, targets=targets, forget=forget, penalty=penalty)


def _draw_one(
    rng: np.random.Generator,
    n_points: int,
    spectrum: Float[np.ndarray, " n_features"],
    n_forget: int,
    noise_variance: float,
) -> tuple[
    Float[np.ndarray, "n_points n_span"], Float[np.ndarray, " n_points"], Bool[np.ndarray, " n_points"]
]:
    features = rng.standard_normal((n_points, len(spectrum))) * np.sqrt(spectrum)
    targets = features @ rng.standard_normal(len(spectrum)) + np.sqrt(noise_variance) * rng.standard_normal(
        n_points
    )
    forget = np.zeros(n_points, bool)
    forget[rng.choice(n_points, n_forget, replace=False)] = True
    return in_span(features), targets, forget


def in_span(features: Float[np.ndarray, "n_points n_features"]) -> Float[np.ndarray, "n_points n_span"]:
    """Return features in coordinates of their span; inner products are kept.

    With at least as many points as features they are returned as they are.
    """
    if len(features) >= features.shape[1]:
        return features
    triangle: Float[np.ndarray, "n_points n_points"] = np.linalg.qr(features.T)[1]
    return np.ascontiguousarray(triangle.T)
