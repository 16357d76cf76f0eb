"""LASSO datamodels find planted weights, predict raw masks and state their error."""

import numpy as np
import pytest
from planted_truth import planted_weights

from pipeline.attribution.datamodel import Datamodel
from pipeline.attribution.evidence import Block, Evidence
from pipeline.attribution.lasso.lasso import Lasso
from pipeline.core.errors import ConfigError, DataError, ShapeError
from pipeline.data.datasets.planted import Planted
from pipeline.data.masks import subset_mask

N_TRAIN = 40


def masks_of(n_models, n_train=N_TRAIN, seed=0):
    return np.stack([subset_mask(n_train, 0.5, 10_000 * seed + model) for model in range(n_models)])


def problem(n_models=200, n_outputs=8, noise=0.5, n_weights=6, seed=0):
    """Return masks, outputs and their planted weights (n_train, n_outputs), n_weights of them not 0."""
    rng = np.random.default_rng(seed)
    masks, weights = masks_of(n_models, seed=seed), np.zeros((N_TRAIN, n_outputs))
    for output in range(n_outputs):
        weights[rng.choice(N_TRAIN, n_weights, replace=False), output] = rng.normal(size=n_weights)
    return (
        masks,
        (masks @ weights + 3 + noise * rng.normal(size=(n_models, n_outputs))).astype(np.float32),
        weights,
    )


def fitted(masks, outputs, **settings):
    lasso, evidence = Lasso(**settings), Evidence(masks=masks)
    block = Block(points=np.arange(outputs.shape[1]), outputs=outputs, per_point=1)
    factor = lasso.factor(evidence)
    fit = lasso.fit(factor, evidence, block)
    return lasso.datamodel(factor, fit, evidence, block), fit


def test_a_planted_datamodel_is_recovered_up_to_a_constant():
    examples = Planted(n_train=30, n_validation=6, n_groups=6).load()
    masks = masks_of(600, 30)
    weights = planted_weights(examples, learning_rate=1.0, n_kept=15).reshape(30, -1)
    noise = 0.05 * np.random.default_rng(0).normal(size=(600, weights.shape[1]))
    ours, fit = fitted(masks, masks @ weights + noise)
    truth = weights - weights.mean(axis=0)
    assert isinstance(ours, Datamodel)
    assert np.abs(ours.weights() - ours.weights().mean(axis=0) - truth).max() < 0.1
    assert np.median(fit["r2"]) > 0.9


def test_few_points_have_a_weight_where_few_matter():
    masks, outputs, weights = problem(400)
    ours, fit = fitted(masks, outputs)
    found = ours.weights() != 0
    assert found[np.abs(weights) > 0.3].all()
    assert np.median(fit["n_weights"]) < 15
    assert fit["gap"].max() <= 1e-4


def test_masks_are_raw_zeros_and_ones():
    """The trap of standardised weights applied to raw masks.

    Predictions of unseen masks would miss by the offset.
    """
    masks, outputs, weights = problem(400, noise=0.01)
    ours, fit = fitted(masks, outputs, smallest=1e-3)
    unseen = masks_of(30, seed=7)
    assert ours.predict(unseen) == pytest.approx(unseen @ weights + 3, abs=0.1)
    assert ours.predict(unseen) == pytest.approx(unseen @ ours.weights() + fit["intercept"], abs=1e-5)


def test_the_effect_of_a_set_is_the_sum_of_its_weights_negated():
    masks, outputs, _ = problem()
    ours, _ = fitted(masks, outputs)
    one, other, both = (ours.effect_of_removing(np.array(ids)).mean for ids in ([1, 4], [9], [1, 4, 9]))
    assert both == pytest.approx(-ours.weights()[[1, 4, 9]].sum(axis=0), abs=1e-6)
    assert both == pytest.approx(one + other, abs=1e-6)


def test_r2_is_that_of_models_never_seen():
    masks, outputs, weights = problem(300, n_outputs=60, noise=0.8)
    ours, fit = fitted(masks, outputs)
    unseen = masks_of(1000, seed=7)
    truth = unseen @ weights + 3
    actual = truth + 0.8 * np.random.default_rng(9).normal(size=truth.shape)
    r2 = 1 - ((ours.predict(unseen) - actual) ** 2).mean(axis=0) / actual.var(axis=0)
    assert np.mean(fit["r2"]) == pytest.approx(np.mean(r2), abs=0.05)


