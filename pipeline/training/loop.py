"""The training loop: the members of an ensemble descend one phase after the other.

Training, fine-tuning, ascent and matching all use it.
"""

import copy
import functools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from pipeline.core.errors import ShapeError, is_out_of_memory
from pipeline.core.seeds import generator
from pipeline.core.task_progress import report
from pipeline.training import sizing
from pipeline.training.ensemble import (
    Kind,
    SingleGroup,
    StackedGroup,
    States,
    device_of,
    join,
    n_members,
    take,
    why_descent_is_looped,
    with_twin,
)
from pipeline.training.feeds import Feed, pick
from pipeline.training.recipe.augmentation import Draws
from pipeline.training.recipe.optimizers import Stepper, build_stepper, clip_gradients
from pipeline.training.recipe.schedule import Moment, Phase, moments
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
    """Return the states after each member has descended all phases in turn; states itself is not changed.

    seeds (n_members,) decide each member's order of points and its augmentation. recorder, if given, is
    called after every step, so that it can take snapshots. Members run one by one if a phase cannot be
    stacked. Raises ShapeError if a phase does not fit these members, and TrainingError if phases of one track
    do not fit together.
    """
    total = n_members(states)
    for phase in phases:
        if len(phase.points) != total or len(seeds) != total:
            raise ShapeError(
                f"{total} members, but a phase for {len(phase.points)} and {len(seeds)} seeds; give one list "
                "and one seed for each member"
            )
    template = copy.deepcopy(template).to(device_of(states))
    parts = [batches(phase, template, data) for phase in phases]
    if any(why_descent_is_looped(phase.descent) for phase in phases):
        kind = "looped"
    plan = _Plan(template, phases, data, seeds, kind, parts, moments(phases, [len(part) for part in parts]))
    done: list[States] = []
    n_done, size = 0, plan.group_size()
    while n_done < total:
        members = with_twin(list(range(n_done, min(n_done + size, total))), kind)
        n_own = len(set(members))
        told = functools.partial(_report, n_done, n_own, total)
        try:
            found = _descend(plan, states, members, told, recorder)
        # The grouping changes no bit, so a group that is too large for the memory is tried again with half as
        # many members.
        except (RuntimeError, MemoryError) as error:
            if n_own == 1 or not is_out_of_memory(error):
                raise
            if recorder is not None:
                recorder.drop_group()
            size = sizing.ran_out(template, data.first(1), plan.largest_batch, n_own)
            continue
        done.append(take(found, 0, n_own))
        n_done += n_own
    return join(done)


def _report(n_done: int, n_running: int, total: int, share: float) -> None:
    """Report how much of a task is done, when some of its members are done and others are running.

    share is the share of their steps that the running members have taken.
    """
    report((n_done + share * n_running) / total)


@dataclass(frozen=True)
class _Plan:
    """The inputs of a run that are the same for all groups of members.

    For each phase, parts holds the batches of an epoch, as slices of the epoch's order of points, and places
    holds the place of each step in the learning-rate schedule.
    """

    template: nn.Module
    phases: Sequence[Phase]
    data: Feed
    seeds: Sequence[int]
    kind: Kind
    parts: Sequence[Sequence[slice]]
    places: Sequence[Sequence[Moment]]

    def group_size(self) -> int:
        """Return the number of members that descend at once."""
        return (
            1
            if self.kind == "looped"
            else sizing.training_group(self.template, self.data.first(1), self.largest_batch)
        )

    @property
    def largest_batch(self) -> int:
        """Number of points in the largest batch of all phases."""
        return max((part.stop - part.start for parts in self.parts for part in parts), default=1)


def _descend(
    plan: _Plan, states: States, members: list[int], told: Callable[[float], None], recorder: Recorder | None
) -> States:
    """Return the states of members after all phases; told is called with the share of steps taken."""
    if recorder is not None:
        recorder.begin(members)
    own = {name: value[members] for name, value in states.items()}
    group = (StackedGroup if plan.kind == "stacked" else SingleGroup)(plan.template, own)
    steppers: dict[str | int, Stepper] = {}
    # Alternating phases often share one array of targets, which is copied to the device only once.
    wanted: dict[int, _Targets] = {}
    n_steps, step = sum(map(len, plan.places)), 0
    for number, (phase, places) in enumerate(zip(plan.phases, plan.places, strict=True)):
        # Phases of one track continue one optimiser. A phase without a track has its own.
        track = number if phase.track is None else phase.track
        if track not in steppers:
            steppers[track] = build_stepper(
                phase.descent, group.parameters, template=plan.template, n_leading=group.n_leading
            )
        stepper, limit = steppers[track], phase.descent.max_gradient_norm
        group.prepare(phase.descent)
        if id(phase.targets) not in wanted:
            wanted[id(phase.targets)] = _Targets(phase.targets, members, plan.data.labels.device)
        targets = wanted[id(phase.targets)]
        for place, (inputs, batch) in zip(places, _batches(plan, number, members), strict=True):
            stepper.zero_grad()
            group.loss(phase.objective, inputs, plan.data.labels_of(batch), targets.of(batch)).backward()
            if limit is not None:
                clip_gradients(group.parameters.values(), limit, n_leading=group.n_leading)
            stepper.step(phase.descent.learning_rate_at(place))
            step += 1
            told(step / n_steps)
            if recorder is not None:
                recorder.step(group.states, n_points=batch.shape[1], ends_epoch=place.ends_epoch)
    return group.states()


