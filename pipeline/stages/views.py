"""Views of all points as a node, for estimators that learn from who looks like whom."""

from dataclasses import dataclass
from typing import Any, ClassVar

from pipeline.core.registry import Plugin, identity
from pipeline.data.views import MOST_FEATURES, Views, draw_views
from pipeline.models.base import Model
from pipeline.runtime.store import Shard
from pipeline.sources.base import ModelSource
from pipeline.stages.child_run import ATTRIBUTION, ChildRun
from pipeline.stages.groups import Groups
from pipeline.stages.node import Node, Parent, Work
from pipeline.stages.stored_states import read_weights
from pipeline.training.ensemble import Builder
from pipeline.training.features import difficulty, joint_features, last_features


@dataclass(frozen=True, kw_only=True)
class ViewsOfPoints(Node):
    """What the scouts see of all points, made when groups are; rows are points."""

    stage: ClassVar[str] = Groups.stage
    title: ClassVar[str] = Groups.title
    entry: ClassVar[str] = Groups.entry
    unit: ClassVar[str] = "parts"

    model: Model
    seed: int
    scout_key: str
    scout_source: ModelSource | None = None

    @property
    def rank(self) -> int:
        """See Node."""
        return 0

    @property
    def child(self) -> ChildRun:
        """See Node."""
        return ATTRIBUTION

    def settings(self) -> dict[str, Any]:
        """See Node."""
        return {"model": identity(self.model), "seed": self.seed, "most_features": MOST_FEATURES}

    def plugins(self) -> tuple[Plugin, ...]:
        """See Node."""
        return (self.model,)

    def parents(self) -> dict[str, Parent]:
        """See Node."""
        return {"scout": Parent(self.scout_key)}

    def compute(self, work: Work) -> Shard:
        """Look at all points through the scouts."""
        examples, table = work.examples, work.inputs["scout"]
        build = Builder(self.model, examples.input_shape, examples.n_classes)
        template = build()
        states = read_weights(work.store, table, 0, table.pieces[-1].stop, source=self.scout_source, template=template)
        features, logits = last_features(template, states, work.feed)
        views = draw_views(joint_features(features), examples.labels, difficulty(features, logits, examples.labels), seed=self.seed)
        return Shard(columns={"features": views.features, "label": views.labels, "difficulty": views.difficulty})


def read_views(work: Work, name: str = "views") -> Views:
    """Return the views in the parent called name."""
    table = work.read(name)
    return Views(features=table["features"], labels=table["label"], difficulty=table["difficulty"])
