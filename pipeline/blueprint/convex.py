"""The nodes of the convex study, where an experiment has one."""

from collections.abc import Iterator

from pipeline.config import Experiment
from pipeline.stages.convex_linear import LinearPanel
from pipeline.stages.convex_page import ConvexPage
from pipeline.stages.node import Node

CONVEX_PAGE = "convex/page"


def convex(experiment: Experiment) -> Iterator[Node]:
    """Yield the nodes of the convex study, none if the experiment has no section `convex`."""
    if experiment.convex is None:
        return
    linear = tuple(_linear(experiment))
    yield from linear
    yield ConvexPage(key=CONVEX_PAGE, title=experiment.name, linear=linear, resources=experiment.resources.compute)


def _linear(experiment: Experiment) -> Iterator[LinearPanel]:
    if experiment.convex is None or experiment.convex.linear is None:
        return
    study = experiment.convex.linear
    for label, example in study.examples.items():
        for penalty in example.penalties:
            key = f"convex/linear/{label}/{penalty:g}"
            yield LinearPanel(key=key, label=label, study=study, example=example, penalty=penalty, resources=experiment.resources.compute)
