"""The closed variant of KLoM follows its rule at each point.

Broken, disjoint or swapped margins never look good in it.
"""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from reference import CEILING, closed, per_point

from pipeline.core.errors import ConfigError, DataError, ShapeError
from pipeline.evaluation.klom import CHUNK, VARIANTS, klom, klom_summary

BROKEN = [np.nan, np.inf, -np.inf]
FINITE = st.one_of(
    st.integers(-1000, 1000).map(lambda x: x / 8),
    st.integers(-3, 3).map(float),
    st.floats(-150, 150).map(lambda x: round(x, 6)),
)
DTYPES = st.sampled_from([np.float16, np.float32, np.float64])


@st.composite
def ensembles(draw, elements):
    n_points, dtype = draw(st.integers(1, 4)), draw(DTYPES)
    return [
        draw(
            arrays.arrays(
                dtype, (draw(st.integers(2, 12)), n_points), elements=elements.map(lambda x: float(dtype(x)))
            )
        )
        for _ in range(2)
    ]


def column(*values):
    return np.array(values, float)[:, None]


@settings(deadline=None)
@given(
    pair=ensembles(st.one_of(FINITE, st.sampled_from(BROKEN))),
    n_bins=st.integers(2, 25),
    clip=st.sampled_from([1.0, 50.0, 100.0]),
)
def test_values_are_those_of_the_rule(pair, n_bins, clip):
    unlearned, oracle = pair
    result = klom(unlearned=unlearned, oracle=oracle, n_bins=n_bins, clip=clip)
    assert result.values == pytest.approx(
        per_point(lambda p, q: closed(p, q, n_bins, clip), unlearned, oracle), rel=1e-12, abs=1e-12
    )


def test_values_are_those_of_the_rule_on_ensembles_of_a_usual_size():
    rng = np.random.default_rng(0)
    unlearned, oracle = rng.normal(0.5, 1, (100, 300)), rng.normal(0, 1, (80, 300))
    unlearned[::7, ::11] = np.nan
    assert klom(unlearned=unlearned, oracle=oracle).values == pytest.approx(
        per_point(closed, unlearned, oracle), rel=1e-12
    )


@settings(deadline=None)
@given(pair=ensembles(FINITE))
def test_an_ensemble_is_at_no_distance_from_itself(pair):
    assert not klom(unlearned=pair[0], oracle=pair[0]).values.any()


@pytest.mark.parametrize("shift", [-1000, 1000])
def test_disjoint_ensembles_score_the_finite_ceiling(shift):
    unlearned, oracle = np.random.default_rng(0).normal(size=(2, 100, 5))
    assert klom(unlearned=unlearned + shift, oracle=oracle).values == pytest.approx([CEILING] * 5)
    assert pytest.approx(11.513, abs=1e-3) == CEILING


@pytest.mark.parametrize("shift", [-50, 50])
def test_disjoint_ensembles_over_several_bins_lose_only_their_own_entropy(shift):
    """Ensembles 50 apart fill at most 4 of 20 bins each."""
    unlearned, oracle = np.random.default_rng(0).normal(size=(2, 100, 5))
    values = klom(unlearned=unlearned + shift, oracle=oracle).values
    assert (values >= CEILING - np.log(4)).all()
    assert (values < CEILING).all()


def test_ensembles_beyond_the_clip_on_one_side_look_equal_and_are_counted():
    result = klom(unlearned=column(1e6, 1e6), oracle=column(500, 700))
    assert (result.values, result.n_clipped) == (0, 4)


def test_swapped_arguments_give_the_other_divergence():
    narrow, wide = column(*[0] * 10), column(*[0] * 5, *[1] * 5)
    assert klom(unlearned=narrow, oracle=wide).values == pytest.approx(np.log(2))
    assert klom(unlearned=wide, oracle=narrow).values == pytest.approx(
        0.5 * np.log(0.5) + 0.5 * np.log(0.5e5)
    )


