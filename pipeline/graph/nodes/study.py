"""The base of the tables of a study.

A study adds tables of its own to an experiment, beside those of unlearning.
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

# The names of a page's blobs: the page itself, and its section in the report.
STUDY_PAGE, CHAPTER = "html", "chapter.html"


@dataclass(frozen=True, kw_only=True)
class StudyNode(Node):
    """A table of a study.

    guest is the study that the table belongs to. run is the child run that shows the whole study.

    Unless its class sets reads_examples, the table does not depend on the experiment's data. A study from
    outside the package must leave stage as it is, so its tables are in the folder `studies`.
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

    @override
    def settings(self) -> dict[str, Any]:
        return {"study": identity(self.guest)}

    @override
    def plugins(self) -> tuple[Plugin, ...]:
        return (self.guest,)

    @override
    def parents(self) -> dict[str, Parent]:
        return {}


@dataclass(frozen=True, kw_only=True)
class Chapter:
    """What a study shows.

    html is a section of the report. page is a page of its own; if it is empty, html is that page. summary is
    one sentence. figures are PNG files by name.
    """

    html: str
    summary: str
    page: str = ""
    figures: dict[str, bytes] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class StudyPage(StudyNode):
    """The page of a study, drawn from its other tables, which it reads by their keys.

    The report includes its chapter.
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
        """Return the chapter, made from the tables that work reads."""

    @override
    def compute(self, work: Work) -> Shard:
        chapter = self.chapter(work)
        blobs = {STUDY_PAGE: (chapter.page or chapter.html).encode(), CHAPTER: chapter.html.encode()}
        blobs |= {f"{name}.png": figure for name, figure in chapter.figures.items()}
        return Shard(columns={"page": np.arange(1)}, summary={"summary": chapter.summary}, blobs=blobs)
