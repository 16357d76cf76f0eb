"""The nodes of the linear study: one for each example and penalty."""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from typing_extensions import override

from pipeline.core.registry import Plugin, identity
from pipeline.graph.node import Parent, Work
from pipeline.store.store import Shard
from pipeline.studies.convex.linear.linear_results import study_linear
from pipeline.studies.convex.linear.linear_study import LinearExample, LinearStudy
from pipeline.studies.convex.nodes.convex_node import ConvexNode


@dataclass(frozen=True, kw_only=True)
class LinearPanel(ConvexNode):
    """One example at one penalty: rows are steps, columns are `step` and the curves of a LinearResult.

    The summary holds the findings.
    """

    unit: ClassVar[str] = "panels"

    label: str
    study: LinearStudy
    example: LinearExample
    penalty: float

    @property
    @override
    def place(self) -> str:
        return f"{self.label}/{self.penalty:g}"

    @property
    @override
    def slug(self) -> str:
        return "linear"

    @override
    def settings(self) -> dict[str, Any]:
        sizes = {name: part for name, part in identity(self.study).items() if name != "examples"}
        return {"study": sizes, "example": identity(self.example), "penalty": self.penalty}

    @override
    def plugins(self) -> tuple[Plugin, ...]:
        return ()

    @override
    def parents(self) -> dict[str, Parent]:
        return {}

    def compute(self, work: Work) -> Shard:
        """Run every algorithm on every draw."""
        result = study_linear(self.study, self.example, self.penalty)
        return Shard(
            columns={"step": np.arange(self.study.n_steps + 1), **result.curves}, summary=result.findings
        )
