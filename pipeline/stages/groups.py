"""Groups of training points as a node: what a few trained models see as neighbours, as sides of a class and as hard."""

from dataclasses import dataclass
from typing import Any, ClassVar

from pipeline.core.registry import Plugin, identity
from pipeline.data.groups import draw_lines
from pipeline.models.base import Model
from pipeline.runtime.store import Shard
from pipeline.sources.base import ModelSource
from pipeline.stages.child_run import ATTRIBUTION, ChildRun
from pipeline.stages.lines import columns_of
from pipeline.stages.node import Node, Parent, Work
from pipeline.stages.stored_states import read_weights
from pipeline.training.ensemble import Builder
from pipeline.training.features import difficulty, joint_features, last_features


@dataclass(frozen=True, kw_only=True)
class Groups(Node):
    """The lines of groups that designed subsets drop and kernel datamodels look at. Rows are lines; the first n_train are the balls."""

    stage: ClassVar[str] = "groups"
    title: ClassVar[str] = "find groups"
    entry: ClassVar[str] = "train"
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
        return {"model": identity(self.model), "seed": self.seed}

    def plugins(self) -> tuple[Plugin, ...]:
        """See Node."""
        return (self.model,)

    def parents(self) -> dict[str, Parent]:
        """See Node."""
        return {"scout": Parent(self.scout_key)}

    def compute(self, work: Work) -> Shard:
        """Look at the training points through the scouts."""
        examples, table = work.examples, work.inputs["scout"]
        build = Builder(self.model, examples.input_shape, examples.n_classes)
        template = build()
        states = read_weights(work.store, table, 0, table.pieces[-1].stop, source=self.scout_source, template=template)
        features, logits = last_features(template, states, work.feed, range(examples.n_train))
        labels = examples.labels[: examples.n_train]
        lines = draw_lines(joint_features(features), labels, difficulty(features, logits, labels), seed=self.seed)
        return Shard(columns=columns_of(lines))
