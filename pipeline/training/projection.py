"""Random projections of parameter vectors.

A projection is drawn again from its seed, part by part, whenever it is used. So it is never in memory as a
whole.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from pipeline.core.seeds import generator

# Number of signs drawn at once. During the multiplication each is a number of four bytes, 64 MB in all.
_SIGNS = 2**24


@dataclass(frozen=True)
class Projection:
    """A matrix (dimension, n_parameters) of signs divided by √dimension, which preserves inner products.

    Inner products of projected vectors are right on average. Their standard deviation is at most √(2 /
    dimension) times the product of the lengths (Johnson and Lindenstrauss 1984; signs: Achlioptas 2003).
    Equal seeds give equal signs; purpose distinguishes projections of one seed.
    """

    dimension: int
    n_parameters: int
    seed: int
    purpose: int = 0

    def apply(
        self, vectors: Float[np.ndarray, "n_vectors n_parameters"]
    ) -> Float[np.ndarray, "n_vectors dimension"]:
        """Return the projected vectors."""
        total = np.zeros((len(vectors), self.dimension), np.float32)
        for columns in self._columns():
            total += vectors[:, columns] @ self._signs(columns).T
        return total

    def adjoint(
        self, coordinates: Float[np.ndarray, "n_vectors dimension"]
    ) -> Float[np.ndarray, "n_vectors n_parameters"]:
        """Return the parameter vectors that stand for coordinates.

        Their inner product with any gradient equals that of coordinates with the projected gradient.
        """
        parts = [coordinates.astype(np.float32) @ self._signs(columns) for columns in self._columns()]
        return np.concatenate(parts, axis=1)

    def _columns(self) -> list[slice]:
        """Return slices of parameters whose signs are drawn together; they do not depend on the vectors."""
        step = max(1, _SIGNS // self.dimension)
        return [
            slice(start, min(start + step, self.n_parameters)) for start in range(0, self.n_parameters, step)
        ]

    def _signs(self, columns: slice) -> Float[np.ndarray, "dimension n_columns"]:
        drawn = generator("projection", self.seed, self.purpose, columns.start).integers(
            0, 2, (self.dimension, columns.stop - columns.start), np.int8
        )
        return (2 * drawn - 1).astype(np.float32) / np.float32(np.sqrt(self.dimension))
