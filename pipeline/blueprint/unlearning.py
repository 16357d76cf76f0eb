"""Unlearning and what it is judged by: oracles, the methods on each forget set, and verdicts on them."""

from collections.abc import Iterator

from pipeline.accounts import ORACLES
from pipeline.blueprint.judging import judged_floor, judged_unlearning, keeps_states
from pipeline.blueprint.populations import models
from pipeline.blueprint.starts import start_of
from pipeline.config import Experiment
from pipeline.stages.node import Node
from pipeline.stages.unlearn import Unlearn


def oracles(experiment: Experiment, label: str) -> Iterator[Node]:
    """Yield the models retrained without a forget set, a second group of them, and what judges say of that one: the floor."""
    for role in ORACLES:
        yield models(experiment, role, label, saves_states=keeps_states(experiment))
    yield from judged_floor(experiment, label)


def unlearning(experiment: Experiment, label: str) -> Iterator[Node]:
    """Yield each method on a forget set, and the verdict on it."""
    for name, unlearner in experiment.unlearners.items():
        start = start_of(experiment, unlearner, label)
        yield Unlearn(
            key=f"unlearn/{name}/{label}",
            forget_set=label,
            method=name,
            n_units=start.n_models,
            shard_size=experiment.store.shard_members,
            resources=experiment.resources.unlearn,
            unlearner=unlearner,
            seed=experiment.seed,
            model=start.model,
            model_role=start.role,
            layout=experiment.store.layout,
            start_key=start.key,
            start_source=start.source,
            forget_key=f"forget/{label}",
            effect_key=f"effect/{label}" if "effect" in unlearner.needs else None,
            teacher_key=f"train/floor/{label}" if "oracle" in unlearner.needs else None,
            save_members=start.n_models if keeps_states(experiment) else experiment.tracking.save_members,
        )
        yield from judged_unlearning(experiment, name, label)
