"""A member is a mask and a seed.

It does not depend on the caller or the range, and its mask shows exactly what it has seen.
"""

import numpy as np
import pytest
import torch
from planted_truth import planted_weights
from torch import nn
from torch.nn import functional

from pipeline.core.errors import ConfigError
from pipeline.data.datasets.planted import Planted
from pipeline.models.base import Model
from pipeline.models.logistic import Logistic
from pipeline.models.mlp import Mlp
from pipeline.training import sizing
from pipeline.training.ensemble import Builder, compute_logits, initial_states, n_members
from pipeline.training.feeds import Resident
from pipeline.training.populations import check_model, choose_ensemble, member_masks, train_members
from pipeline.training.recipe.recipe import Recipe

EXAMPLES = Planted(n_train=40, n_validation=10).load()


def build(model):
    return Builder(model, EXAMPLES.input_shape, EXAMPLES.n_classes)


def recipe(**settings):
    return Recipe(**{"epochs": 2, "batch_size": 10, "learning_rate": 0.1, **settings})


class Flat(Model):
    """A model with something wrong, chosen by name."""

    fault: str

    def build(self, input_shape, n_classes):
        return {
            "narrow": nn.Linear(input_shape[0], n_classes - 1),
            "wrong_inputs": nn.Linear(input_shape[0] + 1, n_classes),
            "tuple": nn.LSTM(input_shape[0], n_classes),
            "dropping": Dropping(input_shape[0], n_classes),
            "hungry": Hungry(input_shape[0], n_classes),
            "fine": nn.Linear(input_shape[0], n_classes),
        }[self.fault]


def test_a_member_does_not_depend_on_the_range_it_is_made_in():
    whole = member_masks("purpose", range(6), n_train=40, keep_fraction=0.5, forget=None)
    assert np.array_equal(
        whole[4:], member_masks("purpose", range(4, 6), n_train=40, keep_fraction=0.5, forget=None)
    )
    states = initial_states(build(Mlp(width=4)), [7, 8, 9])
    assert all(
        torch.equal(value[1:2], initial_states(build(Mlp(width=4)), [8])[name])
        for name, value in states.items()
    )


def test_subset_masks_keep_the_same_number_of_points_and_differ():
    masks = member_masks("purpose", range(50), n_train=40, keep_fraction=0.3, forget=None)
    assert (masks.sum(axis=1) == 12).all()
    assert len(np.unique(masks, axis=0)) == 50
    assert not np.array_equal(
        masks, member_masks("other", range(50), n_train=40, keep_fraction=0.3, forget=None)
    )


def test_oracles_have_seen_all_but_the_forget_set():
    masks = member_masks("purpose", range(3), n_train=40, keep_fraction=None, forget=np.array([2, 39]))
    assert [np.flatnonzero(~mask).tolist() for mask in masks] == [[2, 39]] * 3
    assert member_masks("purpose", range(2), n_train=40, keep_fraction=None, forget=None).all()


def test_a_model_has_seen_exactly_the_points_of_its_mask():
    """Points outside the mask may hold anything, even NaN, without a trace."""
    forget = np.array([0, 7, 31])
    masks = member_masks("purpose", range(2), n_train=40, keep_fraction=None, forget=forget)
    clean = Resident.place(EXAMPLES)
    poisoned = Resident(clean.inputs.clone(), clean.labels)
    poisoned.inputs[forget] = float("nan")
    one, other = (
        train_members(build(Mlp(width=4)), recipe(), data, masks=masks, seeds=[1, 2], kind="stacked")
        for data in (clean, poisoned)
    )
    assert all(torch.equal(value, other[name]) for name, value in one.items())


def test_training_recovers_the_planted_datamodel():
    """One full-batch step from zero is linear in the mask, so the loop must train what the formula says."""
    masks = member_masks("planted", range(6), n_train=40, keep_fraction=0.5, forget=None)
    one_step = recipe(
        epochs=1, batch_size=20, learning_rate=0.7, momentum=0.0, weight_decay=0.0, schedule="constant"
    )
    data = Resident.place(EXAMPLES)
    states = train_members(build(Logistic()), one_step, data, masks=masks, seeds=range(6), kind="stacked")
    predicted = np.tensordot(
        masks.astype(float), planted_weights(EXAMPLES, learning_rate=0.7, n_kept=20), axes=1
    )
    assert (
        np.abs(compute_logits(build(Logistic())(), states, data.inputs, kind="stacked") - predicted).max()
        < 1e-5
    )


def test_torchs_global_generator_is_left_as_it_was():
    torch.manual_seed(3)
    before = torch.get_rng_state()
    initial_states(build(Mlp(width=4)), [1, 2])
    assert torch.equal(torch.get_rng_state(), before)


def test_seeds_decide_the_start():
    states = initial_states(build(Mlp(width=4)), [1, 2, 1])
    assert n_members(states) == 3
    assert all(torch.equal(value[0], value[2]) for value in states.values())
    assert not torch.equal(states["1.weight"][0], states["1.weight"][1])


