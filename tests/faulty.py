"""Faults for tests: an executor that fails on demand, and work that ends its own process.

They are in a module, so that Ray workers can import them.
"""

import os
import signal
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any, TypeVar

from jobs.session import Session
from pipeline.data.examples import Examples
from pipeline.execution.executor import Fault, Outcome, SerialExecutor
from pipeline.execution.progress import Progress
from pipeline.execution.walk import Walk
from pipeline.graph.shard_task import Task, compute_task
from pipeline.store.files import Files
from pipeline.store.files.wrapping import Wrapping

T = TypeVar("T")
SUBSET = "train/subset"


@dataclass(frozen=True)
class WatchedFiles(Wrapping):
    """Other files; `before` is called before each access."""

    inner: Files
    before: Callable[[], None]

    def reading(self, act: Callable[[], T]) -> T:
        self.before()
        return act()


def at_call(number: int, act: Callable[[], None]) -> Callable[[], None]:
    """Return a function that calls act when it is called for that time."""
    calls = count(1)
    return lambda: act() if next(calls) == number else None


class FaultyExecutor(SerialExecutor):
    """A serial executor whose shards fail as `fault_of(task, how often it was tried)` says."""

    def __init__(self, session: Session, fault_of: Callable[[Task, int], Fault | None]) -> None:
        super().__init__(lambda task, device: compute_task(task, session.examples, device))
        self._fault_of = fault_of
        self.tries: Counter[tuple[int, int]] = Counter()

    def submit(self, task, need) -> None:
        self.tries[task.start, task.stop] += 1
        fault = self._fault_of(task, self.tries[task.start, task.stop])
        if fault is None:
            super().submit(task, need)
        else:
            self._outcomes.append(Outcome(task, error=f"SomeError: {fault}", fault=fault))


def no_fault(_task: Task, _tried: int) -> None:
    return None


def run_with(
    session: Session, fault_of: Callable[[Task, int], Fault | None] = no_fault
) -> tuple[Progress, FaultyExecutor]:
    """Make the subset models while shards fail as told."""
    executor = FaultyExecutor(session, fault_of)
    return Walk(
        session.graph, session.store, open_executor=lambda: executor, wanted=frozenset({SUBSET})
    ).run(), executor


def compute_and_die_once(task: Task, examples: Examples, device: str) -> dict[str, Any]:
    """Kill the own process the first time that a shard is computed."""
    marker = Path(task.store_uri).with_name(f"died-{task.start}")
    if not marker.exists():
        marker.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return compute_task(task, examples, device)
