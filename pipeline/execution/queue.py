"""The queue of tasks that wait for an executor, ordered by the rank of their nodes.

Nodes that many other nodes wait for have a low rank, and their tasks come first. A failed task can be held
back for some seconds.
"""

import heapq
import time
import uuid

from pipeline.graph.shard_task import Task


class Queue:
    """Tasks in the order of their nodes' ranks, and in random order within a rank.

    Because the order is random, two runs on one store compute different shards first. Each run then uses the
    shards of the other.
    """

    def __init__(self) -> None:
        self._ready: list[tuple[int, str, str, Task]] = []
        self._later: list[tuple[float, str, Task]] = []
        self._together: dict[str, str] = {}

    def __len__(self) -> int:
        return len(self._ready) + len(self._later)

    def push(self, task: Task, *, again: bool = False, pause: float = 0.0) -> None:
        """Add a task that `pop` may return after pause seconds.

        With again, the task comes first in its rank. Retries use this, so that a permanent failure shows
        early.
        """
        if pause:
            heapq.heappush(self._later, (time.monotonic() + pause, uuid.uuid4().hex, task))
            return
        # Streamed tasks of a table are submitted together, so they share one place in the random order.
        place = (
            self._together.setdefault(task.folder, uuid.uuid4().hex)
            if task.node.streams
            else uuid.uuid4().hex
        )
        heapq.heappush(self._ready, (task.node.rank, "" if again else place, uuid.uuid4().hex, task))

    def pop(self) -> Task | None:
        """Return the next task, or None if all remaining tasks must wait."""
        while self._later and self._later[0][0] <= time.monotonic():
            self.push(heapq.heappop(self._later)[-1], again=True)
        return heapq.heappop(self._ready)[-1] if self._ready else None

    def drop(self, key: str | None = None) -> list[Task]:
        """Remove and return the tasks of the node called key, or of all nodes if key is None."""
        chosen = [entry[-1] for entry in self._ready] + [entry[-1] for entry in self._later]
        self._ready = [entry for entry in self._ready if key not in (None, entry[-1].node.key)]
        self._later = [entry for entry in self._later if key not in (None, entry[-1].node.key)]
        heapq.heapify(self._ready)
        heapq.heapify(self._later)
        return [task for task in chosen if key in (None, task.node.key)]
