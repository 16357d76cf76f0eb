"""The judges of an experiment: their settings, their defaults, and the checks before anything is computed."""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BeforeValidator

from pipeline.config.populations import Populations
from pipeline.core.errors import ConfigError
from pipeline.core.registry import plugin_name
from pipeline.core.settings.plugin_fields import plugins
from pipeline.core.settings.renamed import warn_renamed
from pipeline.evaluation.judges import JUDGES
from pipeline.evaluation.judges.accuracy_judge import AccuracyJudge
from pipeline.evaluation.judges.base import NEEDS, Judge, TrainedModels
from pipeline.evaluation.judges.klom_judge import KlomJudge
from pipeline.evaluation.judges.ulira_judge import UliraJudge
from pipeline.unlearning.unlearner import Unlearner

# Roles of the models that judges compare: unlearned models start from `full` by default. Unlearned models and
# `floor` models are compared with `oracle` models.
SIDES = ("full", "oracle", "floor")


class Evaluation(dict[str, Any]):
    """The settings below `evaluation`, the former name of `judges.klom`.

    Their class tells `_named` that the config has the former name, so that the other default judges are kept.
    """


def successor_of_evaluation(tree: Any) -> Any:
    """Return the settings of an experiment with `evaluation`, the former name of `judges.klom`, renamed.

    Raises ConfigError if `evaluation` and `judges` are both given, or if `evaluation` holds no settings.
    """
    if not isinstance(tree, Mapping) or "evaluation" not in tree:
        return tree
    rest, old = {key: value for key, value in tree.items() if key != "evaluation"}, tree["evaluation"]
    if "judges" in rest:
        raise ConfigError(
            "both `evaluation` and `judges` are set; move the settings below `evaluation` to `judges.klom`, "
            "and remove `evaluation`"
        )
    if not (old is None or isinstance(old, Mapping)):
        raise ConfigError(
            f"evaluation: expected settings such as `n_bins: 20`, got {old!r}; they belong below "
            "`judges.klom` now"
        )
    warn_renamed("`evaluation` is called `judges.klom` now; it is accepted as such: rename it")
    return rest | {"judges": Evaluation(old or {})}


def _named(value: Any, info: Any) -> Any:
    """Return the settings of judges by label, with the `name` of a judge in each.

    In `klom: {n_bins: 10}` the name is left out, so the label is taken as the name.
    """
    if isinstance(value, Evaluation):
        return judges_by_default(info.data) | {KlomJudge.name: {"name": KlomJudge.name, **value}}
    if not isinstance(value, Mapping):
        return value
    return {label: _with_name(label, settings) for label, settings in value.items()}


def _with_name(label: Any, settings: Any) -> Any:
    if (
        label not in JUDGES.names()
        or not (settings is None or isinstance(settings, Mapping))
        or "name" in (settings or {})
    ):
        return settings
    return {"name": label, **(settings or {})}


# Pydantic calls the last BeforeValidator of the list first, so names are added before judges are built.
Judges = Annotated[dict[str, Judge], *plugins(JUDGES), BeforeValidator(_named)]


def judges_by_default(experiment: dict[str, Any]) -> dict[str, Any]:
    """Return the judges of an experiment whose config names none.

    They are KLoM and accuracy, and U-LiRA if each of the roles in SIDES has enough models for it. experiment
    holds the other settings of the experiment, without invalid ones.
    """
    populations = experiment.get("populations", Populations())
    enough = min(getattr(populations, role).n_models for role in SIDES) >= UliraJudge.fewest_models
    names = (KlomJudge.name, AccuracyJudge.name, *([UliraJudge.name] if enough else []))
    return {name: {"name": name} for name in names}


def check_judges(judges: Mapping[str, Judge], populations: Populations) -> None:
    """Raise ConfigError if a judge needs unknown inputs, or more models than the populations have."""
    if not judges:
        raise ConfigError(
            "judges is empty; name at least one, such as `judges: {klom: {}}`, or leave it out for the "
            "default ones"
        )
    for label, judge in judges.items():
        _check_judge(f"judges.{label}", judge, populations)


def _check_judge(place: str, judge: Judge, populations: Populations) -> None:
    unknown = judge.needs - NEEDS
    if unknown:
        names = ", ".join(f"`{name}`" for name in sorted(NEEDS))
        raise ConfigError(
            f"{place} needs {', '.join(sorted(unknown))}, but only {names} are available; name models of its "
            "own in populations()"
        )
    for role in SIDES:
        members = getattr(populations, role)
        n_models = members.n_models
        # The number of models of a source is known only when the source is read. If they are too few for a
        # judge, the judge is then left out, see not_judged in pipeline.graph.builders.judge_nodes.
        if members.source is None and n_models < judge.fewest_models:
            raise ConfigError(
                f"{place} needs at least {judge.fewest_models} models on each side, but "
                f"populations.{role}.n_models is {n_models}; "
                f"raise it to {judge.fewest_models}, or leave the judge out"
            )
    for name, wanted in judge.populations().items():
        if not (isinstance(name, str) and name.isidentifier() and isinstance(wanted, TrainedModels)):
            raise ConfigError(
                f"{place}: populations() names {name!r}: {wanted!r}; expected TrainedModels by names of "
                "letters, digits and `_`"
            )
    treatment = judge.treatment()
    if treatment is not None and not (
        isinstance(treatment, Unlearner) and treatment.moves_weights and not treatment.needs
    ):
        raise ConfigError(
            f"{place}: treatment() is {plugin_name(treatment)!r}; expected an unlearner that changes weights "
            "and needs neither effects nor oracles"
        )


def first_klom(judges: Mapping[str, Judge]) -> KlomJudge | None:
    """Return the first judge that is KLoM; None if there is none.

    The curve of KLoM against the number of subset models is computed with the settings of this judge.
    """
    return next((judge for judge in judges.values() if isinstance(judge, KlomJudge)), None)
