"""How tasks are run: an executor takes tasks while it has room and hands back outcomes.

Serial here; Ray tasks in ray_tasks.

An outcome without a result carries a fault class, such as that of the shard's own code, the store or the
machine; the retry policy decides by it.
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

# refused: what was asked cannot be done, however often.
# setting: a setting is wrong, so that no shard of the table can be made.
# error: the shard's code raised.
# store: reading or writing failed.
# full: there is no space left.
# unseen: its machine does not see the store.
# crashed: its process died.
# memory: it, or its machine, ran out of memory.
# lost: its machine went away.
# unmet: no machine offers what it needs.
Fault = Literal[
    "refused", "setting", "error", "store", "full", "unseen", "crashed", "memory", "lost", "unmet"
]

FULL = frozenset({errno.ENOSPC, errno.EDQUOT})


@dataclass(frozen=True)
class Outcome(Generic[T]):
    """How a task ended: with a result, or with an error in one line, its traceback, its fault class, and the place where it ran, if known.

    host is the machine's name, node what the executor itself calls it, if it knows several.
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
    """Runs tasks in any order; every task submitted comes back as exactly one outcome."""

    def has_room(self) -> bool:
        """Return whether a task submitted now would not pile up."""
        ...

    def submit(self, task: T, need: Need) -> None:
        """Take a task."""
        ...

    def wait(self, seconds: float) -> list[Outcome[T]]:
        """Return outcomes that are there within seconds, perhaps none.

        A task whose needs are never met comes back as an error too.

        Raises ExecutionError if no task will ever come back: the cluster is gone.
        """
        ...

    @property
    def n_running(self) -> int:
        """Tasks taken and not handed back."""
        ...

    @property
    def notice(self) -> str:
        """What tasks wait for that may never come, in a sentence; empty if nothing."""
        ...

    def under_way(self) -> Sequence[tuple[T, float]]:
        """Return tasks that run, each with the share of it that is done, as far as they told; never waits."""
        ...

    def listen(self, changed: Callable[[], None]) -> None:
        """Call changed now and then while `submit` works and does not return."""
        ...

    def close(self) -> None:
        """Drop what still runs and let go of all resources; closing twice does nothing."""
        ...


class SerialExecutor(Executor[T]):
    """Runs each task in this process, when it is submitted: the same results without Ray."""

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

    Whatever one bad shard can raise is an outcome, so that the rest goes on.
    """
    try:
        return Outcome(task, result=function(task, device))
    # Code that others wrote, or damage that no check foresaw, can raise anything; one shard must not cost the
    # rest.
    except Exception as error:
        said = "; ".join([f"{type(error).__name__}: {error}", *getattr(error, "__notes__", [])])
        return Outcome(
            task, error=said, trace=traceback.format_exc(), fault=fault_of(error), host=platform.node()
        )


def fault_of(error: BaseException) -> Fault:
    """Return the fault class of an error of a shard's code, by what caused the error in the first place."""
    causes = list(_causes(error))
    if any(is_out_of_memory(cause) for cause in causes):
        return "memory"
    if any(isinstance(cause, OSError) and cause.errno in FULL for cause in causes):
        return "full"
    # What a user's class raises may have passed at another try or on other points, so it counts as what it
    # is.
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
