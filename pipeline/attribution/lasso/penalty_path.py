"""LASSO datamodels of many outputs, each fitted along a path of falling penalties.

The path of an output starts at its own largest penalty. The penalty is chosen on models left out; then the
output is refitted on all models. The problem of an output y is min 1/(2m) ‖b + Xβ − y‖² + λ‖β‖₁ over raw 0/1
masks X (m, n_train) of m models; the intercept b is not penalised. This file decides which problems are
solved and when the path of an output ends; a `Solver` solves them.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float, Int

from pipeline.core.arrays import Masks, Outputs, PerOutput

# Number of outputs solved together: enough for efficient matrix products, few enough that their arrays stay
# in the cache.
_CHUNK = 256
# Along the path, duality gaps need not be below this tolerance, because the path only serves to find the best
# penalty. The refit at that penalty uses the requested tolerance.
PATH_TOLERANCE = 1e-4
# Float32 resolves gaps only to 2e-6. So solvers bring gaps below SAFE × tolerance, and use float64 if the
# tolerance is below FLOAT32.
SAFE, FLOAT32 = 0.97, 1e-5

SparseWeights = Float[np.ndarray, "n_outputs n_train"]
PointRows = Bool[np.ndarray, " n_rows"]
Heldout = Bool[np.ndarray, " n_models"]


@dataclass(frozen=True, kw_only=True)
class Path:
    """The penalties of an output: n_penalties, evenly spaced in their logarithm.

    They start at the largest penalty of the output, at which all weights are 0, and end at `smallest` times
    it. No smaller penalties are tried for an output after its error on held-out models has risen at
    `patience` penalties in a row. tolerance: the relative duality gap.
    """

    n_penalties: int = 20
    smallest: float = 1e-2
    patience: int = 3
    tolerance: float = 1e-4

    def ratios(self) -> Float[np.ndarray, " n_penalties"]:
        """Return the penalties divided by the largest one."""
        return np.geomspace(1.0, self.smallest, self.n_penalties)


@dataclass(frozen=True, kw_only=True)
class LassoFit:
    """The fit of each output; weights and intercept are for raw 0/1 masks.

    gap: the duality gap at penalty, divided by the objective at zero weights, which is 1/2 of the output's
    variance. It is an upper bound on the distance of the objective from its minimum. error: mean squared
    error at penalty on the models left out of the path. error_at_zero: the same with zero weights. position:
    the index of the chosen penalty on the path.
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
    """Some outputs that are being solved at falling penalties; their arrays may be on any device.

    All arguments and results hold one entry or row for each output that is still in the chunk.
    """

    def largest(self) -> PerOutput:
        """Return the least penalty at which all weights are 0."""
        ...

    def solve(self, penalty: PerOutput, previous: PerOutput, tolerance: float) -> PerOutput:
        """Solve each output at its penalty and return the relative duality gaps.

        A gap is at most tolerance, unless the solver reaches its limit of steps first. Each output starts
        from its current weights, which solve it at the penalty in previous.
        """
        ...

    def errors(self) -> PerOutput:
        """Return the mean squared error of each output on the models left out."""
        ...

    def keep(self, rows: PointRows) -> None:
        """Drop all outputs from the chunk that rows does not mark."""
        ...

    def weights(self) -> SparseWeights:
        """Return the current weights."""
        ...


class Solver(ABC):
    """Solves LASSO problems on the models that `heldout` does not mark, and on all models."""

    @abstractmethod
    def on_path(self, outputs: Outputs) -> Chunk:
        """Return a chunk of outputs at zero weights, to be solved on the models that heldout does not mark.

        outputs (n_models, n_outputs) are given for all models, so that the chunk can return errors on the
        models left out.
        """

    @abstractmethod
    def on_all(self, outputs: Outputs, weights: SparseWeights) -> Chunk:
        """Return a chunk of outputs (n_models, n_outputs) at weights, to be solved on all models."""


def fit_path(solver: Solver, masks: Masks, outputs: Outputs, path: Path) -> LassoFit:
    """Return the LASSO datamodels of outputs, each at the penalty that predicts best.

    Outputs (n_models, n_outputs) must be finite. Masks are (n_models, n_train).
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
    # Subtracting the first model's output gives exact zeros for an output that never varies. Subtracting the
    # mean would leave rounding errors, which the solver would then fit.
    shifted = outputs - outputs[0].astype(np.float64)
    walk = _walk(solver.on_path(shifted), path)
    chunk = solver.on_all(shifted, walk.weights)
    # The penalty is 0 for an output that did not vary over the models of the path. Such an output takes the
    # largest penalty over all models, at which its weights are 0.
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
    """Solve outputs along their paths, and return each at the penalty with the least error.

    The error is the one on the models left out of the path.
    """
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
