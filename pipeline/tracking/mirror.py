"""The thread that writes a run to MLflow, so that a slow or dead server never delays the run.

If results could not be written, the thread tries again later.
"""

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from pipeline.core.errors import TrackingError
from pipeline.core.long_waits import announced
from pipeline.graph.graph import NodeState
from pipeline.results.tracked import PARENT, Results
from pipeline.tracking.compute_cost import spent_on
from pipeline.tracking.connection import Link
from pipeline.tracking.pages import Pages
from pipeline.tracking.progress_samples import Sample, Samples
from pipeline.tracking.tracker import Status, Tracker

_States = Mapping[str, NodeState]
# At most this many side files are read for each table to learn what earlier attempts spent on it. The number
# is small, because each file is a request on an object store.
FEW_SIDE_FILES = 4
# A page is given up after this many failures, so that it does not delay the other pages.
MOST_TRIES = 3
LEFT = (
    "MLflow does not show everything yet; run `dmm run` again to log the rest, even if "
    "nothing is left to compute"
)


@dataclass(frozen=True, kw_only=True)
class MirrorPatience:
    """Intervals and time limits of the tracking thread, in seconds.

    points is the time between two requests with points of curves. retry is the time between two tries to
    reach a tracker that does not answer. When a run ends, the program waits for the thread for at most `end`
    in total, or until the tracker has not answered for `silence`. After a kill the program waits for at most
    `killed`, because Ray gives a stopped job only 3 s.
    """

    points: float = 5.0
    retry: float = 30.0
    end: float = 120.0
    silence: float = 30.0
    killed: float = 1.5


@dataclass(frozen=True, kw_only=True)
class RunEnding:
    """The end of a run: its status, the states of all nodes, and the errors of failed child runs by name."""

    status: Status
    states: _States
    failures: Mapping[str, str]


