"""The resources that a task asks of the machine that runs it, and those that it is granted there."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Need:
    """The resources that one task asks of the machine that runs it."""

    num_cpus: int = 1
    num_gpus: float = 0.0
    memory_bytes: int | None = None
    custom: tuple[tuple[str, float], ...] = ()
    labels: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, kw_only=True)
class Grant:
    """The resources granted to a task: bytes of memory (None if unknown), CPUs, and GPUs or a part of one."""

    memory_bytes: int | None = None
    num_cpus: int = 1
    num_gpus: float = 0.0
