"""Retraining: what every removal is measured against, and what it costs."""

from typing import ClassVar

from typing_extensions import override

from pipeline.studies.convex.removals.base import Removal, RemovalRequest, Trajectory, one_step


class Retrain(Removal):
    """The minimiser without the forget set, by Newton steps from the old one.

    Charged for the Hessians and gradients of all that stay.
    """

    name: ClassVar[str] = "retrain"

    @override
    def remove(self, request: RemovalRequest) -> Trajectory:
        theta, n_steps = request.retained.minimise_counted(request.start)
        return one_step(request, theta, n_steps * len(request.retain) * (1 + request.start.size))
