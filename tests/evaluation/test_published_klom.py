"""The published variants of KLoM equal a loop over points to the last bit, ties included.

No broken margin looks good in them.
"""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from reference import CEILING, PUBLISHED, per_point

from pipeline.core.errors import ConfigError
from pipeline.evaluation.klom import klom

# Eighths tie with edges, decimals with each other; both reach beyond the clip.
VALUES = st.one_of(
    st.integers(-1000, 1000).map(lambda x: x / 8),
    st.integers(-3, 3).map(float),
    st.floats(-150, 150).map(lambda x: round(x, 6)),
)
DTYPES = st.sampled_from([np.float32, np.float64])


@st.composite
def ensembles(draw):
    n_points, dtype = draw(st.integers(1, 4)), draw(DTYPES)
    return [
        draw(
            arrays.arrays(
                dtype, (draw(st.integers(2, 12)), n_points), elements=VALUES.map(lambda x: float(dtype(x)))
            )
        )
        for _ in range(2)
    ]


@pytest.mark.parametrize("variant", PUBLISHED)
@settings(deadline=None)
@given(pair=ensembles())
def test_every_bit_is_that_of_the_rule(variant, pair):
    unlearned, oracle = pair
    assert np.array_equal(
        klom(unlearned=unlearned, oracle=oracle, variant=variant).values,
        per_point(PUBLISHED[variant], unlearned, oracle),
    )


@pytest.mark.parametrize("variant", PUBLISHED)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("grain", [0, 8])
def test_every_bit_is_that_of_the_rule_on_ensembles_of_a_usual_size(variant, dtype, grain):
    rng = np.random.default_rng(0)
    pair = [rng.normal(shift, 1, (n_models, 300)) for shift, n_models in ((0.5, 100), (0, 80))]
    unlearned, oracle = ((np.round(x * grain) / grain if grain else x).astype(dtype) for x in pair)
    assert np.array_equal(
        klom(unlearned=unlearned, oracle=oracle, variant=variant).values,
        per_point(PUBLISHED[variant], unlearned, oracle),
    )


@pytest.mark.parametrize("variant", PUBLISHED)
def test_a_point_does_not_change_the_bits_of_its_neighbours(variant):
    """numpy.linspace over many points changes its arithmetic for all once one step rounds to zero."""
    rng = np.random.default_rng(0)
    unlearned, oracle = np.round(rng.normal(size=(2, 40, 200)), 1)
    alone = klom(unlearned=unlearned, oracle=oracle, variant=variant).values
    strange = np.array([0.0, 5e-324] * 20)[:, None]
    beside = klom(
        unlearned=np.hstack([strange, unlearned]), oracle=np.hstack([strange, oracle]), variant=variant
    ).values
    assert np.array_equal(beside[1:], alone)
    assert np.isfinite(beside[0])


@pytest.mark.parametrize("variant", PUBLISHED)
@pytest.mark.parametrize("broken", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("whose", ["unlearned", "oracle"])
def test_one_broken_margin_scores_the_ceiling_and_spares_other_points(variant, broken, whose):
    pair = {
        "unlearned": np.random.default_rng(0).normal(size=(20, 3)),
        "oracle": np.random.default_rng(1).normal(size=(20, 3)),
    }
    fine = klom(**pair, variant=variant).values
    pair[whose][4, 1] = broken
    result = klom(**pair, variant=variant)
    assert result.values.tolist() == [fine[0], CEILING, fine[2]]
    assert result.n_nonfinite.tolist() == [0, 1, 0]


@pytest.mark.parametrize("variant", ["paper", "data-unlearning-bench"])
def test_what_is_nan_in_a_published_code_scores_the_ceiling(variant):
    """All unlearned margins at the joint maximum are dropped, which leaves nothing to compare."""
    assert klom(unlearned=np.full((5, 1), 3.0), oracle=np.arange(4.0)[:, None], variant=variant).values == [
        CEILING
    ]


def test_easydub_keeps_its_zero_for_that_and_the_clipped_margins_are_reported():
    result = klom(unlearned=np.full((5, 1), 1e6), oracle=np.arange(4.0)[:, None], variant="easydub")
    assert (result.values, result.n_clipped) == (0, 5)


def test_the_paper_code_with_all_oracles_at_the_maximum_scores_the_ceiling():
    assert klom(unlearned=np.arange(4.0)[:, None], oracle=np.full((5, 1), 3.0), variant="paper").values == [
        CEILING
    ]


def test_the_paper_code_does_not_clip_oracles():
    """One oracle at 1900 makes bins of 100, so that all other margins share one.

    Clipped, it would leave bins of 5.
    """
    unlearned, oracle = np.linspace(0, 50, 40)[:, None], np.append(np.linspace(0, 50, 40), 1900.0)[:, None]
    result = klom(unlearned=unlearned, oracle=oracle, variant="paper")
    assert result.values == pytest.approx(0, abs=1e-3)
    assert result.n_clipped == [0]


@pytest.mark.parametrize("variant", PUBLISHED)
def test_oracles_too_large_for_any_bins_never_look_good(variant):
    unlearned, oracle = np.linspace(0, 1, 20)[:, None], np.array([[1e308], [-1e308]] * 10)
    assert klom(unlearned=unlearned, oracle=oracle, variant=variant).values > 3


@pytest.mark.parametrize("variant", PUBLISHED)
def test_equal_constants_are_equal(variant):
    assert klom(unlearned=np.ones((5, 1)), oracle=np.ones((7, 1)), variant=variant).values == pytest.approx(
        [0], abs=1e-3
    )


@pytest.mark.parametrize("variant", PUBLISHED)
def test_bins_of_a_published_variant_are_fixed(variant):
    with pytest.raises(ConfigError, match="fixes its bins"):
        klom(unlearned=np.ones((5, 1)), oracle=np.ones((5, 1)), variant=variant, n_bins=10)
