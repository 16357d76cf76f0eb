"""The kernel estimator: its kernel is that of explicit features, and its standard errors are right.

It finds effects of groups that a linear datamodel misses.
"""

import numpy as np
import pytest
from blocks import block_of
from planted_groups import N_TRAIN, effects, fitted, lines_of, masks_of
from scipy.stats import spearmanr
from sklearn.linear_model import Ridge as SklearnRidge

from pipeline.attribution.evidence import Evidence
from pipeline.attribution.linear import kernel as module
from pipeline.attribution.linear.kernel import EASIEST, SIZES, GroupKernel, SubsetKernel
from pipeline.attribution.linear.penalties import GRID
from pipeline.attribution.ridge import Ridge
from pipeline.core.errors import ConfigError, DataError, ShapeError
from pipeline.data.nested_groups import BALL, CAP, HARD, Lines

LINES = lines_of()
MASKS = masks_of(LINES, 60)
SETS = [np.array([4]), LINES.of(BALL)[7, :10], np.array([1, 5, 30, 61])]
WEIGHTS = {BALL: 0.6, CAP: 0.5, HARD: 0.4}


def kernel_of(masks=MASKS, lines=LINES, weights=WEIGHTS):
    return SubsetKernel(masks, lines, weights[BALL], weights[CAP], weights[HARD])


def without(sets):
    masks = np.ones((len(sets), N_TRAIN), bool)
    for mask, ids in zip(masks, sets, strict=True):
        mask[ids] = False
    return masks


def features_of(masks, fitted_masks=MASKS, weights=WEIGHTS):
    """Return the features (n_masks, n_features) as the literature would.

    Group by group, centred and scaled by what the fitted masks have.
    """

    def scaled(feature, weight):
        fitted_values = feature(fitted_masks)
        centred = fitted_values - fitted_values.mean(axis=0)
        return np.sqrt(weight / (centred**2).sum(axis=1).mean()) * (
            feature(masks) - fitted_values.mean(axis=0)
        )

    def of_groups(groups):
        def feature(given):
            kept = np.stack([given[:, group].mean(axis=1) for group in groups], axis=1)
            return np.concatenate([np.log(0.03 + kept), (1 - kept) ** 3], axis=1)

        return feature

    difficulty = np.maximum(LINES.difficulty / LINES.difficulty.mean(), EASIEST)
    parts = [scaled(lambda given: given * np.sqrt(difficulty), 1.0)]
    for kind, weight in weights.items():
        groups = [line[:size][line[:size] >= 0] for line in LINES.of(kind) for size in SIZES]
        parts.append(scaled(of_groups(groups), weight))
    return np.concatenate(parts, axis=1)


def test_the_kernel_is_the_centred_gram_of_features_one_can_write_down():
    unseen = masks_of(LINES, 20, seed=3)
    expected = features_of(unseen) @ features_of(MASKS).T
    assert kernel_of().between(unseen) == pytest.approx(expected, abs=1e-4)
    assert np.diag(kernel_of().between(MASKS)).mean() == pytest.approx(1 + 0.6 + 0.5 + 0.4, rel=1e-4)


def test_removing_is_the_difference_of_two_kernels_and_its_own_length():
    changed, prior = kernel_of().removing(SETS)
    everything = np.ones((1, N_TRAIN), bool)
    assert changed == pytest.approx(
        kernel_of().between(without(SETS)) - kernel_of().between(everything), abs=1e-4
    )
    assert prior == pytest.approx(
        np.square(features_of(without(SETS)) - features_of(everything)).sum(axis=1), rel=1e-4
    )


@pytest.mark.parametrize("columns", [7, 64])
def test_features_held_at_once_change_nothing(monkeypatch, columns):
    whole, removed = kernel_of().between(MASKS), kernel_of().removing(SETS)
    monkeypatch.setattr(module, "_COLUMNS", columns)
    assert kernel_of().between(MASKS) == pytest.approx(whole, abs=1e-4)
    assert kernel_of().removing(SETS)[0] == pytest.approx(removed[0], abs=1e-4)
    assert kernel_of().removing(SETS)[1] == pytest.approx(removed[1], rel=1e-4)


