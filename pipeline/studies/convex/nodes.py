"""The tables of the convex study, from its settings."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pipeline.convex.linear.study import LinearStudy
from pipeline.core.errors import DataError
from pipeline.stages.convex_data import ConvexData
from pipeline.stages.convex_guarantees import ConvexGuarantees
from pipeline.stages.convex_linear import LinearPanel
from pipeline.stages.convex_node import ConvexNode
from pipeline.studies.convex.settings import DataSection, GuaranteeSection


@dataclass(frozen=True, kw_only=True)
class Parts:
    """The tables that the page reads, and why data sets are left out."""

    linear: tuple[LinearPanel, ...]
    data: tuple[ConvexData, ...]
    left_out: tuple[str, ...]
    guarantees: tuple[ConvexGuarantees, ...]

    def in_order(self) -> Iterator[ConvexNode]:
        """Yield the longest first, so that none of them is begun when all others are done."""
        yield from (*self.data, *self.guarantees, *self.linear)


def convex_nodes(
    linear: LinearStudy | None,
    data: Mapping[str, DataSection],
    guarantees: GuaranteeSection | None,
    common: dict[str, Any],
) -> Parts:
    """Return the tables; common are fields that all of them share. Raises DataError for data that are missing."""
    return Parts(
        linear=tuple(_linear(linear, common)),
        data=tuple(_data(data, common)),
        left_out=_left_out(data),
        guarantees=tuple(_guarantees(guarantees, common)),
    )


def _linear(study: LinearStudy | None, common: dict[str, Any]) -> Iterator[LinearPanel]:
    if study is None:
        return
    for label, example in study.examples.items():
        for penalty in example.penalties:
            key = f"convex/linear/{label}/{penalty:g}"
            yield LinearPanel(key=key, label=label, study=study, example=example, penalty=penalty, **common)


def _data(sections: Mapping[str, DataSection], common: dict[str, Any]) -> Iterator[ConvexData]:
    for label, section in sections.items():
        if section.dataset.missing() is None or not section.optional:
            about: dict[str, Any] = {"label": label, "dataset": section.dataset, "study": section.study}
            yield ConvexData(key=f"convex/data/{label}", **about, **common)


def _left_out(sections: Mapping[str, DataSection]) -> tuple[str, ...]:
    """Return why data sets are left out; raises DataError for one that must not be."""
    found = []
    for section in sections.values():
        why = section.dataset.missing()
        if why is not None and not section.optional:
            raise DataError(why)
        found += [why] if why is not None else []
    return tuple(found)


def _guarantees(section: GuaranteeSection | None, common: dict[str, Any]) -> Iterator[ConvexGuarantees]:
    if section is not None:
        about: dict[str, Any] = {"dataset": section.dataset, "classes": section.classes, "pool": section.pool}
        yield ConvexGuarantees(key="convex/guarantees", **about, trial=section.trial, **common)
