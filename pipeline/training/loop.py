"""The one loop: descend phases on the members of an ensemble. Training, fine-tuning, ascent and matching all come through here."""

import copy
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor, nn

from pipeline.core.errors import ShapeError
from pipeline.core.seeds import generator
from pipeline.data.examples import Examples
from pipeline.training.ensemble import GROUP_SIZE, Kind, SingleGroup, StackedGroup, States, join, n_members, take
from pipeline.training.schedule import Phase


@dataclass(frozen=True)
class Resident:
    """The data set on the device for a whole shard: a batch is then an index, not a copy from the host."""

    inputs: Tensor
    labels: Tensor

    @classmethod
    def place(cls, examples: Examples, device: str = "cpu") -> "Resident":
        """Return examples on device; arrays that share memory with a read-only buffer are copied first."""
        inputs, labels = np.array(examples.inputs, np.float32), np.array(examples.labels, np.int64)
        return cls(torch.from_numpy(inputs).to(device), torch.from_numpy(labels).to(device))


def run_phases(template: nn.Module, states: States, phases: Sequence[Phase], data: Resident, *, seeds: Sequence[int], kind: Kind) -> States:
    """Return the states after each member has descended all phases in turn; states itself is left alone.

    seeds (n_members,) decide each member's order of batches. Raises ShapeError where a phase is not for these members.
    """
    total = n_members(states)
    for phase in phases:
        if len(phase.points) != total or len(seeds) != total:
            raise ShapeError(f"{total} members, but a phase for {len(phase.points)} and {len(seeds)} seeds; give one list and one seed for each member")
    size = GROUP_SIZE if kind == "stacked" else 1
    groups = []
    template = copy.deepcopy(template)
    for start in range(0, total, size):
        stop = min(start + size, total)
        group = take(states, start, stop)
        for number, phase in enumerate(phases):
            group = _descend(template, group, phase, slice(start, stop), data, [(seed, number) for seed in seeds[start:stop]], kind)
        groups.append(group)
    return join(groups)


def batch_orders(n_listed: int, epochs: int, seeds: Sequence[tuple[int, int]]) -> Int[np.ndarray, "n_members epochs n_listed"]:
    """Return each member's order of visiting its list in each epoch, drawn from (member's seed, number of the phase)."""
    positions = np.broadcast_to(np.arange(n_listed), (epochs, n_listed))
    return np.stack([generator("order", *seed).permuted(positions, axis=1) for seed in seeds])


def _descend(template: nn.Module, states: States, phase: Phase, members: slice, data: Resident, seeds: list[tuple[int, int]], kind: Kind) -> States:
    descent, per_epoch, batch_size = phase.descent, phase.steps_per_epoch, phase.batch_size
    n_steps = per_epoch * descent.epochs
    device = data.labels.device
    group = (StackedGroup if kind == "stacked" else SingleGroup)(template, states, descent)
    optimizer = descent.build_optimizer(group.parameters)
    orders = torch.from_numpy(batch_orders(phase.points.shape[1], descent.epochs, seeds)).to(device)
    points = torch.from_numpy(np.array(phase.points[members])).to(device)
    rows = torch.arange(len(points), device=device)[:, None]
    # Without targets an empty tensor with a member axis keeps one signature for every objective.
    targets = torch.zeros(len(points), 1, device=device) if phase.targets is None else torch.from_numpy(np.array(phase.targets[members])).to(device)
    for step in range(n_steps):
        epoch, first = divmod(step, per_epoch)
        positions = orders[:, epoch, first * batch_size : (first + 1) * batch_size]
        batch = points[rows, positions]
        wanted = targets if phase.targets is None else targets[rows, positions]
        for parameters in optimizer.param_groups:
            parameters["lr"] = descent.learning_rate_at(step, n_steps=n_steps, steps_per_epoch=per_epoch)
        optimizer.zero_grad()
        group.loss(phase.objective, data.inputs[batch], data.labels[batch], wanted).backward()
        if descent.max_gradient_norm is not None:
            nn.utils.clip_grad_norm_(group.parameters, descent.max_gradient_norm)
        optimizer.step()
    return group.states()
