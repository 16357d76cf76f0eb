"""The node that tests guarantees of convex unlearning against the strongest attack."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

import numpy as np
from typing_extensions import override

from pipeline.core.registry import identity
from pipeline.graph.node import Work
from pipeline.store.store import Shard
from pipeline.studies.convex.guarantees.trials import Case, GuaranteeSettings, guarantees
from pipeline.studies.convex.guarantees.two_classes import two_classes
from pipeline.studies.convex.nodes.convex_node import DataSetNode


@dataclass(frozen=True, kw_only=True)
class ConvexGuarantees(DataSetNode):
    """The table of the attack's curves, with one row for each case and false positive rate.

    `case` is the number of the case; `fpr` and `tpr` are rates of the attack. The summary describes each case
    and states whether its promise is broken.
    """

    unit: ClassVar[str] = "trials"

    classes: tuple[int, int]
    pool: int
    trial: GuaranteeSettings

    @property
    @override
    def slug(self) -> str:
        return "guarantees"

    @override
    def settings(self) -> dict[str, Any]:
        return {
            "dataset": identity(self.dataset),
            "classes": list(self.classes),
            "pool": self.pool,
            "trial": identity(self.trial),
        }

    def compute(self, work: Work) -> Shard:
        """Draw thousands of models for each case and attack them."""
        problem = two_classes(self.dataset.load(), self.classes, self.pool)
        cases = guarantees(problem, self.trial)
        columns = {name: np.concatenate([getattr(case, name) for case in cases]) for name in ("fpr", "tpr")}
        facts = {
            "n_points": problem.n_points,
            "n_features": problem.n_features,
            "classes": list(self.classes),
            **self.trial.model_dump(mode="json"),
        }
        return Shard(
            columns={"case": np.repeat(np.arange(len(cases)), [len(case.fpr) for case in cases]), **columns},
            summary={"facts": facts, "cases": [_described(case) for case in cases]},
        )


def _described(case: Case) -> Mapping[str, Any]:
    told = {
        name: getattr(case, name) for name in ("method", "situation", "holds", "sigma", "assumed", "actual")
    }
    return told | {"verdict": asdict(case.verdict) | {"is_broken": case.verdict.is_broken}}
