"""Coordinate descent on the Gram matrix of the masks, for the LASSO problems of many outputs on one core.

An output to which few points matter is solved on those points alone. Outputs to which many points matter are
solved together, in sweeps over blocks of points, where the work is matrix products; this is faster than
solving them one by one. float32 is enough for gaps down to 1e-5; for smaller gaps, gradients are computed
again in float64.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float
from scipy.linalg.blas import sgemm
from typing_extensions import override

from pipeline.attribution.lasso import compiled_steps, compiled_sweeps
from pipeline.attribution.lasso.penalty_path import (
    FLOAT32,
    SAFE,
    Chunk,
    Heldout,
    PointRows,
    Solver,
    SparseWeights,
)
from pipeline.core.arrays import Indices, Masks, Outputs, PerOutput, PerTrain

# An output is solved on its own set of points if this set holds at most this share of all points. All values
# from 0.3 to 0.5 are equally fast within 10 %.
OWN_SET = 0.4
# If at most this share of an output's weights differs from 0, its product with a matrix is faster point by
# point than as a matrix product.
SPARSE = 0.2
BLOCK = 64
# Sweeps after which gradients are computed anew. In between they are updated, and rounding errors add up.
REFRESH = 16
MOST_SWEEPS = 480
# A move that accelerates the sweeps must lower the objective by at least this share of the wanted gap; a
# smaller fall may be a rounding error.
LEAST_FALL = 1e-4


@dataclass(frozen=True)
class _Design:
    """The masks as numbers, and the number of models that keep both points of a pair.

    masks (n_models, n_train). counts (n_train, n_train) are float32, which is exact below 16 million models.
    """

    masks: Float[np.ndarray, "n_models n_train"]
    counts: Float[np.ndarray, "n_train n_train"]

    @cached_property
    def mean(self) -> PerTrain:
        """The share of models that keep each point."""
        return self.masks.mean(axis=0, dtype=np.float64)

    @cached_property
    def gram(self) -> Float[np.ndarray, "n_train n_train"]:
        """The covariance of the masks, float32."""
        mean = self.mean.astype(np.float32)
        return self.counts / np.float32(len(self.masks)) - np.outer(mean, mean)

    @cached_property
    def exact_gram(self) -> Float[np.ndarray, "n_train n_train"]:
        """The covariance of the masks in float64."""
        return self.counts.astype(np.float64) / len(self.masks) - np.outer(self.mean, self.mean)


class Coordinate(Solver):
    """A solver that holds masks, counts and Gram matrices (n_train, n_train) as float32.

    It holds counts and a Gram matrix twice: for the models that `heldout` does not mark, and for all models.
    """

    def __init__(self, masks: Masks, heldout: Heldout) -> None:
        numbers = masks.astype(np.float32)
        left_in, left_out = numbers[~heldout], numbers[heldout]
        counts = left_in.T @ left_in
        self.heldout = heldout
        self.left_in = _Design(left_in, counts)
        self.all = _Design(numbers, counts + left_out.T @ left_out)
        self.left_out = np.ascontiguousarray((left_out - self.left_in.mean.astype(np.float32)).T)

    @override
    def on_path(self, outputs: Outputs) -> "CoordinateChunk":
        left_in = outputs[~self.heldout]
        missed = np.ascontiguousarray(
            (outputs[self.heldout] - left_in.mean(axis=0, dtype=np.float64)).T, np.float32
        )
        weights = np.zeros((outputs.shape[1], len(self.left_out)), np.float32)
        return CoordinateChunk(self.left_in, left_in, weights, self.left_out, missed)

    @override
    def on_all(self, outputs: Outputs, weights: SparseWeights) -> "CoordinateChunk":
        return CoordinateChunk(
            self.all, outputs, weights, self.left_out[:, :0], np.empty((len(weights), 0), np.float32)
        )


class CoordinateChunk(Chunk):
    """A chunk in memory.

    All arrays but left_out have one row for each output. centred holds the outputs of the fitted models less
    their mean, missed those of the models left out, and beta the weights; compiled_steps explains the other
    names. left_out (n_train, n_left_out) holds the centred masks of the models left out.
    """

    def __init__(
        self,
        design: _Design,
        outputs: Outputs,
        weights: SparseWeights,
        left_out: np.ndarray,
        missed: np.ndarray,
    ) -> None:
        self.design, self.left_out, self.missed = design, left_out, missed
        self.centred = np.ascontiguousarray((outputs - outputs.mean(axis=0, dtype=np.float64)).T)
        self.power = np.square(self.centred).mean(axis=1)
        self.correlations = self.centred.astype(np.float32) @ design.masks / np.float32(len(design.masks))
        self.beta = weights.copy()
        self.gradients = np.empty_like(self.correlations)
        self._subtract(design.gram, self.correlations, self.gradients)

    @override
    def largest(self) -> PerOutput:
        return np.abs(self.correlations).max(axis=1).astype(np.float64)

    @override
    def weights(self) -> SparseWeights:
        return self.beta

    @override
    def errors(self) -> PerOutput:
        residuals = np.empty_like(self.missed)
        self._subtract(self.left_out, self.missed, residuals)
        return np.square(residuals).mean(axis=1, dtype=np.float64)

    @override
    def keep(self, rows: PointRows) -> None:
        for name in ("missed", "centred", "power", "correlations", "beta", "gradients"):
            setattr(self, name, getattr(self, name)[rows])

    @override
    def solve(self, penalty: PerOutput, previous: PerOutput, tolerance: float) -> PerOutput:
        gram, bar = self.design.gram, penalty.astype(np.float32)
        gaps, goal = np.empty(len(penalty)), max(SAFE * tolerance, FLOAT32)
        cut, largest_set = (2 * penalty - previous).astype(np.float32), int(OWN_SET * len(gram)) + 1
        compiled_steps.descend_sets(
            gram, self.correlations, self.power, bar, cut, self.beta, self.gradients, goal, largest_set, gaps
        )
        dense = np.flatnonzero(gaps > goal)
        if len(dense):
            self.gradients[dense] = self.correlations[dense] - self.beta[dense] @ gram
            gaps[dense] = self._sweep(dense, bar[dense], goal, MOST_SWEEPS)
        rest = np.flatnonzero((gaps > tolerance) | (tolerance < FLOAT32))
        if len(rest):
            gaps[rest] = self._finish(rest, penalty[rest], tolerance)
        return gaps

    def _sweep(self, rows: Indices, penalty: np.ndarray, goal: float, most: int) -> PerOutput:
        """Sweep over all points until the gaps of the outputs in rows are at most goal; return the gaps.

        At most `most` sweeps are made.
        """
        gram, gaps = self.design.gram, np.empty(len(rows))
        c, power, b, q, bar = (
            self.correlations[rows],
            self.power[rows],
            self.beta[rows],
            self.gradients[rows],
            penalty,
        )
        step, left = (np.zeros_like(b), np.zeros_like(b)), np.arange(len(rows))
        for sweep in range(most + 1):
            now = np.empty(len(left))
            compiled_steps.relative_gaps(c, b, q, bar, power, now)
            gaps[left] = now
            on = (now > goal) & (sweep < most)
            if not on.all():
                self.beta[rows[left[~on]]], self.gradients[rows[left[~on]]] = b[~on], q[~on]
                left, c, power, b, q, bar = left[on], c[on], power[on], b[on], q[on], bar[on]
                step = (step[0][on], step[1][on])
            if len(left) == 0:
                break
            if sweep % REFRESH == REFRESH - 1:
                q = c - b @ gram
            before = (b.copy(), q.copy())
            _sweep_blocks(gram, b, q, bar)
            compiled_sweeps.accelerate(c, power, bar, before, b, q, step, LEAST_FALL * goal)
        return gaps

    def _finish(self, rows: Indices, penalty: PerOutput, tolerance: float) -> PerOutput:
        """Bring the gaps of the outputs in rows down to tolerance; return the gaps.

        Gaps and the gradients before each group of sweeps are computed in float64.
        """
        gram, bar, n_models = self.design.exact_gram, penalty.astype(np.float32), len(self.design.masks)
        correlations, gaps = (
            _exact_product(self.centred[rows], self.design.masks) / n_models,
            np.empty(len(rows)),
        )
        for _ in range(MOST_SWEEPS // REFRESH):
            gradients = correlations - self.beta[rows] @ gram
            compiled_steps.relative_gaps(
                correlations, self.beta[rows], gradients, penalty, self.power[rows], gaps
            )
            on = gaps > tolerance
            if not on.any():
                break
            self.gradients[rows] = gradients
            self._sweep(rows[on], bar[on], tolerance / 4, REFRESH - 1)
        return gaps

    def _subtract(self, matrix: np.ndarray, start: np.ndarray, result: np.ndarray) -> None:
        """Write start − weights·matrix to result, by the faster of two methods."""
        sparse = np.count_nonzero(self.beta, axis=1) <= SPARSE * self.beta.shape[1]
        if sparse.all():
            compiled_steps.subtract_all_rows(matrix, self.beta, start, result)
        else:
            np.subtract(start, self.beta @ matrix, out=result)


def _sweep_blocks(gram: np.ndarray, weights: np.ndarray, gradients: np.ndarray, penalty: np.ndarray) -> None:
    """Descend every coordinate of all outputs once, in place, block by block."""
    for first in range(0, len(gram), BLOCK):
        rows = gram[first : first + BLOCK]
        changes = np.empty((len(weights), len(rows)), np.float32)
        compiled_sweeps.descend_block(
            np.ascontiguousarray(rows[:, first : first + BLOCK]), weights, gradients, penalty, first, changes
        )
        # BLAS reads arrays by columns, hence the transposes. The call subtracts changes·rows from gradients
        # without a second array of their size.
        sgemm(-1.0, rows.T, changes.T, 1.0, gradients.T, overwrite_c=1)


def _exact_product(rows: np.ndarray, masks: np.ndarray) -> np.ndarray:
    """Return rows (n_outputs, n_models) times masks (n_models, n_train) in float64.

    Only few masks are held as float64 at once.
    """
    total = np.zeros((len(rows), masks.shape[1]))
    for start in range(0, len(masks), 1024):
        total += rows[:, start : start + 1024] @ masks[start : start + 1024].astype(np.float64)
    return total
