"""The populations that come from sources: what is read of each source, and what a source lacks."""

import contextlib
from collections.abc import Iterator
from typing import Any, Literal, NamedTuple

import numpy as np

from pipeline.config import Experiment
from pipeline.config.proxies import model_of
from pipeline.core.errors import ConfigError, DataError, InputsNotReadError, placed
from pipeline.core.registry import plugin_name
from pipeline.data.examples import Examples
from pipeline.graph.costs import ORACLES, looks, needs_effects, starts
from pipeline.graph.nodes.imported import MASKED, Evaluated, Imported, check_forget_ids
from pipeline.sources.base import ModelSource, check_apart, check_first
from pipeline.training.ensemble import Builder

# For each thing that a source may lack, what would supply it.
REMEDIES = {
    "masks": "a source with masks, such as madrylab, or checkpoints with `masks`",
    "states": "a source with weights, such as a folder with the models' checkpoints, or models trained here",
    "logits": "a source with logits or weights, or models trained here",
}


ROLES = ("subset", "designed", "heldout", "scout", "full", "oracle", "floor")
# Pairs of populations that must hold different models. It proves nothing to predict models that the datamodel
# was fitted to, or to compare oracles with themselves.
_APART = {("subset", "designed"), ("subset", "heldout"), ("designed", "heldout"), ("oracle", "floor")}


class FromSource(NamedTuple):
    """A population from a source; label is the label of its forget set, None for populations without one."""

    role: str
    label: str | None
    source: ModelSource
    n_models: int

    @property
    def key(self) -> str:
        """The key of the population's table."""
        return f"train/{self.role}" if self.label is None else f"train/{self.role}/{self.label}"


def sourced(experiment: Experiment, role: str, label: str | None = None) -> FromSource | None:
    """Return the population of a role and forget set from a source; None if the models are trained here."""
    wanted = experiment.populations.of(role)
    source = None if wanted is None else wanted.located_source
    if wanted is None or source is None:
        return None
    source = source if label is None else source.of_forget_set(label)
    source = source.only(what_is_read(experiment, FromSource(role, label, source, 0)))
    return FromSource(role, label, source, min(wanted.n_models, source.n_models()))


def source_of(experiment: Experiment, role: str, label: str | None = None) -> ModelSource | None:
    """Return the source of a role's models; None if they are trained here and weights are in the store."""
    found = sourced(experiment, role, label)
    return None if found is None else found.source


def sourced_node(experiment: Experiment, found: FromSource) -> Imported:
    """Return the node of a population from a source."""
    outputs, offers = outputs_read(experiment, found), found.source.offers()
    about: dict[str, Any] = {
        "key": found.key,
        "role": found.role,
        "forget_set": found.label,
        "n_units": found.n_models,
        "shard_size": experiment.store.shard_members,
        "dataset": experiment.dataset,
        "records": found.source,
        "layout": experiment.store.layout,
        "outputs": outputs,
        "has_states": "states" in offers,
        "forget_key": None if found.label is None else f"forget/{found.label}",
    }
    if outputs == "states":
        return Evaluated(
            **about,
            model=model_of(experiment, found.role),
            model_role=found.role,
            resources=experiment.resources.train,
        )
    return Imported(**about, resources=experiment.resources.compute)


def outputs_read(experiment: Experiment, found: FromSource) -> Literal["logits", "margins", "states"]:
    """Return what the outputs of a population are made from: the source's logits, margins or weights.

    Margins are read only if nothing needs logits. Logits are computed from weights (`states`) if the source
    offers weights but not the needed outputs. Raises DataError if it offers none of these.
    """
    offers, wants_logits = found.source.offers(), reads_logits(experiment, found.role)
    if "logits" in offers and (wants_logits or "margins" not in offers):
        return "logits"
    if "states" in offers and (wants_logits or "margins" not in offers):
        return "states"
    if "margins" in offers:
        return "margins"
    raise DataError(_lacking(found, "logits", "its outputs are recorded"))


def what_is_read(experiment: Experiment, found: FromSource) -> frozenset[str]:
    """Return what is read of a source for a role: outputs, and masks and weights only if they are needed."""
    offers, needed = found.source.offers(), {what for what, _ in needed_of(experiment, found.role)}
    kinds = {"logits", "margins", "states"} & offers
    outputs = {outputs_read(experiment, found)} if kinds else set()
    return frozenset(outputs | ({"states", "masks"} & needed & offers)) or offers


