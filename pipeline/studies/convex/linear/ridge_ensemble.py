"""Many draws of one ridge problem, held in coordinates of what their points span.

No descent ever leaves that space, and it is smaller than the features'.

Losses are sums, as in the paper: Σ (θᵀx − y)² + λ‖θ‖². Source: Georgiev et al. 2025, the linear setting.
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
    """Draws of a ridge problem. features are coordinates in an orthonormal basis of what the points of each draw span, so norms are those of θ.

    features (n_draws, n_points, n_span), targets (n_draws, n_points), forget (n_draws, n_points) true for
    points to be forgotten.
    """

    features: Coordinates
    targets: PerDrawPoint
    forget: Bool[np.ndarray, "n_draws n_points"]
    penalty: float

    @property
    def n_draws(self) -> int:
        """How many problems there are."""
        return len(self.features)

    @property
    def n_points(self) -> int:
        """Points of each problem."""
        return self.features.shape[1]

    @property
    def n_forget(self) -> int:
        """Points to be forgotten of each problem."""
        return int(self.forget[0].sum())

    @property
    def retained(self) -> PerDrawPoint:
        """1 for points that stay, 0 for those to be forgotten."""
        return (~self.forget).astype(float)

    def gram(self, weights: PerDrawPoint | None = None) -> Float[np.ndarray, "n_draws n_span n_span"]:
        """Return XᵀWX of each draw; every weight is 1 without weights."""
        weighted = self.features if weights is None else self.features * weights[:, :, None]
        return weighted.transpose(0, 2, 1) @ self.features

    def minimiser(self, weights: PerDrawPoint | None = None) -> Thetas:
        """Return argmin Σ w (θᵀx − y)² + λ‖θ‖² of each draw.

        What training, or with `retained` retraining, comes to.
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
    """Return draws of x ~ N(0, diag(spectrum)), θ ~ N(0, I), y ~ N(θᵀx, noise_variance), with n_forget random points to be forgotten.

    Draw i depends on purpose and i alone, not on how many are drawn nor on the penalty, so that penalties are
    compared on the same data.
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
    """Return features in coordinates of what they span: inner products are kept.

    With more points than features they are left as they are.
    """
    if len(features) >= features.shape[1]:
        return features
    triangle: Float[np.ndarray, "n_points n_points"] = np.linalg.qr(features.T)[1]
    return np.ascontiguousarray(triangle.T)
