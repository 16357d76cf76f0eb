"""Local datamodels are ridge with one prior for each training point.

They find planted weights that follow the views, and keep few weights.
"""

from dataclasses import replace

import numpy as np
import pytest
from blocks import block_of
from sklearn.linear_model import Ridge as SklearnRidge

from pipeline.attribution.evidence import Evidence
from pipeline.attribution.linear import local as module
from pipeline.attribution.linear.local import LocalRidge
from pipeline.attribution.linear.prior import learn_prior, pair_columns, prior_variances
from pipeline.attribution.ridge import Ridge
from pipeline.core.errors import ConfigError, DataError, ShapeError
from pipeline.data.masks import subset_mask
from pipeline.data.scout_views import Views

N_TRAIN, N_POINTS = 60, 100


def views_of(seed=0):
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(N_POINTS, 3))
    return Views(
        features=(features / np.linalg.norm(features, axis=1, keepdims=True)).astype(np.float32),
        labels=rng.integers(0, 3, N_POINTS),
        difficulty=rng.gamma(1.0, size=N_POINTS),
    )


def masks_of(n_models, seed=0):
    return np.stack([subset_mask(N_TRAIN, 0.5, 1000 * seed + model) for model in range(n_models)])


def planted_weights(seed=0):
    """Return weights of every training point for the last 40 points: large where both look alike."""
    alike = views_of(seed).likeness(N_TRAIN, np.arange(N_TRAIN, N_POINTS))
    return np.random.default_rng(seed).normal(size=alike.shape) * np.exp(2.5 * (alike - 1))


def problem(n_models=120, noise=0.5, seed=0):
    masks, weights = masks_of(n_models, seed), planted_weights(seed)
    outputs = (
        masks @ weights
        + 3
        + noise * np.random.default_rng(seed + 1).normal(size=(n_models, weights.shape[1]))
    )
    block = replace(block_of(outputs), points=np.arange(N_TRAIN, N_POINTS))
    return Evidence(masks=masks, views=views_of(seed)), block, weights


def fitted(evidence, block, **settings):
    local = LocalRidge(**settings)
    factor = local.factor(evidence)
    fit = local.fit(factor, evidence, block)
    return local.datamodel(factor, fit, evidence, block), fit


def test_predictions_are_those_of_ridge_on_masks_scaled_by_the_prior():
    evidence, block, _ = problem()
    ours, fit = fitted(evidence, block)
    local, masks = LocalRidge(), evidence.masks
    centred = block.outputs - block.outputs.mean(axis=0)
    prior = local._prior(
        module.products_of(masks, centred),
        (centred**2).sum(axis=0),
        local.factor(evidence)["spread"],
        evidence,
        block,
    )
    for output in (0, 7, 39):
        root = np.sqrt(prior[:, output] / prior[:, output].mean())
        theirs = SklearnRidge(alpha=fit["penalty"][output]).fit(masks * root, block.outputs[:, output])
        assert ours.weights()[:, output] == pytest.approx(root * theirs.coef_, abs=1e-5)
        assert ours.predict(masks)[:, output] == pytest.approx(theirs.predict(masks * root), abs=1e-5)


def test_weights_that_look_as_the_views_say_are_found_better_than_by_ridge():
    evidence, block, weights = problem(noise=1.0)
    ridge = Ridge()
    factor = ridge.factor(evidence)
    plain = ridge.datamodel(factor, ridge.fit(factor, evidence, block), evidence, block).weights()
    ours, fit = fitted(evidence, block)
    assert np.square(ours.weights() - weights).sum() < 0.6 * np.square(plain - weights).sum()
    assert fit["r2"].mean() > ridge.fit(factor, evidence, block)["r2"].mean()


def test_the_r2_is_that_of_models_left_out():
    evidence, block, weights = problem()
    ours, fit = fitted(evidence, block)
    unseen = masks_of(400, seed=9)
    actual = unseen @ weights + 3 + 0.5 * np.random.default_rng(5).normal(size=(400, weights.shape[1]))
    share = 1 - np.square(ours.predict(unseen) - actual).mean(axis=0) / actual.var(axis=0)
    assert fit["r2"].mean() == pytest.approx(share.mean(), abs=0.05)


def test_only_points_within_reach_have_a_weight():
    evidence, block, _ = problem()
    whole, _ = fitted(evidence, block)
    few, fit = fitted(evidence, block, reach=10)
    assert ((few.weights() != 0).sum(axis=0) == 10).all()
    assert fit["ids"].shape == (40, 10)
    kept = np.take_along_axis(np.square(whole.weights()), fit["ids"].T.astype(int), axis=0).sum(axis=0)
    assert (kept / np.square(whole.weights()).sum(axis=0)).mean() > 0.6


