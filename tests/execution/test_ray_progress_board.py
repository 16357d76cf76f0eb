"""The progress of tasks reaches the driver, costs short runs nothing, and never blocks."""

import pytest
import ray
from slow_models import work_in_parts

from pipeline.core import task_progress
from pipeline.core.resources import Need
from pipeline.core.task_progress import report, reports_to
from pipeline.execution.executor import SerialExecutor
from pipeline.execution.ray import progress_board as module
from pipeline.execution.ray.progress_board import Board, BoardReader, Teller
from pipeline.execution.ray.tasks import RayExecutor


def test_a_board_gives_what_was_told_last_and_forgets_what_is_old(monkeypatch):
    board = Board()
    board.write(1, 0.2)
    board.write(2, 0.5)
    board.write(1, 0.4)
    assert board.read() == {1: 0.4, 2: 0.5}
    monkeypatch.setattr(module, "FORGOTTEN", -1.0)
    assert board.read() == {}


def test_a_task_that_ends_soon_sends_nothing_and_starts_no_thread():
    teller = Teller("nobody", 0)
    teller(0.5)
    assert teller._thread is None


def test_a_teller_without_a_board_is_silent(monkeypatch):
    monkeypatch.setattr(module, "_INTERVAL", 0.0)
    monkeypatch.setattr(module.ray, "get_actor", lambda _: (_ for _ in ()).throw(ValueError("no such actor")))
    teller = Teller("nobody", 0)
    teller(0.5)
    teller.end()
    teller._thread.join(5.0)
    assert not teller._thread.is_alive()


def test_a_board_is_not_started_for_a_short_run_and_a_broken_one_is_left_alone(monkeypatch):
    reader = BoardReader("some")
    reader.update(1.0)
    assert reader._board is None

    def broken() -> None:
        raise ray.exceptions.RayActorError

    monkeypatch.setattr(reader, "_ask", broken)
    reader.update(100.0)
    reader.update(100.0)
    assert reader.shares == {}


def test_reports_are_passed_on_a_few_times_a_second_and_only_while_somebody_listens(monkeypatch):
    heard = []
    report(0.1)
    with reports_to(heard.append):
        for share in (0.0, 0.2, 0.4):
            report(share)
    assert heard == []
    monkeypatch.setattr(task_progress, "_INTERVAL", 0.0)
    with reports_to(heard.append):
        for share in (0.2, 0.4, 1.7):
            report(share)
    report(0.9)
    assert heard == [0.2, 0.4, 1.0]


def test_a_serial_executor_tells_while_it_works_and_of_nothing_afterwards(monkeypatch):
    monkeypatch.setattr(task_progress, "_INTERVAL", 0.0)
    seen = []
    executor = SerialExecutor(lambda _task, _device: [report(share) for share in (0.25, 0.5)])
    executor.listen(lambda: seen.append(list(executor.under_way())))
    executor.submit("task", Need())
    assert seen == [[("task", 0.25)], [("task", 0.5)]]
    assert executor.under_way() == []


@pytest.mark.ray
@pytest.mark.slow
def test_shares_of_tasks_on_ray_grow_while_they_run(ray_session, monkeypatch):
    monkeypatch.setattr(module, "WORTH_A_BOARD", 0.1)
    executor, seen, outcomes = RayExecutor(work_in_parts, None), [], []
    executor.submit("6", Need())
    while not outcomes:
        outcomes = executor.wait(0.2)
        seen += [share for _, share in executor.under_way()]
    assert outcomes[0].result == "6"
    assert executor.under_way() == []
    executor.close()
    assert seen == sorted(seen)
    assert 0 < seen[0] < 1
