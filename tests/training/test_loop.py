"""The training loop equals a plain torch loop for any grouping of members, and leaves its inputs alone."""

import copy
import dataclasses
import itertools

import numpy as np
import pytest
import torch
from torch import nn
from torch.func import functional_call
from torch.nn import functional as F

from pipeline.core.errors import ShapeError
from pipeline.data.datasets.planted import Planted
from pipeline.models.base import Model
from pipeline.models.cnn import Cnn
from pipeline.models.logistic import Logistic
from pipeline.models.mlp import Mlp
from pipeline.training import sizing
from pipeline.training.ensemble import Builder, compute_logits, initial_states, join, take
from pipeline.training.feeds import Resident
from pipeline.training.loop import batches, epoch_orders, run_phases
from pipeline.training.recipe.objectives import cross_entropy, squared_error
from pipeline.training.recipe.optimizers import ELEMENTWISE
from pipeline.training.recipe.schedule import Descent, Phase

MODELS = [
    Logistic(zero_init=False),
    Mlp(width=8),
    Mlp(width=8, depth=2),
    Cnn(width=2),
    Cnn(width=2, batch_norm=False),
]
FLAT = Planted(n_train=40, n_validation=10).load()
IMAGES = np.random.default_rng(0).normal(size=(50, 1, 6, 6)).astype(np.float32)


def data_for(model):
    flat = Resident.place(FLAT)
    return Resident(torch.from_numpy(IMAGES), flat.labels) if isinstance(model, Cnn) else flat


def builder_of(model):
    return Builder(model, (1, 6, 6) if isinstance(model, Cnn) else FLAT.input_shape, FLAT.n_classes)


def batch_orders(points, epochs, seeds, n_points=None):
    """Return the orders (n_members, epochs, n_listed) of the first epochs."""
    return np.stack(list(itertools.islice(epoch_orders(points, seeds, n_points), epochs)), axis=1)


def training(n_members, *, drop_last=True, n_listed=20, **settings):
    points = np.stack(
        [np.random.default_rng(member).permutation(40)[:n_listed] for member in range(n_members)]
    )
    descent = Descent(
        **{"epochs": 2, "batch_size": 8, "learning_rate": 0.05, "schedule": "linear", **settings}
    )
    return Phase(points=points, objective=cross_entropy, descent=descent, drop_last=drop_last)


def members_of(phase, ids):
    return Phase(
        points=phase.points[ids], objective=phase.objective, descent=phase.descent, drop_last=phase.drop_last
    )


def equal(one, other):
    return all(torch.equal(value, other[name]) for name, value in one.items())


@pytest.mark.parametrize("model", MODELS, ids=repr)
def test_bits_of_stacked_members_do_not_depend_on_their_company(model, monkeypatch):
    monkeypatch.setattr(sizing, "GROUP_SIZE", 3)
    build, data, seeds = builder_of(model), data_for(model), list(range(7))
    phase = training(7, optimizer="adam", weight_decay=0.01)
    states = initial_states(build, seeds)
    together = run_phases(build(), states, [phase], data, seeds=seeds, kind="stacked")
    monkeypatch.setattr(sizing, "GROUP_SIZE", 50)
    order = [6, 2, 0, 5, 1, 3, 4]
    other = run_phases(
        build(),
        {name: value[order] for name, value in states.items()},
        [members_of(phase, order)],
        data,
        seeds=order,
        kind="stacked",
    )
    alone = join(
        run_phases(build(), take(states, i, i + 1), [members_of(phase, [i])], data, seeds=[i], kind="stacked")
        for i in seeds
    )
    assert equal(together, alone)
    assert equal({name: value[order] for name, value in together.items()}, other)
    logits = compute_logits(build(), together, data.inputs, kind="stacked")
    assert np.array_equal(
        logits[4:5], compute_logits(build(), take(together, 4, 5), data.inputs, kind="stacked")
    )


