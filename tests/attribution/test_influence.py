"""Influence agrees with retraining where the loss is convex: in sign, in scale and for single points.

For groups it is better than the sum over their points.
"""

import dataclasses
from dataclasses import replace

import numpy as np
import pytest
import torch
from convex import compared, overlapping, slope

from pipeline.attribution.evidence import Block, Evidence
from pipeline.attribution.gradients import influence as module
from pipeline.attribution.gradients.influence import GroupInfluence
from pipeline.core.errors import ConfigError, ShapeError
from pipeline.evaluation.margins import margins
from pipeline.training.recipe.objectives import CrossEntropy, LabelSquaredError

SETS = [np.random.default_rng(seed).choice(40, 6, replace=False) for seed in range(12)]


@pytest.fixture(scope="module")
def convex():
    return overlapping()


@pytest.fixture(scope="module")
def datamodel(convex):
    return convex.datamodel(GroupInfluence(damping=convex.penalty))


def test_effects_of_single_points_are_those_of_retraining(convex, datamodel):
    found, actual = compared(convex, datamodel, [np.array([point]) for point in range(40)])
    assert np.corrcoef(found.ravel(), actual.ravel())[0, 1] > 0.995
    assert slope(found, actual) == pytest.approx(1, abs=0.05)


def test_effects_of_groups_are_those_of_retraining(convex, datamodel):
    found, actual = compared(convex, datamodel, SETS)
    assert np.corrcoef(found.ravel(), actual.ravel())[0, 1] > 0.99
    assert slope(found, actual) == pytest.approx(1, abs=0.1)


def test_a_group_of_twins_has_more_effect_than_its_points_one_by_one():
    """Whichever of five twins goes alone, the others stand in for it."""
    plain, twins = overlapping(penalty=0.01), np.arange(0, 15, 3)
    inputs = np.array(plain.examples.inputs)
    inputs[twins] = 2 * inputs[0]
    convex = replace(plain, examples=replace(plain.examples, inputs=inputs))
    datamodel = convex.datamodel(GroupInfluence(damping=0.01), twins)
    together, alone = datamodel.effect_of_removing(twins).mean, -datamodel.weights()[twins].sum(axis=0)
    actual = convex.effect(twins)[twins].ravel()
    assert np.linalg.norm(together) > 1.2 * np.linalg.norm(alone)
    assert np.linalg.norm(actual - together) < 0.6 * np.linalg.norm(actual - alone)


def test_weights_are_the_effects_of_single_points(datamodel):
    effects = [datamodel.effect_of_removing(np.array([point])) for point in range(40)]
    mean, standard_error = datamodel.effects_of_each()
    assert np.array_equal(datamodel.weights(), -mean)
    assert mean == pytest.approx(np.stack([effect.mean for effect in effects]), abs=1e-4)
    assert standard_error == pytest.approx(np.stack([effect.standard_error for effect in effects]), abs=1e-4)


def test_margins_change_as_logits_say(convex):
    estimator, points, step = GroupInfluence(damping=convex.penalty), np.arange(40, 46), np.array([3])
    evidence, labels = convex.evidence(), convex.examples.labels[40:]
    block = Block(
        points=points,
        outputs=np.broadcast_to(margins(convex.logits()[None, 40:], labels), (4, 6)),
        per_point=1,
    )
    factor = estimator.factor(evidence)
    found = (
        estimator.datamodel(factor, estimator.fit(factor, evidence, block), evidence, block)
        .effect_of_removing(step)
        .mean
    )
    actual = (margins(convex.logits(step)[None, 40:], labels) - margins(convex.logits()[None, 40:], labels))[
        0
    ]
    assert found == pytest.approx(actual, rel=0.1, abs=1e-3)


def test_the_standard_error_is_the_spread_over_models_and_a_share_of_the_effect(convex):
    datamodel = convex.datamodel(GroupInfluence(damping=convex.penalty, curvature=0.5))
    effect = datamodel.effect_of_removing(SETS[0])
    assert effect.standard_error == pytest.approx(0.5 * np.abs(effect.mean), rel=1e-3, abs=1e-5)


def test_rows_and_axes_left_out_lose_little_where_models_are_sure(convex, datamodel):
    fewer = convex.datamodel(GroupInfluence(damping=convex.penalty, rows=70, axes=12))
    assert fewer.effect_of_removing(SETS[0]).mean == pytest.approx(
        datamodel.effect_of_removing(SETS[0]).mean, rel=0.1, abs=0.02
    )


def test_more_rows_than_memory_are_refused(convex, monkeypatch):
    monkeypatch.setattr(module, "_MOST_NUMBERS", 100)
    with pytest.raises(ConfigError, match="lower `rows`"):
        GroupInfluence().factor(convex.evidence())


def test_without_checkpoints_it_says_so():
    with pytest.raises(ConfigError, match="add `checkpoints` to its `needs`"):
        GroupInfluence().factor(Evidence(masks=np.ones((3, 4), bool)))


def test_outputs_that_are_neither_logits_nor_margins_are_refused(convex, datamodel):
    evidence, block = convex.evidence(), Block(points=np.arange(2), outputs=np.zeros((3, 4)), per_point=2)
    with pytest.raises(ShapeError, match=r"expected 3 \(its logits\) or 1 \(its margin\)"):
        GroupInfluence().datamodel(
            datamodel.factor, {"start": np.zeros(4)}, evidence, block
        ).effect_of_removing(np.array([1]))


def test_a_model_of_one_layer_is_its_last_layer(convex, datamodel):
    last = convex.datamodel(GroupInfluence(damping=convex.penalty, layers="last"))
    assert last.effect_of_removing(SETS[0]).mean == pytest.approx(
        datamodel.effect_of_removing(SETS[0]).mean, abs=1e-6
    )


@pytest.mark.parametrize(
    "objective", [CrossEntropy(0.3), LabelSquaredError(), LabelSquaredError(0.2)], ids=repr
)
def test_effects_follow_the_objective_of_training(objective):
    """Against retraining by that objective; taken for plain cross-entropy, they are of another size."""
    convex = dataclasses.replace(overlapping(), objective=objective)
    found, actual = compared(
        convex,
        convex.datamodel(GroupInfluence(damping=convex.penalty)),
        [np.arange(point, point + 3) for point in range(0, 30, 3)],
    )
    assert np.corrcoef(found.ravel(), actual.ravel())[0, 1] > 0.98
    assert slope(found, actual) == pytest.approx(1, abs=0.1)


def test_an_objective_without_known_derivatives_is_refused():
    with pytest.raises(
        ConfigError,
        match=r"influence has no derivatives of .*; set recipe.objective to 'cross_entropy'",
    ):
        GroupInfluence().check_objective(torch.nn.functional.cross_entropy)
