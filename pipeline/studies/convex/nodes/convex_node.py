"""The base classes of the nodes of the convex study."""

from dataclasses import dataclass
from typing import Any, ClassVar

from typing_extensions import override

from pipeline.core.registry import Plugin
from pipeline.data.dataset import Dataset
from pipeline.data.dataset_digests import DATASET_DIGESTS
from pipeline.graph.node import Parent
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


@dataclass(frozen=True, kw_only=True)
class DataSetNode(ConvexNode):
    """A table about a data set that the node loads itself; it may differ from that of the experiment."""

    dataset: Dataset
    reads_inputs: bool = True

    def circumstances(self) -> dict[str, Any]:
        """Return the content of the data set that the node loads itself.

        Raises InputsNotReadError under the conditions of DatasetDigests.digest.
        """
        return {"content": DATASET_DIGESTS.digest(self.dataset, reads_inputs=self.reads_inputs)}

    @override
    def plugins(self) -> tuple[Plugin, ...]:
        return (self.dataset,)

    @override
    def parents(self) -> dict[str, Parent]:
        return {}