@pytest.mark.parametrize("model", MODELS, ids=repr)
def test_stacked_members_equal_looped_ones(model):
    build, data, seeds = builder_of(model), data_for(model), [3, 1, 4]
    states, phase = initial_states(build, seeds), training(3)
    stacked, looped = (
        run_phases(build(), states, [phase], data, seeds=seeds, kind=kind) for kind in ("stacked", "looped")
    )
    for name, value in stacked.items():
        assert (value.dtype, value.shape) == (looped[name].dtype, looped[name].shape)
        assert torch.allclose(value.float(), looped[name].float(), atol=1e-4)
    both = [compute_logits(build(), stacked, data.inputs, kind=kind) for kind in ("stacked", "looped")]
    assert np.abs(both[0] - both[1]).max() < 1e-4


@pytest.mark.parametrize("kind", ["stacked", "looped"])
@pytest.mark.parametrize("optimizer", ELEMENTWISE)
@pytest.mark.parametrize("drop_last", [True, False])
def test_the_loop_is_a_plain_torch_loop(kind, optimizer, drop_last):
    build, data = builder_of(Mlp(width=8)), data_for(Mlp())
    phase = training(
        1,
        optimizer=optimizer,
        weight_decay=0.01,
        drop_last=drop_last,
        schedule="linear",
        epochs=3,
        momentum=0.9,
    )
    states = initial_states(build, [5])
    ours = run_phases(build(), states, [phase], data, seeds=[5], kind=kind)
    module = build()
    module.load_state_dict({name: value[0] for name, value in states.items()})
    momentum = {"momentum": 0.9} if optimizer in ("sgd", "rmsprop") else {}
    stepper = ELEMENTWISE[optimizer](module.parameters(), lr=0.05, weight_decay=0.01, **momentum)
    order = batch_orders(phase.points, 3, [(5, 0)])[0]
    step, n_steps = 0, 3 * (2 if drop_last else 3)
    for epoch in range(3):
        for start in range(0, 16 if drop_last else 20, 8):
            batch = torch.from_numpy(phase.points[0][order[epoch][start : start + 8]])
            for group in stepper.param_groups:
                group["lr"] = 0.05 * (1 - step / n_steps)
            stepper.zero_grad()
            F.cross_entropy(module(data.inputs[batch]), data.labels[batch]).backward()
            stepper.step()
            step += 1
    for name, value in module.state_dict().items():
        assert torch.allclose(ours[name][0], value, atol=2e-5)


def test_every_epoch_visits_every_listed_point_once_in_an_order_of_its_own():
    lists = np.tile(np.arange(9), (3, 1))
    orders = batch_orders(lists, 4, [(1, 0), (2, 0), (1, 1)])
    assert np.array_equal(np.sort(orders, axis=2), np.broadcast_to(np.arange(9), (3, 4, 9)))
    assert len({tuple(order) for order in orders.reshape(-1, 9).tolist()}) == 12
    assert np.array_equal(orders[1:2], batch_orders(lists[:1], 4, [(2, 0)]))


def test_members_of_one_seed_meet_the_points_they_share_in_one_order():
    lists = np.array([[0, 2, 3, 5, 8], [1, 2, 3, 6, 8]])
    orders = batch_orders(lists, 6, [(4, 0), (4, 0)], n_points=9)
    one, other = (
        np.take_along_axis(np.tile(listed, (6, 1)), order, axis=1)
        for listed, order in zip(lists, orders, strict=True)
    )
    shared = [
        [[point for point in epoch if point in (2, 3, 8)] for epoch in visited.tolist()]
        for visited in (one, other)
    ]
    assert shared[0] == shared[1]
    assert len({tuple(epoch) for epoch in one.tolist()}) > 1
    assert np.array_equal(np.sort(one, axis=1), np.tile(lists[0], (6, 1)))


def test_targets_go_with_their_points():
    """Each point has a target that names it.

    Matching must pull its own logits there, whatever the order of visits.
    """
    build, data = builder_of(Mlp(width=32)), data_for(Mlp())
    points = np.array([[5, 3, 11, 7, 0, 9, 1, 4]])
    targets = np.random.default_rng(0).normal(size=(1, 50, FLAT.n_classes)).astype(np.float32)
    descent = Descent(epochs=150, batch_size=5, learning_rate=0.02, optimizer="adam")
    phase = Phase(points=points, objective=squared_error, descent=descent, drop_last=False, targets=targets)
    states = run_phases(build(), initial_states(build, [0]), [phase], data, seeds=[0], kind="stacked")
    found = compute_logits(build(), states, data.inputs, kind="stacked")[:, points[0]]
    assert np.abs(found - targets[:, points[0]]).mean() < 0.3


