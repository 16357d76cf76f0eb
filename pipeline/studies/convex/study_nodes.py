"""Builds the tables of the convex study from its settings."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pipeline.core.errors import DataError
from pipeline.core.memory import check_memory
from pipeline.core.registry import plugin_name
from pipeline.data.dataset import Dataset
from pipeline.data.dataset_digests import DATASET_DIGESTS
from pipeline.studies.convex.data_settings import DataSection, GuaranteeSection
from pipeline.studies.convex.linear.linear_study import LinearStudy
from pipeline.studies.convex.nodes.convex_node import ConvexNode
from pipeline.studies.convex.nodes.data_node import ConvexData
from pipeline.studies.convex.nodes.guarantees_node import ConvexGuarantees
from pipeline.studies.convex.nodes.linear_node import LinearPanel


@dataclass(frozen=True, kw_only=True)
class Parts:
    """The tables that the page reads, and the reasons why data sets are left out."""

    linear: tuple[LinearPanel, ...]
    data: tuple[ConvexData, ...]
    left_out: tuple[str, ...]
    guarantees: tuple[ConvexGuarantees, ...]

    def in_order(self) -> Iterator[ConvexNode]:
        """Yield the tables that take longest first, so that none of them starts last and delays the end."""
        yield from (*self.data, *self.guarantees, *self.linear)


def convex_nodes(
    linear: LinearStudy | None,
    data: Mapping[str, DataSection],
    guarantees: GuaranteeSection | None,
    common: dict[str, Any],
    *,
    reads_inputs: bool,
) -> Parts:
    """Return the nodes of all tables except the page; common holds the fields that all nodes share.

    reads_inputs is true if the content of data sets may be read. Raises DataError for a data set that is
    missing but not optional, or that is larger than memory.
    """
    return Parts(
        linear=tuple(_linear(linear, common)),
        data=tuple(_data(data, common, reads_inputs)),
        left_out=_left_out(data),
        guarantees=tuple(_guarantees(guarantees, common, reads_inputs)),
    )


def _linear(study: LinearStudy | None, common: dict[str, Any]) -> Iterator[LinearPanel]:
    if study is None:
        return
    for label, example in study.examples.items():
        for penalty in example.penalties:
            key = f"convex/linear/{label}/{penalty:g}"
            yield LinearPanel(key=key, label=label, study=study, example=example, penalty=penalty, **common)


def _data(
    sections: Mapping[str, DataSection], common: dict[str, Any], reads_inputs: bool
) -> Iterator[ConvexData]:
    for label, section in sections.items():
        if section.dataset.missing() is None or not section.optional:
            if reads_inputs:
                _check_size(f"convex.data.{label}", section.dataset)
            about: dict[str, Any] = {
                "label": label,
                "dataset": section.dataset,
                "study": section.study,
                "reads_inputs": reads_inputs,
            }
            yield ConvexData(key=f"convex/data/{label}", **about, **common)


def _check_size(key: str, dataset: Dataset) -> None:
    """Raise DataError if the inputs of a data set are larger than memory.

    The study needs all inputs at once in float64. key is the config key that the error names.
    """
    # Bytes of one value: the float32 input, its float64 copy, and the float64 feature made from the copy.
    n_bytes = (4 + 8 + 8) * math.prod(DATASET_DIGESTS.shape(dataset))
    check_memory(
        n_bytes,
        f"{key}: all inputs of data set {plugin_name(dataset)!r} in float64",
        "give a smaller data set",
    )


def _left_out(sections: Mapping[str, DataSection]) -> tuple[str, ...]:
    """Return the reason for each data set left out; raises DataError for one that is not optional."""
    found = []
    for section in sections.values():
        why = section.dataset.missing()
        if why is not None and not section.optional:
            raise DataError(why)
        found += [why] if why is not None else []
    return tuple(found)


def _guarantees(
    section: GuaranteeSection | None, common: dict[str, Any], reads_inputs: bool
) -> Iterator[ConvexGuarantees]:
    if section is not None:
        about: dict[str, Any] = {
            "dataset": section.dataset,
            "classes": section.classes,
            "pool": section.pool,
            "reads_inputs": reads_inputs,
        }
        if reads_inputs:
            _check_size("convex.guarantees", section.dataset)
        yield ConvexGuarantees(key="convex/guarantees", **about, trial=section.trial, **common)