def test_errors_of_effects_are_of_the_size_that_is_told():
    scores = []
    for seed in range(3):
        masks, outputs, weights = problem(150, n_outputs=60, seed=seed)
        ours, _ = fitted(masks, outputs)
        # Weights of subsets of one size are only determined up to a constant, which removed points share with
        # all others.
        effect = ours.effect_of_removing(np.argsort(-np.abs(weights[:, 0]))[:6])
        ids = np.random.default_rng(seed).choice(N_TRAIN, 6, replace=False)
        other = ours.effect_of_removing(ids)
        scores.append(
            (effect.mean[0] + weights[np.argsort(-np.abs(weights[:, 0]))[:6], 0].sum())
            / effect.standard_error[0]
        )
        scores.extend((other.mean + weights[ids].sum(axis=0)) / other.standard_error)
    assert 0.25 < np.sqrt(np.mean(np.square(scores))) < 1.5


def test_less_evidence_means_a_larger_standard_error():
    errors = [
        fitted(*problem(n_models)[:2])[0].effect_of_removing(np.array([1, 2])).standard_error.mean()
        for n_models in (60, 200, 600)
    ]
    assert errors[0] > errors[1] > errors[2] > 0


def test_outputs_that_want_a_smaller_penalty_than_the_last_are_counted():
    masks, outputs, _ = problem(400, n_weights=N_TRAIN, noise=0.01)
    noisy = outputs + 20 * np.random.default_rng(0).normal(size=outputs.shape).astype(np.float32)
    _, fit = fitted(masks, np.concatenate([outputs, noisy], axis=1), smallest=0.1, n_penalties=10)
    assert fit["at_end"][:8].all()
    assert fit["at_end"][8:].mean() < 0.5
    assert (fit["n_weights"][:8] > 20).all()


def test_both_solvers_tell_the_same():
    masks, outputs, _ = problem(100, n_outputs=4)
    one, fit = fitted(masks, outputs, solver="coordinate", smallest=0.1)
    other, same = fitted(masks, outputs, solver="batched", smallest=0.1)
    chosen, _ = fitted(masks, outputs, smallest=0.1)
    assert same["penalty"] == pytest.approx(fit["penalty"], rel=1e-4)
    assert max(same["gap"].max(), fit["gap"].max()) <= 1e-4
    assert other.predict(masks) == pytest.approx(one.predict(masks), abs=0.03)
    assert np.array_equal(chosen.weights(), one.weights())


def test_outputs_that_never_vary_have_no_effect_and_break_nothing():
    masks, outputs, _ = problem()
    outputs[:, 2] = 7.1
    ours, fit = fitted(masks, outputs)
    effect = ours.effect_of_removing(np.array([0, 1]))
    assert (effect.mean[2], effect.standard_error[2], fit["r2"][2]) == (0, 0, 0)
    assert all(np.isfinite(values).all() for values in (effect.mean, effect.standard_error, *fit.values()))


def test_the_same_models_are_held_out_each_time_and_no_more_than_asked_for():
    evidence = Evidence(masks=masks_of(50))
    heldout = Lasso(heldout_share=0.3).factor(evidence)["heldout"]
    assert heldout.sum() == 15
    assert np.array_equal(heldout, Lasso(heldout_share=0.3).factor(evidence)["heldout"])


def test_evidence_that_cannot_serve_is_refused():
    masks, outputs, _ = problem()
    outputs[3, 1] = np.nan
    with pytest.raises(DataError, match="finite"):
        fitted(masks, outputs)
    with pytest.raises(ConfigError, match=r"heldout_share 0.9 leaves 1 of 10 models"):
        Lasso(heldout_share=0.9).factor(Evidence(masks=masks[:10]))
    with pytest.raises(DataError, match="subset models are equal, so nothing can be attributed"):
        Lasso().factor(Evidence(masks=np.ones((5, N_TRAIN), bool)))


def test_questions_that_have_no_answer_are_refused():
    ours, _ = fitted(*problem()[:2])
    with pytest.raises(DataError, match="distinct training ids in 0 to 39"):
        ours.effect_of_removing(np.array([1, 1]))
    with pytest.raises(ShapeError, match="over 39 training points, the datamodel over 40"):
        ours.predict(masks_of(3)[:, 1:])


@pytest.mark.parametrize(
    "settings",
    [{"smallest": 1.0}, {"n_penalties": 1}, {"tolerance": 1e-9}, {"heldout_share": 0.0}, {"solver": "lars"}],
)
def test_settings_out_of_range_are_refused(settings):
    with pytest.raises(ValueError, match=next(iter(settings))):
        Lasso(**settings)
