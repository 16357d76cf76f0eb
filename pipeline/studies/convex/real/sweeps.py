"""Results on real data when one thing changes: the penalty, the forgotten share, or the spectrum."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from jaxtyping import Float

from pipeline.studies.convex.problems.constants import (
    SINGULAR_ROUNDING,
    constants_of,
    unit_norm,
    with_spectrum,
)
from pipeline.studies.convex.real.real_study import Data, DataStudy
from pipeline.studies.convex.removals import REMOVALS
from pipeline.studies.convex.removals.base import RemovalRequest

SweepFactor = Literal["penalty", "forget_fraction", "spectrum_power"]
# Removals that take a single step.
JUMPING_REMOVALS = ("newton", "influence", "projective_residual")
# R to which full-batch steps are counted, and the largest number of steps that is searched.
SWEEP_TARGET = 0.1
MOST_SWEEP_STEPS = 10**7

SweepSpectrum = Float[np.ndarray, " n_directions"]


@dataclass(frozen=True, kw_only=True)
class SweepCell:
    """The results at one value of one factor: R of removals with a single step, and steps to R = 0.1.

    steps holds the full-batch steps of gradient descent and of Oracle Matching to R = 0.1, or None beyond ten
    million. condition is the bound on smoothness divided by the bound on strong convexity. features_condition
    is the ratio of the largest to the smallest singular value that is not 0.
    """

    factor: SweepFactor
    value: float
    n_forget: int
    condition: float
    features_condition: float
    shares: Mapping[str, float]
    steps: Mapping[str, int | None]


def sweep(data: Data, settings: DataStudy) -> Iterator[SweepCell]:
    """Yield the cells of each factor by increasing value, the value of the study itself included."""
    for penalty in sorted({settings.penalty, *settings.penalties}):
        yield cell(replace(data, train=replace(data.train, penalty=penalty)), settings, "penalty", penalty)
    for fraction in sorted({settings.forget_fraction, *settings.forget_fractions}):
        yield cell(data, settings, "forget_fraction", fraction)
    for power in sorted({1.0, *settings.spectrum_powers}):
        features = unit_norm(with_spectrum(data.train.features, power))
        yield cell(
            replace(data, train=replace(data.train, features=features)), settings, "spectrum_power", power
        )


def cell(data: Data, settings: DataStudy, factor: SweepFactor, value: float) -> SweepCell:
    """Return the results at one value of one factor."""
    request = data.request(settings, value if factor == "forget_fraction" else None)
    oracle, apart = request.wanted_oracle(), float(np.square(request.start - request.wanted_oracle()).sum())
    ends = {name: REMOVALS.build({"name": name}).remove(request).last for name in JUMPING_REMOVALS}
    values = np.linalg.svd(request.problem.features, compute_uv=False)
    return SweepCell(
        factor=factor,
        value=value,
        n_forget=len(request.forget),
        condition=constants_of(request.problem).condition,
        features_condition=float(values[0] / values[values > SINGULAR_ROUNDING * values[0]][-1]),
        shares={name: float(np.square(end - oracle).sum()) / apart for name, end in ends.items()},
        steps={"gradient_descent": descent_steps(request), "oracle_matching": matching_steps(request)},
    )


def descent_steps(request: RemovalRequest) -> int | None:
    """Return the steps of gradient descent to R = 0.1 on the quadratic at the retrained minimiser.

    Each step is as long as the curvature there allows. For small changes the loss is nearly this quadratic.
    On the quadratic, ten million steps cost only one eigendecomposition.
    """
    oracle = request.wanted_oracle()
    values, vectors = np.linalg.eigh(request.retained.hessian(oracle))
    return steps_to(values / values[-1], np.square(vectors.T @ (request.start - oracle).ravel()))


def matching_steps(request: RemovalRequest) -> int | None:
    """Return the exact steps of oracle matching on all points to R = 0.1.

    Matching is quadratic everywhere.
    """
    _, values, directions = np.linalg.svd(request.problem.features, full_matrices=False)
    along = np.square(directions @ (request.start - request.wanted_oracle())).sum(axis=1)
    return steps_to(np.square(values / values[0]), along)


def steps_to(rates: SweepSpectrum, weights: SweepSpectrum) -> int | None:
    """Return the first t with Σ w(1 − rate)^(2t) ≤ 0.1·Σ w, for rates in [0, 1]; None beyond ten million."""

    def left(t: int) -> float:
        return float((weights * (1 - rates) ** (2.0 * t)).sum())

    low, high, wanted = 0, 1, SWEEP_TARGET * float(weights.sum())
    while left(high) > wanted:
        low, high = high, 2 * high
        if low > MOST_SWEEP_STEPS:
            return None
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if left(middle) > wanted else (low, middle)
    return high
