"""Ridge datamodels agree with scikit-learn and find a planted datamodel; their standard errors are right."""

import numpy as np
import pytest
from blocks import block_of
from planted_truth import planted_weights
from sklearn.linear_model import Ridge as SklearnRidge

from pipeline.attribution import ridge as module
from pipeline.attribution.datamodel import Datamodel
from pipeline.attribution.evidence import Evidence
from pipeline.attribution.linear.penalties import GRID
from pipeline.attribution.ridge import Ridge
from pipeline.core.errors import ConfigError, DataError, ShapeError
from pipeline.data.datasets.planted import Planted
from pipeline.data.masks import subset_mask

N_TRAIN = 24


def masks_of(n_models, n_train=N_TRAIN, fraction=0.5, seed=0):
    return np.stack([subset_mask(n_train, fraction, 1000 * seed + model) for model in range(n_models)])


def problem(n_models=40, n_outputs=5, noise=0.3, seed=0):
    rng = np.random.default_rng(seed)
    masks, weights = masks_of(n_models, seed=seed), rng.normal(size=(N_TRAIN, n_outputs))
    return masks, masks @ weights + 3 + noise * rng.normal(size=(n_models, n_outputs)), weights


def fitted(masks, outputs, **settings):
    ridge, evidence = Ridge(**settings), Evidence(masks=masks)
    factor = ridge.factor(evidence)
    fit = ridge.fit(factor, evidence, block_of(outputs))
    return ridge.datamodel(factor, fit, evidence, block_of(outputs)), fit


def mean_eigenvalue(masks):
    centred = masks - masks.mean(axis=0)
    return np.linalg.eigvalsh(centred @ centred.T).clip(0).mean()


def sklearn_ridge(masks, outputs, penalty):
    return SklearnRidge(alpha=penalty).fit(masks.astype(float), outputs)


@pytest.mark.parametrize("n_models", [10, 40, 200])
@pytest.mark.parametrize("penalty", [0.01, 1.0])
def test_predictions_and_weights_equal_scikit_learns(n_models, penalty):
    masks, outputs, _ = problem(n_models)
    theirs = sklearn_ridge(masks, outputs, penalty * mean_eigenvalue(masks))
    ours, _ = fitted(masks, outputs, penalty=penalty)
    unseen = masks_of(30, fraction=0.8, seed=7)
    assert isinstance(ours, Datamodel)
    assert ours.predict(unseen) == pytest.approx(theirs.predict(unseen), abs=1e-8)
    assert ours.weights() == pytest.approx(theirs.coef_.T, abs=1e-8)
    assert ours.intercept() == pytest.approx(theirs.intercept_, abs=1e-8)


@pytest.mark.parametrize("n_models", [10, 40, 200])
def test_effects_are_the_sums_of_scikit_learns_weights_at_their_own_penalty(n_models):
    masks, outputs, _ = problem(n_models)
    theirs = sklearn_ridge(masks, outputs, 0.3 * mean_eigenvalue(masks))
    ours, _ = fitted(masks, outputs, penalty=5.0, effect_penalty=0.3)
    for ids in ([0], [3, 5, 7], list(range(1, N_TRAIN))):
        assert ours.effect_of_removing(np.array(ids)).mean == pytest.approx(
            -theirs.coef_.T[ids].sum(axis=0), abs=1e-8
        )


def test_masks_are_raw_zeros_and_ones():
    """The trap of standardised weights applied to raw masks.

    Predictions of the fit's own masks would miss the outputs by the offset.
    """
    masks, outputs, _ = problem(400, noise=0.0)
    ours, _ = fitted(masks, outputs, penalty=1e-6)
    assert ours.predict(masks) == pytest.approx(outputs, abs=1e-3)
    assert ours.predict(masks[:1]) == pytest.approx(masks[:1] @ ours.weights() + ours.intercept(), abs=1e-8)


def test_removing_points_changes_a_prediction_by_their_effect():
    masks, outputs, _ = problem()
    ours, _ = fitted(masks, outputs, penalty=0.2, effect_penalty=0.2)
    everything, ids = np.ones((1, N_TRAIN), bool), np.array([2, 11, 17])
    without = everything.copy()
    without[0, ids] = False
    change = ours.predict(without) - ours.predict(everything)
    assert ours.effect_of_removing(ids).mean == pytest.approx(change[0], abs=1e-9)


def test_more_points_than_are_held_at_once_give_the_same(monkeypatch):
    masks, outputs, _ = problem()
    whole, _ = fitted(masks, outputs)
    monkeypatch.setattr(module, "_COLUMNS", 7)
    parts, _ = fitted(masks, outputs)
    assert parts.predict(masks) == pytest.approx(whole.predict(masks), abs=1e-9)
    assert parts.effect_of_removing(np.array([1, 5])).mean == pytest.approx(
        whole.effect_of_removing(np.array([1, 5])).mean, abs=1e-9
    )


def test_effects_add_up():
    masks, outputs, _ = problem()
    ours, _ = fitted(masks, outputs)
    one, other, both = (ours.effect_of_removing(np.array(ids)).mean for ids in ([1, 4], [9], [1, 4, 9]))
    assert both == pytest.approx(one + other, abs=1e-10)


