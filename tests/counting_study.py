"""A tiny study as a user would write one: it counts and shows on its page how far."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from pipeline.core.settings.neutral import setting
from pipeline.graph.node import Work
from pipeline.graph.nodes.study import Chapter, StudyNode, StudyPage
from pipeline.store.store import Shard
from pipeline.studies.base import Place, Study


@dataclass(frozen=True, kw_only=True)
class Count(StudyNode):
    """The numbers below a limit."""

    limit: int

    def compute(self, work: Work) -> Shard:
        return Shard(columns={"number": np.arange(self.limit)}, summary={"sum": sum(range(self.limit))})


@dataclass(frozen=True, kw_only=True)
class CountPage(StudyPage):
    """What counting came to."""

    def chapter(self, work: Work) -> Chapter:
        (key,) = self.parents()
        total = work.store.summary(work.inputs[key])["sum"]
        return Chapter(html=f"<h2>Counting</h2><p>In all {total}.</p>", summary=f"in all {total}")


class Counting(Study):
    """Count to a limit."""

    name = "counting"
    title: ClassVar[str] = "counting study"
    heading: ClassVar[str] = "Counting"
    note: ClassVar[str] = "**How far one can count.**"

    limit: int = setting(neutral=4, ge=1)

    def nodes(self, place: Place) -> Iterator[StudyNode]:
        common = {"guest": self, "run": self.run(place.label), "resources": place.resources}
        count = Count(key=f"studies/{place.label}/count", limit=self.limit, **common)
        yield count
        yield CountPage(
            key=f"studies/{place.label}/page",
            tables=(count,),
            experiment_name=place.experiment_name,
            **common,
        )


class Twice(Counting):
    """Call two tables alike."""

    def nodes(self, place: Place) -> Iterator[StudyNode]:
        for node in super().nodes(place):
            yield node
            yield node


class Alone(Counting):
    """Yield what is no table."""

    def nodes(self, place: Place) -> Iterator[StudyNode]:
        yield "count"
