"""A datamodel given as explicit weights.

It takes raw masks, memory-mapped or not, and its errors add as variances.
"""

import numpy as np
import pytest

from pipeline.attribution import datamodel as module
from pipeline.attribution.datamodel import Datamodel, WeightMatrix
from pipeline.core.errors import DataError, ShapeError

N_TRAIN, N_OUTPUTS = 11, 3


def matrix_of(dtype=np.float64):
    return np.random.default_rng(0).normal(size=(N_TRAIN, N_OUTPUTS)).astype(dtype)


def test_predictions_are_the_outputs_on_everything_less_what_is_missing(monkeypatch):
    matrix, everything = matrix_of(), np.array([1.0, -2.0, 5.0])
    masks = np.random.default_rng(1).random((6, N_TRAIN)) < 0.5
    monkeypatch.setattr(module, "_ROWS", 4)
    ours = WeightMatrix(matrix=matrix, everything=everything)
    assert isinstance(ours, Datamodel)
    assert ours.predict(masks) == pytest.approx(
        np.stack([everything - sum(matrix[~mask]) for mask in masks]), abs=1e-12
    )
    assert ours.predict(np.ones((1, N_TRAIN), bool))[0] == pytest.approx(everything)


def test_removing_points_takes_their_weights_away():
    matrix = matrix_of()
    ours = WeightMatrix(
        matrix=matrix, everything=np.zeros(N_OUTPUTS), errors=np.full(matrix.shape, 0.5), curvature=0.1
    )
    effect = ours.effect_of_removing(np.array([2, 7]))
    assert effect.mean == pytest.approx(-matrix[2] - matrix[7])
    assert effect.standard_error == pytest.approx(np.sqrt(2 * 0.25 + (0.1 * effect.mean) ** 2))
    assert np.array_equal(ours.weights(), matrix)


def test_a_scale_is_part_of_every_answer():
    matrix, masks = matrix_of(), np.random.default_rng(1).random((6, N_TRAIN)) < 0.5
    scaled = WeightMatrix(matrix=matrix, everything=np.ones(N_OUTPUTS), scale=-0.5)
    plain = WeightMatrix(matrix=-0.5 * matrix, everything=np.ones(N_OUTPUTS))
    assert scaled.predict(masks) == pytest.approx(plain.predict(masks))
    assert scaled.effect_of_removing(np.array([4])).mean == pytest.approx(
        plain.effect_of_removing(np.array([4])).mean
    )
    assert scaled.weights() == pytest.approx(plain.weights())


def test_half_precision_weights_are_summed_in_more(tmp_path):
    mapped = np.memmap(tmp_path / "weights", np.float16, "w+", shape=(N_TRAIN, N_OUTPUTS))
    mapped[:] = matrix_of()
    ours = WeightMatrix(matrix=mapped, everything=np.zeros(N_OUTPUTS))
    ids = np.arange(9)
    assert ours.effect_of_removing(ids).mean == pytest.approx(
        -np.asarray(mapped[:9], np.float64).sum(axis=0), abs=1e-12
    )
    assert np.isnan(ours.effect_of_removing(ids).standard_error).all()
    mask = np.arange(N_TRAIN)[None] >= 9
    assert ours.predict(mask)[0] == pytest.approx(ours.effect_of_removing(ids).mean, abs=1e-5)


def test_what_does_not_fit_together_is_refused():
    ours = WeightMatrix(matrix=matrix_of(), everything=np.zeros(N_OUTPUTS))
    with pytest.raises(ShapeError, match="over 10 training points, the datamodel over 11"):
        ours.predict(np.ones((1, 10), bool))
    with pytest.raises(DataError, match="distinct training ids in 0 to 10"):
        ours.effect_of_removing(np.array([3, 3]))
    with pytest.raises(ShapeError, match="one weight for each point and output"):
        WeightMatrix(matrix=matrix_of(), everything=np.zeros(2))
    with pytest.raises(ShapeError, match="one for each weight"):
        WeightMatrix(matrix=matrix_of(), everything=np.zeros(N_OUTPUTS), errors=np.zeros((2, N_OUTPUTS)))
