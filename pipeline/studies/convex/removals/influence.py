"""Influence functions.

Newton's step with the Hessian of all points, as if those that leave had not curved the loss.
"""

from typing import ClassVar

from typing_extensions import override

from pipeline.studies.convex.removals.base import Removal, RemovalRequest, Trajectory, one_step


class InfluenceRemoval(Removal):
    """θ + H⁻¹ Σ_F ∇ℓ: one prepared factor serves every request. It falls short where points have leverage.

    Source: Koh and Liang 2017.
    """

    name: ClassVar[str] = "influence"

    @override
    def remove(self, request: RemovalRequest) -> Trajectory:
        step = request.solve(request.lost_gradient.ravel()).reshape(request.start.shape)
        return one_step(request, request.start + step, len(request.forget))
