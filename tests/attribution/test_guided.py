"""Effects are drawn towards a guide: much if the guide is right, little if it is wrong.

The standard errors cover the truth in both cases.
"""

import numpy as np
import pytest

from pipeline.attribution.corrections.guided import guided
from pipeline.attribution.datamodel import Effect
from pipeline.core.errors import ShapeError

N, NOISE = 4000, 0.5
FORGOTTEN = np.arange(N) < 400


def problem(off=0.2, stretch=1.5, seed=0):
    """Return true effects, a noisy prediction of them, and a guide.

    The true effects are the stretched guide plus a part that the guide does not know.
    """
    rng = np.random.default_rng(seed)
    guide = rng.normal(size=N) * np.where(FORGOTTEN, 2.0, 0.5)
    truth = stretch * guide + off * rng.normal(size=N)
    return truth, Effect(truth + NOISE * rng.normal(size=N), np.full(N, NOISE)), guide


def error(effect, truth):
    return float(np.sqrt(np.square(effect.mean - truth).mean()))


def test_a_good_guide_takes_most_of_the_noise_away_whatever_its_scale():
    truth, predicted, guide = problem(off=0.2)
    ours = guided(predicted, guide, forgotten=FORGOTTEN)
    assert error(ours, truth) == pytest.approx(NOISE * 0.2 / np.hypot(NOISE, 0.2), rel=0.05)
    assert guided(predicted, 7 * guide, forgotten=FORGOTTEN).mean == pytest.approx(ours.mean, abs=1e-6)


def test_standard_errors_cover_and_are_smaller():
    truth, predicted, guide = problem()
    ours = guided(predicted, guide, forgotten=FORGOTTEN)
    assert (np.abs(ours.mean - truth) < 1.96 * ours.standard_error).mean() == pytest.approx(0.95, abs=0.02)
    assert (ours.standard_error < predicted.standard_error).all()


@pytest.mark.parametrize("guide", [np.zeros(N), -problem()[2]], ids=["silent", "contrary"])
def test_a_guide_that_knows_nothing_leaves_plain_shrinkage(guide):
    truth, predicted, _ = problem()
    ours = guided(predicted, guide, forgotten=FORGOTTEN)
    for group in (FORGOTTEN, ~FORGOTTEN):
        kept = ours.mean[group] / predicted.mean[group]
        assert kept == pytest.approx(truth[group].var() / (truth[group].var() + NOISE**2), rel=0.05)


def test_where_both_disagree_by_more_than_noise_hardly_anything_moves():
    _, predicted, guide = problem(off=20.0)
    assert guided(predicted, guide, forgotten=FORGOTTEN).mean == pytest.approx(predicted.mean, abs=0.1)


def test_what_an_estimator_is_sure_of_does_not_move_and_curvature_is_no_noise():
    _, predicted, guide = problem()
    sure = Effect(predicted.mean, 0.15 * np.abs(predicted.mean))
    ours = guided(sure, guide, forgotten=FORGOTTEN, curvature=0.15)
    assert ours.mean == pytest.approx(predicted.mean)
    assert ours.standard_error == pytest.approx(sure.standard_error)


def test_effects_of_different_outputs_are_refused():
    _, predicted, guide = problem()
    with pytest.raises(ShapeError, match=r"\(4000,\), but the guide has \(3,\)"):
        guided(predicted, guide[:3], forgotten=FORGOTTEN)
