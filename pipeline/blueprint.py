"""Which nodes an experiment has: its config drawn as a graph of tables, parents before children."""

from collections.abc import Iterator
from typing import Any

from pipeline.config import Experiment
from pipeline.data.examples import Examples
from pipeline.graph import Graph
from pipeline.reporting.content import PopulationContent
from pipeline.stages.curve import SHARES, Curve
from pipeline.stages.evaluate import Verdict
from pipeline.stages.fit import Effect, Factor, Fit, Score
from pipeline.stages.forget import Forget
from pipeline.stages.groups import Groups
from pipeline.stages.node import Node
from pipeline.stages.report import ReportPage
from pipeline.stages.results import Spending
from pipeline.stages.train import Population
from pipeline.stages.unlearn import Unlearn

# Roles whose models datamodels are fitted to.
SUBSETS = ("subset", "designed")


def build_graph(experiment: Experiment, examples: Examples) -> Graph:
    """Return the graph of an experiment; raises ConfigError or DataError for whatever can be found wrong before anything is computed."""
    nodes: dict[str, Node] = {}
    for node in _nodes(experiment, examples):
        nodes[node.key] = node
    return Graph(experiment, examples, nodes, examples.digest)


def _nodes(experiment: Experiment, examples: Examples) -> Iterator[Node]:
    layout, resources = experiment.store.layout, experiment.resources
    compute = resources.compute
    yield from _populations(experiment)
    for label, rule in experiment.forget_sets.items():
        yield Forget(key=f"forget/{label}", dataset=experiment.dataset, rule=rule, layout=layout, population_key="train/full", resources=compute)
    yield from _attribution(experiment, examples)
    for label in experiment.forget_sets:
        yield from _oracles(experiment, label)
        yield from _unlearning(experiment, label)
    yield _report(experiment, examples)


def spending_of(experiment: Experiment, examples: Examples) -> Spending:
    """Return what the experiment spends before any unlearning."""
    return Spending(
        datamodel=sum(row.retrainings for row in _learnt_from(experiment, examples)),
        n_requests=len(experiment.forget_sets),
        epochs=experiment.recipe.epochs,
        n_train=examples.n_train,
    )


def _report(experiment: Experiment, examples: Examples) -> ReportPage:
    wanted, effects = experiment.populations, _needs_effects(experiment)
    learnt_from = _learnt_from(experiment, examples) if effects else []
    return ReportPage(
        key="report",
        title=experiment.name,
        experiment=experiment.model_dump(mode="json", exclude={"store", "tracking", "resources"}),
        dataset=experiment.dataset,
        forget_sets=experiment.forget_sets,
        unlearners=experiment.unlearners,
        estimator=experiment.estimator,
        populations=(*_judged_by(experiment, examples), *learnt_from),
        n_learnt_from=sum(row.n_models for row in learnt_from if row.role in SUBSETS),
        spending=spending_of(experiment, examples),
        layout=experiment.store.layout,
        has_effects=effects,
        has_score=effects and wanted.heldout is not None,
        resources=experiment.resources.compute,
    )


def _learnt_from(experiment: Experiment, examples: Examples) -> list[PopulationContent]:
    """Return what is trained to predict effects."""
    subsets = {"subset": experiment.populations.subset, "designed": experiment.populations.designed}
    rows = [_counted(role, of.n_models, of.keep_fraction, examples) for role in _subset_roles(experiment) if (of := subsets[role]) is not None]
    return rows + ([_counted("scout", experiment.populations.scout.n_models, 1.0, examples)] if _needs_scouts(experiment) else [])


def _judged_by(experiment: Experiment, examples: Examples) -> list[PopulationContent]:
    """Return what is trained to be unlearned and to judge by."""
    wanted, n_sets = experiment.populations, len(experiment.forget_sets)
    rows = [_counted("full", wanted.full.n_models, 1.0, examples)]
    rows += [_counted(role, members.n_models * n_sets, 1.0, examples) for role, members in (("oracle", wanted.oracle), ("floor", wanted.floor))]
    scored = _needs_effects(experiment) and wanted.heldout is not None
    return rows + ([_counted("heldout", wanted.heldout.n_models, wanted.subset.keep_fraction, examples)] if scored and wanted.heldout else [])


def _counted(role: str, n_models: int, fraction: float, examples: Examples) -> PopulationContent:
    return PopulationContent(role=role, n_models=n_models, points_kept=round(fraction * examples.n_train), retrainings=n_models * fraction)


def _population(experiment: Experiment, key: str, role: str, n_models: int, **options: Any) -> Population:
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


def _needs_effects(experiment: Experiment) -> bool:
    return any("effect" in unlearner.needs for unlearner in experiment.unlearners.values())


