"""Features of subsets for the group kernel: single points, and the kept shares of groups.

Each object stands for some columns of the features, so that they are never in memory all at once.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from jaxtyping import Bool, Float
from scipy import sparse
from typing_extensions import override

from pipeline.core.arrays import Masks, PerTrain

# Functions of the kept share of a group, shaped as effects on outputs are: they change little until the last
# points of a group are removed.
SATURATING: tuple[Callable[[Float[np.ndarray, "..."]], Float[np.ndarray, "..."]], ...] = (
    lambda kept: np.log(0.03 + kept),
    lambda kept: (1 - kept) ** 3,
)


class SubsetFeatures(Protocol):
    """Some features of masks, and how they change when sets are removed from all points.

    Changes are sparse, because most features do not change.
    """

    def of(self, masks: Bool[np.ndarray, "n_masks n_train"]) -> Float[np.ndarray, "n_masks n_features"]:
        """Return the features of masks."""
        ...

    def change(self, removed: sparse.csr_array) -> sparse.csr_array:
        """Return the change of the features, (n_sets, n_features), when each set is removed from all points.

        removed (n_sets, n_train) marks the points of each set.
        """
        ...


def centre_of(features: Float[np.ndarray, "n_masks n_features"]) -> Float[np.ndarray, " n_features"]:
    """Return the mean of each feature.

    The sum is in float64, so that a feature that does not vary equals its mean to the bit and centres to 0.
    """
    return features.mean(axis=0, dtype=np.float64).astype(features.dtype)


@dataclass(frozen=True)
class Points(SubsetFeatures):
    """The mask bits of training points in columns, each multiplied by its entry of scale (n_train,)."""

    columns: slice
    scale: PerTrain

    @override
    def of(self, masks: Masks) -> Float[np.ndarray, "n_masks n_features"]:
        return (masks[:, self.columns] * self.scale[self.columns]).astype(np.float32)

    @override
    def change(self, removed: sparse.csr_array) -> sparse.csr_array:
        return sparse.csr_array(-removed[:, self.columns] * self.scale[self.columns]).astype(np.float32)


@dataclass(frozen=True)
class KeptShares(SubsetFeatures):
    """Saturating functions of the share of each group that a mask keeps.

    shares (n_groups, n_train): the points of each group; each row sums to 1.
    """

    shares: sparse.csr_array

    @override
    def of(self, masks: Masks) -> Float[np.ndarray, "n_masks n_features"]:
        lost = (self.shares @ (~masks.T).astype(np.float32)).T
        kept = np.clip(1 - lost, 0.0, 1.0)
        return np.concatenate([function(kept) for function in SATURATING], axis=1)

    @override
    def change(self, removed: sparse.csr_array) -> sparse.csr_array:
        lost = sparse.csr_array(removed @ self.shares.T)
        kept = np.clip(1 - lost.data, 0.0, 1.0)
        parts = [
            ((function(kept) - function(np.ones(1))).astype(np.float32), lost.indices, lost.indptr)
            for function in SATURATING
        ]
        return sparse.csr_array(sparse.hstack([sparse.csr_array(part, shape=lost.shape) for part in parts]))