def test_a_part_that_no_mask_varies_counts_for_nothing():
    """The trap of rounding taken for variation: scaled up, it would be a part like any other."""
    ids, masks = LINES.ids.copy(), MASKS.copy()
    ids[LINES.kinds == HARD] = -1
    ids[-1, :10], masks[:, 10:20] = np.arange(10, 20), True
    lines = Lines(ids=ids, kinds=LINES.kinds, difficulty=LINES.difficulty)
    one, other = (kernel_of(masks, lines, WEIGHTS | {HARD: weight}) for weight in (0.4, 0.0))
    assert np.array_equal(one.between(masks), other.between(masks))
    assert np.array_equal(one.removing([np.arange(12)])[0], other.removing([np.arange(12)])[0])


def test_no_more_lines_than_a_few_thousand_are_looked_at(monkeypatch):
    monkeypatch.setattr(module, "MOST_LINES", 12)
    members = module._memberships(LINES, BALL)
    assert members.shape == (12 * len(SIZES), N_TRAIN)
    assert members.sum(axis=1) == pytest.approx(1)
    leaders = members[:: len(SIZES)].toarray()
    assert {frozenset(np.flatnonzero(row)) for row in leaders} < {
        frozenset(line[: SIZES[0]]) for line in LINES.of(BALL)
    }
    assert np.array_equal(members.toarray(), module._memberships(LINES, BALL).toarray())


def saturating(masks, groups, noise=0.05, seed=0):
    """Return outputs that fall by 1 as a group goes, most of it with its last points."""
    kept = np.stack([masks[:, group].mean(axis=1) for group in groups], axis=1)
    outputs = np.log(0.03 + kept) / np.log(1.03 / 0.03)
    return outputs + noise * np.random.default_rng(seed).normal(size=outputs.shape)


def test_the_loss_of_a_whole_group_is_seen_where_a_sum_over_its_points_misses_most_of_it():
    """The point of it: each output depends on one neighbourhood as a whole; the truth is -1."""
    groups, masks = list(LINES.of(BALL)[:40:8, :20]), masks_of(LINES, 300)
    outputs, evidence = saturating(masks, groups), Evidence(masks=masks, lines=LINES)
    kernel, ridge = (
        np.diag(effects(fitted(estimator, evidence, outputs)[0], groups)[0])
        for estimator in (GroupKernel(), Ridge())
    )
    assert ridge.min() > -0.4
    assert (kernel < ridge - 0.15).all()
    assert kernel.mean() == pytest.approx(-0.65, abs=0.15)


def test_a_planted_linear_datamodel_is_still_found():
    rng = np.random.default_rng(0)
    masks, weights = masks_of(LINES, 300), rng.normal(size=(N_TRAIN, 6)) * np.sqrt(LINES.difficulty[:, None])
    datamodel, fit = fitted(
        GroupKernel(), Evidence(masks=masks, lines=LINES), masks @ weights + 0.3 * rng.normal(size=(300, 6))
    )
    assert (
        min(spearmanr(datamodel.weights()[:, output], weights[:, output]).statistic for output in range(6))
        > 0.9
    )
    sets = [rng.choice(N_TRAIN, 6, replace=False) for _ in range(12)]
    truth = -np.stack([weights[ids].sum(axis=0) for ids in sets])
    assert np.corrcoef(effects(datamodel, sets)[0].ravel(), truth.ravel())[0, 1] > 0.95
    assert (fit["r2"] > 0.8).all()


def test_without_groups_it_is_ridge_on_masks_scaled_by_difficulty():
    rng = np.random.default_rng(0)
    outputs, unseen = rng.normal(size=(60, 3)) + 5, masks_of(LINES, 20, seed=3)
    datamodel, fit = fitted(
        GroupKernel(balls=0, caps=0, hard=0, effect_shrinkage=1), Evidence(masks=MASKS, lines=LINES), outputs
    )
    scale = np.sqrt(np.maximum(LINES.difficulty / LINES.difficulty.mean(), EASIEST))
    features = MASKS * scale
    diagonal = ((features - features.mean(axis=0)) ** 2).sum(axis=1).mean()
    for output in range(3):
        theirs = SklearnRidge(alpha=fit["penalty"][output] * diagonal).fit(features, outputs[:, output])
        assert datamodel.predict(unseen)[:, output] == pytest.approx(theirs.predict(unseen * scale), abs=1e-5)
        assert effects(datamodel, SETS)[0][:, output] == pytest.approx(
            [-(theirs.coef_ * scale)[ids].sum() for ids in SETS], abs=1e-5
        )


