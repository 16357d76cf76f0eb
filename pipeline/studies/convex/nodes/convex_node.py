"""The base class of the nodes of the convex study."""

from dataclasses import dataclass
from typing import ClassVar

from pipeline.graph.nodes.study import StudyNode


@dataclass(frozen=True, kw_only=True)
class ConvexNode(StudyNode):
    """A table of the convex study. Its folder has the name `convex` in every store."""

    stage: ClassVar[str] = "convex"
    title: ClassVar[str] = "convex study"

    @property
    def place(self) -> str:
        """The name of the table in results, among the tables of its kind."""
        return self.slug
