"""The contract of every model.

A new model needs an entry in SETTINGS only if its defaults do not fit 8 x 8 images.
"""

import json
import pickle
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from torch import nn

from pipeline.core.errors import ConfigError
from pipeline.core.registry import describe
from pipeline.models import MODELS
from pipeline.models.base import Model
from pipeline.models.cnn import Cnn
from pipeline.models.logistic import Logistic
from pipeline.models.mlp import Mlp

SETTINGS: dict[str, dict[str, Any]] = {}


@pytest.fixture(params=MODELS.names())
def model(request: pytest.FixtureRequest) -> Model:
    return MODELS.build({"name": request.param, **SETTINGS.get(request.param, {})})


def built(model: Model, seed: int = 0) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return model.build((1, 8, 8), 10)


def test_models_are_documented_frozen_values(model: Model) -> None:
    field = next(iter(type(model).model_fields))
    with pytest.raises(ValidationError, match="frozen"):
        setattr(model, field, getattr(model, field))
    assert type(model).__doc__


def test_unknown_settings_are_refused(model: Model) -> None:
    with pytest.raises(ConfigError, match="typo: unknown setting; known: "):
        MODELS.build({**describe(model), "typo": 1})


def test_a_description_rebuilds_the_model(model: Model) -> None:
    assert MODELS.build(json.loads(json.dumps(describe(model)))) == model
    assert pickle.loads(pickle.dumps(model)) == model


def test_logits_have_one_column_for_each_class(model: Model) -> None:
    logits = built(model)(torch.rand(5, 1, 8, 8))
    assert logits.shape == (5, 10)
    assert logits.dtype == torch.float32


def test_the_seed_alone_sets_the_initial_values(model: Model) -> None:
    first, again = built(model).state_dict(), built(model).state_dict()
    assert all(torch.equal(first[key], again[key]) for key in first)


def test_another_seed_gives_another_start() -> None:
    for model in (Logistic(zero_init=False), Mlp(), Cnn()):
        assert not torch.equal(next(built(model, 0).parameters()), next(built(model, 1).parameters()))


def test_gradients_reach_every_parameter(model: Model) -> None:
    module = built(model)
    torch.autograd.backward(
        nn.functional.cross_entropy(module(torch.rand(20, 1, 8, 8)), torch.arange(20) % 10)
    )
    assert all(
        parameter.grad is not None and parameter.grad.abs().max() > 0 for parameter in module.parameters()
    )


def test_logistic_starts_at_zero() -> None:
    assert not built(Logistic())(torch.rand(3, 1, 8, 8)).any()


def test_mlp_has_the_layers_its_settings_say() -> None:
    plain, deep = built(Mlp(width=7)), built(Mlp(width=5, depth=3, dropout=0.5))
    assert [tuple(layer.weight.shape) for layer in plain.modules() if isinstance(layer, nn.Linear)] == [
        (7, 64),
        (10, 7),
    ]
    assert [tuple(layer.weight.shape) for layer in deep.modules() if isinstance(layer, nn.Linear)] == [
        (5, 64),
        (5, 5),
        (5, 5),
        (10, 5),
    ]
    assert sum(isinstance(layer, nn.Dropout) for layer in deep.modules()) == 3
    assert not any(isinstance(layer, nn.Dropout) for layer in plain.modules())


def test_cnn_has_buffers_only_with_batch_norm() -> None:
    assert list(built(Cnn()).buffers())
    assert not list(built(Cnn(batch_norm=False)).buffers())


@pytest.mark.parametrize("input_shape", [(64,), (8, 8), (1, 1, 8)])
def test_cnn_refuses_inputs_that_are_no_images(input_shape: tuple[int, ...]) -> None:
    with pytest.raises(ConfigError, match="expected \\(channels, height > 1, width > 1\\)"):
        Cnn().build(input_shape, 10)


@pytest.mark.parametrize(
    "shape", [(8, 8, 3), (32, 32, 3), (28, 28, 1), (480, 640, 3), (64, 64, 4), (5, 6, 3)]
)
def test_images_whose_channels_come_last_are_refused_with_the_remedy(shape: tuple[int, ...]) -> None:
    with pytest.raises(
        ConfigError, match=r"look like \(height, width, channels\).*images\.transpose\(0, 3, 1, 2\)"
    ):
        Cnn().build(shape, 10)


@pytest.mark.parametrize(
    "shape", [(3, 8, 8), (1, 28, 28), (3, 8, 3), (4, 6, 4), (512, 4, 4), (64, 3, 3), (128, 9, 3), (16, 8, 8)]
)
def test_images_whose_channels_come_first_are_taken(shape: tuple[int, ...]) -> None:
    assert Cnn(width=2).build(shape, 10).eval()(torch.rand(2, *shape)).shape == (2, 10)
