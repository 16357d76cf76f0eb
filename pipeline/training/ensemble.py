"""Ensembles: many models of one architecture, as a dictionary of parameters and buffers.

Each tensor has a leading axis of members. Members run at once (stacked) or one by one (looped).
"""

import copy
import threading
from collections.abc import Iterable, Sequence
from typing import Literal, TypeAlias

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.func import functional_call, vmap

from pipeline.core.arrays import Logits
from pipeline.models.base import Model, average_flips
from pipeline.training import sizing
from pipeline.training.feeds import Feed
from pipeline.training.recipe.objectives import Objective
from pipeline.training.recipe.optimizers import STACKABLE
from pipeline.training.recipe.schedule import Descent

States: TypeAlias = dict[str, Tensor]
# Stacked members run at once under vmap, and their results do not depend on their grouping. Looped members
# run one by one. The two differ in the last bits (up to 4e-3 in logits after training), so a population is
# either all stacked or all looped.
Kind: TypeAlias = Literal["stacked", "looped"]

# Modules draw their initial values from torch's one global generator. Without the lock, threads that build
# models at the same time would take each other's draws.
_GENERATOR = threading.Lock()


def initial_states(build: "Builder", seeds: Sequence[int]) -> States:
    """Return the states of newly initialised members, each drawn with its own seed.

    Torch's global generator is left unchanged.
    """
    members = []
    with _GENERATOR, torch.random.fork_rng(devices=[]):
        for seed in seeds:
            torch.manual_seed(seed)
            members.append(build().state_dict())
    return {name: torch.stack([member[name] for member in members]) for name in members[0]}


class Builder:
    """A picklable function without arguments that builds a module of the one architecture of all members."""

    def __init__(self, model: Model, input_shape: tuple[int, ...], n_classes: int) -> None:
        self.model, self.input_shape, self.n_classes = model, input_shape, n_classes

    def __call__(self) -> nn.Module:
        """Return a new module with random parameters from torch's global generator."""
        module = self.model.build(self.input_shape, self.n_classes)
        return average_flips(module) if self.model.flip_average else module


def n_members(states: States) -> int:
    """Return the number of members in states."""
    return len(next(iter(states.values())))


def device_of(states: States) -> torch.device:
    """Return the device of states."""
    return next(iter(states.values())).device


def take(states: States, start: int, stop: int) -> States:
    """Return a copy of members start to stop; changes to it do not reach states."""
    return {name: value[start:stop].clone() for name, value in states.items()}


def join(parts: Iterable[States]) -> States:
    """Return the members of all parts in order."""
    parts = list(parts)
    return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}


def member_groups(total: int, kind: Kind, size: int) -> list[list[int]]:
    """Return the numbers of the members that run together, group by group: `size` members, or one if looped.

    A stacked member that is left alone runs beside a copy of itself. Convolutions compute a stack of one in
    another way, with other last bits, but results must not depend on the grouping. The caller drops the copy.
    """
    step = size if kind == "stacked" else 1
    return [with_twin(list(range(start, min(start + step, total))), kind) for start in range(0, total, step)]


def with_twin(group: list[int], kind: Kind) -> list[int]:
    """Return a group of members; a single stacked member is listed twice."""
    return group * 2 if kind == "stacked" and len(group) == 1 else group


def why_not_stackable(template: nn.Module, descents: Iterable[Descent], inputs: Tensor) -> str | None:
    """Return the reason why members must run one by one, or None if they can be stacked exactly.

    One forward pass is tried on the first two of inputs (n_points, ...).
    """
    for module in template.modules():
        if isinstance(module, (nn.modules.dropout._DropoutNd,)):
            return (
                f"{type(module).__name__} draws random numbers, which differ between stacked and single "
                "members"
            )
    for descent in descents:
        reason = why_descent_is_looped(descent)
        if reason is not None:
            return reason
    return _why_stack_fails(template, inputs[:2])


def why_descent_is_looped(descent: Descent) -> str | None:
    """Return the reason why this descent must run members one by one, whatever their model is, or None."""
    if descent.optimizer not in STACKABLE:
        return (
            f"optimizer {descent.optimizer} is not element-wise, so stacked members would leak into each "
            "other"
        )
    if descent.precision != "float32":
        return f"{descent.precision} autocast is ignored by biased layers under vmap, in silence"
    if descent.memory_format != "contiguous":
        return (
            f"memory_format {descent.memory_format} is of one model's images; stacked members share each "
            "convolution"
        )
    return None


def _why_stack_fails(template: nn.Module, inputs: Tensor) -> str | None:
    """Return why two stacked members cannot take inputs (2, ...) in training mode, or None if they can.

    Only a trial shows whether a forward() can be stacked.
    """
    template = copy.deepcopy(template).to(inputs.device).train()
    states = {name: torch.stack([value, value]) for name, value in template.state_dict().items()}
    try:
        with torch.no_grad():
            vmap(lambda state, x: functional_call(template, state, (x,)))(
                states, torch.stack([inputs, inputs])
            )
    # torch refuses some modules with a RuntimeError, and modules with tied weights with a ValueError. A
    # user's forward() may raise anything.
    except Exception as error:
        return f"its forward() cannot be stacked (vmap: {str(error).strip().splitlines()[0].rstrip('.')})"
    return None


