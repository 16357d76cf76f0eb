"""The walk over the graph: it computes missing shards through an executor and retries shards that failed.

A table is computed when the tables that it reads are complete. The walk can be stopped at any moment and
started again.
"""

import time
from collections.abc import Callable, Mapping, Sequence

from pipeline.execution import reconcile
from pipeline.execution.executor import Executor, Outcome
from pipeline.execution.failures import Failure, write_failure
from pipeline.execution.missing_tasks import tasks_of
from pipeline.execution.progress import Listener, Progress
from pipeline.execution.queue import Queue
from pipeline.execution.retry_policy import RetryPolicy
from pipeline.execution.selected_nodes import wanted_keys
from pipeline.execution.shard_sizes import ShardSizes
from pipeline.graph.graph import Graph, NodeState
from pipeline.graph.shard_task import Task
from pipeline.store.shards import joined
from pipeline.store.store import Store

# Seconds between two checks for finished tasks; Ctrl-C may go unnoticed for as long.
TICK = 0.2


class Walk:
    """One run over a graph: it computes all nodes up to the stage `until`, or only the nodes in `wanted`.

    A population is a table of models. Populations in `settled` are not completed, and are used although
    members are missing. With allow_missing, populations with failed shards are treated like this at the end.
    """

    def __init__(
        self,
        graph: Graph,
        store: Store,
        *,
        open_executor: Callable[[], Executor[Task]],
        listeners: Sequence[Listener] = (),
        until: str | None = None,
        wanted: frozenset[str] | None = None,
        allow_missing: bool = False,
        settled: frozenset[str] = frozenset(),
    ) -> None:
        self._graph, self._store, self._open_executor = graph, store, open_executor
        self._listeners, self._allow_missing = listeners, allow_missing
        self._wanted = wanted_keys(graph, until) if wanted is None else wanted
        self._queue, self._retry_policy, self._unlisted_units = (
            Queue(),
            RetryPolicy(),
            reconcile.UnlistedUnits(),
        )
        self._sizes = ShardSizes(graph, store)
        # The most units in a shard, for each folder whose larger shards ran out of memory.
        self._most_units: dict[str, int] = {}
        # The nodes that were queued, each as its folder, its number of units and the ending of the files kept
        # beside its shards.
        self._known: set[tuple[str, int, str | None]] = set()
        self._announced: set[str] = set()
        self._left: dict[str, int] = {}
        self._settled, self._stopped = settled, False
        self._executor: Executor[Task] | None = None
        states, self._mark = graph.survey(store, settled=settled), ""
        if any(states[key].status != "done" for key in self._wanted):
            # The store is claimed before the survey that decides what is computed. From then on, a mount that
            # is missing counts as away and not as empty, and a store that cannot be written is refused now.
            # If there is nothing to compute, nothing is written, so a finished store may be read-only.
            self._mark = store.claim()
            states = graph.survey(store, settled=settled)
        self.progress = Progress(states=states, wanted=self._wanted, faults=self._retry_policy.counts)

    def run(self) -> Progress:
        """Compute everything wanted that is missing, and return the progress.

        A failed shard never stops the others. Raises ExecutionError if the cluster is gone: finished shards
        are kept, and the next run goes on from there.
        """
        try:
            self._look(self.progress.states)
            while self._queue or self._n_running():
                self._submit()
                outcomes = self._executor.wait(TICK) if self._executor else []
                if not outcomes and not self._n_running():
                    time.sleep(TICK)
                for outcome in outcomes:
                    self._take(outcome)
                self._notify()
                if not self._queue and not self._n_running():
                    self._settle()
        finally:
            if self._executor:
                self._executor.close()
        return self.progress

    def _refresh(self) -> None:
        """Survey the store again.

        Nodes that were done stay done. Nodes with open tasks are not listed again, because this run counts
        their finished units itself.
        """
        states = self.progress.states
        busy = {key for key, left in self._left.items() if left}
        self.progress.states = self._graph.survey(
            self._store, settled=self._settled, before=states, busy=busy
        )
        self.progress.made = {key: n_units for key, n_units in self.progress.made.items() if key in busy}
        self.progress.shards_made = {
            key: count for key, count in self.progress.shards_made.items() if key in busy
        }
        self._look(self.progress.states)

    def _look(self, states: Mapping[str, NodeState]) -> None:
        """Queue the nodes that have become ready, and announce those that are done.

        Nodes may share a folder and differ in the number of units they want or in the files they keep. They
        are queued one after the other, so that no shard is computed twice at the same time. Nodes that keep a
        file beside each shard come first, then nodes with more units.
        """
        for key in [key for key, state in states.items() if key in self._wanted and state.status == "done"]:
            self._announce(key, states[key])
        for key in sorted(
            self._ready(states), key=lambda key: (states[key].node.keeping is None, -states[key].node.n_units)
        ):
            if all(states[other].folder != states[key].folder for other, left in self._left.items() if left):
                self._known.add(_asked(states[key]))
                self._enqueue(key, states[key])

    def _ready(self, states: Mapping[str, NodeState]) -> list[str]:
        """Return the keys of wanted nodes that can be computed and were not queued yet."""
        if self._stopped:
            return []
        wanted = self._wanted - self._settled
        open_keys = [
            key
            for key, state in states.items()
            if key in wanted and state.is_ready and state.status != "done"
        ]
        return [key for key in open_keys if _asked(states[key]) not in self._known]

    def _announce(self, key: str, state: NodeState) -> None:
        if key not in self._announced:
            self._announced.add(key)
            for listener in self._listeners:
                listener.node_done(state, self.progress)

    def _enqueue(self, key: str, state: NodeState, missing: Sequence[tuple[int, int]] | None = None) -> None:
        self._store.describe(state.table.folder, self._graph.describe(state))
        tasks = tasks_of(
            state,
            state.missing if missing is None else missing,
            graph=self._graph,
            store=self._store,
            mark=self._mark,
        )
        self._left[key] = len(tasks)
        for task in tasks:
            self._queue.push(task)

    def _submit(self) -> None:
        while self._executor is None or self._executor.has_room():
            task = self._queue.pop()
            if task is None:
                return
            if task.stop - task.start > self._most_units.get(task.folder, task.stop):
                self._halve(task)
                continue
            task = self._cut_to_a_minute(task)
            if self._executor is None:
                self._executor = self._open_executor()
                self._executor.listen(self._notify)
            self.progress.running[task.node.key] = self.progress.running.get(task.node.key, 0) + 1
            self._executor.submit(task, task.node.resources.need)

    def _cut_to_a_minute(self, task: Task) -> Task:
        """Return the part of a task that takes about a minute, to be submitted now, and queue the rest.

        The rest is cut later: by then, finished shards may have shown how long a unit takes.
        """
        most = self._sizes.most_units(task.node, self.progress.states)
        end = min(task.stop, (task.start // most + 1) * most)
        if task.is_remade or task.stop - task.start <= most or end == task.stop:
            return task
        part, rest = self._split(task, end)
        self._queue.push(rest, again=True)
        return part

    def _take(self, outcome: Outcome[Task]) -> None:
        task = outcome.task
        self.progress.running[task.node.key] -= 1
        if outcome.error is not None:
            self._recover(outcome)
            return
        self._retry_policy.succeeded(task)
        key = task.node.key
        if outcome.result["made"]:
            self.progress.shards_made[key] = self.progress.shards_made.get(key, 0) + 1
            self._sizes.took(task.node, task.stop - task.start, outcome.result["seconds"])
        if task.node.trains and outcome.result["made"]:
            self.progress.n_models_made += task.stop - task.start
        self.progress.core_seconds[key] = (
            self.progress.core_seconds.get(key, 0.0)
            + outcome.result["seconds"] * task.node.resources.num_cpus
        )
        self.progress.made[key] = self.progress.made.get(key, 0) + task.stop - task.start
        self._left[key] -= 1
        if self._left[key] == 0:
            self._refresh()

    def _recover(self, outcome: Outcome[Task]) -> None:
        """Apply the retry decision to a failed shard."""
        task = outcome.task
        action, pause = ("give up", 0.0) if self._stopped else self._retry_policy.decide(outcome)
        if action == "again":
            self._queue.push(task, again=True, pause=pause)
            return
        if action == "halve":
            if outcome.fault == "memory":
                smaller = max(1, (task.stop - task.start) // 2)
                self._most_units[task.folder] = min(self._most_units.get(task.folder, smaller), smaller)
            self._halve(task)
            return
        self._give_up(outcome)
        if action == "give up all alike":
            self._drop(task.node.key, f"not tried, since other shards of it failed: {outcome.error}")
        elif action == "stop":
            self._stopped = True
            for key in {key for key, left in self._left.items() if left}:
                self._drop(
                    key,
                    "not tried: the store has no space left; free some, then run the same command. Nothing "
                    "written so far is lost",
                )

    def _halve(self, task: Task) -> None:
        for part in self._split(task, (task.start + task.stop) // 2):
            self._queue.push(part, again=True)

    def _split(self, task: Task, middle: int) -> tuple[Task, Task]:
        parts = task.part(task.start, middle), task.part(middle, task.stop)
        for part in parts:
            self._retry_policy.inherit(task, part)
        self._left[task.node.key] += 1
        return parts

    def _give_up(self, outcome: Outcome[Task]) -> None:
        task, failure = outcome.task, self._retry_policy.failure(outcome)
        self.progress.failures.append(failure)
        self._left[task.node.key] -= 1
        if outcome.fault != "unmet":
            write_failure(self._store, task.folder, task.node.unit, failure)

    def _drop(self, key: str, reason: str) -> None:
        """Give up the queued tasks of a node; record one failure for each contiguous range."""
        dropped = self._queue.drop(key)
        self._left[key] -= len(dropped)
        for start, stop in joined((task.start, task.stop) for task in dropped):
            self.progress.failures.append(Failure(key=key, start=start, stop=stop, error=reason))

    def _settle(self) -> None:
        """When no task is left, find units that were finished but are not listed, and queue them again.

        Then, if the user allows it, use populations with failed shards as they are.
        """
        for pause in reconcile.PAUSES:
            if not self._queue and self._unlisted_units.find(self.progress, self._left):
                time.sleep(pause)
                self._refresh()
        missing = {} if self._queue else self._unlisted_units.find(self.progress, self._left)
        for key in [key for key in missing if self._unlisted_units.may_try(key) and not self._stopped]:
            self._enqueue(key, self.progress.states[key], missing.pop(key))
        self.progress.failures += reconcile.failures(missing)
        failed = frozenset(failure.key for failure in self.progress.failures)
        if not self._queue and self._allow_missing and failed - self._settled:
            self._settled |= failed
            self._refresh()
        if not self._queue and self._ready(self.progress.states):
            # These nodes waited for another node with the same folder, and that node failed.
            self._refresh()

    def _n_running(self) -> int:
        return self._executor.n_running if self._executor else 0

    def _notify(self) -> None:
        self.progress.notice = self._executor.notice if self._executor else ""
        self.progress.under_way = {}
        for task, share in self._executor.under_way() if self._executor else ():
            key = task.node.key
            self.progress.under_way[key] = self.progress.under_way.get(key, 0.0) + share * (
                task.stop - task.start
            )
        for listener in self._listeners:
            listener.changed(self.progress)


def _asked(state: NodeState) -> tuple[str, int, str | None]:
    """Return the folder of a ready node, its number of units, and the ending of files kept beside its shards.

    Nodes for which this is equal need the same shards.
    """
    return state.table.folder, state.node.n_units, state.node.keeping