def _subset_roles(experiment: Experiment) -> list[str]:
    """Return the roles whose models the datamodel is fitted to; none for an estimator that needs no subset models."""
    if "subset" not in experiment.estimator.needs:
        return []
    return [role for role in SUBSETS if role == "subset" or experiment.populations.designed is not None]


def _needs_groups(experiment: Experiment) -> bool:
    return "groups" in experiment.estimator.needs or "designed" in _subset_roles(experiment)


def _needs_scouts(experiment: Experiment) -> bool:
    return _needs_groups(experiment) or "checkpoints" in experiment.estimator.needs


def _populations(experiment: Experiment) -> Iterator[Node]:
    wanted = experiment.populations
    yield _population(experiment, "train/full", "full", wanted.full.n_models, saves_states=True)
    if not _needs_effects(experiment):
        return
    if _needs_scouts(experiment):
        yield _population(experiment, "train/scout", "scout", wanted.scout.n_models, saves_states=True)
    if _needs_groups(experiment):
        yield Groups(key="groups", model=experiment.model, seed=experiment.seed, scout_key="train/scout", resources=experiment.resources.compute)
    fraction, roles = wanted.subset.keep_fraction, _subset_roles(experiment)
    if "subset" in roles:
        yield _population(experiment, "train/subset", "subset", wanted.subset.n_models, keep_fraction=fraction, n_seeds=wanted.n_seeds)
    if "designed" in roles and wanted.designed is not None:
        designed: dict[str, Any] = {"keep_fraction": wanted.designed.keep_fraction, "n_seeds": wanted.n_seeds, "groups_key": "groups"}
        yield _population(experiment, "train/designed", "designed", wanted.designed.n_models, **designed)
    if wanted.heldout is not None:
        yield _population(experiment, "train/heldout", "heldout", wanted.heldout.n_models, keep_fraction=fraction)


def _attribution(experiment: Experiment, examples: Examples) -> Iterator[Node]:
    if not _needs_effects(experiment):
        return
    heldout, roles = "train/heldout" if experiment.populations.heldout is not None else None, _subset_roles(experiment)
    shared: dict[str, Any] = {
        "estimator": experiment.estimator,
        "layout": experiment.store.layout,
        "subset_keys": {role: f"train/{role}" for role in roles or ["full"]},
        "groups_key": "groups" if "groups" in experiment.estimator.needs else None,
        "model": experiment.model,
        "scout_key": "train/scout" if "checkpoints" in experiment.estimator.needs else None,
        "resources": experiment.resources.compute,
    }
    yield Factor(key="factor", heldout_key=heldout, **shared)
    yield Fit(key="fit", n_units=experiment.store.layout.n_blocks(examples.n_points), factor_key="factor", heldout_key=heldout, **shared)
    if heldout is not None:
        yield Score(key="score", fit_key="fit", heldout_key=heldout, **shared)
        if roles:
            yield Curve(key="curve", n_units=len(SHARES), fit_key="fit", heldout_key=heldout, **shared)
    for label in experiment.forget_sets:
        yield Effect(key=f"effect/{label}", factor_key="factor", fit_key="fit", forget_key=f"forget/{label}", **shared)


def _oracles(experiment: Experiment, label: str) -> Iterator[Node]:
    wanted = experiment.populations
    for role, members in (("oracle", wanted.oracle), ("floor", wanted.floor)):
        yield _population(experiment, f"train/{role}/{label}", role, members.n_models, forget_key=f"forget/{label}")
    yield _verdict(experiment, f"evaluate/floor/{label}", f"train/floor/{label}", label, counts_samples=False)


def _unlearning(experiment: Experiment, label: str) -> Iterator[Node]:
    for name, unlearner in experiment.unlearners.items():
        yield Unlearn(
            key=f"unlearn/{name}/{label}",
            n_units=experiment.populations.full.n_models,
            shard_size=experiment.store.shard_members,
            resources=experiment.resources.unlearn,
            unlearner=unlearner,
            model=experiment.model,
            layout=experiment.store.layout,
            start_key="train/full",
            forget_key=f"forget/{label}",
            effect_key=f"effect/{label}" if "effect" in unlearner.needs else None,
            teacher_key=f"train/floor/{label}" if "oracle" in unlearner.needs else None,
            save_members=experiment.tracking.save_members,
        )
        yield _verdict(experiment, f"evaluate/{name}/{label}", f"unlearn/{name}/{label}", label, counts_samples=True)


def _verdict(experiment: Experiment, key: str, judged: str, label: str, *, counts_samples: bool) -> Verdict:
    return Verdict(
        key=key,
        evaluation=experiment.evaluation,
        layout=experiment.store.layout,
        judged_key=judged,
        oracle_key=f"train/oracle/{label}",
        forget_key=f"forget/{label}",
        counts_samples=counts_samples,
        resources=experiment.resources.compute,
    )
