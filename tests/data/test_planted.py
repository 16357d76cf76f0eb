"""The planted datamodel is the true one: a gradient step of torch agrees with it."""

import numpy as np
import pytest
import torch
from planted_truth import planted_weights

from pipeline.core.errors import ConfigError
from pipeline.data import DATASETS
from pipeline.data.dataset import LabelNoise
from pipeline.data.datasets.planted import Planted
from pipeline.data.masks import subset_mask
from pipeline.models.logistic import Logistic


def test_planted_weights_predict_one_full_batch_step() -> None:
    examples = Planted(label_noise=LabelNoise(n_points=5)).load()
    mask = subset_mask(examples.n_train, 0.5, seed=3)
    inputs, labels = torch.from_numpy(np.asarray(examples.inputs)), torch.from_numpy(examples.labels)
    model = Logistic().build(examples.input_shape, examples.n_classes)
    kept = torch.from_numpy(np.flatnonzero(mask))
    torch.autograd.backward(torch.nn.functional.cross_entropy(model(inputs[kept]), labels[kept]))
    torch.optim.SGD(model.parameters(), lr=0.7).step()
    weights = planted_weights(examples, learning_rate=0.7, n_kept=int(mask.sum()))
    predicted = np.tensordot(mask.astype(float), weights, axes=1)
    assert np.abs(predicted - model(inputs).detach().numpy()).max() < 1e-5


def test_planted_weights_are_nearly_sparse() -> None:
    examples = Planted(n_groups=6, n_train=60).load()
    groups = np.asarray(examples.inputs).argmax(axis=1)
    weights = np.abs(planted_weights(examples, learning_rate=1.0, n_kept=30)).mean(axis=2)
    same = groups[:60, None] == groups[None, :]
    assert weights.shape == (60, 100)
    assert weights[same].min() > 4 * weights[~same].max()


def test_planted_groups_are_even_and_carry_one_class() -> None:
    examples = Planted(n_train=48, n_groups=12).load()
    groups = np.asarray(examples.inputs).argmax(axis=1)
    assert np.bincount(groups[:48]).tolist() == [4] * 12
    assert np.array_equal(examples.labels, groups % 3)


def test_planted_refuses_fewer_groups_than_classes() -> None:
    with pytest.raises(ConfigError, match=r"n_groups is 2; expected n_classes \(3\) to n_train \(120\)"):
        DATASETS.build({"name": "planted", "n_groups": 2})
