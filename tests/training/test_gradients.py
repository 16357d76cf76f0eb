"""Gradients agree with a plain autograd loop, for every model and every way to compute them.

Projections keep inner products.
"""

import numpy as np
import pytest
import torch
from torch import nn

from pipeline.core.errors import ConfigError
from pipeline.data.examples import Examples
from pipeline.evaluation.margins import margins
from pipeline.models import MODELS
from pipeline.models.base import Model
from pipeline.training import gradients as module
from pipeline.training import sizing
from pipeline.training.ensemble import Builder, initial_states
from pipeline.training.gradients import Checkpoints, margin_cotangents
from pipeline.training.projection import Projection
from pipeline.training.recipe.objectives import softmax

MODELS_TRIED = [
    {"name": "logistic", "zero_init": False},
    {"name": "mlp", "width": 5},
    {"name": "cnn", "width": 2},
]
POINTS = np.array([3, 0, 7, 3])


def examples_of(n_points=9, n_train=6, n_classes=3):
    rng = np.random.default_rng(0)
    inputs = rng.normal(size=(n_points, 1, 4, 4)).astype(np.float32)
    return Examples(
        inputs=inputs, labels=rng.integers(0, n_classes, n_points), n_train=n_train, n_classes=n_classes
    )


def opened(settings=MODELS_TRIED[1], n_models=2):
    examples = examples_of()
    build = Builder(MODELS.build(settings), examples.input_shape, examples.n_classes)
    states = initial_states(build, range(n_models))
    return Checkpoints(build, lambda: states, examples), build, states, examples


def autograd(build, states, model, inputs):
    """Return logits (n, n_classes) and their Jacobian (n, n_classes, n_parameters).

    Each entry takes one backward pass.
    """
    network = build().eval()
    network.load_state_dict({name: value[model] for name, value in states.items()})
    logits = network(torch.from_numpy(inputs))
    rows = [
        [torch.autograd.grad(logit, list(network.parameters()), retain_graph=True) for logit in point]
        for point in logits
    ]
    jacobian = np.array(
        [[torch.cat([part.reshape(-1) for part in row]).numpy() for row in point] for point in rows]
    )
    return logits.detach().numpy(), jacobian


@pytest.mark.parametrize("settings", MODELS_TRIED, ids=lambda settings: settings["name"])
def test_gradients_are_those_of_a_plain_loop(settings):
    checkpoints, build, states, examples = opened(settings)
    logits, jacobian = autograd(build, states, 1, examples.inputs[POINTS])
    cotangents = np.random.default_rng(1).normal(size=logits.shape).astype(np.float32)
    assert checkpoints.logits(1, POINTS) == pytest.approx(logits, abs=1e-5)
    assert checkpoints.gradients(1, POINTS, cotangents) == pytest.approx(
        np.einsum("nk,nkp->np", cotangents, jacobian), abs=1e-5
    )


@pytest.mark.parametrize("settings", MODELS_TRIED, ids=lambda settings: settings["name"])
def test_pull_adds_gradients_and_push_is_its_transpose(settings):
    checkpoints, build, states, examples = opened(settings)
    _, jacobian = autograd(build, states, 0, examples.inputs[POINTS])
    rng = np.random.default_rng(2)
    cotangents, vectors = (
        rng.normal(size=(2, *jacobian.shape[:2])),
        rng.normal(size=(3, checkpoints.n_parameters)),
    )
    assert checkpoints.pull(0, POINTS, cotangents) == pytest.approx(
        np.einsum("vnk,nkp->vp", cotangents, jacobian), abs=1e-4
    )
    assert checkpoints.push(0, vectors, POINTS) == pytest.approx(
        np.einsum("vp,nkp->vnk", vectors, jacobian), abs=1e-4
    )


def test_chunks_change_nothing(monkeypatch):
    checkpoints, *_ = opened()
    rng = np.random.default_rng(3)
    cotangents, vectors = rng.normal(size=(4, 3)), rng.normal(size=(5, checkpoints.n_parameters))
    whole = (
        checkpoints.gradients(0, POINTS, cotangents),
        checkpoints.pull(0, POINTS, cotangents[None]),
        checkpoints.push(0, vectors, POINTS),
    )
    monkeypatch.setattr(module, "NUMBERS", 1)
    monkeypatch.setattr(sizing, "EVALUATION_BATCH", 3)
    parts = (
        checkpoints.gradients(0, POINTS, cotangents),
        checkpoints.pull(0, POINTS, cotangents[None]),
        checkpoints.push(0, vectors, POINTS),
    )
    for one, other in zip(whole, parts, strict=True):
        assert other == pytest.approx(one, abs=1e-5)


