"""Phases, objectives and learning rates against textbook formulas."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional as F

from pipeline.core.errors import ShapeError, TrainingError
from pipeline.training.schedule import OPTIMIZERS, Descent, Phase, ascent, cross_entropy, squared_error


def descent(**settings):
    return Descent(**{"epochs": 2, "batch_size": 4, "learning_rate": 0.1, **settings})


def phase(n_listed, *, drop_last=False, **settings):
    return Phase(points=np.zeros((1, n_listed), np.int64), objective=cross_entropy, descent=descent(**settings), drop_last=drop_last)


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        ("constant", lambda _: 1),
        ("linear", lambda step: 1 - step / 12),
        ("cosine", lambda step: (1 + math.cos(math.pi * step / 12)) / 2),
        ("exponential", lambda step: 0.95 ** (step // 4)),
    ],
)
def test_learning_rates_follow_their_formulas(schedule, expected):
    rates = [descent(schedule=schedule).learning_rate_at(step, n_steps=12, steps_per_epoch=4) for step in range(12)]
    assert rates == pytest.approx([0.1 * expected(step) for step in range(12)])


@pytest.mark.parametrize("scale", [1, 50])
def test_cross_entropy_equals_torchs_in_value_and_gradient(scale):
    drawn = torch.Generator().manual_seed(0)
    logits, labels = scale * torch.randn(9, 5, generator=drawn, dtype=torch.float64), torch.randint(0, 5, (9,), generator=drawn)
    ours, theirs = logits.clone().requires_grad_(), logits.clone().requires_grad_()
    torch.autograd.backward(cross_entropy(ours, labels, torch.zeros(1)))
    torch.autograd.backward(F.cross_entropy(theirs, labels))
    assert cross_entropy(logits, labels, torch.zeros(1)) == pytest.approx(float(F.cross_entropy(logits, labels)))
    assert torch.allclose(ours.grad, theirs.grad, atol=1e-12)


def test_ascent_is_cross_entropy_upside_down():
    logits, labels = torch.tensor([[2.0, 0.0]]), torch.tensor([1])
    assert ascent(logits, labels, torch.zeros(1)) == -cross_entropy(logits, labels, torch.zeros(1)) < 0


def test_squared_error_is_averaged_over_batch_and_classes():
    assert squared_error(torch.tensor([[1.0, 0.0], [0.0, 0.0]]), torch.tensor([0, 0]), torch.zeros(2, 2)) == 0.25


@given(n_listed=st.integers(1, 40), batch_size=st.integers(1, 40), epochs=st.integers(1, 5))
def test_training_drops_a_short_last_batch_and_fine_tuning_keeps_it(n_listed, batch_size, epochs):
    settings = {"batch_size": batch_size, "epochs": epochs}
    training, tuning = phase(n_listed, drop_last=True, **settings), phase(n_listed, **settings)
    assert tuning.n_samples == epochs * n_listed
    assert tuning.steps_per_epoch == math.ceil(n_listed / min(batch_size, n_listed))
    assert training.n_samples == epochs * training.steps_per_epoch * min(batch_size, n_listed)
    assert training.steps_per_epoch == max(1, n_listed // batch_size)


def test_a_phase_of_no_steps_is_an_error():
    with pytest.raises(TrainingError, match="0 steps; list at least one point"):
        phase(0)


def test_targets_must_be_of_the_listed_points():
    with pytest.raises(ShapeError, match="one target for each"):
        Phase(points=np.zeros((2, 3), np.int64), objective=squared_error, descent=descent(), drop_last=False, targets=np.zeros((2, 4, 5), np.float32))


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimizer_of_the_table_can_be_chosen_and_moves_a_parameter(name):
    parameter = torch.ones(3, requires_grad=True)
    optimizer = descent(optimizer=name, momentum=0.5, weight_decay=0.1).build_optimizer([parameter])
    (parameter**2).sum().backward()
    optimizer.step()
    assert not torch.equal(parameter, torch.ones(3))
