"""Masks have the promised properties, and packing loses nothing."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from pipeline.core.errors import ConfigError, DataError, ShapeError
from pipeline.data.masks import count_kept, focused_mask, pack_masks, retain_mask, subset_mask, unpack


@settings(deadline=None)
@given(n_train=st.integers(2, 200), keep_fraction=st.floats(0.01, 0.99), seed=st.integers(0, 2**63 - 1))
def test_subset_masks_keep_exactly_the_rounded_share(n_train: int, keep_fraction: float, seed: int) -> None:
    n_kept = round(keep_fraction * n_train)
    if 0 < n_kept < n_train:
        mask = subset_mask(n_train, keep_fraction, seed)
        assert mask.shape == (n_train,)
        assert mask.sum() == n_kept == count_kept(n_train, keep_fraction)
    else:
        with pytest.raises(ConfigError, match=f"keeps {n_kept} of {n_train}"):
            subset_mask(n_train, keep_fraction, seed)


def test_subset_masks_depend_on_the_seed_alone() -> None:
    assert np.array_equal(subset_mask(50, 0.5, 7), subset_mask(50, 0.5, 7))
    assert not np.array_equal(subset_mask(50, 0.5, 7), subset_mask(50, 0.5, 8))


def test_every_point_is_kept_equally_often() -> None:
    kept = np.mean([subset_mask(20, 0.3, seed) for seed in range(2000)], axis=0)
    assert np.abs(kept - 0.3).max() < 5 * np.sqrt(0.3 * 0.7 / 2000)


@settings(deadline=None)
@given(masks=arrays.arrays(bool, st.tuples(st.integers(0, 5), st.integers(1, 40))))
def test_packing_loses_nothing(masks: np.ndarray) -> None:
    packed = pack_masks(masks)
    assert packed.dtype == np.uint8
    assert packed.shape == (len(masks), -(-masks.shape[1] // 8))
    assert np.array_equal(unpack(packed, masks.shape[1]), masks)
    assert unpack(packed, masks.shape[1]).dtype == bool


@pytest.mark.parametrize("n_train", [8, 17])
def test_unpacking_refuses_the_wrong_number_of_points(n_train: int) -> None:
    with pytest.raises(ShapeError, match=f"{n_train} training points need"):
        unpack(pack_masks(np.ones((2, 9), dtype=bool)), n_train)


@settings(deadline=None)
@given(forget=st.sets(st.integers(0, 19), max_size=19))
def test_the_retain_mask_is_the_complement_of_the_forget_set(forget: set[int]) -> None:
    mask = retain_mask(20, np.array(sorted(forget), dtype=np.int64))
    assert set(np.flatnonzero(~mask)) == forget


@pytest.mark.parametrize(
    ("forget", "message"),
    [([-1], "id -1 is not a training point"), ([3], "id 3 is"), ([0, 1, 2], "leave at least one out of it")],
)
def test_the_retain_mask_refuses_ids_that_are_none(forget: list[int], message: str) -> None:
    with pytest.raises(DataError, match=message):
        retain_mask(3, np.array(forget))


@settings(deadline=None)
@given(
    forget=st.sets(st.integers(0, 19), min_size=1, max_size=15),
    keep_fraction=st.floats(0.2, 1.0),
    seed=st.integers(0, 2**63 - 1),
)
def test_focused_masks_of_one_seed_differ_by_the_forget_set_alone(
    forget: set[int], keep_fraction: float, seed: int
) -> None:
    ids = np.array(sorted(forget))
    kept, left_out = (
        focused_mask(20, keep_fraction, ids, seed, keeps_forget=keeps) for keeps in (True, False)
    )
    assert np.array_equal(np.flatnonzero(kept != left_out), ids)
    assert kept[ids].all()
    assert left_out.sum() == round(keep_fraction * (20 - len(ids)))


def test_a_focused_mask_that_keeps_every_other_point_is_an_oracles() -> None:
    ids = np.array([3, 4])
    assert np.array_equal(focused_mask(20, 1.0, ids, 7, keeps_forget=False), retain_mask(20, ids))
    assert not np.array_equal(
        focused_mask(20, 0.5, ids, 7, keeps_forget=False), focused_mask(20, 0.5, ids, 8, keeps_forget=False)
    )


def test_a_focused_mask_refuses_to_keep_nothing_else() -> None:
    with pytest.raises(ConfigError, match="keeps none of the 18 points that are not in the forget set"):
        focused_mask(20, 0.01, np.array([3, 4]), 7, keeps_forget=True)
