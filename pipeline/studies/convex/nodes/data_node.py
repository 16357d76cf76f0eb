"""The node of removals on one real data set, which may differ from that of the experiment."""

from dataclasses import asdict, dataclass
from typing import Any, ClassVar

import numpy as np
from typing_extensions import override

from pipeline.core.registry import identity
from pipeline.graph.node import Work
from pipeline.store.store import Shard
from pipeline.studies.convex.nodes.convex_node import DataSetNode
from pipeline.studies.convex.real.real_results import DataResult, RemovalOutcome, study_data
from pipeline.studies.convex.real.real_study import DataStudy


@dataclass(frozen=True, kw_only=True)
class ConvexData(DataSetNode):
    """The table of the courses of all removals, with one row for each record.

    `course` is the number of the removal, `step` the steps up to the record, `evaluations` the gradients of
    single points up to it, and `share` is R. The summary holds all other results.
    """

    unit: ClassVar[str] = "studies"

    label: str
    study: DataStudy

    @property
    @override
    def place(self) -> str:
        return self.label

    @property
    @override
    def slug(self) -> str:
        return "data"

    @override
    def settings(self) -> dict[str, Any]:
        return {"dataset": identity(self.dataset), "study": identity(self.study)}

    def compute(self, work: Work) -> Shard:
        """Run every removal and every sweep."""
        result = study_data(self.dataset.load(), self.study)
        lengths = [len(course.steps) for course in result.courses]
        named = {"step": "steps", "evaluations": "evaluations", "share": "shares"}
        columns = {
            name: np.concatenate([getattr(course, field) for course in result.courses])
            for name, field in named.items()
        }
        return Shard(
            columns={"course": np.repeat(np.arange(len(lengths)), lengths), **columns},
            summary=_summary(result),
        )


def _summary(result: DataResult) -> dict[str, Any]:
    retrained = next(outcome for outcome in result.outcomes if outcome.label == "retrain")
    return {
        "facts": dict(result.facts),
        "courses": [{"label": course.label, "settings": dict(course.settings)} for course in result.courses],
        "outcomes": [_outcome(outcome, retrained) for outcome in result.outcomes],
        "cells": [asdict(cell) for cell in result.cells],
    }


def _outcome(outcome: RemovalOutcome, retrained: RemovalOutcome) -> dict[str, Any]:
    """Return an outcome with a summary of its margins, in nats.

    The summary is their mean, and their mean distance from the margins of the retrained model.
    """
    apart = float(np.abs(outcome.margins - retrained.margins).mean())
    found = {
        "label": outcome.label,
        "share": outcome.share,
        "klom": dict(outcome.klom),
        "ulira": outcome.ulira,
    }
    return found | {"margin": float(outcome.margins.mean()), "margin_apart": apart}
