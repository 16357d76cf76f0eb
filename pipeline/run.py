"""The walk that computes: skip what is listed, run what is ready, hand on what failed. It can be stopped at any moment and started again."""

import heapq
import time
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from pipeline.core.errors import ConfigError
from pipeline.graph import STAGES, Graph, NodeState
from pipeline.runtime.execution import Executor, Need, Outcome
from pipeline.runtime.shards import split
from pipeline.runtime.store import Store
from pipeline.stages.node import Resources
from pipeline.stages.work import Task

# Seconds between two looks at what has finished; also how long Ctrl-C may go unnoticed.
TICK = 0.2
# What others wait for comes first: all oracles wait for their forget sets, everything attributed for the subset models.
FIRST = (("forget/", "train/scout", "groups"), ("train/subset", "train/designed", "train/full", "train/heldout", "train/focused"))


@dataclass(frozen=True, kw_only=True)
class Failure:
    """A shard that could not be made."""

    key: str
    start: int
    stop: int
    error: str
    trace: str


@dataclass(kw_only=True)
class Progress:
    """What a run has done so far; listeners read it, only the walk writes it."""

    states: Mapping[str, NodeState]
    wanted: frozenset[str]
    begun: float = field(default_factory=time.monotonic)
    made: dict[str, int] = field(default_factory=dict)
    n_models_made: int = 0
    running: dict[str, int] = field(default_factory=dict)
    failures: list[Failure] = field(default_factory=list)

    @property
    def seconds(self) -> float:
        """Seconds since the run began."""
        return time.monotonic() - self.begun

    def n_done(self, key: str) -> int:
        """Units of a node that exist: found at the last survey, or made since."""
        state = self.states[key]
        return min(state.node.n_units, state.n_done + self.made.get(key, 0))

    def remaining_models(self) -> int:
        """Models still to be trained or unlearned."""
        return sum(state.node.n_units - self.n_done(key) for key, state in self.states.items() if state.node.trains and key in self.wanted)


class Listener:
    """Whoever watches a run; the base class watches nothing."""

    def changed(self, progress: Progress) -> None:
        """Called a few times a second, and whenever something finished."""

    def node_done(self, state: NodeState, progress: Progress) -> None:
        """Called once for each wanted node when all of it exists, those found done at the start included."""


class Walk:
    """One run over a graph: up to the stage until, or over just the wanted nodes; populations in settled are used with members missing, not made whole."""

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
        self._queue: list[tuple[int, str, str, Task]] = []
        self._known: set[str] = set()
        self._announced: set[str] = set()
        self._left: dict[str, int] = {}
        self._settled = settled
        self._executor: Executor[Task] | None = None
        self.progress = Progress(states=graph.survey(store), wanted=self._wanted)

    def run(self) -> Progress:
        """Compute everything wanted that does not exist and return how that went; a failed shard never stops the others."""
        try:
            self._refresh()
            while self._queue or self._n_running():
                self._submit()
                outcomes = self._executor.wait(TICK) if self._executor else []
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
        """Look at the store again and queue what has become ready."""
        states = self._graph.survey(self._store, settled=self._settled)
        self.progress.states, self.progress.made = states, {}
        for key, state in states.items():
            if key not in self._wanted:
                continue
            if state.status == "done":
                self._announce(key, state)
            elif state.is_ready and state.folder not in self._known and key not in self._settled:
                self._known.add(state.table.folder)
                self._enqueue(key, state)

    def _announce(self, key: str, state: NodeState) -> None:
        if key not in self._announced:
            self._announced.add(key)
            for listener in self._listeners:
                listener.node_done(state, self.progress)

    def _enqueue(self, key: str, state: NodeState) -> None:
        folder = state.table.folder
        self._store.describe(folder, self._graph.describe(state))
        ranges = split(state.missing, state.node.shard_size, lost=self._store.set_aside(folder))
        self._left[key] = len(ranges)
        rank = next((rank for rank, starts in enumerate(FIRST) if key.startswith(starts)), len(FIRST))
        # What is streamed is handed over in one go, so it stays together in the queue.
        together = uuid.uuid4().hex if state.node.streams else None
        for start, stop in ranges:
            task = Task(
                node=state.node,
                folder=folder,
                start=start,
                stop=stop,
                inputs=state.inputs,
                store_uri=self._store.uri,
                recipe=self._graph.experiment.recipe,
            )
            # Two runs on one store visit shards in different orders, so that they help each other instead of doing the same.
            heapq.heappush(self._queue, (rank, together or uuid.uuid4().hex, uuid.uuid4().hex, task))

    def _submit(self) -> None:
        while self._queue and (self._executor is None or self._executor.has_room()):
            *_, task = heapq.heappop(self._queue)
            if self._executor is None:
                self._executor = self._open_executor()
            self.progress.running[task.node.key] = self.progress.running.get(task.node.key, 0) + 1
            self._executor.submit(task, need_of(task.node.resources))

    def _take(self, outcome: Outcome[Task]) -> None:
        task = outcome.task
        self.progress.running[task.node.key] -= 1
        if outcome.error is not None:
            self.progress.failures.append(Failure(key=task.node.key, start=task.start, stop=task.stop, error=outcome.error, trace=outcome.trace))
            self._left[task.node.key] -= 1
            return
        if task.node.trains and outcome.result["made"]:
            self.progress.n_models_made += task.stop - task.start
        key = task.node.key
        self.progress.made[key] = self.progress.made.get(key, 0) + task.stop - task.start
        self._left[key] -= 1
        if self._left[key] == 0:
            self._refresh()

    def _settle(self) -> None:
        """With nothing left to do, let populations whose shards failed be used as they are, if the user allows it."""
        failed = frozenset(failure.key for failure in self.progress.failures)
        if self._allow_missing and failed - self._settled:
            self._settled |= failed
            self._refresh()

    def _n_running(self) -> int:
        return self._executor.n_running if self._executor else 0

    def _notify(self) -> None:
        for listener in self._listeners:
            listener.changed(self.progress)


def wanted_keys(graph: Graph, until: str | None) -> frozenset[str]:
    """Return the nodes of all stages up to and including until, and what they rest on; raises ConfigError on an unknown stage."""
    if until is None:
        return frozenset(graph.nodes)
    if until not in STAGES:
        raise ConfigError(f"unknown stage {until!r}; known, in order: {', '.join(STAGES)}")
    return with_what_they_rest_on(graph, {key for key, node in graph.nodes.items() if STAGES.index(node.stage) <= STAGES.index(until)})


def with_what_they_rest_on(graph: Graph, keys: Iterable[str]) -> frozenset[str]:
    """Return the nodes called keys and everything that must exist before they can be computed, nothing else."""
    wanted = set(keys)
    for key in reversed(list(graph.nodes)):
        if key in wanted:
            wanted |= {parent.key for parent in graph.nodes[key].parents().values()}
    return frozenset(wanted)


def need_of(resources: Resources) -> Need:
    """Return what a task with these resources asks of an executor."""
    memory = None if resources.memory_gb is None else int(resources.memory_gb * 2**30)
    custom, labels = tuple(sorted(resources.custom.items())), tuple(sorted(resources.labels.items()))
    return Need(num_cpus=resources.num_cpus, num_gpus=resources.num_gpus, memory_bytes=memory, custom=custom, labels=labels)
