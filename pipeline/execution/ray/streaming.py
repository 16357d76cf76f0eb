"""An executor on Ray that runs many similar tasks as one Ray Data pipeline.

Each machine holds one copy of the data that these tasks share. The pipeline maps a plain function over the
numbers of the tasks; a pool of actors on all CPUs would hang (ray#44687). A separate Ray task drives the
pipeline, so this process neither imports Ray Data nor waits for it. A task returns only a small row, because
it writes its shard to the store itself.
"""

import json
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from typing_extensions import override

from pipeline.core.resources import Need
from pipeline.execution.executor import Executor, Outcome
from pipeline.execution.ray.cluster import ConnectionPatience
from pipeline.execution.ray.tasks import RayExecutor, fault_of_loss, options_of, run_task, said

import ray  # isort: skip  (after cluster.py, which sets the variables that Ray reads on import)

T = TypeVar("T")

# The fewest similar tasks for which a pipeline is started. The first pipeline takes 3.5 s to start. Each task
# then saves 0.2 s, because it need not read the shared data again (measured with the factor of 4,000 models).
FEWEST = 32
# How often Ray repeats a task whose worker was lost, and how often a pipeline is started again. A task that
# is lost more often comes back as a failed outcome, and the walk decides whether to try it again.
MAX_RETRIES = 3


@dataclass
class Stream(Generic[T]):
    """One pipeline and its tasks.

    tasks: the tasks without a result yet, by number. need: the resources of each task. common: a reference to
    the data that the tasks share. rows: the generator of the results. n_starts: how often the pipeline was
    started. error: the last error that stopped the pipeline.
    """

    tasks: dict[int, T]
    need: Need
    common: "ray.ObjectRef"
    rows: "ray.ObjectRefGenerator"
    n_starts: int = 1
    error: "ray.exceptions.RayError | None" = None


