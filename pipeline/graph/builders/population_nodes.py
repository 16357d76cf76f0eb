"""The nodes of the populations that an experiment trains or takes from elsewhere."""

from collections.abc import Iterator
from typing import Any

from pipeline.config import Experiment
from pipeline.config.proxies import model_of, recipe_of
from pipeline.core.errors import ConfigError
from pipeline.graph.builders.source_requirements import source_of, sourced, sourced_node
from pipeline.graph.costs import attributes, looks, needs_groups, roles_used
from pipeline.graph.node import Node
from pipeline.graph.nodes.groups import Groups
from pipeline.graph.nodes.train import FOCUSED_IN, FOCUSED_OUT, Population
from pipeline.graph.nodes.views import ViewsOfPoints


def populations(experiment: Experiment) -> Iterator[Node]:
    """Yield the populations that all forget sets share, and the groups and views of points if needed."""
    wanted, used = experiment.populations, roles_used(experiment)
    yield models(experiment, "full")
    if "scout" in used:
        yield models(experiment, "scout")
    if looks(experiment):
        yield from _looks(experiment)
    fraction = wanted.subset.keep_fraction
    if "subset" in used:
        yield models(experiment, "subset", keep_fraction=fraction, n_seeds=wanted.n_seeds)
    if "designed" in used and wanted.designed is not None:
        groups: dict[str, Any] = {} if wanted.designed.source is not None else {"groups_key": "groups"}
        yield models(
            experiment,
            "designed",
            keep_fraction=wanted.designed.keep_fraction,
            n_seeds=wanted.n_seeds,
            **groups,
        )
    if "heldout" in used and wanted.heldout is not None:
        yield models(experiment, "heldout", keep_fraction=fraction)


def models(
    experiment: Experiment, role: str, label: str | None = None, *, saves_states: bool = False, **options: Any
) -> Node:
    """Return the node of the models of a role; for oracles, label is the label of the forget set.

    The models are read from a source, or trained here; options are then further fields of Population. Weights
    are kept if keep_states of the role or saves_states is true.
    """
    found, wanted = sourced(experiment, role, label), experiment.populations.of(role)
    if found is not None:
        return sourced_node(experiment, found)
    if wanted is None:
        raise ConfigError(
            f"populations.{role} is null, but its models are needed; set populations.{role}.n_models"
        )
    if label is not None:
        options |= {"forget_key": f"forget/{label}", "forget_set": label}
    key = f"train/{role}" if label is None else f"train/{role}/{label}"
    return population(
        experiment, key, role, wanted.n_models, saves_states=wanted.keep_states or saves_states, **options
    )


def _looks(experiment: Experiment) -> Iterator[Node]:
    """Yield the tables that are computed from the scouts' features: groups and views of points, if needed."""
    about: dict[str, Any] = {
        "model": model_of(experiment, "scout"),
        "model_role": "scout",
        "seed": experiment.seed,
        "scout_key": "train/scout",
        "scout_source": source_of(experiment, "scout"),
        "resources": experiment.resources.compute,
    }
    if needs_groups(experiment):
        yield Groups(key="groups", **about)
    if attributes(experiment) and "views" in experiment.estimator.needs:
        yield ViewsOfPoints(key="views", **about)


def focused_keys(experiment: Experiment, label: str) -> dict[str, str]:
    """Return the keys of the populations with and without a forget set, by role; empty if none are focused.

    With keep_fraction 1 the models with the set are the full models.
    """
    focused = experiment.populations.focused
    if focused is None:
        return {}
    keys = {role: f"train/{role}/{label}" for role in (FOCUSED_IN, FOCUSED_OUT)}
    return keys | {FOCUSED_IN: "train/full"} if focused.keep_fraction == 1 else keys


def focused_pairs(experiment: Experiment, label: str) -> Iterator[Population]:
    """Yield the focused populations of a forget set; full models are left out, as they exist already."""
    focused = experiment.populations.focused
    for role, key in focused_keys(experiment, label).items():
        if focused is not None and key != "train/full":
            about: dict[str, Any] = {
                "keep_fraction": focused.keep_fraction,
                "forget_key": f"forget/{label}",
                "forget_set": label,
            }
            yield population(experiment, key, role, focused.n_pairs, **about)


def population(experiment: Experiment, key: str, role: str, n_models: int, **options: Any) -> Population:
    """Return the node of a population that is trained here; options are further fields of Population."""
    return Population(
        key=key,
        role=role,
        n_units=n_models,
        shard_size=experiment.store.shard_members,
        resources=experiment.resources.train,
        dataset=experiment.dataset,
        model=model_of(experiment, role),
        recipe=recipe_of(experiment, role),
        layout=experiment.store.layout,
        seed=experiment.seed,
        **options,
    )
