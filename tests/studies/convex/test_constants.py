"""The constants bound the quantities that they must bound, at every probed point."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_problems import PROBLEMS, logistic, request

from pipeline.studies.convex.problems.constants import (
    constants_of,
    extreme_singular_values,
    unit_norm,
    with_spectrum,
)

every_problem = pytest.mark.parametrize("problem", PROBLEMS.values(), ids=PROBLEMS.keys())
probes = st.tuples(st.integers(0, 10_000), st.floats(0.0, 1.0), st.floats(-3, 3))
few = settings(max_examples=25, deadline=None)


def within(problem, seed, share):
    """Return a theta at a share of the radius that constants hold for."""
    direction = np.random.default_rng(seed).standard_normal(problem.shape)
    return direction * (share * constants_of(problem).radius / np.linalg.norm(direction))


@every_problem
@given(probe=probes)
@few
def test_curvature_lies_between_strong_convexity_and_smoothness(problem, probe):
    seed, share, _ = probe
    found, values = constants_of(problem), np.linalg.eigvalsh(problem.hessian(within(problem, seed, share)))
    assert found.strong_convexity <= values[0] * (1 + 1e-9)
    assert values[-1] <= found.smoothness * (1 + 1e-9)


@every_problem
@given(probe=probes)
@few
def test_no_point_has_a_steeper_loss_than_the_lipschitz_constant(problem, probe):
    seed, share, _ = probe
    slopes = problem.slopes(problem.outputs(within(problem, seed, share)))
    assert (np.linalg.norm(slopes, axis=1) * np.linalg.norm(problem.features, axis=1)).max() <= constants_of(
        problem
    ).lipschitz * (1 + 1e-9)


@every_problem
@given(probe=probes)
@few
def test_the_hessian_changes_no_faster_than_its_lipschitz_constant(problem, probe):
    seed, share, size = probe
    here = within(problem, seed, share)
    there = here + 10.0**size * np.random.default_rng(seed + 1).standard_normal(problem.shape)
    change = np.linalg.norm(problem.hessian(here) - problem.hessian(there), 2)
    assert (
        change <= constants_of(problem).hessian_lipschitz * np.linalg.norm(here - there) * (1 + 1e-9) + 1e-9
    )


@every_problem
def test_the_ball_holds_the_minimisers(problem):
    asked, found = request(problem), constants_of(problem)
    assert max(np.linalg.norm(asked.start), np.linalg.norm(asked.oracle)) <= found.radius
    assert found.condition > 1 > found.contraction > 0


@every_problem
def test_curvature_bounds_hold_when_points_leave(problem):
    found, rest = constants_of(problem), problem.restricted(np.arange(4))
    values = np.linalg.eigvalsh(rest.hessian(rest.minimise()))
    assert found.strong_convexity <= values[0] * (1 + 1e-9)
    assert values[-1] <= found.smoothness * (1 + 1e-9)


def test_unit_norm_leaves_no_point_longer_than_one():
    norms = np.linalg.norm(unit_norm(logistic(2).features), axis=1)
    assert norms.max() == pytest.approx(1)
    assert len(np.unique(norms)) > 1


@pytest.mark.parametrize("power", [0.5, 2.0])
def test_a_changed_spectrum_keeps_its_largest_value_and_raises_the_condition_to_the_power(power):
    before, after = (
        extreme_singular_values(rows)
        for rows in (logistic(2).features, with_spectrum(logistic(2).features, power))
    )
    assert after[0] == pytest.approx(before[0])
    assert after[0] / after[1] == pytest.approx((before[0] / before[1]) ** power)