@pytest.mark.parametrize("kind", ["stacked", "looped"])
def test_what_is_given_is_left_alone(kind):
    build, data, model = builder_of(Cnn(width=2)), data_for(Cnn()), build_template()
    states, template = initial_states(build, [0, 1]), copy.deepcopy(model.state_dict())
    before, inputs = copy.deepcopy(states), data.inputs.clone()
    after = run_phases(model, states, [training(2)], data, seeds=[0, 1], kind=kind)
    assert equal(states, before)
    assert equal(model.state_dict(), template)
    assert torch.equal(data.inputs, inputs)
    assert not any(torch.equal(value, states[name]) for name, value in after.items())


def build_template():
    return builder_of(Cnn(width=2))()


class Normed(Model):
    """A tiny plug-in with batch norm over flat features, which cannot train on one point."""

    def build(self, input_shape, n_classes):
        return nn.Sequential(nn.Linear(input_shape[0], 4), nn.BatchNorm1d(4), nn.Linear(4, n_classes))


@pytest.mark.parametrize("kind", ["stacked", "looped"])
def test_a_last_batch_of_one_joins_the_one_before_where_batch_norm_needs_more(kind):
    build, data = builder_of(Normed()), data_for(Normed())
    states, phase = initial_states(build, [0, 1]), training(2, drop_last=False, n_listed=17)
    after = run_phases(build(), states, [phase], data, seeds=[0, 1], kind=kind)
    assert after["1.num_batches_tracked"].tolist() == [4, 4]
    assert all(torch.isfinite(value.float()).all() for value in after.values())


@pytest.mark.parametrize(
    ("model", "n_listed", "sizes"),
    [
        (Mlp(), 17, [8, 8, 1]),
        (Cnn(width=2), 17, [8, 8, 1]),
        (Normed(), 17, [8, 9]),
        (Normed(), 18, [8, 8, 2]),
    ],
)
def test_no_other_batch_is_moved(model, n_listed, sizes):
    parts = batches(training(1, drop_last=False, n_listed=n_listed), builder_of(model)(), data_for(model))
    assert [part.stop - part.start for part in parts] == sizes
    assert [part.start for part in parts[1:]] == [part.stop for part in parts[:-1]]


def test_phases_follow_each_other():
    build, data = builder_of(Mlp(width=8)), data_for(Mlp())
    states, first, second = initial_states(build, [0]), training(1), training(1, optimizer="adam")
    both = run_phases(build(), states, [first, second], data, seeds=[0], kind="stacked")
    assert not equal(both, run_phases(build(), states, [first], data, seeds=[0], kind="stacked"))
    assert not equal(both, run_phases(build(), states, [second, first], data, seeds=[0], kind="stacked"))


@pytest.mark.parametrize("kind", ["stacked", "looped"])
@pytest.mark.parametrize("optimizer", ["sgd", "adam", "muon"])
def test_alternating_phases_of_one_track_keep_their_moments(kind, optimizer):
    """Two phases of one epoch equal one phase of two epochs, up to the order of visits.

    With one batch there is no order of visits.
    """
    build, data = builder_of(Mlp(width=8)), data_for(Mlp())
    states, settings = (
        initial_states(build, [0, 1]),
        {"optimizer": optimizer, "momentum": 0.9, "batch_size": 20},
    )
    whole = run_phases(build(), states, [training(2, epochs=2, **settings)], data, seeds=[0, 1], kind=kind)
    halves = [
        dataclasses.replace(training(2, epochs=1, **settings), track=track) for track in ("a", "b", "a")
    ]
    together, apart = (
        run_phases(build(), states, chosen, data, seeds=[0, 1], kind=kind)
        for chosen in (halves[::2], halves[:2])
    )
    assert all(torch.allclose(value, whole[name], atol=1e-5) for name, value in together.items())
    assert not all(torch.allclose(value, whole[name], atol=1e-4) for name, value in apart.items())


