"""Removals on real data.

The study's results on a few digits equal those of each removal, and forecasts are as good as claimed.
"""

from dataclasses import replace

import numpy as np
import pytest
import threadpoolctl
from small_problems import logistic, request

from pipeline.core.errors import ConfigError, TrainingError
from pipeline.data.datasets.digits import Digits
from pipeline.data.examples import Examples
from pipeline.studies.convex.real.perturbation import Perturbation
from pipeline.studies.convex.real.real_results import study_data
from pipeline.studies.convex.real.real_study import Data, DataStudy, best_removal, forecasts
from pipeline.studies.convex.real.subset_models import datamodel_forecast, subset_masks, subset_outputs
from pipeline.studies.convex.real.sweeps import descent_steps, matching_steps
from pipeline.studies.convex.removals import REMOVALS

SETTINGS = DataStudy(
    penalty=0.01,
    forget_fraction=0.1,
    n_steps=120,
    batch_size=2,
    n_models=60,
    n_subset_models=200,
    penalties=(5.0,),
    forget_fractions=(0.2,),
    spectrum_powers=(0.5,),
)


def few_digits() -> Examples:
    """Return 160 images of the digits 0 to 3, the first 120 for training."""
    every = Digits().read()
    chosen = np.flatnonzero(every.labels < 4)[:160]
    return Examples(inputs=every.inputs[chosen], labels=every.labels[chosen], n_train=120, n_classes=4)


@pytest.fixture(scope="module")
def result():
    with threadpoolctl.threadpool_limits(1):
        return study_data(few_digits(), SETTINGS)


@pytest.fixture(scope="module")
def ends(result):
    return {outcome.label: outcome for outcome in result.outcomes}


def test_courses_start_at_the_whole_distance_and_end_where_outcomes_say(result, ends):
    for course in result.courses:
        assert course.shares[0] == pytest.approx(1.0)
        assert course.shares[-1] == pytest.approx(ends[course.label].share)
        assert course.steps[0] == course.evaluations[0] == 0
        assert len(course.steps) == len(course.shares) == len(course.evaluations) <= 402


def test_second_order_beats_first_order_which_beats_nothing(ends):
    assert (
        ends["retrain"].share
        < 1e-12
        < ends["newton"].share
        < ends["influence"].share
        < ends["nothing"].share
        == 1.0
    )


def test_matching_in_batches_comes_nearer_than_any_descent_of_the_same_cost(ends):
    descents = min(
        ends[name].share for name in ("gradient_descent", "projected_gd", "gradient_descent_stochastic")
    )
    assert ends["oracle_matching_stochastic"].share < 0.1 * descents


def test_matching_a_forecast_ends_where_the_forecast_does(ends):
    for name in ("newton", "influence"):
        assert 0.5 * ends[name].share < ends[f"dmm_{name}"].share < 2 * ends[name].share
    assert ends["dmm_newton"].share < ends["dmm_datamodels"].share < 1


def test_noise_hides_what_is_left_of_the_difference_and_no_more(ends):
    assert ends["retrain"].klom["forget"]["mean"] < 0.5 * ends["nothing"].klom["forget"]["mean"]
    assert abs(ends["retrain"].ulira - 0.5) < 0.1 < ends["nothing"].ulira - 0.5
    assert ends["nothing"].margins.mean() > ends["retrain"].margins.mean()


def test_sweeps_say_where_descent_wins_and_what_the_spectrum_does(result):
    cells = {(cell.factor, cell.value): cell for cell in result.cells}
    assert len(cells) == 6
    large, small = cells["penalty", 5.0], cells["penalty", 0.01]
    assert large.steps["gradient_descent"] < small.steps["gradient_descent"]
    assert large.condition < small.condition
    easy, given = cells["spectrum_power", 0.5], cells["spectrum_power", 1.0]
    assert easy.features_condition == pytest.approx(np.sqrt(given.features_condition), rel=1e-6)
    assert easy.steps["oracle_matching"] < given.steps["oracle_matching"]


def test_facts_can_be_written_down(result):
    assert result.facts["n_forget"] == 12
    assert result.facts["constants"]["strong_convexity"] == pytest.approx(0.02)