def test_the_penalty_of_each_output_is_its_leave_one_out_optimum_or_beside_it():
    masks, outputs, _ = problem(25, n_outputs=8, noise=2.0)
    _, fit = fitted(masks, outputs)
    penalties = GRID * mean_eigenvalue(masks)
    errors = np.zeros((len(penalties), outputs.shape[1]))
    for row, penalty in enumerate(penalties):
        for left in range(len(masks)):
            others = np.arange(len(masks)) != left
            errors[row] += (
                sklearn_ridge(masks[others], outputs[others], penalty).predict(masks[left : left + 1])[0]
                - outputs[left]
            ) ** 2 / len(masks)
    ours = np.abs(np.log(fit["penalty"][:, None] / penalties)).argmin(axis=1)
    assert np.abs(ours - errors.argmin(axis=0)).max() <= 1
    assert errors[ours, np.arange(8)] == pytest.approx(errors.min(axis=0), rel=0.03)
    total = ((outputs - outputs.mean(axis=0)) ** 2).mean(axis=0) * (25 / 24) ** 2
    assert fit["r2"] == pytest.approx(1 - errors.min(axis=0) / total, abs=0.1)


def test_each_output_has_a_penalty_of_its_own():
    """The trap of one output's penalty used for another.

    Any order of outputs gives the same answers in that order.
    """
    masks, outputs, _ = problem(n_outputs=6, noise=1.0)
    outputs[:, 3] = np.random.default_rng(0).normal(size=len(outputs))
    order = [4, 3, 0, 5, 1, 2]
    ours, fit = fitted(masks, outputs)
    other, other_fit = fitted(masks, outputs[:, order])
    assert len(np.unique(fit["penalty"])) > 1
    assert np.array_equal(other_fit["penalty"], fit["penalty"][order])
    assert other.predict(masks) == pytest.approx(ours.predict(masks)[:, order], abs=1e-9)
    for number in range(6):
        alone, _ = fitted(masks, outputs[:, number : number + 1])
        assert alone.predict(masks)[:, 0] == pytest.approx(ours.predict(masks)[:, number], abs=1e-9)


def test_a_planted_datamodel_is_recovered_up_to_a_constant():
    examples = Planted(n_train=30, n_validation=6, n_groups=6).load()
    masks = masks_of(400, 30)
    weights = planted_weights(examples, learning_rate=1.0, n_kept=15).reshape(30, -1)
    noise = 0.05 * np.random.default_rng(0).normal(size=(400, weights.shape[1]))
    ours, fit = fitted(masks, masks @ weights + noise, penalty=1e-3)
    truth = weights - weights.mean(axis=0)
    assert np.abs(ours.weights() - ours.weights().mean(axis=0) - truth).max() < 0.05
    assert np.median(fit["r2"]) > 0.9


def test_the_standard_error_is_that_of_the_bayesian_reading():
    """With weights drawn from the prior, the error divided by the standard error has a spread of one."""
    scores = []
    for seed in range(60):
        rng = np.random.default_rng(seed)
        masks, weights = masks_of(15, seed=seed), rng.normal(size=(N_TRAIN, 20))
        outputs = masks @ weights + rng.normal(size=(15, 20))
        penalty = 1.0 / mean_eigenvalue(masks)
        ours, fit = fitted(masks, outputs, penalty=penalty, effect_penalty=penalty)
        ids = rng.choice(N_TRAIN, 4, replace=False)
        effect = ours.effect_of_removing(ids)
        exact = effect.standard_error / np.sqrt(fit["amplitude"] * fit["effect_penalty"])
        scores.append((effect.mean + weights[ids].sum(axis=0)) / exact)
    assert np.std(scores) == pytest.approx(1, abs=0.1)


def test_less_evidence_means_a_larger_standard_error():
    errors = [
        fitted(*problem(n_models)[:2])[0].effect_of_removing(np.array([1, 2])).standard_error.mean()
        for n_models in (20, 100, 500)
    ]
    assert errors[0] > errors[1] > errors[2] > 0


def test_outputs_that_never_vary_have_no_effect_and_break_nothing():
    masks, outputs, _ = problem()
    outputs[:, 2] = 7.0
    ours, fit = fitted(masks, outputs)
    effect = ours.effect_of_removing(np.array([0, 1]))
    assert (effect.mean[2], effect.standard_error[2]) == (0, 0)
    assert all(np.isfinite(values).all() for values in (effect.mean, effect.standard_error, *fit.values()))


@pytest.mark.parametrize("ids", [[], [1, 1], [-1], [N_TRAIN]])
def test_ids_that_are_no_set_of_training_points_are_refused(ids):
    ours, _ = fitted(*problem()[:2])
    with pytest.raises(DataError, match="distinct training ids in 0 to 23"):
        ours.effect_of_removing(np.array(ids, np.int64))


@pytest.mark.parametrize("broken", [np.nan, np.inf])
def test_outputs_that_are_not_finite_are_refused(broken):
    masks, outputs, _ = problem()
    outputs[3, 1] = broken
    with pytest.raises(DataError, match="finite"):
        fitted(masks, outputs)


def test_evidence_that_cannot_serve_is_refused():
    masks, outputs, _ = problem()
    with pytest.raises(ConfigError, match="at least 3 subset models"):
        Ridge().factor(Evidence(masks=masks[:2]))
    with pytest.raises(DataError, match="subset models are equal, so nothing can be attributed"):
        Ridge().factor(Evidence(masks=np.ones((5, N_TRAIN), bool)))
    ours, _ = fitted(masks, outputs)
    with pytest.raises(ShapeError, match="over 23 training points, the datamodel over 24"):
        ours.predict(masks[:, 1:])


@pytest.mark.parametrize("settings", [{"penalty": 0}, {"penalty": "lasso"}, {"effect_penalty": -1.0}])
def test_settings_out_of_range_are_refused(settings):
    with pytest.raises(ValueError, match="penalty"):
        Ridge(**settings)
