"""Failed shards in a run.

Losses cost only time, crashes and lack of memory are narrowed down, bad units are named, and a run stops when
it must.
"""

import errno
import json
import os
import random
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from faulty import SUBSET, compute_and_die_once, run_with
from tiny import TINY, run_serially, tables

from jobs.session import Session, graph_of
from pipeline import config
from pipeline.core.errors import ConfigError, CorruptShardError, ShapeError, StoreError
from pipeline.execution import retry_policy
from pipeline.execution.executor import fault_of
from pipeline.execution.failures import read_failures
from pipeline.execution.walk import Walk
from pipeline.store.store import Store

Open = Callable[..., Session]
NO_PAUSE = (retry_policy, "_FIRST_PAUSE", 0.0)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, np.ndarray]:
    """The subset models of the tiny experiment."""
    experiment = config.build(TINY, [])
    examples = experiment.dataset.load()
    session = Session(
        experiment,
        examples,
        graph_of(experiment, examples),
        Store(str(tmp_path_factory.mktemp("undisturbed"))),
    )
    assert not run_serially(session, wanted=frozenset({SUBSET})).failures
    return table(session)


def table(session: Session) -> dict[str, np.ndarray]:
    return session.store.read(session.graph.survey(session.store)[SUBSET].table)


def failed(session: Session) -> list[tuple[int, int, str]]:
    return [
        (failure.start, failure.stop, failure.error)
        for failure in read_failures(session.store, session.graph.survey(session.store).values())
    ]


def equal(left: dict[str, np.ndarray], right: dict[str, np.ndarray]) -> bool:
    return left.keys() == right.keys() and all(np.array_equal(left[name], right[name]) for name in left)


def test_nodes_that_go_away_again_and_again_cost_a_shard_nothing(open_tiny: Open, undisturbed) -> None:
    session = open_tiny()
    progress, executor = run_with(
        session, lambda task, tried: "lost" if task.start == 5 and tried <= 15 else None
    )
    assert not progress.failures
    assert (progress.faults, executor.tries[5, 10]) == ({"lost": 15}, 16)
    assert equal(table(session), undisturbed)


def test_a_shard_that_takes_every_node_down_is_given_up_in_the_end(open_tiny: Open) -> None:
    progress, _executor = run_with(open_tiny(), lambda task, _tried: "lost" if task.start == 5 else None)
    assert [(failure.start, failure.stop, failure.n_lost) for failure in progress.failures] == [
        (5, 10, retry_policy.MOST_LOST)
    ]
    assert "if the shard itself makes the machine fail" in progress.failures[0].error


def test_memory_that_is_too_small_is_met_with_smaller_shards_of_the_same_bits(
    open_tiny: Open, undisturbed
) -> None:
    session = open_tiny()
    progress, executor = run_with(
        session, lambda task, _tried: "memory" if task.stop - task.start > 2 else None
    )
    assert not progress.failures
    assert all(
        stop - start <= 2
        for start, stop in (
            (shard.start, shard.stop) for shard in session.store.shards(progress.states[SUBSET].table.folder)
        )
    )
    assert sum(stop - start > 2 for start, stop in executor.tries) <= 2, (
        "what is known to be too large must not be tried"
    )
    assert equal(table(session), undisturbed)


