"""What an experiment trains and what that costs, from its config alone: the accounts that plan, results and report share."""

from pipeline.config import Experiment
from pipeline.data.examples import Examples
from pipeline.data.records.base import Records
from pipeline.reporting.content import PopulationContent
from pipeline.stages.curve import SHARES, counts_of
from pipeline.stages.results import Spending

# Roles whose models datamodels are fitted to.
SUBSETS = ("subset", "designed")


def spending_of(experiment: Experiment, examples: Examples) -> Spending:
    """Return what the experiment spends before any unlearning."""
    return Spending(
        datamodel=sum((row.retrainings for row in learnt_from(experiment, examples)), start=0.0),
        focused=sum(row.retrainings for row in focused_rows(experiment, examples)) / len(experiment.forget_sets),
        n_requests=len(experiment.forget_sets),
        n_models=experiment.populations.full.n_models,
        epochs=experiment.recipe.epochs,
        n_train=examples.n_train,
    )


def learnt_from(experiment: Experiment, examples: Examples) -> list[PopulationContent]:
    """Return what is trained to predict effects."""
    subsets, imported = {"subset": experiment.populations.subset, "designed": experiment.populations.designed}, experiment.populations.subset.imported
    trained = [role for role in subset_roles(experiment) if role == "designed" or imported is None]
    rows = [_counted(role, of.n_models, of.keep_fraction, examples) for role in trained if (of := subsets[role]) is not None]
    if imported is not None and "subset" in subset_roles(experiment):
        rows.insert(0, _recorded("subset", experiment.populations.subset.n_models, imported))
    return rows + ([_counted("scout", experiment.populations.scout.n_models, 1.0, examples)] if needs_scouts(experiment) else [])


def focused_rows(experiment: Experiment, examples: Examples) -> list[PopulationContent]:
    """Return what is trained for single forget sets: with all other points kept, the models that keep the set are the full ones, which exist."""
    focused = experiment.populations.focused
    if focused is None or not needs_effects(experiment):
        return []
    n_each = focused.n_pairs if focused.keep_fraction == 1 else focused.n_models
    return [_counted("focused", n_each * len(experiment.forget_sets), focused.keep_fraction, examples)]


def judged_by(experiment: Experiment, examples: Examples) -> list[PopulationContent]:
    """Return what is trained to be unlearned and to judge by."""
    wanted, n_sets = experiment.populations, len(experiment.forget_sets)
    rows = [_counted("full", wanted.full.n_models, 1.0, examples)]
    rows += [_counted(role, members.n_models * n_sets, 1.0, examples) for role, members in (("oracle", wanted.oracle), ("floor", wanted.floor))]
    rows += _trained_for_judges(experiment, examples)
    if wanted.heldout is None or not attributes(experiment):
        return rows
    if wanted.heldout.imported is not None:
        return [*rows, _recorded("heldout", wanted.heldout.n_models, wanted.heldout.imported)]
    return [*rows, _counted("heldout", wanted.heldout.n_models, wanted.subset.keep_fraction, examples)]


def _trained_for_judges(experiment: Experiment, examples: Examples) -> list[PopulationContent]:
    """Return what judges have trained for themselves."""
    rows = []
    for label, judge in experiment.judges.items():
        for name, models in judge.populations().items():
            n_models = models.n_models * (len(experiment.forget_sets) if models.leaves_out_forget_set else 1)
            rows.append(_counted(f"{label}: {name}", n_models, models.keep_fraction or 1.0, examples))
    return rows


def _counted(role: str, n_models: int, fraction: float, examples: Examples) -> PopulationContent:
    return PopulationContent(role=role, n_models=n_models, points_kept=round(fraction * examples.n_train), retrainings=n_models * fraction)


def _recorded(role: str, n_models: int, records: Records) -> PopulationContent:
    """Return what a population trained elsewhere is, at no cost here."""
    n_models = min(n_models, len(records.models()))
    kept = records.read_masks(0, n_models).sum(axis=1).mean()
    return PopulationContent(role=role, n_models=n_models, points_kept=round(float(kept)), retrainings=0.0)


def needs_effects(experiment: Experiment) -> bool:
    """Return whether an unlearner wants predicted effects."""
    return any("effect" in unlearner.needs for unlearner in experiment.unlearners.values())


def attributes(experiment: Experiment) -> bool:
    """Return whether datamodels are made: where an unlearner wants effects, and where attribution or models were brought, to be scored at least."""
    return needs_effects(experiment) or not subset_roles(experiment) or experiment.populations.subset.imported is not None


def subset_roles(experiment: Experiment) -> list[str]:
    """Return the roles whose models the datamodel is fitted to; none for an estimator that needs no subset models."""
    if "subset" not in experiment.estimator.needs:
        return []
    return [role for role in SUBSETS if role == "subset" or experiment.populations.designed is not None]


def fewest_learnt_from(experiment: Experiment) -> int | None:
    """Return how many subset models the smallest fit rests on, that of the curve where there is one; None if none are learnt from."""
    wanted, roles = experiment.populations, subset_roles(experiment)
    if not roles or not attributes(experiment):
        return None
    n_subset = wanted.subset.n_models if wanted.subset.imported is None else min(wanted.subset.n_models, len(wanted.subset.imported.models()))
    sizes = [n_subset] + ([wanted.designed.n_models] if wanted.designed is not None else [])
    return sum(counts_of(sizes, 1.0 if wanted.heldout is None else min(SHARES)))


def needs_scouts(experiment: Experiment) -> bool:
    """Return whether a few models are trained to look at the data, or to be attributed to."""
    looks = bool(experiment.estimator.needs & {"views", "checkpoints"}) or experiment.estimator.guided_by() is not None
    return looks or needs_groups(experiment)


def needs_groups(experiment: Experiment) -> bool:
    """Return whether groups of training points are looked for, to be dropped or as features."""
    return "groups" in experiment.estimator.needs or "designed" in subset_roles(experiment)


def has_forget_curve(experiment: Experiment) -> bool:
    """Return whether forgetting is judged by the number of models, as a score is; with focused ones, more goes into an effect than models counted."""
    wanted = experiment.populations
    return needs_effects(experiment) and bool(subset_roles(experiment)) and wanted.heldout is not None and wanted.focused is None
