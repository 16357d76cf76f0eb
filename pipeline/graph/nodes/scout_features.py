"""The base of tables that are computed from the scouts' features, the inputs of their last linear layers."""

from dataclasses import dataclass
from typing import Any, ClassVar

from typing_extensions import override

from pipeline.core.arrays import Logits
from pipeline.core.registry import Plugin, identity
from pipeline.graph.child_run import ATTRIBUTION, ChildRun
from pipeline.graph.node import Node, Parent, Work
from pipeline.graph.reading.stored_states import read_weights
from pipeline.models.base import Model
from pipeline.sources.base import ModelSource
from pipeline.training.ensemble import Builder
from pipeline.training.features import Features, last_features


@dataclass(frozen=True, kw_only=True)
class ScoutFeaturesNode(Node):
    """A table that one task computes from the scouts' features."""

    stage: ClassVar[str] = "groups"
    title: ClassVar[str] = "find groups"
    entry: ClassVar[str] = "train"
    unit: ClassVar[str] = "parts"

    model: Model
    seed: int
    scout_key: str
    scout_source: ModelSource | None = None

    @property
    @override
    def rank(self) -> int:
        return 0

    @property
    @override
    def child(self) -> ChildRun:
        return ATTRIBUTION

    @override
    def settings(self) -> dict[str, Any]:
        return {"model": identity(self.model), "seed": self.seed}

    @override
    def plugins(self) -> tuple[Plugin, ...]:
        return (self.model,)

    @override
    def parents(self) -> dict[str, Parent]:
        return {"scout": Parent(self.scout_key)}

    def compute_features(self, work: Work, points: range | None = None) -> tuple[Features, Logits]:
        """Return each scout's features and logits of points, or of all points if points is None.

        See last_features.
        """
        examples, table = work.examples, work.inputs["scout"]
        template = Builder(self.model, examples.input_shape, examples.n_classes)()
        states = read_weights(
            work.store, table, 0, table.pieces[-1].stop, source=self.scout_source, template=template
        )
        return last_features(template, states, work.feed, points)
