"""What the tables of a study share.

A study is a guest of the experiment, so its tables stand beside those of the method.
"""

from abc import abstractmethod
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from typing_extensions import override

from pipeline.core.registry import Plugin, identity
from pipeline.graph.child_run import ChildRun
from pipeline.graph.node import Node, Parent, Work
from pipeline.store.store import Shard

# Blobs of a page: the page of its own, and the part of it that the report takes over.
STUDY_PAGE, CHAPTER = "html", "chapter.html"


@dataclass(frozen=True, kw_only=True)
class StudyNode(Node):
    """A table of a study. guest is the study that it belongs to, run the child run that shows the whole study.

    It reads nothing of the experiment's data unless its class says so. A study that comes from outside the
    package leaves the stage as it is: its tables then lie in the folder `studies`.
    """

    stage: ClassVar[str] = "studies"
    title: ClassVar[str] = "studies"
    entry: ClassVar[str] = "studies"
    reads_examples: ClassVar[bool] = False

    guest: Plugin
    run: ChildRun

    @property
    @override
    def child(self) -> ChildRun:
        return self.run

    def settings(self) -> dict[str, Any]:
        """See Node: the settings of the study."""
        return {"study": identity(self.guest)}

    @override
    def plugins(self) -> tuple[Plugin, ...]:
        return (self.guest,)

    @override
    def parents(self) -> dict[str, Parent]:
        return {}


@dataclass(frozen=True, kw_only=True)
class Chapter:
    """What a study shows: html is a section of the report, page a whole page, empty if the chapter is all there is.

    summary is one sentence; figures are PNG by name.
    """

    html: str
    summary: str
    page: str = ""
    figures: dict[str, bytes] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class StudyPage(StudyNode):
    """The page of a study, made from its other tables, which it reads by their keys.

    The report takes its chapter over.
    """

    unit: ClassVar[str] = "pages"

    experiment_name: str
    tables: tuple[StudyNode, ...] = ()

    @override
    def settings(self) -> dict[str, Any]:
        return super().settings() | {"title": self.experiment_name}

    @override
    def parents(self) -> dict[str, Parent]:
        return {node.key: Parent(node.key) for node in self.tables}

    @abstractmethod
    def chapter(self, work: Work) -> Chapter:
        """Return the chapter, from the tables that work reads."""

    def compute(self, work: Work) -> Shard:
        """Draw the chapter."""
        chapter = self.chapter(work)
        blobs = {STUDY_PAGE: (chapter.page or chapter.html).encode(), CHAPTER: chapter.html.encode()}
        blobs |= {f"{name}.png": figure for name, figure in chapter.figures.items()}
        return Shard(columns={"page": np.arange(1)}, summary={"summary": chapter.summary}, blobs=blobs)
