"""Optimisers take the steps of their formulas and of torch, for each member of a stack as for one alone."""

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from test_loop import builder_of, data_for, equal, members_of, training
from torch import nn

from pipeline.core.errors import ConfigError
from pipeline.models.cnn import Cnn
from pipeline.models.mlp import Mlp
from pipeline.training.ensemble import initial_states, take
from pipeline.training.loop import run_phases
from pipeline.training.recipe.optimizers import build_stepper, clip_gradients, orthogonalised, spared_of_decay
from pipeline.training.recipe.schedule import Descent
from pipeline.unlearning import UNLEARNERS

MUON = {"optimizer": "muon", "momentum": 0.9, "nesterov": True, "learning_rate": 0.02}


def descent(**settings):
    return Descent(**{"epochs": 2, "batch_size": 4, "learning_rate": 0.1, **settings})


def stepped(parameters, gradients, n_steps=3, *, template, n_leading=0, **settings):
    """Return parameters after steps of one descent, whose k-th gradient is k times those given."""
    moved = {name: value.clone().requires_grad_() for name, value in parameters.items()}
    stepper = build_stepper(descent(**settings), moved, template=template, n_leading=n_leading)
    for step in range(1, n_steps + 1):
        for name, value in moved.items():
            value.grad = step * gradients[name]
        stepper.step(settings.get("learning_rate", 0.1))
    return {name: value.detach() for name, value in moved.items()}


def random_like(template, seed, n_members=None):
    drawn = torch.Generator().manual_seed(seed)
    lead = () if n_members is None else (n_members,)
    return {
        name: torch.randn(*lead, *value.shape, generator=drawn) for name, value in template.named_parameters()
    }


def test_one_nesterov_step_by_hand():
    """v = g; w - rate (g + momentum v) = 1 - .1 (2 + .9 · 2), then v = 4 + 1.8, and so on."""
    found = stepped(
        {"weight": torch.ones(1, 1)},
        {"weight": torch.full((1, 1), 2.0)},
        2,
        template=nn.Linear(1, 1),
        momentum=0.9,
        nesterov=True,
    )
    first = 1 - 0.1 * (2 + 0.9 * 2)
    assert float(found["weight"]) == pytest.approx(first - 0.1 * (4 + 0.9 * (0.9 * 2 + 4)))


def test_orthogonalised_matrices_have_singular_values_near_one():
    matrices = torch.randn(3, 7, 4, generator=torch.Generator().manual_seed(0))
    left, _, right = torch.linalg.svd(matrices, full_matrices=False)
    found = orthogonalised(matrices)
    assert torch.linalg.svdvals(found).sub(1).abs().max() < 0.35
    # The directions stay: the same singular vectors, with other values.
    assert torch.allclose(
        left.mT @ found @ right.mT,
        torch.diag_embed((left.mT @ found @ right.mT).diagonal(dim1=1, dim2=2)),
        atol=1e-4,
    )


def test_orthogonalising_one_number_follows_the_polynomial():
    value = 1.0
    for _ in range(5):
        value = 3.4445 * value - 4.7750 * value**3 + 2.0315 * value**5
    assert float(orthogonalised(torch.tensor([[[-3.0]]]))) == pytest.approx(-value)


@pytest.mark.parametrize("shape", [(6, 4), (3, 5)])
@pytest.mark.parametrize("nesterov", [True, False])
def test_muon_is_torchs_in_float32(shape, nesterov, monkeypatch):
    """torch's rounds to bfloat16; without that rounding both take the same steps, decay and all."""
    monkeypatch.setattr(torch.Tensor, "bfloat16", torch.Tensor.clone)
    template = nn.Linear(shape[1], shape[0], bias=False)
    start, gradient = random_like(template, 0)["weight"], random_like(template, 1)["weight"]
    theirs = start.clone().requires_grad_()
    optimizer = torch.optim.Muon([theirs], lr=0.02, momentum=0.9, nesterov=nesterov, weight_decay=0.1)
    for step in (1, 2, 3):
        theirs.grad = step * gradient
        optimizer.step()
    settings = {**MUON, "nesterov": nesterov, "weight_decay": 0.1}
    ours = stepped({"weight": start}, {"weight": gradient}, template=template, **settings)
    assert torch.allclose(ours["weight"], theirs, atol=1e-5)