def test_memory_that_is_too_small_for_one_model_is_named_with_the_remedy(
    open_tiny: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(*NO_PAUSE)
    progress, _executor = run_with(
        open_tiny(), lambda task, _tried: "memory" if task.start <= 7 < task.stop else None
    )
    assert [(failure.start, failure.stop, failure.tries) for failure in progress.failures] == [
        (7, 8, retry_policy.TRIES)
    ]
    assert (
        "memory ran out even one unit at a time: raise resources.train.memory_gb"
        in progress.failures[0].error
    )
    assert progress.states[SUBSET].node.n_units - progress.n_done(SUBSET) == 1


def test_a_crashing_member_is_narrowed_down_and_all_others_are_made(open_tiny: Open) -> None:
    session = open_tiny()
    progress, executor = run_with(
        session, lambda task, _tried: "crashed" if task.start <= 7 < task.stop else None
    )
    assert [(failure.start, failure.stop) for failure in progress.failures] == [(7, 8)]
    assert executor.tries[5, 10] == executor.tries[7, 8] == retry_policy.TRIES
    assert [found[:2] for found in failed(session)] == [(7, 8)]
    assert "its process died 3 times" in failed(session)[0][2]


def test_poison_is_named_in_the_store_tried_again_by_the_next_run_and_forgotten_once_made(
    open_tiny: Open, undisturbed
) -> None:
    session = open_tiny()
    for _ in range(2):
        progress, executor = run_with(session, lambda task, _tried: "error" if task.start == 10 else None)
        assert [(failure.start, failure.stop, failure.tries) for failure in progress.failures] == [
            (10, 15, retry_policy.TRIES)
        ]
        assert executor.tries[10, 15] == retry_policy.TRIES
        assert failed(session) == [(10, 15, "SomeError: error")]
    assert not run_with(session, lambda _task, tried: "error" if tried < retry_policy.TRIES else None)[
        0
    ].failures
    assert failed(session) == []
    assert equal(table(session), undisturbed)


def test_a_note_that_cannot_be_read_still_names_its_shard(open_tiny: Open) -> None:
    session = open_tiny()
    run_with(session, lambda task, _tried: "refused" if task.start == 10 else None)
    (note,) = Path(session.store.uri).glob("failures/train/*/*/*.json")
    assert json.loads(note.read_text())["error"] == "SomeError: refused"
    note.write_text("[")
    assert failed(session)[0][:2] == (10, 15)


def test_what_can_never_be_done_is_tried_once(open_tiny: Open) -> None:
    progress, executor = run_with(open_tiny(), lambda task, _tried: "refused" if task.start == 5 else None)
    assert executor.tries[5, 10] == 1
    assert len(progress.failures) == 1


def test_a_store_that_refuses_is_asked_again_after_a_pause(
    open_tiny: Open, undisturbed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retry_policy, "_FIRST_PAUSE", 0.3)
    session, begun = open_tiny(), time.monotonic()
    progress, _executor = run_with(session, lambda _task, tried: "store" if tried == 1 else None)
    assert not progress.failures
    assert time.monotonic() - begun >= 0.3
    assert equal(table(session), undisturbed)


def test_a_full_disk_ends_the_run_early_and_loses_nothing(
    open_tiny: Open, undisturbed, monkeypatch: pytest.MonkeyPatch
) -> None:
    session, whole, written = open_tiny("store.shard_members=1"), os.fsync, []

    def fsync_until_full(file: int) -> None:
        written.append(file)
        if len(written) > 7:
            raise OSError(errno.ENOSPC, "No space left on device")
        whole(file)

    with monkeypatch.context() as patch:
        patch.setattr(*NO_PAUSE)
        patch.setattr(os, "fsync", fsync_until_full)
        progress, executor = run_with(session)
    made = len(tables(session.store.uri))
    assert 1 <= made < 5
    assert executor.tries.total() <= made + retry_policy.FULL_IN_A_ROW + 1
    assert any("the store has no space left; free some" in failure.error for failure in progress.failures)
    assert sum(failure.stop - failure.start for failure in progress.failures) == 20 - made
    assert not run_with(session)[0].failures
    assert equal(table(session), undisturbed)


def test_where_no_shard_of_a_node_works_the_others_are_not_burnt(open_tiny: Open) -> None:
    progress, executor = run_with(open_tiny("store.shard_members=1"), lambda _task, _tried: "error")
    assert executor.tries.total() == retry_policy.MOST_GIVEN_UP * retry_policy.TRIES
    assert sum(failure.stop - failure.start for failure in progress.failures) == 20
    assert "not tried, since other shards of it failed" in progress.failures[-1].error


@pytest.mark.parametrize("fault", ["unmet", "setting"])
def test_needs_that_are_never_met_and_wrong_settings_give_up_all_that_have_them(
    open_tiny: Open, fault: str
) -> None:
    progress, executor = run_with(open_tiny(), lambda _task, _tried: fault)
    assert executor.tries.total() == 1
    assert sum(failure.stop - failure.start for failure in progress.failures) == 20


def test_clocks_decide_nothing(open_tiny: Open, undisturbed, monkeypatch: pytest.MonkeyPatch) -> None:
    rng, whole = random.Random(0), time.time
    monkeypatch.setattr(time, "time", lambda: whole() + rng.uniform(-1e5, 1e5))
    session = open_tiny()
    run_with(session, lambda task, _tried: "error" if task.start == 10 else None)
    for path in Path(session.store.uri).rglob("*"):
        os.utime(path, (rng.uniform(0, 4e9),) * 2)
    assert not run_with(session)[0].failures
    assert equal(table(session), undisturbed)


def said(error: Exception, cause: Exception) -> Exception:
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "fault"),
    [
        (ValueError("bad"), "error"),
        (ShapeError("bad"), "refused"),
        (ConfigError("bad"), "setting"),
        (CorruptShardError("bad"), "refused"),
        (StoreError("bad"), "store"),
        (ConnectionResetError("bad"), "store"),
        (MemoryError(), "memory"),
        (RuntimeError("CUDA out of memory. Tried to allocate 2 GiB"), "memory"),
        (
            RuntimeError(
                "[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 bytes"
            ),
            "memory",
        ),
        (OSError(errno.ENOSPC, "No space left on device"), "full"),
        (said(StoreError("x cannot be written"), OSError(errno.EDQUOT, "Disk quota exceeded")), "full"),
        (said(StoreError("x cannot be written"), OSError(errno.EACCES, "Permission denied")), "store"),
    ],
)
def test_an_error_is_laid_at_the_right_door(error: Exception, fault: str) -> None:
    assert fault_of(error) == fault


@pytest.mark.ray
@pytest.mark.heavy
def test_workers_that_die_on_every_shard_once_change_nothing(
    open_tiny: Open, undisturbed, ray_session: None
) -> None:
    from pipeline.execution.ray.tasks import RayExecutor

    session = open_tiny()
    walk = Walk(
        session.graph,
        session.store,
        open_executor=lambda: RayExecutor(compute_and_die_once, session.examples),
        wanted=frozenset({SUBSET}),
    )
    progress = walk.run()
    assert not progress.failures
    assert progress.faults == {"crashed": 4}
    assert equal(table(session), undisturbed)
