"""The serial executor keeps the contract: every submitted task comes back as exactly one outcome."""

import pytest

from pipeline.core.errors import DataError
from pipeline.core.resources import Need
from pipeline.execution.executor import Executor, SerialExecutor


def work(task, device):
    if isinstance(task, BaseException):
        raise task
    return f"{task} on {device}"


def run_all(tasks):
    executor, outcomes = SerialExecutor(work), []
    waiting = list(tasks)
    while waiting or executor.n_running:
        while waiting and executor.has_room():
            executor.submit(waiting.pop(0), Need())
        outcomes += executor.wait(0.0)
    executor.close()
    executor.close()
    return outcomes


def test_it_is_an_executor():
    assert isinstance(SerialExecutor(work), Executor)


def test_every_task_comes_back_once():
    assert [(outcome.task, outcome.result) for outcome in run_all(["a", "b", "c"])] == [
        (name, f"{name} on cpu") for name in "abc"
    ]


@pytest.mark.parametrize(
    "error",
    [
        DataError("bad"),
        ValueError("bad"),
        RuntimeError("bad"),
        OSError("bad"),
        MemoryError("bad"),
        ZeroDivisionError("bad"),
        KeyError("bad"),
    ],
)
def test_an_error_is_an_outcome_with_cause_and_trace_and_the_rest_goes_on(error):
    failed, fine = run_all([error, "b"])
    assert failed.error.startswith(type(error).__name__)
    assert "bad" in failed.error
    assert "Traceback" in failed.trace
    assert (fine.result, fine.error) == ("b on cpu", None)


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(3)])
def test_whoever_wants_to_stop_is_not_held_up(error):
    with pytest.raises(type(error)):
        run_all([error])
