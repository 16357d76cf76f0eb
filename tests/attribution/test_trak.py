"""TRAK is one Newton step of a logistic regression, so it agrees with retraining one.

Its effects are in logits, are additive and follow from its seed.
"""

import dataclasses

import numpy as np
import pytest
from convex import compared, overlapping, slope

from pipeline.attribution.evidence import Evidence
from pipeline.attribution.gradients.trak import Trak
from pipeline.core.errors import ConfigError
from pipeline.training.recipe.objectives import CrossEntropy, LabelSquaredError

SETS = [np.random.default_rng(seed).choice(40, 4, replace=False) for seed in range(12)]


@pytest.fixture(scope="module")
def convex():
    return overlapping(n_classes=2)


@pytest.fixture(scope="module")
def datamodel(convex):
    return convex.datamodel(Trak(damping=convex.penalty, projection_dim=1024))


@pytest.mark.parametrize(
    "sets", [[np.array([point]) for point in range(40)], SETS], ids=["single points", "groups"]
)
def test_effects_are_those_of_retraining(convex, datamodel, sets):
    found, actual = compared(convex, datamodel, sets)
    assert np.corrcoef(found.ravel(), actual.ravel())[0, 1] > 0.98
    assert slope(found, actual) == pytest.approx(1, abs=0.15)


def test_effects_add_up_and_are_sums_of_weights(datamodel):
    one, other, both = (datamodel.effect_of_removing(np.array(ids)).mean for ids in ([1, 4], [9], [1, 4, 9]))
    assert both == pytest.approx(one + other, abs=1e-5)
    assert both == pytest.approx(-datamodel.weights()[[1, 4, 9]].sum(axis=0), abs=1e-5)


def test_the_seed_alone_decides(convex):
    few = np.arange(3)
    one, again, other = (
        convex.datamodel(Trak(projection_dim=8, seed=seed), few).weights() for seed in (0, 0, 1)
    )
    assert np.array_equal(one, again)
    assert not np.allclose(one, other)


def test_each_model_has_a_projection_of_its_own_so_that_their_spread_is_an_error(convex):
    """The models are copies of one, so that what they disagree about is the projection."""
    narrow, wide = (
        convex.datamodel(Trak(projection_dim=size, curvature=0.0)).effect_of_removing(SETS[0])
        for size in (16, 1024)
    )
    assert 0 < wide.standard_error.mean() < narrow.standard_error.mean()


def test_without_checkpoints_it_says_so():
    with pytest.raises(ConfigError, match="add `checkpoints` to its `needs`"):
        Trak().factor(Evidence(masks=np.ones((3, 4), bool)))


def test_effects_follow_smoothed_labels():
    smoothed = dataclasses.replace(overlapping(n_classes=2), objective=CrossEntropy(0.3))
    found, actual = compared(
        smoothed, smoothed.datamodel(Trak(damping=smoothed.penalty, projection_dim=1024)), SETS
    )
    assert np.corrcoef(found.ravel(), actual.ravel())[0, 1] > 0.98
    assert slope(found, actual) == pytest.approx(1, abs=0.15)


def test_squared_error_is_refused_before_and_while_models_are_looked_into():
    squared = dataclasses.replace(overlapping(n_classes=2), objective=LabelSquaredError())
    with pytest.raises(ConfigError, match="trak has no derivatives of LabelSquaredError"):
        Trak().check_objective(LabelSquaredError())
    with pytest.raises(ConfigError, match="trak has no derivatives of"):
        squared.datamodel(Trak())