def test_arguments_cannot_be_given_by_place():
    with pytest.raises(TypeError):
        klom(column(0, 1), column(0, 1))


@pytest.mark.parametrize("broken", BROKEN)
def test_all_models_broken_score_the_ceiling_whatever_the_oracles(broken):
    unlearned = column(*[broken] * 4)
    for oracle in (column(0, 1, 2), column(broken, 1, 2), unlearned):
        assert klom(unlearned=unlearned, oracle=oracle).values == pytest.approx([CEILING])


@pytest.mark.parametrize("broken", BROKEN)
@pytest.mark.parametrize("whose", ["unlearned", "oracle"])
def test_every_broken_margin_makes_things_worse(broken, whose):
    pair = {name: np.tile(np.repeat([0.0, 1.0], 5)[:, None], 11) for name in ("unlearned", "oracle")}
    for n_broken in range(11):
        pair[whose][:n_broken, n_broken] = broken
    values = klom(**pair).values
    assert values[0] == 0
    assert (np.diff(values) > 0.01).all()


@settings(deadline=None)
@given(pair=ensembles(st.one_of(FINITE, st.sampled_from(BROKEN))), seed=st.integers(0, 99))
def test_orders_of_models_and_of_points_do_not_matter(pair, seed):
    rng = np.random.default_rng(seed)
    points = rng.permutation(pair[0].shape[1])
    mixed = [rng.permutation(margins)[:, points] for margins in pair]
    before, after = klom(unlearned=pair[0], oracle=pair[1]), klom(unlearned=mixed[0], oracle=mixed[1])
    assert np.array_equal(after.values, before.values[points])
    assert np.array_equal(after.n_nonfinite, before.n_nonfinite[points])


def test_models_equal_to_the_maximum_count():
    """The published codes lose them: half the oracles lie where all unlearned models do."""
    assert klom(unlearned=column(1, 1, 1), oracle=column(0, 1)).values == pytest.approx(np.log(2))


def test_points_beyond_one_chunk_score_as_they_do_alone():
    rng = np.random.default_rng(0)
    unlearned, oracle = rng.normal(size=(2, 12, 10))
    alone = klom(unlearned=unlearned, oracle=oracle).values
    times = 2 * CHUNK // 10 + 1
    assert np.array_equal(
        klom(unlearned=np.tile(unlearned, times), oracle=np.tile(oracle, times)).values, np.tile(alone, times)
    )


def test_more_models_than_a_byte_counts_are_counted():
    unlearned, oracle = column(*[0] * 300, *[1] * 700), column(*[0] * 600, *[1] * 400)
    assert klom(unlearned=unlearned, oracle=oracle).values == pytest.approx(
        0.3 * np.log(0.3 / 0.6) + 0.7 * np.log(0.7 / 0.4)
    )


def test_broken_and_clipped_margins_are_counted_point_by_point():
    unlearned = np.array([[np.nan, 101.0, 100.0], [np.inf, -101.0, 0.0]])
    oracle = np.array([[-np.inf, 200.0, -100.0], [1.0, 0.0, np.nan]])
    result = klom(unlearned=unlearned, oracle=oracle)
    assert (result.n_nonfinite.tolist(), result.n_clipped.tolist()) == ([3, 0, 1], [0, 3, 0])
    assert (result.n_nonfinite_total, result.n_clipped_total) == (4, 3)
    assert klom(unlearned=unlearned, oracle=oracle, clip=0.5).n_clipped.tolist() == [1, 3, 2]


@pytest.mark.parametrize("clip", [2.0, 100.0, 1e6, 1e30])
def test_precision_does_not_matter_where_margins_are_exact(clip):
    unlearned, oracle = np.random.default_rng(0).integers(-24, 24, (2, 30, 6)) / 8
    results = [
        klom(unlearned=unlearned.astype(dtype), oracle=oracle.astype(dtype), clip=clip)
        for dtype in (np.float64, np.float32, np.float16)
    ]
    for result in results[1:]:
        assert np.array_equal(result.values, results[0].values)
        assert np.array_equal(result.n_clipped, results[0].n_clipped)


