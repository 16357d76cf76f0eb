"""LASSO datamodels of many outputs.

Each from its own largest penalty down, the penalty chosen on models left out, then refitted on all models.

The problem of an output y is min 1/(2m) ‖b + Xβ − y‖² + λ‖β‖₁ over raw 0/1 masks X (m, n_train) of m models;
the intercept b is not penalised. How the problems are solved is a `Solver`'s; which are solved, and when an
output's path ends, is told here.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float, Int

from pipeline.core.arrays import Masks, Outputs, PerOutput

# Outputs solved together: enough for the matrix products, few enough that their arrays stay in the cache.
_CHUNK = 256
# Gaps on the path, where only the best penalty is sought; the refit at that penalty has the tolerance asked
# for.
PATH_TOLERANCE = 1e-4
# Float32 tells gaps to 2e-6: what is to be below a tolerance is brought below this share of it, and below
# FLOAT32 it takes float64.
SAFE, FLOAT32 = 0.97, 1e-5

SparseWeights = Float[np.ndarray, "n_outputs n_train"]
PointRows = Bool[np.ndarray, " n_rows"]
Heldout = Bool[np.ndarray, " n_models"]


@dataclass(frozen=True, kw_only=True)
class Path:
    """n_penalties from the largest of an output (at which all weights are 0) down to `smallest` times it, evenly in their logarithm.

    An output leaves its path once its error on models left out has risen `patience` times in a row.
    tolerance: the relative duality gap.
    """

    n_penalties: int = 20
    smallest: float = 1e-2
    patience: int = 3
    tolerance: float = 1e-4

    def ratios(self) -> Float[np.ndarray, " n_penalties"]:
        """Return the penalties over the largest."""
        return np.geomspace(1.0, self.smallest, self.n_penalties)


@dataclass(frozen=True, kw_only=True)
class LassoFit:
    """What is learnt of each output; weights and intercept are for raw 0/1 masks.

    gap: the duality gap at penalty over the objective at zero weights, 1/2 of the output's variance: an upper
    bound on how far the objective is from its minimum. error: mean squared error on the models left out of
    the path, at penalty; error_at_zero: the same with zero weights. position: which penalty of the path was
    chosen.
    """

    weights: SparseWeights
    intercept: PerOutput
    penalty: PerOutput
    gap: PerOutput
    error: PerOutput
    error_at_zero: PerOutput
    position: Int[np.ndarray, " n_outputs"]


@runtime_checkable
class Chunk(Protocol):
    """Some outputs on the way down their paths, wherever their arrays live.

    What is asked and answered is about those still on the way.
    """

    def largest(self) -> PerOutput:
        """Return the least penalty at which all weights are 0."""
        ...

    def solve(self, penalty: PerOutput, previous: PerOutput, tolerance: float) -> PerOutput:
        """Solve each output at its penalty from where it stands, solved at previous, until its relative duality gap is at most tolerance; return the gaps."""
        ...

    def errors(self) -> PerOutput:
        """Return the mean squared error of each output on the models left out."""
        ...

    def keep(self, rows: PointRows) -> None:
        """Go on with these outputs alone."""
        ...

    def weights(self) -> SparseWeights:
        """Return the weights as they stand."""
        ...


class Solver(ABC):
    """Solves LASSO problems over the models that `heldout` leaves in, and over all."""

    @abstractmethod
    def on_path(self, outputs: Outputs) -> Chunk:
        """Return outputs (n_models, n_outputs) of all models at zero weights, to be solved over the models left in."""

    @abstractmethod
    def on_all(self, outputs: Outputs, weights: SparseWeights) -> Chunk:
        """Return outputs (n_models, n_outputs) at weights, to be solved over all models."""


def fit_path(solver: Solver, masks: Masks, outputs: Outputs, path: Path) -> LassoFit:
    """Return the LASSO datamodels of outputs (n_models, n_outputs) on masks (n_models, n_train), each at the penalty that predicts best.

    Outputs are taken to be finite.
    """
    parts = [
        _fit_chunk(solver, masks, outputs[:, start : start + _CHUNK], path)
        for start in range(0, outputs.shape[1], _CHUNK)
    ]
    return LassoFit(
        **{
            name: np.concatenate([getattr(part, name) for part in parts])
            for name in LassoFit.__dataclass_fields__
        }
    )


def _fit_chunk(solver: Solver, masks: Masks, outputs: Outputs, path: Path) -> LassoFit:
    # Of an output that never varies nothing but exact zeros are left, where a mean would leave rounding to be
    # explained.
    shifted = outputs - outputs[0].astype(np.float64)
    walk = _walk(solver.on_path(shifted), path)
    chunk = solver.on_all(shifted, walk.weights)
    # An output that varied on no model of its path has penalty 0 there.
    penalty = np.where(walk.penalty > 0, walk.penalty, chunk.largest())
    gap = chunk.solve(penalty, penalty, path.tolerance)
    weights = chunk.weights()
    intercept = outputs.mean(axis=0, dtype=np.float64) - weights @ masks.mean(axis=0)
    return LassoFit(
        weights=weights,
        intercept=intercept,
        penalty=penalty,
        gap=gap,
        error=walk.error,
        error_at_zero=walk.error_at_zero,
        position=walk.position,
    )


@dataclass(frozen=True)
class _Walk:
    weights: SparseWeights
    penalty: PerOutput
    error: PerOutput
    error_at_zero: PerOutput
    position: Int[np.ndarray, " n_outputs"]


def _walk(chunk: Chunk, path: Path) -> _Walk:
    """Take outputs down their paths, and return each where its error was least."""
    largest, ratios = chunk.largest(), path.ratios()
    best, error_at_zero = chunk.weights().copy(), chunk.errors()
    error, last = error_at_zero.copy(), error_at_zero.copy()
    position, rises = np.zeros(len(largest), np.int64), np.zeros(len(largest), np.int64)
    on = np.arange(len(largest))
    for step in range(1, path.n_penalties):
        chunk.solve(
            largest[on] * ratios[step], largest[on] * ratios[step - 1], max(path.tolerance, PATH_TOLERANCE)
        )
        errors = chunk.errors()
        better = errors < error[on]
        error[on[better]], position[on[better]] = errors[better], step
        best[on[better]] = chunk.weights()[better]
        rises[on] = np.where(errors > last[on], rises[on] + 1, 0)
        last[on] = errors
        going = rises[on] < path.patience
        if not going.all():
            chunk.keep(going)
            on = on[going]
        if len(on) == 0:
            break
    return _Walk(best, largest * ratios[position], error, error_at_zero, position)
