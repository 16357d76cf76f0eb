"""An executor on Ray that runs one task for each shard.

The number of submitted tasks is bounded, and the data that all tasks share is put into Ray's object store
once. Ray retries nothing here, because it would count a preempted machine and a crashed process alike. A task
that Ray cannot finish comes back as an outcome with a fault class, and the walk decides what to do.
"""

import itertools
import time
import uuid
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import replace
from typing import Any, TypeVar

from typing_extensions import override

from pipeline.core.resources import Need
from pipeline.core.task_progress import reports_to
from pipeline.execution.executor import Executor, Fault, Outcome, attempt
from pipeline.execution.ray.cluster import ConnectionPatience, Lookout, busy_notice, connect, gone
from pipeline.execution.ray.node_visibility import Blind

from pipeline.execution.ray.progress_board import BoardReader, Teller  # isort: skip  (these import Ray too)

import ray  # isort: skip  (after cluster.py, which sets the variables that Ray reads on import)

T = TypeVar("T")

# At most WINDOW_PER_CPU tasks for each CPU of the cluster are submitted at a time, or FEWEST_IN_FLIGHT if
# that is more. A few waiting tasks keep the workers busy; more would only pile up in the driver.
WINDOW_PER_CPU = 2
FEWEST_IN_FLIGHT = 8


class RayExecutor(Executor[T]):
    """Runs function(task, shared, device) as Ray tasks.

    A task whose resources never become available ends with an error instead of a silent wait.
    """

    def __init__(
        self, function: Callable[[T, Any, str], Any], shared: Any, *, stall_seconds: float = 60.0
    ) -> None:
        connect()
        self._function, self.shared = function, ray.put(shared)
        self.lookout, self._patience = Lookout(), ConnectionPatience(stall_seconds)
        self.blind = Blind()
        self._tasks: dict[ray.ObjectRef, tuple[T, Need]] = {}
        # Of each submitted task, the number under which it reports progress, and when it was submitted
        # (time.monotonic). The order is that of submission.
        self._numbers: dict[ray.ObjectRef, tuple[int, float]] = {}
        self._channel, self._count = f"dmm-progress-{uuid.uuid4().hex}", itertools.count()
        self._reader = BoardReader(self._channel)
        self._runs: dict[Need, Any] = {}
        self._window = FEWEST_IN_FLIGHT
        # A notice that others use CPUs of the cluster. It is shown until the first task comes back.
        self._busy = busy_notice()

    @override
    def has_room(self) -> bool:
        return len(self._tasks) < self._window

    @override
    def submit(self, task: T, need: Need) -> None:
        need = self.blind.around(need, self.lookout.machines)
        # run_task is wrapped once for each need: Ray sends a function to the head each time it is wrapped,
        # and keeps every copy.
        if need not in self._runs:
            self._runs[need] = ray.remote(**options_of(need, retries=0))(run_task)
        number = next(self._count)
        ref = self._runs[need].remote(self._function, task, self.shared, (self._channel, number))
        self._tasks[ref], self._numbers[ref] = (task, need), (number, time.monotonic())

    @override
    def wait(self, seconds: float) -> list[Outcome[T]]:
        machines = self.lookout.machines()
        # The window is updated at each wait, because a cluster may grow during a run.
        self._window = max(
            FEWEST_IN_FLIGHT, int(WINDOW_PER_CPU * sum(machine.get("CPU", 0.0) for machine in machines))
        )
        if not self._tasks:
            return []
        done, _ = ray.wait(list(self._tasks), num_returns=1, timeout=seconds)
        self._reader.update(time.monotonic() - next(iter(self._numbers.values()))[1])
        more, _ = ray.wait(list(self._tasks), num_returns=len(self._tasks), timeout=0)
        finished = list(dict.fromkeys([*done, *more]))
        return [self._collect(ref) for ref in finished] + self._stalled(machines)

    @property
    @override
    def n_running(self) -> int:
        return len(self._tasks)

    @property
    @override
    def notice(self) -> str:
        return "; ".join(filter(None, (self._busy, self._patience.notice, self.blind.notice)))

    @override
    def under_way(self) -> Sequence[tuple[T, float]]:
        shares = self._reader.shares
        return [
            (self._tasks[ref][0], shares[number])
            for ref, (number, _) in self._numbers.items()
            if number in shares
        ]

    @override
    def listen(self, changed: Callable[[], None]) -> None:
        """Do nothing: `submit` returns at once."""

    @override
    def close(self) -> None:
        self.lookout.close()
        if self.lookout.answers:
            for ref in self._tasks:
                ray.cancel(ref, force=True)
            self._reader.close()
        self._tasks, self._numbers = {}, {}

    def _collect(self, ref: "ray.ObjectRef") -> Outcome[T]:
        task, _ = self._tasks.pop(ref)
        del self._numbers[ref]
        self._busy = ""
        try:
            outcome = ray.get(ref)
        except ray.exceptions.RayError as error:
            return lost(task, error)
        self.blind.note(outcome)
        return replace(outcome, task=task)

    def _stalled(self, machines: list[dict[str, float]]) -> list[Outcome[T]]:
        """Give up tasks whose needs no living machine has met for long; return their outcomes."""
        needs = {need for _, need in self._tasks.values()}
        hopeless = self._patience.hopeless(needs, machines) | self.blind.hopeless(
            needs, machines, self._patience.seconds
        )
        outcomes = []
        for ref in [ref for ref, (_, need) in self._tasks.items() if need in hopeless]:
            ray.cancel(ref, force=True)
            task, need = self._tasks.pop(ref)
            del self._numbers[ref]
            outcomes.append(Outcome(task, error=hopeless[need], fault="unmet"))
        return outcomes


