"""Features of subsets that the group kernel is made of, some columns at a time.

Single points, and what was kept of groups.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from jaxtyping import Bool, Float
from scipy import sparse
from typing_extensions import override

from pipeline.core.arrays import Masks, PerTrain

# What a kept share does to outputs: little until the last points of a group go.
SATURATING: tuple[Callable[[Float[np.ndarray, "..."]], Float[np.ndarray, "..."]], ...] = (
    lambda kept: np.log(0.03 + kept),
    lambda kept: (1 - kept) ** 3,
)


class SubsetFeatures(Protocol):
    """Some features of a mask, and what removing points from all of them changes, which is nothing in most features."""

    def of(self, masks: Bool[np.ndarray, "n_masks n_train"]) -> Float[np.ndarray, "n_masks n_features"]:
        """Return the features of masks."""
        ...

    def change(self, removed: sparse.csr_array) -> sparse.csr_array:
        """Return features of all points but those in removed (n_sets, n_train), less the features of all points: (n_sets, n_features)."""
        ...


def centre_of(features: Float[np.ndarray, "n_masks n_features"]) -> Float[np.ndarray, " n_features"]:
    """Return the mean of each feature, summed so that what does not vary is its own mean to the bit and centres to 0."""
    return features.mean(axis=0, dtype=np.float64).astype(features.dtype)


@dataclass(frozen=True)
class Points(SubsetFeatures):
    """Single points of columns, each scaled; scale (n_train,)."""

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
    """Groups (n_groups, n_train), each row adding up to 1.

    Every saturating function of the share that a mask keeps.
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
