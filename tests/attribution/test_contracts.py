"""The contract of every estimator, tested over the whole table.

A new estimator is tested once it is in the table and has a line in `cases`.
"""

from dataclasses import replace

import numpy as np
import pytest
from cases import CASES, N_TRAIN, case_of
from scipy.stats import spearmanr

from pipeline.attribution import ESTIMATORS
from pipeline.attribution.datamodel import Datamodel
from pipeline.attribution.evidence import Block
from pipeline.attribution.lds import lds
from pipeline.config import EVIDENCE
from pipeline.core.errors import ConfigError, DataError, ShapeError

SETS = [np.random.default_rng(seed).choice(N_TRAIN, 5, replace=False) for seed in range(20)]


@pytest.fixture(scope="module", params=ESTIMATORS.names())
def case(request, tmp_path_factory):
    """Return the case of each estimator in turn."""
    return case_of(request.param, tmp_path_factory.mktemp(request.param))


@pytest.fixture(scope="module")
def datamodel(case):
    """Return what is fitted in that case, once for all that only ask it."""
    return case.datamodel()


def effects(datamodel, sets=SETS):
    return np.stack([datamodel.effect_of_removing(ids).mean for ids in sets])


def truth(case, sets=SETS):
    return np.stack([-case.weights[ids].sum(axis=0) for ids in sets])


def agreement(found, expected):
    """Return the rank correlation of each column."""
    return lds(predicted=found, actual=expected).values


def with_outputs(case, outputs):
    return replace(case, block=replace(case.block, outputs=outputs))


def test_every_case_is_of_an_estimator_in_the_table(tmp_path):
    assert sorted(CASES) == ESTIMATORS.names()
    assert [type(case_of(name, tmp_path).estimator) for name in CASES] == [
        ESTIMATORS.resolve(name) for name in CASES
    ]
    with pytest.raises(KeyError, match="'shapley' has no case to be tested on; add a line"):
        case_of("shapley", tmp_path)


def test_what_it_needs_can_be_had(case):
    assert case.estimator.needs <= EVIDENCE


def test_a_fit_is_a_datamodel(datamodel):
    assert isinstance(datamodel, Datamodel)


def test_planted_effects_are_found_with_their_sign(case, datamodel):
    found, expected = effects(datamodel), truth(case)
    large = np.abs(expected) > 2
    assert (np.sign(found) == np.sign(expected))[large].mean() > 0.95
    assert np.median(agreement(found, expected)) > 0.9


def test_weights_are_planted_ones_up_to_a_constant(case, datamodel):
    weights = datamodel.weights()
    assert weights.shape == case.weights.shape
    assert (
        np.median(
            [
                spearmanr(weights[:, output], case.weights[:, output]).statistic
                for output in range(weights.shape[1])
            ]
        )
        > 0.8
    )


def test_raw_masks_of_zeros_and_ones_are_predicted(case, datamodel):
    """Standardised weights applied to raw masks would fail here.

    The error shows if a constant is added and the masks keep more points than those seen in training.
    """
    denser = case.unseen.copy()
    denser[:, :10] = True
    assert agreement(datamodel.predict(case.unseen), case.unseen @ case.weights).mean() > 0.8
    assert agreement(datamodel.predict(denser), denser @ case.weights).mean() > 0.8
    assert (
        np.abs(datamodel.predict(case.evidence.masks).mean(axis=0) - case.block.outputs.mean(axis=0)).max()
        < 1
    )


def test_an_effect_is_what_predictions_change_by(datamodel):
    masks = np.ones((len(SETS) + 1, N_TRAIN), bool)
    for mask, ids in zip(masks, SETS, strict=False):
        mask[ids] = False
    predicted = datamodel.predict(masks)
    assert np.corrcoef((predicted[:-1] - predicted[-1]).ravel(), effects(datamodel).ravel())[0, 1] > 0.9


def test_the_order_of_ids_does_not_matter(datamodel):
    ids = SETS[0]
    for one, other in zip(
        *(vars(datamodel.effect_of_removing(order)).values() for order in (ids, ids[::-1])), strict=True
    ):
        assert one == pytest.approx(other, abs=1e-5, nan_ok=True)


def test_means_are_finite_and_standard_errors_not_negative(case, datamodel):
    for ids in (*SETS, np.arange(1), np.arange(N_TRAIN - 1), np.arange(N_TRAIN)):
        effect = datamodel.effect_of_removing(ids)
        assert effect.mean.shape == effect.standard_error.shape == (case.block.outputs.shape[1],)
        assert np.isfinite(effect.mean).all()
        assert (effect.standard_error >= 0).all() or (
            np.isnan(effect.standard_error).all() and case.estimator.name == "file"
        )


