"""The resources that a task asks of the machine that runs it, and those that it is granted there."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Need:
    """The resources that one task asks of the machine that runs it.

    memory_bytes is None if the task asks for no memory. custom holds pairs of a Ray custom resource and its
    amount. labels is Ray's label selector: pairs of a node label and the value or condition it must meet.
    """

    num_cpus: int = 1
    num_gpus: float = 0.0
    memory_bytes: int | None = None
    custom: tuple[tuple[str, float], ...] = ()
    labels: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, kw_only=True)
class Grant:
    """The resources granted to a task; memory_bytes is None if unknown, and 0.5 GPUs are half of one GPU."""

    memory_bytes: int | None = None
    num_cpus: int = 1
    num_gpus: float = 0.0