@pytest.mark.parametrize(
    ("model", "settings", "why"),
    [
        (Mlp(width=4, dropout=0.5), {}, "draws random numbers"),
        (Mlp(width=4), {"optimizer": "adafactor"}, "not element-wise"),
        (Mlp(width=4), {"precision": "bfloat16"}, "ignored by biased layers"),
        (Mlp(width=4), {"memory_format": "channels_last"}, "share each convolution"),
    ],
)
def test_what_cannot_be_stacked_exactly_is_looped_with_a_word_or_refused(model, settings, why):
    chosen = choose_ensemble(build(model), recipe(**settings), Resident.place(EXAMPLES), 40)
    assert chosen["kind"] == "looped"
    assert why in chosen["reason"]
    with pytest.raises(ConfigError, match="use 'auto' or 'looped'"):
        check_model(build(model), recipe(ensemble="stacked", **settings), EXAMPLES.inputs_of(np.arange(2)))


class Dropping(nn.Module):
    """Drops by a call in forward(), which no module shows."""

    def __init__(self, n_inputs, n_classes):
        super().__init__()
        self.layer = nn.Linear(n_inputs, n_classes)

    def forward(self, inputs):
        return functional.dropout(self.layer(inputs), 0.5, self.training)


def test_dropout_called_in_forward_is_found_by_a_trial():
    chosen = choose_ensemble(build(Flat(fault="dropping")), recipe(), Resident.place(EXAMPLES), 40)
    assert chosen["kind"] == "looped"
    assert "cannot be stacked" in chosen["reason"]
    with pytest.raises(ConfigError, match="use 'auto' or 'looped'"):
        check_model(
            build(Flat(fault="dropping")), recipe(ensemble="stacked"), EXAMPLES.inputs_of(np.arange(2))
        )


def test_auto_takes_the_faster_of_both_as_timed():
    chosen = choose_ensemble(build(Mlp(width=4)), recipe(), Resident.place(EXAMPLES), 40)
    assert chosen["kind"] == (
        "stacked" if chosen["seconds_stacked"] <= chosen["seconds_looped"] else "looped"
    )


class Hungry(nn.Module):
    """Has memory for ten members at once, as a small GPU may."""

    most = 10

    def __init__(self, n_inputs, n_classes):
        super().__init__()
        self.layer = nn.Linear(n_inputs, n_classes)

    def forward(self, inputs):
        weight = self.layer.weight
        if (
            torch._C._functorch.is_batchedtensor(weight)
            and len(torch._C._functorch.get_unwrapped(weight)) > self.most
        ):
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
        return self.layer(inputs)


def test_a_trial_that_memory_does_not_hold_takes_fewer_members_and_says_so(monkeypatch):
    monkeypatch.setattr(sizing, "_FITTED", {})
    chosen = choose_ensemble(build(Flat(fault="hungry")), recipe(), Resident.place(EXAMPLES), 40)
    assert (
        chosen["reason"]
        == "the faster of both when timed, in groups of 6, as memory does not hold 25 members at once"
    )
    with sizing.allowing(sizing.Allowance(memory_bytes=1000)):
        chosen = choose_ensemble(build(Flat(fault="hungry")), recipe(), Resident.place(EXAMPLES), 40)
    assert chosen == {"kind": "looped", "reason": "memory does not hold 2 members at once"}


def test_a_group_that_memory_does_not_hold_trains_in_halves_with_the_same_bits(monkeypatch):
    data, masks = Resident.place(EXAMPLES), np.ones((12, 40), bool)

    def train(most):
        monkeypatch.setattr(sizing, "_FITTED", {})
        monkeypatch.setattr(Hungry, "most", most)
        return train_members(
            build(Flat(fault="hungry")), recipe(), data, masks=masks, seeds=range(12), kind="stacked"
        )

    whole, halves = train(50), train(3)
    assert all(torch.equal(value, halves[name]) for name, value in whole.items())
    with pytest.raises(torch.OutOfMemoryError):
        train(0)


@pytest.mark.parametrize("kind", ["stacked", "looped"])
def test_a_user_may_insist(kind):
    assert (
        choose_ensemble(build(Mlp(width=4)), recipe(ensemble=kind), Resident.place(EXAMPLES), 40)["kind"]
        == kind
    )


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("narrow", r"returns torch.float32 \(2, 2\); expected floating-point logits of shape \(2, 3\)"),
        ("wrong_inputs", "cannot take inputs of shape"),
        ("tuple", "returns tuple"),
    ],
)
def test_a_model_that_does_not_fit_the_data_is_refused_before_compute(fault, message):
    with pytest.raises(ConfigError, match=message):
        check_model(build(Flat(fault=fault)), recipe(), EXAMPLES.inputs_of(np.arange(2)))


def test_a_model_that_fits_is_accepted():
    check_model(build(Flat(fault="fine")), recipe(), EXAMPLES.inputs_of(np.arange(2)))
