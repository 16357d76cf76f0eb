"""Phases, objectives and learning rates against textbook formulas."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional as F

from pipeline.core.errors import ShapeError, TrainingError
from pipeline.training.recipe.objectives import ascent, cross_entropy, squared_error
from pipeline.training.recipe.schedule import Descent, Moment, Phase, moments


def descent(**settings):
    return Descent(**{"epochs": 2, "batch_size": 4, "learning_rate": 0.1, **settings})


def phase(n_listed, *, drop_last=False, **settings):
    return Phase(
        points=np.zeros((1, n_listed), np.int64),
        objective=cross_entropy,
        descent=descent(**settings),
        drop_last=drop_last,
    )


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
    rates = [descent(schedule=schedule).learning_rate_at(Moment(step, 12, step / 4, 3)) for step in range(12)]
    assert rates == pytest.approx([0.1 * expected(step) for step in range(12)])


@pytest.mark.parametrize("scale", [1, 50])
def test_cross_entropy_equals_torchs_in_value_and_gradient(scale):
    drawn = torch.Generator().manual_seed(0)
    logits, labels = (
        scale * torch.randn(9, 5, generator=drawn, dtype=torch.float64),
        torch.randint(0, 5, (9,), generator=drawn),
    )
    ours, theirs = logits.clone().requires_grad_(), logits.clone().requires_grad_()
    torch.autograd.backward(cross_entropy(ours, labels, torch.zeros(1)))
    torch.autograd.backward(F.cross_entropy(theirs, labels))
    assert cross_entropy(logits, labels, torch.zeros(1)) == pytest.approx(
        float(F.cross_entropy(logits, labels))
    )
    assert torch.allclose(ours.grad, theirs.grad, atol=1e-12)


def test_ascent_is_cross_entropy_upside_down():
    logits, labels = torch.tensor([[2.0, 0.0]]), torch.tensor([1])
    assert ascent(logits, labels, torch.zeros(1)) == -cross_entropy(logits, labels, torch.zeros(1)) < 0


def test_squared_error_is_averaged_over_batch_and_classes():
    assert (
        squared_error(torch.tensor([[1.0, 0.0], [0.0, 0.0]]), torch.tensor([0, 0]), torch.zeros(2, 2)) == 0.25
    )


@given(n_listed=st.integers(1, 40), batch_size=st.integers(1, 40), epochs=st.integers(1, 5))
def test_training_drops_a_short_last_batch_and_fine_tuning_keeps_it(n_listed, batch_size, epochs):
    settings = {"batch_size": batch_size, "epochs": epochs}
    training, tuning = phase(n_listed, drop_last=True, **settings), phase(n_listed, **settings)
    assert tuning.n_samples == epochs * n_listed
    assert tuning.steps_per_epoch == math.ceil(n_listed / min(batch_size, n_listed))
    assert training.n_samples == epochs * training.steps_per_epoch * min(batch_size, n_listed)
    assert training.steps_per_epoch == max(1, n_listed // batch_size)


def test_a_phase_of_no_steps_is_an_error():
    with pytest.raises(TrainingError, match="no steps; list at least one point"):
        phase(0)


@pytest.mark.parametrize("shape", [(2, 3, 5), (3, 4, 5), (3, 5), (4,)])
def test_targets_must_reach_to_every_point(shape):
    with pytest.raises(ShapeError, match="looked up by point id"):
        Phase(
            points=np.array([[0, 3], [1, 2]]),
            objective=squared_error,
            descent=descent(),
            drop_last=False,
            targets=np.zeros(shape, np.float32),
        )


def rates_of(*phases, **settings):
    """Return the learning rate of every step of phases of (epochs, listed points, track), in batches of 4."""
    listed = [
        Phase(
            points=np.zeros((1, n_listed), np.int64),
            objective=cross_entropy,
            descent=descent(epochs=epochs, **settings),
            drop_last=True,
            track=track,
        )
        for epochs, n_listed, track in phases
    ]
    places = moments(listed, [phase.steps_per_epoch for phase in listed])
    return [
        [phase.descent.learning_rate_at(place) for place in steps]
        for phase, steps in zip(listed, places, strict=True)
    ]


def test_a_triangle_rises_from_nothing_to_its_peak_and_falls_per_step():
    (rates,) = rates_of((5, 8, None), schedule="triangle", peak_epoch=2)
    assert rates == pytest.approx(
        [0.1 * value for value in np.interp(np.arange(10) / 2, [0, 2, 5], [0, 1, 0])]
    )


@pytest.mark.parametrize(("peak", "expected"), [(0, [1, 0.75, 0.5, 0.25]), (2, [0, 0.25, 0.5, 0.75])])
def test_a_triangle_may_have_one_side_only(peak, expected):
    (rates,) = rates_of((2, 8, None), schedule="triangle", peak_epoch=peak)
    assert rates == pytest.approx([0.1 * share for share in expected])


@pytest.mark.parametrize("schedule", ["linear", "cosine", "exponential"])
def test_phases_of_one_track_share_a_schedule_that_spans_them(schedule):
    (whole,) = rates_of((4, 8, None), schedule=schedule)
    parts = rates_of((1, 8, "a"), (2, 8, "a"), (1, 8, "a"), schedule=schedule)
    assert [rate for part in parts for rate in part] == whole


def test_other_tracks_and_phases_without_one_have_a_schedule_of_their_own():
    first, lone, second = rates_of((1, 8, "a"), (1, 4, None), (1, 4, "b"), schedule="linear")
    assert (first, lone, second) == ([0.1, 0.05], [0.1], [0.1])


def test_a_peak_counts_epochs_of_the_whole_track_whatever_their_steps():
    first, second = rates_of((2, 8, "a"), (2, 4, "a"), schedule="triangle", peak_epoch=3)
    assert [*first, *second] == pytest.approx([0.1 * share for share in (0, 1 / 6, 1 / 3, 1 / 2, 2 / 3, 1)])


def test_phases_that_cannot_share_an_optimiser_are_refused_with_the_difference():
    points = np.zeros((1, 4), np.int64)
    phases = [
        Phase(
            points=points,
            objective=cross_entropy,
            descent=descent(momentum=momentum, epochs=epochs),
            drop_last=True,
            track="a",
        )
        for momentum, epochs in ((0.9, 1), (0.0, 2))
    ]
    with pytest.raises(TrainingError, match="track 'a' differ in momentum, but share one optimiser"):
        moments(phases, [1, 1])