def _batches(plan: _Plan, number: int, members: list[int]) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield, for each step of a phase, inputs (n_members, batch, ...) and point ids (n_members, batch)."""
    phase, data, parts = plan.phases[number], plan.data, plan.parts[number]
    points, seeds = phase.points[members], [(plan.seeds[member], number) for member in members]
    orders = epoch_orders(points, seeds, phase.n_points)
    for epoch, order in zip(range(phase.descent.epochs), orders, strict=False):
        listed = torch.from_numpy(np.take_along_axis(points, order, axis=1)).to(data.labels.device)
        drawn = Draws(phase.augmentation, seeds, epoch, data.labels)
        visited = [listed[:, part] for part in parts]
        data.expect(visited)
        for batch in visited:
            yield drawn.applied(data.inputs_of(batch), batch), batch


def epoch_orders(
    points: Int[np.ndarray, "n_members n_listed"],
    seeds: Sequence[tuple[int, int]],
    n_points: int | None = None,
) -> Iterator[Int[np.ndarray, "n_members n_listed"]]:
    """Yield, for each epoch, the positions on each member's list, in the order in which they are visited.

    seeds holds (the member's seed, the number of the phase) for each member; the order is drawn from it. With
    n_points, an order of all ids below n_points is drawn, and the listed ids are visited in that order.
    """
    generators = [generator("order", *seed) for seed in seeds]
    drawn_from = np.arange(points.shape[1] if n_points is None else n_points)
    while True:
        orders = [drawing.permuted(drawn_from) for drawing in generators]
        if n_points is not None:
            orders = [_visited(order, listed) for order, listed in zip(orders, points, strict=True)]
        yield np.stack(orders)


def _visited(
    order: Int[np.ndarray, " n_points"], listed: Int[np.ndarray, " n_listed"]
) -> Int[np.ndarray, " n_listed"]:
    """Return the positions of the listed ids on their list, in the order in which `order` has the ids."""
    position = np.full(len(order), -1)
    position[listed] = np.arange(len(listed))
    found = position[order]
    return found[found >= 0]


def batches(phase: Phase, template: nn.Module, data: Feed) -> list[slice]:
    """Return, for each step of an epoch, the slice of the epoch's order of points that is its batch.

    If the last batch has one point and the model cannot train on one point, as with batch norm over flat
    features, the point is added to the batch before.
    """
    n_listed, size = phase.points.shape[1], phase.batch_size
    parts = [
        slice(start, min(start + size, n_listed)) for start in range(0, phase.steps_per_epoch * size, size)
    ]
    if (
        len(parts) > 1
        and parts[-1].stop - parts[-1].start == 1 < size
        and not _trains_on_one_point(template, data)
    ):
        parts[-2:] = [slice(parts[-2].start, n_listed)]
    return parts


def _trains_on_one_point(template: nn.Module, data: Feed) -> bool:
    """Return whether a step on one point is possible.

    Only models with batch norm are tried, so that others draw no extra random number.
    """
    if not any(isinstance(module, nn.modules.batchnorm._BatchNorm) for module in template.modules()):
        return True
    try:
        with torch.no_grad():
            copy.deepcopy(template).train()(data.first(1))
    except ValueError:
        return False
    return True


class _Targets:
    """The target logits of a group of members on the device, looked up by point id."""

    def __init__(
        self, targets: Float[np.ndarray, "..."] | None, members: Sequence[int], device: torch.device
    ) -> None:
        own = targets if targets is None or targets.ndim == 2 else targets[members]
        self._values = None if own is None else torch.from_numpy(np.array(own)).to(device)
        self._rows = torch.arange(len(members), device=device)[:, None]
        # Without targets, objectives get zeros with a member axis, because vmap needs a tensor for each
        # argument.
        self._nothing = torch.zeros(len(members), 1, device=device)

    def of(self, batch: Tensor) -> Tensor:
        """Return the targets (n_members, batch, n_classes) of points batch (n_members, batch)."""
        if self._values is None:
            return self._nothing
        return pick(self._values, batch) if self._values.ndim == 2 else self._values[self._rows, batch]
