"""What the nodes of the convex study share."""

from dataclasses import dataclass
from typing import ClassVar

from pipeline.graph.nodes.study import StudyNode


@dataclass(frozen=True, kw_only=True)
class ConvexNode(StudyNode):
    """A table of the convex study; its folder keeps the name that it has in every store."""

    stage: ClassVar[str] = "convex"
    title: ClassVar[str] = "convex study"

    @property
    def place(self) -> str:
        """What results call the table, among those of its kind."""
        return self.slug
