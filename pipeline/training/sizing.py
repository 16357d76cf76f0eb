"""Sizes that fit into the memory granted to a task: members in a group, and points evaluated at once.

The size of a group changes no bit of a result, so it follows the memory that is free on this machine now. The
number of points evaluated at once may change last bits, so it is chosen once for a model, a recipe and a kind
of device, and recorded in the store.
"""

import copy
import math
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import psutil
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from pipeline.core.memory import available_memory, n_cpus
from pipeline.core.resources import Grant

# Members in a group on a CPU. Above ~50 the data of a step no longer fit into the L2 cache of a core (2 MB
# where this was measured); below ~20 the overhead of the Python interpreter shows.
GROUP_SIZE = 50
# On a GPU a larger group is faster, as far as memory allows.
GROUP_SIZE_ON_GPU = 500
# The largest and the smallest number of points evaluated at once. It limits the memory of activations.
EVALUATION_BATCH, SMALLEST_BATCH = 2048, 16
# The share of the granted memory that estimated sizes may fill. The rest is for the working memory of kernels
# and for gradients during a step.
PLANNED_SHARE = 0.5
# Tensors of the size of a member's state that a step needs: the state, its gradient, at most two moments of
# the optimiser, and one update.
STATE_COPIES = 5


@dataclass(frozen=True)
class Allowance:
    """The limits by which the sizes of a task are chosen.

    memory_bytes is the memory that the task may use; if it is None, memory is not counted and default sizes
    apply. evaluation_batch is the recorded number of points to evaluate at once, None if none is recorded.
    """

    memory_bytes: int | None = None
    evaluation_batch: int | None = None


UNCOUNTED = Allowance()
_ALLOWED: ContextVar[Allowance] = ContextVar("allowance", default=UNCOUNTED)


@contextmanager
def allowing(allowance: Allowance) -> Iterator[None]:
    """Choose sizes inside this block by allowance.

    Outside of such a block, memory is not counted and default sizes apply, which suit small models.
    """
    token = _ALLOWED.set(allowance)
    try:
        yield
    finally:
        _ALLOWED.reset(token)


def evaluation_batch() -> int:
    """Return the number of points that are evaluated at once."""
    recorded = _ALLOWED.get().evaluation_batch
    return EVALUATION_BATCH if recorded is None else recorded


def memory_granted(device: str, grant: Grant) -> int:
    """Return the bytes of memory that a task may still take: of its GPU or part of one, else of this machine.

    If the grant names no memory, the task may take an equal part of this machine's free memory, as if tasks
    like it ran on all CPUs.
    """
    if device.startswith("cuda"):
        free, total = torch.cuda.mem_get_info(device)
        held = torch.cuda.memory_reserved(device)
        idle = held - torch.cuda.memory_allocated(device)
        return int(
            min(free, max(0.0, grant.num_gpus * total - held)) + idle
            if 0 < grant.num_gpus < 1
            else free + idle
        )
    free = available_memory()
    if grant.memory_bytes is None:
        return free // max(1, n_cpus() // max(1, grant.num_cpus))
    return max(0, min(free, grant.memory_bytes - resident_bytes()))


def resident_bytes() -> int:
    """Return the bytes of memory that this process holds."""
    return int(psutil.Process().memory_info().rss)


@dataclass(frozen=True)
class Footprint:
    """The bytes that one member takes: for its state, and for each point in training and in evaluation.

    training_point estimates the bytes that a point's activations and their gradients take in a training step.
    evaluated_point estimates the bytes that a point takes in the largest operation of a forward pass.
    """

    state: int
    training_point: int
    evaluated_point: int


class _Outputs(TorchDispatchMode):
    """Counts the bytes of the tensors that operations create: in total, and the most of one operation."""

    def __init__(self) -> None:
        super().__init__()
        self.total, self.largest = 0, 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        found = func(*args, **(kwargs or {}))
        given = {
            leaf.untyped_storage().data_ptr()
            for leaf in tree_leaves((args, kwargs))
            if isinstance(leaf, Tensor)
        }
        made = [leaf for leaf in tree_leaves(found) if isinstance(leaf, Tensor)]
        # A view, such as a transposed weight, takes no memory of its own.
        size = sum(
            leaf.numel() * leaf.element_size()
            for leaf in made
            if leaf.untyped_storage().data_ptr() not in given
        )
        self.total, self.largest = self.total + size, max(self.largest, size)
        return found


