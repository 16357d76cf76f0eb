"""Shows the progress of running tasks on Ray, through a small actor that is called the board.

Each worker writes to the board how much of its task is finished, and the driver reads it; neither waits for
the other. The board is started only when a task has been open for some seconds, so short runs do not pay for
it. A message that cannot be sent is dropped.
"""

import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import ray

# The least number of seconds between two messages of a task, and from the start of a task to its first
# message. The driver waits as long between two reads of the board.
_INTERVAL = 2.0
# Seconds from the submission of a task until the board is started, if the task has not ended by then.
WORTH_A_BOARD = 5.0
# Seconds after which the share of a task is dropped if it was not updated.
FORGOTTEN = 60.0


class Board:
    """The actor: it keeps the finished share (0 to 1) that each task reported last, by task number."""

    def __init__(self) -> None:
        self._shares: dict[int, tuple[float, float]] = {}

    def write(self, number: int, share: float) -> None:
        """Store the finished share of a task."""
        self._shares[number] = (share, time.monotonic())

    def read(self) -> dict[int, float]:
        """Return the shares reported recently."""
        oldest = time.monotonic() - FORGOTTEN
        self._shares = {number: told for number, told in self._shares.items() if told[1] >= oldest}
        return {number: share for number, (share, _) in self._shares.items()}


class BoardReader:
    """The driver's side: it starts the board and reads it.

    shares is the last answer of the board: the finished share of each running task, by task number.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._board: Any = None
        self._answer: ray.ObjectRef | None = None
        self._next = 0.0
        self._is_broken = False
        self.shares: Mapping[int, float] = {}

    def update(self, longest_seconds: float) -> None:
        """Store an answer of the board that has arrived, and ask the board again; never waits.

        longest_seconds is the time since the oldest open task was submitted. The board is started when this
        reaches WORTH_A_BOARD.
        """
        if self._is_broken or longest_seconds < WORTH_A_BOARD:
            return
        # Progress is only shown. If the board fails, the run goes on without it.
        try:
            self._ask()
        except ray.exceptions.RayError:
            self._is_broken, self.shares = True, {}

    def _ask(self) -> None:
        if self._board is None:
            self._board = ray.remote(num_cpus=0)(Board).options(name=self._name).remote()
        if self._answer is not None and ray.wait([self._answer], timeout=0)[0]:
            self.shares, self._answer = ray.get(self._answer), None
        if self._answer is None and time.monotonic() >= self._next:
            self._next = time.monotonic() + _INTERVAL
            self._answer = self._board.read.remote()

    def close(self) -> None:
        """End the board."""
        if self._board is not None:
            ray.kill(self._board)
            self._board = None


class Teller:
    """The worker's side: a function that takes the finished share of a task and sends it to the board.

    A thread sends the latest share, so the task never waits. The thread starts with the first share that is
    reported after _INTERVAL seconds.
    """

    def __init__(self, name: str, number: int) -> None:
        self._name, self._number = name, number
        self._share = 0.0
        self._over = threading.Event()
        self._begun = time.monotonic()
        self._thread: threading.Thread | None = None

    def __call__(self, share: float) -> None:
        """Store the finished share of the task; never blocks."""
        self._share = share
        if self._thread is None and time.monotonic() - self._begun >= _INTERVAL:
            self._thread = threading.Thread(target=self._send, daemon=True)
            self._thread.start()

    def end(self) -> None:
        """Send nothing more."""
        self._over.set()

    def _send(self) -> None:
        while not self._over.is_set():
            # The driver may not have started the board yet, or the board may be gone or out of reach.
            with suppress(ValueError, ray.exceptions.RayError):
                ray.get_actor(self._name).write.remote(self._number, self._share)
            self._over.wait(_INTERVAL)
