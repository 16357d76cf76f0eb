"""The walk keeps its own pace, whatever the tracker does.

Calls that the tracker missed are repeated later, in order.
"""

import threading
import time
from contextlib import nullcontext

import pytest
from tracking.fakes import QUICK, FakePages, FakeTracker, ending, mirror, sample

from pipeline.results.tracked import PARENT
from pipeline.tracking.mirror import LEFT, Mirror, MirrorPatience

# Seconds that Ray gives a job to stop before it kills the job.
RAY_STOPS_AFTER = 3.0


def wait_until(condition) -> None:
    """Wait for what another thread does."""
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        threading.Event().wait(0.002)


def let_go(tracker: FakeTracker, at_work: Mirror) -> None:
    """Let a tracker answer that has answered nothing so far: whoever got here did not wait for it."""
    assert at_work.is_alive()
    assert tracker.calls == []
    tracker.answers.set()
    at_work.join()


def test_everything_left_with_it_is_shown_before_the_run_ends():
    tracker = FakeTracker()
    at_work = mirror(tracker)
    for child in ("a", "b", PARENT):
        at_work.show(child, {})
    at_work.add({PARENT: sample(1), "a": sample(1)})
    at_work.finish(ending(c="a shard failed"))
    assert tracker.shown == {"a": "a 1", "b": "b 1", PARENT: " 1"}
    assert tracker.points == {PARENT: [1], "a": [1]}
    assert (tracker.failed, tracker.status, tracker.notes) == (
        {"c": "a shard failed"},
        "FINISHED",
        ["RUNNING", "FINISHED"],
    )
    assert at_work.is_complete


def test_a_tracker_that_never_answers_takes_no_time_from_the_walk():
    tracker, said = FakeTracker(), []
    tracker.answers.clear()
    at_work = mirror(tracker, warn=said.append)
    for second in range(1000):
        at_work.add({PARENT: sample(second)})
        at_work.show("a", {})
    at_work.finish(ending("KILLED"))
    let_go(tracker, at_work)


def test_a_lost_tracker_is_said_once_and_catches_up_in_the_same_run():
    tracker, said = FakeTracker(), []
    at_work = mirror(tracker, warn=said.append)
    at_work.show("a", {})
    wait_until(lambda: "a" in tracker.shown)
    tracker.is_down = True
    at_work.show("b", {})
    at_work.add({PARENT: sample(5)})
    wait_until(lambda: tracker.calls.count("begin") >= 4)
    tracker.is_down = False
    at_work.finish(ending())
    assert tracker.shown == {"a": "a 1", "b": "b 1"}
    assert (tracker.points, tracker.status) == ({PARENT: [5]}, "FINISHED")
    assert [text.split(";")[0].split(",")[0] for text in said] == [
        "MLflow cannot be updated for now",
        "MLflow answers again",
    ]


def test_what_was_never_shown_is_left_to_the_next_run():
    tracker, said = FakeTracker(), []
    tracker.is_down = True
    at_work = mirror(tracker, warn=said.append)
    at_work.show("a", {})
    at_work.finish(ending())
    assert not at_work.is_complete
    assert "run `dmm run` again to log the rest" in said[-1]
    tracker.is_down = False
    later = mirror(tracker)
    later.show("a", {})
    later.finish(ending())
    assert (tracker.shown, tracker.status) == ({"a": "a 1"}, "FINISHED")


def test_a_page_that_fails_does_not_keep_the_others_waiting():
    tracker, said = FakeTracker(), []
    tracker.poison = {"a"}
    at_work = mirror(tracker, FakePages("a", "b", "c", unreadable=frozenset({"b"})), warn=said.append)
    for child in ("a", "b", "c"):
        at_work.show(child, {})
    at_work.finish(ending())
    assert (tracker.shown, tracker.status) == ({"c": "c 1"}, "FINISHED")
    assert {text.split(":")[0] for text in said if "3 times" in text} == {
        "MLflow does not show a",
        "MLflow does not show b",
    }


