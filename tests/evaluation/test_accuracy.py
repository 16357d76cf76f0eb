"""Accuracy counts correct outputs and never a broken one."""

import numpy as np
import pytest

from pipeline.core.errors import ShapeError
from pipeline.evaluation.accuracy import accuracy, is_correct


def test_accuracy_is_one_figure_for_each_model():
    logits = np.array([[[2, 1], [0, 1]], [[0, 1], [0, 1]]], np.float32)
    assert accuracy(logits, np.array([0, 1])).tolist() == [1.0, 0.5]


@pytest.mark.parametrize("broken", [np.nan, np.inf, -np.inf])
def test_broken_logits_count_as_wrong(broken):
    logits = np.array([[[5.0, broken], [5.0, 0.0]]])
    assert is_correct(logits, np.array([0, 0])).tolist() == [[False, True]]
    assert is_correct(logits, np.array([1, 0])).tolist() == [[False, True]]


def test_labels_must_fit_the_points():
    with pytest.raises(ShapeError, match="one label for each point"):
        accuracy(np.zeros((1, 2, 2)), np.array([0]))
