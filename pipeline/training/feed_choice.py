"""Which feed a task uses, by memory: the choice moves no bit."""

import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch

from pipeline.core.memory import available_memory, in_words, n_cpus
from pipeline.core.resources import Grant
from pipeline.data.inputs import ArrayInputs, Inputs

# What inputs may take of the memory of a task. The rest is for models, activations and batches.
_SHARE = 0.5
# Numbers of these types stay as they are on a device. Others are cast to float32, once.
KEPT_DTYPES = {np.dtype(name) for name in ("bool", "uint8", "int8", "int16", "float16")}


@dataclass(frozen=True, kw_only=True)
class FeedChoice:
    """Whether inputs are resident or streamed, the reason, and the bytes that batches read ahead may take.

    is_held_in_memory: the host reads and holds all of them, where they fit there and not on the device.
    """

    kind: Literal["resident", "streamed"]
    reason: str
    room: int
    is_held_in_memory: bool = False


def choose_feed(inputs: Inputs, device: str, grant: Grant, *, held: int = 0) -> FeedChoice:
    """Return how inputs reach the device of a task.

    Resident where they fit what it was granted, else streamed.

    held is how many bytes of the device these inputs take already.
    """
    on_gpu = device.startswith("cuda")
    host = int(_SHARE * host_memory(grant, held=0 if on_gpu else held))
    place, room = (
        (f"GPU {device}", int(_SHARE * (_device_memory(device, grant) + held)))
        if on_gpu
        else ("memory", host)
    )
    size = math.prod(inputs.shape) * device_dtype(inputs.dtype).itemsize
    ahead = max(1, min(host, room) // 8)
    told = f"{in_words(size)} of inputs, {in_words(room)} of {place} for them"
    if size <= room:
        return FeedChoice(kind="resident", reason=told, room=ahead)
    is_held = on_gpu and not isinstance(inputs, ArrayInputs) and size <= host
    return FeedChoice(kind="streamed", reason=told, room=ahead, is_held_in_memory=is_held)


def device_dtype(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """Return the type in which a device holds numbers of a type."""
    return dtype if dtype in KEPT_DTYPES else np.dtype(np.float32)


def host_memory(grant: Grant, *, held: int = 0) -> int:
    """Return the bytes of memory of a task.

    It is what it was granted, else its part of what is available if all CPUs run such tasks. held is what the
    task takes of it already.
    """
    if grant.memory_bytes is not None:
        return grant.memory_bytes
    return available_memory() // max(1, n_cpus() // grant.num_cpus) + held


def _device_memory(device: str, grant: Grant) -> int:
    """Return the bytes that are free on a GPU for a task that was granted a part of it, or whole ones."""
    free, total = torch.cuda.mem_get_info(device)
    part = min(1.0, grant.num_gpus) if grant.num_gpus else 1.0
    return max(0, min(free, int(part * total) - torch.cuda.memory_allocated(device)))
