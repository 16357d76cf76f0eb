"""Descent of many draws at once.

Closed forms agree with single steps, batches are fair, and divergence is reported.
"""

import numpy as np
import pytest
from small_problems import SMALL

from pipeline.studies.convex.linear import forecasts, theory
from pipeline.studies.convex.linear import quadratic_descent as descent
from pipeline.studies.convex.linear.linear_objectives import descent as gd
from pipeline.studies.convex.linear.linear_objectives import descent_and_ascent, matching
from pipeline.studies.convex.linear.linear_study import LinearExample

N_STEPS = 60


@pytest.fixture
def ends(problems):
    return problems.minimiser(), problems.minimiser(problems.retained)


def objectives(problems):
    oracle = problems.outputs(problems.minimiser(problems.retained))
    return {
        "gd": gd(problems),
        "gda": descent_and_ascent(problems, 0.1),
        "om": matching(problems, oracle),
        "omrs": matching(problems, oracle, retained_only=True),
        "dmm": matching(problems, forecasts.influence(problems)),
    }


@pytest.mark.parametrize("name", ["gd", "gda", "om", "omrs", "dmm"])
def test_the_spectrum_is_where_the_steps_lead(problems, ends, name):
    objective = objectives(problems)[name]
    taken = descent.full_batch(problems, objective, *ends, step_sizes=[2e-3, 1e-3], n_steps=N_STEPS)
    spectrum = descent.Spectrum.of(problems, objective, *ends)
    for number, size in enumerate((2e-3, 1e-3)):
        assert spectrum.shares(size, range(N_STEPS + 1)) == pytest.approx(
            taken[:, :, number], rel=1e-8, abs=1e-12
        )


def test_theorem_1_is_where_gradient_steps_lead_and_not_only_how_far(problems, ends):
    theta, goal = ends
    differences = theory.theorem_1_descent(problems, *ends, step_size=2e-3, times=range(6))
    for found in differences:
        assert found == pytest.approx(theta - goal, rel=1e-8, abs=1e-12)
        errors = problems.retained * (problems.outputs(theta) - problems.targets)
        theta = theta - 2e-3 * 2 * (
            np.einsum("dps,dp->ds", problems.features, errors) + problems.penalty * theta
        )


@pytest.mark.parametrize(
    ("name", "formula"), [("gd", theory.theorem_1_descent), ("om", theory.theorem_1_matching)]
)
def test_theorem_1_is_the_iterates_to_rounding(problems, ends, name, formula):
    taken = descent.full_batch(
        problems, objectives(problems)[name], *ends, step_sizes=[2e-3], n_steps=N_STEPS
    )[:, :, 0]
    differences = formula(problems, *ends, step_size=2e-3, times=range(N_STEPS + 1))
    assert np.sqrt(theory.shares_of(differences, *ends)) == pytest.approx(np.sqrt(taken), abs=1e-10)


def test_outside_the_retained_span_gd_has_nothing_but_the_penalty(problems, ends):
    differences = theory.theorem_1_descent(problems, *ends, step_size=2e-3, times=[0, 10])
    start, later = theory.outside(problems, differences)
    assert later == pytest.approx(start * (1 - 2 * 2e-3 * problems.penalty) ** 20)


def test_a_batch_of_everything_is_a_full_step(problems, ends):
    objective = objectives(problems)["om"]
    full = descent.full_batch(problems, objective, *ends, step_sizes=[1e-3], n_steps=5)
    (batched,) = descent.stochastic(
        problems,
        [objective],
        *ends,
        step_sizes=np.full((5, 1, 1), 1e-3),
        batch_size=problems.n_points,
        purpose="test",
    )
    assert batched == pytest.approx(full)


def test_a_stochastic_step_is_on_average_its_share_of_a_full_one(problems):
    start = problems.minimiser()
    objective, many = objectives(problems)["gd"], 4000
    wide = type(problems)(
        features=np.repeat(problems.features[:1], many, axis=0),
        targets=np.repeat(problems.targets[:1], many, axis=0),
        forget=np.repeat(problems.forget[:1], many, axis=0),
        penalty=problems.penalty,
    )
    far = np.zeros((many, start.shape[1]))
    (taken,) = descent.stochastic(
        wide, [gd(wide)], far, far + 1e3, step_sizes=np.full((1, 1, 1), 1e-3), batch_size=3, purpose="test"
    )
    _, moments = objective.quadratic(problems)
    step = 1e-3 * moments[0] * 3 / objective.n_used
    expected = ((step - 1e3) ** 2).sum() / (len(step) * 1e6)
    assert taken[1].mean() == pytest.approx(expected, rel=1e-4)


def test_algorithms_see_the_same_batches_together_and_alone(problems, ends):
    om, dmm = objectives(problems)["om"], objectives(problems)["dmm"]
    sizes = np.full((8, 2, 1), 1e-3)
    together = descent.stochastic(problems, [om, dmm], *ends, step_sizes=sizes, batch_size=3, purpose="test")
    (alone,) = descent.stochastic(
        problems, [dmm], *ends, step_sizes=sizes[:, :1], batch_size=3, purpose="test"
    )
    assert together[1] == pytest.approx(alone)


def test_what_diverges_is_cut_off(problems, ends):
    taken = descent.full_batch(problems, objectives(problems)["gd"], *ends, step_sizes=[1.0], n_steps=400)
    assert (taken[-1] == descent.DIVERGED).all()


def test_steps_to_a_share_are_the_first_that_reach_it(problems, ends):
    spectrum = descent.Spectrum.of(problems, objectives(problems)["om"], *ends)
    steps = spectrum.steps_to(0.01, step_size=2e-3, most=10_000)
    before, there = spectrum.shares(2e-3, [steps - 1, steps]).mean(axis=1)
    assert there <= 0.01 < before


def test_what_never_gets_there_has_no_number_of_steps(problems, ends):
    spectrum = descent.Spectrum.of(problems, objectives(problems)["omrs"], *ends)
    assert spectrum.steps_to(0.01, step_size=2e-3, most=10_000) is None


def test_theorem_1_holds_where_one_step_repairs_all_that_only_the_penalty_pulls(problems, ends):
    size = 1 / (2 * problems.penalty)
    found = theory.theorem_1_descent(problems, *ends, step_size=size, times=range(4))
    shares = descent.full_batch(problems, gd(problems), *ends, step_sizes=[size], n_steps=3)[:, :, 0]
    assert theory.shares_of(found, *ends) == pytest.approx(shares, rel=1e-9)


def test_theorem_2_promises_a_rate_with_more_points_than_features_too():
    many = SMALL.model_copy(update={"n_features": 5}).draw(LinearExample(), 4.0, "test", 3)
    assert (theory.theorem_2_rate(many, step_size=1e-4, batch_size=3) < 1).all()