class StreamingExecutor(Executor[T]):
    """Runs function(task, shared, device, common) on Ray; its results are JSON-ready.

    common is the result of prepare(task, shared, device). Tasks are similar if stream(task) returns the same
    value, other than None. Similar tasks go through one pipeline if at least `fewest` of them are submitted
    between two calls of `wait`. Each other task is a Ray task that runs function(task, shared, device).
    """

    def __init__(
        self,
        function: Callable[..., Any],
        shared: Any,
        *,
        prepare: Callable[[T, Any, str], Any],
        stream: Callable[[T], Hashable | None],
        fewest: int = FEWEST,
        stall_seconds: float = 60.0,
    ) -> None:
        self._function, self._prepare, self._stream, self._fewest = function, prepare, stream, fewest
        self._single: RayExecutor[T] = RayExecutor(function, shared, stall_seconds=stall_seconds)
        self._patience = ConnectionPatience(stall_seconds)
        self._gathered: dict[Hashable, list[tuple[T, Need]]] = {}
        self._streams: list[Stream[T]] = []

    @override
    def has_room(self) -> bool:
        """Return whether another task can be submitted; tasks in pipelines do not count.

        Ray Data itself starts no more of them than fit.
        """
        return self._single.has_room()

    @override
    def submit(self, task: T, need: Need) -> None:
        name = self._stream(task)
        if name is None:
            self._single.submit(task, need)
        else:
            self._gathered.setdefault(name, []).append((task, need))

    @override
    def wait(self, seconds: float) -> list[Outcome[T]]:
        for tasks in self._gathered.values():
            self._start(tasks)
        self._gathered = {}
        if not self._streams:
            return self._single.wait(seconds)
        share = seconds / (len(self._streams) + bool(self._single.n_running))
        outcomes = [outcome for stream in self._streams for outcome in self._drain(stream, share)]
        outcomes += self._stalled()
        self._streams = [stream for stream in self._streams if stream.tasks]
        return outcomes + self._single.wait(share)

    @property
    @override
    def notice(self) -> str:
        return self._patience.notice or self._single.notice

    @property
    @override
    def n_running(self) -> int:
        return (
            self._single.n_running
            + sum(map(len, self._gathered.values()))
            + sum(len(stream.tasks) for stream in self._streams)
        )

    @override
    def under_way(self) -> Sequence[tuple[T, float]]:
        """Return the progress of tasks outside pipelines; tasks in pipelines are short and report nothing."""
        return self._single.under_way()

    @override
    def listen(self, changed: Callable[[], None]) -> None:
        """Do nothing: `submit` returns at once."""

    @override
    def close(self) -> None:
        if self._single.lookout.answers:
            for stream in self._streams:
                ray.cancel(stream.rows, force=True)
        self._streams, self._gathered = [], {}
        self._single.close()

    def _start(self, tasks: Sequence[tuple[T, Need]]) -> None:
        if len(tasks) < self._fewest:
            for task, need in tasks:
                self._single.submit(task, need)
            return
        (first, need), numbered = tasks[0], dict(enumerate(task for task, _ in tasks))
        need = self._single.blind.around(need, self._single.lookout.machines)
        common = ray.remote(**options_of(need, retries=MAX_RETRIES))(run_task).remote(
            self._prepare, first, self._single.shared
        )
        self._streams.append(Stream(numbered, need, common, self._rows(numbered, need, common)))

    def _rows(self, tasks: dict[int, T], need: Need, common: "ray.ObjectRef") -> "ray.ObjectRefGenerator":
        """Start a pipeline over tasks and return the generator of its rows.

        The Ray task that drives the pipeline asks for no CPU: on a machine with one CPU it would occupy this
        CPU while the pipeline waits for it.
        """
        # Ray must see a function with `yield`. The tests wrap _drive to check types, which would hide it.
        drive = ray.remote(num_cpus=0, max_retries=0, num_returns="streaming")(
            lambda *given: (yield from _drive(*given))
        )
        return drive.remote(self._function, tasks, need, {"shared": self._single.shared, "common": common})

    def _drain(self, stream: Stream[T], seconds: float) -> Iterator[Outcome[T]]:
        """Yield the outcomes of a stream that have arrived; wait at most `seconds` for the first."""
        while stream.tasks and ray.wait([stream.rows], timeout=seconds)[0]:
            seconds = 0.0
            try:
                row = ray.get(next(stream.rows))
                yield self._told(stream.tasks.pop(row["number"]), row)
            except StopIteration:
                yield from self._ended(stream)
                return
            except ray.exceptions.RayError as error:
                stream.error = error

    def _told(self, task: T, row: Mapping[str, Any]) -> Outcome[T]:
        outcome = Outcome(
            task,
            json.loads(row["result"]),
            row["error"] or None,
            row["trace"],
            row["fault"],
            row["host"],
            row["node"],
        )
        self._single.blind.note(outcome)
        return outcome

    def _ended(self, stream: Stream[T]) -> list[Outcome[T]]:
        """Return the outcomes of tasks without a row after their pipeline has ended.

        If the Ray task that drives the pipeline failed, the pipeline is started again for these tasks, at
        most MAX_RETRIES times, and no outcomes are returned yet.
        """
        if stream.error is not None and stream.n_starts <= MAX_RETRIES:
            stream.rows, stream.n_starts, stream.error = (
                self._rows(stream.tasks, stream.need, stream.common),
                stream.n_starts + 1,
                None,
            )
            return []
        lost = (
            f"its worker was lost (after {MAX_RETRIES} retries); if memory ran out, raise memory_gb "
            "in `resources`"
        )
        reason, trace = (
            (f"ExecutionError: {lost}", "")
            if stream.error is None
            else (said(stream.error), str(stream.error))
        )
        fault = "crashed" if stream.error is None else fault_of_loss(stream.error)
        outcomes = [Outcome(task, error=reason, trace=trace, fault=fault) for task in stream.tasks.values()]
        stream.tasks = {}
        return outcomes

    def _stalled(self) -> list[Outcome[T]]:
        """Give up streams whose needs no living machine has met for long; return their tasks' outcomes."""
        needs, machines = (
            {stream.need for stream in self._streams if stream.tasks},
            self._single.lookout.machines(),
        )
        hopeless = self._patience.hopeless(needs, machines) | self._single.blind.hopeless(
            needs, machines, self._patience.seconds
        )
        outcomes = []
        for stream in [stream for stream in self._streams if stream.need in hopeless]:
            ray.cancel(stream.rows, force=True)
            outcomes += [
                Outcome(task, error=hopeless[stream.need], fault="unmet") for task in stream.tasks.values()
            ]
            stream.tasks = {}
        return outcomes


def _drive(
    function: Callable[..., Any], tasks: dict[int, T], need: Need, held: dict[str, "ray.ObjectRef"]
) -> Iterator[dict[str, Any]]:
    """Run the pipeline; yield one row for each finished task: its number, and its outcome as text.

    held holds references to the data that all tasks share.
    """
    import ray.data

    def compute(row: dict[str, Any]) -> dict[str, Any]:
        prepared, shared = ray.get(held["common"]), ray.get(held["shared"])
        outcome = prepared
        if prepared.error is None:
            outcome = run_task(
                lambda task, shared, device: function(task, shared, device, prepared.result),
                tasks[row["number"]],
                shared,
            )
        result = json.dumps(outcome.result if outcome is not prepared else None)
        told = {
            "error": outcome.error or "",
            "trace": outcome.trace,
            "fault": outcome.fault,
            "host": outcome.host,
            "node": outcome.node,
        }
        return {"number": row["number"], "result": result, **told}

    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    # -1: a task that fails for good does not stop the others. By default Ray Data would retry a task without
    # end if its worker is lost each time, so the options below limit the retries.
    context.max_errored_blocks = -1
    numbers = ray.data.from_items([{"number": number} for number in tasks], override_num_blocks=len(tasks))
    yield from numbers.map(compute, **options_of(need, retries=MAX_RETRIES)).iter_rows()
