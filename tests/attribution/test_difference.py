"""Differences of means agree with a plain loop and find a planted datamodel; their noise is shrunk."""

import numpy as np
import pytest
from blocks import block_of

from pipeline.attribution.datamodel import Datamodel
from pipeline.attribution.evidence import Evidence
from pipeline.attribution.linear import means as module
from pipeline.attribution.linear.difference import DifferenceOfMeans
from pipeline.core.errors import ConfigError, DataError
from pipeline.data.masks import subset_mask

N_TRAIN = 24


def masks_of(n_models, fraction=0.5, seed=0, n_train=N_TRAIN):
    return np.stack([subset_mask(n_train, fraction, 1000 * seed + model) for model in range(n_models)])


def bernoulli(n_models, seed=0):
    return np.random.default_rng(seed).random((n_models, N_TRAIN)) < 0.6


def problem(n_models=40, n_outputs=5, noise=0.5, seed=0):
    rng = np.random.default_rng(seed)
    masks, weights = masks_of(n_models, seed=seed), rng.normal(size=(N_TRAIN, n_outputs))
    return masks, masks @ weights + 3 + noise * rng.normal(size=(n_models, n_outputs)), weights


def fitted(masks, outputs, estimator=None, **settings):
    estimator, evidence = estimator or DifferenceOfMeans(**settings), Evidence(masks=masks)
    factor = estimator.factor(evidence)
    fit = estimator.fit(factor, evidence, block_of(outputs))
    return estimator.datamodel(factor, fit, evidence, block_of(outputs)), fit


def plain_differences(masks, outputs):
    return np.array(
        [
            outputs[masks[:, point]].mean(axis=0) - outputs[~masks[:, point]].mean(axis=0)
            for point in range(masks.shape[1])
        ]
    )


def test_without_shrinkage_weights_are_the_plain_differences():
    masks, outputs, _ = problem()
    ours, _ = fitted(masks, outputs, shrinkage="none")
    assert isinstance(ours, Datamodel)
    assert ours.weights() == pytest.approx(plain_differences(masks, outputs), abs=1e-10)
    assert fitted(masks, outputs, shrinkage=0.25)[0].weights() == pytest.approx(
        0.75 * plain_differences(masks, outputs), abs=1e-10
    )


def test_masks_that_keep_any_number_of_points_are_compared_as_they_are():
    masks, outputs = bernoulli(200), np.random.default_rng(0).normal(size=(200, 3))
    ours, _ = fitted(masks, outputs, shrinkage="none")
    assert ours.weights() == pytest.approx(plain_differences(masks, outputs), abs=1e-10)


def test_populations_that_keep_more_points_do_not_pass_for_effects():
    """Every model of the second population is higher by 10, whatever it keeps.

    Compared across populations every point would seem to raise it.
    """
    masks = np.concatenate([masks_of(60, 0.5), masks_of(60, 0.9, seed=1)])
    outputs = np.repeat([0.0, 10.0], 60)[:, None] + 0.1 * np.random.default_rng(0).normal(size=(120, 2))
    ours, _ = fitted(masks, outputs, shrinkage="none")
    assert plain_differences(masks, outputs).mean() > 3
    assert np.abs(ours.weights()).max() < 0.2


def test_sampling_variance_is_that_of_a_regression_on_one_point():
    masks, outputs, _ = problem(30, n_outputs=1)
    ours, _ = fitted(masks, outputs, shrinkage="none")
    for point in (0, 7):
        design = np.stack([np.ones(30), masks[:, point]], axis=1)
        _, residual, *_ = np.linalg.lstsq(design, outputs[:, 0], rcond=None)
        expected = np.sqrt(residual[0] / 28 * np.linalg.inv(design.T @ design)[1, 1])
        assert ours.effect_of_removing(np.array([point])).standard_error == pytest.approx(expected)


@pytest.mark.parametrize("shrinkage", ["none", "empirical-bayes"])
@pytest.mark.parametrize("masks", [masks_of(30), bernoulli(60)])
def test_r2_is_that_of_fifths_predicted_by_a_fit_to_the_others(masks, shrinkage):
    outputs = masks @ np.random.default_rng(1).normal(size=(N_TRAIN, 2)) + np.random.default_rng(2).normal(
        size=(len(masks), 2)
    )
    _, fit = fitted(masks, outputs, shrinkage=shrinkage)
    error, total = np.zeros(2), np.zeros(2)
    for fold in range(5):
        left = np.arange(len(masks)) % 5 == fold
        others, _ = fitted(masks[~left], outputs[~left], shrinkage=shrinkage)
        error += ((outputs[left] - others.predict(masks[left])) ** 2).sum(axis=0)
        total += ((outputs[left] - outputs[~left].mean(axis=0)) ** 2).sum(axis=0)
    assert fit["r2"] == pytest.approx(1 - error / total)


def test_a_planted_datamodel_is_recovered_up_to_a_constant():
    masks, outputs, weights = problem(4000, noise=0.1)
    ours, fit = fitted(masks, outputs)
    # Masks of a fixed size tell weights only up to their mean; the difference then grows by n / (n - 1).
    truth = (weights - weights.mean(axis=0)) * N_TRAIN / (N_TRAIN - 1)
    assert np.abs(ours.weights() - truth).max() < 0.35
    assert np.corrcoef(ours.weights().ravel(), truth.ravel())[0, 1] > 0.99
    assert (fit["r2"] > 0.9).all()


