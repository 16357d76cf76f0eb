"""The nodes of judges: one verdict for each judge, method and forget set, and what judges have trained for themselves."""

from collections.abc import Iterator
from typing import Any

from pipeline.blueprint.populations import population
from pipeline.config import Experiment
from pipeline.core.registry import plugin_name
from pipeline.evaluation.judges.base import Judge
from pipeline.stages.evaluate import FLOOR, Verdict
from pipeline.stages.node import Node
from pipeline.stages.train_further import TrainFurther
from pipeline.unlearning.unlearner import Unlearner

FULL = "train/full"
# The oracles among populations that are trained further: with a colon, so that no method is called so.
ORACLE = ":oracle"


def keeps_states(experiment: Experiment) -> bool:
    """Return whether a judge needs the weights of all models on both sides."""
    return any(judge.needs_states for judge in experiment.judges.values())


def shared_models(experiment: Experiment) -> Iterator[Node]:
    """Yield the populations that judges have trained once for all forget sets."""
    for label, judge in experiment.judges.items():
        for name, key in population_keys(label, judge, None).items():
            yield _population(experiment, judge, name, key, None)


def judged_floor(experiment: Experiment, forget_set: str) -> Iterator[Node]:
    """Yield what judges have trained for one forget set, and what each says of a second group of oracles: the floor."""
    for label, judge in experiment.judges.items():
        for name, key in population_keys(label, judge, forget_set).items():
            yield _population(experiment, judge, name, key, forget_set)
        yield from _treated(experiment, label, judge, ORACLE, f"train/oracle/{forget_set}", forget_set)
        yield from _judged(experiment, label, judge, FLOOR, f"train/floor/{forget_set}", forget_set)


def judged_unlearning(experiment: Experiment, method: str, forget_set: str) -> Iterator[Node]:
    """Yield the verdict of each judge on a method, which is left out where the judge needs weights and the method has none."""
    for label, judge in experiment.judges.items():
        if can_judge(judge, experiment.unlearners[method]):
            yield from _judged(experiment, label, judge, method, f"unlearn/{method}/{forget_set}", forget_set)


def can_judge(judge: Judge, unlearner: Unlearner) -> bool:
    """Return whether a judge finds what it needs: a method that predicts outputs has no weights, one that does nothing has those it began with."""
    return not judge.needs_states or unlearner.moves_weights or not unlearner.needs


def not_judged(experiment: Experiment) -> list[str]:
    """Return in words which methods a judge leaves out, and why."""
    return [
        f"judge {label!r} leaves out {method!r}: it needs the weights of unlearned models, and this method moves none"
        for label, judge in experiment.judges.items()
        for method, unlearner in experiment.unlearners.items()
        if not can_judge(judge, unlearner)
    ]


def judged_at_the_end_alone(experiment: Experiment) -> list[str]:
    """Return in words whose snapshots a judge does not judge, and why."""
    return [
        f"judge {label!r} judges the result of {method!r} alone and not its snapshots: it trains the models further"
        for label, judge in experiment.judges.items()
        for method, unlearner in experiment.unlearners.items()
        if judge.treatment() is not None and unlearner.snapshots_wanted is not None and can_judge(judge, unlearner)
    ]


def population_keys(label: str, judge: Judge, forget_set: str | None) -> dict[str, str]:
    """Return the keys of a judge's populations by name: those of one forget set, or those that all sets share."""
    wanted = judge.populations()
    ending = "" if forget_set is None else f"/{forget_set}"
    own = {name for name, models in wanted.items() if models.leaves_out_forget_set == (forget_set is not None)}
    # A colon is part of no label, so these keys are nobody else's.
    return {name: f"train/{label}:{name}{ending}" for name in wanted if name in own}


def _population(experiment: Experiment, judge: Judge, name: str, key: str, forget_set: str | None) -> Node:
    models = judge.populations()[name]
    about: dict[str, Any] = {} if forget_set is None else {"forget_key": f"forget/{forget_set}", "forget_set": forget_set}
    # Labels enter no seed, so two labels of one judge share their models.
    role = f"{plugin_name(judge).replace(':', '.')}.{name}"
    about |= {"keep_fraction": models.keep_fraction, "saves_states": models.keeps_states}
    return population(experiment, key, role, models.n_models, **about)


def _judged(experiment: Experiment, label: str, judge: Judge, method: str, judged_key: str, forget_set: str) -> Iterator[Node]:
    start = _states_key(experiment, method, judged_key)
    yield from _treated(experiment, label, judge, method, start, forget_set)
    yield Verdict(
        key=f"evaluate/{label}/{method}/{forget_set}",
        forget_set=forget_set,
        method=method,
        judge_label=label,
        judge=judge,
        layout=experiment.store.layout,
        judged_key=judged_key,
        oracle_key=f"train/oracle/{forget_set}",
        forget_key=f"forget/{forget_set}",
        counts_samples=method != FLOOR,
        floor_key=None if method == FLOOR else f"evaluate/{label}/{FLOOR}/{forget_set}",
        states_key=start if "states" in judge.needs and start != judged_key else None,
        start_key=FULL if "full" in judge.needs else None,
        population_keys=population_keys(label, judge, None) | population_keys(label, judge, forget_set),
        resources=experiment.resources.compute,
        **_treated_keys(label, judge, method, forget_set),
    )


def _states_key(experiment: Experiment, method: str, judged_key: str) -> str:
    """Return the table that holds the weights of a method's models: of one that moves none, the start population's."""
    unlearner = experiment.unlearners.get(method)
    return judged_key if unlearner is None or unlearner.moves_weights else FULL


def _treated_keys(label: str, judge: Judge, method: str, forget_set: str) -> dict[str, Any]:
    if judge.treatment() is None:
        return {}
    return {
        "treated_unlearned_key": _treated_key(label, method, forget_set),
        "treated_oracle_key": _treated_key(label, ORACLE, forget_set),
    }


def _treated_key(label: str, population: str, forget_set: str) -> str:
    return f"unlearn/{label}:{population}/{forget_set}"


def _treated(experiment: Experiment, label: str, judge: Judge, population: str, start: str, forget_set: str) -> Iterator[Node]:
    """Yield the models of one side, trained further as the judge says."""
    treatment = judge.treatment()
    if not isinstance(treatment, Unlearner):
        return
    wanted = experiment.populations
    yield TrainFurther(
        key=_treated_key(label, population, forget_set),
        forget_set=forget_set,
        method=FLOOR if population == ORACLE else population,
        population=population,
        judge_label=label,
        n_units={ORACLE: wanted.oracle, FLOOR: wanted.floor}.get(population, wanted.full).n_models,
        shard_size=experiment.store.shard_members,
        resources=experiment.resources.unlearn,
        unlearner=treatment,
        seed=experiment.seed,
        model=experiment.model,
        layout=experiment.store.layout,
        start_key=start,
        forget_key=f"forget/{forget_set}",
    )
