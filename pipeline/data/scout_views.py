"""Views of all points by a few trained models: which points look alike to them, and how hard each one is.

The models are the scouts. Validation points are included.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from pipeline.core.arrays import Indices, Labels, PerPoint
from pipeline.core.errors import ShapeError
from pipeline.core.seeds import generator

# Points with more features are projected on this number of random directions. With 512 directions,
# 1 - likeness of points that look alike stays within 6 % of its value, and 60,000 points take 123 MB.
MOST_FEATURES = 512


@dataclass(frozen=True, kw_only=True)
class Views:
    """Points as trained models see them: features (n_points, n_features), labels and difficulty (n_points,).

    The inner product of two rows of features is the likeness of two points: 1 if they look the same.
    difficulty is the mean norm of a point's last-layer gradient. Raises ShapeError if the lengths differ.
    """

    features: Float[np.ndarray, "n_points n_features"]
    labels: Int[np.ndarray, " n_labels"]
    difficulty: Float[np.ndarray, " n_difficulties"]

    def __post_init__(self) -> None:
        if not len(self.features) == len(self.labels) == len(self.difficulty):
            found = (
                f"{len(self.features)} rows of features, {len(self.labels)} labels, {len(self.difficulty)} "
                "difficulties"
            )
            raise ShapeError(f"{found}; give one of each for each point")

    def likeness(self, n_train: int, points: Indices) -> Float[np.ndarray, "n_train n_chosen"]:
        """Return the likeness of each training point to each of points."""
        return np.asarray(self.features[:n_train] @ self.features[points].T, np.float64)


def draw_views(
    features: Float[np.ndarray, "n_points n_features"], labels: Labels, difficulty: PerPoint, *, seed: int = 0
) -> Views:
    """Return the views of points with these features (n_points, n_features), labels and difficulties.

    A row of features holds those of all models side by side, scaled to length 1. More than MOST_FEATURES
    features are projected on that many random directions. A projected row keeps its length, so that the
    likeness of a point to itself does not change.
    """
    n_features = features.shape[1]
    if n_features > MOST_FEATURES:
        lengths = np.linalg.norm(features, axis=1, keepdims=True)
        features = features @ generator("views", seed).standard_normal(
            (n_features, MOST_FEATURES), np.float32
        )
        projected = np.linalg.norm(features, axis=1, keepdims=True)
        features = features * (lengths / np.where(projected > 0, projected, 1.0))
    return Views(
        features=features.astype(np.float32), labels=labels, difficulty=difficulty.astype(np.float64)
    )
