"""What the nodes of the convex study share."""

from dataclasses import dataclass
from typing import ClassVar

from pipeline.stages.child_run import ChildRun
from pipeline.stages.node import Node


@dataclass(frozen=True, kw_only=True)
class ConvexNode(Node):
    """A table of the convex study; it reads nothing of the experiment's data."""

    stage: ClassVar[str] = "convex"
    title: ClassVar[str] = "convex study"
    entry: ClassVar[str] = "convex"
    reads_examples: ClassVar[bool] = False

    @property
    def place(self) -> str:
        """What results call the table, among those of its kind."""
        return self.slug

    @property
    def child(self) -> ChildRun:
        """See Node."""
        note = "**Unlearning where theory lives**: every algorithm on convex problems, whose retrained minimiser is known exactly. `convex.html` shows it all."
        return ChildRun(name="convex", title="5 convex study", note=note)
