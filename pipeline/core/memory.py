"""The memory and the CPUs that this process may still use, as reported by the operating system."""

import os
import resource
from pathlib import Path

import psutil

from pipeline.core.errors import DataError

# For control groups of version 2 and of version 1: the files in which Linux writes a container's limit, its
# usage and its statistics, and the name of the statistic that counts cached files. The usage includes cached
# files, but Linux frees them when memory is short.
_GROUPS = (
    (
        "/sys/fs/cgroup/memory.max",
        "/sys/fs/cgroup/memory.current",
        "/sys/fs/cgroup/memory.stat",
        "inactive_file",
    ),
    (
        "/sys/fs/cgroup/memory/memory.limit_in_bytes",
        "/sys/fs/cgroup/memory/memory.usage_in_bytes",
        "/sys/fs/cgroup/memory/memory.stat",
        "total_inactive_file",
    ),
)
# A limit of this many bytes or more means no limit: version 1 then writes the largest number of whole pages.
# Version 2 writes the word max instead.
_UNLIMITED = 2**62


def available_memory() -> int:
    """Return how many bytes this process may still use.

    It is the least of the bytes that the machine, the container and `ulimit -v` still allow.
    """
    rooms = [psutil.virtual_memory().available, *_rooms_of_groups()]
    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    if limit != resource.RLIM_INFINITY:
        rooms.append(limit - psutil.Process().memory_info().vms)
    return max(0, min(rooms))


def n_cpus() -> int:
    """Return how many CPUs this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def in_words(n_bytes: int) -> str:
    """Return a size in the largest unit that gives 1 or more, such as `1.5 GB`."""
    for unit, name in ((2**30, "GB"), (2**20, "MB"), (2**10, "kB")):
        if n_bytes >= unit:
            return f"{n_bytes / unit:,.1f} {name}"
    return f"{n_bytes} bytes"


def check_memory(n_bytes: int, what: str, remedy: str) -> None:
    """Raise DataError with the remedy if n_bytes, the size of `what`, exceed the available memory."""
    available = available_memory()
    if n_bytes > available:
        found = f"{what} takes {in_words(n_bytes)} at once, but {in_words(available)} of memory are left here"
        raise DataError(f"{found}; {remedy}")


def _rooms_of_groups() -> list[int]:
    rooms = []
    for limit, usage, statistics, copies in _GROUPS:
        try:
            allowed = int(Path(limit).read_text())
            if allowed >= _UNLIMITED:
                continue
            counts = dict(line.split() for line in Path(statistics).read_text().splitlines())
            rooms.append(allowed - int(Path(usage).read_text()) + int(counts.get(copies, 0)))
        # The machine has no such group, or the limit of the group is the word `max`.
        except (OSError, ValueError):
            continue
    return rooms
