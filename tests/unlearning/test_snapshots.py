"""Snapshots show the path and change nothing: the final models have the same bits without them."""

from typing import ClassVar

import numpy as np
import pytest
import torch
from torch import nn

from pipeline.core.errors import ConfigError, PipelineError
from pipeline.core.registry import identity
from pipeline.core.settings.neutral import setting
from pipeline.data.datasets.planted import Planted
from pipeline.models.base import Model
from pipeline.models.cnn import Cnn
from pipeline.models.mlp import Mlp
from pipeline.training import sizing
from pipeline.training.ensemble import Builder, compute_logits, initial_states, take
from pipeline.training.feeds import Resident, Streamed
from pipeline.training.recipe.schedule import Descent, Phase, ascent, cross_entropy
from pipeline.training.snapshots import Snapshots
from pipeline.unlearning import UNLEARNERS
from pipeline.unlearning.unlearner import Request, ScheduledUnlearner, Unlearned, Unlearner, same_for_all

EXAMPLES = Planted(n_train=40, n_validation=10).load()
FORGET = np.array([1, 5, 8, 20, 33])
DESCENDING = [plugin.name for plugin in UNLEARNERS.plugins if issubclass(plugin, ScheduledUnlearner)]
EVERY = [("epoch", 1), ("epoch", 2), ("step", 1), ("step", 3), ("step", 10_000)]
IMAGES = torch.from_numpy(np.random.default_rng(0).normal(size=(50, 1, 6, 6)).astype(np.float32))


class Restless(nn.Module):
    """A layer that draws random numbers even when it is evaluated."""

    def forward(self, x):
        return x + 0.1 * torch.randn_like(x)


class Noisy(Model):
    """A model whose every look at data moves torch's random numbers on."""

    def build(self, input_shape, n_classes):
        return nn.Sequential(
            nn.Flatten(),
            nn.Linear(int(np.prod(input_shape)), 8),
            nn.Dropout(0.5),
            Restless(),
            nn.Linear(8, n_classes),
        )


class TwoPhases(ScheduledUnlearner):
    """Two epochs on 5 points in batches of 2, then three on 7 points in batches of 4."""

    name: ClassVar[str] = "two_phases"

    def phases(self, request):
        first, second = (
            same_for_all(FORGET, len(request.seeds)),
            same_for_all(np.arange(10, 17), len(request.seeds)),
        )
        up, down = (
            Descent(epochs=2, batch_size=2, learning_rate=0.01),
            Descent(epochs=3, batch_size=4, learning_rate=0.01, schedule="linear"),
        )
        return [
            Phase(points=first, objective=ascent, descent=up, drop_last=False),
            Phase(points=second, objective=cross_entropy, descent=down, drop_last=True),
        ]


def request_of(model, kind="stacked", seeds=(7, 8, 9), **changes):
    flat = Resident.place(EXAMPLES)
    data = Resident(IMAGES, flat.labels) if isinstance(model, Cnn) else flat
    build = Builder(model, tuple(data.inputs.shape[1:]), EXAMPLES.n_classes)
    states = initial_states(build, seeds)
    logits = compute_logits(build(), states, data.inputs, kind=kind)
    given = {
        "template": build(),
        "states": states,
        "logits": logits,
        "data": data,
        "forget": FORGET,
        "kind": kind,
        "seeds": list(seeds),
    }
    given |= {
        "retain": np.setdiff1d(np.arange(40), FORGET),
        "effect": np.ones_like(logits[0]),
        "oracle_logits": logits + 1,
        "n_saved": 2,
    }
    return Request(**given | changes)


def unlearner(name, snapshots=None):
    return (
        TwoPhases(snapshots=snapshots)
        if name == "two_phases"
        else UNLEARNERS.build({"name": name, "snapshots": snapshots})
    )


def in_small_batches(snapshots):
    """Return fine-tuning of five epochs of five steps."""
    return UNLEARNERS.build({"name": "finetune", "batch_size": 8, "snapshots": snapshots})


def equal(one, other):
    return one.keys() == other.keys() and all(torch.equal(value, other[name]) for name, value in one.items())