def test_points_beyond_reach_add_to_the_standard_error():
    evidence, block, _ = problem()
    few, fit = fitted(evidence, block, reach=10)
    inside, outside = fit["ids"][0], np.setdiff1d(np.arange(N_TRAIN), fit["ids"][0])
    assert few.effect_of_removing(outside).mean[0] == 0
    assert few.effect_of_removing(outside).standard_error[0] == pytest.approx(np.sqrt(50 * fit["rest"][0]))
    assert few.effect_of_removing(inside).standard_error[0] == pytest.approx(
        np.sqrt(fit["variances"][0].sum())
    )


def test_standard_errors_are_as_large_as_errors_are():
    scores = []
    for seed in range(8):
        evidence, block, weights = problem(noise=1.0, seed=seed)
        ours, _ = fitted(evidence, block)
        for ids in np.random.default_rng(seed).permutation(N_TRAIN).reshape(12, 5):
            effect = ours.effect_of_removing(ids)
            scores.append((effect.mean + weights[ids].sum(axis=0)) / effect.standard_error)
    assert np.sqrt(np.square(scores).mean()) == pytest.approx(1, abs=0.2)


def test_more_points_than_are_held_at_once_give_the_same(monkeypatch):
    evidence, block, _ = problem()
    whole, _ = fitted(evidence, block)
    monkeypatch.setattr(module, "_COLUMNS", 7)
    monkeypatch.setattr(module, "_MOST_KEPT", 10)
    parts, _ = fitted(replace(evidence), block)
    assert parts.weights() == pytest.approx(whole.weights(), abs=1e-6)


def test_a_prior_may_be_learnt_from_some_points_of_a_block(monkeypatch):
    evidence, block, weights = problem()
    monkeypatch.setattr(module, "MOST_PAIRS", 10 * N_TRAIN)
    ours, _ = fitted(evidence, block)
    assert np.corrcoef(ours.weights().ravel(), weights.ravel())[0, 1] > 0.9


def test_outputs_and_masks_that_never_vary_break_nothing():
    evidence, block, _ = problem()
    masks, outputs = evidence.masks.copy(), block.outputs.copy()
    masks[:, 4], outputs[:, 2] = True, 7.0
    ours, fit = fitted(replace(evidence, masks=masks), replace(block, outputs=outputs))
    effect = ours.effect_of_removing(np.array([0, 1]))
    assert (effect.mean[2], effect.standard_error[2], fit["r2"][2]) == (0, 0, 0)
    assert ours.effect_of_removing(np.array([4])).mean == pytest.approx(0, abs=1e-9)
    assert all(np.isfinite(values).all() for values in (effect.mean, effect.standard_error, *fit.values()))


def test_what_cannot_serve_is_refused():
    evidence, block, _ = problem()
    with pytest.raises(ConfigError, match="add `views` to its `needs`"):
        fitted(replace(evidence, views=None), block)
    ours, _ = fitted(evidence, block)
    with pytest.raises(ShapeError, match="over 59 training points, the datamodel over 60"):
        ours.predict(evidence.masks[:, 1:])
    with pytest.raises(DataError, match="distinct training ids in 0 to 59"):
        ours.effect_of_removing(np.array([1, 1]))


def test_a_planted_prior_is_learnt():
    views, points = views_of(), np.arange(N_TRAIN, N_POINTS)
    columns = pair_columns(views, N_TRAIN, points).reshape(-1, 8)
    planted = np.array([-4.0, 1.0, 1.0, 1.0, 0.5, 0.0, 0.0, 0.0])
    variance = prior_variances(columns, planted)
    noise = np.full(len(columns), 0.02)
    marginal = np.random.default_rng(0).normal(size=len(columns)) * np.sqrt(variance + noise)
    learnt = prior_variances(columns, learn_prior(columns, marginal**2, noise))
    assert np.corrcoef(np.log(learnt), np.log(variance))[0, 1] > 0.95
    assert np.median(learnt / variance) == pytest.approx(1, abs=0.25)


def test_what_is_kept_of_weights_takes_little_room():
    _, fit = fitted(*problem()[:2])
    assert {fit[name].dtype for name in ("ids", "weights", "variances")} == {
        np.dtype(np.int32),
        np.dtype(np.float32),
    }
