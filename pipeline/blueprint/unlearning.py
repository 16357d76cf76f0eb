"""Unlearning and what it is judged by: oracles, the methods on each forget set, and verdicts."""

from collections.abc import Iterator

from pipeline.blueprint.populations import population
from pipeline.config import Experiment
from pipeline.stages.evaluate import FLOOR, Verdict
from pipeline.stages.node import Node
from pipeline.stages.unlearn import Unlearn


def oracles(experiment: Experiment, label: str) -> Iterator[Node]:
    """Yield the models retrained without a forget set, a second group of them, and how far the groups are apart: the floor."""
    wanted = experiment.populations
    for role, members in (("oracle", wanted.oracle), ("floor", wanted.floor)):
        about = {"forget_key": f"forget/{label}", "forget_set": label}
        yield population(experiment, f"train/{role}/{label}", role, members.n_models, **about)
    yield _verdict(experiment, FLOOR, f"train/floor/{label}", label, counts_samples=False)


def unlearning(experiment: Experiment, label: str) -> Iterator[Node]:
    """Yield each method on a forget set, and the verdict on it."""
    for name, unlearner in experiment.unlearners.items():
        yield Unlearn(
            key=f"unlearn/{name}/{label}",
            forget_set=label,
            method=name,
            n_units=experiment.populations.full.n_models,
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
            save_members=experiment.tracking.save_members,
        )
        yield _verdict(experiment, name, f"unlearn/{name}/{label}", label, counts_samples=True)


def _verdict(experiment: Experiment, method: str, judged: str, label: str, *, counts_samples: bool) -> Verdict:
    return Verdict(
        key=f"evaluate/{method}/{label}",
        forget_set=label,
        method=method,
        evaluation=experiment.evaluation,
        layout=experiment.store.layout,
        judged_key=judged,
        oracle_key=f"train/oracle/{label}",
        forget_key=f"forget/{label}",
        counts_samples=counts_samples,
        resources=experiment.resources.compute,
    )
