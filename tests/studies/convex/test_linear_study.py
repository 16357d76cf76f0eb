"""The linear study reproduces the paper's figures within their spread, and both theorems.

It shows which method wins where, and the price of imperfect forecasts.
"""

import numpy as np
import pytest
from pydantic import ValidationError

from pipeline.studies.convex.linear.linear_study import LinearExample, LinearStudy

# R at the stated step size: over 100 seeds elsewhere (OM), or exact in the paper's own figure (GD). The
# spread is that over draws.
QUOTED = [
    ("weak", "full.gd", 200, 0.141, 0.001),
    ("weak", "full.om", 1, 0.433, 0.030),
    ("weak", "full.om", 10, 0.009, 0.012),
    ("weak", "full.omrs", 300, 1.0, 0.001),
    ("strong", "full.gd", 1, 0.243, 0.003),
    ("strong", "full.gd", 2, 0.062, 0.0015),
    ("strong", "full.om", 1, 0.305, 0.03),
    ("strong", "full.om", 2, 0.141, 0.02),
    ("strong", "full.om", 3, 0.075, 0.015),
    ("strong", "full.omrs", 300, 0.90, 0.02),
]


@pytest.mark.parametrize(("penalty", "curve", "step", "quoted", "spread"), QUOTED)
def test_curves_are_the_paper_s_within_their_spread(penalty, curve, step, quoted, spread, request):
    panel = request.getfixturevalue(penalty)
    assert panel.curves[f"{curve}.stated.mean"][step] == pytest.approx(quoted, abs=spread)


def test_theorem_1_holds_to_rounding(weak, strong):
    assert max(panel.findings["deviation_from_theorem_1"] for panel in (weak, strong)) < 1e-10


def test_exact_forecasts_make_dmm_oracle_matching(weak):
    for mode in ("full", "stochastic"):
        assert weak.curves[f"{mode}.dmm_exact.stated.mean"] == pytest.approx(
            weak.curves[f"{mode}.om.stated.mean"], rel=1e-6, abs=1e-20
        )


def test_a_dip_below_a_target_counts_as_there(weak, strong):
    dips = 0
    for panel in (weak, strong):
        for name, steps in panel.findings["steps_to"].items():
            curve = panel.curves[f"full.{name}.best.mean"]
            if curve.min() <= 0.01:
                assert steps["0.01"] == np.argmax(curve <= 0.01)
                dips += curve[-1] > 0.01
    assert dips


def test_at_a_small_penalty_om_takes_a_tenth_of_the_steps_of_gd(weak):
    steps = {name: weak.findings["steps_to"][name]["0.01"] for name in ("om", "gd")}
    assert 10 * steps["om"] <= steps["gd"]


def test_at_a_large_penalty_full_batch_gd_wins(strong):
    assert strong.findings["steps_to"]["gd"]["0.01"] < strong.findings["steps_to"]["om"]["0.01"]


@pytest.mark.parametrize("penalty", ["weak", "strong"])
def test_stochastic_om_goes_where_sgd_does_not(penalty, request):
    curves = request.getfixturevalue(penalty).curves
    assert 1000 * curves["stochastic.om.best.mean"][-1] < curves["stochastic.gd.best.mean"].min()


def test_imperfect_forecasts_stop_at_their_plateau_as_fast_as_om_passes_it(weak):
    plateau = weak.findings["plateau"]["datamodels"]
    om = weak.curves["full.om.best.mean"]
    assert weak.curves["full.dmm_datamodels.best.mean"][-1] == pytest.approx(plateau["share"], rel=0.01)
    assert plateau["steps_to_twice"] <= 2 * int(np.argmax(om < 2 * plateau["share"]))


def test_influence_is_poor_where_leverage_is_high(weak):
    assert weak.findings["mean_leverage"] > 0.98
    assert (
        weak.findings["plateau"]["influence"]["share"] > 5 * weak.findings["plateau"]["datamodels"]["share"]
    )


def test_gd_stalls_outside_the_retained_span(weak):
    assert weak.curves["full.gd.best.outside"][1:] == pytest.approx(
        weak.curves["full.gd.best.theory"][1:], rel=1e-3
    )


def test_stochastic_om_falls_exponentially_at_least_as_fast_as_theorem_2_says(strong):
    rates = strong.findings["rates"]
    assert rates["matching"] <= rates["bound"] < 1
    assert rates["straightness"] > 0.99


def test_sgd_falls_no_faster_than_theorem_2_says(strong):
    assert 0.5 < strong.findings["rates"]["descent_power"] <= 2


def test_ascent_dips_then_diverges(weak):
    curve = weak.curves["full.gda_1.stated.mean"]
    assert curve.min() < 0.5 < 1 < curve[-1]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"n_points": 8, "n_forget": 5}, "leaves 3 of 8 points, fewer than batch_size 5"),
        ({"exponents": (9, 3)}, "is not a range"),
        ({"exponents": (5, 5000)}, "exponents"),
        ({"ascents": (0.1, -1.0)}, "ascents"),
        ({"ascents": (0.1, 0.1)}, "contains one number twice"),
        ({"examples": {"a/b": {}}}, "examples"),
    ],
)
def test_a_study_that_cannot_be_is_refused(settings, message):
    with pytest.raises(ValidationError, match=message):
        LinearStudy(**settings)


@pytest.mark.parametrize(
    ("penalties", "message"),
    [
        ((0.0,), "is not above 0"),
        ((4.0, 4.0), "contains one number twice"),
        ((4.0, 4.0000001), "contains one number twice"),
    ],
)
def test_penalties_that_cannot_be_are_refused(penalties, message):
    with pytest.raises(ValidationError, match=message):
        LinearExample(penalties=penalties)
