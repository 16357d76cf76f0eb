"""A tracker that records its calls and fails on demand, and pages that need no store."""

import threading
from collections.abc import Callable
from typing import Any, ClassVar

from pipeline.core.errors import StoreError, TrackingError
from pipeline.results.tracked import PARENT, Results
from pipeline.tracking.mirror import Mirror, MirrorPatience, RunEnding
from pipeline.tracking.pages import Pages
from pipeline.tracking.progress_samples import Sample
from pipeline.tracking.tracker import Tracker

QUICK = MirrorPatience(points=0.02, retry=0.01, end=10.0, killed=0.2)


class FakeTracker(Tracker):
    """Answers unless `is_down` or blocked.

    `shown` has what each child shows, `points` the steps of each curve, `calls` every request in order.
    """

    enabled: ClassVar[bool] = True

    def __init__(self, *, seconds_before: float = 0.0) -> None:
        self.is_down, self.poison, self.answers = False, set[str](), threading.Event()
        self.answers.set()
        self.shown: dict[str, str] = {}
        self.points: dict[str, list[int]] = {}
        self.notes: list[str] = []
        self.calls: list[str] = []
        self.failed: dict[str, str] = {}
        self.status, self.before = "", seconds_before

    def begin(self, about: Any) -> str:
        self._asked("begin")
        return "run"

    def last(self, metric: str) -> float:
        return self.before

    def progress(self, child: str, points: Any) -> None:
        self._asked(f"progress {child}")
        self.points.setdefault(child, []).extend(point.step for point in points)

    def logged_version(self, child: str) -> str | None:
        return self.shown.get(child)

    def log(self, child: str, results: Results) -> None:
        self._asked(f"log {child}", child)
        self.shown[child] = results.version

    def annotate(self, child: str, note: str) -> None:
        self._asked("annotate")
        self.notes.append(note)

    def fail(self, child: str, reason: str) -> None:
        self._asked("fail")
        self.failed[child] = reason

    def end(self, status: str) -> None:
        self._asked("end")
        self.status = status

    def _asked(self, call: str, child: str = PARENT) -> None:
        self.answers.wait()
        self.calls.append(call)
        if self.is_down or child in self.poison:
            raise TrackingError("it is down")


class FakePages(Pages):
    """Children without nodes."""

    def __init__(
        self, *children: str, unreadable: frozenset[str] = frozenset(), error: Exception | None = None
    ) -> None:
        self.children = {child: frozenset() for child in (*children, PARENT)}
        self.titles = {child: child for child in children}
        self._unreadable, self._error = unreadable, error or StoreError("it cannot be read")

    def opening(self) -> Any:
        return None

    def version(self, child: str, done: Any) -> str:
        return f"{child} 1"

    def results(self, child: str, done: Any) -> Results:
        if child in self._unreadable:
            raise self._error
        return Results(version=self.version(child, done))

    def finished(self, states: Any) -> list[str]:
        return []

    def summary(self, states: Any, *, status: str, links: Any) -> str:
        if status != "RUNNING" and PARENT in self._unreadable:
            raise self._error
        return status


def mirror(
    tracker: FakeTracker,
    pages: FakePages | None = None,
    *,
    warn: Callable[[str], None] = lambda _: None,
    patience: MirrorPatience = QUICK,
) -> Mirror:
    """Return a mirror at work."""
    started = Mirror(tracker, pages or FakePages("a", "b", "c"), warn=warn, patience=patience)
    started.start()
    return started


def ending(status: str = "FINISHED", **failures: str) -> RunEnding:
    return RunEnding(status=status, states={}, failures=failures)


def sample(seconds: float | int) -> Sample:
    return Sample(seconds=float(seconds), moment=1e9 + seconds, metrics={"progress/shards_done": 1})
