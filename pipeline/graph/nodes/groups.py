"""The node of groups of training points.

Groups are neighbours, sides of a class, and hard points, found from the features of the scouts.
"""

from dataclasses import dataclass

from typing_extensions import override

from pipeline.data.nested_groups import draw_lines
from pipeline.graph.node import Work
from pipeline.graph.nodes.scout_features import ScoutFeaturesNode
from pipeline.graph.reading.group_lines import columns_of
from pipeline.store.store import Shard
from pipeline.training.features import difficulty, joint_features


@dataclass(frozen=True, kw_only=True)
class Groups(ScoutFeaturesNode):
    """The lines of groups that designed subsets drop and that kernel datamodels use.

    A line is a ranked list of training points; every prefix of a line is a group. Rows are lines. Row i <
    n_train is the ball around point i: the points of its class that are most like it, most similar first.
    """

    @override
    def compute(self, work: Work) -> Shard:
        """Draw the lines from the features that the scouts give to training points."""
        examples = work.examples
        features, logits = self.compute_features(work, range(examples.n_train))
        labels = examples.labels[: examples.n_train]
        lines = draw_lines(
            joint_features(features), labels, difficulty(features, logits, labels), seed=self.seed
        )
        return Shard(columns=columns_of(lines))
