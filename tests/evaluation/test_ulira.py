"""The U-LiRA attack finds nothing between equal models, and finds differences as well as theory allows.

It never takes a broken margin for a good one.
"""

import numpy as np
import pytest
from scipy.special import ndtr
from sklearn.metrics import roc_auc_score, roc_curve

from pipeline.core.errors import ConfigError, DataError, ShapeError
from pipeline.evaluation.margins import check_worlds
from pipeline.evaluation.roc import Roc
from pipeline.evaluation.ulira import ulira


def margins(n_models, *, seed, shift=0.0, n_points=40):
    return np.random.default_rng(seed).normal(shift, 1, (n_models, n_points))


def attack(shift, *, n_models=100, **settings):
    return ulira(
        unlearned=margins(n_models, seed=0, shift=shift), unseen=margins(n_models, seed=1), **settings
    )


def figures(result):
    return result.balanced_accuracy, result.auc, result.tpr


def test_nothing_is_told_of_worlds_that_are_alike():
    result = attack(0.0)
    assert all(
        low <= chance <= high
        for (low, high), chance in zip(result.intervals.values(), (0.5, 0.5, 0.01), strict=True)
    )
    assert result.n_targets == (50, 50)


@pytest.mark.parametrize("shift", [-2.0, 0.5, 3.0])
def test_shifted_gaussians_are_told_as_well_as_theory_allows(shift):
    """Two unit Gaussians d apart.

    Accuracy Φ(d/2), area Φ(d/√2), true positives Φ(d − 2.326) at 1 % false ones.
    """
    result, d = attack(shift, n_models=2000), abs(shift)
    assert figures(result) == pytest.approx((ndtr(d / 2), ndtr(d / np.sqrt(2)), ndtr(d - 2.3263)), abs=0.012)
    assert result.per_point == pytest.approx(np.full(40, ndtr(d / 2)), abs=0.04)


def test_worlds_that_differ_in_spread_alone_are_told():
    result = ulira(unlearned=3 * margins(200, seed=0), unseen=margins(200, seed=1))
    assert result.intervals["balanced_accuracy"][0] > 0.65


def test_intervals_hold_the_estimate_shrink_with_targets_and_follow_from_their_seed():
    few, many = attack(1.0, n_models=40), attack(1.0, n_models=400)
    for name, (low, high) in few.intervals.items():
        assert low < getattr(few, name) < high
        assert np.ptp(many.intervals[name]) < high - low
    assert attack(1.0).intervals == attack(1.0).intervals != attack(1.0, seed=1).intervals


def test_intervals_hold_chance_about_as_often_as_they_say():
    held = 0
    for seed in range(60):
        pair = np.random.default_rng(seed).normal(size=(2, 40, 5))
        low, high = ulira(unlearned=pair[0], unseen=pair[1], n_resamples=30).intervals["balanced_accuracy"]
        held += low <= 0.5 <= high
    assert held >= 53


def test_the_order_of_models_and_their_precision_do_not_matter():
    rng, pair = np.random.default_rng(0), [margins(30, seed=seed).astype(np.float32) for seed in (0, 1)]
    first = ulira(unlearned=pair[0], unseen=pair[1])
    again = ulira(
        unlearned=rng.permutation(pair[0]).astype(float), unseen=rng.permutation(pair[1]).astype(float)
    )
    assert figures(first) == pytest.approx(figures(again), rel=1e-12)


def test_constant_outputs_look_perfect_as_the_docstring_warns():
    result = ulira(unlearned=np.full((9, 3), 0.1), unseen=np.full((8, 3), 0.1))
    assert figures(result) == pytest.approx((0.5, 0.5, 0.01))


def test_constants_that_differ_are_told_wholly():
    result = ulira(unlearned=np.full((9, 3), 0.1), unseen=np.full((8, 3), 0.3))
    assert (*figures(result), result.intervals["auc"]) == (1, 1, 1, (1, 1))


@pytest.mark.parametrize("broken", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("worlds", [["unlearned"], ["unseen"], ["unlearned", "unseen"]])
def test_what_is_broken_is_told(broken, worlds):
    pair = {"unlearned": margins(20, seed=0), "unseen": margins(20, seed=1)}
    result = ulira(**pair | {world: np.full((20, 40), broken) for world in worlds})
    assert (*figures(result), result.n_nonfinite) == (1, 1, 1, len(worlds) * 800)


def test_a_fifth_of_broken_models_is_told_at_any_rate_of_false_alarms():
    unlearned, unseen = margins(100, seed=0), margins(100, seed=1)
    broken = unlearned.copy()
    broken[::5] = np.nan
    assert ulira(unlearned=broken, unseen=unseen).tpr >= 0.2


def test_huge_margins_stay_finite():
    huge = 1e300 * margins(20, seed=0)
    assert all(0 <= figure <= 1 for figure in figures(ulira(unlearned=huge, unseen=margins(20, seed=1))))


def test_rates_are_those_of_a_textbook():
    rng = np.random.default_rng(0)
    positive, negative = np.round(rng.normal(1, 1, (30, 20)), 1), np.round(rng.normal(size=(25, 20)), 1)
    truth, scores = np.repeat([1, 0], [600, 500]), np.concatenate([positive.ravel(), negative.ravel()])
    false, true, _ = roc_curve(truth, scores, drop_intermediate=False)
    rates = Roc(positive=positive, negative=negative).rates()
    assert rates[1:] == pytest.approx((roc_auc_score(truth, scores), np.interp(0.01, false, true)))


@pytest.mark.parametrize(
    ("unlearned", "unseen", "error", "words"),
    [
        (
            np.zeros((3, 5)),
            np.zeros((9, 5)),
            ShapeError,
            r"unlearned margins have shape \(3, 5\).* at least 4 models",
        ),
        (np.zeros((9, 5)), np.zeros((9, 5, 2)), ShapeError, "unseen margins have shape"),
        (np.zeros((9, 5)), np.zeros((9, 4)), ShapeError, "same points in the same order"),
        (np.zeros((9, 0)), np.zeros((9, 0)), ShapeError, "at least one point"),
    ],
)
def test_margins_that_cannot_be_judged_are_refused(unlearned, unseen, error, words):
    with pytest.raises(error, match=words):
        ulira(unlearned=unlearned, unseen=unseen)


def test_margins_that_are_no_floats_are_refused():
    with pytest.raises(
        DataError, match="unseen margins: expected a NumPy array of floating-point numbers, got int64"
    ):
        check_worlds({"unlearned": np.zeros((9, 5)), "unseen": np.zeros((9, 5), np.int64)}, fewest=4)


@pytest.mark.parametrize("settings", [{"variance_floor": 0.0}, {"n_resamples": 1}, {"level": 1.0}])
def test_settings_out_of_range_are_refused(settings):
    with pytest.raises(ConfigError, match=r"expected a (whole )?number"):
        attack(0.0, **settings)
