"""The node of views of all points, for estimators that learn from which points look alike."""

from dataclasses import dataclass
from typing import Any

from typing_extensions import override

from pipeline.data.scout_views import MOST_FEATURES, Views, draw_views
from pipeline.graph.node import Work
from pipeline.graph.nodes.scout_features import ScoutFeaturesNode
from pipeline.store.store import Shard
from pipeline.training.features import difficulty, joint_features


@dataclass(frozen=True, kw_only=True)
class ViewsOfPoints(ScoutFeaturesNode):
    """The features and the difficulty of all points, as the scouts see them; rows are points.

    The table belongs to the stage of groups.
    """

    @override
    def settings(self) -> dict[str, Any]:
        return super().settings() | {"most_features": MOST_FEATURES}

    @override
    def compute(self, work: Work) -> Shard:
        """Draw the views from the features that the scouts give to all points."""
        examples = work.examples
        features, logits = self.compute_features(work)
        views = draw_views(
            joint_features(features),
            examples.labels,
            difficulty(features, logits, examples.labels),
            seed=self.seed,
        )
        return Shard(
            columns={"features": views.features, "label": views.labels, "difficulty": views.difficulty}
        )


def read_views(work: Work, name: str = "views") -> Views:
    """Return the views in the parent called name."""
    table = work.read(name)
    return Views(features=table["features"], labels=table["label"], difficulty=table["difficulty"])
