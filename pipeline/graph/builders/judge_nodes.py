"""The nodes of judges: one verdict for each judge, method and forget set, and the models that judges need."""

from collections.abc import Iterator
from typing import Any

from pipeline.config import Experiment
from pipeline.core.errors import ConfigError
from pipeline.core.registry import plugin_name
from pipeline.evaluation.judges.base import Judge
from pipeline.graph.builders.population_nodes import population
from pipeline.graph.builders.source_requirements import outputs_read, sourced
from pipeline.graph.builders.start_populations import Start, fields_of, start_at, start_of
from pipeline.graph.costs import ORACLES
from pipeline.graph.node import Node
from pipeline.graph.nodes.evaluate import FLOOR, VerdictNode
from pipeline.graph.nodes.train_further import TrainFurther
from pipeline.graph.reading.stored_outputs import SourcedWeights
from pipeline.unlearning.unlearner import Unlearner

# The name of the oracles among the populations that a judge trains further. Labels of methods have no colon,
# so none of them equals this name.
ORACLE = ":oracle"


def keeps_states(experiment: Experiment) -> bool:
    """Return whether a judge needs the weights of all models on both sides."""
    return any(judge.needs_states for judge in experiment.judges.values())


def shared_models(experiment: Experiment) -> Iterator[Node]:
    """Yield the populations that are trained only for judges and that all forget sets share."""
    for label, judge in experiment.judges.items():
        for name, key in population_keys(label, judge, None).items():
            yield _population(experiment, judge, name, key, None)


def judged_floor(experiment: Experiment, forget_set: str) -> Iterator[Node]:
    """Yield the populations that are trained for judges of one forget set, and the verdicts on the floor.

    The floor is a second group of oracles.
    """
    for label, judge in experiment.judges.items():
        for name, key in population_keys(label, judge, forget_set).items():
            yield _population(experiment, judge, name, key, forget_set)
        if why_not_judged(experiment, judge, FLOOR, forget_set) is None:
            yield from _treated(
                experiment, label, judge, ORACLE, start_at(experiment, "oracle", forget_set), forget_set
            )
            yield from _judged(experiment, label, judge, FLOOR, f"train/floor/{forget_set}", forget_set)


def judged_unlearning(experiment: Experiment, method: str, forget_set: str) -> Iterator[Node]:
    """Yield the verdict of each judge on a method and a forget set.

    Judges that lack an input that they need are left out, see why_not_judged.
    """
    for label, judge in experiment.judges.items():
        if why_not_judged(experiment, judge, method, forget_set) is None:
            yield from _judged(experiment, label, judge, method, f"unlearn/{method}/{forget_set}", forget_set)


def can_judge(judge: Judge, unlearner: Unlearner) -> bool:
    """Return whether the weights that a judge needs exist for the models of an unlearner.

    An unlearner that only predicts outputs makes no weights. The models of one that does nothing keep the
    weights that they started with.
    """
    return not judge.needs_states or unlearner.moves_weights or not unlearner.needs


def check_judged(experiment: Experiment) -> None:
    """Raise ConfigError if no judge can judge the oracles of a forget set."""
    for forget_set in experiment.forget_sets:
        reasons = {
            label: why_not_judged(experiment, judge, FLOOR, forget_set)
            for label, judge in experiment.judges.items()
        }
        if None not in reasons.values():
            said = "; ".join(f"{label}: {why}" for label, why in reasons.items())
            raise ConfigError(
                f"no judge can judge forget set {forget_set!r} ({said}); supply what one of them needs, "
                "or name another judge"
            )


def not_judged(experiment: Experiment) -> list[str]:
    """Return sentences on the methods that each judge leaves out, with the reason."""
    reasons: dict[tuple[str, str], list[str]] = {}
    for label, judge in experiment.judges.items():
        for method in experiment.unlearners:
            for forget_set in experiment.forget_sets:
                why = why_not_judged(experiment, judge, method, forget_set)
                if why is not None:
                    reasons.setdefault((label, why), []).append(method)
    return [
        f"judge {label!r} leaves out {', '.join(map(repr, dict.fromkeys(methods)))}: {why}"
        for (label, why), methods in reasons.items()
    ]


def why_not_judged(experiment: Experiment, judge: Judge, method: str, forget_set: str) -> str | None:
    """Return why a judge cannot judge a method, or the floor (FLOOR), on a forget set; None if it can."""
    unlearner = experiment.unlearners.get(method)
    if unlearner is not None and not can_judge(judge, unlearner):
        return "it needs the weights of unlearned models, and this method changes none"
    for role in ORACLES:
        found = sourced(experiment, role, forget_set)
        if found is not None and found.n_models < judge.fewest_models:
            return (
                f"it needs {judge.fewest_models} models on each side, and the source of populations.{role} "
                f"has {found.n_models}"
            )
        if found is not None and "logits" in judge.needs and outputs_read(experiment, found) == "margins":
            lacking = f"it needs logits, and the source of populations.{role} offers margins only"
            return f"{lacking}; a source with logits or weights would supply them"
    n_models = 0 if unlearner is None else start_of(experiment, unlearner, forget_set).n_models
    if unlearner is not None and n_models < judge.fewest_models:
        count = "1 model" if n_models == 1 else f"{n_models} models"
        return (
            f"it needs {judge.fewest_models} models on each side, and populations.{unlearner.start} has "
            f"{count}"
        )
    return None