def test_what_is_shown_already_is_not_logged_again():
    tracker = FakeTracker()
    tracker.shown = {"a": "a 1", "b": "b 0"}
    at_work = mirror(tracker)
    at_work.show("a", {})
    at_work.show("b", {})
    at_work.finish(ending())
    assert [call for call in tracker.calls if call.startswith("log")] == ["log b"]


def test_points_of_many_children_are_one_request_at_a_time_the_parent_every_other():
    tracker = FakeTracker()
    tracker.answers.clear()
    at_work = mirror(tracker)
    for second in range(3):
        at_work.add({name: sample(second) for name in ("a", "b", PARENT)})
    begun = time.monotonic()
    tracker.answers.set()
    wait_until(lambda: len(tracker.points) == 3)
    assert time.monotonic() - begun >= 2 * QUICK.points
    assert [call for call in tracker.calls if "progress" in call] == [
        f"progress {PARENT}",
        "progress a",
        "progress b",
    ]
    assert tracker.points == {child: [0, 1, 2] for child in (PARENT, "a", "b")}
    at_work.finish(ending())


def test_steps_go_on_from_the_seconds_of_earlier_attempts():
    tracker = FakeTracker(seconds_before=120.7)
    at_work = mirror(tracker)
    at_work.add({PARENT: sample(0.5)})
    at_work.finish(ending())
    assert tracker.points == {PARENT: [121]}


@pytest.mark.parametrize(
    "error",
    [
        TypeError("'int' object is not iterable"),
        KeyError("seconds"),
        OverflowError("year"),
        AttributeError("get"),
        RecursionError(),
    ],
)
def test_whatever_a_damaged_store_makes_of_pages_the_others_are_shown_and_the_run_ends(error):
    tracker, said = FakeTracker(), []
    at_work = mirror(
        tracker, FakePages("a", "b", unreadable=frozenset({"a", PARENT}), error=error), warn=said.append
    )
    for child in ("a", "b"):
        at_work.show(child, {})
    at_work.finish(ending(b="a shard failed"))
    assert (tracker.shown, tracker.failed, tracker.status) == (
        {"b": "b 1"},
        {"b": "a shard failed"},
        "FINISHED",
    )
    assert type(error).__name__ in said[0]


def test_a_tracker_that_cannot_be_reached_in_the_end_is_asked_once():
    tracker = FakeTracker()
    tracker.is_down = True
    at_work = mirror(tracker, FakePages("a", "b"), patience=MirrorPatience(points=0.02, retry=3600.0))
    for child in ("a", "b"):
        at_work.show(child, {})
    at_work.add({PARENT: sample(1)})
    wait_until(lambda: tracker.calls)
    at_work.finish(ending())
    assert (tracker.calls, at_work.is_complete) == (["begin", "begin"], False)


def test_an_end_in_which_nothing_is_heard_is_cut_short():
    tracker, said = FakeTracker(), []
    tracker.answers.clear()
    at_work = mirror(tracker, warn=said.append, patience=MirrorPatience(silence=0.1))
    at_work.finish(ending())
    assert said == [LEFT]
    let_go(tracker, at_work)


def test_a_kill_is_over_before_ray_kills_for_good():
    tracker = FakeTracker()
    tracker.answers.clear()
    at_work = mirror(tracker, patience=MirrorPatience())
    at_work.finish(ending("KILLED"))
    let_go(tracker, at_work)
    assert MirrorPatience().killed < RAY_STOPS_AFTER


def test_a_wait_for_the_end_is_announced(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    monkeypatch.setattr("pipeline.tracking.mirror.announced", lambda text: nullcontext(said.append(text)))
    mirror(FakeTracker()).finish(ending())
    assert said == ["waiting for MLflow to record the end of the run, for at most 30 s without an answer"]