class Mirror(threading.Thread):
    """The thread that shows finished child runs, and points of curves at intervals, in a tracker.

    The other methods for the run only queue work and return at once; only `finish` waits for the thread.
    """

    def __init__(
        self, tracker: Tracker, pages: Pages, *, warn: Callable[[str], None], patience: MirrorPatience
    ) -> None:
        super().__init__(name="mirror", daemon=True)
        self._tracker, self._pages, self._warn, self._patience = tracker, pages, warn, patience
        self._link = Link(self._begin, warn=warn, retry_seconds=patience.retry)
        self._wake, self._lock = threading.Event(), threading.Lock()
        self._samples = Samples()
        self._due: dict[str, _States] = {}
        self._tries: dict[str, int] = {}
        # Version and metrics of each page that this attempt has logged.
        self._shown: dict[str, Results] = {}
        self._first: _States = {}
        self._ending: RunEnding | None = None
        self._next_points = self._heard = 0.0
        self._seconds_before: float | None = None
        self.spent_before: Mapping[str, float] | None = None
        self.run_id = ""
        self.is_complete = False

    def found(self, states: _States) -> None:
        """Queue reading what earlier attempts spent; states holds all nodes as this attempt found them."""
        self._first = states

    def show(self, child: str, done: _States) -> None:
        """Queue the page of a child run whose nodes are all done; done holds all finished nodes by key."""
        with self._lock:
            self._due[child] = done
        self._wake.set()

    def add(self, samples: Mapping[str, Sample]) -> None:
        """Queue one point of the curves of each child run in samples."""
        with self._lock:
            for child, sample in samples.items():
                self._samples.add(child, sample)

    def finish(self, ending: RunEnding) -> None:
        """Tell the thread to show the rest and end the run, and wait up to the limits of MirrorPatience."""
        self._heard = time.monotonic()
        until = self._heard + (self._patience.killed if ending.status == "KILLED" else self._patience.end)
        self._ending = ending
        self._wake.set()
        with announced(
            "waiting for MLflow to record the end of the run, for at most "
            f"{self._patience.silence:.0f} s without an answer"
        ):
            while (
                self.is_alive()
                and (left := min(until, self._heard + self._patience.silence) - time.monotonic()) > 0
            ):
                self.join(left)
        if not self.is_complete and ending.status != "KILLED":
            self._warn(LEFT)

    def run(self) -> None:
        """Show what was queued until `finish` is called, then show the rest and end the run."""
        while self._ending is None:
            self._wake.clear()
            self._turn()
            if self._ending is None:
                self._wake.wait(min(1.0, self._patience.points))
        self._end(self._ending)

    def _turn(self) -> None:
        """Read earlier costs once; show finished children and points of curves if the tracker answers."""
        if self._first:
            states, self._first = self._first, {}
            with self._link.watched():
                self.spent_before = {
                    key: spent_on(self._pages.store, [state], most=FEW_SIDE_FILES).core_seconds
                    for key, state in states.items()
                    if state.pieces
                }
        while self._due and self._ending is None and self._link.look():
            self._show_next()
        if time.monotonic() >= self._next_points and self._link.look():
            self._next_points = time.monotonic() + self._patience.points
            self._send_next()

    def _end(self, ending: RunEnding) -> None:
        """Show everything that is left and end the run; stop at once if the tracker cannot be reached.

        After a kill there is little time, so only the last points of the parent are shown.
        """
        is_killed = ending.status == "KILLED"
        models = [] if is_killed else self._pages.finished(ending.states)
        while self._link.reach():
            if self._due and not is_killed:
                self._show_next()
            elif self._samples and not is_killed:
                self._send_next()
            elif models:
                with self._link.watched():
                    self._show_model(models.pop(0), ending.states)
            else:
                self._conclude(ending)
                return
            self._heard = time.monotonic() if self._link.is_up else self._heard

    def _begin(self) -> None:
        self.run_id = self._tracker.begin(self._pages.opening())
        self._seconds_before = (
            self._tracker.last("progress/seconds") if self._seconds_before is None else self._seconds_before
        )
        self._tracker.annotate(PARENT, self._pages.summary({}, status="RUNNING", links={}))

    def _conclude(self, ending: RunEnding) -> None:
        """End the run, even if its summary cannot be made."""
        with self._link.watched():
            self._send(PARENT)
            for child, reason in ending.failures.items():
                self._tracker.fail(child, reason)
            links = {
                title: address
                for child, title in self._pages.titles.items()
                if (address := self._tracker.address(child))
            }
            self._tracker.annotate(
                PARENT, self._pages.summary(ending.states, status=ending.status, links=links)
            )
        if self._link.is_up:
            with self._link.watched():
                self._tracker.end(ending.status)
                self.is_complete = not self._due

    def _show_next(self) -> None:
        """Show the child run that has waited longest.

        A child run that could not be shown is tried again after the others, at most MOST_TRIES times in all.
        """
        with self._lock:
            child, done = next(iter(self._due.items()))
        is_shown, self._tries[child] = False, self._tries.get(child, 0) + 1
        with self._link.watched():
            self._show(child, done)
            is_shown = True
        with self._lock:
            self._due.pop(child)
            if not is_shown and self._tries[child] < MOST_TRIES:
                self._due[child] = done
        if not is_shown and self._tries[child] >= MOST_TRIES:
            self._warn(
                f"MLflow does not show {self._pages.titles.get(child, 'the report')}: writing it failed "
                f"{MOST_TRIES} times; the next `dmm run` tries again"
            )

    def _show(self, child: str, done: _States) -> None:
        if self._tracker.logged_version(child) != self._pages.version(child, done):
            results = self._pages.results(child, done)
            self._send(child)
            self._tracker.log(child, results)
            self._shown[child] = Results(version=results.version, metrics=results.metrics)

    def _show_model(self, child: str, states: _States) -> None:
        """Log an unlearned model, if child shows a method and a model was saved.

        Models are logged only when the run has ended. The export changes torch's modules for the whole
        process, and this process may also train.
        """
        version = self._pages.version(child, states)
        if self._tracker.logged_version(child) != version or self._tracker.has_model(child, version):
            return
        found = self._pages.model(child, states)
        if found is not None:
            module, examples = found
            # If this attempt has logged the results, they need not be read and drawn again.
            results = self._shown.get(child)
            if results is None or results.version != version:
                results = self._pages.results(child, states)
            self._tracker.log_model(
                child,
                results,
                name=child.replace("/", "-"),
                module=module,
                input_example=examples,
            )

    def _send_next(self) -> None:
        with self._lock:
            child = self._samples.next_child()
        if child is not None:
            with self._link.watched():
                self._send(child)

    def _send(self, child: str) -> None:
        """Send all waiting points of a child run to the tracker; keep the points if that fails."""
        with self._lock:
            samples = self._samples.take(child)
        if not samples:
            return
        try:
            self._tracker.progress(child, [sample.point(self._seconds_before or 0.0) for sample in samples])
        except TrackingError:
            with self._lock:
                self._samples.add(child, *samples)
            raise
