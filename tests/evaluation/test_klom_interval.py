"""Intervals hold the estimate, shrink with more models, and follow from their seed.

A benchmark measures their coverage.
"""

import numpy as np
import pytest

from pipeline.core.errors import ConfigError, DataError, ShapeError
from pipeline.evaluation import bootstrap
from pipeline.evaluation.bootstrap import klom_interval
from pipeline.evaluation.klom import VARIANTS, klom, klom_summary

GROUPS = {"all": np.arange(60), "few": np.array([3, 5, 8])}


def margins(n_models, *, seed, shift=0.0):
    return np.random.default_rng(seed).normal(shift, 1, (n_models, 60))


def interval(n_models=50, *, shift=0.0, **settings):
    return klom_interval(
        unlearned=margins(n_models, seed=0, shift=shift),
        oracle=margins(n_models, seed=1),
        groups=GROUPS,
        **settings,
    )


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("shift", [0.0, 1.0, 30.0])
def test_the_estimate_lies_inside_for_every_variant_and_group(variant, shift):
    found = interval(shift=shift, variant=variant)
    values = klom(
        unlearned=margins(50, seed=0, shift=shift), oracle=margins(50, seed=1), variant=variant
    ).values
    for name, ids in GROUPS.items():
        for statistic, estimate in klom_summary(values[ids]).items():
            low, high = found[name][statistic]
            assert 0 <= low <= estimate <= high <= bootstrap.CEILING


def test_more_models_and_more_points_give_narrower_intervals():
    few, many = interval(30)["all"], interval(300)["all"]
    assert all(many[name][1] - many[name][0] < few[name][1] - few[name][0] for name in ("p95", "mean"))
    whole, part = interval()["all"]["mean"], interval()["few"]["mean"]
    assert whole[1] - whole[0] < part[1] - part[0]


def test_a_lower_level_gives_a_narrower_interval():
    wide, narrow = interval(level=0.95)["all"]["mean"], interval(level=0.5)["all"]["mean"]
    assert wide[0] < narrow[0] < narrow[1] < wide[1]


def test_the_interval_follows_from_its_seed():
    assert interval(seed=3) == interval(seed=3) != interval(seed=4)


def test_points_beyond_a_chunk_are_all_there(monkeypatch):
    whole = interval()
    monkeypatch.setattr(bootstrap, "_CHUNK", 7)
    for name, found in interval().items():
        assert found["mean"] == pytest.approx(whole[name]["mean"], rel=1e-5)


def test_broken_models_are_resampled_like_others():
    unlearned = margins(50, seed=0)
    unlearned[:5] = np.nan
    low, high = klom_interval(unlearned=unlearned, oracle=margins(50, seed=1), groups=GROUPS)["all"]["mean"]
    assert 0 < low < high < bootstrap.CEILING


@pytest.mark.parametrize("settings", [{"n_resamples": 1}, {"level": 0.0}, {"level": 1.0}])
def test_settings_out_of_range_are_refused(settings):
    with pytest.raises(ConfigError, match=r"expected a (whole )?number"):
        interval(**settings)


def test_identical_ensembles_reach_down_to_zero():
    same = margins(50, seed=0)
    found = klom_interval(unlearned=same, oracle=same, groups=GROUPS)
    assert [found[name][statistic][0] for name in GROUPS for statistic in ("p95", "mean")] == [0.0] * 4


def test_constant_ensembles_leave_nothing_uncertain():
    found = klom_interval(unlearned=np.zeros((9, 4)), oracle=np.ones((7, 4)), groups={"all": np.arange(4)})
    assert found["all"]["p95"] == pytest.approx((bootstrap.CEILING, bootstrap.CEILING), abs=1e-4)


def test_a_group_has_the_interval_of_its_points_alone():
    ids = GROUPS["few"]
    alone = klom_interval(
        unlearned=margins(50, seed=0)[:, ids],
        oracle=margins(50, seed=1)[:, ids],
        groups={"few": np.arange(3)},
    )
    for statistic, bounds in interval()["few"].items():
        assert bounds == pytest.approx(alone["few"][statistic], rel=1e-5)


def test_intervals_are_as_wide_as_estimates_spread_over_new_models_and_hardly_wider():
    """Here they are 1.2 times as wide.

    Without the scale of subsamples they would be too narrow by a sixth.
    """
    draws = [(margins(100, seed=2 * n, shift=1.0), margins(100, seed=2 * n + 1)) for n in range(60)]
    spread = np.std([klom(unlearned=p, oracle=q).values.mean() for p, q in draws])
    widths = [
        np.ptp(klom_interval(unlearned=p, oracle=q, groups=GROUPS)["all"]["mean"]) for p, q in draws[:20]
    ]
    assert 1 <= np.mean(widths) / (2 * 1.96 * spread) <= 1.4


def test_a_group_without_points_is_refused():
    with pytest.raises(DataError, match="at least one"):
        klom_interval(unlearned=margins(5, seed=0), oracle=margins(5, seed=1), groups={"none": np.arange(0)})


def test_margins_that_klom_refuses_are_refused():
    with pytest.raises(ShapeError, match="same points in the same order"):
        klom_interval(unlearned=np.zeros((5, 3)), oracle=np.zeros((5, 4)), groups={"all": np.arange(3)})
