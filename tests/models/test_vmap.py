"""Every model gives equal outputs, gradients and buffers, stacked or alone, in training and evaluation."""

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state, vmap

from pipeline.models import MODELS
from pipeline.models.base import Model
from pipeline.models.cnn import Cnn
from pipeline.models.logistic import Logistic
from pipeline.models.mlp import Mlp

N_MEMBERS = 4
MODELS_TO_STACK: list[Model] = [
    Logistic(zero_init=False),
    Mlp(width=16, depth=2),
    Cnn(width=4),
    Cnn(width=4, batch_norm=False),
]


@pytest.fixture(params=MODELS_TO_STACK, ids=lambda model: f"{model.name}-{model.model_dump()}")
def members(request: pytest.FixtureRequest) -> list[nn.Module]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return [request.param.build((1, 8, 8), 10) for _ in range(N_MEMBERS)]


def batch() -> tuple[Tensor, Tensor]:
    drawn = torch.Generator().manual_seed(1)
    return torch.rand(N_MEMBERS, 12, 1, 8, 8, generator=drawn), torch.randint(
        0, 10, (N_MEMBERS, 12), generator=drawn
    )


def stacked_logits(
    skeleton: nn.Module, parameters: dict[str, Any], buffers: dict[str, Any], inputs: Tensor
) -> Tensor:
    logits: Tensor = vmap(lambda values, state, x: functional_call(skeleton, (values, state), (x,)))(
        parameters, buffers, inputs
    )
    return logits


def loss(logits: Tensor, labels: Tensor) -> Tensor:
    return nn.functional.cross_entropy(logits, labels)


def test_every_model_is_stacked_here() -> None:
    assert sorted({model.name for model in MODELS_TO_STACK}) == MODELS.names()


@pytest.mark.parametrize("training", [True, False])
def test_stacked_outputs_equal_those_of_each_member(members: list[nn.Module], training: bool) -> None:
    inputs, _ = batch()
    members = [member.train(training) for member in members]
    parameters, buffers = stack_module_state(members)
    together = stacked_logits(copy.deepcopy(members[0]), parameters, buffers, inputs)
    alone = torch.stack([member(x) for member, x in zip(members, inputs, strict=True)])
    assert (together - alone).abs().max() < 1e-5


def test_stacked_gradients_equal_those_of_each_member(members: list[nn.Module]) -> None:
    inputs, labels = batch()
    parameters, buffers = stack_module_state(members)
    torch.autograd.backward(
        vmap(loss)(stacked_logits(copy.deepcopy(members[0]), parameters, buffers, inputs), labels).sum()
    )
    for index, member in enumerate(members):
        torch.autograd.backward(loss(member(inputs[index]), labels[index]))
        for name, parameter in member.named_parameters():
            assert (parameters[name].grad[index] - parameter.grad).abs().max() < 1e-5


def test_batch_norm_statistics_move_in_the_stacked_buffers(members: list[nn.Module]) -> None:
    inputs, _ = batch()
    parameters, buffers = stack_module_state(members)
    for _ in range(2):
        stacked_logits(copy.deepcopy(members[0]), parameters, buffers, inputs)
    for index, member in enumerate(members):
        for _ in range(2):
            member(inputs[index])
        for name, buffer in member.named_buffers():
            assert (buffers[name][index] - buffer).abs().max() < 1e-5


def test_stacking_leaves_the_members_buffers_alone(members: list[nn.Module]) -> None:
    before = copy.deepcopy([member.state_dict() for member in members])
    parameters, buffers = stack_module_state(members)
    stacked_logits(copy.deepcopy(members[0]), parameters, buffers, batch()[0])
    for member, state in zip(members, before, strict=True):
        assert all(torch.equal(value, state[name]) for name, value in member.state_dict().items())