@pytest.mark.parametrize(
    ("unlearned", "oracle", "message"),
    [
        ((5,), (5, 1), "unlearned margins have shape"),
        ((5, 1), (5, 1, 1), "oracle margins have shape"),
        ((1, 3), (5, 3), "at least 2 models"),
        ((5, 3), (0, 3), "at least 2 models"),
        ((5, 3), (5, 4), "unlearned margins have 3 points, but oracle margins have 4"),
        ((5, 0), (5, 0), "at least one point"),
    ],
)
def test_shapes_that_cannot_be_compared_are_refused(unlearned, oracle, message):
    with pytest.raises(ShapeError, match=message):
        klom(unlearned=np.zeros(unlearned), oracle=np.zeros(oracle))


@pytest.mark.usefixtures("unannotated")
@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"n_bins": 20.5}, "n_bins is 20.5; expected a whole number from 2 to 10,000"),
        ({"n_bins": True}, "n_bins is True"),
        ({"n_bins": 10**9}, "n_bins is 1000000000"),
        ({"n_bins": "20"}, "n_bins is '20'"),
        ({"n_bins": 1}, "whole number from 2"),
        ({"clip": 0.0}, "clip is .*a number from 1e-30"),
        ({"clip": -1.0}, "clip is .*a number from 1e-30"),
        ({"clip": np.inf}, "clip is .*a number from 1e-30"),
        ({"clip": np.nan}, "clip is .*a number from 1e-30"),
    ],
)
def test_settings_out_of_range_are_refused(setting, message):
    with pytest.raises(ConfigError, match=message):
        klom(unlearned=column(0, 1), oracle=column(0, 1), **setting)


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("share", [0.5, 0.99, 1.0])
def test_nobody_scores_better_than_oracles_that_diverged_do_among_themselves(variant, share):
    rng = np.random.default_rng(0)
    unlearned, oracle = rng.normal(size=(2, 100, 30))
    oracle[: round(100 * share)] = np.nan
    result = klom(unlearned=unlearned, oracle=oracle, variant=variant)
    floor = klom(unlearned=oracle, oracle=oracle, variant=variant)
    assert (result.values >= floor.values - 1e-9).all()
    assert result.values == pytest.approx([CEILING] * 30) or (variant == "closed" and share < 1)
    assert (result.n_nonfinite == round(100 * share)).all()


def test_no_points_have_no_summary():
    with pytest.raises(DataError, match="at least one"):
        klom_summary(np.zeros(0))


@pytest.mark.parametrize("variant", ["easydub", "closed"])
@pytest.mark.parametrize(
    ("n_models", "p95", "mean"), [(20, 4.90, 3.0), (50, 1.68, 0.87), (100, 0.667, 0.336), (200, 0.268, 0.143)]
)
def test_independent_equal_ensembles_score_the_known_noise_floor(variant, n_models, p95, mean):
    """The known values are for 20 right-open bins; closing the last one adds a little.

    An ensemble against itself would draw it as zero.
    """
    unlearned, oracle = np.random.default_rng(0).normal(size=(2, n_models, 4000))
    assert klom_summary(klom(unlearned=unlearned, oracle=oracle, variant=variant).values) == pytest.approx(
        {"p95": p95, "mean": mean}, rel=0.08
    )


@pytest.mark.parametrize("variant", ["paper", "closed"])
@pytest.mark.parametrize(("shift", "mean"), [(1, 1.14), (2, 3.5), (3, 6.5), (5, 9.4)])
def test_a_shift_of_the_mean_scores_as_known(variant, shift, mean):
    unlearned, oracle = np.random.default_rng(0).normal(size=(2, 100, 2000))
    assert klom(unlearned=unlearned + shift, oracle=oracle, variant=variant).values.mean() == pytest.approx(
        mean, rel=0.08
    )
