"""The model and the recipe of each role: those of the experiment, or those of a cheaper proxy."""

from pipeline.config.experiment import Experiment
from pipeline.core.errors import ConfigError
from pipeline.core.registry import identity, plugin_name
from pipeline.models.base import Model
from pipeline.training.recipe.recipe import Recipe


def model_of(experiment: Experiment, role: str) -> Model:
    """Return the model of a role: the role's own model if it is set, else that of the experiment."""
    found = getattr(_settings(experiment, role), "model", None)
    return found if isinstance(found, Model) else experiment.model


def recipe_of(experiment: Experiment, role: str) -> Recipe:
    """Return the recipe of a role: the role's own recipe if it is set, else that of the experiment."""
    found = getattr(_settings(experiment, role), "recipe", None)
    return found if isinstance(found, Recipe) else experiment.recipe


def is_proxy(experiment: Experiment, role: str) -> bool:
    """Return whether a role is trained differently from the models that unlearn."""
    return (model_of(experiment, role), recipe_of(experiment, role)) != (experiment.model, experiment.recipe)


def proxy_words(experiment: Experiment, role: str) -> str:
    """Return how a role is trained, in words, such as `proxy: mlp, width 32`.

    The text is empty for a role that is trained like the models that unlearn.
    """
    if not is_proxy(experiment, role):
        return ""
    model, recipe = model_of(experiment, role), recipe_of(experiment, role)
    settings = {name: value for name, value in identity(model).items() if name != "name"}
    ours, theirs = experiment.recipe.model_dump(mode="json"), recipe.model_dump(mode="json")
    # Settings that are off in the proxy are not shown.
    settings |= {name: value for name, value in theirs.items() if value and ours.get(name) != value}
    return ", ".join(
        [
            f"proxy: {plugin_name(model)}",
            *(f"{name.replace('_', ' ')} {value}" for name, value in settings.items()),
        ]
    )


def check_fidelities(experiment: Experiment, roles_in_one_fit: frozenset[str]) -> None:
    """Raise ConfigError if one fit learns from several kinds of models and the estimator takes only one.

    roles_in_one_fit are the roles that the fit learns from. Two roles are of different kinds if their models
    or recipes differ.
    """
    if experiment.estimator.takes_fidelities:
        return
    kinds = {
        role: (model_of(experiment, role), recipe_of(experiment, role)) for role in sorted(roles_in_one_fit)
    }
    if len(set(map(repr, kinds.values()))) > 1:
        named = "; ".join(
            f"{role}: {proxy_words(experiment, role) or 'the model that unlearns'}" for role in kinds
        )
        raise ConfigError(
            f"estimator {plugin_name(experiment.estimator)!r} would learn from models of several kinds in "
            f"one fit ({named}), but takes one; "
            "give these populations the same model and recipe"
        )


def _settings(experiment: Experiment, role: str) -> object:
    return experiment.populations.of("subset" if role == "designed" else role)
