"""Populations trained elsewhere as nodes: in place of a Population they lay recorded masks and outputs into the same columns, and train nothing."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from pipeline.core.registry import Plugin, identity
from pipeline.data.dataset import Dataset
from pipeline.data.masks import pack
from pipeline.data.records.base import Records
from pipeline.evaluation.accuracy import accuracy
from pipeline.runtime.store import Shard
from pipeline.stages.layout import Layout
from pipeline.stages.models import Models
from pipeline.stages.node import Parent, Work


@dataclass(frozen=True, kw_only=True)
class Imported(Models):
    """The first n_units recorded models, as a population of some role. Those that left margins only have no accuracies either."""

    dataset: Dataset
    records: Records
    layout: Layout

    def settings(self) -> dict[str, Any]:
        """See Node."""
        return {"role": self.role, "dataset": identity(self.dataset), "records": identity(self.records), "layout": identity(self.layout)}

    def circumstances(self) -> dict[str, Any]:
        """See Node: what the records hold."""
        return {"content": self.records.content_of_first(self.n_units)}

    def plugins(self) -> tuple[Plugin, ...]:
        """See Node."""
        return (self.dataset, self.records)

    def parents(self) -> dict[str, Parent]:
        """See Node."""
        return {}

    def compute(self, work: Work) -> Shard:
        """Lay models start to stop into columns."""
        outputs, examples = self.records.read_outputs(work.start, work.stop), work.examples
        members = np.arange(work.start, work.stop)
        # Nobody knows whether they shared seeds, so each counts as having its own, none of which is one of ours.
        columns = {"member": members, "seed": -1 - members, "mask": pack(self.records.read_masks(work.start, work.stop))}
        if not self.records.has_logits():
            return Shard(columns=columns | self.layout.margin_columns(outputs))
        n_train, labels = examples.n_train, examples.labels
        accuracies = {
            "accuracy_train": accuracy(outputs[:, :n_train], labels[:n_train]),
            "accuracy_validation": accuracy(outputs[:, n_train:], labels[n_train:]),
        }
        return Shard(columns=columns | self.layout.columns(outputs) | accuracies)
