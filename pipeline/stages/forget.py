"""Forget sets as nodes: a rule resolved to ids and frozen, so that everything downstream depends on the ids alone."""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from pipeline.core.arrays import Indices, Margins
from pipeline.core.registry import Plugin, identity
from pipeline.core.setting_paths import paths_in
from pipeline.data.dataset import Dataset
from pipeline.data.examples import Examples
from pipeline.data.forget_sets.base import ForgetSet, checked
from pipeline.runtime.store import Shard
from pipeline.stages.layout import Layout, read_margins
from pipeline.stages.node import Node, Parent, Work


@dataclass(frozen=True, kw_only=True)
class Forget(Node):
    """The resolved ids of one forget set. ids are those that a rule read from files when the graph was built, see frozen_ids."""

    stage: ClassVar[str] = "forget"
    unit: ClassVar[str] = "sets"

    dataset: Dataset
    rule: ForgetSet
    layout: Layout
    population_key: str
    ids: tuple[int, ...] | None = None

    def settings(self) -> dict[str, Any]:
        """See Node."""
        return {"dataset": identity(self.dataset), "rule": identity(self.rule), "content": self.rule.content()}

    def plugins(self) -> tuple[Plugin, ...]:
        """See Node."""
        return (self.dataset, self.rule)

    def parents(self) -> dict[str, Parent]:
        """See Node."""
        return {"full": Parent(self.population_key)} if self.rule.needs else {}

    def compute(self, work: Work) -> Shard:
        """Resolve the rule."""
        margins = read_margins(work.store, work.inputs["full"], self.layout, work.examples.labels) if self.rule.needs else None
        return Shard(columns={"index": self.select(work.examples, margins)})

    def select(self, examples: Examples, margins: Margins | None) -> Indices:
        """Return the ids (n_forget,), sorted and checked; margins as ForgetSet.select takes them."""
        return checked(self.rule.select(examples, margins) if self.ids is None else np.array(self.ids), examples)


def frozen_ids(rule: ForgetSet, examples: Examples) -> tuple[int, ...] | None:
    """Return the ids of a rule that reads them from files, None for any other.

    A worker may not see the file, and the file may change before a worker opens it: what is forgotten is what was read when the run began.
    """
    reads_files = any(paths_in(rule)) and not rule.needs
    return tuple(checked(rule.select(examples, None), examples).tolist()) if reads_files else None
