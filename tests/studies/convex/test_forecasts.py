"""The forecasts that DMM gets: exact algebra equals retraining, and influence is a derivative.

Datamodels are those of the package.
"""

import dataclasses

import numpy as np
import pytest
from small_problems import SMALL

from pipeline.attribution.evidence import Block, Evidence
from pipeline.attribution.ridge import Ridge
from pipeline.studies.convex.linear import forecasts
from pipeline.studies.convex.linear.linear_study import LinearExample


def test_exact_algebra_is_retraining(problems):
    retrained = problems.outputs(problems.minimiser(problems.retained))
    assert forecasts.exact(problems) == pytest.approx(retrained, abs=1e-10)


def test_models_without_some_points_are_those_trained_without_them(problems):
    removed = np.array([[[0, 3], [1, 2]]] * problems.n_draws)
    found = forecasts.Dual.of(problems).without(removed)
    for number, points in enumerate(([0, 3], [1, 2])):
        weights = np.ones((problems.n_draws, problems.n_points))
        weights[:, points] = 0
        assert found[:, number] == pytest.approx(problems.outputs(problems.minimiser(weights)), abs=1e-10)


def test_influence_is_the_derivative_in_the_weight_of_the_forgotten(problems):
    before, step = problems.outputs(problems.minimiser()), 1e-6
    nudged = problems.outputs(problems.minimiser(1 - step * problems.forget))
    assert forecasts.influence(problems) - before == pytest.approx(
        (nudged - before) / step, rel=1e-4, abs=1e-5
    )


def test_datamodels_are_those_of_the_house(problems):
    masks = forecasts.draw_masks(1, 60, problems.n_points, 2, "test")
    outputs = np.random.default_rng(0).normal(size=(1, 60, 5))
    ours = forecasts.removal_effects(masks, outputs, problems.forget[:1])[0]
    evidence, ridge = Evidence(masks=masks[0]), Ridge()
    factor, block = ridge.factor(evidence), Block(points=np.arange(5), outputs=outputs[0], per_point=1)
    datamodel = ridge.datamodel(factor, ridge.fit(factor, evidence, block), evidence, block)
    assert ours == pytest.approx(datamodel.effect_of_removing(np.flatnonzero(problems.forget[0])).mean)


def test_leverages_are_between_nothing_and_all_and_fall_with_the_penalty(problems):
    weak, strong = (
        forecasts.Dual.of(dataclasses.replace(problems, penalty=penalty)).leverages
        for penalty in (1.0, 100.0)
    )
    assert (strong > 0).all()
    assert (strong < weak).all()
    assert (weak < 1).all()


@pytest.mark.parametrize("n_features", [30, 5])
def test_the_plateau_is_where_matching_ends(n_features):
    problems = SMALL.model_copy(update={"n_features": n_features}).draw(LinearExample(), 4.0, "test", 3)
    start, goal = problems.minimiser(), problems.minimiser(problems.retained)
    outputs = forecasts.influence(problems)
    end = np.stack(
        [
            np.linalg.pinv(features) @ wanted
            for features, wanted in zip(problems.features, outputs, strict=True)
        ]
    )
    expected = ((end - goal) ** 2).sum(axis=1) / ((start - goal) ** 2).sum(axis=1)
    assert forecasts.plateau(problems, outputs, start, goal) == pytest.approx(expected)
