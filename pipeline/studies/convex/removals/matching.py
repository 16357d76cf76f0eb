"""Matching the retrained model's outputs, or a datamodel's predictions of them, by gradient steps."""

from abc import abstractmethod
from typing import ClassVar, Literal

from typing_extensions import override

from pipeline.core.settings.neutral import setting
from pipeline.studies.convex.problems.problem import ConvexOutputs
from pipeline.studies.convex.removals.base import RemovalRequest
from pipeline.studies.convex.removals.descent import DescentObjective, DescentRemoval, matching_objective


class MatchingRemoval(DescentRemoval):
    """Descends ‖Xθ − targets‖² over all points, or over the retained points only.

    `points` is `all`, which includes the forgotten points, or `retained`. Matching the oracle on the retained
    points only is called OMRS; it uses no information about the forgotten points.
    """

    points: Literal["all", "retained"] = setting(neutral="all")

    @abstractmethod
    def targets(self, request: RemovalRequest) -> ConvexOutputs:
        """Return the outputs to match, (n_points, n_columns)."""

    @override
    def objective(self, request: RemovalRequest) -> DescentObjective:
        targets = self.targets(request)
        if self.points == "all":
            return matching_objective(request.problem.features, targets)
        return matching_objective(request.retained.features, targets[request.retain])


class OracleMatchingRemoval(MatchingRemoval):
    """Matches the outputs of the retrained minimiser itself.

    It shows what matching can reach; in practice nobody has these outputs without retraining.
    """

    name: ClassVar[str] = "oracle_matching"
    needs: ClassVar[frozenset[str]] = frozenset({"oracle"})

    @override
    def targets(self, request: RemovalRequest) -> ConvexOutputs:
        return request.problem.outputs(request.wanted_oracle())


class DatamodelMatchingRemoval(MatchingRemoval):
    """Matches the outputs that a datamodel predicts for the retrained model.

    It converges as fast as matching the oracle, but the error of the forecast limits how near it comes.
    """

    name: ClassVar[str] = "datamodel_matching"
    needs: ClassVar[frozenset[str]] = frozenset({"forecast"})

    @override
    def targets(self, request: RemovalRequest) -> ConvexOutputs:
        return request.wanted_forecast()
