"""Which nodes an experiment has: its config drawn as a graph of tables, parents before children."""

from collections.abc import Iterator
from typing import Any

from pipeline.accounts import (
    SUBSETS,
    attributes,
    focused_rows,
    has_forget_curve,
    judged_by,
    learnt_from,
    needs_effects,
    needs_groups,
    needs_scouts,
    spending_of,
    subset_roles,
)
from pipeline.config import Experiment
from pipeline.core.errors import ConfigError
from pipeline.data.examples import Examples
from pipeline.data.records.base import Records
from pipeline.graph import Graph
from pipeline.stages.curve import SHARES, Curve
from pipeline.stages.effect import Effect
from pipeline.stages.evaluate import Verdict
from pipeline.stages.fit import Factor, Fit, Score
from pipeline.stages.forget import Forget
from pipeline.stages.forget_curve import ForgetCurve
from pipeline.stages.groups import Groups
from pipeline.stages.imported import Imported
from pipeline.stages.influences import ExampleInfluences
from pipeline.stages.node import Node
from pipeline.stages.report import ReportPage
from pipeline.stages.train import FOCUSED_IN, FOCUSED_OUT, Population
from pipeline.stages.unlearn import Unlearn
from pipeline.stages.views import ViewsOfPoints


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
    yield from _forget_curve(experiment, examples)
    yield _report(experiment, examples)


def outputs_of(experiment: Experiment, examples: Examples) -> frozenset[str]:
    """Return which outputs datamodels can be made of; raises ConfigError where an unlearner wants effects on logits and only margins are there."""
    found, imported = experiment.estimator.outputs(examples), experiment.populations.subset.imported
    if "subset" in experiment.estimator.needs and imported is not None and not imported.has_logits():
        found &= {"margins"}
    wanting = [label for label, unlearner in experiment.unlearners.items() if "effect" in unlearner.needs]
    if "logits" not in found and wanting:
        raise ConfigError(
            f"unlearner labelled {wanting[0]!r} needs effects on the logits of all classes, but the attribution is of margins only; "
            "give a matrix or records of logits, or leave it to unlearners that need no effects and read the score alone"
        )
    return found


