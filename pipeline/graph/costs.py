"""What an experiment trains and what that costs, from its config alone.

Plan, results and report share these numbers.
"""

import dataclasses
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from pipeline.config import Experiment
from pipeline.config.proxies import is_proxy, proxy_words
from pipeline.core.errors import ConfigError
from pipeline.core.registry import plugin_name
from pipeline.data.examples import Examples
from pipeline.graph.nodes.lds_curve import SHARES, model_counts
from pipeline.graph.result_rows import Spending
from pipeline.results.report_content import PopulationContent
from pipeline.sources.base import ModelSource

# Roles whose models datamodels are fitted to.
SUBSETS = ("subset", "designed")
# Roles of models that leave out a forget set.
ORACLES = ("oracle", "floor")


def spending_of(experiment: Experiment, examples: Examples) -> Spending:
    """Return what the experiment spends before any unlearning."""
    learnt = learnt_from(experiment, examples)
    return Spending(
        datamodel=sum((row.retrainings for row in learnt), start=0.0),
        focused=sum(row.retrainings for row in focused_rows(experiment, examples))
        / len(experiment.forget_sets),
        n_requests=len(experiment.forget_sets),
        n_models=experiment.populations.full.count(),
        epochs=experiment.recipe.epochs,
        n_train=examples.n_train,
        proxies=tuple(row.role for row in learnt if row.retrainings and is_proxy(experiment, row.role)),
    )


def learnt_from(experiment: Experiment, examples: Examples) -> list[PopulationContent]:
    """Return the populations that are trained to predict effects."""
    subsets = {"subset": experiment.populations.subset, "designed": experiment.populations.designed}
    rows = [
        _row(experiment, role, of.keep_fraction, examples)
        for role in subset_roles(experiment)
        if (of := subsets[role]) is not None
    ]
    return rows + ([_row(experiment, "scout", 1.0, examples)] if _attribution_looks(experiment) else [])


def trained_besides(
    experiment: Experiment, examples: Examples, rows: Iterable[PopulationContent]
) -> list[PopulationContent]:
    """Return the populations that no row counts.

    These are models that are only started from, and the scouts that such models need.
    """
    wanted, counted = experiment.populations, {row.role for row in rows}
    fractions = dict.fromkeys(("subset", "heldout"), wanted.subset.keep_fraction)
    fractions |= {} if wanted.designed is None else {"designed": wanted.designed.keep_fraction}
    roles = sorted(roles_used(experiment) - counted)
    return [_row(experiment, role, fractions.get(role, 1.0), examples) for role in roles]


def focused_rows(experiment: Experiment, examples: Examples) -> list[PopulationContent]:
    """Return the models that are trained for single forget sets.

    If they keep all other points, the models that keep the set are the full models, which exist already.
    """
    focused = experiment.populations.focused
    if focused is None or not needs_effects(experiment):
        return []
    n_each = focused.n_pairs if focused.keep_fraction == 1 else focused.n_models
    return [_counted("focused", n_each * len(experiment.forget_sets), focused.keep_fraction, examples)]


def judged_by(experiment: Experiment, examples: Examples) -> list[PopulationContent]:
    """Return the populations that are trained to be unlearned or to judge by."""
    wanted = experiment.populations
    rows = [_row(experiment, "full", 1.0, examples)]
    rows += [_row(experiment, role, 1.0, examples) for role in ORACLES]
    rows += _trained_for_judges(experiment, examples)
    if wanted.heldout is None or not attributes(experiment):
        return rows
    return [*rows, _row(experiment, "heldout", wanted.subset.keep_fraction, examples)]


def _trained_for_judges(experiment: Experiment, examples: Examples) -> list[PopulationContent]:
    """Return the populations that judges need for themselves."""
    rows = []
    for label, judge in experiment.judges.items():
        for name, models in judge.populations().items():
            n_models = models.n_models * (len(experiment.forget_sets) if models.leaves_out_forget_set else 1)
            row = _counted(f"{label}: {name}", n_models, models.keep_fraction or 1.0, examples)
            leaves_out_all = models.leaves_out_forget_set and models.keep_fraction is None
            rows.append(dataclasses.replace(row, points_kept=None) if leaves_out_all else row)
    return rows


def _counted(role: str, n_models: int, fraction: float, examples: Examples) -> PopulationContent:
    return PopulationContent(
        role=role,
        n_models=n_models,
        points_kept=round(fraction * examples.n_train),
        retrainings=n_models * fraction,
    )


def _row(experiment: Experiment, role: str, fraction: float, examples: Examples) -> PopulationContent:
    """Return the number and the cost of the models of a role, summed over all forget sets.

    Models trained elsewhere cost nothing here.
    """
    wanted = experiment.populations.of(role)
    if wanted is None:
        raise ConfigError(
            f"populations.{role} is null, but its models are needed; set populations.{role}.n_models"
        )
    source = wanted.located_source
    if source is None:
        n_models = wanted.n_models * (len(experiment.forget_sets) if role in ORACLES else 1)
        row = _counted(role, n_models, fraction, examples)
        kept = None if role in ORACLES else row.points_kept
        return dataclasses.replace(row, points_kept=kept, note=proxy_words(experiment, role))
    note = f"from {plugin_name(source)}, not trained here"
    counts = [min(wanted.n_models, one.n_models()) for one in sources_of(experiment, role)]
    kept = None if role in ORACLES else round(fraction * examples.n_train)
    # A source of oracles offers nothing before a forget set is named.
    if role not in ORACLES and "masks" in source.offers():
        kept = round(float(source.read_masks(0, counts[0]).sum(axis=1).mean()))
    return PopulationContent(role=role, n_models=sum(counts), points_kept=kept, retrainings=0.0, note=note)


