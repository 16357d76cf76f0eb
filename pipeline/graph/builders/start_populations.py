"""The models that unlearning starts from: a named population, trained here or read from a source."""

from typing import Any, NamedTuple

from pipeline.config import Experiment
from pipeline.config.proxies import model_of
from pipeline.core.errors import ConfigError
from pipeline.graph.builders.source_requirements import sourced
from pipeline.graph.costs import ORACLES, starts
from pipeline.models.base import Model
from pipeline.sources.base import ModelSource
from pipeline.unlearning.unlearner import Unlearner


class Start(NamedTuple):
    """The models that unlearning starts from.

    role: their role, such as `full`. key: the key of their table. model: their architecture. source: the
    source of their weights, or None if they are trained here.
    """

    role: str
    key: str
    n_models: int
    model: Model
    source: ModelSource | None


def start_of(experiment: Experiment, unlearner: Unlearner, label: str) -> Start:
    """Return the models that an unlearner starts from, for the forget set with this label."""
    return start_at(experiment, unlearner.start, label)


def start_at(experiment: Experiment, role: str, label: str) -> Start:
    """Return the models of a role as a start; for oracles those of the forget set with this label."""
    own = label if role in ORACLES else None
    found, wanted = sourced(experiment, role, own), experiment.populations.of(role)
    if wanted is None:
        raise ConfigError(
            f"unlearning starts from populations.{role}, which is null; set "
            f"populations.{role}.n_models, or name another start"
        )
    key = f"train/{role}" if own is None else f"train/{role}/{own}"
    n_models = wanted.n_models if found is None else found.n_models
    return Start(role, key, n_models, model_of(experiment, role), None if found is None else found.source)


def fields_of(experiment: Experiment, unlearner: Unlearner, start: Start, forget_set: str) -> dict[str, Any]:
    """Return the fields of a node that runs an unlearner on the models of start for one forget set.

    forget_set is the label of the set.
    """
    return {
        "forget_set": forget_set,
        "n_units": start.n_models,
        "shard_size": experiment.store.shard_members,
        "resources": experiment.resources.unlearn,
        "unlearner": unlearner,
        "seed": experiment.seed,
        "model": start.model,
        "model_role": start.role,
        "layout": experiment.store.layout,
        "start_key": start.key,
        "start_source": start.source,
        "forget_key": f"forget/{forget_set}",
    }


def check_starts(experiment: Experiment) -> None:
    """Raise ConfigError if an unlearner or a judge reads weights that are not kept."""
    keeps_oracles = any(judge.needs_states for judge in experiment.judges.values())
    for start in starts(experiment):
        wanted = experiment.populations.of(start.role)
        if wanted is None or wanted.source is not None or "states" not in start.reads:
            continue
        if not wanted.keep_states and not (keeps_oracles and start.role in ORACLES):
            where = f"populations.{start.role}"
            raise ConfigError(
                f"{start.words} {where}, whose weights are not kept; set {where}.keep_states=true"
            )
