"""The parts of a model and their training: frozen parameters stay, and tied ones are trained one by one."""

import numpy as np
import pytest
import torch
from torch import nn

from pipeline.data.examples import Examples
from pipeline.models.base import Model
from pipeline.training.ensemble import Builder, initial_states, why_not_stackable
from pipeline.training.feeds import Resident
from pipeline.training.populations import check_model, train_members
from pipeline.training.recipe.recipe import Recipe

RECIPE = Recipe(epochs=1, batch_size=4, learning_rate=0.1)
INPUTS = np.random.default_rng(0).normal(size=(8, 5)).astype(np.float32)


class PartlyFrozen(Model):
    def build(self, input_shape, n_classes):
        module = nn.Sequential(nn.Linear(5, 4), nn.Linear(4, n_classes))
        module[0].requires_grad_(False)
        return module


class Tied(Model):
    def build(self, input_shape, n_classes):
        module = nn.Sequential(nn.Linear(5, 5), nn.Linear(5, 5), nn.Linear(5, n_classes))
        module[1].weight = module[0].weight
        return module


@pytest.mark.parametrize("kind", ["stacked", "looped"])
def test_frozen_parameters_stay_as_they_start(kind):
    build = Builder(PartlyFrozen(), (5,), 2)
    data = Resident.place(Examples(inputs=INPUTS, labels=np.arange(8) % 2, n_train=6, n_classes=2))
    states = train_members(build, RECIPE, data, masks=np.ones((2, 6), bool), seeds=[1, 2], kind=kind)
    start = initial_states(build, [1, 2])
    assert torch.equal(states["0.weight"], start["0.weight"])
    assert not torch.equal(states["1.weight"], start["1.weight"])


def test_a_model_with_tied_weights_is_trained_one_by_one():
    build = Builder(Tied(), (5,), 2)
    check_model(build, RECIPE, INPUTS[:2])
    assert "cannot be stacked" in why_not_stackable(build(), [RECIPE.descent()], torch.from_numpy(INPUTS))


def test_a_trial_leaves_torchs_random_numbers_as_a_build_does():
    build = Builder(PartlyFrozen(), (5,), 2)
    torch.manual_seed(0)
    build()
    expected = torch.rand(1)
    torch.manual_seed(0)
    check_model(build, RECIPE, INPUTS[:2])
    assert torch.equal(torch.rand(1), expected)
