"""Retraining, the reference for every removal, and its cost."""

from typing import ClassVar

from typing_extensions import override

from pipeline.studies.convex.removals.base import Removal, RemovalRequest, Trajectory, one_step


class Retrain(Removal):
    """The minimiser without the forget set, by Newton steps from the old one.

    Its cost counts the Hessians and gradients of all retained points.
    """

    name: ClassVar[str] = "retrain"

    @override
    def remove(self, request: RemovalRequest) -> Trajectory:
        theta, n_steps = request.retained.minimise_counted(request.start)
        return one_step(request, theta, n_steps * len(request.retain) * (1 + request.start.size))