def test_each_output_has_a_penalty_of_its_own():
    outputs = saturating(MASKS, list(LINES.of(BALL)[:4, :20]), noise=0.3)
    outputs[:, 2] = np.random.default_rng(5).normal(size=60)
    evidence = Evidence(masks=MASKS, lines=LINES)
    datamodel, fit = fitted(GroupKernel(), evidence, outputs)
    assert len(np.unique(fit["penalty"])) > 1
    for output in range(4):
        alone, its = fitted(GroupKernel(), evidence, outputs[:, output : output + 1])
        assert its["penalty"] == fit["penalty"][output]
        assert alone.predict(MASKS)[:, 0] == pytest.approx(datamodel.predict(MASKS)[:, output], abs=1e-9)


def test_the_order_of_models_does_not_matter():
    outputs, order = (
        saturating(MASKS, list(LINES.of(BALL)[:4, :20])),
        np.random.default_rng(0).permutation(60),
    )
    one, fit = fitted(GroupKernel(), Evidence(masks=MASKS, lines=LINES), outputs)
    other, other_fit = fitted(GroupKernel(), Evidence(masks=MASKS[order], lines=LINES), outputs[order])
    for name, values in fit.items():
        assert other_fit[name] == pytest.approx(values, rel=1e-3)
    for left, right in zip(effects(one, SETS), effects(other, SETS), strict=True):
        assert left == pytest.approx(right, abs=1e-4)


@pytest.mark.parametrize("share", [0.1, 1.0])
def test_effects_are_solved_at_their_share_of_the_penalty_and_predictions_are_not(share):
    outputs, evidence = (
        saturating(MASKS, list(LINES.of(BALL)[:4, :20]), noise=0.3),
        Evidence(masks=MASKS, lines=LINES),
    )
    datamodel, fit = fitted(GroupKernel(effect_shrinkage=share), evidence, outputs)
    assert fit["effect_penalty"] == pytest.approx(share * fit["penalty"])
    gram, centred = (
        kernel_of(weights=dict.fromkeys(WEIGHTS, 0.6) | {HARD: 0.4}),
        outputs - outputs.mean(axis=0),
    )
    changed, rows = gram.removing(SETS)[0], gram.between(MASKS)
    for output in range(4):
        solve = [
            np.linalg.solve(rows + penalty * np.eye(60), centred[:, output])
            for penalty in (fit["effect_penalty"][output], fit["penalty"][output])
        ]
        assert effects(datamodel, SETS)[0][:, output] == pytest.approx(changed @ solve[0], abs=1e-4)
        assert datamodel.predict(MASKS)[:, output] == pytest.approx(
            rows @ solve[1] + outputs[:, output].mean(), abs=1e-4
        )


def test_held_out_predictions_of_the_factor_are_those_of_the_masks():
    outputs = saturating(MASKS, list(LINES.of(BALL)[:4, :20]))
    evidence, unseen = (
        Evidence(masks=MASKS, lines=LINES, heldout=masks_of(LINES, 9, seed=3)),
        masks_of(LINES, 9, seed=3),
    )
    estimator, block = GroupKernel(), block_of(outputs)
    factor = estimator.factor(evidence)
    fit = estimator.fit(factor, evidence, block)
    expected = estimator.datamodel(factor, fit, evidence, block).predict(unseen)
    assert estimator.predict_heldout(factor, fit, evidence, block) == pytest.approx(expected, abs=1e-6)
    assert factor["heldout"].shape == (60, 9)
    with pytest.raises(ConfigError, match="no held-out models"):
        estimator.predict_heldout({}, fit, Evidence(masks=MASKS, lines=LINES), block)