def sources_of(experiment: Experiment, role: str) -> tuple[ModelSource, ...]:
    """Return the sources of a role: one, or for oracles one for each forget set.

    It is empty if the models are trained here.
    """
    wanted = experiment.populations.of(role)
    source = None if wanted is None else wanted.located_source
    if source is None:
        return ()
    return (
        tuple(source.of_forget_set(label) for label in experiment.forget_sets)
        if role in ORACLES
        else (source,)
    )


def needs_effects(experiment: Experiment) -> bool:
    """Return whether an unlearner needs predicted effects."""
    return any("effect" in unlearner.needs for unlearner in experiment.unlearners.values())


def attributes(experiment: Experiment) -> bool:
    """Return whether datamodels are made.

    They are made if an unlearner needs effects. They are also made if the attribution or the subset models
    come from outside, at least to be scored.
    """
    return (
        needs_effects(experiment)
        or not subset_roles(experiment)
        or experiment.populations.subset.source is not None
    )


def subset_roles(experiment: Experiment) -> list[str]:
    """Return the roles whose models the datamodel is fitted to.

    It is empty for an estimator that needs no subset models.
    """
    if "subset" not in experiment.estimator.needs:
        return []
    return [role for role in SUBSETS if role == "subset" or experiment.populations.designed is not None]


def fewest_learnt_from(experiment: Experiment) -> int | None:
    """Return how many subset models the smallest fit rests on; None if it rests on none.

    If there is a curve, this is the smallest fit of the curve.
    """
    wanted, roles = experiment.populations, subset_roles(experiment)
    if not roles or not attributes(experiment):
        return None
    sizes = [wanted.subset.count()] + ([wanted.designed.count()] if wanted.designed is not None else [])
    return sum(model_counts(sizes, 1.0 if wanted.heldout is None else min(SHARES)))


def needs_scouts(experiment: Experiment) -> bool:
    """Return whether scouts are needed: for attribution, or for the groups that `designed` models drop."""
    return _attribution_looks(experiment) or _starts_from_designed(experiment)


def needs_groups(experiment: Experiment) -> bool:
    """Return whether groups of training points are needed, to be dropped or as features."""
    return _attribution_needs_groups(experiment) or _starts_from_designed(experiment)


def _attribution_looks(experiment: Experiment) -> bool:
    """Return whether attribution rests on scouts."""
    looks = (
        bool(experiment.estimator.needs & {"views", "checkpoints"})
        or experiment.estimator.guided_by() is not None
    )
    return looks or _attribution_needs_groups(experiment)


def _attribution_needs_groups(experiment: Experiment) -> bool:
    drops_groups = "designed" in subset_roles(experiment) and _trains_designed(experiment)
    return "groups" in experiment.estimator.needs or drops_groups


def looks(experiment: Experiment) -> bool:
    """Return whether any table of this experiment is computed from the scouts."""
    return (attributes(experiment) and needs_scouts(experiment)) or _starts_from_designed(experiment)


def _starts_from_designed(experiment: Experiment) -> bool:
    return "designed" in starts_of(experiment) and _trains_designed(experiment)


def _trains_designed(experiment: Experiment) -> bool:
    designed = experiment.populations.designed
    return designed is not None and designed.source is None


class Starting(NamedTuple):
    """A role from which models start.

    words says in text what starts from it or is compared with it. reads says which of `logits` and `states`
    are read.
    """

    role: str
    words: str
    reads: frozenset[str]


def starts(experiment: Experiment) -> Iterator[Starting]:
    """Yield the roles that unlearners start from, and those that judges use as models before unlearning."""
    for label, unlearner in experiment.unlearners.items():
        yield Starting(unlearner.start, f"unlearners.{label} starts from", frozenset({"logits", "states"}))
    for label, judge in experiment.judges.items():
        if "full" in judge.needs:
            # A judge without a start of its own uses the start of each unlearner, and the full models for the
            # floor.
            yield Starting(
                judge.start or "full", f"judges.{label} compares with", judge.needs & {"logits", "states"}
            )


def starts_of(experiment: Experiment) -> frozenset[str]:
    """Return the roles that unlearners start from and that judges compare with."""
    return frozenset(start.role for start in starts(experiment))


def roles_used(experiment: Experiment) -> frozenset[str]:
    """Return the roles whose populations an experiment has."""
    roles = {"full", *ORACLES} | starts_of(experiment)
    if attributes(experiment):
        roles |= set(subset_roles(experiment))
        roles |= {"heldout"} if experiment.populations.heldout is not None else set()
    return frozenset(roles | ({"scout"} if looks(experiment) else set()))


def in_one_fit(experiment: Experiment) -> frozenset[str]:
    """Return the roles whose models one fit learns from: their outputs, or gradients of their weights."""
    roles = set(subset_roles(experiment))
    if roles and (
        experiment.estimator.guided_by() is not None or "checkpoints" in experiment.estimator.needs
    ):
        roles.add("scout")
    return frozenset(roles) if attributes(experiment) else frozenset()


def has_forget_curve(experiment: Experiment) -> bool:
    """Return whether forgetting is judged by the number of models, as the score is.

    With focused models it is not, because an effect then depends on more than the models that the curve
    counts.
    """
    wanted = experiment.populations
    return (
        needs_effects(experiment)
        and bool(subset_roles(experiment))
        and wanted.heldout is not None
        and wanted.focused is None
    )
