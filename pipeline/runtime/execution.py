"""How tasks are run: an executor takes tasks while it has room and hands back outcomes. Serial here; Ray tasks in ray_tasks."""

import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar, runtime_checkable

from pipeline.core.errors import PipelineError

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Need:
    """What one task asks of the machine that runs it."""

    num_cpus: int = 1
    num_gpus: float = 0.0
    memory_bytes: int | None = None
    custom: tuple[tuple[str, float], ...] = ()
    labels: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Outcome(Generic[T]):
    """How a task ended: with a result, or with an error in one line and its traceback."""

    task: T
    result: Any = None
    error: str | None = None
    trace: str = ""


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
        """Return outcomes that are there within seconds, perhaps none; a task whose needs are never met comes back as an error too."""
        ...

    @property
    def n_running(self) -> int:
        """Tasks taken and not handed back."""
        ...

    def close(self) -> None:
        """Drop what still runs and let go of all resources; closing twice does nothing."""
        ...


class SerialExecutor(Generic[T]):
    """Runs each task in this process, when it is submitted: the same results without Ray."""

    def __init__(self, function: Callable[[T, str], Any], device: str = "cpu") -> None:
        self._function, self._device = function, device
        self._outcomes: list[Outcome[T]] = []

    def has_room(self) -> bool:
        """See Executor."""
        return not self._outcomes

    def submit(self, task: T, need: Need) -> None:
        """See Executor."""
        self._outcomes.append(attempt(self._function, task, self._device))

    def wait(self, seconds: float) -> list[Outcome[T]]:
        """See Executor."""
        outcomes, self._outcomes = self._outcomes, []
        return outcomes

    @property
    def n_running(self) -> int:
        """See Executor."""
        return len(self._outcomes)

    def close(self) -> None:
        """See Executor."""
        self._outcomes = []


def attempt(function: Callable[[T, str], Any], task: T, device: str) -> Outcome[T]:
    """Return the outcome of function on task: whatever one bad shard can raise is an outcome, so that the rest goes on."""
    try:
        return Outcome(task, result=function(task, device))
    except (
        PipelineError,
        ArithmeticError,
        LookupError,
        OSError,
        RuntimeError,
        TypeError,
        ValueError,
        AttributeError,
        AssertionError,
        ImportError,
        EOFError,
        NotImplementedError,
        MemoryError,
    ) as error:
        return Outcome(task, error=f"{type(error).__name__}: {error}", trace=traceback.format_exc())
