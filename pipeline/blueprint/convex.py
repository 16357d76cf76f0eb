"""The nodes of the convex study, where an experiment has one."""

from collections.abc import Iterator
from typing import Any

from pipeline.config import Experiment
from pipeline.config.convex import DataSection
from pipeline.core.errors import DataError
from pipeline.stages.convex_data import ConvexData
from pipeline.stages.convex_guarantees import ConvexGuarantees
from pipeline.stages.convex_linear import LinearPanel
from pipeline.stages.convex_page import ConvexPage
from pipeline.stages.node import Node

CONVEX_PAGE = "convex/page"


def convex(experiment: Experiment) -> Iterator[Node]:
    """Yield the nodes of the convex study, none if the experiment has no section `convex`."""
    if experiment.convex is None:
        return
    linear, data, guarantees = tuple(_linear(experiment)), tuple(_data(experiment)), tuple(_guarantees(experiment))
    # The longest first, so that none of them is begun when all others are done.
    yield from (*data, *guarantees, *linear)
    parts: dict[str, Any] = {"linear": linear, "data": data, "left_out": _left_out(experiment), "guarantees": guarantees}
    yield ConvexPage(key=CONVEX_PAGE, experiment_name=experiment.name, **parts, resources=experiment.resources.compute)


def _linear(experiment: Experiment) -> Iterator[LinearPanel]:
    if experiment.convex is None or experiment.convex.linear is None:
        return
    study = experiment.convex.linear
    for label, example in study.examples.items():
        for penalty in example.penalties:
            key = f"convex/linear/{label}/{penalty:g}"
            yield LinearPanel(key=key, label=label, study=study, example=example, penalty=penalty, resources=experiment.resources.compute)


def _data(experiment: Experiment) -> Iterator[ConvexData]:
    for label, section in _sections(experiment).items():
        if section.dataset.missing() is None or not section.optional:
            about: dict[str, Any] = {"label": label, "dataset": section.dataset, "study": section.study}
            yield ConvexData(key=f"convex/data/{label}", **about, resources=experiment.resources.compute)


def _left_out(experiment: Experiment) -> tuple[str, ...]:
    """Return why data sets are left out; raises DataError for one that must not be."""
    found = []
    for section in _sections(experiment).values():
        why = section.dataset.missing()
        if why is not None and not section.optional:
            raise DataError(why)
        found += [why] if why is not None else []
    return tuple(found)


def _sections(experiment: Experiment) -> dict[str, DataSection]:
    return {} if experiment.convex is None else experiment.convex.data


def _guarantees(experiment: Experiment) -> Iterator[ConvexGuarantees]:
    section = None if experiment.convex is None else experiment.convex.guarantees
    if section is not None:
        about: dict[str, Any] = {"dataset": section.dataset, "classes": section.classes, "pool": section.pool, "trial": section.trial}
        yield ConvexGuarantees(key="convex/guarantees", **about, resources=experiment.resources.compute)
