"""Reports the progress of the task in this thread to the code that runs the task.

The training loop reports how much of the task is done. Without a listener a report costs almost nothing. A
listener gets at most two reports a second.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

# The least number of seconds between two reports to a listener. Reports in between are dropped.
_INTERVAL = 0.5


@dataclass
class _Listening:
    listener: Callable[[float], None]
    next_at: float


_LISTENING: ContextVar[_Listening | None] = ContextVar("task_progress", default=None)


@contextmanager
def reports_to(listener: Callable[[float], None]) -> Iterator[None]:
    """Pass the reports made in this block to listener; each is the share of the task done, from 0 to 1."""
    token = _LISTENING.set(_Listening(listener, time.monotonic() + _INTERVAL))
    try:
        yield
    finally:
        _LISTENING.reset(token)


def report(share: float) -> None:
    """Report that this share of the current task is done; does nothing without a listener."""
    listening = _LISTENING.get()
    if listening is not None and time.monotonic() >= listening.next_at:
        listening.next_at = time.monotonic() + _INTERVAL
        listening.listener(min(1.0, max(0.0, share)))