def test_with_many_models_least_squares_says_the_same():
    masks, outputs, _ = problem(4000, noise=0.1)
    difference = fitted(masks, outputs)[0].weights()
    least_squares = np.linalg.lstsq(masks - masks.mean(axis=0), outputs - outputs.mean(axis=0))[0]
    assert difference == pytest.approx(least_squares * N_TRAIN / (N_TRAIN - 1), abs=0.35)


def test_with_fewer_models_than_points_shrinkage_lowers_the_error():
    rng, n_train = np.random.default_rng(0), 200
    masks, unseen = masks_of(40, n_train=n_train), masks_of(40, seed=9, n_train=n_train)
    weights = rng.normal(size=(n_train, 30))
    outputs = masks @ weights + rng.normal(size=(40, 30))
    (plain, plain_fit), (shrunk, fit) = (
        fitted(masks, outputs, shrinkage=how) for how in ("none", "empirical-bayes")
    )
    errors = [((datamodel.predict(unseen) - unseen @ weights) ** 2).mean() for datamodel in (plain, shrunk)]
    assert errors[1] < 0.5 * errors[0]
    # What the fit says of models left out is what models never seen bear out.
    variance = (unseen @ weights).var(axis=0).mean() + 1
    assert fit["r2"].mean() == pytest.approx(1 - (errors[1] + 1) / variance, abs=0.1)
    assert plain_fit["r2"].mean() < fit["r2"].mean()


def test_noise_alone_is_shrunk_away():
    masks = masks_of(50)
    ours, fit = fitted(masks, np.random.default_rng(0).normal(size=(50, 200)))
    plain, _ = fitted(masks, np.random.default_rng(0).normal(size=(50, 200)), shrinkage="none")
    assert np.square(ours.weights()).mean() < 0.05 * np.square(plain.weights()).mean()
    assert np.median(fit["prior_variance"]) < 0.01


def test_the_standard_error_is_that_of_the_posterior():
    """With weights drawn from a normal prior, error over standard error has a spread of about one.

    Little else varies.
    """
    scores = []
    for seed in range(40):
        masks, outputs, weights = problem(60, n_outputs=20, noise=1.0, seed=seed)
        ours, _ = fitted(masks, outputs)
        ids = np.random.default_rng(seed).choice(N_TRAIN, 3, replace=False)
        effect = ours.effect_of_removing(ids)
        truth = (weights - weights.mean(axis=0))[ids].sum(axis=0) * N_TRAIN / (N_TRAIN - 1)
        scores.append((effect.mean + truth) / effect.standard_error)
    assert np.std(scores) == pytest.approx(1, abs=0.15)


def test_removing_points_changes_a_prediction_by_their_effect():
    masks, outputs, _ = problem()
    ours, _ = fitted(masks, outputs)
    everything, ids = np.ones((1, N_TRAIN), bool), np.array([2, 11, 17])
    without = everything.copy()
    without[0, ids] = False
    assert ours.effect_of_removing(ids).mean == pytest.approx(
        (ours.predict(without) - ours.predict(everything))[0], abs=1e-9
    )
    assert ours.predict(masks).mean(axis=0) == pytest.approx(outputs.mean(axis=0))


def test_outputs_and_models_in_parts_give_the_same(monkeypatch):
    masks, outputs, _ = problem()
    whole, fit = fitted(masks, outputs)
    monkeypatch.setattr(module, "_COLUMNS", 2)
    monkeypatch.setattr(module, "_ROWS", 7)
    parts, other = fitted(masks, outputs)
    assert parts.predict(masks) == pytest.approx(whole.predict(masks), abs=1e-9)
    assert all(other[name] == pytest.approx(fit[name], abs=1e-9) for name in fit)


def test_points_that_all_models_keep_and_outputs_that_never_vary_have_no_effect():
    masks, outputs, _ = problem()
    masks[:, 3], outputs[:, 2] = True, 7.0
    ours, fit = fitted(masks, outputs)
    effect = ours.effect_of_removing(np.array([3]))
    assert effect.mean == pytest.approx(0, abs=1e-12)
    assert effect.standard_error[0] > ours.effect_of_removing(np.array([4])).standard_error[0]
    assert (ours.weights()[:, 2] == 0).all()
    assert all(np.isfinite(values).all() for values in (effect.standard_error, *fit.values()))


def test_what_cannot_serve_is_refused():
    masks, outputs, _ = problem()
    with pytest.raises(ConfigError, match="at least 3 subset models"):
        fitted(masks[:2], outputs[:2])
    with pytest.raises(DataError, match="non-finite"):
        fitted(masks, np.full_like(outputs, np.nan))
    with pytest.raises(DataError, match="distinct training ids"):
        fitted(masks, outputs)[0].effect_of_removing(np.array([1, 1]))
    with pytest.raises(ValueError, match="shrinkage"):
        DifferenceOfMeans(shrinkage=1.0)
