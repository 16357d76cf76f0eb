"""A run that kills itself without warning.

`python killed.py CONFIG STORE N` runs serially and sends itself SIGKILL instead of its Nth write.
"""

import os
import signal
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeVar

from jobs.session import open_session
from pipeline.execution.executor import SerialExecutor
from pipeline.execution.walk import Walk
from pipeline.graph.shard_task import Task, compute_task, open_store
from pipeline.store.files import Files
from pipeline.store.files.wrapping import Wrapping
from pipeline.store.store import Store

T = TypeVar("T")


@dataclass(frozen=True)
class DeadlyFiles(Wrapping):
    """Other files that allow as many changes as `allowed` has items, then kill the process."""

    inner: Files
    allowed: Iterator[int]

    def reading(self, act: Callable[[], T]) -> T:
        return act()

    def writing(self, act: Callable[[], T]) -> T:
        if next(self.allowed, None) is None:
            os.kill(os.getpid(), signal.SIGKILL)
        return act()


def main() -> None:
    config, uri, n_writes = sys.argv[1:]
    session, allowed = open_session(config, (), uri), iter(range(int(n_writes) - 1))

    def open_deadly(task: Task) -> Store:
        store = open_store(task)
        store.files = DeadlyFiles(store.files, allowed)
        return store

    def executor() -> SerialExecutor[Task]:
        return SerialExecutor(
            lambda task, device: compute_task(task, session.examples, device, open_store=open_deadly)
        )

    Walk(session.graph, session.store, open_executor=executor).run()


if __name__ == "__main__":
    main()
