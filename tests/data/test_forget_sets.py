"""Each forget set selects the points that it names; an impossible selection is refused before training."""

import dataclasses
from typing import Literal

import numpy as np
import pytest
from sklearn.decomposition import PCA

from pipeline.core.errors import ConfigError, DataError, ShapeError
from pipeline.data import FORGET_SETS
from pipeline.data.dataset import LabelNoise, flip_labels
from pipeline.data.datasets.digits import Digits
from pipeline.data.examples import Examples
from pipeline.data.forget_sets.base import checked_forget_set
from pipeline.data.forget_sets.coherent import Coherent
from pipeline.data.forget_sets.hardest import Hardest
from pipeline.data.forget_sets.mislabelled import Mislabelled
from pipeline.data.forget_sets.random import Random


@pytest.mark.parametrize("end", ["high", "low"])
def test_coherent_points_lie_at_one_end_of_sklearns_component(end: Literal["high", "low"]) -> None:
    examples = Digits().load()
    members = np.flatnonzero(examples.labels[:1400] == 8)
    pca = PCA(1, svd_solver="full").fit(examples.inputs[members].reshape(len(members), -1).astype(np.float64))
    component = pca.components_[0]
    projections = (
        (examples.inputs[members].reshape(len(members), -1) - pca.mean_)
        @ component
        * np.sign(component[np.abs(component).argmax()])
    )
    order = members[np.argsort(projections)]
    expected = order[-15:] if end == "high" else order[:15]
    assert np.array_equal(Coherent(label=8, n_points=15, end=end).select(examples, None), np.sort(expected))


def test_coherent_ends_of_a_known_line() -> None:
    inputs = np.array([[0.0, 0], [3, -1], [1, 0], [3, -1], [9, 9], [7, 7]], np.float32)
    examples = Examples(inputs=inputs, labels=np.array([0, 0, 0, 0, 1, 0]), n_train=5, n_classes=2)
    assert Coherent(label=0, n_points=1).select(examples, None).tolist() == [1]
    assert Coherent(label=0, n_points=3).select(examples, None).tolist() == [1, 2, 3]
    assert Coherent(label=0, n_points=1, end="low").select(examples, None).tolist() == [0]


def test_coherent_goes_by_the_labels_trained_on(examples: Examples) -> None:
    noisy = flip_labels(examples, LabelNoise(n_points=6))
    n_points = int((noisy.labels[:12] == 1).sum())
    assert np.array_equal(
        Coherent(label=1, n_points=n_points).select(noisy, None), np.flatnonzero(noisy.labels[:12] == 1)
    )


def test_mislabelled_gives_all_flipped_points_or_the_first(examples: Examples) -> None:
    noisy = flip_labels(examples, LabelNoise(n_points=5))
    assert np.array_equal(Mislabelled().select(noisy, None), noisy.mislabelled)
    assert np.array_equal(Mislabelled(n_points=2).select(noisy, None), noisy.mislabelled[:2])


def test_hardest_points_have_the_lowest_mean_margin(examples: Examples) -> None:
    margins = np.zeros((2, 16), np.float32)
    margins[:, 13] = -9.0
    margins[:, [3, 7, 9]] = [[-4.0, 2.0, -1.0], [-4.0, -8.0, -1.0]]
    assert Hardest(n_points=2).select(examples, margins).tolist() == [3, 7]
    assert Hardest(n_points=5).select(examples, margins).tolist() == [0, 1, 3, 7, 9]


def test_hardest_refuses_margins_it_cannot_rank(examples: Examples) -> None:
    with pytest.raises(ShapeError, match="got none"):
        Hardest(n_points=2).select(examples, None)
    with pytest.raises(ShapeError, match=r"shape \(2, 12\)"):
        Hardest(n_points=2).select(examples, np.zeros((2, 12)))
    with pytest.raises(DataError, match=r"training point 0 .* diverged"):
        Hardest(n_points=2).select(examples, np.full((2, 16), np.nan))


def test_random_sets_differ_by_seed(examples: Examples) -> None:
    assert not np.array_equal(
        Random(n_points=6).select(examples, None), Random(n_points=6, seed=1).select(examples, None)
    )


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"name": "random", "n_points": 13}, "n_points is 13 but there are only 12 training points"),
        ({"name": "random", "n_points": 12}, "holds all 12 training points"),
        ({"name": "coherent", "label": 3, "n_points": 1}, "label is 3; expected 0 to 2"),
        ({"name": "coherent", "label": 2, "n_points": 5}, "only 4 training points of class 2"),
        ({"name": "mislabelled"}, "no mislabelled points"),
        ({"name": "hardest", "n_points": 12}, "n_points is 12"),
        (
            {"name": "indices", "ids": [3, 12]},
            "holds id 12, which is not a training point; expected ids from 0 to 11",
        ),
        ({"name": "file", "path": "nowhere.csv"}, "nowhere.csv does not exist"),
    ],
)
def test_what_cannot_be_picked_is_found_before_training(
    examples: Examples, settings: dict[str, object], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        FORGET_SETS.build(settings).check(examples)


@pytest.mark.parametrize(
    ("ids", "message"),
    [
        ([True, 2], "True is not a whole number"),
        ([17.0], "17.0 is not a whole number"),
        ([None], "None is not a whole number"),
        ([[3]], r"\[3\] is not a whole number"),
        (["17"], "'17' is text, not a whole number; write 17 without quotes"),
        (["00017"], "'00017' is text, not a whole number"),
        ([-1], "-1 is negative"),
        ([2**70], "too large for an id"),
        ([4, 4, 2], "id 4 appears at entry 1 and again at entry 2"),
        ([], "lists no id"),
        (17, r"expected a list of ids, such as \[17, 18, 23\]"),
        ("3-7", "expected a list of ids"),
        ({"3": 5}, "expected a list of ids"),
        (None, "expected a list of ids"),
    ],
)
def test_a_list_that_is_not_surely_one_of_ids_is_refused_with_a_remedy(ids: object, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        FORGET_SETS.build({"name": "indices", "ids": ids})


def test_more_mislabelled_points_than_there_are_is_refused(examples: Examples) -> None:
    with pytest.raises(DataError, match="only 2 mislabelled points"):
        Mislabelled(n_points=3).check(dataclasses.replace(examples, mislabelled=np.array([1, 5])))


@pytest.mark.parametrize(
    ("indices", "message"),
    [([], "is empty"), ([[1]], r"shape \(1, 1\)"), ([1.0], "float64"), ([True], "bool")],
)
def test_only_lists_of_ids_pass_the_check(examples: Examples, indices: list[object], message: str) -> None:
    with pytest.raises(DataError, match=message):
        checked_forget_set(np.array(indices), examples)
