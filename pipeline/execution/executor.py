"""Executors run tasks: they accept tasks while they have room and return one outcome for each task.

The serial executor is here; Ray tasks are in ray/tasks.py. An outcome without a result carries a fault class:
it distinguishes failures of the shard's code, of the store and of the machine. The retry policy decides by
the fault class.
"""

import errno
import platform
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Literal, Protocol, TypeVar, runtime_checkable

from typing_extensions import override

from pipeline.core.errors import (
    ConfigError,
    CorruptShardError,
    ExecutionError,
    PipelineError,
    PluginError,
    StoreError,
    StoreUnseenError,
    is_out_of_memory,
)
from pipeline.core.resources import Need
from pipeline.core.task_progress import reports_to

T = TypeVar("T")

# The fault classes of tasks that end without a result.
# refused: the task can never succeed.
# setting: a setting is wrong; no shard of the table can be computed.
# error: the shard's code raised.
# store: reading or writing failed.
# full: the disk or the quota has no space left.
# unseen: the machine does not see the store.
# crashed: the process died.
# memory: the process or its machine ran out of memory.
# lost: the machine went away.
# unmet: no machine offers what the task needs.
Fault = Literal[
    "refused", "setting", "error", "store", "full", "unseen", "crashed", "memory", "lost", "unmet"
]

FULL = frozenset({errno.ENOSPC, errno.EDQUOT})


@dataclass(frozen=True)
class Outcome(Generic[T]):
    """The outcome of a task: a result, or an error with its traceback and fault class.

    error is one line. host is the name of the machine that ran the task. node is the executor's id of that
    machine, if the executor has several. Both are empty if unknown.
    """

    task: T
    result: Any = None
    error: str | None = None
    trace: str = ""
    fault: Fault = "error"
    host: str = ""
    node: str = ""


@runtime_checkable
class Executor(Protocol[T]):
    """Runs tasks in any order; each submitted task comes back as exactly one outcome."""

    def has_room(self) -> bool:
        """Return whether another task can be submitted without building up a backlog."""
        ...

    def submit(self, task: T, need: Need) -> None:
        """Accept a task that needs these resources; it runs now or later."""
        ...

    def wait(self, seconds: float) -> list[Outcome[T]]:
        """Return the outcomes that arrive within seconds; the list may be empty.

        A task whose needs are never met comes back as an error. Raises ExecutionError if the cluster is gone
        and no task can come back.
        """
        ...

    @property
    def n_running(self) -> int:
        """The number of tasks that were submitted and have not come back."""
        ...

    @property
    def notice(self) -> str:
        """A sentence for users about why tasks may have to wait; empty if there is no reason."""
        ...

    def under_way(self) -> Sequence[tuple[T, float]]:
        """Return the running tasks that reported progress, each with its finished share; never blocks."""
        ...

    def listen(self, changed: Callable[[], None]) -> None:
        """Register a function that a blocking `submit` calls now and then, so that progress can be shown."""
        ...

    def close(self) -> None:
        """Drop the running tasks and release all resources; a second call does nothing."""
        ...


class SerialExecutor(Executor[T]):
    """Runs each task in this process when it is submitted; the results are the same as on Ray."""

    def __init__(self, function: Callable[[T, str], Any], device: str = "cpu") -> None:
        self._function, self._device = function, device
        self._outcomes: list[Outcome[T]] = []
        self._running: list[tuple[T, float]] = []
        self._changed: Callable[[], None] = lambda: None

    @override
    def has_room(self) -> bool:
        return not self._outcomes

    @override
    def submit(self, task: T, need: Need) -> None:

        def told(share: float) -> None:
            self._running = [(task, share)]
            self._changed()

        with reports_to(told):
            self._outcomes.append(attempt(self._function, task, self._device))
        self._running = []

    @override
    def wait(self, seconds: float) -> list[Outcome[T]]:
        outcomes, self._outcomes = self._outcomes, []
        return outcomes

    @property
    @override
    def n_running(self) -> int:
        return len(self._outcomes)

    @property
    @override
    def notice(self) -> str:
        return ""

    @override
    def under_way(self) -> Sequence[tuple[T, float]]:
        return self._running

    @override
    def listen(self, changed: Callable[[], None]) -> None:
        self._changed = changed

    @override
    def close(self) -> None:
        self._outcomes = []


def attempt(function: Callable[[T, str], Any], task: T, device: str) -> Outcome[T]:
    """Return the outcome of function on task.

    Any exception becomes an outcome, so one bad shard does not stop the others.
    """
    try:
        return Outcome(task, result=function(task, device))
    # A user's class or a damaged file can raise any exception.
    except Exception as error:
        said = "; ".join([f"{type(error).__name__}: {error}", *getattr(error, "__notes__", [])])
        return Outcome(
            task, error=said, trace=traceback.format_exc(), fault=fault_of(error), host=platform.node()
        )


def fault_of(error: BaseException) -> Fault:
    """Return the fault class of an error raised by a shard's code; the errors that caused it count too."""
    causes = list(_causes(error))
    if any(is_out_of_memory(cause) for cause in causes):
        return "memory"
    if any(isinstance(cause, OSError) and cause.errno in FULL for cause in causes):
        return "full"
    # A PluginError wraps the error of a user's class. The class may succeed on another try or on other
    # points, so the fault class is that of the wrapped error.
    if (
        isinstance(error, PluginError)
        and error.__cause__ is not None
        and not isinstance(error.__cause__, PipelineError)
    ):
        return fault_of(error.__cause__)
    if isinstance(error, StoreUnseenError):
        return "unseen"
    if isinstance(error, CorruptShardError):
        return "refused"
    if isinstance(error, StoreError | ExecutionError | OSError):
        return "store"
    if isinstance(error, ConfigError):
        return "setting"
    return "refused" if isinstance(error, PipelineError) else "error"


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__