@pytest.mark.parametrize(("share", "noise"), [(0.1, 0.5), (0.25, 2.0), (1.0, 1.0)])
def test_nineteen_of_twenty_effects_lie_within_two_standard_errors(share, noise):
    """Outputs are drawn from the assumed process, so the interval must cover at any shrinkage."""
    rng, covered, scores = np.random.default_rng(0), [], []
    sets = [*SETS, LINES.of(CAP)[3, :15], LINES.of(HARD)[0, :6]]
    for seed in range(3):
        masks = masks_of(LINES, 120, seed)
        drawn = features_of(
            np.concatenate([masks, np.ones((1, N_TRAIN), bool), without(sets)]),
            masks,
            {BALL: 0.6, CAP: 0.6, HARD: 0.4},
        )
        drawn = drawn @ rng.normal(size=(drawn.shape[1], 40))
        outputs = drawn[:120] + noise * rng.normal(size=(120, 40))
        mean, error = effects(
            fitted(
                GroupKernel(effect_shrinkage=share, curvature=0), Evidence(masks=masks, lines=LINES), outputs
            )[0],
            sets,
        )
        score = (mean - (drawn[121:] - drawn[120])) / error
        scores.append(score)
        covered.append(np.abs(score) < 1.96)
    assert 0.88 < np.mean(covered) < 0.99
    assert np.std(scores) == pytest.approx(1, abs=0.2)


def test_curvature_is_a_share_of_the_effect_that_the_standard_error_adds():
    outputs, evidence = saturating(MASKS, list(LINES.of(BALL)[:4, :20])), Evidence(masks=MASKS, lines=LINES)
    (mean, plain), (same, more) = (
        effects(fitted(GroupKernel(curvature=share), evidence, outputs)[0], SETS) for share in (0.0, 0.3)
    )
    assert np.array_equal(mean, same)
    assert more == pytest.approx(np.hypot(plain, 0.3 * mean))


def test_two_estimators_may_share_evidence():
    """The trap of what one kernel says of a set taken for what another one says."""
    outputs, shared = saturating(MASKS, list(LINES.of(BALL)[:4, :20])), Evidence(masks=MASKS, lines=LINES)
    for estimator in (Ridge(), GroupKernel(), GroupKernel(balls=0.1), Ridge()):
        alone, _ = effects(fitted(estimator, Evidence(masks=MASKS, lines=LINES), outputs)[0], SETS)
        assert np.array_equal(effects(fitted(estimator, shared, outputs)[0], SETS)[0], alone)


def test_sets_are_told_apart_by_their_ids_not_by_their_bytes():
    datamodel, _ = fitted(GroupKernel(), Evidence(masks=MASKS, lines=LINES), saturating(MASKS, [SETS[1]]))
    both, first = (
        datamodel.effect_of_removing(ids).mean
        for ids in (np.array([5, 0], np.int32), np.array([5], np.int64))
    )
    assert both.tobytes() != first.tobytes()


def test_evidence_that_does_not_fit_is_refused():
    with pytest.raises(ConfigError, match="needs groups of training points"):
        GroupKernel().factor(Evidence(masks=MASKS))
    with pytest.raises(ShapeError, match="over 79 training points, the lines over 80"):
        kernel_of(MASKS[:, 1:])
    with pytest.raises(DataError, match="subset models are equal, so nothing can be attributed"):
        GroupKernel().factor(Evidence(masks=np.ones((5, N_TRAIN), bool), lines=LINES))


@pytest.mark.parametrize(
    "settings",
    [
        {"balls": -0.1},
        {"caps": -1},
        {"hard": -1},
        {"effect_shrinkage": 0},
        {"effect_shrinkage": 1.5},
        {"curvature": -1},
    ],
)
def test_settings_out_of_range_are_refused(settings):
    with pytest.raises(ValueError, match=next(iter(settings))):
        GroupKernel(**settings)


def test_the_leave_one_out_error_of_the_chosen_penalty_is_the_least_on_the_grid():
    outputs = saturating(MASKS, list(LINES.of(BALL)[:4, :20]), noise=0.5)
    rows, centred = (
        kernel_of(weights=dict.fromkeys(WEIGHTS, 0.6) | {HARD: 0.4}).between(MASKS),
        outputs - outputs.mean(axis=0),
    )
    penalties, errors = GRID * np.linalg.eigvalsh(rows).clip(0).mean(), []
    for penalty in penalties:
        hat = rows @ np.linalg.inv(rows + penalty * np.eye(60)) + 1 / 60
        errors.append((((centred - hat @ centred) / (1 - np.diag(hat))[:, None]) ** 2).mean(axis=0))
    _, fit = fitted(GroupKernel(), Evidence(masks=MASKS, lines=LINES), outputs)
    chosen = np.abs(np.log(fit["penalty"][:, None] / penalties)).argmin(axis=1)
    assert np.array(errors)[chosen, np.arange(4)] == pytest.approx(np.min(errors, axis=0), rel=0.05)
