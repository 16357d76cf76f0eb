"""The nodes of forget sets.

A rule selects ids, which are then stored. All tables that follow depend on these ids, not on the rule.
"""

import contextlib
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from typing_extensions import override

from pipeline.core.arrays import Indices, Margins
from pipeline.core.errors import DataError, InputsNotReadError
from pipeline.core.registry import Plugin, identity
from pipeline.core.settings.paths import paths_in
from pipeline.data.dataset import Dataset
from pipeline.data.examples import Examples
from pipeline.data.forget_sets.base import ForgetSet, checked_forget_set
from pipeline.graph.child_run import ChildRun
from pipeline.graph.logits_layout import Layout, read_stored_margins
from pipeline.graph.node import Node, Parent, Work
from pipeline.store.store import Shard


@dataclass(frozen=True, kw_only=True)
class Forget(Node):
    """The resolved ids of one forget set.

    content is the digest of the rule's files when the graph was built. ids are the ids that the rule selected
    then, None if it selects them later; see `freeze`.
    """

    stage: ClassVar[str] = "forget"
    title: ClassVar[str] = "resolve forget sets"
    entry: ClassVar[str] = "train"
    unit: ClassVar[str] = "sets"

    dataset: Dataset
    rule: ForgetSet
    layout: Layout
    population_key: str
    content: str = ""
    ids: tuple[int, ...] | None = None

    @property
    @override
    def rank(self) -> int:
        return 0

    @property
    @override
    def child(self) -> ChildRun:
        note = "**The points to be forgotten**, as ids and labels. Every stage below starts from these."
        return ChildRun(name="forget", title="1 forget sets", note=note)

    @override
    def settings(self) -> dict[str, Any]:
        return {"dataset": identity(self.dataset), "rule": identity(self.rule), "content": self.content}

    @override
    def plugins(self) -> tuple[Plugin, ...]:
        return (self.dataset, self.rule)

    @override
    def parents(self) -> dict[str, Parent]:
        return {"full": Parent(self.population_key)} if self.rule.needs else {}

    @override
    def compute(self, work: Work) -> Shard:
        margins = (
            read_stored_margins(work.store, work.inputs["full"], self.layout, work.examples.labels)
            if self.rule.needs
            else None
        )
        return Shard(columns={"index": self.select(work.examples, margins)})

    def select(self, examples: Examples, margins: Margins | None) -> Indices:
        """Return the ids (n_forget,), sorted and checked; margins are as in ForgetSet.select."""
        return checked_forget_set(
            self.rule.select(examples, margins) if self.ids is None else np.array(self.ids), examples
        )

    @override
    def file_readers(self) -> tuple[Plugin, ...]:
        """Return the rule, unless its ids are known already."""
        return super().file_readers() if self.ids is None else ()


def freeze(rule: ForgetSet, examples: Examples) -> dict[str, Any]:
    """Return the digest of a rule's files, and the ids if the rule reads files and needs no trained models.

    Both are fields of a Forget node. A worker may not see the file, and the file may change before a worker
    opens it. So the ids are read when the graph is built, and the digest of the file at that time is part of
    the table's identity. Raises DataError if the file changes during this call.
    """
    content, ids = rule.content(), None
    if any(paths_in(rule)) and not rule.needs:
        # A command that reads no inputs computes nothing either, so it does not need ids that depend on
        # inputs.
        with contextlib.suppress(InputsNotReadError):
            ids = tuple(checked_forget_set(rule.select(examples, None), examples).tolist())
        if rule.content() != content:
            raise DataError(
                f"{', '.join(map(str, paths_in(rule)))} changed while it was read; run the command "
                "again when the file is complete"
            )
    return {"content": content, "ids": ids}