@pytest.mark.parametrize("kind", ["stacked", "looped"])
def test_shared_targets_are_each_members_own(kind):
    build, data = builder_of(Mlp(width=8)), data_for(Mlp())
    states, targets = (
        initial_states(build, [0, 1]),
        np.random.default_rng(0).normal(size=(50, FLAT.n_classes)).astype(np.float32),
    )
    phase = dataclasses.replace(training(2), objective=squared_error, targets=targets)
    own = dataclasses.replace(phase, targets=np.stack([targets, targets]))
    assert equal(
        *(run_phases(build(), states, [given], data, seeds=[0, 1], kind=kind) for given in (phase, own))
    )


def test_a_function_of_the_users_own_is_an_objective():
    build, data = builder_of(Mlp(width=8)), data_for(Mlp())
    states, phase = (
        initial_states(build, [0, 1]),
        dataclasses.replace(training(2), objective=lambda logits, labels, _: F.cross_entropy(logits, labels)),
    )
    ours, theirs = (
        run_phases(build(), states, [given], data, seeds=[0, 1], kind="stacked")
        for given in (training(2), phase)
    )
    assert all(torch.allclose(value, theirs[name], atol=1e-5) for name, value in ours.items())


def test_channels_last_moves_no_result_of_a_looped_member():
    build, data = builder_of(Cnn(width=2)), data_for(Cnn())
    states = initial_states(build, [0])
    plain, other = (
        run_phases(build(), states, [training(1, memory_format=given)], data, seeds=[0], kind="looped")
        for given in ("contiguous", "channels_last")
    )
    assert all(torch.allclose(value.float(), other[name].float(), atol=1e-4) for name, value in plain.items())
    assert all(value.is_contiguous() for value in other.values() if value.ndim < 5)


@pytest.mark.parametrize(("n_phase", "n_seeds"), [(2, 3), (3, 2)])
def test_a_phase_for_other_members_is_refused(n_phase, n_seeds):
    build = builder_of(Mlp(width=8))
    with pytest.raises(ShapeError, match="one list and one seed for each member"):
        run_phases(
            build(),
            initial_states(build, range(3)),
            [training(n_phase)],
            data_for(Mlp()),
            seeds=range(n_seeds),
            kind="stacked",
        )


def test_clipping_bounds_the_step_of_a_looped_member():
    build, data = builder_of(Mlp(width=8)), data_for(Mlp())
    states = initial_states(build, [0])
    phase = training(1, learning_rate=1.0, max_gradient_norm=1e-3, schedule="constant", epochs=1, n_listed=8)
    after = run_phases(build(), states, [phase], data, seeds=[0], kind="looped")
    moved = torch.cat([(after[name] - value).flatten() for name, value in states.items()]).norm()
    assert float(moved) == pytest.approx(1e-3, rel=1e-3)


def test_bfloat16_is_used_when_looped_and_comes_back_as_float32():
    build, data = builder_of(Mlp(width=8)), data_for(Mlp())
    states = initial_states(build, [0])
    exact, rough = (
        run_phases(build(), states, [training(1, precision=precision)], data, seeds=[0], kind="looped")
        for precision in ("float32", "bfloat16")
    )
    assert not equal(exact, rough)
    assert all(
        value.dtype == torch.float32 and torch.allclose(value, exact[name], atol=0.05)
        for name, value in rough.items()
    )


def test_torch_still_ignores_autocast_of_biased_layers_under_vmap():
    """The reason why bfloat16 members are looped.

    If this fails, torch has mended it and stacking may be allowed.
    """
    states = initial_states(builder_of(Mlp(width=8)), [0, 1])
    template = builder_of(Mlp(width=8))()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        stacked = torch.func.vmap(lambda state, x: functional_call(template, state, (x,)), in_dims=(0, None))(
            states, data_for(Mlp()).inputs
        )
        single = template(data_for(Mlp()).inputs)
    assert (stacked.dtype, single.dtype) == (torch.float32, torch.bfloat16)