def test_a_fit_is_tables_with_a_row_for_each_output_and_its_scalars_are_numbers(case):
    factor, fit = case.fit()
    assert len({len(values) for values in factor.values()}) == 1
    assert {values.dtype.kind for values in (*factor.values(), *fit.values())} <= set("fiub")
    assert {len(values) for values in fit.values()} == {case.block.outputs.shape[1]}
    for name in case.estimator.scalars:
        assert fit[name].shape == (case.block.outputs.shape[1],)
        assert np.isfinite(fit[name]).all()


def test_a_fit_follows_from_its_evidence_and_leaves_it_alone(case):
    masks, outputs = case.evidence.masks.copy(), case.block.outputs.copy()
    for one, other in zip(case.fit(), replace(case, evidence=replace(case.evidence)).fit(), strict=True):
        assert all(np.array_equal(values, other[name]) for name, values in one.items())
    assert np.array_equal(effects(case.datamodel(), SETS[:3]), effects(case.datamodel(), SETS[:3]))
    assert np.array_equal(case.evidence.masks, masks)
    assert np.array_equal(case.block.outputs, outputs)


def test_the_order_of_points_does_not_matter(case, datamodel):
    """The trap of one output's penalty used for another."""
    block, order = case.block, np.array([2, 0, 3, 1])
    columns = (order[:, None] * block.per_point + np.arange(block.per_point)).ravel()
    moved = replace(
        case,
        block=Block(points=block.points[order], outputs=block.outputs[:, columns], per_point=block.per_point),
    )
    refitted = moved.fit()[1]
    for name, values in case.fit()[1].items():
        assert refitted[name] == pytest.approx(values[columns], rel=1e-6)
    assert effects(moved.datamodel()) == pytest.approx(effects(datamodel)[:, columns], abs=1e-6)
    assert moved.datamodel().predict(case.unseen) == pytest.approx(
        datamodel.predict(case.unseen)[:, columns], abs=1e-6
    )


def test_held_out_predictions_are_those_of_the_datamodel(case, datamodel):
    factor, fit = case.fit()
    predicted = case.estimator.predict_heldout(factor, fit, case.evidence, case.block)
    assert predicted == pytest.approx(datamodel.predict(case.evidence.heldout), abs=1e-5)


def test_without_held_out_masks_nothing_is_predicted_of_them(case):
    bare = replace(case, evidence=replace(case.evidence, heldout=None))
    with pytest.raises(ConfigError, match=r"populations.heldout"):
        bare.estimator.predict_heldout(*bare.fit(), bare.evidence, bare.block)


def test_an_output_that_never_varies_has_no_effect_and_breaks_nothing(case):
    if "subset" not in case.estimator.needs:
        pytest.skip("what it knows of effects does not come from how outputs vary")
    outputs = case.block.outputs.copy()
    outputs[:, 4] = 7.0
    datamodel = with_outputs(case, outputs).datamodel()
    assert np.isfinite(datamodel.predict(case.unseen)).all()
    if "subset" not in case.estimator.needs:
        return  # of models that all have seen everything, no output has to vary
    assert effects(datamodel)[:, 4] == pytest.approx(0, abs=1e-6)
    assert datamodel.predict(case.unseen)[:, 4] == pytest.approx(7.0, abs=1e-5)


@pytest.mark.parametrize("broken", [np.nan, np.inf])
def test_outputs_that_are_not_finite_are_refused(case, broken):
    outputs = case.block.outputs.copy()
    outputs[3, 1] = broken
    with pytest.raises(DataError, match="finite"):
        with_outputs(case, outputs).fit()


def test_outputs_of_other_models_are_refused(case):
    with pytest.raises(ShapeError, match="models"):
        with_outputs(case, case.block.outputs[1:]).fit()


def test_masks_of_other_points_are_refused(case, datamodel):
    with pytest.raises(ShapeError, match=f"over {N_TRAIN - 1} training points"):
        datamodel.predict(case.unseen[:, 1:])


@pytest.mark.parametrize(
    "ids", [[], [1, 1], [-1], [N_TRAIN]], ids=["none", "repeated", "negative", "outside"]
)
def test_ids_that_are_no_set_of_training_points_are_refused(datamodel, ids):
    with pytest.raises(DataError, match=f"distinct training ids in 0 to {N_TRAIN - 1}"):
        datamodel.effect_of_removing(np.array(ids, np.int64))
