"""LASSO problems of many outputs at once, solved by accelerated proximal gradients on torch.

Nearly all work is matrix products, so it runs on a GPU if there is one. The Gram matrix is kept only if it is
not larger than the masks. Otherwise a product with it is computed as two products with the masks.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor
from typing_extensions import override

from pipeline.attribution.lasso.penalty_path import SAFE, Chunk, Heldout, PointRows, Solver, SparseWeights
from pipeline.core.arrays import Masks, Outputs, PerOutput

_MOST_STEPS = 3000
# Steps between checks of the gaps.
LOOK = 4
POWER_STEPS = 50
# The power method may find too small a largest eigenvalue, and steps may then be too long to converge. So its
# result is multiplied by this factor.
SURELY = 1.05


@dataclass(frozen=True)
class _Design:
    """The masks (n_models, n_train) as numbers on some device, and what all problems on them share."""

    masks: Tensor

    @cached_property
    def mean(self) -> Tensor:
        """The share of models that keep each point."""
        return self.masks.mean(dim=0)

    @cached_property
    def gram(self) -> Tensor | None:
        """The covariance of the masks, or None if that is larger than the masks."""
        if self.masks.shape[1] > len(self.masks):
            return None
        return self.masks.T @ self.masks / len(self.masks) - torch.outer(self.mean, self.mean)

    @cached_property
    def steepness(self) -> float:
        """The largest eigenvalue of the covariance."""
        vector = torch.randn(1, self.masks.shape[1], generator=torch.Generator().manual_seed(0)).to(
            self.masks
        )
        for _ in range(POWER_STEPS):
            vector = self.times_gram(vector / vector.norm())
        return SURELY * float(vector.norm())

    def times_gram(self, weights: Tensor) -> Tensor:
        """Return weights (n_outputs, n_train) times the covariance of the masks."""
        if self.gram is not None:
            return weights @ self.gram
        predicted = weights @ self.masks.T
        return (predicted - predicted.mean(dim=1, keepdim=True)) @ self.masks / len(self.masks)


class Batched(Solver):
    """A solver that holds the masks on the device, as float32, or as float64 if exact is True."""

    def __init__(
        self, masks: Masks, heldout: Heldout, *, exact: bool = False, device: str | None = None
    ) -> None:
        self.device = device or ("cuda" if torch.cuda.is_available() else "cpu")
        self.dtype = torch.float64 if exact else torch.float32
        self.heldout = heldout
        self.left_in, self.all = _Design(self._tensor(masks[~heldout])), _Design(self._tensor(masks))
        self.left_out = self._tensor(masks[heldout]) - self.left_in.mean

    @override
    def on_path(self, outputs: Outputs) -> "BatchedChunk":
        left_in = outputs[~self.heldout]
        missed = outputs[self.heldout] - left_in.mean(axis=0, dtype=np.float64)
        weights = np.zeros((outputs.shape[1], self.left_out.shape[1]), np.float32)
        return BatchedChunk(
            self.left_in,
            self._centred(left_in),
            self._tensor(weights),
            (self.left_out, self._tensor(missed.T)),
        )

    @override
    def on_all(self, outputs: Outputs, weights: SparseWeights) -> "BatchedChunk":
        return BatchedChunk(self.all, self._centred(outputs), self._tensor(weights), None)

    def _centred(self, outputs: Outputs) -> Tensor:
        return self._tensor((outputs - outputs.mean(axis=0, dtype=np.float64)).T)

    def _tensor(self, values: np.ndarray) -> Tensor:
        return torch.tensor(values, dtype=self.dtype, device=self.device)


class BatchedChunk(Chunk):
    """A chunk on the device.

    state holds tensors with one row for each output. In it, beta holds the weights, slope the gradient Xᵀr/m
    of the residuals r, and missed the centred outputs of the models left out. compiled_steps explains
    correlations and power.
    """

    def __init__(
        self, design: _Design, centred: Tensor, weights: Tensor, left_out: tuple[Tensor, Tensor] | None
    ) -> None:
        self.design = design
        correlations = centred @ design.masks / len(design.masks)
        power = centred.double().square().mean(dim=1)
        self.state = {
            "correlations": correlations,
            "power": power,
            "beta": weights,
            "slope": correlations - design.times_gram(weights),
        }
        if left_out is not None:
            self.left_out, self.state["missed"] = left_out

    @override
    def largest(self) -> PerOutput:
        return self.state["correlations"].abs().amax(dim=1).double().cpu().numpy()

    @override
    def weights(self) -> SparseWeights:
        return self.state["beta"].float().cpu().numpy()

    @override
    def errors(self) -> PerOutput:
        residuals = self.state["missed"] - self.state["beta"] @ self.left_out.T
        return residuals.double().square().mean(dim=1).cpu().numpy()

    @override
    def keep(self, rows: PointRows) -> None:
        kept = torch.tensor(np.flatnonzero(rows), device=self.state["beta"].device)
        self.state = {name: values[kept] for name, values in self.state.items()}

    @override
    def solve(self, penalty: PerOutput, previous: PerOutput, tolerance: float) -> PerOutput:
        """Solve each output by FISTA (Beck and Teboulle 2009); return the gaps.

        The momentum is dropped where it points uphill (O'Donoghue and Candès 2015).
        """
        state = self.state
        gaps = torch.empty(len(penalty), dtype=torch.float64, device=state["beta"].device)
        rows, bar = torch.arange(len(gaps), device=gaps.device), torch.tensor(penalty, device=gaps.device)
        walk = _Walk(self.design, state["correlations"], bar, state["beta"], state["slope"])
        for step in range(0, _MOST_STEPS + 1, LOOK):
            now = _relative_gaps(walk.correlations, walk.beta, walk.slope, walk.penalty, state["power"][rows])
            on = (now > SAFE * tolerance) & (step < _MOST_STEPS)
            if not on.all():
                ended = rows[~on]
                state["beta"][ended], state["slope"][ended], gaps[ended] = (
                    walk.beta[~on],
                    walk.slope[~on],
                    now[~on],
                )
                rows = rows[on]
                walk.keep(on)
            if len(rows) == 0:
                break
            for _ in range(LOOK):
                walk.step()
        return gaps.cpu().numpy()


class _Walk:
    """The state of FISTA for some outputs, each at one penalty.

    It holds the weights and gradients of this step and of the step before. age (n_outputs, 1) is the sequence
    from which FISTA derives its momentum; it restarts at 1 when the momentum is dropped.
    """

    def __init__(
        self, design: _Design, correlations: Tensor, penalty: Tensor, beta: Tensor, slope: Tensor
    ) -> None:
        self.design, self.correlations, self.penalty = design, correlations, penalty
        self.beta, self.slope, self.last_beta, self.last_slope = beta, slope, beta, slope
        self.age = torch.ones_like(beta[:, :1])

    def keep(self, rows: Tensor) -> None:
        """Drop all outputs that rows does not mark."""
        for name in ("correlations", "penalty", "beta", "slope", "last_beta", "last_slope", "age"):
            setattr(self, name, getattr(self, name)[rows])

    def step(self) -> None:
        """Take one step of FISTA."""
        older = (1 + (1 + 4 * self.age**2).sqrt()) / 2
        momentum = (self.age - 1) / older
        # `ahead` is the point that momentum leads to. The gradient is linear in the weights, so its value
        # there follows from the last two gradients without a matrix product.
        ahead = self.beta + momentum * (self.beta - self.last_beta)
        slope = self.slope + momentum * (self.slope - self.last_slope)
        self.last_beta, self.last_slope = self.beta, self.slope
        bound = (self.penalty / self.design.steepness)[:, None].to(ahead.dtype)
        self.beta = _shrunk(ahead + slope / self.design.steepness, bound)
        self.slope = self.correlations - self.design.times_gram(self.beta)
        uphill = ((ahead - self.beta) * (self.beta - self.last_beta)).sum(dim=1, keepdim=True) > 0
        self.age = torch.where(uphill, torch.ones_like(older), older)


def _shrunk(values: Tensor, bound: Tensor) -> Tensor:
    """Return values moved towards 0 by bound (n_outputs, 1), but not past 0."""
    return values - values.clamp(-bound, bound)


def _relative_gaps(
    correlations: Tensor, weights: Tensor, slope: Tensor, penalty: Tensor, power: Tensor
) -> Tensor:
    """Return the duality gap of each output divided by its objective at zero weights.

    The formula is that of compiled_steps.relative_gap.
    """
    inner = power - (correlations * weights).sum(dim=1, dtype=torch.float64)
    squares = inner - (slope * weights).sum(dim=1, dtype=torch.float64)
    feasible = penalty / slope.abs().amax(dim=1)
    scale = torch.minimum(torch.maximum(inner / squares, -feasible), feasible)
    primal = squares / 2 + penalty * weights.abs().sum(dim=1, dtype=torch.float64)
    gaps = (primal - scale * inner + scale**2 * squares / 2) / (power / 2)
    return torch.where((squares <= 0) | (power <= 0), torch.zeros_like(gaps), gaps)
