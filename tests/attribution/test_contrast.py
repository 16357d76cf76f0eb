"""Pairs of models find a planted effect and correct a datamodel by as much as it is wrong.

Their standard errors are right.
"""

import numpy as np
import pytest

from pipeline.attribution.corrections.focused import Contrast, combined, contrast
from pipeline.attribution.datamodel import Effect
from pipeline.core.errors import ShapeError

N_OUTPUTS = 2000
FORGOTTEN = np.arange(N_OUTPUTS) < 100
# Pairs say more of some outputs than of others: forgotten points vary more.
NOISE = np.where(FORGOTTEN, 1.0, 0.3)


def draws(n_pairs, wrong, claimed, seed):
    """Return a true effect, a prediction of it, and what n_pairs pairs measure.

    The prediction is off by `wrong` and states the standard error `claimed`.
    """
    rng = np.random.default_rng(seed)
    actual, shared = rng.normal(size=N_OUTPUTS), rng.normal(0, 5, (n_pairs, N_OUTPUTS))
    predicted = Effect(actual + wrong * rng.normal(size=N_OUTPUTS), np.full(N_OUTPUTS, claimed))
    seen = contrast(kept=shared, left_out=shared + actual + NOISE * rng.normal(size=(n_pairs, N_OUTPUTS)))
    return actual, predicted, seen


def mean_square(values):
    return float(np.square(values).mean())


def test_pairs_find_a_planted_effect_whatever_they_share():
    actual, _, seen = draws(400, 0.0, 0.0, seed=0)
    error = np.sqrt(seen.squared_error(FORGOTTEN))
    assert error == pytest.approx(NOISE / 20, rel=0.2)
    assert np.mean(np.abs(seen.mean - actual) < 1.96 * error) == pytest.approx(0.95, abs=0.02)


@pytest.mark.parametrize("n_pairs", [2, 4, 16])
def test_few_pairs_know_how_far_chance_moved_them(n_pairs):
    actual, _, seen = draws(n_pairs, 0.0, 0.0, seed=1)
    inside = np.abs(seen.mean - actual) < 1.96 * np.sqrt(seen.squared_error(FORGOTTEN))
    assert inside.mean() == pytest.approx(0.95, abs=0.03)
    assert inside[FORGOTTEN].mean() == pytest.approx(0.95, abs=0.07)


@pytest.mark.parametrize("wrong", [0.02, 0.1, 0.3, 1.0, 5.0])
@pytest.mark.parametrize("claimed", [0.0, 0.05, 0.2])
def test_both_together_are_no_worse_than_the_pairs_alone(wrong, claimed):
    squares = []
    for seed in range(10):
        actual, predicted, seen = draws(4, wrong, claimed, seed)
        squares.append(
            (
                mean_square(combined(predicted, seen, forgotten=FORGOTTEN).mean - actual),
                mean_square(seen.mean - actual),
            )
        )
    together, pairs = np.mean(squares, axis=0)
    assert together <= 1.001 * pairs
    assert together <= 0.6 * pairs or wrong > 0.1


@pytest.mark.parametrize("claimed", [0.0, 0.05])
def test_a_prediction_that_is_right_is_left_as_it_is(claimed):
    actual, predicted, seen = draws(4, claimed, claimed, seed=3)
    assert mean_square(combined(predicted, seen, forgotten=FORGOTTEN).mean - actual) <= claimed**2 + 1e-3


@pytest.mark.parametrize(("wrong", "claimed"), [(0.2, 0.2), (0.5, 0.05), (2.0, 0.0), (0.05, 0.1)])
def test_standard_errors_cover_even_where_the_prediction_claims_too_much(wrong, claimed):
    actual, predicted, seen = draws(4, wrong, claimed, seed=4)
    effect = combined(predicted, seen, forgotten=FORGOTTEN)
    assert np.mean(np.abs(effect.mean - actual) < 1.96 * effect.standard_error) > 0.91
    assert (effect.standard_error <= np.sqrt(seen.squared_error(FORGOTTEN))).all()


def test_where_a_prediction_says_that_it_is_unsure_the_pairs_count_for_more():
    unsure = np.arange(N_OUTPUTS) % 2 == 0
    predicted = Effect(np.zeros(N_OUTPUTS), np.where(unsure, 0.5, 0.05))
    seen = Contrast(mean=np.ones(N_OUTPUTS), variance=np.ones(N_OUTPUTS), n_pairs=4)
    moved = combined(predicted, seen, forgotten=FORGOTTEN).mean
    assert moved[unsure].min() > moved[~unsure].max() > 0


def test_agreement_without_any_error_needs_no_division():
    seen = Contrast(mean=np.zeros(3), variance=np.zeros(3), n_pairs=2)
    effect = combined(Effect(np.zeros(3), np.zeros(3)), seen, forgotten=np.zeros(3, bool))
    assert (effect.mean == 0).all()
    assert (effect.standard_error == 0).all()


def test_errors_that_are_not_known_are_learnt_from_the_pairs_as_those_of_0_are():
    seen = Contrast(mean=np.ones(N_OUTPUTS), variance=np.ones(N_OUTPUTS), n_pairs=4)
    unknown, none = (
        combined(Effect(np.zeros(N_OUTPUTS), np.full(N_OUTPUTS, error)), seen, forgotten=FORGOTTEN)
        for error in (np.nan, 0.0)
    )
    assert np.array_equal(unknown.mean, none.mean)
    assert np.isfinite(unknown.standard_error).all()


@pytest.mark.parametrize(("kept", "left_out"), [((1, 3), (1, 3)), ((2, 3), (3, 3)), ((2, 3), (2, 4))])
def test_what_is_not_in_pairs_is_refused(kept, left_out):
    with pytest.raises(ShapeError, match="expected two or more pairs"):
        contrast(kept=np.zeros(kept), left_out=np.zeros(left_out))