def test_data_are_scaled_alike_and_no_training_point_is_longer_than_one():
    data = Data.of(few_digits(), 1.0)
    assert np.linalg.norm(data.train.features, axis=1).max() == pytest.approx(1.0)
    assert len(np.unique(np.concatenate([data.train.features[:, -1], data.unseen.features[:, -1]]))) == 1


def test_a_larger_forget_set_holds_the_smaller_one():
    small, large = (SETTINGS.forget_set(50, fraction) for fraction in (0.1, 0.5))
    assert (len(small), len(large)) == (5, 25)
    assert np.isin(small, large).all()
    assert (len(SETTINGS.forget_set(50, 1e-6)), len(SETTINGS.forget_set(2, 0.99))) == (1, 1)


@pytest.mark.parametrize(
    "wrong",
    [
        {"penalties": (-1.0,)},
        {"forget_fractions": (1.5,)},
        {"spectrum_powers": (0.0,)},
        {"n_subset_models": 1},
    ],
)
def test_settings_that_cannot_be_are_refused_before_anything_is_computed(wrong):
    with pytest.raises((ConfigError, ValueError), match=next(iter(wrong))):
        DataStudy(**wrong)


def test_steps_are_searched_on_points_that_are_not_the_forget_set():
    forget, other = SETTINGS.forget_set(50, SETTINGS.forget_fraction), SETTINGS.tuning_set(50)
    assert len(forget) == len(other) == 5
    assert not np.isin(forget, other).any()


def test_steps_are_counted_as_they_would_be_taken():
    asked = request(logistic(3, penalty=5.0))
    distances = (
        REMOVALS.build({"name": "oracle_matching", "n_steps": 60})
        .remove(asked)
        .squared_distances(asked.oracle)
    )
    assert matching_steps(asked) == np.argmax(distances <= 0.1 * distances[0])
    assert 1 <= descent_steps(asked) < 30


def test_a_direction_that_nothing_moves_is_never_reached():
    asked = request(logistic(2))
    blind = replace(asked.problem, features=asked.problem.features * np.array([1, 1, 1, 1, 1, 1e-9]))
    assert matching_steps(replace(asked, problem=blind)) is None


def test_subset_models_are_minimisers_and_enough_of_them_forecast_the_oracle():
    asked = request(logistic(3, penalty=2.0))
    masks = subset_masks(200, 40, 0.9, seed=0)
    outputs = subset_outputs(asked.problem, asked.start, asked.hessian, masks)
    wanted = asked.problem.outputs(asked.problem.restricted(np.flatnonzero(masks[0])).minimise())
    assert np.abs(outputs[0] - wanted).max() < 1e-4
    found, oracle, start = (
        datamodel_forecast(asked, outputs, masks),
        asked.forecast,
        asked.problem.outputs(asked.start),
    )
    assert np.square(found - oracle).sum() < 0.1 * np.square(start - oracle).sum()


def test_subsets_too_far_from_the_whole_are_an_error(monkeypatch):
    monkeypatch.setattr("pipeline.studies.convex.real.subset_models.MOST_SUBSET_ROUNDS", 1)
    asked = request(logistic(2))
    with pytest.raises(TrainingError, match="raise keep_fraction"):
        subset_outputs(asked.problem, asked.start, asked.hessian, subset_masks(1, 40, 0.3, seed=0))


def test_datamodels_are_forecast_only_where_there_are_subset_models():
    asked = request(logistic(2))
    assert forecasts(asked, SETTINGS.model_copy(update={"n_subset_models": 0})).keys() == {
        "newton",
        "influence",
    }


def test_the_best_step_is_not_one_that_diverges():
    chosen = best_removal({"name": "oracle_matching", "n_steps": 400}, request(logistic(2)), (0.5, 8.0, 64.0))
    assert chosen.step == 0.5


def test_noise_is_the_same_for_equal_purposes_and_none_of_it_is_shared_by_the_two_worlds():
    problem, noise = logistic(3), Perturbation(sigma=0.1, n_models=50, seed=0)
    theta = problem.minimise()
    assert noise.klom(problem, theta, theta) == noise.klom(problem, theta, theta)
    assert noise.klom(problem, theta, theta)["mean"] > 0.05
    assert abs(noise.ulira(problem, theta, theta) - 0.5) < 0.1
