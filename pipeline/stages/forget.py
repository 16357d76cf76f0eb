"""Forget sets as nodes: a rule resolved to ids and frozen, so that everything downstream depends on the ids alone."""

from dataclasses import dataclass
from typing import Any, ClassVar

from pipeline.core.registry import Plugin, describe
from pipeline.data.dataset import Dataset
from pipeline.data.forget_sets.base import ForgetSet, checked
from pipeline.runtime.store import Shard
from pipeline.stages.layout import Layout, read_margins
from pipeline.stages.node import Node, Parent, Work


@dataclass(frozen=True, kw_only=True)
class Forget(Node):
    """The resolved ids of one forget set."""

    stage: ClassVar[str] = "forget"
    unit: ClassVar[str] = "sets"

    dataset: Dataset
    rule: ForgetSet
    layout: Layout
    population_key: str

    def settings(self) -> dict[str, Any]:
        """See Node."""
        return {"dataset": describe(self.dataset), "rule": describe(self.rule), "content": self.rule.content()}

    def plugins(self) -> tuple[Plugin, ...]:
        """See Node."""
        return (self.dataset, self.rule)

    def parents(self) -> dict[str, Parent]:
        """See Node."""
        return {"full": Parent(self.population_key)} if self.rule.needs else {}

    def compute(self, work: Work) -> Shard:
        """Resolve the rule."""
        margins = read_margins(work.store, work.inputs["full"], self.layout, work.examples.labels) if self.rule.needs else None
        return Shard(columns={"index": checked(self.rule.select(work.examples, margins), work.examples)})
