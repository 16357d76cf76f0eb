"""Finished units that no survey lists are looked for, computed again, and reported if they stay away.

No run ends incomplete without a message.
"""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from tiny import all_done, nothing

from jobs.running.experiment_run import run_experiment
from jobs.session import Session
from pipeline.core.errors import StoreError
from pipeline.execution import reconcile
from pipeline.execution.executor import Outcome, SerialExecutor
from pipeline.execution.reconcile import MOST_AGAIN, without
from pipeline.execution.walk import Walk
from pipeline.graph.shard_task import Task, compute_task
from pipeline.store.shards import ShardName
from pipeline.tracking.listener import TrackingListener

Open = Callable[..., Session]
FULL = frozenset({"train/full"})


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reconcile, "PAUSES", (0.0, 0.0))


def walk_that_loses(session: Session, times: int) -> tuple[Walk, list[tuple[int, int]]]:
    """Return a walk whose shards vanish as they are made, each up to so many times, and what it makes."""
    made: list[tuple[int, int]] = []

    def compute(task: Task, device: str) -> object:
        result = compute_task(task, session.examples, device)
        made.append((task.start, task.stop))
        if made.count((task.start, task.stop)) <= times:
            for path in (Path(session.store.uri) / task.folder).glob(f"*-{task.start:06d}-*.parquet"):
                path.unlink()
        return result

    return Walk(
        session.graph, session.store, open_executor=lambda: SerialExecutor(compute), wanted=FULL
    ), made


def test_a_shard_that_vanished_is_made_again(open_tiny: Open) -> None:
    walk, made = walk_that_loses(open_tiny(), 1)
    assert all_done(walk.run())
    assert sorted(made) == [(0, 5), (0, 5), (5, 6), (5, 6)]


def test_a_shard_that_always_vanishes_is_a_failure_in_words(open_tiny: Open) -> None:
    walk, made = walk_that_loses(open_tiny(), 99)
    progress = walk.run()
    assert [(failure.key, failure.start, failure.stop) for failure in progress.failures] == [
        ("train/full", 0, 6)
    ]
    assert "the store does not list it" in progress.failures[0].error
    assert made.count((0, 5)) == 1 + MOST_AGAIN


def test_an_old_listing_is_waited_for_and_nothing_made_twice(
    open_tiny: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = open_tiny()
    walk, made = walk_that_loses(session, 0)
    shards, stale = session.store.shards, [True, True]

    def late(folder: str, **options: Any) -> list[ShardName]:
        found = shards(folder, **options)
        return [] if "train/full" in folder and found and stale and stale.pop() else found

    monkeypatch.setattr(session.store, "shards", late)
    assert all_done(walk.run())
    assert (sorted(made), stale) == ([(0, 5), (5, 6)], [])


def test_what_is_not_done_at_the_end_is_no_success(open_tiny: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Walk, "run", lambda walk: walk.progress)
    result = run_experiment(open_tiny(), Console(quiet=True), executor="serial", wanted=FULL)
    assert (result.failures, result.unfinished, result.succeeded) == ([], ["train/full (missing)"], False)


def test_what_is_known_to_be_too_large_is_never_raised_again(open_tiny: Open) -> None:
    session = open_tiny()
    walk = Walk(session.graph, session.store, open_executor=lambda: SerialExecutor(nothing))
    walk._look(walk.progress.states)
    while (task := walk._queue.pop()) is not None and task.stop - task.start < 4:
        pass
    walk.progress.running[task.node.key] = 3
    for stop in (4, 2, 4):
        walk._take(Outcome(replace(task, start=0, stop=stop), error="memory", fault="memory"))
    assert walk._most_units[task.folder] == 1


@pytest.mark.parametrize(
    ("taken", "left"),
    [
        ([], [(0, 6), (8, 9)]),
        ([(0, 9)], []),
        ([(2, 3), (5, 8)], [(0, 2), (3, 5), (8, 9)]),
        ([(6, 8)], [(0, 6), (8, 9)]),
    ],
)
def test_ranges_without_those_taken(taken: list[tuple[int, int]], left: list[tuple[int, int]]) -> None:
    assert without([(0, 6), (8, 9)], taken) == left


@pytest.mark.parametrize(
    ("error", "status"), [(StoreError("nothing can be written"), "FAILED"), (KeyboardInterrupt(), "KILLED")]
)
def test_a_run_that_cannot_begin_is_not_shown_as_running(
    open_tiny: Open, monkeypatch: pytest.MonkeyPatch, error: BaseException, status: str
) -> None:
    session, ended = open_tiny(), []

    def claim() -> str:
        raise error

    monkeypatch.setattr(session.store, "claim", claim)
    monkeypatch.setattr(TrackingListener, "end", lambda _view, status, _progress: ended.append(status))
    with pytest.raises(type(error)):
        run_experiment(session, Console(quiet=True), executor="serial")
    assert ended == [status]
