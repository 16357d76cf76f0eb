"""The part that models of one seed share is removed from their outputs, and nothing else."""

import inspect
from dataclasses import replace

import numpy as np
import pytest
from blocks import block_of

from pipeline.attribution.evidence import Block, Evidence, without_seed_effects
from pipeline.attribution.ridge import Ridge
from pipeline.core.errors import ConfigError, DataError, ShapeError
from pipeline.data.masks import subset_mask

N_SEEDS = 10
SEEDS = np.arange(120) % N_SEEDS
POPULATIONS = np.repeat([0, 1], [40, 80])


def drawn(*, seed_spread, noise=1.0, n_outputs=30, apart=5.0):
    """Return outputs of two populations that lie apart, and what each model's seed adds to them."""
    rng = np.random.default_rng(0)
    added = seed_spread * rng.normal(size=(N_SEEDS, n_outputs))[SEEDS]
    return apart * POPULATIONS[:, None] + added + noise * rng.normal(size=(120, n_outputs)), added


def test_what_a_seed_adds_is_taken_out():
    outputs, added = drawn(seed_spread=3.0)
    cleaned = without_seed_effects(outputs, SEEDS, POPULATIONS)
    left = cleaned - (outputs - added)
    left -= left.mean(axis=0)
    # Of each seed's mean over 12 models the noise stays: 1/12 of its variance.
    assert left.var() == pytest.approx(1 / 12, rel=0.3)
    assert left.var() < 0.02 * added.var()


def test_members_of_both_populations_tell_of_their_seed():
    outputs, _ = drawn(seed_spread=3.0, noise=0.0)
    cleaned = without_seed_effects(outputs, SEEDS, POPULATIONS)
    assert cleaned == pytest.approx(
        5.0 * POPULATIONS[:, None] + (outputs - 5.0 * POPULATIONS[:, None]).mean(axis=0), abs=1e-9
    )


def test_noise_is_not_taken_for_a_seed():
    outputs, _ = drawn(seed_spread=0.0)
    taken = outputs - without_seed_effects(outputs, SEEDS, POPULATIONS)
    assert np.mean(np.abs(taken).max(axis=0) == 0) > 0.3
    assert taken.var() < 0.02


def test_the_means_of_populations_are_kept():
    outputs, _ = drawn(seed_spread=3.0)
    cleaned = without_seed_effects(outputs, SEEDS, POPULATIONS)
    for members in (slice(40), slice(40, 120)):
        assert cleaned[members].mean(axis=0) == pytest.approx(outputs[members].mean(axis=0), abs=1e-9)


@pytest.mark.parametrize("seeds", [np.arange(120), np.zeros(120, int)])
def test_models_of_seeds_of_their_own_or_of_a_single_one_are_left_alone(seeds):
    outputs, _ = drawn(seed_spread=3.0)
    assert np.array_equal(without_seed_effects(outputs, seeds, POPULATIONS), outputs)


def test_neither_the_order_of_models_nor_the_names_of_seeds_matter():
    outputs, _ = drawn(seed_spread=1.0)
    order = np.random.default_rng(1).permutation(120)
    expected = without_seed_effects(outputs, SEEDS, POPULATIONS)
    assert without_seed_effects(outputs[order], SEEDS[order], POPULATIONS[order]) == pytest.approx(
        expected[order], abs=1e-12
    )
    assert without_seed_effects(outputs, 10**15 - 7 * SEEDS, 3 - POPULATIONS) == pytest.approx(
        expected, abs=1e-12
    )


def test_what_is_given_is_left_alone_and_its_kind_of_number_comes_back():
    outputs = drawn(seed_spread=3.0)[0].astype(np.float32)
    before = outputs.copy()
    assert without_seed_effects(outputs, SEEDS, POPULATIONS).dtype == np.float32
    assert np.array_equal(outputs, before)


def test_outputs_that_never_vary_stay_as_they_are():
    assert without_seed_effects(np.full((120, 2), 7.0), SEEDS, POPULATIONS) == pytest.approx(
        np.full((120, 2), 7.0), abs=1e-12
    )


def test_a_diverged_model_spoils_no_other_and_is_refused_by_its_own_number():
    """The trap of a mean over models.

    With one NaN in it all of them would be NaN, and the first of them blamed.
    """
    outputs, _ = drawn(seed_spread=3.0)
    outputs[77, 2] = np.nan
    masks = np.stack([subset_mask(20, 0.5, member) for member in range(120)])
    cleaned = without_seed_effects(outputs, SEEDS, POPULATIONS)
    with pytest.raises(DataError, match=r"1 subset models have non-finite outputs \(first: member 77\)"):
        Ridge().fit(Ridge().factor(Evidence(masks=masks)), Evidence(masks=masks), block_of(cleaned))


@pytest.mark.parametrize(
    ("n_outputs", "n_seeds", "n_populations"), [(119, 120, 120), (120, 119, 120), (120, 120, 1)]
)
def test_lengths_that_differ_are_refused(n_outputs, n_seeds, n_populations):
    with pytest.raises(
        ShapeError, match=f"{n_outputs} outputs, {n_seeds} seeds, {n_populations} populations"
    ):
        inspect.unwrap(without_seed_effects)(
            np.zeros((n_outputs, 3)), np.zeros(n_seeds, int), np.zeros(n_populations, int)
        )


@pytest.mark.parametrize(("n_points", "per_point"), [(2, 3), (3, 3), (6, 1)])
def test_a_block_holds_so_many_outputs_for_each_point(n_points, per_point):
    if n_points * per_point == 6:
        assert Block(
            points=np.arange(n_points), outputs=np.zeros((4, 6)), per_point=per_point
        ).outputs.shape == (4, 6)
    else:
        with pytest.raises(ShapeError, match="6 outputs of 3 points; expected 3 for each point"):
            Block(points=np.arange(n_points), outputs=np.zeros((4, 6)), per_point=per_point)


def test_evidence_without_groups_says_so():
    with pytest.raises(ConfigError, match="add `groups` to its `needs`"):
        Evidence(masks=np.ones((3, 4), bool)).groups()


def test_what_is_kept_is_computed_once_for_each_name():
    evidence, calls = Evidence(masks=np.ones((3, 4), bool)), []
    answers = [
        evidence.once(name, lambda name=name: calls.append(name) or len(calls)) for name in ("a", "b", "a")
    ]
    assert answers == [1, 2, 1]
    assert calls == ["a", "b"]


def test_evidence_on_other_masks_keeps_nothing_of_the_first():
    """The trap of a kernel of all models looked up for some of them."""
    evidence = Evidence(masks=np.ones((3, 4), bool))
    evidence.once("n_models", lambda: len(evidence.masks))
    fewer = replace(evidence, masks=evidence.masks[:2])
    assert fewer.once("n_models", lambda: len(fewer.masks)) == 2
