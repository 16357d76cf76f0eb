"""Which populations an experiment trains, or takes from elsewhere."""

from collections.abc import Iterator
from typing import Any

from pipeline.accounts import (
    attributes,
    needs_groups,
    needs_scouts,
    subset_roles,
)
from pipeline.config import Experiment
from pipeline.data.records.base import Records
from pipeline.stages.groups import Groups
from pipeline.stages.imported import Imported
from pipeline.stages.node import Node
from pipeline.stages.train import FOCUSED_IN, FOCUSED_OUT, Population
from pipeline.stages.views import ViewsOfPoints


def populations(experiment: Experiment) -> Iterator[Node]:
    """Yield what is trained once for all forget sets, and what else attribution looks at: groups of points and views of them."""
    wanted = experiment.populations
    yield population(experiment, "train/full", "full", wanted.full.n_models, saves_states=True)
    if not attributes(experiment):
        return
    if needs_scouts(experiment):
        yield population(experiment, "train/scout", "scout", wanted.scout.n_models, saves_states=True)
    looks: dict[str, Any] = {"model": experiment.model, "seed": experiment.seed, "scout_key": "train/scout", "resources": experiment.resources.compute}
    if needs_groups(experiment):
        yield Groups(key="groups", **looks)
    if "views" in experiment.estimator.needs:
        yield ViewsOfPoints(key="views", **looks)
    fraction, roles = wanted.subset.keep_fraction, subset_roles(experiment)
    if "subset" in roles and wanted.subset.imported is not None:
        yield _imported(experiment, "train/subset", "subset", wanted.subset.n_models, wanted.subset.imported)
    elif "subset" in roles:
        yield population(experiment, "train/subset", "subset", wanted.subset.n_models, keep_fraction=fraction, n_seeds=wanted.n_seeds)
    if "designed" in roles and wanted.designed is not None:
        designed: dict[str, Any] = {"keep_fraction": wanted.designed.keep_fraction, "n_seeds": wanted.n_seeds, "groups_key": "groups"}
        yield population(experiment, "train/designed", "designed", wanted.designed.n_models, **designed)
    if wanted.heldout is not None and wanted.heldout.imported is not None:
        yield _imported(experiment, "train/heldout", "heldout", wanted.heldout.n_models, wanted.heldout.imported)
    elif wanted.heldout is not None:
        yield population(experiment, "train/heldout", "heldout", wanted.heldout.n_models, keep_fraction=fraction)


def focused_keys(experiment: Experiment, label: str) -> dict[str, str]:
    """Return the keys of the models with and without a forget set that are compared; where they keep all other points, the former are the full models."""
    focused = experiment.populations.focused
    if focused is None:
        return {}
    keys = {role: f"train/{role}/{label}" for role in (FOCUSED_IN, FOCUSED_OUT)}
    return keys | {FOCUSED_IN: "train/full"} if focused.keep_fraction == 1 else keys


def focused_pairs(experiment: Experiment, label: str) -> Iterator[Population]:
    """Yield the populations trained to compare models with and without one forget set."""
    focused = experiment.populations.focused
    for role, key in focused_keys(experiment, label).items():
        if focused is not None and key != "train/full":
            about: dict[str, Any] = {"keep_fraction": focused.keep_fraction, "forget_key": f"forget/{label}", "forget_set": label}
            yield population(experiment, key, role, focused.n_pairs, **about)


def population(experiment: Experiment, key: str, role: str, n_models: int, **options: Any) -> Population:
    """Return one population of models of the experiment."""
    return Population(
        key=key,
        role=role,
        n_units=n_models,
        shard_size=experiment.store.shard_members,
        resources=experiment.resources.train,
        dataset=experiment.dataset,
        model=experiment.model,
        recipe=experiment.recipe,
        layout=experiment.store.layout,
        seed=experiment.seed,
        **options,
    )


def _imported(experiment: Experiment, key: str, role: str, n_models: int, records: Records) -> Imported:
    return Imported(
        key=key,
        role=role,
        n_units=min(n_models, len(records.models())),
        shard_size=experiment.store.shard_members,
        resources=experiment.resources.compute,
        dataset=experiment.dataset,
        records=records,
        layout=experiment.store.layout,
    )