@pytest.mark.parametrize("kind", ["stacked", "looped"])
@pytest.mark.parametrize(("unit", "every"), EVERY)
@pytest.mark.parametrize("name", [*DESCENDING, "two_phases"])
def test_the_last_snapshot_is_the_answer_without_snapshots_bit_for_bit(name, unit, every, kind):
    request = request_of(Mlp(width=8), kind)
    plain, shown = (
        unlearner(name, snapshots).unlearn(request) for snapshots in (None, {"every": every, "unit": unit})
    )
    last = shown.snapshots[-1]
    assert plain.logits.tobytes() == shown.logits.tobytes() == last.logits.tobytes()
    assert equal(plain.states, shown.states)
    assert equal(take(plain.states, 0, 2), last.states)
    assert plain.n_samples == shown.n_samples == last.n_samples
    assert list(plain.snapshots) == []


@pytest.mark.parametrize("kind", ["stacked", "looped"])
def test_taking_snapshots_leaves_running_means_alone(kind):
    asked = (None, {"every": 1, "unit": "step"})
    plain, shown = (in_small_batches(each).unlearn(request_of(Cnn(width=2), kind)) for each in asked)
    assert any("running_mean" in name for name in plain.states)
    assert equal(plain.states, shown.states)
    assert len({snapshot.logits.tobytes() for snapshot in shown.snapshots}) == len(shown.snapshots) > 4


def test_taking_snapshots_leaves_random_numbers_alone():
    answers, afterwards = [], []
    for snapshots in (None, {"every": 1, "unit": "step"}):
        request = request_of(Noisy(), "looped")
        torch.manual_seed(3)
        answers.append(in_small_batches(snapshots).unlearn(request))
        afterwards.append(torch.random.get_rng_state())
    assert equal(answers[0].states, answers[1].states)
    assert answers[0].logits.tobytes() == answers[1].logits.tobytes()
    assert torch.equal(*afterwards)


@pytest.mark.parametrize("name", ["gradient_ascent", "finetune", "dmm"])
def test_a_snapshot_is_where_a_run_of_so_many_epochs_ends(name):
    request = request_of(Mlp(width=8))
    shown = UNLEARNERS.build({"name": name, "epochs": 4, "snapshots": {}}).unlearn(request).snapshots
    for epochs in (1, 2, 3, 4):
        short, snapshot = (
            UNLEARNERS.build({"name": name, "epochs": epochs}).unlearn(request),
            shown[epochs - 1],
        )
        assert (snapshot.after, snapshot.n_samples) == (epochs, short.n_samples)
        assert snapshot.logits.tobytes() == short.logits.tobytes()
        assert equal(snapshot.states, take(short.states, 0, 2))


@pytest.mark.parametrize(
    ("snapshots", "expected"),
    [
        ({"unit": "epoch"}, [(1, 5), (2, 10), (3, 14), (4, 18), (5, 22)]),
        ({"every": 2}, [(2, 10), (4, 18), (5, 22)]),
        ({"every": 9}, [(5, 22)]),
        ({"every": 2, "unit": "step"}, [(2, 4), (4, 7), (6, 10), (8, 18), (9, 22)]),
    ],
)
def test_epochs_and_steps_are_counted_through_all_phases(snapshots, expected):
    answer = unlearner("two_phases", snapshots).unlearn(request_of(Mlp(width=8)))
    assert [(snapshot.after, snapshot.n_samples) for snapshot in answer.snapshots] == expected


def test_snapshots_do_not_depend_on_how_members_are_grouped(monkeypatch):
    together = unlearner("dmm", {}).unlearn(request_of(Mlp(width=8), seeds=tuple(range(5))))
    monkeypatch.setattr(sizing, "GROUP_SIZE", 2)
    apart = unlearner("dmm", {}).unlearn(request_of(Mlp(width=8), seeds=tuple(range(5))))
    for one, other in zip(together.snapshots, apart.snapshots, strict=True):
        assert one.logits.tobytes() == other.logits.tobytes()
        assert equal(one.states, other.states)


@pytest.mark.parametrize("kind", ["stacked", "looped"])
def test_snapshots_in_the_middle_of_an_epoch_leave_streamed_batches_alone(kind):
    asked = {"every": 1, "unit": "step"}
    requests = [
        request_of(Mlp(width=8), kind),
        request_of(Mlp(width=8), kind, data=Streamed(EXAMPLES, threads=2)),
    ]
    resident, streamed = (in_small_batches(asked).unlearn(request) for request in requests)
    plain = in_small_batches(None).unlearn(requests[1])
    assert equal(resident.states, streamed.states)
    assert equal(plain.states, streamed.states)
    assert len(streamed.snapshots) == 5 * 5
    for one, other in zip(resident.snapshots, streamed.snapshots, strict=True):
        assert one.logits.tobytes() == other.logits.tobytes()


