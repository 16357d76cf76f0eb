"""The nodes of the convex study, where an experiment has one."""

import math
from collections.abc import Iterator
from typing import Any

from pipeline.config import Experiment
from pipeline.config.convex import DataSection
from pipeline.core.errors import DataError
from pipeline.core.memory import check_memory
from pipeline.core.registry import plugin_name
from pipeline.data.content import KNOWN
from pipeline.data.dataset import Dataset
from pipeline.stages.convex_data import ConvexData
from pipeline.stages.convex_guarantees import ConvexGuarantees
from pipeline.stages.convex_linear import LinearPanel
from pipeline.stages.convex_page import ConvexPage
from pipeline.stages.node import Node

CONVEX_PAGE = "convex/page"


def convex(experiment: Experiment, *, reads_inputs: bool = True) -> Iterator[Node]:
    """Yield the nodes of the convex study, none if the experiment has no section `convex`.

    reads_inputs says whether the content of its data sets may be read.
    """
    if experiment.convex is None:
        return
    linear, data, guarantees = tuple(_linear(experiment)), tuple(_data(experiment, reads_inputs)), tuple(_guarantees(experiment, reads_inputs))
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


def _data(experiment: Experiment, reads_inputs: bool) -> Iterator[ConvexData]:
    for label, section in _sections(experiment).items():
        if section.dataset.missing() is None or not section.optional:
            if reads_inputs:
                _check_size(f"convex.data.{label}", section.dataset)
            about: dict[str, Any] = {"label": label, "dataset": section.dataset, "study": section.study, "reads_inputs": reads_inputs}
            yield ConvexData(key=f"convex/data/{label}", **about, resources=experiment.resources.compute)


def _check_size(key: str, dataset: Dataset) -> None:
    """Raise DataError if the inputs of a study, which it needs at once in float64, are larger than memory."""
    # Beside float32 inputs, their copy in float64 and the features made of it.
    n_bytes = (4 + 8 + 8) * math.prod(KNOWN.shape(dataset))
    check_memory(n_bytes, f"{key}: all inputs of data set {plugin_name(dataset)!r} in float64", "give a smaller data set")


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


def _guarantees(experiment: Experiment, reads_inputs: bool) -> Iterator[ConvexGuarantees]:
    section = None if experiment.convex is None else experiment.convex.guarantees
    if section is not None:
        about: dict[str, Any] = {"dataset": section.dataset, "classes": section.classes, "pool": section.pool, "trial": section.trial}
        about["reads_inputs"] = reads_inputs
        if reads_inputs:
            _check_size("convex.guarantees", section.dataset)
        yield ConvexGuarantees(key="convex/guarantees", **about, resources=experiment.resources.compute)