def test_muon_moves_kernels_as_matrices_and_all_else_by_adam_at_a_tenth_of_the_rate():
    template = nn.Sequential(nn.Conv2d(3, 4, 2), nn.BatchNorm2d(4))
    start, gradients = random_like(template, 0), random_like(template, 1)
    found = stepped(start, gradients, template=template, **MUON)
    flat = stepped(
        {"weight": start["0.weight"].flatten(1)},
        {"weight": gradients["0.weight"].flatten(1)},
        template=nn.Linear(12, 4, bias=False),
        **MUON,
    )
    assert torch.allclose(found["0.weight"].flatten(1), flat["weight"])
    adam = stepped(start, gradients, template=template, optimizer="adam", learning_rate=0.002)
    assert all(torch.allclose(found[name], adam[name]) for name in ("0.bias", "1.weight", "1.bias"))


@pytest.mark.parametrize(
    "settings",
    [
        MUON,
        {"momentum": 0.9, "nesterov": True},
        {"optimizer": "adamw", "weight_decay_on": "weights", "weight_decay": 0.1},
    ],
)
def test_a_stacked_member_steps_as_it_does_alone(settings):
    template = Cnn(width=3).build((1, 6, 6), 4)
    start, gradients = random_like(template, 0, n_members=3), random_like(template, 1, n_members=3)
    # One member's gradients must not scale another's step.
    gradients = {
        name: value * torch.tensor([1.0, 1e-4, 1e4]).view(-1, *[1] * (value.ndim - 1))
        for name, value in gradients.items()
    }
    together = stepped(start, gradients, template=template, n_leading=1, **settings)
    for member in range(3):
        alone = stepped(
            {name: value[member] for name, value in start.items()},
            {name: value[member] for name, value in gradients.items()},
            template=template,
            **settings,
        )
        assert all(torch.allclose(value[member], alone[name], atol=1e-5) for name, value in together.items())


def test_biases_and_normalisation_are_spared_of_decay_by_the_template_not_by_stacked_shapes():
    template = Cnn(width=2).build((1, 6, 6), 3)
    names = {name for name, _ in template.named_parameters()}
    assert names - spared_of_decay(template) == {"0.weight", "4.weight", "9.weight"}
    start, still = (
        random_like(template, 0, n_members=2),
        {name: torch.zeros(2, *value.shape) for name, value in template.named_parameters()},
    )
    found = stepped(
        start, still, 1, template=template, n_leading=1, weight_decay=0.5, weight_decay_on="weights"
    )
    assert {
        name for name, value in found.items() if not torch.equal(value, start[name])
    } == names - spared_of_decay(template)


def test_layers_that_normalise_over_several_axes_are_spared_too():
    assert spared_of_decay(nn.Sequential(nn.Linear(2, 3), nn.LayerNorm((4, 3)))) == {
        "0.bias",
        "1.weight",
        "1.bias",
    }


def test_each_stacked_member_is_clipped_by_its_own_norm_as_torch_clips_one():
    template = nn.Linear(4, 3)
    gradients = random_like(template, 1, n_members=3)
    gradients = {
        name: value * torch.tensor([0.01, 1.0, 100.0]).view(-1, *[1] * (value.ndim - 1))
        for name, value in gradients.items()
    }
    stacked = [value.clone().requires_grad_() for value in gradients.values()]
    for value, gradient in zip(stacked, gradients.values(), strict=True):
        value.grad = gradient.clone()
    clip_gradients(stacked, 1.0, n_leading=1)
    for member in range(3):
        single = [torch.zeros_like(value[member]).requires_grad_() for value in gradients.values()]
        for value, gradient in zip(single, gradients.values(), strict=True):
            value.grad = gradient[member].clone()
        nn.utils.clip_grad_norm_(single, 1.0)
        assert all(
            torch.allclose(value.grad[member], alone.grad, rtol=1e-5)
            for value, alone in zip(stacked, single, strict=True)
        )


