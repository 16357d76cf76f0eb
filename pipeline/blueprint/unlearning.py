"""Unlearning and what it is judged by: oracles, the methods on each forget set, and verdicts on them."""

from collections.abc import Iterator

from pipeline.blueprint.judging import judged_floor, judged_unlearning, keeps_states
from pipeline.blueprint.populations import population
from pipeline.config import Experiment
from pipeline.stages.node import Node
from pipeline.stages.unlearn import Unlearn


def oracles(experiment: Experiment, label: str) -> Iterator[Node]:
    """Yield the models retrained without a forget set, a second group of them, and what judges say of that one: the floor."""
    wanted = experiment.populations
    for role, members in (("oracle", wanted.oracle), ("floor", wanted.floor)):
        about = {"forget_key": f"forget/{label}", "forget_set": label, "saves_states": keeps_states(experiment)}
        yield population(experiment, f"train/{role}/{label}", role, members.n_models, **about)
    yield from judged_floor(experiment, label)


def unlearning(experiment: Experiment, label: str) -> Iterator[Node]:
    """Yield each method on a forget set, and the verdict on it."""
    n_models = experiment.populations.full.n_models
    for name, unlearner in experiment.unlearners.items():
        yield Unlearn(
            key=f"unlearn/{name}/{label}",
            forget_set=label,
            method=name,
            n_units=n_models,
            shard_size=experiment.store.shard_members,
            resources=experiment.resources.unlearn,
            unlearner=unlearner,
            seed=experiment.seed,
            model=experiment.model,
            layout=experiment.store.layout,
            start_key="train/full",
            forget_key=f"forget/{label}",
            effect_key=f"effect/{label}" if "effect" in unlearner.needs else None,
            teacher_key=f"train/floor/{label}" if "oracle" in unlearner.needs else None,
            save_members=n_models if keeps_states(experiment) else experiment.tracking.save_members,
        )
        yield from judged_unlearning(experiment, name, label)
