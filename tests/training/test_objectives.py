"""Objectives against torch's own losses, stacked against single, and their derivatives against autograd."""

import numpy as np
import pytest
import torch
from torch.func import vmap
from torch.nn import functional as F

from pipeline.training.recipe.objectives import (
    TRAINING_OBJECTIVES,
    Ascent,
    CrossEntropy,
    KlToTeacher,
    LabelSquaredError,
    SquaredError,
    WeightedSum,
    cross_entropy,
)

DRAWN = torch.Generator().manual_seed(0)
LOGITS, TARGETS = (3 * torch.randn(9, 5, generator=DRAWN, dtype=torch.float64) for _ in range(2))
LABELS = torch.randint(0, 5, (9,), generator=DRAWN)
ONE_HOT = F.one_hot(LABELS, 5).double()
KL = F.kl_div(
    F.log_softmax(LOGITS / 4, 1), F.log_softmax(TARGETS / 4, 1), reduction="batchmean", log_target=True
)
SCRUB = WeightedSum(((0.99, CrossEntropy()), (0.1, KlToTeacher(4.0))))
FORMULAS = [
    (CrossEntropy(0.1), F.cross_entropy(LOGITS, LABELS, label_smoothing=0.1)),
    (LabelSquaredError(), F.mse_loss(LOGITS, ONE_HOT)),
    (LabelSquaredError(0.2), F.mse_loss(LOGITS, 0.8 * ONE_HOT + 0.04)),
    (SquaredError(), F.mse_loss(LOGITS, TARGETS)),
    (KlToTeacher(4.0), 16 * KL),
    (Ascent(KlToTeacher(4.0)), -16 * KL),
    (SCRUB, 0.99 * F.cross_entropy(LOGITS, LABELS) + 1.6 * KL),
]


@pytest.mark.parametrize(("objective", "expected"), FORMULAS, ids=lambda value: repr(value)[:40])
def test_objectives_follow_torchs_formulas(objective, expected):
    assert float(objective(LOGITS, LABELS, TARGETS)) == pytest.approx(float(expected))


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    "objective", [objective for objective, _ in FORMULAS], ids=lambda value: repr(value)[:40]
)
def test_a_stack_of_members_has_each_ones_loss_and_gradient(objective):
    """Without a rule for vmap torch warns that it runs members one by one; a warning is an error here."""
    stacked, alone = (torch.stack([LOGITS, 2 * LOGITS]).requires_grad_() for _ in range(2))
    labels, targets = torch.stack([LABELS, LABELS]), torch.stack([TARGETS, -TARGETS])
    torch.autograd.backward(vmap(objective)(stacked, labels, targets).sum())
    torch.autograd.backward(
        sum(objective(alone[member], labels[member], targets[member]) for member in (0, 1))
    )
    assert torch.allclose(stacked.grad, alone.grad, atol=1e-12)


def test_without_smoothing_the_loss_is_todays_bit_for_bit():
    logits = LOGITS.float()
    today = (torch.logsumexp(logits, dim=1) - logits.gather(1, LABELS[:, None])[:, 0]).mean()
    assert torch.equal(cross_entropy(logits, LABELS, torch.zeros(1)), today)


def test_a_teacher_that_agrees_costs_nothing_and_confident_ones_are_finite():
    assert float(KlToTeacher()(TARGETS, LABELS, TARGETS)) == pytest.approx(0, abs=1e-12)
    assert np.isfinite(float(KlToTeacher()(1e4 * LOGITS, LABELS, -1e4 * TARGETS)))


@pytest.mark.parametrize("label_smoothing", [0.0, 0.2])
@pytest.mark.parametrize("name", TRAINING_OBJECTIVES)
def test_derivatives_by_the_logits_are_autograds(name, label_smoothing):
    objective = TRAINING_OBJECTIVES[name](label_smoothing=label_smoothing)
    slopes, curvatures = (
        objective.slopes(LOGITS.numpy(), LABELS.numpy()),
        objective.curvatures(LOGITS.numpy()),
    )
    for point in range(9):

        def loss(logits, point=point):
            return objective(logits[None], LABELS[point : point + 1], torch.zeros(1))

        assert slopes[point] == pytest.approx(torch.autograd.functional.jacobian(loss, LOGITS[point]).numpy())
        assert curvatures[point] == pytest.approx(
            torch.autograd.functional.hessian(loss, LOGITS[point]).numpy(), abs=1e-12
        )
