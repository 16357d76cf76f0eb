"""The nodes of attribution: datamodels, their scores, and the predicted effects of each forget set."""

from collections.abc import Iterator
from typing import Any

from pipeline.config import Experiment
from pipeline.config.judges import first_klom
from pipeline.config.proxies import model_of, recipe_of
from pipeline.core.errors import ConfigError
from pipeline.data.examples import Examples
from pipeline.graph.builders.population_nodes import focused_keys, focused_pairs
from pipeline.graph.builders.source_requirements import outputs_read, source_of, sourced
from pipeline.graph.costs import (
    attributes,
    has_forget_curve,
    needs_effects,
    subset_roles,
)
from pipeline.graph.node import Node
from pipeline.graph.nodes.effect import EffectNode
from pipeline.graph.nodes.fit import Factor, Fit, ScoreNode
from pipeline.graph.nodes.forget_curve import ForgetCurve
from pipeline.graph.nodes.influences import ExampleInfluences
from pipeline.graph.nodes.lds_curve import SHARES, CurveNode


def attribution(experiment: Experiment, examples: Examples) -> Iterator[Node]:
    """Yield the nodes that fit, score and use datamodels, parents first.

    The last ones hold the predicted effect of each forget set, and the influences that the report shows. If
    no datamodels are fitted, see `attributes`, there are no nodes.
    """
    if not attributes(experiment):
        return
    heldout, roles, shared = (
        "train/heldout" if experiment.populations.heldout is not None else None,
        subset_roles(experiment),
        _learning(experiment, examples),
    )
    yield Factor(key="factor", heldout_key=heldout, **shared)
    yield Fit(
        key="fit",
        n_units=experiment.store.layout.n_blocks(examples.n_points),
        factor_key="factor",
        heldout_key=heldout,
        **shared,
    )
    if heldout is not None:
        yield ScoreNode(key="score", fit_key="fit", heldout_key=heldout, **shared)
        if roles:
            yield CurveNode(key="curve", n_units=len(SHARES), fit_key="fit", heldout_key=heldout, **shared)
    if not needs_effects(experiment):
        return
    guide, guidance = experiment.estimator.guided_by(), _guidance(experiment)
    if guide is not None:
        alone: dict[str, Any] = {
            "estimator": guide.estimator,
            "subset_keys": {"full": "train/full"},
            "groups_key": None,
            "views_key": None,
        }
        yield Factor(key="guide", **shared | alone | {"scout_key": "train/scout"})
    for label in experiment.forget_sets:
        yield from focused_pairs(experiment, label)
        pairs = focused_keys(experiment, label)
        about_set: dict[str, Any] = {
            "factor_key": "factor",
            "fit_key": "fit",
            "forget_key": f"forget/{label}",
            "focused_keys": pairs,
        }
        yield EffectNode(key=f"effect/{label}", forget_set=label, **shared | guidance | about_set)
    labels = tuple(experiment.forget_sets)
    of_sets: dict[str, Any] = {
        f"{kind}_keys": tuple(f"{kind}/{label}" for label in labels) for kind in ("forget", "effect")
    }
    yield ExampleInfluences(key="influences", factor_key="factor", heldout_key=heldout, **of_sets, **shared)


def forget_curve(experiment: Experiment, examples: Examples) -> Iterator[ForgetCurve]:
    """Yield the node that scores forgetting against the number of models that datamodels are fitted to.

    There is none without a KLoM judge, or if `has_forget_curve` is false.
    """
    judge = first_klom(experiment.judges)
    if judge is None or not has_forget_curve(experiment):
        return
    labels = tuple(experiment.forget_sets)
    judged: dict[str, Any] = {
        "judge": judge,
        "fit_key": "fit",
        "full_key": "train/full",
        "forget_keys": tuple(f"forget/{label}" for label in labels),
        "effect_keys": tuple(f"effect/{label}" for label in labels),
        "oracle_keys": tuple(f"train/oracle/{label}" for label in labels),
    }
    yield ForgetCurve(
        key="forget_curve",
        n_units=len(SHARES),
        **_learning(experiment, examples) | _guidance(experiment) | judged,
    )


def estimator_outputs(experiment: Experiment, examples: Examples) -> frozenset[str]:
    """Return the kinds of outputs that datamodels can be fitted to: `logits`, `margins` or both.

    Raises ConfigError if an unlearner needs effects on logits and there are only margins.
    """
    found = experiment.estimator.outputs(examples)
    for role in subset_roles(experiment):
        one = sourced(experiment, role)
        if one is not None and outputs_read(experiment, one) == "margins":
            found &= {"margins"}
    wanting = [label for label, unlearner in experiment.unlearners.items() if "effect" in unlearner.needs]
    if "logits" not in found and wanting:
        raise ConfigError(
            f"unlearners.{wanting[0]} needs effects on the logits of all classes, but this "
            "attribution covers margins only; give a matrix or a source of logits or weights, or "
            "use only unlearners that need no effects"
        )
    return found


def _learning(experiment: Experiment, examples: Examples) -> dict[str, Any]:
    """Return the fields that all nodes of attribution share."""
    return {
        "estimator": experiment.estimator,
        "layout": experiment.store.layout,
        "subset_keys": {role: f"train/{role}" for role in subset_roles(experiment) or ["full"]},
        "outputs": estimator_outputs(experiment, examples),
        "groups_key": "groups" if "groups" in experiment.estimator.needs else None,
        "views_key": "views" if "views" in experiment.estimator.needs else None,
        "model": model_of(experiment, "scout"),
        "model_role": "scout",
        "objective": recipe_of(experiment, "scout").loss(),
        "scout_key": "train/scout" if "checkpoints" in experiment.estimator.needs else None,
        "scout_source": source_of(experiment, "scout"),
        "resources": experiment.resources.fit or experiment.resources.compute,
    }


def _guidance(experiment: Experiment) -> dict[str, str]:
    """Return the fields by which nodes find the estimator's guide, see `Guide`; empty if it has none."""
    return (
        {} if experiment.estimator.guided_by() is None else {"scout_key": "train/scout", "guide_key": "guide"}
    )
