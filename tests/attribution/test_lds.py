"""LDS is the mean Spearman correlation over targets; targets without a ranking are left out and counted."""

import numpy as np
import pytest
from scipy.stats import spearmanr
from sklearn.metrics import r2_score

from pipeline.attribution import lds as module
from pipeline.attribution.lds import explained, lds
from pipeline.core.errors import ConfigError, DataError, ShapeError


def arrays(n_subsets=40, n_targets=30, noise=1.0, seed=0):
    rng = np.random.default_rng(seed)
    actual = rng.normal(size=(n_subsets, n_targets))
    return actual + noise * rng.normal(size=actual.shape), actual


@pytest.mark.parametrize("digits", [8, 0])
def test_each_value_is_scipys_spearman_correlation_ties_included(digits):
    predicted, actual = (np.round(values, digits) for values in arrays())
    expected = [spearmanr(predicted[:, target], actual[:, target]).statistic for target in range(30)]
    score = lds(predicted=predicted, actual=actual)
    assert score.values == pytest.approx(expected, abs=1e-12)
    assert score.mean == pytest.approx(np.mean(expected))


def test_more_targets_than_a_chunk_are_all_there(monkeypatch):
    predicted, actual = arrays()
    whole = lds(predicted=predicted, actual=actual)
    monkeypatch.setattr(module, "_CHUNK", 7)
    parts = lds(predicted=predicted, actual=actual)
    assert parts.values == pytest.approx(whole.values, abs=1e-12)
    assert parts.interval == pytest.approx(whole.interval, abs=1e-12)


def test_only_ranks_matter_and_the_sign_does():
    predicted, actual = arrays()
    score = lds(predicted=predicted, actual=actual)
    assert np.array_equal(lds(predicted=np.exp(predicted), actual=actual**3).values, score.values)
    assert lds(predicted=-predicted, actual=actual).values == pytest.approx(-score.values)
    assert lds(predicted=actual, actual=actual).mean == pytest.approx(1)


def test_constant_targets_are_left_out_and_constant_predictions_score_0():
    predicted, actual = arrays()
    predicted[:, 3], actual[:, 7] = 1.0, 2.0
    score = lds(predicted=predicted, actual=actual)
    assert (score.n_constant, score.n_flat, len(score.values)) == (1, 1, 29)
    assert np.isfinite(score.values).all()
    assert score.values[3] == 0
    assert (np.delete(score.values, 3) > 0.2).all()


def test_a_prediction_that_never_varies_scores_0():
    _, actual = arrays()
    score = lds(predicted=np.zeros_like(actual), actual=actual)
    assert (score.mean, score.interval, score.n_flat) == (0, (0, 0), 30)


def test_the_interval_holds_the_mean_and_narrows_with_more_subsets():
    widths = []
    for n_subsets in (10, 40, 160):
        predicted, actual = arrays(n_subsets)
        score = lds(predicted=predicted, actual=actual)
        low, high = score.interval
        assert low < score.mean < high
        widths.append(high - low)
    assert widths[0] > widths[1] > widths[2]


def test_the_interval_follows_from_its_seed():
    predicted, actual = arrays()
    assert (
        lds(predicted=predicted, actual=actual, seed=1).interval
        == lds(predicted=predicted, actual=actual, seed=1).interval
    )
    assert (
        lds(predicted=predicted, actual=actual, seed=1).interval
        != lds(predicted=predicted, actual=actual, seed=2).interval
    )


@pytest.mark.parametrize("n_subsets", [3, 4, 5])
def test_few_subsets_give_a_rough_score_not_nan(n_subsets):
    predicted, actual = arrays(n_subsets)
    score = lds(predicted=predicted, actual=actual)
    assert np.isfinite([score.mean, *score.interval]).all()


@pytest.mark.parametrize(("shape", "other"), [((40, 3), (40, 4)), ((2, 3), (2, 3)), ((40,), (40,))])
def test_shapes_that_do_not_fit_are_refused(shape, other):
    with pytest.raises(ShapeError, match="at least 3 subsets"):
        lds(predicted=np.zeros(shape), actual=np.zeros(other))


def test_values_that_cannot_be_ranked_are_refused():
    predicted, actual = arrays()
    with pytest.raises(DataError, match="constant over the subsets"):
        lds(predicted=predicted, actual=np.zeros_like(actual))
    predicted[0, 0] = np.nan
    with pytest.raises(DataError, match="NaN or infinity"):
        lds(predicted=predicted, actual=actual)


@pytest.mark.parametrize("settings", [{"n_resamples": 5}, {"level": 1.0}])
def test_settings_out_of_range_are_refused(settings):
    with pytest.raises(ConfigError, match=r"expected a (whole )?number"):
        lds(predicted=arrays()[0], actual=arrays()[1], **settings)


def test_what_is_explained_is_the_r2_of_the_textbook():
    predicted, actual = arrays()
    expected = [r2_score(actual[:, target], predicted[:, target]) for target in range(30)]
    assert explained(predicted, actual) == pytest.approx(expected, abs=1e-12)
    assert explained(actual, actual) == pytest.approx(1)
    assert explained(np.broadcast_to(actual.mean(axis=0), actual.shape), actual) == pytest.approx(0)


def test_an_offset_and_a_wrong_scale_explain_less():
    _, actual = arrays()
    assert (explained(actual + 10, actual) < -10).all()
    assert explained(3 * (actual - actual.mean(axis=0)) + actual.mean(axis=0), actual) == pytest.approx(-3)


def test_of_what_does_not_vary_nothing_is_explained():
    predicted, actual = arrays()
    actual[:, 4] = 7.0
    assert explained(predicted, actual)[4] == 0
    assert explained(predicted.astype(np.float32), actual.astype(np.float32)) == pytest.approx(
        explained(predicted, actual), abs=1e-5
    )