class StackedGroup:
    """Members that descend together: one call of each operation serves all of them."""

    # Parameters and gradients have a leading member axis.
    n_leading = 1

    def __init__(self, template: nn.Module, states: States) -> None:
        # Frozen parameters stay unchanged, as in a single module.
        names = {name for name, value in template.named_parameters() if value.requires_grad}
        self._template = template.train()
        self.parameters = {name: value.requires_grad_() for name, value in states.items() if name in names}
        self._buffers = {name: value for name, value in states.items() if name not in names}

    def prepare(self, descent: Descent) -> None:
        """Do nothing: a descent with a precision or a memory format of its own is never stacked."""

    def loss(self, objective: Objective, inputs: Tensor, labels: Tensor, targets: Tensor) -> Tensor:
        """Return the sum of the members' losses; inputs (n_members, batch, ...)."""

        def single(parameters: States, buffers: States, x: Tensor, y: Tensor, t: Tensor) -> Tensor:
            return objective(functional_call(self._template, (parameters, buffers), (x,)), y, t)

        return vmap(single)(self.parameters, self._buffers, inputs, labels, targets).sum()

    def states(self) -> States:
        """Return the members' current states."""
        return {name: value.detach() for name, value in (self.parameters | self._buffers).items()}


class SingleGroup:
    """A group of one member: the plain module, run as its author wrote it."""

    n_leading = 0

    def __init__(self, template: nn.Module, states: States) -> None:
        self._module = copy.deepcopy(template).train()
        self._module.load_state_dict({name: value[0] for name, value in states.items()})
        self._bfloat16, self._format = False, torch.contiguous_format
        self.parameters = dict(self._module.named_parameters())

    def prepare(self, descent: Descent) -> None:
        """Apply the precision and the memory format of the next phase."""
        self._bfloat16 = descent.precision == "bfloat16"
        self._format = (
            torch.channels_last if descent.memory_format == "channels_last" else torch.contiguous_format
        )
        for parameter in self.parameters.values():
            if self._format == torch.channels_last and parameter.ndim == 4:
                parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)

    def loss(self, objective: Objective, inputs: Tensor, labels: Tensor, targets: Tensor) -> Tensor:
        """Return the member's loss; inputs (1, batch, ...)."""
        images = inputs[0].contiguous(memory_format=self._format) if inputs.ndim == 5 else inputs[0]
        with torch.autocast(inputs.device.type, dtype=torch.bfloat16, enabled=self._bfloat16):
            logits = self._module(images)
        return objective(logits.float(), labels[0], targets[0])

    def states(self) -> States:
        """Return the member's current state, with a leading axis of 1."""
        return {name: value.detach()[None] for name, value in self._module.state_dict().items()}


def compute_logits(template: nn.Module, states: States, data: Feed | Tensor, *, kind: Kind) -> Logits:
    """Return float32 logits (n_members, n_points, n_classes) of all members on data, in evaluation mode.

    data is a feed, or a tensor (n_points, ...) of some points as models see them. Each batch is read once,
    for all members.
    """
    template = copy.deepcopy(template).to(device_of(states)).eval()
    size = sizing.evaluation_group(template, _first(data)) if kind == "stacked" else 1
    groups = member_groups(n_members(states), kind, size)
    states_of = [{name: value[group] for name, value in states.items()} for group in groups]
    parts = []
    with torch.inference_mode():
        for batch in evaluation_batches(data):
            found = [
                _group_logits(template, state, batch, kind)[: len(set(group))]
                for group, state in zip(groups, states_of, strict=True)
            ]
            parts.append(np.concatenate(found))
    return np.concatenate(parts, axis=1)


def evaluation_batches(data: Feed | Tensor, points: range | None = None) -> Iterable[Tensor]:
    """Return the inputs of points as models see them, in batches; those of all points if points is None."""
    size = sizing.evaluation_batch()
    if isinstance(data, Tensor):
        return data.split(size) if points is None else data[points.start : points.stop].split(size)
    return data.batches(range(len(data.labels)) if points is None else points, size)


def _first(data: Feed | Tensor) -> Tensor:
    """Return the first input, with its axis of points: (1, ...)."""
    return data[:1] if isinstance(data, Tensor) else data.first(1)


def _group_logits(
    template: nn.Module, states: States, batch: Tensor, kind: Kind
) -> Float[np.ndarray, "n_members n_batch n_classes"]:
    if kind == "stacked":
        logits = vmap(lambda state, x: functional_call(template, state, (x,)), in_dims=(0, None))(
            states, batch
        )
    else:
        template.load_state_dict({name: value[0] for name, value in states.items()})
        logits = template(batch)[None]
    return logits.float().cpu().numpy()