def test_checkpoints_are_read_when_they_are_asked_for():
    _, build, states, examples = opened()
    reads = []
    checkpoints = Checkpoints(build, lambda: reads.append(1) or states, examples)
    assert (checkpoints.n_train, checkpoints.n_classes, reads) == (6, 3, [])
    assert (checkpoints.n_models, checkpoints.n_models, reads) == (2, 2, [1])


def test_margin_cotangents_are_the_slopes_of_margins():
    logits, labels = np.random.default_rng(4).normal(size=(5, 3)), np.array([0, 2, 1, 1, 0])
    step = 1e-5 * np.random.default_rng(5).normal(size=logits.shape)
    change = (margins((logits + step)[None], labels) - margins((logits - step)[None], labels))[0] / 2
    assert (margin_cotangents(logits, labels) * step).sum(axis=1) == pytest.approx(change, rel=1e-3)


def test_probabilities_of_huge_logits_are_finite():
    assert softmax(np.array([[1e4, 0.0]], np.float32)) == pytest.approx(np.array([[1.0, 0.0]]))


def test_projections_keep_inner_products_and_lengths():
    vectors = np.random.default_rng(6).normal(size=(6, 3000)).astype(np.float32)
    projected = Projection(2048, 3000, seed=0).apply(vectors)
    lengths = np.linalg.norm(vectors, axis=1)
    assert (
        np.abs(projected @ projected.T - vectors @ vectors.T).max()
        < 5 * np.sqrt(2 / 2048) * lengths.max() ** 2
    )


def test_a_projection_is_its_seed():
    vectors = np.random.default_rng(7).normal(size=(2, 40)).astype(np.float32)
    one, again = Projection(8, 40, seed=3).apply(vectors), Projection(8, 40, seed=3).apply(vectors)
    assert np.array_equal(one, again)
    assert not np.array_equal(one, Projection(8, 40, seed=4).apply(vectors))
    assert not np.array_equal(one, Projection(8, 40, seed=3, purpose=1).apply(vectors))


def test_the_adjoint_gives_the_same_inner_products():
    vectors, coordinates = (
        np.random.default_rng(8).normal(size=(2, size)).astype(np.float32) for size in (40, 8)
    )
    projection = Projection(8, 40, seed=0)
    assert projection.adjoint(coordinates) @ vectors.T == pytest.approx(
        coordinates @ projection.apply(vectors).T, abs=1e-4
    )


def test_projected_gradients_are_gradients_projected():
    checkpoints, *_ = opened()
    projection = Projection(16, checkpoints.n_parameters, seed=0)
    cotangents = np.eye(3)[[0, 1, 2, 0]]
    plain = checkpoints.gradients(0, POINTS, cotangents)
    assert checkpoints.gradients(0, POINTS, cotangents, projection) == pytest.approx(
        projection.apply(plain), abs=1e-5
    )


def test_the_last_layer_alone_may_change():
    checkpoints, build, states, examples = opened(MODELS_TRIED[2])
    _, jacobian = autograd(build, states, 0, examples.inputs[POINTS])
    last, cotangents = checkpoints.last_layer(), np.eye(3)[[0, 1, 2, 0]]
    assert last.n_parameters == (2 * 2 + 1) * 3
    assert last.gradients(0, POINTS, cotangents) == pytest.approx(
        np.einsum("nk,nkp->np", cotangents, jacobian)[:, -last.n_parameters :], abs=1e-5
    )
    assert last.logits(0, POINTS) == pytest.approx(checkpoints.logits(0, POINTS))


class NoLinear(Model):
    """Logits from one convolution."""

    def build(self, input_shape, n_classes):
        return nn.Sequential(nn.Conv2d(1, n_classes, 4), nn.Flatten())


def test_a_model_without_a_linear_layer_has_no_last_one():
    examples = examples_of()
    build = Builder(NoLinear(), examples.input_shape, 3)
    with pytest.raises(ConfigError, match="set `layers` to 'all'"):
        Checkpoints(build, lambda: initial_states(build, range(2)), examples).last_layer()