PARTS = [
    MUON,
    {**MUON, "weight_decay": 0.1, "weight_decay_on": "weights"},
    {"momentum": 0.9, "nesterov": True},
    {"max_gradient_norm": 0.05},
    {"schedule": "triangle", "peak_epoch": 0.5},
]


@pytest.mark.parametrize("settings", PARTS, ids=str)
@pytest.mark.parametrize("model", [Mlp(width=8), Cnn(width=2)], ids=repr)
def test_stacked_members_equal_looped_ones_and_grouping_moves_no_bit(model, settings):
    build, data, seeds = builder_of(model), data_for(model), [3, 1, 4]
    states, phase = initial_states(build, seeds), training(3, **settings)
    stacked, looped = (
        run_phases(build(), states, [phase], data, seeds=seeds, kind=kind) for kind in ("stacked", "looped")
    )
    assert all(
        torch.allclose(value.float(), looped[name].float(), atol=1e-4) for name, value in stacked.items()
    )
    for start, stop in ((0, 1), (1, 3)):
        part = run_phases(
            build(),
            take(states, start, stop),
            [members_of(phase, list(range(start, stop)))],
            data,
            seeds=seeds[start:stop],
            kind="stacked",
        )
        assert equal(part, take(stacked, start, stop))


def test_an_optimiser_that_reads_whole_tensors_runs_members_one_by_one_wherever_it_is_used():
    build, data = builder_of(Mlp(width=8)), data_for(Mlp())
    states, phase = initial_states(build, [0, 1]), training(2, optimizer="adafactor")
    stacked, looped = (
        run_phases(build(), states, [phase], data, seeds=[0, 1], kind=kind) for kind in ("stacked", "looped")
    )
    assert equal(stacked, looped)


@pytest.mark.parametrize("name", ["sgd", "adam", "adamw", "rmsprop", "adafactor", "muon"])
def test_every_optimizer_of_the_setting_moves_a_parameter(name):
    template = nn.Linear(3, 2)
    start = random_like(template, 0)
    found = stepped(
        start, random_like(template, 1), 1, template=template, optimizer=name, momentum=0.5, weight_decay=0.1
    )
    assert not any(torch.equal(value, start[name]) for name, value in found.items())


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"nesterov": True}, "momentum above 0"),
        ({"optimizer": "adam", "nesterov": True, "momentum": 0.9}, "needs optimizer sgd or muon"),
        ({"schedule": "triangle"}, "needs peak_epoch"),
        ({"peak_epoch": 1}, "is for schedule 'triangle'"),
    ],
)
def test_parts_that_do_not_fit_together_are_refused(settings, message):
    with pytest.raises(ValidationError, match=message):
        descent(**settings)
    with pytest.raises(ConfigError, match=message):
        UNLEARNERS.build({"name": "dmm", "optimizer": "adam", "schedule": "constant", **settings})


def test_matching_may_use_muon():
    plugin = UNLEARNERS.build({"name": "oracle_matching", **MUON, "schedule": "linear"})
    assert plugin.descent() == Descent(epochs=7, batch_size=8, **MUON, schedule="linear")


def test_members_of_one_muon_stack_do_not_leak():
    """A member whose gradients are NaN spoils no other."""
    template = nn.Linear(3, 2)
    start, gradients = random_like(template, 0, n_members=3), random_like(template, 1, n_members=3)
    clean = stepped(start, gradients, template=template, n_leading=1, **MUON)
    for value in gradients.values():
        value[1] = np.nan
    spoilt = stepped(start, gradients, template=template, n_leading=1, **MUON)
    assert all(torch.equal(value[[0, 2]], clean[name][[0, 2]]) for name, value in spoilt.items())