def reads_logits(experiment: Experiment, role: str) -> bool:
    """Return whether anything reads the logits of a role's models, not only their margins."""
    if role == "full" or any(start.role == role and "logits" in start.reads for start in starts(experiment)):
        return True
    if role in ("subset", "designed"):
        return needs_effects(experiment)
    judged = any("logits" in judge.needs for judge in experiment.judges.values())
    taught = any("oracle" in unlearner.needs for unlearner in experiment.unlearners.values())
    return (role in ORACLES and judged) or (role == "floor" and taught)


def needed_of(experiment: Experiment, role: str) -> Iterator[tuple[str, str]]:
    """Yield what a role's source has to offer, each with the reason."""
    if role in MASKED:
        yield "masks", "datamodels are learnt from which points a model saw"
    readers = [start for start in starts(experiment) if start.role == role and "states" in start.reads]
    yield from (("states", f"{start.words} them") for start in readers)
    for label, unlearner in experiment.unlearners.items():
        if role == "floor" and "oracle" in unlearner.needs:
            yield "logits", f"unlearners.{label} needs oracles to learn from"
    if role == "full" and needs_effects(experiment):
        yield "logits", "predicted effects are added to their logits"
    if role == "scout" and looks(experiment):
        yield "states", "attribution reads the weights of these models"
    if role in ORACLES:
        for label, judge in experiment.judges.items():
            if judge.needs_states:
                yield "states", f"judges.{label} needs the weights of both sides"


def check_sources(experiment: Experiment, examples: Examples, roles: frozenset[str]) -> None:
    """Raise ConfigError or DataError if a source of one of the roles lacks what is needed of it.

    The message names what would supply it.
    """
    found = []
    for role in ROLES:
        with placed(f"populations.{role}.source"):
            for one in all_sourced(experiment, role) if role in roles else ():
                _check_sourced(experiment, examples, one)
                found.append(one)
    for number, first in enumerate(found):
        for second in found[number + 1 :]:
            if (first.role, second.role) in _APART and first.label == second.label:
                names = (first.role, second.role.replace("heldout", "held-out"))
                check_apart(first.source, first.n_models, second.source, second.n_models, names)


def all_sourced(experiment: Experiment, role: str) -> Iterator[FromSource]:
    """Yield the populations of a role from sources: one, or for oracles one for each forget set."""
    labels = experiment.forget_sets if role in ORACLES else [None]
    for label in labels:
        one = sourced(experiment, role, label)
        if one is not None:
            yield one


def _check_sourced(experiment: Experiment, examples: Examples, found: FromSource) -> None:
    offers = found.source.offers()
    for what, why in needed_of(experiment, found.role):
        if what not in offers and not (what == "logits" and "states" in offers):
            raise ConfigError(_lacking(found, what, why))
    found.source.check(examples)
    wanted = experiment.populations.of(found.role)
    if wanted is not None and found.role in MASKED and 0 < found.n_models < wanted.fewest:
        raise ConfigError(
            f"{plugin_name(found.source)} gives {found.n_models} models; at least {wanted.fewest} are "
            "needed to learn from or to predict"
        )
    reads = (
        frozenset({outputs_read(experiment, found)})
        | ({"states"} & offers)
        | ({"masks"} if found.role in MASKED else frozenset())
    )
    build = Builder(model_of(experiment, found.role), examples.input_shape, examples.n_classes)
    check_first(found.source, examples, build(), reads=reads)
    rule = None if found.label is None else experiment.forget_sets[found.label]
    # A command that reads no inputs does not know the ids of a rule that needs inputs.
    with contextlib.suppress(InputsNotReadError):
        if rule is not None and not rule.needs:
            check_forget_ids(found.source, np.asarray(rule.select(examples, None)), found.key)


def _lacking(found: FromSource, what: str, why: str) -> str:
    has = ", ".join(sorted(found.source.offers()))
    return (
        f"{plugin_name(found.source)} offers {has} of {found.key}, but no {what}: {why}. What "
        f"would supply it: {REMEDIES[what]}"
    )
