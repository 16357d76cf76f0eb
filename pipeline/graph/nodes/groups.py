"""The node of groups of training points.

Groups are neighbours, sides of a class, and hard points, as a few trained models see them.
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

    Rows are lines; the first n_train are the balls.
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
