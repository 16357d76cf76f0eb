"""The models that an experiment needs and the cost of their training, before anything is trained.

The plan, the results and the report share these numbers.
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

# Roles of subset models, to which datamodels are fitted.
SUBSETS = ("subset", "designed")
# Roles of the two groups of models that are retrained without a forget set.
ORACLES = ("oracle", "floor")


def spending_of(experiment: Experiment, examples: Examples) -> Spending:
    """Return the costs of training the models that predicted effects are learnt from, in retrainings."""
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
    """Return a row for each population that predicted effects are learnt from: subset models, and scouts."""
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
    """Return a row for each population of the experiment whose role is not among rows.

    Such models are only unlearned or compared with, or they are scouts that find groups for such models.
    """
    wanted, counted = experiment.populations, {row.role for row in rows}
    fractions = dict.fromkeys(("subset", "heldout"), wanted.subset.keep_fraction)
    fractions |= {} if wanted.designed is None else {"designed": wanted.designed.keep_fraction}
    roles = sorted(roles_used(experiment) - counted)
    return [_row(experiment, role, fractions.get(role, 1.0), examples) for role in roles]


def focused_rows(experiment: Experiment, examples: Examples) -> list[PopulationContent]:
    """Return one row that counts the focused models of all forget sets; empty if there are none.

    Focused models form pairs, one model with the forget set and one without it. With keep_fraction 1 the
    model with the set is a full model, which exists already, so only one model of each pair is trained.
    """
    focused = experiment.populations.focused
    if focused is None or not needs_effects(experiment):
        return []
    n_each = focused.n_pairs if focused.keep_fraction == 1 else focused.n_models
    return [_counted("focused", n_each * len(experiment.forget_sets), focused.keep_fraction, examples)]


def judged_by(experiment: Experiment, examples: Examples) -> list[PopulationContent]:
    """Return a row for each population that is unlearned, or that judges or scores compare with."""
    wanted = experiment.populations
    rows = [_row(experiment, "full", 1.0, examples)]
    rows += [_row(experiment, role, 1.0, examples) for role in ORACLES]
    rows += _trained_for_judges(experiment, examples)
    if wanted.heldout is None or not attributes(experiment):
        return rows
    return [*rows, _row(experiment, "heldout", wanted.subset.keep_fraction, examples)]


def _trained_for_judges(experiment: Experiment, examples: Examples) -> list[PopulationContent]:
    """Return a row for each population that is trained only for a judge."""
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

    The result is empty if the models are trained here.
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
    """Return whether an unlearner needs the predicted effect of removing the forget set."""
    return any("effect" in unlearner.needs for unlearner in experiment.unlearners.values())


def attributes(experiment: Experiment) -> bool:
    """Return whether datamodels are fitted.

    They are fitted if an unlearner needs predicted effects. They are also fitted, if only to be scored, if
    the estimator needs no subset models or if the subset models come from a source.
    """
    return (
        needs_effects(experiment)
        or not subset_roles(experiment)
        or experiment.populations.subset.source is not None
    )


def subset_roles(experiment: Experiment) -> list[str]:
    """Return the roles whose models the datamodel is fitted to.

    The list is empty if the estimator needs no subset models.
    """
    if "subset" not in experiment.estimator.needs:
        return []
    return [role for role in SUBSETS if role == "subset" or experiment.populations.designed is not None]


def fewest_learnt_from(experiment: Experiment) -> int | None:
    """Return the number of subset models in the smallest fit of a datamodel; None if no fit uses any.

    With held-out models there is a curve of LDS, and its smallest share of the models is the smallest fit.
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
    """Return whether groups of training points are needed, by the estimator or for `designed` models."""
    return _attribution_needs_groups(experiment) or _starts_from_designed(experiment)


def _attribution_looks(experiment: Experiment) -> bool:
    """Return whether attribution needs scouts, directly or for groups."""
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
    """A role whose models unlearning starts from, or a judge compares with.

    words is the beginning of a message, such as "unlearners.dmm starts from". reads names what is read of the
    models, from `logits` and `states`.
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
            # A judge without a start of its own compares with the start of each unlearner, which is yielded
            # above, and for the floor with the full models.
            yield Starting(
                judge.start or "full", f"judges.{label} compares with", judge.needs & {"logits", "states"}
            )


def starts_of(experiment: Experiment) -> frozenset[str]:
    """Return the roles that unlearners start from and that judges compare with."""
    return frozenset(start.role for start in starts(experiment))


def roles_used(experiment: Experiment) -> frozenset[str]:
    """Return the roles of all populations, without focused models and models trained only for a judge."""
    roles = {"full", *ORACLES} | starts_of(experiment)
    if attributes(experiment):
        roles |= set(subset_roles(experiment))
        roles |= {"heldout"} if experiment.populations.heldout is not None else set()
    return frozenset(roles | ({"scout"} if looks(experiment) else set()))


def in_one_fit(experiment: Experiment) -> frozenset[str]:
    """Return the roles whose models one fit uses together: their outputs, or gradients at their weights."""
    roles = set(subset_roles(experiment))
    if roles and (
        experiment.estimator.guided_by() is not None or "checkpoints" in experiment.estimator.needs
    ):
        roles.add("scout")
    return frozenset(roles) if attributes(experiment) else frozenset()


def has_forget_curve(experiment: Experiment) -> bool:
    """Return whether forgetting can be measured against the number of subset models.

    With focused models it cannot, because predicted effects then also depend on models that such a curve does
    not count.
    """
    wanted = experiment.populations
    return (
        needs_effects(experiment)
        and bool(subset_roles(experiment))
        and wanted.heldout is not None
        and wanted.focused is None
    )
