"""Influence functions: a Newton step with the Hessian of all points.

The curvature of the forgotten points stays in this Hessian.
"""

from typing import ClassVar

from typing_extensions import override

from pipeline.studies.convex.removals.base import Removal, RemovalRequest, Trajectory, one_step


class InfluenceRemoval(Removal):
    """Returns θ + H⁻¹ Σ_F ∇ℓ, with H the Hessian of all points and F the forgotten points.

    H can be factored before any request. The step is too short where the forgotten points have high leverage.
    Source: Koh and Liang 2017.
    """

    name: ClassVar[str] = "influence"

    @override
    def remove(self, request: RemovalRequest) -> Trajectory:
        step = request.solve(request.lost_gradient.ravel()).reshape(request.start.shape)
        return one_step(request, request.start + step, len(request.forget))