def judged_at_the_end_alone(experiment: Experiment) -> list[str]:
    """Return sentences on judges that judge only the results of a method and not its snapshots."""
    said = "judge {!r} judges the result of {!r} alone and not its snapshots: it trains the models further"
    treating = [label for label, judge in experiment.judges.items() if judge.treatment() is not None]
    return [
        said.format(label, method)
        for label in treating
        for method, unlearner in experiment.unlearners.items()
        if unlearner.snapshots_wanted is not None and can_judge(experiment.judges[label], unlearner)
    ]


def population_keys(label: str, judge: Judge, forget_set: str | None) -> dict[str, str]:
    """Return the keys of a judge's populations by name.

    They are the populations of one forget set, or for None those that all forget sets share.
    """
    wanted = judge.populations()
    ending = "" if forget_set is None else f"/{forget_set}"
    own = {
        name for name, models in wanted.items() if models.leaves_out_forget_set == (forget_set is not None)
    }
    # No label contains a colon, so these keys are unique.
    return {name: f"train/{label}:{name}{ending}" for name in wanted if name in own}


def _population(experiment: Experiment, judge: Judge, name: str, key: str, forget_set: str | None) -> Node:
    models = judge.populations()[name]
    about: dict[str, Any] = (
        {} if forget_set is None else {"forget_key": f"forget/{forget_set}", "forget_set": forget_set}
    )
    # The role, which seeds depend on, names the judge's plug-in and not its label. So two labels of one judge
    # share their models.
    role = f"{plugin_name(judge).replace(':', '.')}.{name}"
    about |= {"keep_fraction": models.keep_fraction, "saves_states": models.keeps_states}
    return population(experiment, key, role, models.n_models, **about)


def _judged(
    experiment: Experiment, label: str, judge: Judge, method: str, judged_key: str, forget_set: str
) -> Iterator[Node]:
    weights = _weights(experiment, method, judged_key, forget_set)
    before = (
        start_at(experiment, judge.start or _start_role(experiment, method), forget_set)
        if "full" in judge.needs
        else None
    )
    yield from _treated(experiment, label, judge, method, weights, forget_set)
    yield VerdictNode(
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
        states_key=weights.key if "states" in judge.needs and weights.key != judged_key else None,
        start_key=None if before is None else before.key,
        weights=_sources(experiment, weights, before, forget_set) if "states" in judge.needs else {},
        population_keys=population_keys(label, judge, None) | population_keys(label, judge, forget_set),
        resources=experiment.resources.compute,
        **_treated_keys(label, judge, method, forget_set),
    )


def _start_role(experiment: Experiment, method: str) -> str:
    return experiment.unlearners[method].start if method in experiment.unlearners else "full"


def _weights(experiment: Experiment, method: str, judged_key: str, forget_set: str) -> Start:
    """Return the table or source with the weights of a method's models, or of the floor.

    If the method moves no weights, these are the weights of the models that it starts from.
    """
    unlearner = experiment.unlearners.get(method)
    start = start_at(experiment, "floor" if unlearner is None else unlearner.start, forget_set)
    return (
        start
        if unlearner is None or not unlearner.moves_weights
        else start._replace(key=judged_key, source=None)
    )


def _sources(
    experiment: Experiment, judged: Start, before: Start | None, forget_set: str
) -> dict[str, SourcedWeights]:
    """Return the sources of the weights that a judge reads, by the names `judged`, `oracle` and `start`.

    Models whose weights are in the store are left out.
    """
    found = {"judged": judged, "oracle": start_at(experiment, "oracle", forget_set), "start": before}
    return {
        name: SourcedWeights(one.source, one.model)
        for name, one in found.items()
        if one is not None and one.source is not None
    }


def _treated_keys(label: str, judge: Judge, method: str, forget_set: str) -> dict[str, Any]:
    if judge.treatment() is None:
        return {}
    return {
        "treated_unlearned_key": _treated_key(label, method, forget_set),
        "treated_oracle_key": _treated_key(label, ORACLE, forget_set),
    }


def _treated_key(label: str, population: str, forget_set: str) -> str:
    return f"unlearn/{label}:{population}/{forget_set}"


def _treated(
    experiment: Experiment, label: str, judge: Judge, population: str, start: Start, forget_set: str
) -> Iterator[Node]:
    """Yield the models of one side after the judge's treatment; nothing if the judge has no treatment."""
    treatment = judge.treatment()
    if not isinstance(treatment, Unlearner):
        return
    yield TrainFurther(
        key=_treated_key(label, population, forget_set),
        method=FLOOR if population == ORACLE else population,
        population=population,
        judge_label=label,
        **fields_of(experiment, treatment, start, forget_set),
    )
