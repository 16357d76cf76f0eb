"""Models that are trained further before a judge compares them.

An example is unlearned models that relearn the forgotten points.
"""

from dataclasses import dataclass
from typing import ClassVar

from typing_extensions import override

from pipeline.graph.nodes.unlearn import Unlearn


@dataclass(frozen=True, kw_only=True)
class TrainFurther(Unlearn):
    """Member i is member i of the judged population after the judge's treatment.

    judge_label is the label of the judge. population says which models: the label of the unlearner that made
    them, `floor`, or `:oracle`.
    """

    title: ClassVar[str] = "train further for a judge"
    entry: ClassVar[str] = "unlearn"

    judge_label: str
    population: str

    @property
    @override
    def group(self) -> str:
        return f"{self.stage}/{self.judge_label}:{self.population}"
