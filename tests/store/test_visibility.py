"""A machine that does not see the store says so at once.

It is avoided while others can take its work, and is tried again later.
"""

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from faulty import SUBSET, no_fault, run_with
from streamed import folder_of, unseen, work

from jobs.session import Session
from pipeline.core.resources import Need
from pipeline.execution import retry_policy
from pipeline.execution.executor import Outcome, attempt
from pipeline.execution.missing_tasks import tasks_of
from pipeline.graph.shard_task import Task, compute_task, read_common
from pipeline.store import visibility as sight

Open = Callable[..., Session]
BLIND = "node a does not see the store"


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sight, "FIRST_SIGHT", 0.1)
    monkeypatch.setattr(retry_policy, "_FIRST_PAUSE", 0.0)
    sight.check_visible.cache_clear()


def task_of(session: Session) -> Task:
    mark = session.store.claim()
    state = session.graph.survey(session.store)[SUBSET]
    return tasks_of(state, state.missing, graph=session.graph, store=session.store, mark=mark)[0]


@pytest.mark.parametrize("there", ["nothing", "an empty folder", "another store"])
@pytest.mark.parametrize("act", [compute_task, read_common])
def test_a_folder_that_is_not_shared_is_said_before_anything_is_computed(
    open_tiny: Open, tmp_path: Path, there: str, act: Callable
) -> None:
    session, elsewhere = open_tiny(), tmp_path / "elsewhere"
    if there != "nothing":
        elsewhere.mkdir()
    if there == "another store":
        open_tiny(store=elsewhere).store.claim()
    before, task = sorted(tmp_path.rglob("*")), replace(task_of(session), store_uri=str(elsewhere))
    outcome = attempt(lambda one, device: act(one, session.examples, device), task, "cpu")
    assert outcome.fault == "unseen"
    assert (
        f"node {outcome.host} does not see the store at {elsewhere} that this run uses; mount that "
        "folder on every node" in outcome.error
    )
    assert {path for path in tmp_path.rglob("*") if elsewhere in path.parents} == {
        path for path in before if elsewhere in path.parents
    }


def test_a_mount_that_is_made_when_it_is_asked_for_is_waited_for(
    open_tiny: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sight, "FIRST_SIGHT", 30.0)
    session, looks = open_tiny(), []
    mark, names = session.store.claim(), sight.LocalFiles.names
    monkeypatch.setattr(
        sight.LocalFiles,
        "names",
        lambda files, folder: looks.append(folder) or ([] if len(looks) < 2 else names(files, folder)),
    )
    sight.check_visible(session.store.uri, mark)
    assert looks == ["", ""]


def test_a_store_that_was_seen_once_is_waited_for_as_one_that_is_away(
    open_tiny: Open, tmp_path: Path
) -> None:
    session = open_tiny()
    mark = session.store.claim()
    sight.check_visible(session.store.uri, mark)
    Path(session.store.uri).rename(tmp_path / "away")
    sight.check_visible(session.store.uri, mark)


def test_an_object_store_is_no_folder_to_be_shared() -> None:
    sight.check_visible("s3://bucket/prefix", "mark")


def test_a_shard_may_meet_some_blind_machines_and_is_then_given_up(open_tiny: Open) -> None:
    few, often = retry_policy.MOST_UNSEEN - 1, retry_policy.MOST_UNSEEN
    progress, executor = run_with(
        open_tiny(),
        lambda task, tried: "unseen" if task.start == 5 or (task.start == 10 and tried <= few) else None,
    )
    assert [(failure.start, failure.stop, failure.tries) for failure in progress.failures] == [(5, 10, often)]
    assert (executor.tries[5, 10], executor.tries[10, 15], progress.faults) == (
        often,
        few + 1,
        {"unseen": few + often},
    )
    assert not run_with(open_tiny(), no_fault)[0].failures


@pytest.fixture
def blind():
    """What a driver knows once a node called `a` has said that it sees no store."""
    from pipeline.execution.ray.node_visibility import Blind

    blind = Blind()
    blind.note(Outcome("task", error=f"StoreUnseenError: {BLIND}", fault="unseen", node="a"))
    return blind


def machines() -> list[dict[str, float]]:
    return [{"CPU": 2.0, f"label:ray.io/node-id={node}": 1.0} for node in "ab"]


def test_a_blind_node_is_named_and_passed_over_where_another_is_left(
    blind, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert blind.notice == BLIND
    assert blind.around(Need(), machines) == Need(labels=(("ray.io/node-id", "!in(a)"),))
    blind.note(Outcome("task", error="StoreUnseenError: node b too", fault="unseen", node="b"))
    assert (blind.notice, blind.around(Need(), machines)) == ("node b too", Need())
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now + 601.0)
    assert (blind.notice, blind.around(Need(), machines)) == ("", Need())


@pytest.mark.parametrize("need", [Need(num_cpus=4), Need(labels=(("ray.io/node-id", "a"),))])
def test_what_no_other_node_can_take_or_is_bound_to_a_node_is_left_as_it_is(blind, need: Need) -> None:
    assert blind.around(need, machines) == need


def test_a_store_that_refuses_makes_no_node_blind(blind) -> None:
    blind.note(Outcome("task", error="StoreError: full", fault="store", node="b"))
    assert list(blind.nodes) == ["a"]


def test_where_no_node_sees_the_store_work_is_given_up_once_none_has_come_for_long(
    blind, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, bound = time.monotonic(), Need(labels=(("ray.io/node-id", "b"),))
    monkeypatch.setattr(time, "monotonic", lambda: begun + 61.0)
    assert blind.hopeless({Need()}, machines(), 60.0) == {}
    assert blind.hopeless({Need(), bound}, machines()[:1], 60.0) == {
        Need(): f"StoreUnseenError: {BLIND}; no node that sees it has come for 60 s"
    }
    assert blind.hopeless({Need()}, machines()[:1], 99.0) == {}
    blind.note(Outcome("task", result="done", node="b"))
    assert blind.hopeless({Need()}, machines()[:1], 60.0) == {}


def test_a_machine_that_sees_the_store_is_asked_for_in_words(blind) -> None:
    from pipeline.execution.ray.cluster import ConnectionPatience

    need = blind.around(Need(), machines)
    assert (
        "no node offers {'CPU': 1.0} and sees the store and none has come"
        in ConnectionPatience(0.0).hopeless({need}, [])[need]
    )


@pytest.mark.ray
@pytest.mark.parametrize(("function", "fewest"), [(unseen, 99), (work, 2)])
def test_rays_workers_say_which_node_it_is(ray_session: None, function: Callable, fewest: int) -> None:
    import ray

    from pipeline.execution.ray.streaming import StreamingExecutor

    executor = StreamingExecutor(function, None, prepare=unseen, stream=folder_of, fewest=fewest)
    for name in "ab":
        executor.submit((name, "/data/runs"), Need())
    outcomes = []
    while executor.n_running:
        outcomes += executor.wait(1.0)
    assert [(outcome.fault, outcome.node) for outcome in outcomes] == [
        ("unseen", ray.get_runtime_context().get_node_id())
    ] * 2
    assert BLIND in executor.notice
    executor.close()
