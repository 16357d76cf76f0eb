"""Gradient steps: one loop for every objective that is a weighted sum over points plus a penalty."""

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from typing_extensions import override

from pipeline.core.arrays import Indices
from pipeline.core.seeds import generator
from pipeline.core.settings.neutral import setting
from pipeline.studies.convex.problems.constants import extreme_singular_values
from pipeline.studies.convex.problems.problem import ALL, ConvexFeatures, ConvexOutputs, ConvexProblem, Theta
from pipeline.studies.convex.removals.base import Removal, RemovalRequest, Trajectory


@dataclass(frozen=True, kw_only=True, eq=False)
class DescentObjective:
    """The objective Σᵢ fᵢ(xᵢᵀθ) + penalty·‖θ‖².

    slopes(outputs, ids) returns the derivatives of fᵢ at the outputs of the points in ids. smoothness is an
    upper bound on the curvature of the objective.
    """

    features: ConvexFeatures
    slopes: Callable[[ConvexOutputs, Indices | slice], ConvexOutputs]
    penalty: float
    smoothness: float

    @property
    def n_points(self) -> int:
        """The number of points that a full gradient reads."""
        return len(self.features)

    def gradient(self, theta: Theta, ids: Indices | None = None) -> Theta:
        """Return the gradient, or its unbiased estimate from the points in ids."""
        rows: Indices | slice = ALL if ids is None else ids
        features = self.features[rows]
        return (
            features.T @ self.slopes(features @ theta, rows) * (self.n_points / len(features))
            + 2 * self.penalty * theta
        )


def loss_of(problem: ConvexProblem) -> DescentObjective:
    """Return the objective that a problem minimises."""
    largest, _ = extreme_singular_values(problem.features)
    return DescentObjective(
        features=problem.features,
        slopes=problem.slopes,
        penalty=problem.penalty,
        smoothness=problem.curvature * largest**2 + 2 * problem.penalty,
    )


def matching_objective(features: ConvexFeatures, targets: ConvexOutputs) -> DescentObjective:
    """Return ‖features·θ − targets‖².

    It has no penalty, because the targets already include its effect.
    """
    largest, _ = extreme_singular_values(features)
    return DescentObjective(
        features=features,
        slopes=lambda outputs, ids: 2 * (outputs - targets[ids]),
        penalty=0.0,
        smoothness=2 * largest**2,
    )


class DescentRemoval(Removal):
    """Takes n_steps gradient steps; the step size is `step` divided by a bound on the curvature.

    With full batches, `step` = 1 never overshoots, and `step` < 2 never diverges. The bound is the largest
    curvature anywhere, so a larger `step` also works where the curvature is smaller. If batch_size is set,
    each step uses that many points, drawn anew without replacement. If n_records is set, only about that many
    steps are recorded, evenly spaced on a logarithmic scale. The last step is always recorded.
    """

    n_steps: int = setting(neutral=100, ge=1, le=1_000_000)
    step: float = setting(neutral=1.0, gt=0, le=1e6)
    batch_size: int | None = setting(neutral=None, ge=1, le=10_000_000)
    n_records: int | None = setting(neutral=None, ge=1, le=1_000_000)

    @abstractmethod
    def objective(self, request: RemovalRequest) -> DescentObjective:
        """Return the objective to descend."""

    def constraint(self, request: RemovalRequest) -> Callable[[Theta], Theta]:
        """Return the function that makes theta after a step an allowed theta; by default the identity."""
        return lambda theta: theta

    @override
    def remove(self, request: RemovalRequest) -> Trajectory:
        """Return the trajectory from the start; a descent that diverges ends with infinities."""
        objective = self.objective(request)
        size = objective.n_points if self.batch_size is None else min(self.batch_size, objective.n_points)
        rng, length, allowed = (
            generator("removal", self.name, request.seed),
            self.step / objective.smoothness,
            self.constraint(request),
        )
        theta, records, kept = request.start, [request.start], self._recorded()
        with np.errstate(over="ignore", invalid="ignore"):
            for number in range(1, self.n_steps + 1):
                ids = (
                    None
                    if size == objective.n_points
                    else rng.choice(objective.n_points, size, replace=False)
                )
                theta = allowed(theta - length * objective.gradient(theta, ids))
                if number in kept:
                    records.append(theta)
        steps = np.array([0, *sorted(kept)])
        return Trajectory(thetas=np.stack(records), steps=steps, evaluations=size * steps)

    def _recorded(self) -> set[int]:
        if self.n_records is None:
            return set(range(1, self.n_steps + 1))
        return {self.n_steps} | set(np.geomspace(1, self.n_steps, self.n_records).astype(int).tolist())
