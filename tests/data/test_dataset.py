"""Label noise, and the properties of the built-in data sets."""

import numpy as np
import pytest

from pipeline.core.errors import ConfigError
from pipeline.data import DATASETS
from pipeline.data.dataset import LabelNoise, flip_labels
from pipeline.data.datasets.digits import Digits
from pipeline.data.examples import Examples


def test_noise_flips_exactly_the_remembered_training_labels() -> None:
    clean, noisy = Digits().load(), Digits(label_noise=LabelNoise(n_points=30)).load()
    assert np.array_equal(np.flatnonzero(clean.labels != noisy.labels), noisy.mislabelled)
    assert len(noisy.mislabelled) == 30
    assert noisy.mislabelled.max() < noisy.n_train
    assert np.array_equal(clean.inputs, noisy.inputs)


def test_noise_leaves_the_given_examples_alone(examples: Examples) -> None:
    before = examples.digest
    flip_labels(examples, LabelNoise(n_points=12))
    assert examples.digest == before


def test_flipped_labels_are_spread_over_the_other_classes() -> None:
    examples = Examples(
        inputs=np.zeros((4001, 1), np.float32), labels=np.ones(4001, np.int64), n_train=4000, n_classes=4
    )
    counts = np.bincount(flip_labels(examples, LabelNoise(n_points=3000)).labels[:4000], minlength=4)
    assert counts[1] == 1000
    assert np.abs(counts[[0, 2, 3]] - 1000).max() < 5 * np.sqrt(1000 * 2 / 3)


def test_noise_depends_on_its_seed(examples: Examples) -> None:
    first, again, other = (flip_labels(examples, LabelNoise(n_points=5, seed=seed)) for seed in (0, 0, 1))
    assert first.digest == again.digest != other.digest


def test_noise_never_flips_a_label_back(examples: Examples) -> None:
    twice = flip_labels(flip_labels(examples, LabelNoise(n_points=5)), LabelNoise(n_points=7))
    assert np.array_equal(twice.mislabelled, np.arange(12))
    assert (twice.labels != examples.labels)[:12].all()


def test_more_noise_than_training_points_is_refused(examples: Examples) -> None:
    with pytest.raises(ConfigError, match="n_points is 13 but only 12 training labels"):
        flip_labels(examples, LabelNoise(n_points=13))


def test_noise_reaches_the_data_set_through_the_config() -> None:
    with pytest.raises(ConfigError, match="n_points is 2000"):
        DATASETS.build({"name": "digits", "label_noise": {"n_points": 2000}}).load()


def test_digits_are_all_there_once_whatever_the_seed() -> None:
    first, other = Digits().load(), Digits(seed=1, n_train=100).load()
    assert first.inputs.shape == (1797, 1, 8, 8)
    assert (np.min(first.inputs), np.max(first.inputs)) == (0.0, 1.0)
    assert (first.n_train, other.n_train) == (1400, 100)
    assert not np.array_equal(first.labels, other.labels)
    assert sorted(map(bytes, first.inputs)) == sorted(map(bytes, other.inputs))


def test_digits_keep_image_and_label_together() -> None:
    first, other = Digits().load(), Digits(seed=1).load()
    label_of = dict(zip(map(bytes, first.inputs), first.labels, strict=True))
    assert [label_of[bytes(image)] for image in other.inputs] == other.labels.tolist()


@pytest.mark.parametrize("n_train", [0, 1797])
def test_digits_refuse_an_empty_split(n_train: int) -> None:
    with pytest.raises(ConfigError, match="n_train"):
        DATASETS.build({"name": "digits", "n_train": n_train})