_FOOTPRINTS: dict[Any, Footprint] = {}
# Group sizes to use after a larger group ran out of memory in this process. The key holds the kind of member,
# as `_kind` gives it, and the batch size.
_FITTED: dict[Any, int] = {}


def footprint(template: nn.Module, inputs: Tensor) -> Footprint:
    """Return the bytes that a member with this template takes.

    inputs (n_points, ...) are a few points, as models see them. The bytes are measured in one forward pass in
    evaluation mode. Members with the same layers and shapes share one measurement.
    """
    key = _kind(template, inputs)
    if key not in _FOOTPRINTS:
        model, counted = copy.deepcopy(template).to(inputs.device).eval(), _Outputs()
        with torch.no_grad(), counted:
            model(inputs)
        state = sum(value.numel() * value.element_size() for value in template.state_dict().values())
        own = inputs[:1].numel() * inputs.element_size()
        n_points = len(inputs)
        _FOOTPRINTS[key] = Footprint(
            state, own + 2 * counted.total // n_points, own + 3 * counted.largest // n_points
        )
    return _FOOTPRINTS[key]


def _kind(template: nn.Module, inputs: Tensor) -> tuple[Any, ...]:
    shapes = tuple((name, tuple(value.shape), value.dtype) for name, value in template.state_dict().items())
    return repr(template), shapes, tuple(inputs.shape[1:]), str(inputs.device)


def training_group(template: nn.Module, inputs: Tensor, batch_size: int) -> int:
    """Return the number of members that may train together in batches of this size; 1 if not even two fit.

    If such members ran out of memory before in this process, it is at most the number that `ran_out`
    returned.
    """
    budget, fitted = (
        _budget(),
        _FITTED.get((*_kind(template, inputs), batch_size), GROUP_SIZE_ON_GPU)
        if _FITTED
        else GROUP_SIZE_ON_GPU,
    )
    if budget is None:
        return min(fitted, GROUP_SIZE)
    member = footprint(template, inputs)
    return min(
        fitted,
        _clamped(budget / (STATE_COPIES * member.state + batch_size * member.training_point), inputs.device),
    )


def ran_out(template: nn.Module, inputs: Tensor, batch_size: int, n_members: int) -> int:
    """Return the number of members to train together after n_members ran out of memory: half of them.

    Later groups start with this number.
    """
    fewer = max(1, n_members // 2)
    _FITTED[(*_kind(template, inputs), batch_size)] = fewer
    return fewer


def evaluation_group(template: nn.Module, inputs: Tensor) -> int:
    """Return the number of members that may be evaluated together."""
    budget = _budget()
    if budget is None:
        return GROUP_SIZE
    member = footprint(template, inputs)
    return _clamped(budget / (member.state + evaluation_batch() * member.evaluated_point), inputs.device)


def largest_evaluation_batch(template: nn.Module, inputs: Tensor) -> int:
    """Return how many points to evaluate at once: a power of two from 16 to 2048.

    With this number two members fit into memory together, except that it is never below 16.
    """
    budget = _budget()
    if budget is None:
        return EVALUATION_BATCH
    member = footprint(template, inputs)
    fits = (budget / 2 - member.state) / member.evaluated_point
    return min(EVALUATION_BATCH, max(SMALLEST_BATCH, 2 ** int(math.log2(max(1.0, fits)))))


def _budget() -> float | None:
    granted_bytes = _ALLOWED.get().memory_bytes
    return None if granted_bytes is None else PLANNED_SHARE * granted_bytes


def _clamped(size: float, device: torch.device) -> int:
    return max(1, min(GROUP_SIZE_ON_GPU if device.type == "cuda" else GROUP_SIZE, int(size)))