def _report(experiment: Experiment, examples: Examples) -> ReportPage:
    wanted, attributed = experiment.populations, attributes(experiment)
    learnt = learnt_from(experiment, examples) if attributed else []
    return ReportPage(
        key="report",
        title=experiment.name,
        experiment=experiment.model_dump(mode="json", exclude={"store", "tracking", "resources"}),
        dataset=experiment.dataset,
        forget_sets=experiment.forget_sets,
        unlearners=experiment.unlearners,
        estimator=experiment.estimator,
        populations=(*judged_by(experiment, examples), *learnt, *focused_rows(experiment, examples)),
        n_learnt_from=sum(row.n_models for row in learnt if row.role in SUBSETS),
        spending=spending_of(experiment, examples),
        layout=experiment.store.layout,
        has_effects=needs_effects(experiment),
        has_score=attributed and wanted.heldout is not None,
        has_forget_curve=has_forget_curve(experiment),
        has_curve=attributed and wanted.heldout is not None and bool(subset_roles(experiment)),
        resources=experiment.resources.compute,
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


def _populations(experiment: Experiment) -> Iterator[Node]:
    wanted = experiment.populations
    yield _population(experiment, "train/full", "full", wanted.full.n_models, saves_states=True)
    if not attributes(experiment):
        return
    if needs_scouts(experiment):
        yield _population(experiment, "train/scout", "scout", wanted.scout.n_models, saves_states=True)
    looks: dict[str, Any] = {"model": experiment.model, "seed": experiment.seed, "scout_key": "train/scout", "resources": experiment.resources.compute}
    if needs_groups(experiment):
        yield Groups(key="groups", **looks)
    if "views" in experiment.estimator.needs:
        yield ViewsOfPoints(key="views", **looks)
    fraction, roles = wanted.subset.keep_fraction, subset_roles(experiment)
    if "subset" in roles and wanted.subset.imported is not None:
        yield _imported(experiment, "train/subset", "subset", wanted.subset.n_models, wanted.subset.imported)
    elif "subset" in roles:
        yield _population(experiment, "train/subset", "subset", wanted.subset.n_models, keep_fraction=fraction, n_seeds=wanted.n_seeds)
    if "designed" in roles and wanted.designed is not None:
        designed: dict[str, Any] = {"keep_fraction": wanted.designed.keep_fraction, "n_seeds": wanted.n_seeds, "groups_key": "groups"}
        yield _population(experiment, "train/designed", "designed", wanted.designed.n_models, **designed)
    if wanted.heldout is not None and wanted.heldout.imported is not None:
        yield _imported(experiment, "train/heldout", "heldout", wanted.heldout.n_models, wanted.heldout.imported)
    elif wanted.heldout is not None:
        yield _population(experiment, "train/heldout", "heldout", wanted.heldout.n_models, keep_fraction=fraction)


def _learning(experiment: Experiment, examples: Examples) -> dict[str, Any]:
    """Return what all nodes of attribution share."""
    return {
        "estimator": experiment.estimator,
        "layout": experiment.store.layout,
        "subset_keys": {role: f"train/{role}" for role in subset_roles(experiment) or ["full"]},
        "outputs": outputs_of(experiment, examples),
        "groups_key": "groups" if "groups" in experiment.estimator.needs else None,
        "views_key": "views" if "views" in experiment.estimator.needs else None,
        "model": experiment.model,
        "scout_key": "train/scout" if "checkpoints" in experiment.estimator.needs else None,
        "resources": experiment.resources.fit or experiment.resources.compute,
    }


def _guidance(experiment: Experiment) -> dict[str, str]:
    """Return what the nodes read that draw effects towards a guide."""
    return {} if experiment.estimator.guided_by() is None else {"scout_key": "train/scout", "guide_key": "guide"}


def _forget_curve(experiment: Experiment, examples: Examples) -> Iterator[ForgetCurve]:
    if not has_forget_curve(experiment):
        return
    judged: dict[str, Any] = {"evaluation": experiment.evaluation, "labels": tuple(experiment.forget_sets), "fit_key": "fit"}
    yield ForgetCurve(key="forget_curve", n_units=len(SHARES), **_learning(experiment, examples) | _guidance(experiment) | judged)


def _attribution(experiment: Experiment, examples: Examples) -> Iterator[Node]:
    if not attributes(experiment):
        return
    heldout, roles, shared = "train/heldout" if experiment.populations.heldout is not None else None, subset_roles(experiment), _learning(experiment, examples)
    yield Factor(key="factor", heldout_key=heldout, **shared)
    yield Fit(key="fit", n_units=experiment.store.layout.n_blocks(examples.n_points), factor_key="factor", heldout_key=heldout, **shared)
    if heldout is not None:
        yield Score(key="score", fit_key="fit", heldout_key=heldout, **shared)
        if roles:
            yield Curve(key="curve", n_units=len(SHARES), fit_key="fit", heldout_key=heldout, **shared)
    if not needs_effects(experiment):
        return
    guide, guidance = experiment.estimator.guided_by(), _guidance(experiment)
    if guide is not None:
        alone: dict[str, Any] = {"estimator": guide.estimator, "subset_keys": {"full": "train/full"}, "groups_key": None, "views_key": None}
        yield Factor(key="guide", **shared | alone | {"scout_key": "train/scout"})
    for label in experiment.forget_sets:
        yield from _focused(experiment, label)
        pairs = _focused_keys(experiment, label)
        about_set: dict[str, Any] = {"factor_key": "factor", "fit_key": "fit", "forget_key": f"forget/{label}", "focused_keys": pairs}
        yield Effect(key=f"effect/{label}", **shared | guidance | about_set)
    labels = tuple(experiment.forget_sets)
    of_sets: dict[str, Any] = {f"{kind}_keys": tuple(f"{kind}/{label}" for label in labels) for kind in ("forget", "effect")}
    yield ExampleInfluences(key="influences", factor_key="factor", **of_sets, **shared)


def _focused_keys(experiment: Experiment, label: str) -> dict[str, str]:
    """Return the keys of the models with and without a forget set that are compared; where they keep all other points, the former are the full models."""
    focused = experiment.populations.focused
    if focused is None:
        return {}
    keys = {role: f"train/{role}/{label}" for role in (FOCUSED_IN, FOCUSED_OUT)}
    return keys | {FOCUSED_IN: "train/full"} if focused.keep_fraction == 1 else keys


def _focused(experiment: Experiment, label: str) -> Iterator[Population]:
    focused = experiment.populations.focused
    for role, key in _focused_keys(experiment, label).items():
        if focused is not None and key != "train/full":
            yield _population(experiment, key, role, focused.n_pairs, keep_fraction=focused.keep_fraction, forget_key=f"forget/{label}")


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
