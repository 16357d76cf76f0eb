"""The base of all tables of models, trained here or elsewhere."""

from dataclasses import dataclass
from typing import ClassVar

from typing_extensions import override

from pipeline.graph.child_run import ChildRun
from pipeline.graph.node import LAST, Node

# The ranks of roles in the queue of tasks, see Node.rank; other roles have rank 1. Scouts come first, because
# `designed` subset models wait for them. Oracles come last, because few tables wait for them.
RANKS = {"scout": 0, "oracle": LAST, "floor": LAST}


@dataclass(frozen=True, kw_only=True)
class Models(Node):
    """n_units models of one role, such as `subset` or `oracle`."""

    stage: ClassVar[str] = "train"
    title: ClassVar[str] = "train models"
    entry: ClassVar[str] = "train"

    role: str

    @property
    @override
    def slug(self) -> str:
        return self.role

    @property
    @override
    def group(self) -> str:
        return f"{self.stage}/{self.role}"

    @property
    @override
    def rank(self) -> int:
        return RANKS.get(self.role, 1)

    @property
    @override
    def child(self) -> ChildRun:
        note = (
            "**Every model that the experiment rests on**, trained once or read from a source. All methods "
            "share them."
        )
        return ChildRun(name="train", title="2 models", note=note)
