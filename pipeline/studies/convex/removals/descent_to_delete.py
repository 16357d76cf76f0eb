"""Descent-to-delete: a few gradient steps on the retained points, then noise.

The noise hides the distance that is left to the retrained model.
"""

from typing import ClassVar

import numpy as np
from typing_extensions import override

from pipeline.core.seeds import generator
from pipeline.core.settings.neutral import setting
from pipeline.studies.convex.guarantees.certificates import Promise, descent_noise, minimiser_shift
from pipeline.studies.convex.problems.constants import constants_of
from pipeline.studies.convex.removals.base import Removal, RemovalRequest, Trajectory
from pipeline.studies.convex.removals.descent import loss_of


class DescentToDelete(Removal):
    """Descends the loss of the retained points, and publishes the last iterate plus noise for (ε, δ).

    Each theta of the trajectory has the noise that it needs if it is the one to be published.
    `assumed_forgotten` is the number of points that the noise is calibrated for. By default it is the number
    of forgotten points; a smaller number makes the promise invalid. With the strong convexity m and the
    smoothness M, a step has the length 2/(m + M). It leaves at most (M − m)/(M + m) of the distance to the
    minimiser. Source: Neel, Roth and Sharifi-Malvajerdi 2021.
    """

    name: ClassVar[str] = "descent_to_delete"

    n_steps: int = setting(neutral=100, ge=1, le=1_000_000)
    epsilon: float = setting(neutral=1.0, gt=0, le=1e6)
    delta: float = setting(neutral=1e-3, gt=0, lt=1)
    assumed_forgotten: int | None = setting(neutral=None, ge=1, le=10_000_000)

    @override
    def remove(self, request: RemovalRequest) -> Trajectory:
        constants, objective = constants_of(request.problem), loss_of(request.retained)
        shift = minimiser_shift(constants, self.assumed_forgotten or len(request.forget))
        promise, secret = Promise(epsilon=self.epsilon, delta=self.delta), request.start
        noise = generator("removal", self.name, request.seed).standard_normal(request.start.shape)
        thetas = [request.start]
        for n_steps in range(1, self.n_steps + 1):
            secret = secret - 2 / (constants.strong_convexity + constants.smoothness) * objective.gradient(
                secret
            )
            thetas.append(secret + descent_noise(constants.contraction, n_steps, shift, promise) * noise)
        steps = np.arange(self.n_steps + 1)
        return Trajectory(thetas=np.stack(thetas), steps=steps, evaluations=objective.n_points * steps)
