"""Features are the inputs of the last linear layer; difficulty is the gradient that autograd finds there."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from pipeline.data.datasets.planted import Planted
from pipeline.models.base import Model
from pipeline.models.cnn import Cnn
from pipeline.models.logistic import Logistic
from pipeline.models.mlp import Mlp
from pipeline.training import sizing
from pipeline.training.ensemble import Builder, States, compute_logits, initial_states, take
from pipeline.training.features import difficulty, joint_features, last_features
from pipeline.training.feeds import Resident

FLAT = Planted(n_train=20, n_validation=4).load()
LABELS = FLAT.labels
IMAGES = torch.from_numpy(np.random.default_rng(0).normal(size=(24, 1, 6, 6)).astype(np.float32))
MODELS = [
    Logistic(zero_init=False),
    Mlp(width=8),
    Mlp(width=8, depth=3, dropout=0.5),
    Cnn(width=2),
    Cnn(width=2, batch_norm=False),
]
every_model = pytest.mark.parametrize("model", MODELS, ids=repr)


class Bilinear(nn.Module):
    """A head that is no nn.Linear."""

    def __init__(self, n_inputs: int, n_classes: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(n_classes, n_inputs))

    def forward(self, x):
        return F.linear(torch.tanh(x), self.weight)


class Unusual(nn.Module):
    """The head is listed first; behind it are a layer that runs twice and one that serves training alone."""

    def __init__(self, n_inputs: int, n_classes: int) -> None:
        super().__init__()
        self.head, self.twice, self.aside = (
            nn.Linear(n_inputs, n_classes),
            nn.Linear(n_inputs, n_inputs),
            nn.Linear(n_inputs, n_classes),
        )

    def body(self, x):
        return torch.relu(self.twice(torch.relu(self.twice(x))))

    def forward(self, x):
        logits = self.head(self.body(x))
        return logits + self.aside(x) if self.training else logits


class Own(Model):
    """A user's model, by the class of its module."""

    module: type[nn.Module]

    def build(self, input_shape, n_classes):
        return self.module(input_shape[0], n_classes)


def trained(model, n_members=3) -> tuple[Builder, States, torch.Tensor]:
    """Return a builder, the states of members that differ, buffers and all, and inputs."""
    build = Builder(model, (1, 6, 6) if isinstance(model, Cnn) else FLAT.input_shape, FLAT.n_classes)
    states = initial_states(build, range(n_members))
    inputs = IMAGES if isinstance(model, Cnn) else Resident.place(FLAT).inputs
    for name, value in states.items():
        if "running" in name:
            states[name] = value + torch.rand(value.shape, generator=torch.Generator().manual_seed(0))
    return build, states, inputs


def module_of(build, states, member):
    built = build().eval()
    built.load_state_dict({name: value[0] for name, value in take(states, member, member + 1).items()})
    return built


@every_model
def test_features_are_what_everything_before_the_last_layer_returns(model, monkeypatch):
    monkeypatch.setattr(sizing, "EVALUATION_BATCH", 7)
    build, states, inputs = trained(model)
    features, logits = last_features(build(), states, inputs)
    for member in range(3):
        layers = module_of(build, states, member)
        with torch.no_grad():
            assert np.allclose(features[member], layers[:-1](inputs), atol=1e-6)
            assert np.allclose(logits[member], layers(inputs), atol=1e-6)
    assert np.abs(logits - compute_logits(build(), states, inputs, kind="looped")).max() < 1e-5


def test_the_last_layer_is_the_one_that_runs_last_not_the_one_listed_last():
    build, states, inputs = trained(Own(module=Unusual))
    features, logits = last_features(build(), states, inputs)
    with torch.no_grad():
        assert np.allclose(features[1], module_of(build, states, 1).body(inputs), atol=1e-6)
        assert np.allclose(logits[1], module_of(build, states, 1)(inputs), atol=1e-6)


def test_a_model_without_a_linear_layer_has_its_logits_for_features():
    build, states, inputs = trained(Own(module=Bilinear))
    features, logits = last_features(build(), states, inputs)
    assert logits.shape == (3, 24, 3)
    assert np.array_equal(features, logits)


@every_model
def test_what_is_given_is_left_alone(model):
    build, states, inputs = trained(model)
    template = build()
    before, given = (
        {name: value.clone() for name, value in template.state_dict().items()},
        {name: value.clone() for name, value in states.items()},
    )
    first, second = (last_features(template, states, inputs)[0] for _ in range(2))
    assert np.array_equal(first, second)
    assert template.training
    assert all(torch.equal(value, before[name]) for name, value in template.state_dict().items())
    assert all(torch.equal(value, given[name]) for name, value in states.items())


@every_model
def test_difficulty_is_the_norm_of_the_gradient_that_autograd_finds_in_the_last_layer(model):
    build, states, inputs = trained(model)
    norms = np.zeros((3, len(inputs)))
    for member in range(3):
        layers = module_of(build, states, member)
        last = [layers[-1].weight, layers[-1].bias]
        for point, label in enumerate(LABELS):
            loss = F.cross_entropy(layers(inputs[point : point + 1]), torch.tensor([label]))
            norms[member, point] = float(
                torch.cat([grad.flatten() for grad in torch.autograd.grad(loss, last)]).norm()
            )
    features, logits = last_features(build(), states, inputs)
    assert difficulty(features, logits, LABELS) == pytest.approx(norms.mean(axis=0), rel=1e-4)


def test_large_logits_do_not_overflow_and_sure_points_are_easy():
    logits = np.array([[[1e4, 0.0], [0.0, 1e4], [0.0, 0.0]]], np.float32)
    found = difficulty(np.zeros((1, 3, 2), np.float32), logits, np.array([0, 0, 0]))
    assert found == pytest.approx([0, np.sqrt(2), np.sqrt(0.5)])


def test_inner_products_of_joint_features_are_mean_cosines():
    features = np.random.default_rng(0).normal(size=(4, 6, 5))
    joint = joint_features(features)
    lengths = np.linalg.norm(features, axis=2)
    cosines = np.einsum("mif,mjf->mij", features, features) / (lengths[:, :, None] * lengths[:, None, :])
    assert joint @ joint.T == pytest.approx(cosines.mean(axis=0))
    assert np.linalg.norm(joint, axis=1) == pytest.approx(1)


def test_a_point_without_features_is_like_no_other():
    features = np.ones((2, 3, 4))
    features[0, 1] = 0
    joint = joint_features(features)
    assert np.isfinite(joint).all()
    assert (joint @ joint.T)[1] == pytest.approx([0.5, 0.5, 0.5])


def test_a_model_that_averages_flips_shows_the_mean_features_of_both_images():
    build, states, inputs = trained(Cnn(width=2, flip_average=True))
    plain = Builder(Cnn(width=2), (1, 6, 6), FLAT.n_classes)
    features, logits = last_features(build(), states, inputs)
    one, other = (last_features(plain(), states, images) for images in (inputs, inputs.flip(-1)))
    assert np.allclose(features, (one[0] + other[0]) / 2, atol=1e-6)
    assert np.abs(logits - compute_logits(build(), states, inputs, kind="stacked")).max() < 1e-5