def options_of(need: Need, *, retries: int) -> dict[str, Any]:
    """Return need as Ray's options; Ray itself retries a task `retries` times if its worker is lost."""
    options: dict[str, Any] = {"num_cpus": need.num_cpus, "num_gpus": need.num_gpus, "max_retries": retries}
    if need.memory_bytes is not None:
        options["memory"] = need.memory_bytes
    return (
        options
        | ({"resources": dict(need.custom)} if need.custom else {})
        | ({"label_selector": dict(need.labels)} if need.labels else {})
    )


def run_task(
    function: Callable[[T, Any, str], Any], task: T, shared: Any, channel: tuple[str, int] | None = None
) -> Outcome[None]:
    """Return the outcome of function(task, shared, device), with the id of the Ray node that ran it.

    device is the GPU that Ray assigned to this task, or the CPU. The outcome does not contain the task, so
    that it need not be sent back. channel is the name of the progress board and the number under which the
    task reports its progress.
    """
    # torch still sees the GPUs of the node in a task with num_gpus=0, so Ray is asked and not torch.
    device = "cuda:0" if ray.get_gpu_ids() else "cpu"
    teller = None if channel is None else Teller(*channel)
    with nullcontext() if teller is None else reports_to(teller):
        outcome = attempt(lambda _, where: function(task, shared, where), None, device)
    if teller is not None:
        teller.end()
    return replace(outcome, node=ray.get_runtime_context().get_node_id())


def lost(task: T, error: ray.exceptions.RayError) -> Outcome[T]:
    """Return the outcome of a task that Ray could not finish.

    Raises ExecutionError if this machine has left the cluster, because then no task can finish.
    """
    if isinstance(error, ray.exceptions.LocalRayletDiedError):
        raise gone("the machine of this command is no longer part of it") from error
    return Outcome(task, error=said(error), trace=str(error), fault=fault_of_loss(error))


def fault_of_loss(error: ray.exceptions.RayError) -> Fault:
    """Return the fault class of a task that Ray did not finish.

    Ray distinguishes a lost worker, a lost machine and a kill for lack of memory.
    """
    if isinstance(error, ray.exceptions.OutOfMemoryError):
        return "memory"
    if isinstance(error, ray.exceptions.NodeDiedError | ray.exceptions.ObjectLostError):
        return "lost"
    return "crashed" if isinstance(error, ray.exceptions.WorkerCrashedError) else "error"


def said(error: ray.exceptions.RayError) -> str:
    """Return Ray's message of an error, in one line."""
    reason = str(error).strip().splitlines()
    return f"{type(error).__name__}: {reason[0] if reason else 'lost'}"
