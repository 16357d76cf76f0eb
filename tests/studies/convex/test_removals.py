"""The contract of every removal, over the whole table, and exact results of some removals."""

import copy

import numpy as np
import pytest
from small_problems import FORGET, PROBLEMS, logistic, request, ridge

from pipeline.core.errors import ConfigError, DataError, ShapeError
from pipeline.studies.convex.problems.losses import LogisticProblem
from pipeline.studies.convex.removals import REMOVALS
from pipeline.studies.convex.removals.base import RemovalRequest
from pipeline.studies.convex.removals.projective_residual import left_out_change

every_removal = pytest.mark.parametrize("name", REMOVALS.names())
every_problem = pytest.mark.parametrize("problem", PROBLEMS.values(), ids=PROBLEMS.keys())
DESCENTS = ["gradient_descent", "projected_gd", "gradient_ascent", "oracle_matching", "datamodel_matching"]


def removal(name, **settings):
    return REMOVALS.build({"name": name, **settings})


def squared(array):
    return float(np.square(array).sum())


@every_removal
@every_problem
def test_a_removal_answers_alike_and_leaves_the_request_as_it_is(name, problem):
    asked = request(problem)
    before = copy.deepcopy((asked.start, asked.problem.features, asked.oracle, asked.forecast, asked.forget))
    first, second = (removal(name).remove(request(problem)) for _ in range(2))
    assert np.array_equal(first.thetas, second.thetas)
    removal(name).remove(asked)
    after = (asked.start, asked.problem.features, asked.oracle, asked.forecast, asked.forget)
    assert all(np.array_equal(one, other) for one, other in zip(before, after, strict=True))


@every_removal
def test_a_trajectory_starts_where_the_model_is_and_counts_what_it_spends(name):
    asked = request(logistic(3))
    found = removal(name).remove(asked)
    assert np.array_equal(found.thetas[0], asked.start)
    assert found.evaluations[0] == 0
    assert (np.diff(found.evaluations) > 0).all()
    assert not np.array_equal(found.last, asked.start)


@pytest.mark.parametrize(
    "forget", [[], [1, 1], [40], [-1], list(range(40))], ids=["empty", "twice", "too high", "negative", "all"]
)
def test_a_set_that_cannot_be_forgotten_is_refused(forget):
    problem = logistic(2)
    with pytest.raises(DataError, match="forget"):
        RemovalRequest(problem=problem, start=problem.minimise(), forget=np.array(forget, int))


def test_a_start_of_another_problem_is_refused():
    with pytest.raises(ShapeError, match="start"):
        RemovalRequest(problem=logistic(2), start=np.zeros((6, 3)), forget=FORGET)


@pytest.mark.parametrize("name", ["oracle_matching", "datamodel_matching"])
def test_what_a_removal_needs_and_does_not_get_is_named(name):
    with pytest.raises(ConfigError, match=r"oracle|forecast"):
        removal(name).remove(request(logistic(2), oracle=None, forecast=None))


def test_a_forecast_of_other_points_is_refused():
    with pytest.raises(ShapeError, match="forecast"):
        removal("datamodel_matching").remove(request(logistic(2), forecast=np.zeros((3, 1))))


@pytest.mark.parametrize("name", ["newton", "retrain"])
def test_second_order_is_exact_for_ridge(name):
    asked = request(ridge())
    assert removal(name).remove(asked).last == pytest.approx(asked.oracle, abs=1e-8)


@pytest.mark.parametrize("penalty", [1e-9, 0.5])
def test_the_projective_residual_is_the_projection_of_the_true_change(penalty):
    asked = request(ridge(penalty))
    rows = asked.forgotten.features
    projected = np.linalg.pinv(rows) @ rows @ (asked.oracle - asked.start)
    assert removal("projective_residual").remove(asked).last - asked.start == pytest.approx(
        projected, abs=1e-8
    )


@pytest.mark.parametrize("n_forget", [3, 20])
@pytest.mark.parametrize("n_classes", [2, 3])
def test_the_projective_residual_takes_its_outputs_from_one_newton_step(n_classes, n_forget):
    asked = request(logistic(n_classes), forget=np.arange(n_forget))
    step = removal("newton").remove(asked).last - asked.start
    assert left_out_change(asked) == pytest.approx(asked.forgotten.features @ step, abs=1e-9)


@pytest.mark.parametrize("n_classes", [2, 3])
def test_newton_comes_nearer_than_influence_and_nearer_with_each_step(n_classes):
    asked = request(logistic(n_classes))
    influence = squared(removal("influence").remove(asked).last - asked.oracle)
    newton = removal("newton", n_steps=3).remove(asked).squared_distances(asked.oracle)
    assert newton[1] < influence < newton[0]
    assert newton[3] < 1e-12 < newton[2] < newton[1]


@every_problem
@pytest.mark.parametrize(
    "name", ["gradient_descent", "projected_gd", "oracle_matching", "datamodel_matching"]
)
def test_descents_reach_the_retrained_minimiser(name, problem):
    asked = request(problem)
    distances = removal(name, n_steps=2000).remove(asked).squared_distances(asked.oracle)
    assert distances[-1] < 1e-10 * distances[0]
    assert (np.diff(distances) <= 1e-12).all()


def test_matching_on_retained_points_alone_cannot_leave_their_span():
    asked = request(ridge(n_points=20, n_features=40))
    found = removal("oracle_matching", points="retained", n_steps=500).remove(asked)
    rows = asked.retained.features
    moved = found.last - asked.start
    assert moved - np.linalg.pinv(rows) @ rows @ moved == pytest.approx(0, abs=1e-9)
    assert squared(found.last - asked.oracle) > 0.1 * squared(asked.start - asked.oracle)


def test_ascent_never_stops_moving_away_in_the_end():
    distances = (
        removal("gradient_ascent", n_steps=200, forget_weight=40)
        .remove(request(ridge()))
        .squared_distances(request(ridge()).oracle)
    )
    assert not distances[-1] < distances[0]


@pytest.mark.parametrize("name", DESCENTS)
def test_batches_follow_the_seed_and_cost_what_they_hold(name):
    settings = {"n_steps": 5, "batch_size": 8}
    one, same, other = (
        removal(name, **settings).remove(request(logistic(3), seed=seed)) for seed in (1, 1, 2)
    )
    assert np.array_equal(one.thetas, same.thetas)
    assert not np.array_equal(one.thetas, other.thetas)
    assert one.evaluations.tolist() == [0, 8, 16, 24, 32, 40]


def test_a_small_ball_holds_projected_gradients():
    found = removal("projected_gd", radius=0.1).remove(request(logistic(3)))
    assert np.linalg.norm(found.thetas[1:], axis=(1, 2)).max() <= 0.1 + 1e-12


def test_descent_to_delete_needs_less_noise_the_longer_it_descends():
    asked = request(logistic(2, penalty=5.0))
    distances = removal("descent_to_delete", n_steps=60).remove(asked).squared_distances(asked.oracle)
    assert distances[60] < 1e-3 * distances[10]


def test_separable_classes_have_a_minimum_too():
    features = np.array([[-1.0, 1], [-2, 1], [1, 1], [2, 1]])
    problem = LogisticProblem(features=features, penalty=1e-3, labels=np.array([0, 0, 1, 1]), n_classes=2)
    asked = request(problem, forget=np.array([1]))
    assert removal("retrain").remove(asked).last == pytest.approx(asked.oracle, abs=1e-7)
