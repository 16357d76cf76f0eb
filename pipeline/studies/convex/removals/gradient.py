"""Gradient methods that use no oracle.

They are gradient descent, projected descent, and descent with ascent on the forgotten points.
"""

from collections.abc import Callable
from math import sqrt
from typing import ClassVar

import numpy as np
from typing_extensions import override

from pipeline.core.arrays import Indices
from pipeline.core.settings.neutral import setting
from pipeline.studies.convex.problems.problem import ConvexOutputs, Theta
from pipeline.studies.convex.removals.base import RemovalRequest
from pipeline.studies.convex.removals.descent import DescentObjective, DescentRemoval, loss_of


class GradientDescent(DescentRemoval):
    """Descends the objective of the retained points.

    It converges to the retrained minimiser, but it is slow in directions where only the penalty removes the
    effect of the forgotten points.
    """

    name: ClassVar[str] = "gradient_descent"

    @override
    def objective(self, request: RemovalRequest) -> DescentObjective:
        return loss_of(request.retained)


class ProjectedGradient(GradientDescent):
    """Gradient descent that returns to a ball about zero after each step.

    The default radius is √(L(0)/λ), with L(0) the retained objective at zero. This ball always holds the
    minimiser.
    """

    name: ClassVar[str] = "projected_gd"

    radius: float | None = setting(neutral=None, gt=0, le=1e9)

    @override
    def constraint(self, request: RemovalRequest) -> Callable[[Theta], Theta]:
        retained = request.retained
        radius = self.radius or sqrt(retained.value(np.zeros_like(request.start)) / retained.penalty)
        return lambda theta: theta * min(1.0, radius / max(float(np.linalg.norm(theta)), radius))


class GradientAscentRemoval(DescentRemoval):
    """Descends the retained objective less `forget_weight` times the loss of the forgotten points.

    This is gradient descent and ascent (GDA) of Georgiev et al. 2025. The retrained minimiser is in general
    not a minimum of this objective.
    """

    name: ClassVar[str] = "gradient_ascent"

    n_steps: int = setting(neutral=20, ge=1, le=1_000_000)
    forget_weight: float = setting(neutral=1.0, gt=0, le=1e9)

    @override
    def objective(self, request: RemovalRequest) -> DescentObjective:
        problem = request.problem
        weights = np.ones((problem.n_points, 1))
        weights[request.forget] = -self.forget_weight

        def slopes(outputs: ConvexOutputs, ids: Indices | slice) -> ConvexOutputs:
            return weights[ids] * problem.slopes(outputs, ids)

        return DescentObjective(
            features=problem.features,
            slopes=slopes,
            penalty=problem.penalty,
            smoothness=loss_of(problem).smoothness,
        )
