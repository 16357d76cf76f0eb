"""The nodes of unlearning: oracles, the methods on each forget set, and the verdicts on them."""

from collections.abc import Iterator

from pipeline.config import Experiment
from pipeline.graph.builders.judge_nodes import judged_floor, judged_unlearning, keeps_states
from pipeline.graph.builders.population_nodes import models
from pipeline.graph.builders.start_populations import fields_of, start_of
from pipeline.graph.costs import ORACLES
from pipeline.graph.node import Node
from pipeline.graph.nodes.unlearn import Unlearn


def oracles(experiment: Experiment, label: str) -> Iterator[Node]:
    """Yield two groups of models retrained without a forget set, and the verdicts on the second group.

    These verdicts are the floor.
    """
    for role in ORACLES:
        yield models(experiment, role, label, saves_states=keeps_states(experiment))
    yield from judged_floor(experiment, label)


def unlearning(experiment: Experiment, label: str) -> Iterator[Node]:
    """Yield each method on a forget set, and the verdicts on it."""
    for name, unlearner in experiment.unlearners.items():
        start = start_of(experiment, unlearner, label)
        yield Unlearn(
            key=f"unlearn/{name}/{label}",
            method=name,
            effect_key=f"effect/{label}" if "effect" in unlearner.needs else None,
            teacher_key=f"train/floor/{label}" if "oracle" in unlearner.needs else None,
            save_members=experiment.tracking.save_members,
            saves_states=keeps_states(experiment),
            **fields_of(experiment, unlearner, start, label),
        )
        yield from judged_unlearning(experiment, name, label)
