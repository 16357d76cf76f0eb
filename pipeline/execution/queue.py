"""What is still to be handed to an executor.

In the order in which others wait for it, and what failed after a pause.
"""

import heapq
import time
import uuid

from pipeline.graph.work import Task


class Queue:
    """Tasks in the order of their nodes' ranks.

    Two runs on one store visit shards in different orders, so that they help each other instead of doing the
    same.
    """

    def __init__(self) -> None:
        self._ready: list[tuple[int, str, str, Task]] = []
        self._later: list[tuple[float, str, Task]] = []
        self._together: dict[str, str] = {}

    def __len__(self) -> int:
        return len(self._ready) + len(self._later)

    def push(self, task: Task, *, again: bool = False, pause: float = 0.0) -> None:
        """Add a task, to be taken no sooner than in pause seconds.

        One that was tried before is next, so that what never works is soon known.
        """
        if pause:
            heapq.heappush(self._later, (time.monotonic() + pause, uuid.uuid4().hex, task))
            return
        # What is streamed is handed over in one go, so it stays together in the queue.
        place = (
            self._together.setdefault(task.folder, uuid.uuid4().hex)
            if task.node.streams
            else uuid.uuid4().hex
        )
        heapq.heappush(self._ready, (task.node.rank, "" if again else place, uuid.uuid4().hex, task))

    def pop(self) -> Task | None:
        """Return the next task, None if all that are left have to wait."""
        while self._later and self._later[0][0] <= time.monotonic():
            self.push(heapq.heappop(self._later)[-1], again=True)
        return heapq.heappop(self._ready)[-1] if self._ready else None

    def drop(self, key: str | None = None) -> list[Task]:
        """Take out and return the tasks of the node called key, of all nodes if none is named."""
        chosen = [entry[-1] for entry in self._ready] + [entry[-1] for entry in self._later]
        self._ready = [entry for entry in self._ready if key not in (None, entry[-1].node.key)]
        self._later = [entry for entry in self._later if key not in (None, entry[-1].node.key)]
        heapq.heapify(self._ready)
        heapq.heapify(self._later)
        return [task for task in chosen if key in (None, task.node.key)]
