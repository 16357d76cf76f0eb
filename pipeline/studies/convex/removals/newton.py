"""Newton's step on the retained points, as in certified removal: second-order unlearning."""

from typing import ClassVar

import numpy as np
from typing_extensions import override

from pipeline.core.settings.neutral import setting
from pipeline.studies.convex.problems.problem import solve
from pipeline.studies.convex.removals.base import Removal, RemovalRequest, Trajectory


class Newton(Removal):
    """Returns θ + H_R⁻¹ Σ_F ∇ℓ, with H_R the Hessian of the retained points; this is exact for ridge.

    F are the forgotten points. With more than one step, each starts where the last one ended. Certified
    removal adds noise to the objective before training; the noise hides the gradient that the step leaves,
    see pipeline.studies.convex.guarantees.certificates. The first step reads only the forgotten points,
    because the Hessian of all points is computed before the request. Source: Guo et al. 2020.
    """

    name: ClassVar[str] = "newton"

    n_steps: int = setting(neutral=1, ge=1, le=10_000)

    @override
    def remove(self, request: RemovalRequest) -> Trajectory:
        n_parameters, n_forget, n_retain = request.start.size, len(request.forget), len(request.retain)
        hessian = request.hessian - request.forgotten.loss_hessian(request.start)
        thetas, spent = (
            [request.start, request.start + solve(hessian, request.lost_gradient)],
            [0, n_forget * (1 + n_parameters)],
        )
        for _ in range(1, self.n_steps):
            thetas.append(
                thetas[-1]
                - solve(request.retained.hessian(thetas[-1]), request.retained.gradient(thetas[-1]))
            )
            spent.append(spent[-1] + n_retain * (1 + n_parameters))
        return Trajectory(
            thetas=np.stack(thetas), steps=np.arange(self.n_steps + 1), evaluations=np.array(spent)
        )
