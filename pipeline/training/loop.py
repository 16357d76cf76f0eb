"""The one loop: descend phases on the members of an ensemble. Training, fine-tuning, ascent and matching all come through here."""

import copy
from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Int
from torch import nn

from pipeline.core.errors import ShapeError
from pipeline.core.seeds import generator
from pipeline.training.ensemble import Kind, SingleGroup, StackedGroup, States, device_of, join, member_groups, n_members, take
from pipeline.training.feeds import Feed
from pipeline.training.schedule import Phase
from pipeline.training.snapshots import Recorder


def run_phases(
    template: nn.Module,
    states: States,
    phases: Sequence[Phase],
    data: Feed,
    *,
    seeds: Sequence[int],
    kind: Kind,
    recorder: Recorder | None = None,
) -> States:
    """Return the states after each member has descended all phases in turn; states itself is left alone.

    seeds (n_members,) decide each member's order of batches. recorder counts every step and takes snapshots.
    Raises ShapeError where a phase is not for these members.
    """
    total = n_members(states)
    for phase in phases:
        if len(phase.points) != total or len(seeds) != total:
            raise ShapeError(f"{total} members, but a phase for {len(phase.points)} and {len(seeds)} seeds; give one list and one seed for each member")
    template = copy.deepcopy(template).to(device_of(states))
    done = []
    for members in member_groups(total, kind):
        group = {name: value[members] for name, value in states.items()}
        if recorder is not None:
            recorder.begin(members)
        for number, phase in enumerate(phases):
            orders = [(seeds[member], number) for member in members]
            group = _descend(template, group, phase, members, data, orders, kind, recorder)
        done.append(take(group, 0, len(set(members))))
    return join(done)


def batch_orders(
    points: Int[np.ndarray, "n_members n_listed"], epochs: int, seeds: Sequence[tuple[int, int]], n_points: int | None = None
) -> Int[np.ndarray, "n_members epochs n_listed"]:
    """Return each member's order of visiting its list in each epoch, as positions on it, drawn from (member's seed, number of the phase).

    With n_points an order of all ids below it is drawn, and those listed are visited in it.
    """
    n_listed = points.shape[1]
    if n_points is None:
        positions = np.broadcast_to(np.arange(n_listed), (epochs, n_listed))
        return np.stack([generator("order", *seed).permuted(positions, axis=1) for seed in seeds])
    ids = np.broadcast_to(np.arange(n_points), (epochs, n_points))
    return np.stack([_visited(generator("order", *seed).permuted(ids, axis=1), listed) for listed, seed in zip(points, seeds, strict=True)])


def _visited(order: Int[np.ndarray, "epochs n_points"], listed: Int[np.ndarray, " n_listed"]) -> Int[np.ndarray, "epochs n_listed"]:
    """Return the positions on the list of those ids in an order that are listed."""
    position = np.full(order.shape[1], -1)
    position[listed] = np.arange(len(listed))
    found = position[order]
    return found[found >= 0].reshape(len(order), len(listed))


def batches(phase: Phase, template: nn.Module, data: Feed) -> list[slice]:
    """Return which part of an epoch's order each step takes.

    A last batch of one point joins the one before if the model cannot train on one point, as with batch norm over flat features.
    """
    n_listed, size = phase.points.shape[1], phase.batch_size
    parts = [slice(start, min(start + size, n_listed)) for start in range(0, phase.steps_per_epoch * size, size)]
    if len(parts) > 1 and parts[-1].stop - parts[-1].start == 1 < size and not _trains_on_one_point(template, data):
        parts[-2:] = [slice(parts[-2].start, n_listed)]
    return parts


def _trains_on_one_point(template: nn.Module, data: Feed) -> bool:
    """Return whether a step on one point is possible; only models with batch norm are tried, so that others draw no random number more."""
    if not any(isinstance(module, nn.modules.batchnorm._BatchNorm) for module in template.modules()):
        return True
    try:
        with torch.no_grad():
            copy.deepcopy(template).train()(data.first(1))
    except ValueError:
        return False
    return True


def _descend(
    template: nn.Module,
    states: States,
    phase: Phase,
    members: list[int],
    data: Feed,
    seeds: list[tuple[int, int]],
    kind: Kind,
    recorder: Recorder | None,
) -> States:
    descent, parts = phase.descent, batches(phase, template, data)
    per_epoch = len(parts)
    n_steps = per_epoch * descent.epochs
    device = data.labels.device
    group = (StackedGroup if kind == "stacked" else SingleGroup)(template, states, descent)
    optimizer = descent.build_optimizer(group.parameters)
    points = torch.from_numpy(np.array(phase.points[members])).to(device)
    targets = None if phase.targets is None else torch.from_numpy(np.array(phase.targets[members])).to(device)
    rows = torch.arange(len(points), device=device)[:, None]
    # Without targets an empty tensor with a member axis keeps one signature for every objective.
    wanted = torch.zeros(len(points), 1, device=device)
    orders = torch.from_numpy(batch_orders(phase.points[members], descent.epochs, seeds, phase.n_points)).to(device)
    for epoch in range(descent.epochs):
        order = orders[:, epoch]
        listed = points.gather(1, order)
        visited = [listed[:, part] for part in parts]
        data.expect(visited)
        for step, (batch, part) in enumerate(zip(visited, parts, strict=True)):
            if targets is not None:
                wanted = targets[rows, order[:, part]]
            rate = descent.learning_rate_at(epoch * per_epoch + step, n_steps=n_steps, steps_per_epoch=per_epoch)
            for parameters in optimizer.param_groups:
                parameters["lr"] = rate
            optimizer.zero_grad()
            group.loss(phase.objective, data.inputs_of(batch), data.labels_of(batch), wanted).backward()
            if descent.max_gradient_norm is not None:
                nn.utils.clip_grad_norm_(group.parameters, descent.max_gradient_norm)
            optimizer.step()
            if recorder is not None:
                recorder.step(group.states, n_points=part.stop - part.start, ends_epoch=step + 1 == per_epoch)
    return group.states()
