"""Examples refuse data that cannot be trained on, and their digest changes with every change."""

import dataclasses
from typing import Any

import numpy as np
import pytest

from pipeline.core.errors import DataError
from pipeline.data.examples import Examples


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"n_train": 16}, "n_train is 16 of 16 points"),
        ({"n_train": 0}, "n_train is 0 of 16 points"),
        ({"n_classes": 2}, "labels span 0 to 2; expected 0 to 1"),
        (
            {"inputs": np.full((16, 2, 3), np.inf, np.float32)},
            r"inputs of 16 points are not finite \(first: point 0 holds inf\)",
        ),
    ],
)
def test_what_cannot_be_trained_on_is_refused(
    examples: Examples, change: dict[str, Any], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        dataclasses.replace(examples, **change)


@pytest.mark.parametrize(
    "change",
    [{"n_train": 11}, {"n_classes": 4}, {"labels": (np.arange(16) + 1) % 3}, {"mislabelled": np.array([3])}],
)
def test_every_part_enters_the_digest(examples: Examples, change: dict[str, Any]) -> None:
    assert dataclasses.replace(examples, **change).digest != examples.digest


@pytest.mark.parametrize(
    ("shape", "n_classes", "message"),
    [((4, 2), 1, "at least two classes"), ((4, 0), 2, "a point has no features")],
)
def test_one_class_and_no_features_are_refused(shape: tuple[int, int], n_classes: int, message: str) -> None:
    with pytest.raises(DataError, match=message):
        Examples(
            inputs=np.zeros(shape, np.float32), labels=np.zeros(4, np.int64), n_train=3, n_classes=n_classes
        )