def test_stacked_and_looped_members_pass_the_same_way():
    stacked, looped = (
        unlearner("two_phases", {}).unlearn(request_of(Mlp(width=8), kind)).snapshots
        for kind in ("stacked", "looped")
    )
    for one, other in zip(stacked, looped, strict=True):
        assert (one.after, one.n_samples) == (other.after, other.n_samples)
        assert np.abs(one.logits - other.logits).max() < 1e-4


@pytest.mark.parametrize("n_saved", [0, 1, 5])
def test_states_are_kept_of_the_members_that_are_saved(n_saved):
    request = request_of(Mlp(width=8), seeds=tuple(range(5)), n_saved=n_saved)
    for snapshot in unlearner("finetune", {}).unlearn(request).snapshots:
        assert {len(value) for value in snapshot.states.values()} == {n_saved}


@pytest.mark.parametrize("name", ["no_op", "dm_direct"])
@pytest.mark.parametrize("snapshots", [{}, None, 5])
def test_an_unlearner_without_steps_says_that_it_has_no_snapshots(name, snapshots):
    with pytest.raises(
        ConfigError, match=f"{name}.*it has no snapshots, because it has no phases; remove `snapshots`"
    ):
        UNLEARNERS.build({"name": name, "snapshots": snapshots})


@pytest.mark.parametrize(
    "snapshots",
    [
        {"every": 0},
        {"every": -1},
        {"every": 1.5},
        {"every": True},
        {"unit": "epochs"},
        {"per": 1},
        3,
        "epoch",
        [],
    ],
)
def test_a_setting_that_says_no_time_is_refused(snapshots):
    with pytest.raises(ConfigError, match="snapshots"):
        UNLEARNERS.build({"name": "dmm", "snapshots": snapshots})


def test_snapshots_are_another_question_and_none_are_the_old_one():
    assert identity(unlearner("dmm")) == {"name": "dmm"}
    assert (
        identity(unlearner("dmm", {}))
        == identity(unlearner("dmm", {"every": 1, "unit": "epoch"}))
        == {"name": "dmm", "snapshots": {}}
    )
    assert identity(unlearner("dmm", {"every": 2})) == {"name": "dmm", "snapshots": {"every": 2}}


class Shrinking(Unlearner):
    """A user's own: shrinks the weights three times; mistake spoils the snapshots."""

    name: ClassVar[str] = "shrinking"

    snapshots: Snapshots | None = setting(neutral=None)
    mistake: str = setting(neutral="")

    def unlearn(self, request):
        states, shown = request.states, []
        for number in (1, 2, 3):
            states = {name: value * 0.9 for name, value in states.items()}
            shown.append(request.take_snapshot(states, after=number, n_samples=0))
        wrong = {
            "none": [],
            "order": shown[::-1],
            "kind": ["shown"],
            "early": shown[:2],
            "twice": [shown[0], *shown],
        }
        found = [] if self.snapshots is None else wrong.get(self.mistake, shown)
        return Unlearned(states=states, logits=request.compute_logits(states), n_samples=0, snapshots=found)


def test_an_unlearner_from_outside_may_offer_snapshots():
    request = request_of(Mlp(width=8))
    shown, plain = (Shrinking(snapshots=snapshots).unlearn(request) for snapshots in (Snapshots(), None))
    assert [snapshot.after for snapshot in shown.snapshots] == [1, 2, 3]
    assert shown.snapshots[-1].logits.tobytes() == plain.logits.tobytes()


@pytest.mark.parametrize(
    ("mistake", "message"),
    [
        ("none", "`snapshots` holds 0; expected snapshots, the last of them the answer"),
        ("order", "expected rising integers"),
        ("kind", "snapshots"),
        ("early", "the last snapshot differs from the answer"),
        ("twice", "expected rising integers"),
    ],
)
def test_snapshots_that_mislead_are_refused_with_the_class_that_gave_them(mistake, message):
    with pytest.raises(PipelineError, match=message) as caught:
        Shrinking(snapshots=Snapshots(), mistake=mistake).unlearn(request_of(Mlp(width=8)))
    assert "Shrinking (your Unlearner)" in str(caught.value)


class Careless(Shrinking):
    """A user's own that returns snapshots that nobody asked for."""

    def unlearn(self, request):
        shown = [request.take_snapshot(request.states, after=1, n_samples=0)]
        return Unlearned(states=request.states, logits=request.logits, n_samples=0, snapshots=shown)


def test_snapshots_that_nobody_asked_for_are_refused():
    with pytest.raises(PipelineError, match="expected none, as none were asked for"):
        Careless().unlearn(request_of(Mlp(width=8)))
