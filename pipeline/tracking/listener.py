"""Forwards finished nodes, and progress every few seconds, to the tracking thread.

The run waits for MLflow only when it ends.
"""

import time
from collections.abc import Callable

from typing_extensions import override

from pipeline.execution.progress import Listener, Progress
from pipeline.graph.graph import Graph, NodeState
from pipeline.store.store import Store
from pipeline.tracking.children import child_of
from pipeline.tracking.mirror import Mirror, MirrorPatience, RunEnding
from pipeline.tracking.open_tracker import open_tracker
from pipeline.tracking.pages import Pages
from pipeline.tracking.progress_samples import Sampler
from pipeline.tracking.tracker import Status, Tracker


class TrackingListener(Listener):
    """Shows a run in a tracker while it works.

    If the tracker fails, the user gets one warning, and the tracker is tried again. Missing results are
    logged later; the next run logs those that are still missing.
    """

    def __init__(
        self,
        tracker: Tracker,
        graph: Graph,
        store: Store,
        warn: Callable[[str], None],
        patience: MirrorPatience | None = None,
    ) -> None:
        self._pages = Pages(graph, store)
        self._patience = patience or MirrorPatience()
        self._done: dict[str, NodeState] = {}
        self._sampler = Sampler()
        self._next = 0.0
        self._has_looked = False
        self._mirror = (
            Mirror(tracker, self._pages, warn=warn, patience=self._patience) if tracker.enabled else None
        )
        if self._mirror is not None:
            self._mirror.start()

    @property
    def run_id(self) -> str:
        """The id of the parent run in MLflow, empty while it is not known."""
        return self._mirror.run_id if self._mirror is not None else ""

    @override
    def changed(self, progress: Progress) -> None:
        if self._mirror is None or time.monotonic() < self._next:
            return
        if not self._has_looked:
            self._has_looked = True
            self._mirror.found(progress.states)
        self._next = time.monotonic() + self._patience.points
        self._mirror.add(self._sampler.look(progress, self._mirror.spent_before))

    @override
    def node_done(self, state: NodeState, progress: Progress) -> None:
        self._done[state.node.key] = state
        child = child_of(state.node)
        if self._mirror is not None and self._pages.children[child] <= self._done.keys():
            self._mirror.show(child, dict(self._done))

    def end(self, status: Status, progress: Progress) -> None:
        """End the parent run with status, and mark child runs with failed shards as failed.

        Waits until everything is shown, or until a time limit of MirrorPatience is reached.
        """
        if self._mirror is None:
            return
        if progress.core_seconds or progress.failures:
            self._mirror.add(self._sampler.look(progress, self._mirror.spent_before))
        failures = {
            child_of(progress.states[failure.key].node): failure.error for failure in progress.failures
        }
        self._mirror.finish(RunEnding(status=status, states=progress.states, failures=failures))


def open_view(
    graph: Graph,
    store: Store,
    *,
    warn: Callable[[str], None],
    patience: MirrorPatience | None = None,
    is_shown: bool = True,
) -> TrackingListener:
    """Return the listener that mirrors a run into MLflow.

    It mirrors into nothing if tracking is off or is_shown is false. Raises ConfigError if the address cannot
    work.
    """
    tracking = graph.experiment.tracking
    uri = tracking.uri if is_shown else "none"
    tracker = open_tracker(
        uri, store_root=store.folder, experiment=tracking.experiment, max_artifact_mb=tracking.max_artifact_mb
    )
    return TrackingListener(tracker, graph, store, warn, patience)
