"""Chooses by memory whether the inputs of a task are resident or streamed.

Resident inputs are all on the device. Streamed inputs are read batch by batch. The choice changes no bit of
the result.
"""

import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch

from pipeline.core.memory import available_memory, in_words, n_cpus
from pipeline.core.resources import Grant
from pipeline.data.inputs import ArrayInputs, Inputs

# The share of a task's memory that inputs may take. The rest is for models, activations and batches.
_SHARE = 0.5
# Numbers of these types keep their type on a device. Others are cast to float32, once.
KEPT_DTYPES = {np.dtype(name) for name in ("bool", "uint8", "int8", "int16", "float16")}


@dataclass(frozen=True, kw_only=True)
class FeedChoice:
    """Whether inputs are resident or streamed, and the reason.

    room is the number of bytes that batches read in advance may take. is_held_in_memory is true if inputs are
    first read from files into the host's memory, because they fit there but not on the GPU.
    """

    kind: Literal["resident", "streamed"]
    reason: str
    room: int
    is_held_in_memory: bool = False


def choose_feed(inputs: Inputs, device: str, grant: Grant, *, held: int = 0) -> FeedChoice:
    """Return how inputs reach the device of a task: resident if they fit into the grant, else streamed.

    held is the number of bytes of the device that these inputs already take.
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
    """Return the type in which a device holds numbers of dtype."""
    return dtype if dtype in KEPT_DTYPES else np.dtype(np.float32)


def host_memory(grant: Grant, *, held: int = 0) -> int:
    """Return how many bytes of this machine's memory a task may take in all.

    This is the granted memory. If the grant names none, it is an equal part of the available memory, as if
    tasks like this one ran on all CPUs, plus held, the bytes that the task's inputs already take.
    """
    if grant.memory_bytes is not None:
        return grant.memory_bytes
    return available_memory() // max(1, n_cpus() // grant.num_cpus) + held


def _device_memory(device: str, grant: Grant) -> int:
    """Return the bytes that are free on a GPU for a task that was granted a part of it, or whole GPUs."""
    free, total = torch.cuda.mem_get_info(device)
    part = min(1.0, grant.num_gpus) if grant.num_gpus else 1.0
    return max(0, min(free, int(part * total) - torch.cuda.memory_allocated(device)))
