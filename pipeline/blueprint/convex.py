"""The nodes of the convex study, where an experiment has one."""

from collections.abc import Iterator

from pipeline.config import Experiment
from pipeline.stages.convex_linear import LinearPanel
from pipeline.stages.node import Node


def convex(experiment: Experiment) -> Iterator[Node]:
    """Yield the nodes of the convex study, none if the experiment has no section `convex`."""
    study, resources = experiment.convex, experiment.resources.compute
    if study is None:
        return
    if study.linear is not None:
        for label, example in study.linear.examples.items():
            for penalty in example.penalties:
                key = f"convex/linear/{label}/{penalty:g}"
                yield LinearPanel(key=key, study=study.linear, example=example, penalty=penalty, resources=resources)
