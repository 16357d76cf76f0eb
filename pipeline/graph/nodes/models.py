"""What all tables of models have in common, whether the models are trained here or elsewhere."""

from dataclasses import dataclass
from typing import ClassVar

from pipeline.graph.child_run import ChildRun
from pipeline.graph.node import LAST, Node

# Everything that is predicted waits for scouts and subset models, oracles only for their forget sets.
RANKS = {"scout": 0, "oracle": LAST, "floor": LAST}


@dataclass(frozen=True, kw_only=True)
class Models(Node):
    """n_units models of one role, such as `subset` or `oracle`."""

    stage: ClassVar[str] = "train"
    title: ClassVar[str] = "train models"
    entry: ClassVar[str] = "train"

    role: str

    @property
    def slug(self) -> str:
        """See Node."""
        return self.role

    @property
    def group(self) -> str:
        """See Node."""
        return f"{self.stage}/{self.role}"

    @property
    def rank(self) -> int:
        """See Node."""
        return RANKS.get(self.role, 1)

    @property
    def child(self) -> ChildRun:
        """See Node."""
        note = "**Every model that the experiment rests on**, trained once or read from a source. All methods share them."
        return ChildRun(name="train", title="2 models", note=note)
